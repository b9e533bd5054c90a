use super::*;

#[test]
fn some_are_shown_and_all_are_counted() {
    let (health, mut faults) = (Health::default(), Faults::default());
    let names: Vec<Arc<str>> = (0..6).map(|number| format!("e.{number}").into()).collect();
    let logged = |faults: &Faults| {
        faults.tell("no-stream", "nats:e.{type}", &health);
        health.readiness().1
    };
    faults.add("no-stream", names[0].clone());
    let one = "problem: nats:e.{type}: no-stream: `e.0` takes nothing; its events wait";
    assert!(logged(&faults).contains(one), "{}", logged(&faults));
    for name in &names[1..] {
        faults.add("no-stream", name.clone());
    }
    faults.add("not-permitted", names[0].clone());
    assert_eq!(faults.len(), 7);
    let many = "`e.0`, `e.1`, `e.2` and 3 more take nothing; their events wait";
    assert!(logged(&faults).contains(many), "{}", logged(&faults));
    for gone in 0..5 {
        faults.remove("no-stream", &names[gone], names[gone + 1..].iter());
    }
    assert!(logged(&faults).contains("no-stream: `e.5` takes nothing"), "{}", logged(&faults));
    faults.remove("no-stream", &names[5], [].iter());
    assert!(!logged(&faults).contains("no-stream") && !faults.is_empty());
    faults.remove("not-permitted", &names[0], [].iter());
    assert!(faults.is_empty());
}
