use super::*;

#[test]
fn positions_are_lines_and_characters() {
    let report = Problems::new("f", "a\n\u{e9}\u{e9} b\n");
    assert_eq!(report.position(0), (1, 1));
    assert_eq!(report.position(2), (2, 1));
    assert_eq!(report.position(7), (2, 4));
    assert_eq!(report.position(9), (3, 1));
    assert_eq!(report.position(99), (3, 1));
}

#[test]
fn how_a_problem_looks() {
    let mut report = Problems::new("hookbus.toml", "[http]\nlisen = 1\n");
    report.error(7, "unknown key `lisen`", "did you mean `listen`?");
    report.warning(0, "something else", "");
    let shown: Vec<_> = report.into_problems().iter().map(Problem::to_string).collect();
    assert_eq!(
        shown,
        [
            "hookbus.toml:1:1: warning: something else",
            "hookbus.toml:2:1: error: unknown key `lisen`\n  hint: did you mean `listen`?",
        ]
    );
}
