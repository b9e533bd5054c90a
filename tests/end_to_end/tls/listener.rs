//! Versions, protocols, sessions, and handshakes that come to nothing.

use super::{EVENT, bridge, s_client};
use crate::support::certificates::Kind;
use crate::support::http::{Client, raw};
use crate::support::{Authority, Bridge, DROP, HOOK, eventually};
use http::Version;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// How every client hello begins: a record with a handshake in it, of which more is to come.
const HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

#[tokio::test]
async fn clients_get_the_best_of_what_they_speak() {
    let Some(authority) = Authority::new("test authority") else { return };
    let Some(setup) = bridge(&authority, &authority.sign("server"), "").await else { return };
    let bridge = setup.start_ready().await;
    let answer = bridge.post("/hook", EVENT, &[]).await;
    assert_eq!((answer.status, answer.version), (200, Version::HTTP_2));

    let trusted =
        reqwest::Certificate::from_pem(&std::fs::read(authority.cert()).unwrap()).unwrap();
    let client = Client::with(|builder| builder.tls_certs_only([trusted]).http1_only());
    let answer = client.post(&bridge.url("/hook"), EVENT, &[]).await;
    assert_eq!((answer.status, answer.version), (200, Version::HTTP_11));

    for (arguments, spoken) in [
        (&["-tls1_3"][..], "Protocol: TLSv1.3"),
        (&["-tls1_2"], "Protocol  : TLSv1.2"),
        (&["-alpn", "h2,http/1.1"], "ALPN protocol: h2"),
        (&["-alpn", "http/1.1"], "ALPN protocol: http/1.1"),
        (&[], "No ALPN negotiated"),
    ] {
        let output = s_client(&bridge.address(), &authority, arguments).await;
        let said = output.stdout.replace("TLSv1.3, Cipher", "Protocol: TLSv1.3, Cipher");
        assert!(said.contains(spoken), "{arguments:?}: {output:?}");
        assert!(said.contains("Verify return code: 0 (ok)"), "{output:?}");
        // Who speaks HTTP/2 isn't understood when he sends HTTP/1.1.
        if !spoken.ends_with("h2") {
            assert!(said.contains("HTTP/1.1 405"), "{arguments:?}: {output:?}");
        }
    }
}

#[tokio::test]
async fn older_versions_and_other_protocols_are_refused() {
    let Some(authority) = Authority::new("test authority") else { return };
    let Some(setup) = bridge(&authority, &authority.sign("server"), "").await else { return };
    let bridge = setup.start_ready().await;
    for (arguments, alert) in [
        (&["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"][..], " alert "),
        (&["-tls1", "-cipher", "ALL:@SECLEVEL=0"], " alert "),
        (&["-alpn", "acme-tls/1"], "alert no application protocol"),
    ] {
        let output = s_client(&bridge.address(), &authority, arguments).await;
        assert_ne!(output.code, Some(0), "{output:?}");
        assert!(output.stderr.contains(alert), "{arguments:?}: {output:?}");
    }
    assert_eq!(bridge.post("/hook", EVENT, &[]).await.status, 200);
}

#[tokio::test]
async fn keys_of_every_kind_are_read() {
    let Some(authority) = Authority::new("test authority") else { return };
    for kind in [Kind::Ecdsa, Kind::EcdsaSec1, Kind::Rsa, Kind::RsaPkcs1, Kind::Ed25519] {
        let identity = authority.sign_kind("server", kind);
        let Some(setup) = bridge(&authority, &identity, "").await else { return };
        let bridge = setup.start_ready().await;
        assert_eq!(bridge.post("/hook", EVENT, &[]).await.status, 200, "{kind:?}");
    }
}

/// With tickets, in both versions.
#[tokio::test]
async fn sessions_are_resumed() {
    let Some(authority) = Authority::new("test authority") else { return };
    let Some(setup) = bridge(&authority, &authority.sign("server"), "").await else { return };
    let bridge = setup.start_ready().await;
    for version in ["-tls1_2", "-tls1_3"] {
        let session = authority.file("session");
        let session = session.to_str().unwrap();
        let first = s_client(&bridge.address(), &authority, &[version, "-sess_out", session]).await;
        assert!(first.stdout.contains("New, TLSv1"), "{first:?}");
        let second = s_client(&bridge.address(), &authority, &[version, "-sess_in", session]).await;
        assert!(second.stdout.contains("Reused, TLSv1"), "{version}: {second:?}");
        assert!(second.stdout.contains("HTTP/1.1 405"), "{second:?}");
        std::fs::remove_file(session).unwrap();
    }
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_closed() {
    let Some(authority) = Authority::new("test authority") else { return };
    let http = "header_timeout = \"700ms\"";
    let Some(setup) = bridge(&authority, &authority.sign("server"), http).await else { return };
    let bridge = setup.start_ready().await;
    for begun in [&b""[..], HELLO, b"\x16"] {
        let mut stream = TcpStream::connect(bridge.address()).await.unwrap();
        stream.write_all(begun).await.unwrap();
        let began = Instant::now();
        let mut rest = Vec::new();
        let end = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut rest));
        assert!(end.await.is_ok(), "{begun:?} keeps it open");
        assert!(rest.is_empty() && began.elapsed() > Duration::from_millis(500), "{begun:?}");
    }
    // Bytes that trickle in don't lengthen it.
    let mut stream = TcpStream::connect(bridge.address()).await.unwrap();
    let began = Instant::now();
    let hello = HELLO.iter().chain(std::iter::repeat(&0));
    for byte in hello {
        if stream.write_all(&[*byte]).await.is_err() {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(5), "it takes byte after byte");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(bridge.post("/hook", EVENT, &[]).await.status, 200);
}

