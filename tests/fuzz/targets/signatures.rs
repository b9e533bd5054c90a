//! Any headers and any body to each built-in provider: nobody is let in who doesn't know the secret, and whoever does is,
//! unless the request was changed on its way.

#![no_main]

use std::net::Ipv4Addr;
use std::sync::LazyLock;
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::FutureExt as _;
use hookbus::auth::{Auth, Issuers, Signer};
use hookbus::config::Endpoint;
use hookbus::config::piece::Piece;
use hookbus::config::secret::Secret;
use hookbus::message::Client;
use hookbus::source;
use http::{HeaderName, HeaderValue, Method, Request};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

const URL: &str = "https://hooks.example.com/x";
/// One that is a text, base64 and hex.
const SECRET: &str = "5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed";

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    provider: u8,
    body: &'a str,
    /// What is written into the headers of the signature, in turn; nothing leaves them as they were.
    values: Vec<Option<&'a [u8]>>,
    /// The header that comes once more.
    doubled: Option<u8>,
    /// What is added to the body after it was signed.
    added: Option<&'a str>,
}

struct Known {
    name: &'static str,
    endpoint: Endpoint,
    auth: Auth,
    signer: Option<Signer>,
}

static ALL: LazyLock<Vec<Known>> = LazyLock::new(|| {
    let described = source::names().into_iter().filter_map(source::built_in);
    let described = described.filter(|known| known.provider.has_signatures());
    let known = described.map(|known| {
        let facts = source::facts(known.name).expect("a provider");
        let endpoint = Endpoint::of(known.name, facts, vec![Secret::new(SECRET)], URL);
        let auth = Auth::new(&endpoint, &[], &Issuers::default());
        let signer = Signer::new(&endpoint, &endpoint.auth[0]);
        Known { name: known.name, endpoint, auth, signer }
    });
    known.collect()
});

fuzz_target!(|input: Input<'_>| {
    let known = &ALL[usize::from(input.provider) % ALL.len()];
    let provider = known.endpoint.facts.description.as_ref().expect("a description");
    let now = SystemTime::now();
    let made = known.signer.as_ref().and_then(|signer| {
        let needs_more = !signer.before(input.body.as_bytes(), now).is_empty();
        let made = signer.sign(&Method::POST, URL, input.body.as_bytes(), now)?;
        let headers = made.into_iter().map(|(at, text)| match at {
            Piece::Header(name) => Some((name, text.expose().as_bytes().to_vec())),
            _ => None,
        });
        headers.collect::<Option<Vec<_>>>().filter(|_| !needs_more)
    });
    let is_right = made.is_some();
    let names = provider.signatures.iter().flat_map(|scheme| scheme.headers.clone());
    let mut headers =
        made.unwrap_or_else(|| names.map(|name| (name.replace('*', "1"), Vec::new())).collect());
    let mut is_changed = !is_right;
    for ((_, value), given) in headers.iter_mut().zip(&input.values) {
        if let Some(given) = given {
            is_changed |= value != given;
            *value = given.to_vec();
        }
    }
    if let Some(at) = input.doubled
        && !headers.is_empty()
    {
        headers.push(headers[usize::from(at) % headers.len()].clone());
        is_changed = true;
    }
    let mut body = input.body.to_owned();
    body.push_str(input.added.unwrap_or_default());
    // Where names and values are signed one behind the other, an `=` more changes nothing that is signed.
    let covers = |it: &hookbus::config::scheme::Scheme| it.covers(&Piece::Pointer(Vec::new()));
    let is_covered = !provider.signatures.is_empty() && provider.signatures.iter().all(covers);
    let is_longer = body != input.body;

    let mut builder = Request::post("/x");
    // Some sign that too.
    if !headers.iter().any(|(name, _)| name == "content-type") {
        builder = builder.header("content-type", "application/json");
    }
    for (name, value) in &headers {
        let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value))
        else {
            return;
        };
        builder = builder.header(name, value);
    }
    let Ok(request) = builder.body(()) else { return };
    let (head, ()) = request.into_parts();
    let body = Bytes::from(body);
    let pending = known
        .auth
        .head(&head, &Client::new(Ipv4Addr::LOCALHOST))
        .now_or_never()
        .expect("nothing to wait for");
    let is_let_in = pending.is_ok_and(|pending| pending.body(&body, &mut None).is_ok());
    if is_right && !is_changed && !is_longer {
        assert!(is_let_in, "{}: {headers:?}", known.name);
    }
    if is_longer && is_covered {
        assert!(!is_let_in, "{}: a longer body with {headers:?}", known.name);
    }
    // A place of the time or of an id may be written in two ways; the signature itself is what counts.
    if !is_right && !provider.signatures.is_empty() && provider.tokens.is_empty() {
        assert!(!is_let_in, "{}: {headers:?}", known.name);
    }
});
