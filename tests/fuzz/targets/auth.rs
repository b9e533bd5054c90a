//! Any headers over any body: let in exactly when the secret, the password or the signature is right, as another library
//! computes it, by a token that is ours and by no other, and from the networks that may post, whatever proxies say.

#![no_main]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, LazyLock};
use std::time::{SystemTime, UNIX_EPOCH};

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER, HEXLOWER_PERMISSIVE};
use hmac::{Hmac, Mac};
use hookbus::auth::{Auth, Issuers};
use hookbus::message::Client;
use hookbus::settings;
use http::{HeaderName, HeaderValue, Request};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use sha2::{Sha256, Sha512};
use tokio::runtime::Runtime;

const SECRETS: [&str; 2] = ["open sesame", "the next one"];
const TOLERANCE: u64 = 300;
/// Nearer than this to the end of the tolerance a second may go by between our look at the clock and theirs.
const DOUBT: u64 = 10;
const SEED: [u8; 32] = [7; 32];

const CONFIG: &str = r#"
[nats]
servers = ["127.0.0.1:4222"]

[[endpoint]]
name = "secret"
path = "/secret"
source = "vapi"
auth = [{ kind = "secret", header = "x-secret", prefix = "Bearer ", secrets = ["open sesame", "the next one"] }]

[[endpoint]]
name = "basic"
path = "/basic"
source = "vapi"
auth = [{ kind = "basic", user = "vapi", passwords = ["open sesame", "the next one"] }]

[[endpoint]]
name = "plain"
path = "/plain"
source = "vapi"
auth = [{ kind = "hmac", secrets = ["open sesame", "the next one"], algorithm = "sha512", include_timestamp = false }]

[[endpoint]]
name = "timed"
path = "/timed"
source = "vapi"
auth = [{ kind = "hmac", secrets = ["open sesame", "the next one"], payload_format = "v1:{timestamp}.{svix-id}.{body}", signature_prefix = "v1=", signature_encoding = "base64" }]

[[endpoint]]
name = "token"
path = "/token"
source = "vapi"
auth = [{ kind = "jwt", issuer = "https://issuer.example", audience = "hookbus", jwks = "JWKS", algorithms = ["EdDSA", "ES256"] }]

[[endpoint]]
name = "network"
path = "/network"
source = "vapi"
allow_from = ["10.0.0.0/8", "2001:db8::/32"]
auth = [{ kind = "none" }]
"#;

/// The proxies that are trusted.
const PROXIES: &str = "192.0.2.0/24";

const NAMES: [&str; 7] = [
    "x-secret",
    "authorization",
    "x-signature",
    "x-timestamp",
    "svix-id",
    "host",
    "x-forwarded-for",
];

#[derive(Arbitrary, Debug, Clone, Copy, PartialEq)]
enum Kind {
    Secret,
    Basic,
    Plain,
    Timed,
    Token,
    Network,
}

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    kind: Kind,
    peer: Hop,
    /// What is right, or nearly so, stands before all others.
    base: Option<Base>,
    headers: Vec<(u8, Given<'a>)>,
    body: &'a [u8],
}

/// The headers that a sender of this kind has.
#[derive(Arbitrary, Debug, Clone, Copy)]
struct Base {
    second: bool,
    flip: Option<u16>,
    offset: i16,
    milliseconds: bool,
}

impl Base {
    fn headers(self, kind: Kind) -> Vec<(&'static str, Given<'static>)> {
        let Self { second, flip, offset, milliseconds } = self;
        let offset = offset % 1_000;
        match kind {
            Kind::Secret => vec![("x-secret", Given::Secret { second })],
            Kind::Basic => vec![("authorization", Given::Password { second })],
            Kind::Plain => vec![("x-signature", Given::Signature { second, flip })],
            Kind::Timed => vec![
                ("x-timestamp", Given::Time { offset, milliseconds }),
                ("svix-id", Given::Bytes(b"1")),
                ("x-signature", Given::Signature { second, flip }),
            ],
            Kind::Token => {
                vec![("authorization", Given::GoodToken { exp: (offset / 8) as i8, flip })]
            }
            Kind::Network => Vec::new(),
        }
    }
}

/// One of those who had a request in their hands.
#[derive(Arbitrary, Debug, Clone, Copy)]
enum Hop {
    Proxy(u8),
    Allowed(u8),
    AllowedV6(u16),
    Other([u8; 4]),
    OtherV6([u16; 8]),
    /// An IPv4 address as a socket for both versions has it.
    Mapped([u8; 4]),
}

