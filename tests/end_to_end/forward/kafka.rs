//! Events from Kafka: order per partition, offsets after the 2xx, dead letters, a member that comes and goes.

use super::{Forward, PATIENCE, Server};
use crate::support::{Kafka, eventually, kafka};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::time::Duration;

const STEP: Duration = Duration::from_secs(10);

/// A configuration with this cluster, and the flags that read a topic of it.
struct Setup {
    folder: tempfile::TempDir,
    topic: String,
}

impl Setup {
    async fn new(kafka: &Kafka, topic: &str, partitions: i32) -> Setup {
        kafka.create_topic(topic, partitions).await;
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "[kafka]\nbrokers = [{:?}]\n[[endpoint]]\nname = \"vapi\"\npath = \"/vapi\"\nsource = \"vapi\"\n\
             [[endpoint.auth]]\nkind = \"none\"\n",
            kafka.bootstrap()
        );
        std::fs::write(folder.path().join("hookbus.toml"), text).unwrap();
        Setup { folder, topic: topic.to_owned() }
    }

    async fn forward(&self, to: &str, flags: &[&str]) -> Forward {
        let config = self.folder.path().join("hookbus.toml");
        let from = format!("kafka:{}", self.topic);
        let group = format!("{}-group", self.topic);
        let mut all = vec!["--config", config.to_str().unwrap(), "--only", "events"];
        all.extend(["--from", &from, "--group", &group, "--to", to]);
        all.extend(flags);
        let mut forward = Forward::start(&all);
        forward.said("events from topic").await;
        forward
    }

    async fn write(&self, kafka: &Kafka, partition: i32, key: &str, body: &str) {
        let producer: FutureProducer = kafka.settings().create().unwrap();
        let headers = [("ce_id", "id 1"), ("ce_type", "ai.vapi.hang"), ("ce_subject", key)];
        let headers = headers.into_iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header { key, value: Some(value) })
        });
        let record = FutureRecord::to(&self.topic).partition(partition).key(key);
        producer.send(record.payload(body).headers(headers), STEP).await.unwrap();
    }

    /// The committed offset of each partition.
    async fn committed(&self, kafka: &Kafka, partitions: i32) -> Vec<i64> {
        let consumer: BaseConsumer =
            kafka.settings().set("group.id", format!("{}-group", self.topic)).create().unwrap();
        let mut list = TopicPartitionList::new();
        (0..partitions).for_each(|partition| {
            list.add_partition(&self.topic, partition);
        });
        let read = move || {
            let known = consumer.committed_offsets(list, STEP).unwrap();
            known
                .elements()
                .iter()
                .map(|one| match one.offset() {
                    Offset::Offset(offset) => offset,
                    _ => -1,
                })
                .collect()
        };
        tokio::task::spawn_blocking(read).await.unwrap()
    }
}

#[tokio::test]
async fn records_are_posted_in_order_and_committed_after_a_2xx() {
    let Some(kafka) = kafka::shared().await else { return };
    let Some(mut server) = Server::start() else { return };
    let setup = Setup::new(kafka, "forward-order", 2).await;
    setup.write(kafka, 0, "a", "before").await;
    let mut forward = setup.forward(&server.url("status/503?first=1"), &[]).await;
    for number in 0..3 {
        setup.write(kafka, 0, "a b", &format!("a{number}")).await;
        setup.write(kafka, 1, "c", &format!("c{number}")).await;
    }
    let requests = server.heard(8).await;
    let mut by_key: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for request in &requests {
        let key = request.header("hookbus-key").unwrap().to_owned();
        by_key.entry(key).or_default().push(request.body.clone());
    }
    assert_eq!(by_key["a%20b"], ["a0", "a0", "a1", "a2"]);
    assert_eq!(by_key["c"], ["c0", "c0", "c1", "c2"]);
    assert_eq!(requests[0].header("ce-type"), Some("ai.vapi.hang"));
    assert_eq!(requests[0].header("ce-id"), Some("id%201"));
    assert_eq!(requests[0].header("hookbus-type"), Some("hang"));
    eventually("the offsets", PATIENCE, async || {
        (setup.committed(kafka, 2).await == [4, 3]).then_some(())
    })
    .await;
    // What isn't taken isn't committed, and comes again.
    server.kill();
    setup.write(kafka, 1, "c", "c3").await;
    forward.said("can't be reached").await;
    forward.stop().await;
    assert_eq!(setup.committed(kafka, 2).await, [4, 3]);
    server.restart().await;
    let _again = setup.forward(&server.url("ok"), &[]).await;
    assert_eq!(server.heard(9).await[8].body, "c3");
}

