use super::{is_unread, plain};
use crate::message::Refusal;

/// Where nothing is left to read, nothing has to be read away.
#[test]
fn what_is_refused_by_its_head_or_its_length_is_unread() {
    for refusal in [
        Refusal::Unauthorized,
        Refusal::Undecided,
        Refusal::TooLarge { limit: 1 },
        Refusal::Encoding,
        Refusal::Overloaded("events"),
    ] {
        assert!(is_unread(&refusal), "{refusal}");
    }
    for refusal in [
        Refusal::Malformed("no JSON".into()),
        Refusal::Incomplete("in time"),
        Refusal::NotStored("timeout"),
    ] {
        assert!(!is_unread(&refusal), "{refusal}");
    }
}

#[test]
fn a_path_is_near_another_by_slashes_and_case_alone() {
    let is_near = |path: &str| plain(path).eq(plain("/hooks/Vapi"));
    for path in ["/hooks/vapi", "/hooks/vapi/", "//hooks//vapi//", "/HOOKS/Vapi"] {
        assert!(is_near(path), "{path}");
    }
    for path in ["/hooks", "/hooksvapi", "/hooks/vapi2", "hooks/vapi", "/hook/s/vapi", "/", ""] {
        assert!(!is_near(path), "{path}");
    }
    assert!(plain("/").eq(plain("")));
}
