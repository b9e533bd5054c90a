//! What the providers' own packages sign comes through, and what is signed here these accept.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use hookbus::config::piece::{Piece, pieces};
use hookbus::source;

use super::sdk::Sdk;
use super::{endpoint, sample, told};
use crate::support::bridge::run;
use crate::support::{Bridge, Kafka, Nats, kafka};

/// A provider, the name that its signer has in `sdk.py` or `sdk.mjs`, a secret, and a sample that is an event.
struct Signer {
    provider: &'static str,
    by: &'static str,
    secret: &'static str,
    sample: &'static str,
}

const fn signer(
    provider: &'static str,
    by: &'static str,
    secret: &'static str,
    sample: &'static str,
) -> Signer {
    Signer { provider, by, secret, sample }
}

const WHSEC: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const TEXT: &str = "4f1c7d0e8a414b5e9d610c2f6f3f1a77";
/// The public halves of the keys of `sdk.py`; Discord writes the first one in hex.
const ED25519_BASE64: &str = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";
const ED25519_MARKED: &str = "whpk_A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";
const ECDSA: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEUVw9brnjlrkE0/7Kf1T9zQzB6Ze/N13KUVrQpsO0A19FNr46UPMY+/mlR1kCoiFQK+8NV+CMU7LMClbxfZ+TVA==";
const HEX: &str = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056";

/// With packages of Python.
const PYTHON: &[Signer] = &[
    signer("adyen-platforms", "adyen-platforms", HEX, "balancePlatform.transfer.created"),
    signer("box", "box", TEXT, "FILE.UPLOADED"),
    signer("clerk", "clerk", WHSEC, "user.created"),
    signer("discord", "discord", super::ED25519, "ENTITLEMENT_CREATE"),
    signer("gitlab", "gitlab", WHSEC, "push"),
    signer("incident-io", "incident-io", WHSEC, "public_incident.incident_created_v2"),
    signer("livekit", "livekit", "thiskeyistotallyunsafe-but-long-enough", "participant_joined"),
    signer("openai", "openai", WHSEC, "response.completed"),
    signer("polar", "polar", "polar_whs_0123456789abcdef", "order.paid"),
    signer("pusher", "pusher", TEXT, "channel_occupied"),
    signer("resend", "resend", WHSEC, "email.delivered"),
    signer("retell", "retell", "key_4f1c7d0e8a414b5e9d610c2f6f3f", "call_ended"),
    signer("sendgrid", "sendgrid", ECDSA, "delivered"),
    signer("sinch", "sinch", TEXT, "message"),
    signer("sinch-voice", "sinch-voice", "BeIukql3pTKJ8RGL5zo0DA==", "dice"),
    signer("slack", "slack", TEXT, "app_mention"),
    signer("standard-webhooks", "standard-webhooks", WHSEC, "invoice.paid"),
    signer("standard-webhooks", "svix", WHSEC, "user.created"),
    signer("standard-webhooks", "standard-webhooks-ed25519", ED25519_MARKED, "invoice.paid"),
    signer("stripe", "stripe", "whsec_0123456789abcdef0123456789abcdef", "charge.succeeded"),
    signer(
        "supabase",
        "supabase",
        "v1,whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
        "send-email",
    ),
    signer("telnyx", "telnyx", ED25519_BASE64, "call.initiated"),
    signer("twilio", "twilio", TEXT, "message.delivered"),
    signer("twilio", "twilio-sha256", TEXT, "call.completed"),
    signer("twilio-events", "twilio-events", TEXT, "com.twilio.messaging.message.delivered"),
    signer("vanta", "vanta", WHSEC, "webhook"),
];

/// Of those only the provider has the private key: another one signs for the tests, and their packages must say of that
/// what the bridge says.
const JUDGED: [&str; 3] = ["discord", "sendgrid", "telnyx"];

