//! What an event of each kind of provider costs beside one of Vapi's of the same size: `cargo bench --bench providers`,
//! of all of them or of those whose names follow behind `--`.
//!
//! Each is a whole walk, from the head of a request to its reply, to a sink that stores at once. A signature costs what
//! its algorithm costs; that is measured by itself and taken off before the comparison.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a bench that meets an error should fail")]

#[path = "walk/parts.rs"]
mod parts;
#[path = "walk/stopwatch.rs"]
mod stopwatch;

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::time::SystemTime;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use hookbus::auth::Signer;
use hookbus::config::Endpoint;
use hookbus::config::piece::Piece;
use hookbus::message::Client;
use hookbus::places::{Form, sorted};
use hookbus::settings;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method};
use http_body_util::Full;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};

use self::parts::parts;
use self::stopwatch::time;

/// Sizes of bodies, in bytes.
const SIZES: [usize; 2] = [3_000, 80_000];
const URL: &str = "https://hooks.example.com/x";

/// Vapi's, which all others are held against: a secret in a header.
const VAPI: &str = "source = \"vapi\"\n[[endpoint.auth]]\nkind = \"secret\"\nheader = \"x-vapi-secret\"\nsecrets = [\"a-secret\"]";

/// A provider, and what its events look like.
struct Case {
    name: &'static str,
    /// The rest of the endpoint, and what stands before it.
    endpoint: &'static str,
    described: &'static str,
    secret: &'static str,
    headers: &'static [(&'static str, &'static str)],
    is_form: bool,
    /// Nobody answers: it is held against a question of Vapi's.
    asks: bool,
    mac: Mac,
}

/// What a signature costs.
#[derive(Clone, Copy)]
enum Mac {
    Sha256,
    Sha1OfForm,
}

