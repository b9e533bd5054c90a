//! What is recorded, and what is told those who come after.

use super::{SENT, otlp};
use crate::http::question;
use crate::support::{Bridge, Collector, Nats, Reply, Worker, endpoint, eventually};
use std::time::Duration;

#[tokio::test]
async fn the_sender_decides_before_the_ratio() {
    let (Some(nats), Some(collector)) = (Nats::start().await, Collector::start().await) else {
        return;
    };
    let worker = Worker::start(&nats, "hook.ask.*", |_| Reply::text("{}")).await;
    let unsampled = SENT.replace("-01", "-00");
    for (ratio, is_sampled) in [("0", false), ("1", true), ("0.0", false), ("1.0", true)] {
        let keys = format!("signals = [\"traces\"]\nsample_ratio = {ratio}");
        let config = format!("{}{}", otlp(&collector.url("grpc"), "grpc", &keys), endpoint("hook"));
        let mut bridge = Bridge::config(config).nats(&nats).start_ready().await;
        let before = collector.receiver().spans().len();
        let body = question("assistant-request");
        let asked = async |headers: &[(&str, &str)]| {
            bridge.post("/hook", body.clone(), headers).await;
            let asked = worker.questions().pop().unwrap();
            asked.header("traceparent").unwrap().to_owned()
        };
        let root = asked(&[]).await;
        assert_eq!(root.ends_with("-01"), is_sampled, "{root}");
        assert_eq!(asked(&[("traceparent", &unsampled)]).await, unsampled, "as it came");
        let malformed = asked(&[("traceparent", "00-1-2-3")]).await;
        assert!(malformed != root && malformed.ends_with(&root[52..]), "another trace");
        let sampled = asked(&[("traceparent", SENT)]).await;
        assert!(sampled != SENT && sampled.ends_with("-01"), "{sampled}");

        // What is left is sent at the end.
        bridge.signal("TERM");
        assert!(bridge.wait().await.success());
        let expected = if is_sampled { 6 } else { 2 };
        eventually("all spans", Duration::from_secs(10), async || {
            (collector.receiver().spans().len() >= before + expected).then_some(())
        })
        .await;
        assert_eq!(collector.receiver().spans().len(), before + expected, "{ratio}");
    }
}