/// With packages of JavaScript.
const NODE: &[Signer] = &[
    signer("bitbucket", "bitbucket", TEXT, "repo:push"),
    signer("github", "github", TEXT, "pull_request.opened"),
    signer("hubspot", "hubspot", TEXT, "contact.propertyChange"),
    signer("jira", "jira", TEXT, "jira:issue_updated"),
    signer("notion", "notion", "secret_0123456789abcdefghij", "page.created"),
    signer("sanity", "sanity", TEXT, "post.update"),
];

/// Those whose packages look at what is signed here.
const VERIFIED_BY_PYTHON: &[Signer] = &[
    signer("airtable", "airtable", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "changed"),
    signer("box", "box", TEXT, "FILE.UPLOADED"),
    signer("easypost", "easypost", TEXT, "tracker.updated"),
    signer(
        "elevenlabs",
        "elevenlabs",
        "wsec_4f1c7d0e8a414b5e9d610c2f6f3f1a77",
        "post_call_transcription",
    ),
    signer("gitlab", "gitlab", WHSEC, "push"),
    signer("adyen", "adyen", HEX, "REFUND"),
    signer("line", "line", TEXT, "message"),
    signer("mailgun", "mailgun", "key-0123456789abcdef", "delivered"),
    signer("mercado-pago", "mercado-pago", TEXT, "payment.updated"),
    signer(
        "messagebird",
        "messagebird",
        "messagebird-signing-key-0123456789abcdef",
        "message.created",
    ),
    signer("openai", "openai", WHSEC, "response.completed"),
    signer("plivo", "plivo", TEXT, "call.completed"),
    signer("polar", "polar", "polar_whs_0123456789abcdef", "order.paid"),
    signer("razorpay", "razorpay", TEXT, "payment.captured"),
    signer("retell", "retell", TEXT, "call_ended"),
    signer("sinch-voice", "sinch-voice", "BeIukql3pTKJ8RGL5zo0DA==", "dice"),
    signer("slack", "slack", TEXT, "app_mention"),
    signer("square", "square", TEXT, "payment.updated"),
    signer("standard-webhooks", "standard-webhooks", WHSEC, "invoice.paid"),
    signer("stripe", "stripe", "whsec_0123456789abcdef", "charge.succeeded"),
    signer("twilio", "twilio", TEXT, "message.delivered"),
    signer("twilio-events", "twilio-events", TEXT, "com.twilio.messaging.message.delivered"),
    signer("vonage", "vonage", "4f1c7d0e8a414b5e9d610c2f6f3f1a774f1c7d0e", "call.completed"),
    signer("workos", "workos", "workos_0123456789abcdef", "dsync.user.updated"),
];
const VERIFIED_BY_NODE: &[Signer] = &[
    signer("clerk", "clerk", WHSEC, "user.created"),
    signer("github", "github", TEXT, "push"),
    signer("hubspot", "hubspot", TEXT, "contact.propertyChange"),
    signer("linear", "linear", "lin_wh_0123456789abcdef", "Issue.update"),
    signer("notion", "notion", "secret_0123456789abcdefghij", "page.created"),
    signer("paddle", "paddle", "pdl_ntfset_0123456789abcdef", "transaction.completed"),
    signer("resend", "resend", WHSEC, "email.delivered"),
    signer("sanity", "sanity", TEXT, "post.update"),
    signer("shopify", "shopify", TEXT, "orders/create"),
];

/// The one text in a place of a request, if it is plain.
fn value(place: &str, headers: &BTreeMap<String, String>, body: &str) -> Option<String> {
    match pieces(place).ok()?.as_slice() {
        [Piece::Header(name)] => headers.get(name).cloned(),
        [Piece::Pointer(keys)] => {
            let json: serde_json::Value = serde_json::from_str(body).ok()?;
            Some(json.pointer(&format!("/{}", keys.join("/")))?.as_str()?.to_owned())
        }
        _ => None,
    }
}

impl Signer {
    /// The name of its endpoint.
    fn name(&self, at: usize) -> String {
        format!("{}-{at}", self.provider)
    }

