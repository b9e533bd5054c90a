#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use http::HeaderMap;

use super::*;
use crate::config::facts::Facts;
use crate::message::{Answer, Content, Outcome, Replied, ReplyHead};
use crate::source::Questions;

/// A source of this description, at an endpoint with this secret.
fn described(text: &str, secret: &str) -> Described {
    let text = format!("event_prefix = \"com.example\"\ntype = \"{{/type}}\"\n{text}");
    let provider: Arc<Provider> = Arc::new(toml::from_str(&text).unwrap());
    let facts = Arc::new(Facts::of("x", &provider));
    let secrets = vec![crate::config::secret::Secret::new(secret)];
    let endpoint = Endpoint::of("x", facts, secrets, "https://hooks.example.com/x");
    Described::new(&provider, &endpoint)
}

fn head(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = http::Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn body(reply: Reply) -> String {
    match reply.body {
        Body::Whole(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
        Body::Stream(_) => panic!("it is one whole"),
    }
}

/// What a GET of this query gets.
fn got(source: &Described, query: &str) -> Option<Result<(u16, String), Refusal>> {
    let answer = source.handshake(&head("GET", &format!("/x?{query}"), &[]))?;
    Some(answer.map(|reply| (reply.status.as_u16(), body(reply))))
}

fn classify(source: &Described, head: &Parts, body: &str, scheme: Option<usize>) -> Classified {
    let body = Bytes::from(body.to_owned());
    source.classify(Request { scheme, ..Request::new(head, &body) }).unwrap()
}

/// The challenge that a test of the peer registry webhook-co/webhook publishes for X.
#[test]
fn a_challenge_is_signed_within_its_guard() {
    let source = described(
        "[[handshake]]\nmethod = \"GET\"\npresent = [\"{query:crc_token}\"]\nafter = \"nothing\"\n\
         guard = \"A-Za-z0-9_-\"\ncontent_type = \"application/json\"\n\
         body = '{\"response_token\":\"sha256={hmac-sha256-base64:query:crc_token}\"}'",
        "z3ZX4v7mAAUGykl3EcmkqbartmuW8VFOOzCloLx9Q45P0hLrFu",
    );
    let answer = r#"{"response_token":"sha256=Cytd4Sq+NvEcV3MMrXxWJGJx5A+y/lXzzU2Maartkx8="}"#;
    let query = "crc_token=9b4507b3-9040-4669-9ca3-6b94edb50553";
    assert_eq!(got(&source, query), Some(Ok((200, answer.to_owned()))));
    // A body that somebody would like to have signed.
    for forged in ["crc_token=%7B%22type%22%3A1%7D", "crc_token=v0%3A1", "crc_token=a&crc_token=b"]
    {
        assert!(got(&source, forged).unwrap().is_err(), "{forged}");
    }
    assert_eq!(got(&source, "crc_token="), None);
    assert_eq!(got(&source, ""), None);
}

/// The same for Zoom, whose challenge is signed and stands in the body.
#[test]
fn a_proven_challenge_is_no_event() {
    let source = described(
        "[[signature]]\nheaders = [\"x-signature\"]\n\
         [[handshake]]\nwhen = { \"{/type}\" = \"endpoint.url_validation\" }\nguard = \"A-Za-z0-9_-\"\n\
         content_type = \"application/json\"\n\
         body = '{\"plainToken\":\"{/payload/plainToken}\",\"encryptedToken\":\"{hmac-sha256-hex:/payload/plainToken}\"}'",
        "zoom-secret-token-xyz",
    );
    let post = head("POST", "/x", &[]);
    let sent =
        r#"{"type":"endpoint.url_validation","payload":{"plainToken":"pv-plainToken-abc123"}}"#;
    let Meaning::Handshake(reply) = classify(&source, &post, sent, Some(0)).meaning else {
        panic!("it is a handshake")
    };
    assert_eq!(
        body(reply),
        r#"{"plainToken":"pv-plainToken-abc123","encryptedToken":"924c76d973084bbe133c17ff1c1a9b6639c74aef8bb34daa05c70361039e7beb"}"#
    );
    let sent = r#"{"type":"endpoint.url_validation","payload":{"plainToken":"a\"b"}}"#;
    let body = Bytes::from_static(sent.as_bytes());
    let outside = source.classify(Request { scheme: Some(0), ..Request::new(&post, &body) });
    assert!(outside.is_err(), "it is outside of the guard");
    let event = classify(&source, &post, r#"{"type":"meeting.started"}"#, Some(0));
    assert!(matches!(event.meaning, Meaning::Event));
}

/// What is sent back as JSON stays one string, whatever it holds.
#[test]
fn a_challenge_is_escaped() {
    let source = described(
        "[[handshake]]\nmethod = \"GET\"\npresent = [\"{query:c}\"]\nafter = \"nothing\"\n\
         content_type = \"application/json\"\nbody = '{\"challenge\":\"{query:c}\"}'",
        "secret",
    );
    for (query, challenge) in [("c=a%22", r#"a\""#), ("c=%22%5C", r#"\"\\"#), ("c=a", "a")] {
        let answer = format!(r#"{{"challenge":"{challenge}"}}"#);
        assert_eq!(got(&source, query), Some(Ok((200, answer))), "{query}");
    }
}

#[test]
fn a_token_opens_a_handshake() {
    let source = described(
        "[[handshake]]\nmethod = \"GET\"\nwhen = { \"{query:hub.mode}\" = \"subscribe\" }\n\
         after = \"token\"\ntoken = \"{query:hub.verify_token}\"\nbody = \"{query:hub.challenge}\"",
        "secret",
    );
    let query =
        |token: &str| format!("hub.mode=subscribe&hub.verify_token={token}&hub.challenge=1%2b2");
    assert_eq!(got(&source, &query("secret")), Some(Ok((200, "1+2".to_owned()))));
    for wrong in ["", "secre", "secret2"] {
        assert_eq!(got(&source, &query(wrong)), Some(Err(Refusal::Unauthorized)), "{wrong}");
    }
    assert_eq!(source.methods(), "POST, GET");
    assert!(!source.is_webhook(&Method::GET));
}

/// What one scheme signs says nothing in a request that another one let in.
#[test]
fn an_id_counts_where_the_signature_covers_it() {
    let source = described(
        "id = [\"{header:webhook-id}\", \"{header:svix-id}\"]\n\
         [[signature]]\nheaders = [\"webhook-signature\"]\nmessage = \"{header:webhook-id}{body}\"\n\
         [[signature]]\nheaders = [\"svix-signature\"]\nmessage = \"{header:svix-id}{body}\"",
        "secret",
    );
    let post = head("POST", "/x", &[("webhook-id", "w"), ("svix-id", "s")]);
    let id = |scheme| classify(&source, &post, r#"{"type":"t"}"#, scheme).delivery_id;
    assert_eq!(id(Some(0)).as_deref(), Some("w"));
    assert_eq!(id(Some(1)).as_deref(), Some("s"));
    assert_eq!(id(Some(2)), None);
    assert_eq!(id(None).as_deref(), Some("w"));
}

fn questions(source: &Described, sent: &str) -> Questions {
    match classify(source, &head("POST", "/x?q=1", &[]), sent, None).meaning {
        Meaning::Questions(questions) => questions,
        Meaning::Event | Meaning::Handshake(_) => panic!("it asks"),
    }
}

/// The status, the content type, a header and the body that a reply becomes; nothing where it is none.
fn answered(source: &Described, text: &str, head: ReplyHead) -> Option<(u16, String, String)> {
    let dialogue = questions(source, r#"{"type":"ask"}"#).dialogue;
    let reply = Replied { body: Bytes::from(text.to_owned()), head: Some(Arc::new(head)) };
    dialogue.check(&reply).ok()?;
    let answer = Answer { outcome: Outcome::Answered, content: Content::Reply(reply) };
    let nobody = Arc::new(|_: &str, _| panic!("everything is asked"));
    let reply = dialogue.reply(vec![answer], nobody).unwrap();
    assert!(reply.headers == HeaderMap::new() || reply.headers["x-version"] == "1");
    Some((reply.status.as_u16(), reply.content_type.to_string(), body(reply)))
}

#[test]
fn a_reply_is_sent_as_the_description_allows() {
    let source = described(
        "[[question]]\ntypes = [\"ask\"]\ntimeout = \"1s\"\nmay_be_empty = true\n\
         content_types = [\"application/json\", \"text/plain\"]\nstatuses = [200, 422]\n\
         headers = [\"X-Version\"]",
        "secret",
    );
    let said = |status: Option<u16>, content_type: Option<&str>| ReplyHead {
        status,
        content_type: content_type.map(str::to_owned),
        headers: vec![("x-version".into(), "1".into()), ("x-other".into(), "2".into())],
    };
    let of = |status: u16, kind: &str, text: &str| Some((status, kind.to_owned(), text.to_owned()));
    let none = ReplyHead::default;
    assert_eq!(answered(&source, "{}", none()), of(200, "application/json", "{}"));
    assert_eq!(answered(&source, "fine", none()), of(200, "text/plain", "fine"));
    assert_eq!(answered(&source, "", none()), of(200, "", ""));
    assert_eq!(
        answered(&source, "{}", said(Some(422), Some("TEXT/plain; charset=utf-8"))),
        of(422, "text/plain", "{}")
    );
    assert_eq!(answered(&source, "fine", said(None, Some("application/json"))), None);
    assert_eq!(answered(&source, "{}", said(None, Some("text/html"))), None);
    assert_eq!(answered(&source, "{}", said(Some(500), None)), None);
}

#[test]
fn fields_go_to_workers_and_texts_to_those_who_read_no_json() {
    let source = described(
        "body = \"json-or-form\"\n[[question]]\ntypes = [\"ask\"]\ntimeout = \"1s\"\npayload = \"fields\"\n\
         content_types = [\"text/xml\"]\nfallback = \"<Response/>\"",
        "secret",
    );
    let mut questions = questions(&source, r#"{"type":"ask"}"#);
    let context = crate::config::Context::default();
    let mut asked = Vec::new();
    let mut take = |bytes| {
        asked.push(bytes);
        bytes < 1_000
    };
    let payloads = questions.dialogue.payloads(&|_| &context, &mut take);
    assert_eq!(payloads.len(), 1);
    assert!(asked[0] > 0);
    let fallback = questions.dialogue.fallback().unwrap();
    let answer = Answer { outcome: Outcome::Timeout, content: Content::Fallback(fallback) };
    let nobody = Arc::new(|_: &str, _| panic!("everything is asked"));
    let reply = questions.dialogue.reply(vec![answer], nobody).unwrap();
    assert_eq!(reply.content_type, "text/xml");
    assert_eq!(body(reply), "<Response/>");
}

#[test]
fn the_first_type_whose_places_are_there_counts() {
    let text = "event_prefix = \"com.example\"\ntype = [\"{header:x-event}.{/action}\", \"{header:x-event}\"]\n\
         [[type_rule]]\nwhen = { \"{/kind}\" = \"2*\" }\npresent = [\"{/data}\"]\nabsent = [\"{/event}\"]\n\
         type = \"command.{/data/name}\"";
    let provider: Arc<Provider> = Arc::new(toml::from_str(text).unwrap());
    let facts = Arc::new(Facts::of("x", &provider));
    let endpoint = Endpoint::of("x", facts, Vec::new(), "https://hooks.example.com/x");
    let source = Described::new(&provider, &endpoint);
    let kind = |headers: &[(&str, &str)], sent: &str| {
        let sent = Bytes::from(sent.to_owned());
        let head = head("POST", "/x", headers);
        let classified = source.classify(Request::new(&head, &sent));
        classified.map(|classified| classified.metadata.kind.to_string()).ok()
    };
    let event = [("x-event", "issue")];
    assert_eq!(kind(&event, "{}").as_deref(), Some("issue"));
    assert_eq!(kind(&event, r#"{"action":"opened"}"#).as_deref(), Some("issue.opened"));
    let command = r#"{"kind":21,"data":{"name":"go"}}"#;
    assert_eq!(kind(&event, command).as_deref(), Some("command.go"));
    let with_event = r#"{"kind":21,"data":{"name":"go"},"event":{}}"#;
    assert_eq!(kind(&event, with_event).as_deref(), Some("issue"));
    assert_eq!(kind(&[], "{}"), None);
    assert_eq!(kind(&[event[0], event[0]], "{}"), None);
    assert_eq!(kind(&event, "[1,2"), None);
}
