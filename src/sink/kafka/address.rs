//! The names that librdkafka gives to brokers: `host:port/id`, or `ssl://host:port/bootstrap`.

/// Host and port of a broker.
pub fn of(name: &str) -> Option<(&str, u16)> {
    let name = name.split_once("://").map_or(name, |(_, rest)| rest);
    let address = name.rsplit_once('/').map_or(name, |(address, _)| address);
    let (host, port) = address.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Some((host, port.parse().ok()?))
}

/// Whether it is a broker that the cluster named, and not one of the configuration.
pub fn is_member(name: &str) -> bool {
    name.rsplit_once('/').is_some_and(|(_, id)| id.parse::<u32>().is_ok())
}

/// An error of librdkafka's as the broker that it is about, and the whole text without what changes each time: how long
/// it took, and how often it was kept back.
pub fn parts(reason: &str) -> (Option<&str>, &str) {
    let reason = reason.rsplit_once(" (after ").map_or(reason, |(reason, _)| reason);
    (reason.split_once(": ").map(|(broker, _)| broker), reason)
}

/// Whether a broker's certificate isn't trusted, which librdkafka explains no further.
pub fn is_about_certificate(reason: &str) -> bool {
    reason.contains("certificate verify failed")
}

/// An error with what is behind it.
pub fn with_cause(reason: &str, cause: &str) -> String {
    match reason.split_once(": ") {
        Some((broker, text)) => format!("{broker}: {cause} ({text})"),
        None => format!("{cause} ({reason})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_brokers() {
        for (name, address) in [
            ("kafka-1:9092/1", Some(("kafka-1", 9092))),
            ("sasl_ssl://127.0.0.1:9093/bootstrap", Some(("127.0.0.1", 9093))),
            ("ssl://[::1]:9093/2", Some(("::1", 9093))),
            ("GroupCoordinator", None),
            ("", None),
        ] {
            assert_eq!(of(name), address, "{name}");
        }
    }

    #[test]
    fn members() {
        let names = ["kafka-1:9092/1", "ssl://a:1/0", "a:1/bootstrap", "a:1", "a"];
        assert_eq!(names.map(is_member), [true, true, false, false, false]);
    }

    #[test]
    fn errors_of_brokers() {
        let reason = "a:1/2: Failed to resolve 'a:1': Name or service not known (after 3ms in state CONNECT, 2 identical error(s) suppressed)";
        let text = "a:1/2: Failed to resolve 'a:1': Name or service not known";
        assert_eq!(parts(reason), (Some("a:1/2"), text));
        assert_eq!(parts("2/2 brokers are down"), (None, "2/2 brokers are down"));
    }

    #[test]
    fn a_certificate_is_named_with_its_fault() {
        let reason = "ssl://a:1/2: SSL handshake failed: certificate verify failed: broker certificate could not be verified";
        assert!(is_about_certificate(reason));
        assert!(!is_about_certificate("a:1/2: Connect to ipv4#127.0.0.1:1 failed"));
        assert_eq!(
            with_cause("ssl://a:1/2: not verified", "it has expired"),
            "ssl://a:1/2: it has expired (not verified)"
        );
        assert_eq!(with_cause("not verified", "it has expired"), "it has expired (not verified)");
    }
}