#[tokio::test]
async fn what_is_given_up_goes_to_a_topic() {
    let Some(kafka) = kafka::shared().await else { return };
    let Some(server) = Server::start() else { return };
    let setup = Setup::new(kafka, "forward-poison", 1).await;
    kafka.create_topic("forward-dead", 1).await;
    let flags = ["--dead-letters", "forward-dead", "--max-deliver", "1"];
    let _forward = setup.forward(&server.url("status/422"), &flags).await;
    setup.write(kafka, 0, "k", "poison").await;
    let letters = kafka.records("forward-dead", 1).await;
    assert_eq!(letters[0].payload.as_deref(), Some(&b"poison"[..]));
    assert_eq!(letters[0].key.as_deref(), Some(&b"k"[..]));
    for (name, value) in [
        ("ce_type", "ai.vapi.hang"),
        ("hookbus-status", "422"),
        ("hookbus-topic", "forward-poison"),
        ("hookbus-offset", "0"),
        ("hookbus-reason", "the server answered 422 Unprocessable Entity"),
    ] {
        assert_eq!(letters[0].header(name), Some(value), "{name}");
    }
    eventually("the offset", PATIENCE, async || {
        (setup.committed(kafka, 1).await == [1]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_rebalance_in_the_middle_loses_nothing_and_keeps_the_order() {
    let Some(kafka) = kafka::shared().await else { return };
    let Some(server) = Server::start() else { return };
    let setup = Setup::new(kafka, "forward-balance", 2).await;
    let to = server.url("slow/0.1");
    let mut first = setup.forward(&to, &[]).await;
    for number in 0..40 {
        setup.write(kafka, number % 2, &format!("k{}", number % 2), &number.to_string()).await;
    }
    server.heard(3).await;
    let mut second = setup.forward(&to, &[]).await;
    server.heard(25).await;
    first.stop().await;
    let requests = eventually("all of them", PATIENCE, async || {
        let requests = server.requests();
        let is_there = |body: &str| requests.iter().any(|request| request.body == body);
        (is_there("38") && is_there("39")).then_some(requests)
    })
    .await;
    second.stop().await;
    for partition in 0..2 {
        let numbers = requests.iter().map(|request| request.body.parse::<i32>().unwrap());
        let of_partition: Vec<_> = numbers.filter(|number| number % 2 == partition).collect();
        let expected: Vec<_> = (0..40).filter(|number| number % 2 == partition).collect();
        // A partition goes when what was being posted of it is done: nothing comes twice.
        assert_eq!(of_partition, expected);
    }
}

#[tokio::test]
async fn a_topic_that_is_not_there_is_named() {
    let Some(kafka) = kafka::shared().await else { return };
    let setup = Setup::new(kafka, "forward-there", 1).await;
    let config = setup.folder.path().join("hookbus.toml");
    let flags = ["--config", config.to_str().unwrap(), "--only", "events", "--group", "g"];
    let mut all = vec!["--to", "http://127.0.0.1:1/", "--from", "kafka:forward-missing"];
    all.extend(flags);
    let text = Forward::start(&all).end(1).await;
    assert!(text.contains("there is no topic `forward-missing`"), "{text}");
}
