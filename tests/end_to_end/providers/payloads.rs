//! GitHub's own examples of all its events (npm: `@octokit/webhooks-examples`), through its description.

use std::collections::BTreeMap;
use std::time::SystemTime;

use http::Method;
use serde_json::Value;

use super::sdk::Sdk;
use super::{Request, endpoint};
use crate::support::{Bridge, Nats};

const SECRET: &str = "It's a Secret to Everybody";

#[tokio::test]
async fn all_examples_of_github_are_stored_under_their_type_and_key() {
    let Some(nats) = Nats::start().await else { return };
    let Some(mut sdk) = Sdk::node() else { return };
    nats.create_stream("EXAMPLES", &["examples.events.>"]).await;
    let bridge =
        Bridge::config(endpoint("examples", "github", SECRET)).nats(&nats).start_ready().await;
    let mut expected = BTreeMap::new();
    for (number, (event, body)) in sdk.payloads().await.into_iter().enumerate() {
        let json: Value = serde_json::from_str(&body).unwrap();
        let text = |pointer: &str| json.pointer(pointer).and_then(Value::as_str);
        let kind = match text("/action") {
            Some(action) => format!("{event}.{action}"),
            None => event.clone(),
        };
        let key = text("/repository/full_name").or_else(|| text("/organization/login"));
        let request = Request {
            method: Method::POST,
            path: "/examples".to_owned(),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.clone(),
        };
        let mut request = request.signed("github", SECRET, SystemTime::now());
        let id = format!("example-{number}");
        request.set("x-github-event", &event);
        request.set("x-github-delivery", &id);
        let answer = request.send(&bridge).await;
        assert_eq!(answer.status, 200, "{event}: {}", answer.text());
        expected.insert(id, (kind, key.map(str::to_owned), body));
    }
    assert!(expected.len() > 200, "{} examples", expected.len());
    for stored in nats.messages("EXAMPLES", expected.len() as u64).await {
        let (kind, key, body) = expected.remove(stored.header("ce-id").unwrap()).unwrap();
        assert_eq!(stored.subject, format!("examples.events.{kind}"));
        assert_eq!(stored.header("ce-type"), Some(format!("com.github.{kind}").as_str()));
        // Its slash is percent-encoded there.
        let said = stored.header("ce-subject").map(|key| key.replace("%2F", "/"));
        if let Some(key) = &key {
            assert_eq!(said.as_ref(), Some(key), "{kind}");
        }
        assert_eq!(stored.payload, body.as_bytes(), "{kind}");
    }
    assert!(expected.is_empty());
}
