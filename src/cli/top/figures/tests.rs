#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use super::*;

fn look(seconds: u64, text: &str, start: Instant) -> Look {
    let at = start + Duration::from_secs(seconds);
    Look { at, is_ready: true, readiness: Vec::new(), samples: Samples::read(text) }
}

/// What is made of two texts, ten seconds apart.
fn between<T>(before: &str, now: &str, make: impl Fn(&Figures<'_>) -> T) -> T {
    let start = Instant::now();
    let (before, now) = (look(0, before, start), look(10, now, start));
    make(&Figures::between(&before, &now))
}

#[test]
fn endpoints_have_their_outcomes_and_latencies() {
    let before = "hookbus_webhooks_total{endpoint=\"vapi\",type=\"a\",outcome=\"stored\"} 100\n";
    let now = "\
hookbus_webhooks_total{endpoint=\"vapi\",type=\"a\",outcome=\"stored\"} 120
hookbus_webhooks_total{endpoint=\"vapi\",type=\"b\",outcome=\"stored\"} 10
hookbus_webhooks_total{endpoint=\"vapi\",type=\"b\",outcome=\"refused\"} 5
hookbus_webhooks_total{endpoint=\"vapi\",type=\"b\",outcome=\"answered\"} 0
hookbus_webhook_seconds_bucket{le=\"0.1\",endpoint=\"vapi\",kind=\"event\"} 30
hookbus_webhook_seconds_bucket{le=\"+Inf\",endpoint=\"vapi\",kind=\"event\"} 30
hookbus_refusals_total{endpoint=\"\",reason=\"no-such-path\"} 10
hookbus_refusals_total{endpoint=\"\",reason=\"method\"} 0
hookbus_refusals_total{endpoint=\"vapi\",reason=\"malformed\"} 5
";
    let endpoints = between(before, now, |figures| figures.endpoints());
    let [none, vapi] = <[Endpoint; 2]>::try_from(endpoints).unwrap();
    assert_eq!((&*none.name, none.rate), ("", 1.0));
    assert_eq!(none.outcomes, [("no-such-path".to_owned(), 1.0)]);
    assert_eq!((&*vapi.name, vapi.rate), ("vapi", 3.5));
    assert_eq!(vapi.outcomes, [("stored".to_owned(), 3.0), ("refused".to_owned(), 0.5)]);
    assert_eq!(vapi.events.p50, Some(0.05));
    assert_eq!(vapi.questions, Latency::default());
}

#[test]
fn functions_have_their_workers() {
    let now = "\
hookbus_questions_total{endpoint=\"vapi\",type=\"\",function=\"get_weather\",outcome=\"answered\"} 10
hookbus_questions_total{endpoint=\"vapi\",type=\"\",function=\"get_weather\",outcome=\"timeout\"} 5
hookbus_questions_total{endpoint=\"vapi\",type=\"assistant-request\",function=\"\",outcome=\"answered\"} 0
hookbus_ask_seconds_bucket{endpoint=\"vapi\",type=\"\",function=\"get_weather\",outcome=\"answered\",le=\"0.1\"} 10
hookbus_ask_seconds_bucket{endpoint=\"vapi\",type=\"\",function=\"get_weather\",outcome=\"answered\",le=\"+Inf\"} 10
hookbus_ask_seconds_bucket{endpoint=\"vapi\",type=\"\",function=\"get_weather\",outcome=\"timeout\",le=\"0.1\"} 0
hookbus_ask_seconds_bucket{endpoint=\"vapi\",type=\"\",function=\"get_weather\",outcome=\"timeout\",le=\"+Inf\"} 5
";
    let worker = |id: &str| {
        serde_json::json!({
            "service": "weather", "version": "1.2.0", "id": id, "subject": "vapi.tool.get_weather", "queue_group": "q"
        })
    };
    let overview = serde_json::json!({
        "functions": [
            {"endpoint": "vapi", "function": "get_weather", "subject": "vapi.tool.get_weather",
             "workers": [worker("a"), worker("b")]},
            {"endpoint": "vapi", "function": "book", "subject": "vapi.tool.book", "workers": [], "warning": "no worker"},
        ],
        "others": [], "problems": [],
    });
    let overview: Overview = serde_json::from_value(overview).unwrap();
    let functions = between("", now, |figures| figures.functions(Some(&overview)));
    let names: Vec<_> = functions.iter().map(|function| &*function.name).collect();
    assert_eq!(names, ["book", "get_weather"]);
    assert_eq!(functions[0].workers, Workers::None);
    assert_eq!(functions[1].workers, Workers::Some(2, "weather 1.2.0".to_owned()));
    assert_eq!((functions[1].rate, functions[1].failed), (1.5, 0.5));
    let unknown = between("", now, |figures| figures.functions(None));
    assert_eq!(unknown.iter().map(|it| &it.workers).collect::<Vec<_>>(), [&Workers::Unknown]);
}

#[test]
fn destinations_have_what_queues() {
    let now = "\
hookbus_publish_seconds_bucket{le=\"0.1\",destination=\"nats:a\"} 20
hookbus_publish_seconds_bucket{le=\"+Inf\",destination=\"nats:a\"} 20
hookbus_publish_errors_total{destination=\"nats:a\",reason=\"timeout\"} 5
hookbus_spool_records{destination=\"nats:a\"} 7
hookbus_spool_apart_records{destination=\"nats:a\"} 2
hookbus_spool_records{destination=\"nats:gone\"} 3
hookbus_spool_records{destination=\"nats:empty\"} 0
";
    let all = between("", now, |figures| figures.destinations());
    let names: Vec<_> = all.iter().map(|it| &*it.name).collect();
    assert_eq!(names, ["nats:a", "nats:gone"]);
    assert_eq!((all[0].rate, all[0].errors, all[0].queued, all[0].apart), (2.0, 0.5, 7.0, 2.0));
    assert_eq!((all[1].rate, all[1].queued, all[1].latency), (0.0, 3.0, Latency::default()));
}

#[test]
fn a_bridge_that_began_anew_has_no_negative_rates() {
    let text = |count| {
        format!(
            "hookbus_webhooks_total{{endpoint=\"vapi\",type=\"a\",outcome=\"stored\"}} {count}\n"
        )
    };
    let endpoints = between(&text(1000), &text(20), |figures| figures.endpoints());
    assert_eq!(endpoints[0].rate, 2.0);
}