    /// The headers of its sample, with ids where it has some.
    fn sample_headers(&self) -> BTreeMap<String, String> {
        let sample = sample(self.provider, self.sample);
        let mut headers = sample.headers.clone();
        headers.values_mut().for_each(|value| *value = value.replace("{uuid}", "4c2f1d0e-77aa"));
        headers.insert("content-type".to_owned(), sample.content_type.to_string());
        headers
    }

    /// Posts what its package signs; says what is to be read back: subject, type, id and body.
    async fn post(&self, at: usize, sdk: &mut Sdk, bridge: &Bridge) -> [String; 4] {
        let sample = sample(self.provider, self.sample);
        let (name, body) = (self.name(at), sample.body.to_string());
        let told = told(&name);
        let url = match &*sample.query {
            "" => told.clone(),
            query => format!("{told}?{query}"),
        };
        let signed = sdk.sign(self.by, self.secret, &url, &body).await;
        let mut headers = self.sample_headers();
        headers.extend(signed.headers);
        let path = signed.url.strip_prefix("https://hooks.example.com").unwrap();
        let post = async |body: String| {
            let headers: Vec<_> = headers.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
            bridge.post(path, body, &headers).await
        };
        let changed = body.replacen("e", "3", 1);
        if JUDGED.contains(&self.by) {
            for (body, is_signed) in [(&body, true), (&changed, false)] {
                let accepts = sdk.accepts(self.by, self.secret, &signed.url, &headers, body).await;
                assert_eq!(accepts, is_signed, "the package of {name} on {body}");
            }
        }
        let tampered = post(changed).await;
        let provider = &source::built_in(self.provider).unwrap().provider;
        let unauthorized = provider.refuse.unauthorized.unwrap_or(401);
        assert_eq!(tampered.status, unauthorized, "{name}, changed");
        let answer = post(body.clone()).await;
        assert_eq!(answer.status, provider.acknowledge.stored, "{name}: {}", answer.text());
        let id = answer.header("hookbus-id").expect("an id").to_owned();
        let said = provider.id.all().iter().find_map(|text| value(text, &headers, &body));
        if let Some(said) = said {
            assert_eq!(id, said, "{name}");
        }
        let kind = format!("{}.", provider.event_prefix.trim_end_matches('.'));
        [format!("{name}.events."), kind, id, body]
    }
}

/// Its own package signs, the bridge verifies, JetStream holds it, byte for byte; a changed body is refused.
async fn come_through(signers: &[Signer], mut sdk: Sdk, nats: &Nats) {
    let text: String = signers
        .iter()
        .enumerate()
        .map(|(at, it)| endpoint(&it.name(at), it.provider, it.secret))
        .collect();
    let subjects = signers.iter().enumerate().map(|(at, it)| format!("{}.events.>", it.name(at)));
    let subjects: Vec<_> = subjects.collect();
    let subjects: Vec<_> = subjects.iter().map(String::as_str).collect();
    nats.create_stream("SIGNED", &subjects).await;
    let bridge = Bridge::config(&text).nats(nats).start_ready().await;
    let mut expected = Vec::new();
    for (at, signer) in signers.iter().enumerate() {
        expected.push((signer, signer.post(at, &mut sdk, &bridge).await));
    }
    let stored = nats.messages("SIGNED", expected.len() as u64).await;
    assert_eq!(stored.len(), expected.len());
    for (event, (signer, [subject, kind, id, body])) in stored.iter().zip(&expected) {
        assert!(event.subject.starts_with(subject), "{} in {subject}", event.subject);
        let said = event.header("ce-type").unwrap_or_default();
        let base = signer.sample.split("--").next().unwrap_or_default();
        assert!(said.starts_with(kind) && said.ends_with(base), "{said} of {}", signer.provider);
        assert_eq!(event.header("ce-id"), Some(id.as_str()), "{}", signer.provider);
        assert_eq!(event.payload, body.as_bytes(), "{}", signer.provider);
    }
}

#[tokio::test]
async fn what_packages_of_python_sign_comes_through() {
    let Some(nats) = Nats::start().await else { return };
    let Some(sdk) = Sdk::python() else { return };
    come_through(PYTHON, sdk, &nats).await;
}