impl Hop {
    fn address(self) -> IpAddr {
        match self {
            Self::Proxy(last) => [192, 0, 2, last].into(),
            Self::Allowed(last) => [10, 1, 2, last].into(),
            Self::AllowedV6(last) => [0x2001, 0xdb8, 0, 0, 0, 0, 0, last].into(),
            Self::Other(address) => address.into(),
            Self::OtherV6(address) => address.into(),
            Self::Mapped(address) => Ipv4Addr::from(address).to_ipv6_mapped().into(),
        }
    }
}

/// What a header holds: anything, or something that is nearly right.
#[derive(Arbitrary, Debug, Clone, Copy)]
enum Given<'a> {
    Bytes(&'a [u8]),
    Secret { second: bool },
    Password { second: bool },
    Signature { second: bool, flip: Option<u16> },
    Time { offset: i16, milliseconds: bool },
    Token { head: &'a str, claims: &'a str, signed: bool },
    GoodToken { exp: i8, flip: Option<u16> },
    Hops { hops: [Hop; 3], count: u8, port: Option<u16> },
}

struct State {
    runtime: Runtime,
    kinds: Vec<Arc<Auth>>,
}

static STATE: LazyLock<State> = LazyLock::new(|| {
    let pair = Ed25519KeyPair::from_seed_unchecked(&SEED).expect("a key");
    let x = BASE64URL_NOPAD.encode(pair.public_key().as_ref());
    let keys = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "1", "x": x}]});
    let file = std::env::temp_dir().join(format!("hookbus-fuzz-{}.json", std::process::id()));
    std::fs::write(&file, keys.to_string()).expect("a file for the keys");
    let text = CONFIG.replace("JWKS", &file.display().to_string());
    let loaded = settings::parse("hookbus.toml", &text, |_| None);
    let config = loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.problems));
    let runtime = Runtime::new().expect("a runtime");
    let kinds = config
        .endpoints
        .iter()
        .map(|endpoint| Auth::new(endpoint, &[PROXIES.to_owned()], &Issuers::default()))
        .map(Arc::new);
    let kinds: Vec<_> = kinds.collect();
    for auth in &kinds {
        runtime.block_on(auth.prepare());
    }
    let _ = std::fs::remove_file(&file);
    State { runtime, kinds }
});

fuzz_target!(|input: Input<'_>| {
    let headers = headers(&input);
    let mut builder = Request::post("/hook");
    for (name, value) in &headers {
        builder = builder.header(name, value);
    }
    let peer = input.peer.address();
    let Ok(request) = builder.body(()) else { return };
    let (head, ()) = request.into_parts();
    let Some(expected) = expected(input.kind, peer, &headers, input.body) else { return };
    let auth = &STATE.kinds[input.kind as usize];
    let is_accepted = STATE.runtime.block_on(async {
        match auth.head(&head, &Client::new(peer)).await {
            Ok(pending) => pending.body(input.body, &mut None).is_ok(),
            Err(_) => false,
        }
    });
    if input.kind == Kind::Token {
        assert!(expected || !is_accepted, "a token that isn't ours: {headers:?}");
        assert!(is_accepted || !is_good(&input), "a token that is ours: {headers:?}");
    } else {
        assert_eq!(is_accepted, expected, "{peer} {headers:?}");
    }
});

/// Whether there is one token, as its issuer makes it, that lives a while.
fn is_good(input: &Input<'_>) -> bool {
    let base = input.base.map(|base| base.headers(input.kind)).unwrap_or_default();
    let is_token = |given: &Given<'_>| matches!(given, Given::GoodToken { exp, flip: None } if i64::from(*exp) * 10 > DOUBT as i64);
    let is_authorization = |number: u8| NAMES[usize::from(number) % NAMES.len()] == "authorization";
    matches!(&base[..], [(_, given)] if is_token(given))
        && !input.headers.iter().any(|(number, _)| is_authorization(*number))
}

type Headers = Vec<(HeaderName, HeaderValue)>;

