//! What a dozen providers of every kind are sent that proves nothing, or says nothing: the sender gets a status and no
//! reason, nothing is stored, and the bridge goes on. What the rest of them refuse is tested where it is decided.

use std::time::{Duration, SystemTime};

use hookbus::source;

use super::{Request, endpoint, sample};
use crate::support::{Bridge, Nats};

const TEXT: &str = "4f1c7d0e8a414b5e9d610c2f6f3f1a77";
const WHSEC: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const OTHER: &str = "whsec_eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4";

/// A provider, its secret and another one, a sample that is an event, and the header of its proof.
const ALL: &[(&str, &str, &str, &str, &str)] = &[
    ("github", TEXT, "other", "push", "x-hub-signature-256"),
    ("gitlab", WHSEC, OTHER, "push", "webhook-signature"),
    ("hubspot", TEXT, "other", "contact.propertyChange", "x-hubspot-signature-v3"),
    ("linear", TEXT, "other", "Issue.update", "linear-signature"),
    ("livekit", TEXT, "other", "participant_joined", "authorization"),
    ("paddle", TEXT, "other", "transaction.completed", "paddle-signature"),
    ("plivo", TEXT, "other", "call.completed", "x-plivo-signature-v3"),
    ("retell", TEXT, "other", "call_ended", "x-retell-signature"),
    ("shopify", TEXT, "other", "orders/create", "x-shopify-hmac-sha256"),
    ("slack", TEXT, "other", "app_mention", "x-slack-signature"),
    ("square", TEXT, "other", "payment.updated", "x-square-hmacsha256-signature"),
    ("standard-webhooks", WHSEC, OTHER, "invoice.paid", "webhook-signature"),
    ("stripe", TEXT, "other", "charge.succeeded", "stripe-signature"),
    ("telegram", "a_token", "other", "message", "x-telegram-bot-api-secret-token"),
    ("twilio", TEXT, "other", "message.delivered", "x-twilio-signature"),
    ("zendesk", TEXT, "other", "ticket.brand_changed", "x-zendesk-webhook-signature"),
];
/// What it proves itself with doesn't cover the body.
const WITHOUT_BODY: [&str; 1] = ["telegram"];

#[tokio::test]
async fn what_proves_nothing_is_refused_and_not_stored() {
    let Some(nats) = Nats::start().await else { return };
    let subjects: Vec<_> = ALL.iter().map(|(name, ..)| format!("{name}.events.>")).collect();
    let subjects: Vec<_> = subjects.iter().map(String::as_str).collect();
    nats.create_stream("REFUSED", &subjects).await;
    let text: String = ALL.iter().map(|(name, secret, ..)| endpoint(name, name, secret)).collect();
    let bridge = Bridge::config(&text).nats(&nats).start_ready().await;
    let now = SystemTime::now();
    let mut stored = 0;
    for (name, secret, other, kind, header) in ALL {
        let provider = &source::built_in(name).unwrap().provider;
        let unauthorized = provider.refuse.unauthorized.unwrap_or(401);
        let malformed = provider.refuse.malformed.unwrap_or(400);
        let blank = Request::of(name, sample(name, kind));
        let signed = blank.clone().signed(name, secret, now);
        let answer = signed.send(&bridge).await;
        assert_eq!(answer.status, provider.acknowledge.stored, "{name}: {}", answer.text());
        stored += 1;

        let mut refused: Vec<(&str, Request)> = Vec::new();
        let mut add = |what, change: &dyn Fn(&mut Request)| {
            let mut request = signed.clone();
            change(&mut request);
            refused.push((what, request));
        };
        add("no proof", &|it| it.headers.retain(|(known, _)| known != header));
        add("two proofs", &|it| {
            let proof = it.headers.iter().find(|(known, _)| known == header).cloned();
            it.headers.extend(proof);
        });
        add("an empty proof", &|it| it.set(header, ""));
        add("a list of nothing", &|it| it.set(header, ",,;,="));
        add("a strange proof", &|it| it.set(header, "gr\u{fc}\u{df}e"));
        if !WITHOUT_BODY.contains(name) {
            add("another body", &|it| it.body = it.body.replacen('e', "3", 1));
            add("a longer body", &|it| it.body.push_str("&a=1"));
            add("no body", &|it| it.body.clear());
        }
        refused.push(("another secret", blank.clone().signed(name, other, now)));
        if let Some(scheme) = provider.signatures.first().filter(|scheme| scheme.time.is_some()) {
            let far = scheme.tolerance.get() + Duration::from_secs(60);
            refused.push(("an old time", blank.clone().signed(name, secret, now - far)));
            refused.push(("a future time", blank.clone().signed(name, secret, now + far)));
        }
        for (what, request) in refused {
            let answer = request.send(&bridge).await;
            assert_eq!(answer.status, unauthorized, "{name}, {what}: {}", answer.text());
            assert!(!answer.text().contains(secret), "{name}, {what}");
        }

        // Its sender is known, and what it sends says nothing.
        let is_json = blank.headers.iter().any(|(_, value)| value.contains("json"));
        let unreadable: &[&str] = match (is_json, *name) {
            // Its type stands in a header, and a body may be anything.
            (true, "github") => &[],
            (true, _) => &["{\"a\":", "\u{feff}{}"],
            (false, _) => &[],
        };
        let in_body = ["mailgun", "linear"].contains(name);
        for body in unreadable.iter().filter(|_| !in_body) {
            let mut request = blank.clone();
            (*body).clone_into(&mut request.body);
            let answer = request.signed(name, secret, now).send(&bridge).await;
            assert_eq!(answer.status, malformed, "{name}, {body:?}: {}", answer.text());
        }
    }
    // More fields than are read: nobody can sign them, and they are refused before they are sorted.
    let many = Request::of("twilio", sample("twilio", "message.delivered"));
    let mut many = many.signed("twilio", TEXT, now);
    many.body.push_str(&"&a=1".repeat(10_000));
    let answer = many.send(&bridge).await;
    assert_eq!(answer.status, 401, "{}", answer.text());
    // Neither of two statuses is the type.
    let mut doubled = Request::of("twilio", sample("twilio", "message.delivered"));
    doubled.body.push_str("&MessageStatus=sent");
    let answer = doubled.signed("twilio", TEXT, now).send(&bridge).await;
    assert_eq!(answer.status, 204, "{}", answer.text());
    stored += 1;
    let events = nats.messages("REFUSED", stored).await;
    assert_eq!(events.len() as u64, stored);
    assert_eq!(events.last().map(|event| &*event.subject), Some("twilio.events.callback"));
    assert_eq!(bridge.admin("/livez").await.status, 200);
}

