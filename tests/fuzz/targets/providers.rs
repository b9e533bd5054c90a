//! Any text as the description of a provider, and any request to it: what is taken can be used, nothing is let in that
//! carries no proof, and what is let in has a type.

#![no_main]

use std::net::Ipv4Addr;

use bytes::Bytes;
use futures_util::FutureExt as _;
use hookbus::auth::{Auth, Issuers, Signer};
use hookbus::config::Severity;
use hookbus::message::{Client, Refusal};
use hookbus::settings;
use hookbus::source::{self, Meaning, Request};
use hookbus_fuzz::request;
use libfuzzer_sys::fuzz_target;

/// What parts a description from a request.
const CUT: &str = "\n---\n";

const ENDPOINT: &str = r#"
[nats]
[[endpoint]]
name = "x"
path = "/x"
source = "x"
public_url = "https://hooks.example.com/x"
trust_unsigned = ["x-event"]
[[endpoint.auth]]
kind = "signature"
secrets = ["c2VjcmV0", "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"]
"#;

fuzz_target!(|text: &str| {
    let (description, sent) = text.split_once(CUT).unwrap_or((text, ""));
    let text = format!("{description}\n{ENDPOINT}");
    let loaded = settings::parse("hookbus.toml", &text, |_| None);
    let lines = text.split('\n').count();
    for problem in &loaded.problems {
        assert!(problem.line <= lines, "{problem}");
    }
    let has_errors = loaded.problems.iter().any(|problem| problem.severity == Severity::Error);
    assert_eq!(loaded.config.is_none(), has_errors);
    let Some(mut config) = loaded.config else { return };
    let endpoint = config.endpoints.remove(0);
    let Some((head, body)) = request(sent) else { return };
    let Some(provider) = &endpoint.facts.description else { return };

    let source = source::of(&endpoint);
    let _ = source.handshake(&head);
    let _ = source.acknowledge(true);
    let schemes = provider.signatures.len();
    for scheme in [None].into_iter().chain((0..=schemes).map(Some)) {
        match source.classify(Request { scheme, ..Request::new(&head, &body) }) {
            Ok(classified) => {
                let is_handshake = matches!(classified.meaning, Meaning::Handshake(_));
                assert!(is_handshake || !classified.metadata.kind.is_empty());
                assert_ne!(classified.delivery_id.as_deref(), Some(""));
                assert_ne!(classified.metadata.key.as_deref(), Some(""));
            }
            Err(Refusal::Malformed(_) | Refusal::Method { .. }) => {}
            Err(other) => panic!("another refusal: {other}"),
        }
    }

    let auth = Auth::new(&endpoint, &[], &Issuers::default());
    let is_let_in = |body: &Bytes| {
        let pending = auth
            .head(&head, &Client::new(Ipv4Addr::LOCALHOST))
            .now_or_never()
            .expect("nothing to wait for")
            .ok()?;
        pending.body(body, &mut None).ok()
    };
    let proves = |name: &str| {
        head.headers.keys().any(|known| match name.strip_suffix('*') {
            Some(start) => known.as_str().starts_with(&start.to_ascii_lowercase()),
            None => known.as_str().eq_ignore_ascii_case(name),
        })
    };
    let is_in_head = provider.signatures.iter().all(|scheme| scheme.at.is_none());
    let carries = provider.signatures.iter().any(|it| it.headers.iter().any(|name| proves(name)));
    let is_signed_only = provider.tokens.is_empty() && provider.jwts.is_empty();
    let is_accepted = is_let_in(&body).is_some();
    assert!(!is_accepted || carries || !is_in_head || !is_signed_only, "let in without a proof");
    if let Some(signer) = Signer::new(&endpoint, &endpoint.auth[0]) {
        let now = std::time::SystemTime::now();
        let _ = signer.before(&body, now);
        let _ = signer.sign(&head.method, &head.uri.to_string(), &body, now);
    }
});
