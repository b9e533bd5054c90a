//! NATS and Kafka.

use super::*;

#[test]
fn nats() {
    for (nats, part) in [
        ("servers = []", "`servers` is empty"),
        ("servers = [\"nat://x\"]", "not the address of a NATS server"),
        ("user = \"x\"", "`user` without `password`"),
        ("password = \"x\"", "`password` without `user`"),
        ("tls_ca = \"/does/not/exist\"", "can't be opened"),
        ("nkey = \"SUx\"", "not the seed"),
        ("inbox_prefix = \"a.*\"", "can't be the beginning of a subject"),
        ("ack_timeout = \"0s\"", "`ack_timeout` can't be zero"),
        ("[[nats.stream]]\nname = \"a.b\"\nsubjects = [\"s\"]", "can't be the name of a stream"),
        ("[[nats.stream]]\nname = \"a\"\nsubjects = []", "`subjects` is empty"),
        (
            "[[nats.stream]]\nname = \"a\"\nsubjects = [\"a.>.b\"]",
            "`>` can only be the whole last part",
        ),
        (
            "[[nats.stream]]\nname = \"a\"\nsubjects = [\"a\"]\n[[nats.stream]]\nname = \"a\"\nsubjects = [\"b\"]",
            "line 3 has the name `a` already",
        ),
        ("[[nats.stream]]\nname = \"a\"\nsubjects = [\"a.>\", \"a.b\"]", "`a.b` overlaps `a.>`"),
        (
            "[[nats.stream]]\nname = \"a\"\nsubjects = [\"a\"]\nmax_age = \"1m\"",
            "`duplicate_window` (2m) is longer",
        ),
        ("[[nats.stream]]\nname = \"a\"\nsubjects = [\"a\"]\nreplicas = 7", "a number from 1 to 5"),
        (
            "[[nats.stream]]\nname = \"a\"\nsubjects = [\"vapi.>\"]",
            "would store the questions on `{endpoint}.ask.{type}`",
        ),
        ("[[nats.stream]]\nname = \"a\"\nsubjects = [\"_INBOX.*.x\"]", "would store the replies"),
    ] {
        assert_problem(&file(&format!("[nats]\n{nats}"), ""), part);
    }
}

#[test]
fn kafka() {
    for (kafka, part) in [
        ("brokers = []", "`brokers` is empty"),
        ("brokers = [\"kafka\"]", "not the address of a broker"),
        ("brokers = [\"a:1,b:2\"]", "not the address of a broker"),
        ("ack_timeout = \"1s\"", "error: `ack_timeout` (1s) is too short"),
        ("ack_timeout = \"1499ms\"", "set at least \"1500ms\""),
        ("ack_timeout = \"30d\"", "rejects these settings: message.timeout.ms"),
        ("[kafka.properties]\nacks = 1", "`acks` can't be set"),
        ("[kafka.properties]\ndelivery.report.only.error = true", "without a report"),
        ("[kafka.properties]\ntest.mock.num.brokers = 3", "a cluster in memory"),
        ("[kafka.properties]\nlinger.ms = 3800", "librdkafka gives up after 3800 ms"),
        ("[kafka.properties]\nqueue.buffering.max.ms = 5000", "leaves no time to send"),
        ("[kafka.properties]\nlinger.ms = 5\nqueue.buffering.max.ms = 5", "are the same property"),
        ("[kafka.properties]\nmax.in.flight = 6", "error: librdkafka rejects"),
        ("[kafka.properties]\nretries = 0", "error: librdkafka rejects"),
        ("[kafka.properties]\nqueuing.strategy = \"lifo\"", "error: librdkafka rejects"),
        ("[kafka.properties]\nreconnect.backoff.ms = 2000", "error: librdkafka rejects"),
        ("[kafka.properties]\nstatistics.interval.ms = 0", "warning: `statistics.interval.ms`"),
        ("[kafka.properties]\nsasl.username = \"a\"", "warning: `sasl.username` isn't used"),
        (
            "[kafka.properties]\nsecurity.protocol = \"sasl_ssl\"",
            "can't log in like that: No provider for SASL mechanism GSSAPI",
        ),
        (
            "[kafka.properties]\nsecurity.protocol = \"sasl_ssl\"\nsasl.mechanism = \"AWS_MSK_IAM\"",
            "Amazon MSK takes SCRAM-SHA-512",
        ),
        (
            "[kafka.properties]\nsecurity.protocol = \"sasl_ssl\"\nsasl.mechanism = \"OAUTHBEARER\"",
            "can't log in to Kafka with OAUTHBEARER",
        ),
        (
            "[kafka.properties]\nsasl.oauthbearer.method = \"oidc\"",
            "built without the HTTP client that fetches tokens",
        ),
        (
            "[kafka.properties]\nsecurity.protocol = \"sasl_ssl\"\nsasl.mechanism = \"${LEAK}\"",
            "can't use this value of `sasl.mechanism`",
        ),
        (
            "[kafka.properties]\nsecurity.protocol = \"sasl_ssl\"\nsasl.mechanism = \"PLAIN\"",
            "sasl.username and sasl.password must be set",
        ),
        (
            "[kafka.properties]\nsecurity.protocol = \"ssl\"\nssl.ca.location = \"/nowhere\"",
            "the file `/nowhere` can't be opened",
        ),
        ("[kafka.properties]\nsecurity.protocl = \"ssl\"", "did you mean `security.protocol`?"),
        (
            "[kafka.properties]\nsecurity.protocol = \"SASL\"",
            "can't use this value of `security.protocol`",
        ),
        ("[kafka.properties]\npartitioner = \"random\"", "would lose their order"),
        ("[kafka.properties]\nlinger.ms = [1]", "must be a text, not a list"),
        ("[[kafka.topic]]\nname = \"a/b\"", "a topic's name can't contain"),
        ("[[kafka.topic]]\nname = \"{endpoint}\"", "can't have variables"),
        (
            "[[kafka.topic]]\nname = \"a\"\n[[kafka.topic]]\nname = \"a\"",
            "line 4 has the name `a` already",
        ),
        ("[[kafka.topic]]\nname = \"a\"\npartitions = 0", "`partitions` can't be 0"),
    ] {
        assert_problem(
            &file(&format!("[nats]\n[kafka]\n{kafka}").replace("[kafka]\n[kafka.", "[kafka."), ""),
            part,
        );
    }
    assert!(
        problems(&file("[nats]\n[kafka]\nbrokers = [\"[::1]:9092\", \"SSL://a:1\"]", ""))
            .is_empty()
    );
}
