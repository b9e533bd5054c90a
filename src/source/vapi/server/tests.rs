#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use serde_json::{Value, json};

use super::*;

fn found(kind: &str, message: &Value) -> Option<u64> {
    found_in(kind, message.to_string())
}

fn found_in(kind: &str, message: String) -> Option<u64> {
    let [assistant, call, phone_number] =
        ["assistant", "call", "phoneNumber"].map(|name| inner(&message, name));
    let holders = Holders { assistant, call, phone_number };
    limit(kind, holders).map(|limit| limit.as_millis() as u64)
}

fn server(seconds: u64) -> Value {
    json!({"server": {"url": "https://hooks.example.test", "timeoutSeconds": seconds}})
}

#[test]
fn the_first_server_that_says_a_limit_counts() {
    let all = json!({
        "phoneNumber": server(9),
        "call": {"id": "c", "assistant": server(8), "phoneNumber": server(10)},
        "assistant": server(7),
    });
    let without = |names: &[&str]| {
        let mut message = all.clone();
        for name in names {
            match name.split_once('.') {
                Some((outer, inner)) => message[outer].as_object_mut().unwrap().remove(inner),
                None => message.as_object_mut().unwrap().remove(*name),
            };
        }
        message
    };
    for kind in [
        "tool-calls",
        "function-call",
        "transfer-destination-request",
        "handoff-destination-request",
    ] {
        assert_eq!(found(kind, &all), Some(5_000));
        assert_eq!(found(kind, &without(&["assistant"])), Some(6_000));
        assert_eq!(found(kind, &without(&["assistant", "call"])), Some(7_000));
        let (call, number) = ("call.assistant", "phoneNumber");
        assert_eq!(found(kind, &without(&["assistant", call, number])), Some(8_000));
        assert_eq!(found(kind, &json!({})), None);
    }
    // These have limits of their own.
    for kind in ["assistant-request", "knowledge-base-request", "campaign.predial", "hang"] {
        assert_eq!(found(kind, &all), None, "{kind}");
    }
}

#[test]
fn some_types_have_servers_of_their_own() {
    let message = json!({
        "assistant": {
            "server": {"timeoutSeconds": 7},
            "voice": server(5),
            "startSpeakingPlan": {"smartEndpointingPlan": server(4)},
        },
        "phoneNumber": server(3),
    });
    assert_eq!(found("voice-request", &message), Some(3_000));
    assert_eq!(found("call.endpointing.request", &message), Some(2_000));
    let plain = json!({"assistant": server(7), "phoneNumber": server(3)});
    assert_eq!(found("voice-request", &plain), None);
    assert_eq!(found("call.endpointing.request", &plain), Some(5_000));
    let nested = json!({"call": {"assistant": {"voice": server(5)}}, "phoneNumber": server(3)});
    assert_eq!(found("voice-request", &nested), Some(3_000));
    assert_eq!(found("call.endpointing.request", &nested), None);
}

#[test]
fn a_name_may_be_written_with_escapes() {
    let message = r#"{"phoneNumber":{"server":{"\u0074imeoutSeconds":9}}}"#;
    assert_eq!(found_in("tool-calls", message.to_owned()), Some(7_000));
}

#[test]
fn nonsense_says_nothing() {
    for (server, expected) in [
        (json!({"timeoutSeconds": 20}), Some(18_000)),
        (json!({"timeoutSeconds": 3}), Some(1_000)),
        (json!({"timeoutSeconds": 2.5}), Some(625)),
        (json!({"timeoutSeconds": 2}), Some(500)),
        (json!({"timeoutSeconds": 1}), Some(250)),
        (json!({"timeoutSeconds": 0}), None),
        (json!({"timeoutSeconds": -0.0}), None),
        (json!({"timeoutSeconds": -1}), None),
        (json!({"timeoutSeconds": "20"}), None),
        (json!({"timeoutSeconds": 1e300}), None),
        (json!({"timeoutSeconds": null}), None),
        (json!({"timeoutSeconds": {}}), None),
        (json!({}), None),
        (json!([{"timeoutSeconds": 5}]), None),
        (json!("timeoutSeconds"), None),
    ] {
        let message = json!({"assistant": {"server": server}});
        assert_eq!(found("tool-calls", &message), expected, "{message}");
        // The next one is asked then.
        let more = json!({"assistant": {"server": server}, "phoneNumber": {"server": {"timeoutSeconds": 9}}});
        assert_eq!(found("tool-calls", &more), expected.or(Some(7_000)), "{message}");
    }
    assert_eq!(found("tool-calls", &json!({"assistant": "server", "call": [1]})), None);
}