/// Two passes, since a signature covers what stands in other headers.
fn headers(input: &Input<'_>) -> Headers {
    let mut all = input.base.map(|base| base.headers(input.kind)).unwrap_or_default();
    let name = |number: u8| NAMES[usize::from(number) % NAMES.len()];
    all.extend(input.headers.iter().map(|(number, given)| (name(*number), *given)));
    let mut headers = Headers::new();
    for is_signature in [false, true] {
        for (name, given) in &all {
            if matches!(given, Given::Signature { .. }) != is_signature {
                continue;
            }
            let value = value(input, &headers, given);
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                headers.push((HeaderName::from_static(name), value));
            }
        }
    }
    headers
}

fn value(input: &Input<'_>, headers: &Headers, given: &Given<'_>) -> Vec<u8> {
    let secret = |second: &bool| SECRETS[usize::from(*second)];
    match given {
        Given::Bytes(bytes) => bytes.to_vec(),
        Given::Secret { second } => format!("Bearer {}", secret(second)).into_bytes(),
        Given::Password { second } => {
            let pair = BASE64.encode(format!("vapi:{}", secret(second)).as_bytes());
            format!("Basic {pair}").into_bytes()
        }
        Given::Signature { second, flip } => {
            let mut signature = sign(input.kind, secret(second), headers, input.body);
            self::flip(&mut signature, *flip);
            match input.kind {
                Kind::Timed => format!("v1={}", BASE64.encode(&signature)).into_bytes(),
                _ => HEXLOWER.encode(&signature).into_bytes(),
            }
        }
        Given::Time { offset, milliseconds } => {
            let seconds = now().saturating_add_signed((*offset).into());
            let scale = if *milliseconds { 1_000 } else { 1 };
            (seconds * scale).to_string().into_bytes()
        }
        Given::Token { head, claims, signed } => token(head, claims, *signed, None),
        Given::GoodToken { exp, flip } => {
            let exp = now().saturating_add_signed(i64::from(*exp) * 10);
            let claims = json!({"iss": "https://issuer.example", "aud": "hookbus", "exp": exp});
            token(r#"{"alg":"EdDSA","kid":"1"}"#, &claims.to_string(), true, *flip)
        }
        Given::Hops { hops, count, port } => {
            let count = usize::from(*count) % 4;
            let hops = hops[..count].iter().map(|hop| match (hop.address(), port) {
                (address, Some(port)) => SocketAddr::new(address, *port).to_string(),
                (address, None) => address.to_string(),
            });
            hops.collect::<Vec<_>>().join(", ").into_bytes()
        }
    }
}

fn token(head: &str, claims: &str, signed: bool, flip: Option<u16>) -> Vec<u8> {
    let [head, claims] = [head, claims].map(|part| BASE64URL_NOPAD.encode(part.as_bytes()));
    let message = format!("{head}.{claims}");
    let pair = Ed25519KeyPair::from_seed_unchecked(&SEED).expect("a key");
    let mut signature = pair.sign(message.as_bytes()).as_ref().to_vec();
    if !signed {
        signature.reverse();
    }
    self::flip(&mut signature, flip);
    format!("Bearer {message}.{}", BASE64URL_NOPAD.encode(&signature)).into_bytes()
}

fn flip(bytes: &mut [u8], bit: Option<u16>) {
    if let Some(bit) = bit.map(usize::from) {
        let at = bit / 8 % bytes.len();
        bytes[at] ^= 1 << (bit % 8);
    }
}

fn sign(kind: Kind, secret: &str, headers: &Headers, body: &[u8]) -> Vec<u8> {
    let first = |name: &str| {
        let found = headers.iter().find(|(other, _)| other == name);
        found.map_or(&b""[..], |(_, value)| value.as_bytes())
    };
    if kind == Kind::Timed {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key");
        for part in [b"v1:", first("x-timestamp"), b".", first("svix-id"), b".", body] {
            mac.update(part);
        }
        mac.finalize().into_bytes().to_vec()
    } else {
        let mut mac = Hmac::<Sha512>::new_from_slice(secret.as_bytes()).expect("any key");
        mac.update(body);
        mac.finalize().into_bytes().to_vec()
    }
}

/// Whether these headers are to be let in; nothing where the clock is too near to the limit to tell.
fn expected(kind: Kind, peer: IpAddr, headers: &Headers, body: &[u8]) -> Option<bool> {
    let only = |name: &str| {
        let mut found = headers.iter().filter(|(other, _)| other == name);
        let first = found.next()?;
        found.next().is_none().then(|| first.1.as_bytes())
    };
    Some(match kind {
        Kind::Secret => only("x-secret").is_some_and(|value| {
            SECRETS.iter().any(|secret| value == format!("Bearer {secret}").as_bytes())
        }),
        Kind::Basic => only("authorization").is_some_and(|value| {
            let pairs = SECRETS.map(|secret| BASE64.encode(format!("vapi:{secret}").as_bytes()));
            pairs.iter().any(|pair| value == format!("Basic {pair}").as_bytes())
        }),
        Kind::Plain | Kind::Timed => {
            let signature = only("x-signature").and_then(|value| match kind {
                Kind::Timed => BASE64.decode(value.strip_prefix(b"v1=")?).ok(),
                _ => HEXLOWER_PERMISSIVE.decode(value).ok(),
            });
            let is_signed = signature.is_some_and(|signature| {
                SECRETS.iter().any(|secret| sign(kind, secret, headers, body) == signature)
            });
            // Where the id is signed it can be read, and there aren't two; elsewhere it isn't looked at.
            let is_visible =
                |value: &[u8]| value.iter().all(|byte| matches!(byte, b'\t' | 32..=126));
            let has_id = only("svix-id").is_some_and(is_visible);
            match kind {
                Kind::Timed => is_signed && has_id && is_near(only("x-timestamp"))?,
                _ => is_signed,
            }
        }
        Kind::Token => only("authorization").is_some_and(is_ours),
        Kind::Network => may_post(peer, headers),
    })
}

/// Whether the one who handed a request to the first trusted proxy, or to us, is in a network that may post.
fn may_post(peer: IpAddr, headers: &Headers) -> bool {
    let mut hops = vec![Some(peer)];
    let lines = headers.iter().filter(|(name, _)| name == "x-forwarded-for");
    for (_, line) in lines.rev() {
        let Ok(line) = line.to_str() else {
            hops.push(None);
            break;
        };
        hops.extend(line.split(',').rev().map(|hop| {
            let hop = hop.trim();
            hop.parse().or(hop.parse().map(|socket: SocketAddr| socket.ip())).ok()
        }));
    }
    let is_proxy = |hop: IpAddr| matches!(hop.to_canonical(), IpAddr::V4(hop) if hop.octets()[..3] == [192, 0, 2]);
    let sender = hops.iter().find(|hop| !hop.is_some_and(is_proxy)).or(hops.last());
    sender.copied().flatten().is_some_and(|sender| match sender.to_canonical() {
        IpAddr::V4(sender) => sender.octets()[0] == 10,
        IpAddr::V6(sender) => sender.segments()[..2] == [0x2001, 0xdb8],
    })
}

fn is_near(time: Option<&[u8]>) -> Option<bool> {
    let Some(text) = time.and_then(|time| std::str::from_utf8(time).ok()) else {
        return Some(false);
    };
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(false);
    }
    let Ok(number) = text.parse::<u64>() else { return Some(false) };
    let seconds = if number >= 100_000_000_000 { number / 1_000 } else { number };
    let distance = now().abs_diff(seconds);
    (distance.abs_diff(TOLERANCE) > DOUBT).then_some(distance < TOLERANCE)
}

/// Whether a token holds what it must, signed by the one key.
fn is_ours(value: &[u8]) -> bool {
    let parts = || {
        let (_, token) = std::str::from_utf8(value).ok()?.split_once(' ')?;
        let (message, signature) = token.rsplit_once('.')?;
        let (_, claims) = message.split_once('.')?;
        let claims: Value =
            serde_json::from_slice(&BASE64URL_NOPAD.decode(claims.as_bytes()).ok()?).ok()?;
        Some((message, BASE64URL_NOPAD.decode(signature.as_bytes()).ok()?, claims))
    };
    let Some((message, signature, claims)) = parts() else { return false };
    let pair = Ed25519KeyPair::from_seed_unchecked(&SEED).expect("a key");
    let holds = |value: &Value, text: &str| match value {
        Value::Array(all) => all.iter().any(|one| one == text),
        one => one == text,
    };
    // An unfinished second, and thirty that the clocks may differ.
    let lives = claims["exp"].as_f64().is_some_and(|exp| exp >= now() as f64 - 32.0);
    pair.sign(message.as_bytes()).as_ref() == signature
        && holds(&claims["iss"], "https://issuer.example")
        && holds(&claims["aud"], "hookbus")
        && lives
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
