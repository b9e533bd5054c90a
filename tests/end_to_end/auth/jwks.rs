//! How often a server of keys is asked, whatever strangers do: once in ten seconds, counted from the beginning.

use super::*;
use crate::support::eventually;
use data_encoding::BASE64URL_NOPAD;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

/// The least time between two questions to the server, as `src/auth/jwks.rs` has it.
const PAUSE: Duration = Duration::from_secs(10);

/// How long a stranger waits: enough for a question to the server to begin, and not for its answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// A server of keys that answers after so long, and how often it was asked. It goes on counting when it is left.
async fn server(answers_after: Duration) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/jwks", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let count = count.clone();
            tokio::spawn(async move {
                let mut head = [0; 1024];
                if !matches!(stream.read(&mut head).await, Ok(1..)) {
                    return;
                }
                count.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(answers_after).await;
                let body = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"known","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
                );
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    (url, asked)
}

fn auth(jwks: &str) -> String {
    format!(
        "kind = \"jwt\"\nissuer = \"https://issuer\"\naudience = \"hookbus\"\nalgorithms = [\"EdDSA\"]\njwks = \"{jwks}\""
    )
}

/// A token of a key that nobody has.
fn stranger(number: usize) -> String {
    let head = json!({"alg": "EdDSA", "kid": format!("nobody-{number}")}).to_string();
    let part = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
    format!("{}.{}.{}", part(&head), part("{}"), part(&"x".repeat(64)))
}

/// Posts with an unknown key, and hangs up before the server of keys has answered.
async fn hang_up(address: &str, name: &str, number: usize) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "POST /{name} HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {}\r\ncontent-length: 2\r\n\r\n{{}}",
        stranger(number)
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = [0; 1024];
    let _ = timeout(PATIENCE, stream.read(&mut answer)).await;
}

/// Strangers hang up all the time, from the first look on until the second one is over, and the third isn't due.
async fn is_asked_twice(name: &str, answers_after: Duration) {
    let (url, asked) = server(answers_after).await;
    let bridge = Bridge::config(endpoint(name, "", &auth(&url)))
        .text("[nats]\nservers = [\"nats://127.0.0.1:1\"]")
        .start()
        .await;
    eventually("the first look", Duration::from_secs(10), async || {
        (asked.load(Ordering::SeqCst) == 1).then_some(())
    })
    .await;
    let began = Instant::now();
    let mut strangers = 0;
    let mut come = async || {
        hang_up(&bridge.address(), name, strangers).await;
        strangers += 1;
    };
    while asked.load(Ordering::SeqCst) == 1 {
        come().await;
        assert!(began.elapsed() < PAUSE + Duration::from_secs(10), "a new key is never looked for");
    }
    let second = Instant::now();
    assert!(began.elapsed() > PAUSE - Duration::from_secs(1), "after {:?}", began.elapsed());
    while second.elapsed() < PAUSE / 2 {
        come().await;
    }
    let count = asked.load(Ordering::SeqCst);
    assert_eq!(count, 2, "{strangers} strangers who hung up made it ask {count} times");
}

#[tokio::test]
async fn a_slow_server_is_not_asked_at_will() {
    is_asked_twice("jwks-slow", Duration::from_secs(2)).await;
}

#[tokio::test]
async fn a_server_that_hangs_is_not_asked_at_will() {
    is_asked_twice("jwks-hangs", Duration::from_secs(3600)).await;
}

/// Several endpoints with tokens of the same issuer are one who asks.
#[tokio::test]
async fn endpoints_share_the_keys_of_a_server() {
    let (url, asked) = server(Duration::ZERO).await;
    let names = ["jwks-a", "jwks-b", "jwks-c"];
    let text: String = names.map(|name| endpoint(name, "", &auth(&url))).concat();
    let bridge =
        Bridge::config(&text).text("[nats]\nservers = [\"nats://127.0.0.1:1\"]").start().await;
    for name in names {
        let header = format!("Bearer {}", stranger(0));
        let path = format!("/{name}");
        let answer = bridge.post(&path, event("x"), &[("authorization", &header)]).await;
        assert_refused(&bridge, name, &answer, "wrong-secret", 1.0).await;
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}