#[tokio::test]
async fn what_packages_of_javascript_sign_comes_through() {
    let Some(nats) = Nats::start().await else { return };
    let Some(sdk) = Sdk::node() else { return };
    come_through(NODE, sdk, &nats).await;
}

#[tokio::test]
async fn kafka_holds_what_a_package_signs() {
    let Some(kafka) = kafka::shared().await else { return };
    let Some(mut sdk) = Sdk::python() else { return };
    kafka.create_topic("signed", 1).await;
    let stripe = signer("stripe", "stripe", TEXT, "charge.succeeded");
    let text = endpoint(&stripe.name(0), "stripe", TEXT)
        + "[[endpoint.event]]\ntypes = [\"*\"]\nto = [\"kafka:signed\"]\n";
    let bridge = Bridge::config(&text).kafka(kafka).start_ready().await;
    let [_, _, id, body] = stripe.post(0, &mut sdk, &bridge).await;
    let records = Kafka::records(kafka, "signed", 1).await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].payload.as_deref(), Some(body.as_bytes()));
    assert_eq!(records[0].header("ce_id"), Some(id.as_str()));
    assert_eq!(records[0].header("ce_type"), Some("com.stripe.charge.succeeded"));
    let key = sample("stripe", "charge.succeeded");
    let key: serde_json::Value = serde_json::from_str(&key.body).unwrap();
    let known = &source::built_in("stripe").unwrap().provider.key;
    let of = |text: &String| value(text, &BTreeMap::new(), &key.to_string());
    let key = known.all().iter().find_map(of);
    assert_eq!(records[0].key.as_deref().map(String::from_utf8_lossy), key.map(Into::into));
}

/// A request as it came.
#[derive(Debug, Clone)]
struct Seen {
    uri: String,
    headers: BTreeMap<String, String>,
    body: String,
}

/// A server that takes everything, and remembers it.
async fn recorder() -> (String, Arc<Mutex<Vec<Seen>>>) {
    let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let all = seen.clone();
    let take = move |request: axum::extract::Request| {
        let all = all.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
            let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
            let headers = head.headers.iter().map(|(name, value)| (name.to_string(), text(value)));
            let body = String::from_utf8(body.to_vec()).unwrap();
            all.lock().push(Seen { uri: head.uri.to_string(), headers: headers.collect(), body });
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let server = axum::Router::new().fallback(take);
    tokio::spawn(async move { axum::serve(listener, server).await });
    (address, seen)
}

/// `hookbus send` signs, the provider's own package verifies; a changed body it refuses.
async fn are_accepted(signers: &[Signer], mut sdk: Sdk) {
    let (address, seen) = recorder().await;
    for Signer { provider, by, secret, sample } in signers {
        let to = format!("{address}/{provider}");
        let words = ["send", sample, "--provider", provider, "--secret", secret, "--to", &to];
        let output = run(&words).await;
        assert_eq!(output.code, Some(0), "{provider}: {}", output.stderr);
        let Seen { uri, headers, body } = seen.lock().pop().unwrap();
        let url = format!("{address}{uri}");
        assert!(
            sdk.accepts(by, secret, &url, &headers, &body).await,
            "{provider} refuses {headers:?}"
        );
        // Of these the package looks at some members or an id, and at no body.
        if !["adyen", "mailgun", "mercado-pago"].contains(provider) {
            let changed = body.replacen("e", "3", 1);
            let is_fooled = sdk.accepts(by, secret, &url, &headers, &changed).await;
            assert!(!is_fooled, "{provider} accepts a changed body");
        }
    }
}

#[tokio::test]
async fn packages_of_python_accept_what_is_sent() {
    let Some(sdk) = Sdk::python() else { return };
    are_accepted(VERIFIED_BY_PYTHON, sdk).await;
}

#[tokio::test]
async fn packages_of_javascript_accept_what_is_sent() {
    let Some(sdk) = Sdk::node() else { return };
    are_accepted(VERIFIED_BY_NODE, sdk).await;
}