#[tokio::test]
async fn types_and_ids_of_any_kind_are_stored() {
    let Some(nats) = Nats::start().await else { return };
    nats.create_stream("ANY", &["any.events.>", "svix.events.>"]).await;
    let text = endpoint("svix", "standard-webhooks", WHSEC) + &endpoint("any", "stripe", TEXT);
    let bridge = Bridge::config(&text).nats(&nats).start_ready().await;
    let now = SystemTime::now();
    let mut ids = Vec::new();
    for body in [
        r#"{"type":"never.heard of","id":"evt_1"}"#.to_owned(),
        r#"{"type":"a","id":null}"#.to_owned(),
        format!(r#"{{"type":"a","id":"{}"}}"#, "x".repeat(300)),
        r#"{"type":"a","id":"\u00e9vt"}"#.to_owned(),
        r#"{"type":"a","id":["evt_1"]}"#.to_owned(),
    ] {
        let mut request = Request::of("any", sample("stripe", "charge.succeeded"));
        request.body = body;
        let answer = request.signed("stripe", TEXT, now).send(&bridge).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        ids.push(answer.header("hookbus-id").unwrap().to_owned());
    }
    assert_eq!(ids[0], "evt_1");
    // What no header can carry is hashed, what isn't there is made up.
    assert!(ids.iter().skip(1).all(|id| id.len() >= 32 && id.is_ascii()), "{ids:?}");
    let other = bridge.metric("hookbus_webhooks_total{endpoint=\"any\",type=\"other\"").await;
    assert_eq!(other, 5.0);
    for body in [r#"{"type":["a"]}"#, r#"{"type":""}"#, "[{\"type\":\"a\"}]", "{}", "null"] {
        let mut request = Request::of("any", sample("stripe", "charge.succeeded"));
        body.clone_into(&mut request.body);
        let answer = request.signed("stripe", TEXT, now).send(&bridge).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.text());
    }

    // Signed as Svix names its headers; those of the other family are somebody else's.
    let mut request = Request::of("svix", sample("standard-webhooks", "invoice.paid"));
    request = request.signed("standard-webhooks", WHSEC, now);
    for (name, _) in &mut request.headers {
        *name = name.replace("webhook-", "svix-");
    }
    request.set("webhook-id", "forged");
    let said = request.headers.iter().find(|(name, _)| name == "svix-id").unwrap().1.clone();
    let answer = request.send(&bridge).await;
    assert_eq!((answer.status, answer.header("hookbus-id")), (200, Some(&*said)));
    let stored = nats.messages("ANY", 6).await;
    assert_eq!(stored.len(), 6);
    assert_eq!(stored[0].subject, "any.events.never.heard%20of");
    assert_eq!(stored[5].header("ce-id"), Some(&*said));
}
