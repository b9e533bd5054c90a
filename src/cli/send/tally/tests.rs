use super::*;

fn ok(outcome: Option<&str>) -> Answered {
    Answered::new(StatusCode::OK, outcome.map(ToOwned::to_owned), false)
}

#[test]
fn percentiles_are_right_to_three_digits() {
    let mut tally = Tally::default();
    for milliseconds in 1..=100_u64 {
        tally.answered(ok(None), Duration::from_millis(milliseconds));
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
    tally.answered(ok(Some("answered")), Duration::from_millis(2));
    tally.answered(ok(None), Duration::from_micros(1500));
    assert!(tally.all_fine());
    let mut other = Tally::default();
    let refused =
        Answered::new(StatusCode::SERVICE_UNAVAILABLE, Some("no-responders".to_owned()), false);
    other.answered(refused, Duration::from_millis(1));
    other.answered(Answered { is_reused: true, ..ok(Some("answered")) }, Duration::from_millis(1));
    other.unanswered("can't connect".to_owned());
    tally.add(other);
    assert!(!tally.all_fine());
    assert_eq!(tally.first_error(), Some("can't connect"));
    assert_eq!(
        tally.summary(Duration::from_secs(2), 3),
        "5 requests, 3 at a time, in 2.00 s: 2 requests/s
         1  200
         1  200 answered
         1  200 answered reused
         1  503 no-responders
         1  no answer
latency: p50 1.00 ms, p90 2.00 ms, p99 2.00 ms, max 2.00 ms"
    );
    let json: serde_json::Value =
        serde_json::from_str(&tally.json(Duration::from_secs(2), 3)).unwrap_or_default();
    assert_eq!((&json["requests"], &json["unanswered"]), (&5.into(), &1.into()));
    let reused = json!({"status": 200, "outcome": "answered", "reused": true, "count": 1});
    assert_eq!(json["results"][2], reused);
    assert_eq!(json["milliseconds"]["max"], 2.0);
}
