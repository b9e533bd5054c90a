//! How long keys are used, and when they are looked for again, in paused time.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use serde_json::json;
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
    advance(PAUSE - MOMENT).await;
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
        advance(OLD + MOMENT).await;
        assert_eq!((find(&keys, "old").await, looked(&keys).await), (Ok(()), true));
        assert_eq!(find(&keys, "new").await, Err(Cause::Undecided));
    }
}
