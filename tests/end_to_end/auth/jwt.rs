//! Access tokens, made by PyJWT.

use super::*;
use crate::support::python;
use axum::Router;
use axum::routing::get;
use serde_json::Value;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

/// Two sets of keys, and tokens by their names.
async fn tokens() -> Option<Value> {
    const MAKE: &str = r#"
import base64, hashlib, hmac, json, time
import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

def public(algorithm, key, kid):
    jwk = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
    return {**jwk, "kid": kid, "use": "sig"}

rsa1 = rsa.generate_private_key(65537, 2048)
rsa2 = rsa.generate_private_key(65537, 2048)
ec1 = ec.generate_private_key(ec.SECP256R1())
ec2 = ec.generate_private_key(ec.SECP384R1())
ed1 = ed25519.Ed25519PrivateKey.generate()
now = int(time.time())
good = {"iss": "https://issuer", "aud": "hookbus", "exp": now + 300, "sub": "vapi"}

def token(key=rsa1, algorithm="RS256", kid="rsa1", **claims):
    payload = {k: v for k, v in {**good, **claims}.items() if v is not None}
    return jwt.encode(payload, key, algorithm=algorithm, headers={"kid": kid} if kid else None)

def raw(head, secret):
    part = lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")
    signed = part(head) + b"." + part(good)
    signature = hmac.new(secret, signed, hashlib.sha256).digest() if secret else b""
    return (signed + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()

of_rsa = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]
by_algorithm = {**{name: token(rsa1, name) for name in of_rsa}, "ES256": token(ec1, "ES256", "ec1"), "ES384": token(ec2, "ES384", "ec2"), "EdDSA": token(ed1, "EdDSA", "ed1")}

pem = rsa1.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
whole = token()
print(json.dumps({
    "first": {"keys": [{"kty": "unheard-of", "kid": "x"}, public("RS256", rsa1, "rsa1"), public("ES256", ec1, "ec1")]},
    "second": {"keys": [public("RS256", rsa2, "rsa2")]},
    "good": {"rsa": whole, "ec": token(ec1, "ES256", "ec1"), "nameless": token(kid=None), "several audiences": token(aud=["other", "hookbus"])},
    "later": token(rsa2, kid="rsa2"),
    "all": {"keys": [public("RS256", rsa1, "rsa1"), public("ES256", ec1, "ec1"), public("ES384", ec2, "ec2"), public("EdDSA", ed1, "ed1")]},
    "by algorithm": by_algorithm,
    "bad": {
        "wrong-secret": [
            token(rsa2, kid="rsa1"), token(ed1, "EdDSA", "ed1"), token(rsa1, "RS512"), token(rsa1, "PS256"),
            raw({"alg": "HS256", "kid": "rsa1"}, pem),
            raw({"alg": "HS256", "kid": "rsa1"}, b""), token(ec1, "ES256", "rsa1"),
            whole.rsplit(".", 1)[0] + ".", whole[:-8] + ("A" * 8),
            token().split(".")[0] + "." + token(sub="other").split(".")[1] + "." + token().split(".")[2],
        ],
        "too-old": [token(exp=now - 60)],
        "from-future": [token(nbf=now + 120)],
        "claims": [token(aud="other"), token(iss="https://somebody"), token(exp=None), token(aud=None), token(iss=None), token(exp="soon")],
        "malformed": ["", "x", "a.b.c", raw({"alg": "none", "kid": "rsa1"}, None), whole + "." + whole, "a" * 20000, token(sub="a" * 16000)],
    },
}))
"#;
    let output = python::code(MAKE, &[], b"").await?;
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    Some(serde_json::from_str(&output.stdout).unwrap())
}

/// What a server of keys says: a text, or nothing but a 500.
type Said = Arc<Mutex<Option<String>>>;

