#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use super::*;

fn permits(permissions: &str, subject: &str) -> bool {
    let text = format!(r#"{{"server":{{}},"data":{{"user":"u"{permissions}}}}}"#);
    serde_json::from_str::<Told>(&text).unwrap().data.unwrap().permissions.publish.permit(subject)
}

#[test]
fn a_user_may_what_its_lists_say() {
    let none = "";
    let deny = r#","permissions":{"publish":{"deny":["a.>"]},"subscribe":{}}"#;
    let allow = r#","permissions":{"publish":{"allow":["a.*","b"]}}"#;
    let both = r#","permissions":{"publish":{"allow":["a.>"],"deny":["a.b"]}}"#;
    for (permissions, subject, may) in [
        (none, "a.b", true),
        (deny, "a.b", false),
        (deny, "a", true),
        (allow, "a.b", true),
        (allow, "a.b.c", false),
        (allow, "b", true),
        (both, "a.b", false),
        (both, "a.b.c", true),
        (both, "b", false),
    ] {
        assert_eq!(permits(permissions, subject), may, "{permissions} {subject}");
    }
}
