use super::*;

#[test]
fn percentiles_are_right_to_three_digits() {
    let mut tally = Tally::default();
    for milliseconds in 1..=100_u64 {
        tally.answered(StatusCode::OK, None, Duration::from_millis(milliseconds));
    }
    let summary = tally.summary(Duration::from_secs(1), 1);
    let latencies = summary.lines().last().unwrap_or_default();
    let shown: Vec<f64> =
        latencies.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    assert_eq!(shown.len(), 4, "{latencies}");
    for (shown, exact) in shown.iter().zip([50.0, 90.0, 99.0, 100.0]) {
        assert!((shown - exact).abs() <= exact / 1000.0, "{latencies}");
    }
}

#[test]
fn the_summary_counts_status_and_outcome() {
    let mut tally = Tally::default();
    tally.answered(StatusCode::OK, Some("answered"), Duration::from_millis(2));
    tally.answered(StatusCode::OK, None, Duration::from_micros(1500));
    assert!(tally.all_fine());
    let mut other = Tally::default();
    other.answered(
        StatusCode::SERVICE_UNAVAILABLE,
        Some("no-responders"),
        Duration::from_millis(1),
    );
    other.unanswered("can't connect".to_owned());
    tally.add(other);
    assert!(!tally.all_fine());
    assert_eq!(tally.first_error(), Some("can't connect"));
    assert_eq!(
        tally.summary(Duration::from_secs(2), 3),
        "4 requests, 3 at a time, in 2.00 s: 2 requests/s
         1  200
         1  200 answered
         1  503 no-responders
         1  no answer
latency: p50 1.50 ms, p90 2.00 ms, p99 2.00 ms, max 2.00 ms"
    );
}