/// A server of keys, and how often it was asked.
async fn server(said: Said) -> (String, Arc<Mutex<usize>>) {
    let asked: Arc<Mutex<usize>> = Arc::default();
    let count = asked.clone();
    let answer = move || async move {
        *count.lock().unwrap() += 1;
        said.lock().unwrap().clone().ok_or(http::StatusCode::INTERNAL_SERVER_ERROR)
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/jwks", listener.local_addr().unwrap());
    tokio::spawn(async move {
        axum::serve(listener, Router::new().route("/jwks", get(answer))).await.unwrap();
    });
    (url, asked)
}

fn auth(jwks: &str) -> String {
    format!(
        "kind = \"jwt\"\nissuer = \"https://issuer\"\naudience = \"hookbus\"\njwks = \"{jwks}\""
    )
}

#[tokio::test]
async fn tokens_for_us_by_the_right_issuer_and_no_others() {
    let Some(nats) = nats::shared().await else { return };
    let Some(tokens) = tokens().await else { return };
    stream(nats, "jwt").await;
    let said: Said = Arc::new(Mutex::new(Some(tokens["first"].to_string())));
    let (url, asked) = server(said.clone()).await;
    let bridge = Bridge::config(endpoint("jwt", "", &auth(&url))).nats(nats).start_ready().await;
    let post = async |token: &str| {
        let header = format!("Bearer {token}");
        bridge.post("/jwt", event("x"), &[("authorization", &header)]).await
    };
    for (name, token) in tokens["good"].as_object().unwrap() {
        let answer = post(token.as_str().unwrap()).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
    }
    for (reason, bad) in tokens["bad"].as_object().unwrap() {
        for (count, token) in (1..).zip(bad.as_array().unwrap()) {
            let answer = post(token.as_str().unwrap()).await;
            assert_refused(&bridge, "jwt", &answer, reason, f64::from(count)).await;
        }
    }
    // One that is good by itself counts only as what RFC 6750 calls it.
    let malformed = tokens["bad"]["malformed"].as_array().unwrap().len() as f64;
    let header = format!("Token {}", tokens["good"]["rsa"].as_str().unwrap());
    let answer = bridge.post("/jwt", event("x"), &[("authorization", &header)]).await;
    assert_refused(&bridge, "jwt", &answer, "malformed", malformed + 1.0).await;
    assert_eq!(stored(nats, "jwt").await, 4);
    // Unknown keys make nobody ask the server at will.
    let before = *asked.lock().unwrap();
    for _ in 0..20 {
        assert_eq!(post(tokens["later"].as_str().unwrap()).await.status, 401);
    }
    assert!(*asked.lock().unwrap() <= before + 1);
    let log = bridge.log();
    assert!(!log.contains("eyJ"), "no token in the log: {log}");
}

#[tokio::test]
async fn tokens_by_every_algorithm() {
    let Some(nats) = nats::shared().await else { return };
    let Some(tokens) = tokens().await else { return };
    stream(nats, "algorithms").await;
    let (url, _) = server(Arc::new(Mutex::new(Some(tokens["all"].to_string())))).await;
    let tokens = tokens["by algorithm"].as_object().unwrap();
    let names: Vec<_> = tokens.keys().collect();
    let auth = format!("{}\nalgorithms = {names:?}", auth(&url));
    let setup = Bridge::config(endpoint("algorithms", "", &auth)).nats(nats);
    let bridge = setup.start_ready().await;
    let post = async |token: &str| {
        let header = format!("Bearer {token}");
        bridge.post("/algorithms", event("x"), &[("authorization", &header)]).await.status
    };
    for (name, token) in tokens {
        let token = token.as_str().unwrap();
        assert_eq!(post(token).await, 200, "{name}");
        // The signature of somebody else.
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let other: String = signature.chars().rev().collect();
        assert_eq!(post(&format!("{signed}.{other}")).await, 401, "{name}");
    }
    assert_eq!(stored(nats, "algorithms").await, 9);
}

/// Keys change while it runs; and a server that is down takes nothing away that is known.
#[tokio::test]
async fn keys_come_and_go() {
    let Some(nats) = nats::shared().await else { return };
    let Some(tokens) = tokens().await else { return };
    stream(nats, "keys").await;
    let said: Said = Arc::default();
    let (url, _) = server(said.clone()).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jwks.json");
    std::fs::write(&file, tokens["first"].to_string()).unwrap();
    let text =
        endpoint("keys", "", &auth(&url)) + &endpoint("file", "", &auth(file.to_str().unwrap()));
    let mut bridge = Bridge::config(&text).nats(nats).start_ready().await;
    let url_of = bridge.url("");
    let client = bridge.client().clone();
    let post = async |path: &str, token: &Value| {
        let header = format!("Bearer {}", token.as_str().unwrap());
        client.post(&format!("{url_of}{path}"), event("x"), &[("authorization", &header)]).await
    };
    let good = &tokens["good"]["rsa"];
    // Nobody can tell who this is.
    let answer = post("/keys", good).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.header("retry-after").is_some());
    bridge.logs("cannot fetch the keys of tokens").await;
    *said.lock().unwrap() = Some("rubbish".to_owned());
    let wait = std::time::Duration::from_secs(30);
    *said.lock().unwrap() = Some(tokens["first"].to_string());
    crate::support::eventually("keys from the server", wait, async || {
        (post("/keys", good).await.status == 200).then_some(())
    })
    .await;
    *said.lock().unwrap() = None;
    // A key that nobody knows makes it look again, and then nobody can tell.
    crate::support::eventually("a look that fails", wait, async || {
        (post("/keys", &tokens["later"]).await.status == 503).then_some(())
    })
    .await;
    assert_eq!(post("/keys", good).await.status, 200, "they are known");
    // Also to a changed endpoint: its keys were not asked for anew.
    bridge.configure(&text.replacen("source", "max_events = 9\nsource", 1));
    assert_eq!(client.post(&bridge.admin_url("/reload"), "", &[]).await.status, 200);
    assert_eq!(post("/keys", good).await.status, 200, "they are still known");

    stream(nats, "file").await;
    assert_eq!(post("/file", good).await.status, 200);
    std::fs::write(&file, tokens["second"].to_string()).unwrap();
    crate::support::eventually("the new key of the file", wait, async || {
        (post("/file", &tokens["later"]).await.status == 200).then_some(())
    })
    .await;
    assert_eq!(post("/file", good).await.status, 401, "the old key is gone");
}
