use super::*;

#[test]
fn the_reason_is_the_last_line_that_says_something() {
    let failed = ExitStatus::from_raw(3 << 8);
    let traceback = b"Traceback:\n  File x\nValueError: no\tcity\r\n\n";
    assert_eq!(reason(failed, traceback), "ValueError: no city");
    assert_eq!(reason(failed, b"\n"), "the program ended with exit code 3");
    assert_eq!(reason(ExitStatus::from_raw(9), b""), "the program was ended by signal 9");
    assert_eq!(reason(failed, "x".repeat(300).as_bytes()).chars().count(), 200);
    assert_eq!(reason(failed, b"\xff!"), "\u{fffd}!");
}

#[test]
fn one_line_break_at_the_end_is_taken_off() {
    for (written, answer) in
        [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("a", "a"), ("\n", "")]
    {
        let mut output = written.as_bytes().to_vec();
        strip_line_break(&mut output);
        assert_eq!(output, answer.as_bytes());
    }
}

#[test]
fn a_program_is_found_by_its_path_or_on_path() {
    let program = |name: &str| Process::new(vec![name.into(), "-c".into()]);
    assert!(program("sh").exists() && program("/bin/sh").exists());
    assert!(!program("no-such-program").exists() && !program("./no-such-program").exists());
    assert!(!program("/bin").exists());
}
