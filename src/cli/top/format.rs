//! Numbers for people, in few characters.

/// How many.
pub(super) fn count(count: f64) -> String {
    match count {
        ..10_000.0 => format!("{count:.0}"),
        ..10e6 => format!("{:.0}k", count / 1e3),
        _ => format!("{:.0}M", count / 1e6),
    }
}

/// How many a second.
pub(super) fn rate(rate: f64) -> String {
    match rate {
        0.0 => "0".to_owned(),
        ..0.05 => "<0.1".to_owned(),
        ..10.0 => format!("{rate:.1}"),
        _ => count(rate),
    }
}

/// Seconds; nothing where nothing came.
pub(super) fn latency(seconds: Option<f64>) -> String {
    match seconds {
        None => "-".to_owned(),
        Some(seconds @ ..0.01) => format!("{:.1}ms", seconds * 1e3),
        Some(seconds @ ..1.0) => format!("{:.0}ms", seconds * 1e3),
        Some(seconds @ ..10.0) => format!("{seconds:.1}s"),
        Some(seconds) => format!("{seconds:.0}s"),
    }
}

pub(super) fn bytes(bytes: f64) -> String {
    bytesize::ByteSize::b(bytes as u64).display().iec().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_short() {
        let rates = [0.0, 0.01, 0.5, 9.94, 512.4, 12_345.0, 2e7].map(rate);
        assert_eq!(rates, ["0", "<0.1", "0.5", "9.9", "512", "12k", "20M"]);
        let latencies = [None, Some(0.0004), Some(0.0123), Some(1.25), Some(20.0)].map(latency);
        assert_eq!(latencies, ["-", "0.4ms", "12ms", "1.2s", "20s"]);
        assert_eq!(bytes(3.4e6), "3.2 MiB");
    }
}
