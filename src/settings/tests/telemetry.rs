//! The collector.

use super::{assert_problem, file, problems};

#[test]
fn a_collector_has_an_address() {
    let file = |keys: &str| file(&format!("[nats]\n[telemetry.otlp]\n{keys}"), "");
    for (keys, part) in [
        ("", "`endpoint` is missing in `[telemetry.otlp]`"),
        ("endpoint = \"collector:4317\"", "error: this is not the address of a collector"),
        (
            "endpoint = \"grpc://collector:4317\"",
            "write `http://HOST:4317`, or `https://HOST:4317`",
        ),
        ("endpoint = \"http://me:hunter2@c:4317\"", "error: a login in the address"),
        ("endpoint = \"http://c:4317/v1/traces\"", "has more than a collector's address"),
        ("endpoint = \"http://c:4317?key=1\"", "has more than a collector's address"),
        (
            "endpoint = \"http://c/otlp/v1/traces\"\nprotocol = \"http\"",
            "warning: `/v1/traces` is added to the address once more",
        ),
        (
            "endpoint = \"http://c:4318\"",
            "warning: port 4318 is that of collectors for `protocol = \"http\"`",
        ),
        (
            "endpoint = \"http://c:4317\"\nprotocol = \"http\"",
            "warning: port 4317 is that of collectors for `protocol = \"grpc\"`",
        ),
        ("endpoint = \"http://c:4317\"\nprotocol = \"gprc\"", "did you mean \"grpc\"?"),
        ("endpoint = \"http://c:4317\"\nsample_ratio = 1.5", "`sample_ratio` can't be 1.5"),
        ("endpoint = \"http://c:4317\"\nsample_ratio = 2", "write a number from 0 to 1"),
        ("endpoint = \"http://c:4317\"\nsample_ratio = nan", "`sample_ratio` can't be NaN"),
        (
            "endpoint = \"http://c:4317\"\nsample_ratio = \"0.1\"",
            "write `sample_ratio = 0.1`, without quotes",
        ),
        ("endpoint = \"http://c:4317\"\nsignals = []", "`signals` is empty"),
        ("endpoint = \"http://c:4317\"\nsignals = [\"trace\"]", "did you mean \"traces\"?"),
        ("endpoint = \"http://c:4317\"\ntimeout = \"0s\"", "`timeout` can't be zero"),
        ("endpoint = \"http://c:4317\"\ntls_ca = \"/none.pem\"", "can't be opened"),
        (
            "endpoint = \"https://c:4317\"\n[telemetry.otlp.headers]\n\"a b\" = \"c\"",
            "`a b` can't be the name of a header",
        ),
        (
            "endpoint = \"https://c:4317\"\n[telemetry.otlp.headers]\na = \"hunter2\\n\"",
            "the value of `a` holds what no header can carry",
        ),
        (
            "endpoint = \"http://c:4317\"\n[telemetry.otlp.headers]\na = \"b\"",
            "warning: the headers go over the network unencrypted",
        ),
    ] {
        let text = file(keys);
        assert_problem(&text, part);
        assert!(!problems(&text).concat().contains("hunter2"), "{keys}");
    }
    for right in [
        "endpoint = \"http://127.0.0.1:4317\"\nsample_ratio = 0.1\n[telemetry.otlp.headers]\na = \"${VAPI_SECRET}\"",
        "endpoint = \"http://[::1]:4318/\"\nprotocol = \"http\"\nsample_ratio = 1",
        "endpoint = \"https://c\"\nsignals = [\"logs\"]\n[telemetry.otlp.resource]\nservice.name = \"x\"",
    ] {
        assert_eq!(problems(&file(right)), [""; 0], "{right}");
    }
}
