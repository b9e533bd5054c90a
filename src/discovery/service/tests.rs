#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;

#[test]
fn what_clients_say_is_read() {
    let mut services = Services::new();
    let info = r#"{"type":"io.nats.micro.v1.info_response","name":"weather","id":"A","version":"1.0.0","metadata":null,
            "endpoints":[{"name":"get","subject":"vapi.tool.get","queue_group":"q"}]}"#;
    serde_json::from_str::<Answer>(info).unwrap().describe(&mut services);
    let stats = r#"{"name":"weather","id":"A","version":"1.0.0","endpoints":[{"name":"get","subject":"vapi.tool.get",
            "num_requests":4,"num_errors":-1,"processing_time":9,"average_processing_time":1234567,"last_error":"400:\u001b[31m"}]}"#;
    serde_json::from_str::<Answer>(stats).unwrap().count(&mut services);
    let endpoint = &services.values().next().unwrap().endpoints[0];
    let expected = Statistics {
        requests: 4,
        errors: 0,
        average_milliseconds: 1.235,
        last_error: "400:\u{fffd}[31m".to_owned(),
    };
    assert_eq!(endpoint.statistics, Some(expected));
}

#[test]
fn what_is_missing_or_odd_does_no_harm() {
    let mut services = Services::new();
    let text = r#"{"name":7,"id":["x"],"endpoints":null,"version":null}"#;
    serde_json::from_str::<Answer>(text).unwrap().describe(&mut services);
    let long = format!(r#"{{"name":"{}","id":""}}"#, "n".repeat(10_000));
    serde_json::from_str::<Answer>(&long).unwrap().describe(&mut services);
    assert_eq!(services.len(), 2);
    assert!(services.values().all(|service| service.name.len() <= MAX_TEXT_CHARS));
    for text in ["", "{}", "[]", "null", "\"x\"", r#"{"name":"a","id":"b","endpoints":[7]}"#] {
        assert!(serde_json::from_str::<Answer>(text).is_err(), "{text}");
    }
}
