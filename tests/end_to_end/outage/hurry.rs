//! Senders that wait for less than a broker may take.

use std::time::{Duration, Instant};

use crate::support::{Bridge, Nats};

/// A sender of this kind gives up after three seconds.
const PATIENCE: Duration = Duration::from_secs(3);

const CONFIG: &str = r#"
[provider.hurried]
event_prefix = "com.example"
type = "{/type}"
id = "{/id}"
key = "{/key}"
[provider.hurried.acknowledge]
spooled = 200
within = "1s"

[[endpoint]]
name = "hurried"
path = "/hurried"
source = "hurried"
auth = [{ kind = "none" }]

[[endpoint]]
name = "short"
path = "/short"
source = "hurried"
ack_within = "200ms"
auth = [{ kind = "none" }]
"#;

/// A broker that is frozen answers nothing: the first to find that out is told in time, and with the status that its
/// provider takes for a success. Everything is published once, in its order, when the broker is back.
#[tokio::test]
async fn a_hurried_sender_is_answered_in_its_time() {
    let Some(mut nats) = Nats::start().await else { return };
    nats.create_stream("HURRY", &["hurried.events.>", "short.events.>"]).await;
    let bridge = Bridge::config(CONFIG).nats(&nats).start_ready().await;
    let body = |id: usize| format!(r#"{{"type":"t","id":"{id}","key":"k"}}"#);
    assert_eq!(bridge.post("/hurried", body(0), &[]).await.status, 200);
    nats.stop_signal();
    for (path, limit) in [("/short", PATIENCE / 3), ("/hurried", PATIENCE)] {
        for id in 1..4 {
            let began = Instant::now();
            let answer = bridge.post(path, body(id), &[]).await;
            let took = began.elapsed();
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert!(took < limit, "{path} {id}: {took:?}");
        }
    }
    nats.cont_signal();
    let stored = nats.messages("HURRY", 7).await;
    let of = |name: &str| -> Vec<String> {
        let mine = stored.iter().filter(|event| event.subject.starts_with(name));
        mine.filter_map(|event| event.header("ce-id").map(str::to_owned)).collect()
    };
    assert_eq!(of("hurried"), ["0", "1", "2", "3"]);
    assert_eq!(of("short"), ["1", "2", "3"]);
}