const CASES: &[Case] = &[
    Case {
        name: "github",
        endpoint: "source = \"github\"\ntrust_unsigned = [\"x-github-event\", \"x-github-delivery\"]",
        described: "",
        secret: "a-secret",
        headers: &[("x-github-event", "push"), ("x-github-delivery", "72d3162e")],
        is_form: false,
        asks: false,
        mac: Mac::Sha256,
    },
    Case {
        name: "stripe",
        endpoint: "source = \"stripe\"",
        described: "",
        secret: "whsec_secret",
        headers: &[],
        is_form: false,
        asks: false,
        mac: Mac::Sha256,
    },
    Case {
        name: "standard-webhooks",
        endpoint: "source = \"standard-webhooks\"",
        described: "",
        secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        headers: &[],
        is_form: false,
        asks: false,
        mac: Mac::Sha256,
    },
    Case {
        name: "slack form",
        endpoint: "source = \"slack\"",
        described: "",
        secret: "a-secret",
        headers: &[],
        is_form: true,
        asks: true,
        mac: Mac::Sha256,
    },
    Case {
        name: "form event",
        endpoint: "source = \"form\"",
        described: "[provider.form]\nevent_prefix = \"com.example\"\nbody = \"form\"\ntype = \"{form:command}\"\nid = \"{form:trigger_id}\"\nkey = \"{form:team_id}\"\n[[provider.form.signature]]\nheaders = [\"x-signature\"]\n",
        secret: "a-secret",
        headers: &[],
        is_form: true,
        asks: false,
        mac: Mac::Sha256,
    },
    Case {
        name: "twilio",
        endpoint: "source = \"twilio\"\npublic_url = \"https://hooks.example.com/x\"",
        described: "",
        secret: "a-secret",
        headers: &[],
        is_form: true,
        asks: true,
        mac: Mac::Sha1OfForm,
    },
    Case {
        name: "four pointers",
        endpoint: "source = \"four\"",
        described: "[provider.four]\nevent_prefix = \"com.example\"\ntype = \"{/type}.{/data/status}\"\nid = \"{/id}\"\nkey = \"{/data/object/id}\"\n[[provider.four.signature]]\nheaders = [\"x-signature\"]\n",
        secret: "a-secret",
        headers: &[],
        is_form: false,
        asks: false,
        mac: Mac::Sha256,
    },
];

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    println!("{:20} {:>8} {:>10} {:>10} {:>8}", "", "bytes", "walk, ns", "mac, ns", "ratio");
    for size in SIZES {
        let body = json(size);
        let (bridge, endpoint) = runtime.block_on(async { parts(&config("", VAPI), false) });
        let head = head(&[("x-vapi-secret", "a-secret")], false);
        let of_vapi = |body: &Bytes| {
            time(&mut || {
                let mut body = Full::new(black_box(body.clone()));
                assert!(
                    runtime
                        .block_on(bridge.walk(
                            &endpoint,
                            &head,
                            &Client::new(Ipv4Addr::LOCALHOST),
                            &mut body
                        ))
                        .id
                        .is_some()
                );
            })
        };
        let vapi = of_vapi(&body);
        println!("{:20} {size:8} {vapi:10.0} {:>10} {:>8}", "vapi", "-", "1.00");
        let question = String::from_utf8_lossy(&body).replace("status-update", "assistant-request");
        let question = of_vapi(&question.into());
        println!("{:20} {size:8} {question:10.0} {:>10} {:>8}", "vapi asks", "-", "1.00");
        for case in CASES.iter().filter(|case| is_wanted(case.name)) {
            let body = if case.is_form { form(size) } else { body.clone() };
            let auth = format!("kind = \"signature\"\nsecrets = [\"{}\"]", case.secret);
            let text =
                config(case.described, &format!("{}\n[[endpoint.auth]]\n{auth}", case.endpoint));
            let (bridge, endpoint) = runtime.block_on(async { parts(&text, false) });
            let settings = settings::parse("bench", &text, |_| None).config.unwrap();
            let head = signed(&settings.endpoints[0], case, &body);
            let walk = time(&mut || {
                let mut body = Full::new(black_box(body.clone()));
                let done = runtime.block_on(bridge.walk(
                    &endpoint,
                    &head,
                    &Client::new(Ipv4Addr::LOCALHOST),
                    &mut body,
                ));
                // Nobody answers where it is a question.
                assert!(done.id.is_some(), "{}", case.name);
            });
            let mac = mac(case.mac, &body);
            let ratio = (walk - mac) / if case.asks { question } else { vapi };
            println!("{:20} {size:8} {walk:10.0} {mac:10.0} {ratio:8.2}", case.name);
        }
        if !is_wanted("public keys") {
            continue;
        }
        for (name, walk) in public(&runtime, &body) {
            println!("{name:20} {size:8} {walk:10.0} {:>10} {:8.2}", "-", walk / vapi);
        }
    }
}

/// Whether this is one of those that were asked for.
fn is_wanted(name: &str) -> bool {
    let mut names = std::env::args().skip(1).filter(|name| !name.starts_with('-')).peekable();
    names.peek().is_none() || names.any(|wanted| wanted == name)
}

/// Walks whose signatures are made with a private key.
fn public(runtime: &tokio::runtime::Runtime, body: &Bytes) -> [(&'static str, f64); 2] {
    let random = SystemRandom::new();
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
    let ed25519 = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
    let ecdsa =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref(), &random).unwrap();
    let signatures = [
        (
            "ed25519",
            "ed25519",
            HEXLOWER.encode(ed25519.public_key().as_ref()),
            HEXLOWER.encode(ed25519.sign(body).as_ref()),
        ),
        (
            "ecdsa",
            "ecdsa-p256-sha256",
            HEXLOWER.encode(ecdsa.public_key().as_ref()),
            HEXLOWER.encode(ecdsa.sign(&random, body).unwrap().as_ref()),
        ),
    ];
    signatures.map(|(name, algorithm, key, signature)| {
        let described = format!("[provider.public]\nevent_prefix = \"com.example\"\ntype = \"{{/type}}\"\n[[provider.public.signature]]\nheaders = [\"x-signature\"]\nalgorithm = \"{algorithm}\"\nkey = \"hex\"\n");
        let endpoint = format!("source = \"public\"\n[[endpoint.auth]]\nkind = \"signature\"\nsecrets = [\"{key}\"]");
        let (bridge, endpoint) = runtime.block_on(async { parts(&config(&described, &endpoint), false) });
        let head = head(&[("x-signature", &signature)], false);
        let walk = time(&mut || {
            let mut body = Full::new(black_box(body.clone()));
            assert!(runtime.block_on(bridge.walk(&endpoint, &head, &Client::new(Ipv4Addr::LOCALHOST), &mut body)).reply.is_ok());
        });
        (name, walk)
    })
}

