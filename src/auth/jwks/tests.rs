//! How long keys are used, and when they are looked for again, in paused time.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::advance;

use super::*;

const MOMENT: Duration = Duration::from_millis(1);

/// A file of keys with these names.
fn write(path: &Path, names: &[&str]) {
    let key = |name| json!({"kty": "OKP", "crv": "Ed25519", "kid": name, "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    let keys: Vec<_> = names.iter().map(key).collect();
    std::fs::write(path, json!({ "keys": keys }).to_string()).unwrap();
}

async fn find(keys: &Keys, name: &str) -> Result<(), Cause> {
    keys.find(Some(name), Algorithm::EdDSA).await.map(drop)
}

/// Wait for the end of a look, and tell whether there was one.
async fn looked(keys: &Keys) -> bool {
    let running = keys.0.look.lock().running.clone();
    let Some(mut running) = running else { return false };
    running.changed().await.unwrap_err();
    true
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_taken_back_is_refused_after_five_minutes() {
    let file = tempfile::NamedTempFile::new().unwrap();
    write(file.path(), &["old", "new"]);
    let keys = Issuers::default().keys(file.path().to_str().unwrap());
    keys.refresh().await;
    write(file.path(), &["new"]);
    advance(Duration::from_secs(300)).await;
    assert_eq!((find(&keys, "old").await, looked(&keys).await), (Ok(()), false));
    advance(MOMENT).await;
    // Nobody waits for what is known.
    assert_eq!((find(&keys, "old").await, looked(&keys).await), (Ok(()), true));
    assert_eq!(find(&keys, "old").await, Err(Cause::Mismatch));
    assert_eq!(find(&keys, "new").await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_new_key_is_found_at_once_unless_somebody_just_looked() {
    let file = tempfile::NamedTempFile::new().unwrap();
    write(file.path(), &["old"]);
    let keys = Issuers::default().keys(file.path().to_str().unwrap());
    keys.refresh().await;
    write(file.path(), &["old", "new"]);
    advance(MIN_FETCH_INTERVAL - MOMENT).await;
    assert_eq!(find(&keys, "new").await, Err(Cause::Mismatch));
    advance(MOMENT).await;
    assert_eq!(find(&keys, "new").await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn keys_are_kept_while_no_others_can_be_had() {
    let file = tempfile::NamedTempFile::new().unwrap();
    write(file.path(), &["old"]);
    let keys = Issuers::default().keys(file.path().to_str().unwrap());
    keys.refresh().await;
    std::fs::write(file.path(), "no keys").unwrap();
    for _ in 0..3 {
        advance(MAX_AGE + MOMENT).await;
        assert_eq!((find(&keys, "old").await, looked(&keys).await), (Ok(()), true));
        assert_eq!(find(&keys, "new").await, Err(Cause::Undecided));
    }
}

/// The keys of a set that may have signed a token, by their names.
#[test]
fn a_key_fits_by_its_name_and_its_kind() {
    let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    let keys = [
        json!({"kid": "rsa", "kty": "RSA", "n": "AQAB", "e": "AQAB"}),
        json!({"kid": "rs256", "kty": "RSA", "n": "AQAB", "e": "AQAB", "alg": "RS256"}),
        json!({"kid": "encryption", "kty": "RSA", "n": "AQAB", "e": "AQAB", "alg": "RSA-OAEP"}),
        json!({"kid": "p256", "kty": "EC", "crv": "P-256", "x": x, "y": x}),
        json!({"kid": "p384", "kty": "EC", "crv": "P-384", "x": x, "y": x}),
        json!({"kid": "p521", "kty": "EC", "crv": "P-521", "x": x, "y": x}),
        json!({"kid": "ed25519", "kty": "OKP", "crv": "Ed25519", "x": x}),
        json!({"kid": "ed448", "kty": "OKP", "crv": "Ed448", "x": x}),
        json!({"kid": "shared", "kty": "oct", "k": x}),
        json!({"kty": "OKP", "crv": "Ed25519", "x": x}),
    ];
    let parse = |key: &serde_json::Value| serde_json::from_value::<Jwk>(key.clone()).ok();
    let keys: Vec<_> = keys.iter().filter_map(parse).collect();
    let find = |kid: Option<&str>, algorithm| {
        let set = |key: &Jwk| Set { keys: vec![key.clone()], fetched: Instant::now() };
        let found = keys.iter().filter(|key| set(key).find(kid, algorithm).len() == 1);
        found.map(|key| key.common.key_id.as_deref().unwrap_or_default()).collect::<Vec<_>>()
    };
    let rsa = ["rsa", "rs256"];
    for (algorithm, expected) in [
        (Algorithm::RS256, &rsa[..]),
        (Algorithm::RS512, &rsa[..1]),
        (Algorithm::PS256, &rsa[..1]),
        (Algorithm::ES256, &["p256"]),
        (Algorithm::ES384, &["p384"]),
        (Algorithm::EdDSA, &["ed25519", ""]),
        (Algorithm::HS256, &[]),
    ] {
        assert_eq!(find(None, algorithm), expected, "{algorithm:?}");
        for name in ["rsa", "rs256", "p256", "p384", "ed25519", "shared", "other"] {
            let named = Some(name).filter(|name| expected.contains(name));
            assert_eq!(find(Some(name), algorithm), Vec::from_iter(named), "{name} {algorithm:?}");
        }
    }
}

#[tokio::test]
async fn a_file_is_read_up_to_the_largest_set() {
    let file = tempfile::NamedTempFile::new().unwrap();
    write(file.path(), &["a"]);
    let fetch = async || Inner::new(file.path().to_str().unwrap()).fetch().await;
    let fill = |bytes: usize| {
        let mut text = std::fs::read(file.path()).unwrap();
        text.resize(bytes, b' ');
        std::fs::write(file.path(), text).unwrap();
    };
    fill(MAX_BYTES);
    assert_eq!(fetch().await.unwrap().len(), 1);
    fill(MAX_BYTES + 1);
    assert_eq!(fetch().await.unwrap_err(), format!("larger than {MAX_BYTES} bytes"));
}

#[tokio::test]
async fn keys_that_sign_nothing_are_none() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let fetch = async |purpose: Option<&str>| {
        let key = json!({"kty": "RSA", "n": "AQAB", "e": "AQAB", "use": purpose});
        let others =
            [json!({"kty": "oct", "k": "AQAB"}), json!({"kty": "RSA"}), json!({}), json!(1)];
        let keys: Vec<_> = others.into_iter().chain([key]).collect();
        std::fs::write(file.path(), json!({ "keys": keys }).to_string()).unwrap();
        Inner::new(file.path().to_str().unwrap()).fetch().await.map(|keys| keys.len())
    };
    assert_eq!(fetch(None).await, Ok(1));
    assert_eq!(fetch(Some("sig")).await, Ok(1));
    assert_eq!(fetch(Some("enc")).await.unwrap_err(), "there is no key for signatures in it");
}

/// A server that never ends would fill the memory.
#[tokio::test]
async fn no_more_is_read_than_a_set_may_have() {
    // As the process does at its start.
    let _ = rustls::crypto::ring::default_provider().install_default();
    for (length, is_read) in [(MAX_BYTES, true), (MAX_BYTES + 1, false), (2 * MAX_BYTES, false)] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 1_024];
            assert!(stream.read(&mut head).await.unwrap() > 0);
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
            // The other side may hang up halfway.
            let _ = stream.write_all(&[head.as_bytes(), &vec![b' '; length]].concat()).await;
        });
        let read = download(url.parse().unwrap()).await;
        assert_eq!(read.map(|bytes| bytes.len()).ok(), is_read.then_some(length), "{length}");
        server.await.unwrap();
    }
}
