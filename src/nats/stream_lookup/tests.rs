use super::*;

#[test]
fn an_answer_is_read_for_what_it_says() {
    let read = |text: &str| read(text.as_bytes());
    let kind = r#""type":"io.nats.jetstream.api.v1.stream_names_response""#;
    let answer = |rest: &str| read(&format!("{{{kind},{rest}}}"));
    let some = r#""total":1,"offset":0,"limit":1024,"streams":["VAPI"]"#;
    assert_eq!(answer(some), Some(StreamOf::Stream));
    let none = r#""total":0,"offset":0,"limit":1024,"streams":null"#;
    assert_eq!(answer(none), Some(StreamOf::None));
    assert_eq!(answer(r#""total":0,"offset":0,"limit":1024"#), Some(StreamOf::None));
    let error = |code: u32| answer(&format!(r#""error":{{"code":503,"err_code":{code}}}"#));
    assert_eq!(error(10_039), Some(StreamOf::NoJetStream));
    assert_eq!(error(10_008), Some(StreamOf::Unknown));
    assert_eq!(read("{}"), None);
    assert_eq!(read("+OK"), None);
    assert_eq!(read(r#"{"stream":"S","seq":1}"#), None);
}

#[test]
fn a_domain_has_an_api_of_its_own() {
    assert_eq!(StreamLookup::new(None).api, "$JS.API.STREAM.NAMES");
    assert_eq!(StreamLookup::new(Some("hub")).api, "$JS.hub.API.STREAM.NAMES");
}
