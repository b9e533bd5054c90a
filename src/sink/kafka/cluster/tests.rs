use rdkafka::statistics::{Partition, TopicPartition};

use super::*;

/// A broker in this state that leads partitions of these topics.
fn broker(name: &str, nodeid: i32, state: &str, leads: &[&str]) -> (String, Broker) {
    let led = |topic: &&str| {
        (topic.to_string(), TopicPartition { topic: topic.to_string(), partition: 0 })
    };
    let (name, state) = (name.to_owned(), state.to_owned());
    let toppars = leads.iter().map(led).collect();
    (name.clone(), Broker { name, nodeid, state, toppars, ..Broker::default() })
}

/// A topic with these partitions, and who leads each.
fn topic(name: &str, partitions: &[(i32, i32)]) -> (String, Topic) {
    let one = |&(partition, leader): &(i32, i32)| {
        (partition, Partition { partition, leader, ..Partition::default() })
    };
    let partitions = partitions.iter().map(one).collect();
    (name.to_owned(), Topic { topic: name.to_owned(), partitions, ..Topic::default() })
}

fn statistics<const B: usize, const T: usize>(
    brokers: [(String, Broker); B],
    topics: [(String, Topic); T],
) -> Statistics {
    Statistics { brokers: brokers.into(), topics: topics.into(), ..Statistics::default() }
}

fn faults(names: &[&str]) -> BTreeMap<String, String> {
    names.iter().map(|name| (name.to_string(), format!("{name} is away"))).collect()
}

#[test]
fn a_cluster_is_there_when_those_are_that_store_something() {
    let bootstrap = || broker("a:1/bootstrap", -1, UP, &[]);
    let is_up = |faults: &BTreeMap<String, String>, brokers: &[(String, Broker)]| {
        super::is_up(faults, &brokers.iter().cloned().collect())
    };
    let lost = faults(&["a:1/0"]);
    assert!(!is_up(&faults(&[]), &[]));
    assert!(!is_up(&faults(&[]), &[broker("a:1/0", 0, "CONNECT", &["t"])]));
    assert!(is_up(&faults(&[]), &[bootstrap()]));
    assert!(is_up(&faults(&[]), &[bootstrap(), broker("a:1/0", 0, "CONNECT", &["t"])]));
    assert!(is_up(&lost, &[bootstrap(), broker("a:1/0", 0, "CONNECT", &[])]));
    // The only one that leads something can't be reached.
    assert!(!is_up(&lost, &[bootstrap(), broker("a:1/0", 0, "CONNECT", &["t"])]));
    let other = broker("b:1/1", 1, UP, &["t"]);
    assert!(is_up(&lost, &[bootstrap(), broker("a:1/0", 0, "CONNECT", &["t"]), other]));
}

#[test]
fn a_topic_is_not_stored_while_a_part_of_it_has_no_leader_or_a_lost_one() {
    let why = |faults: &[&str], statistics| {
        let why = super::topics(&super::tests::faults(faults), &statistics);
        why.into_iter().collect::<BTreeMap<_, _>>()
    };
    let said = |topic: &str, why: &str| BTreeMap::from([(topic.to_owned(), why.to_owned())]);
    let led = || [topic("t", &[(0, 0), (1, 5)]), topic("unknown", &[(-1, -1)])];
    assert_eq!(why(&[], statistics([], led())), BTreeMap::new());
    let orphan = statistics([], [topic("t", &[(0, 0), (1, -1)]), topic("u", &[(0, 1)])]);
    assert_eq!(why(&[], orphan), said("t", "partition 1 of `t` has no leader"));
    let brokers = || [broker("a:1/0", 0, "CONNECT", &["t"]), broker("b:1/1", 1, UP, &["u"])];
    assert_eq!(why(&["a:1/0"], statistics(brokers(), led())), said("t", "a:1/0 is away"));
    assert_eq!(why(&["c:1/2"], statistics(brokers(), led())), BTreeMap::new());
}

/// What was reported last explains what isn't stored, until there is a connection.
#[test]
fn what_went_wrong_is_said_while_there_is_no_connection() {
    let health = Arc::<Health>::default();
    let cluster = Arc::new(Cluster::new(health.clone(), Arc::default()));
    let is_said = |reason: &str| health.readiness().1.contains(reason);
    assert_eq!(cluster.explain("t"), None);
    let code = Some(RDKafkaErrorCode::Resolve);
    cluster.failed(code, "a:1/0: nobody knows a (after 3ms in state CONNECT)");
    let unknown = "a:1/0: nobody knows a";
    assert_eq!(cluster.explain("t").as_deref(), Some(unknown));
    assert!(is_said(unknown));
    // The same kind again is no news, and that all are down says less.
    cluster.failed(code, "b:1/1: nobody knows b");
    cluster.failed(Some(RDKafkaErrorCode::AllBrokersDown), "2/2 brokers are down");
    assert_eq!(cluster.explain("t").as_deref(), Some(unknown));
    cluster.failed(Some(RDKafkaErrorCode::SSL), "b:1/1: no TLS");
    assert_eq!(cluster.explain("t").as_deref(), Some("b:1/1: no TLS"));
    assert!(!cluster.may_be_missing("t"));

    let up = || [broker("a:1/0", 0, UP, &[]), broker("b:1/1", 1, "CONNECT", &["t"])];
    cluster.look(&statistics(up(), [topic("t", &[(0, 1)]), topic("unknown", &[(-1, -1)])]));
    assert!(!is_said("nobody knows") && !is_said("no TLS"));
    // That of the topic's own leader is still true.
    assert_eq!(cluster.explain("t").as_deref(), Some("b:1/1: no TLS"));
    assert_eq!(cluster.explain("u"), None);
    assert!(cluster.may_be_missing("unknown") && !cluster.may_be_missing("t"));

    // What goes wrong meanwhile is said once the connection is gone.
    cluster.failed(code, "a:1/0: nobody knows a");
    assert!(!is_said("nobody knows a"));
    cluster.look(&statistics([broker("a:1/0", 0, "CONNECT", &[])], []));
    assert!(is_said("nobody knows a"));
    cluster.set_up(true);
    assert!(!is_said("nobody knows a"));
    assert_eq!(cluster.explain("u"), None);
}

#[test]
fn brokers_that_are_remembered_are_bounded() {
    let mut known = Known::default();
    for number in 0..MAX_BROKERS {
        known.add_fault(&number.to_string(), "old");
    }
    known.add_fault("one more", "old");
    known.add_fault("7", "new");
    assert_eq!(known.faults.len(), MAX_BROKERS);
    assert_eq!(known.faults.get("7").map(String::as_str), Some("new"));
}