fn config(before: &str, endpoint: &str) -> String {
    format!("[nats]\n{before}\n[[endpoint]]\nname = \"x\"\npath = \"/x\"\n{endpoint}\n")
}

/// A body that all of them read: as an event of Vapi's, and by its members.
fn json(size: usize) -> Bytes {
    let text = |filling: &str| {
        format!(
            r#"{{"id":"evt_1","type":"order","event":"order","data":{{"status":"paid","object":{{"id":"o-1"}}}},"message":{{"type":"status-update","call":{{"id":"c-1"}},"list":[{filling}]}}}}"#
        )
    };
    let item = r#"{"role":"user","text":"Where is my order? It should have come last week.","at":1700000000.5}"#;
    let count = (size - text("").len()) / (item.len() + 1);
    text(&vec![item; count].join(",")).into()
}

/// The same as a form.
fn form(size: usize) -> Bytes {
    let begin = "command=%2Forder&team_id=T1&trigger_id=1.2&CallSid=CA1&CallStatus=ringing&From=%2B15550100";
    let fields = (0..).map(|number| {
        format!("&Field{number}=Where+is+my+order%3F+It+should+have+come+last+week+or+before+that")
    });
    let mut form = begin.to_owned();
    for field in fields.take(900) {
        if form.len() + field.len() > size {
            break;
        }
        form.push_str(&field);
    }
    form.push_str("&Rest=");
    form.push_str(&"x".repeat(size.saturating_sub(form.len())));
    form.into()
}

fn head(headers: &[(&str, &str)], is_form: bool) -> Parts {
    let kind = if is_form { "application/x-www-form-urlencoded" } else { "application/json" };
    let mut request = http::Request::post("/x").header("host", "hooks.example.com");
    request = request.header("content-type", kind);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

/// A request as the provider signs it.
fn signed(endpoint: &Endpoint, case: &Case, body: &Bytes) -> Parts {
    let mut head = head(case.headers, case.is_form);
    let signer = Signer::new(endpoint, &endpoint.auth[0]).unwrap();
    for (at, text) in signer.sign(&Method::POST, URL, body, SystemTime::now()).unwrap() {
        let Piece::Header(name) = at else { panic!("{at}") };
        let name: HeaderName = name.parse().unwrap();
        head.headers.insert(name, HeaderValue::from_str(text.expose()).unwrap());
    }
    head
}

/// What the signature costs by itself, in nanoseconds.
fn mac(mac: Mac, body: &Bytes) -> f64 {
    match mac {
        Mac::Sha256 => {
            let key = hmac::Key::new(hmac::HMAC_SHA256, b"a-secret");
            time(&mut || {
                black_box(hmac::sign(&key, black_box(body)));
            })
        }
        // Of the two schemes the first fits.
        Mac::Sha1OfForm => {
            let mut form = Form::of(body).unwrap();
            let signed = [URL.as_bytes(), &sorted(&mut form)].concat();
            let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, b"a-secret");
            time(&mut || {
                black_box(hmac::sign(&key, black_box(&signed)));
            })
        }
    }
}