#[tokio::test]
async fn a_handshake_counts_as_a_connection() {
    let Some(authority) = Authority::new("test authority") else { return };
    let http = "max_connections = 1\nheader_timeout = \"1s\"";
    let Some(setup) = bridge(&authority, &authority.sign("server"), http).await else { return };
    let bridge = setup.start_ready().await;
    let _silent = TcpStream::connect(bridge.address()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let answer = bridge.post("/hook", EVENT, &[]).await;
    assert_eq!(answer.status, 200);
    assert!(answer.elapsed > Duration::from_millis(500), "{:?}", answer.elapsed);
}

#[tokio::test]
async fn what_is_no_handshake_ends_quietly() {
    let Some(authority) = Authority::new("test authority") else { return };
    let Some(setup) = bridge(&authority, &authority.sign("server"), "").await else { return };
    let bridge = setup.start_ready().await;
    let before = bridge.log();
    let rubbish = [0xff; 4_096];
    let large = [b"\x16\x03\x01\xff\xff\x01\xff\xff\xff", &[0_u8; 70_000][..]].concat();
    for bytes in [
        &b"GET /hook HTTP/1.1\r\nhost: test\r\n\r\n"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        &rubbish,
        &large,
    ] {
        let began = Instant::now();
        let answer = raw(&bridge.address(), bytes).await;
        // An alert of seven bytes at the most.
        assert!(answer.len() <= 7, "{answer:?}");
        assert!(began.elapsed() < Duration::from_secs(2), "it was closed at once");
    }
    assert_eq!(bridge.post("/hook", EVENT, &[]).await.status, 200);
    assert_eq!(bridge.log(), before);
}

/// A stop waits for requests, not for those that are still shaking hands.
#[tokio::test]
async fn a_stop_does_not_wait_for_handshakes() {
    let Some(authority) = Authority::new("test authority") else { return };
    let Some(setup) = bridge(&authority, &authority.sign("server"), "").await else { return };
    let mut bridge = setup.start_ready().await;
    let mut silent = TcpStream::connect(bridge.address()).await.unwrap();
    silent.write_all(HELLO).await.unwrap();
    // Its place in the queue of the kernel is behind that one.
    assert_eq!(bridge.post("/hook", EVENT, &[]).await.status, 200);
    bridge.signal("TERM");
    let began = Instant::now();
    assert_eq!(bridge.wait().await.code(), Some(0), "{}", bridge.log());
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn handshakes_leave_no_memory_behind() {
    let Some(authority) = Authority::new("test authority") else { return };
    let Some(setup) = bridge(&authority, &authority.sign("server"), "").await else { return };
    let bridge = setup.start_ready().await;
    let trusted = std::fs::read(authority.cert()).unwrap();
    let shake = async |count: usize| {
        for number in 0..count {
            if number % 4 == 3 {
                assert!(raw(&bridge.address(), b"rubbish, and more of it\r\n").await.len() <= 7);
                continue;
            }
            let trusted = reqwest::Certificate::from_pem(&trusted).unwrap();
            let client = Client::with(|builder| builder.tls_certs_only([trusted]));
            assert_eq!(client.post(&bridge.url("/hook"), EVENT, &[]).await.status, 200);
        }
    };
    shake(300).await;
    let before = bridge.rss_bytes();
    shake(1_000).await;
    let after = bridge.rss_bytes();
    println!("{before} bytes before 1,000 handshakes, {after} after them");
    assert!(after < before + (3 << 20), "{before} bytes became {after}");
}

#[tokio::test]
async fn the_admin_listener_has_tls_of_its_own() {
    let Some(authority) = Authority::new("test authority") else { return };
    let identity = authority.sign_server("admin");
    let tls = identity.section("admin.tls", ["cert", "key"]);
    let ca = crate::support::certificates::quoted(&authority.cert());
    let text = format!("[admin]\nlisten = \"{{admin}}\"\n{tls}client_ca = {ca}\n{HOOK}{DROP}");
    let Some(nats) = crate::support::nats::shared().await else { return };
    let operator = authority.sign("operator");
    let client = Client::trusting(&authority.cert(), Some(&operator));
    let bridge = Bridge::config(&text).client(client).nats(nats).start_ready().await;
    assert!(bridge.admin_url("/").starts_with("https:"));
    assert_eq!(bridge.admin("/livez").await.status, 200);
    // The public one has none.
    assert_eq!(bridge.post("/hook", EVENT, &[]).await.status, 200);

    let stranger = Client::trusting(&authority.cert(), None);
    assert_eq!(stranger.get(&bridge.admin_url("/livez")).await.status, 200);
    assert_eq!(stranger.get(&bridge.admin_url("/dead-letters")).await.status, 403);
    let plain = bridge.admin_url("/livez").replace("https:", "http:");
    assert!(Client::new().try_get(&plain).await.is_err());
    eventually("still there", Duration::from_secs(5), async || {
        (bridge.admin("/readyz").await.status == 200).then_some(())
    })
    .await;
}
