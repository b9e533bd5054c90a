//! Webhooks of simulations: they stand at the root of the body, without `message`.

use crate::http::open;
use crate::support::bridge::run;
use crate::support::{Bridge, nats, sample};

#[tokio::test]
async fn a_simulation_is_an_event() {
    let Some(nats) = nats::shared().await else { return };
    nats.create_stream("simulated", &["simulated.events.>"]).await;
    let bridge = Bridge::config(open("simulated")).nats(nats).start_ready().await;
    let url = bridge.url("/simulated");
    let (call, item) =
        ("9be2bf9f-2a4a-4690-872b-598b7666aa6d", "e41b7a90-3c1d-4d5e-9f60-8b2a7c6d5e33");
    for (number, kind, key) in
        [(1, "simulation.run.started", call), (2, "simulation.run.ended", item)]
    {
        let sent = run(&["send", kind, "--to", &url]).await;
        assert_eq!((sent.code, sent.stdout.as_str()), (Some(0), "{}"), "{}", sent.stderr);
        let event = nats.messages("simulated", number).await.pop().unwrap();
        assert_eq!(event.subject, format!("simulated.events.{kind}"));
        assert_eq!(event.header("ce-type"), Some(&*format!("ai.vapi.{kind}")));
        assert_eq!(event.header("ce-subject"), Some(key));
        assert_eq!(event.payload, sample(&format!("{kind}.json")).bytes);
        let metric = format!(
            r#"hookbus_webhooks_total{{endpoint="simulated",type="{kind}",outcome="stored""#
        );
        assert_eq!(bridge.metric(&metric).await, 1.0);
    }
    // Of the same kind, though nobody knows it yet; one without anything that ties it to others.
    for body in [r#"{"type":"simulation.new"}"#, r#"{"type":"simulation.x","message":null}"#] {
        assert_eq!(bridge.post("/simulated", body, &[]).await.status, 200, "{body}");
    }
    let event = nats.messages("simulated", 4).await.swap_remove(2);
    assert_eq!(event.subject, "simulated.events.simulation.new");
    assert_eq!(event.header("ce-subject"), None);
    for body in [
        r#"{"type":"status-update","simulationRunItemId":"i"}"#,
        r#"{"type":"simulations.run.started"}"#,
        r#"{"type":["simulation.run.started"]}"#,
        r#"{"simulationRunItemId":"i"}"#,
    ] {
        assert_eq!(bridge.post("/simulated", body, &[]).await.status, 400, "{body}");
    }
}
