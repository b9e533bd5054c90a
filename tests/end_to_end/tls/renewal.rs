//! Certificates that change while the bridge runs.

use super::{EVENT, bridge, bridge_for, s_client};
use crate::support::http::Client;
use crate::support::{Authority, Bridge, eventually};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

/// Waits until new connections are shown the certificate of this name.
async fn shown(bridge: &Bridge, authority: &Authority, name: &str) {
    eventually(&format!("the certificate of {name}"), SOON, async || {
        let output = s_client(&bridge.address(), authority, &[]).await;
        output.stdout.contains(&format!("subject=CN = {name}")).then_some(())
    })
    .await;
}

async fn problem(bridge: &Bridge, part: &str) {
    eventually(&format!("/readyz with {part:?}"), SOON, async || {
        bridge.admin("/readyz").await.text().contains(part).then_some(())
    })
    .await;
}

async fn no_problem(bridge: &Bridge) {
    eventually("/readyz without a problem", SOON, async || {
        (!bridge.admin("/readyz").await.text().contains("problem: http.tls")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_new_certificate_is_used_and_nobody_notices() {
    let Some(authority) = Authority::new("test authority") else { return };
    let identity = authority.sign("first");
    let Some(setup) = bridge(&authority, &identity, "").await else { return };
    let bridge = setup.start_ready().await;
    let url = bridge.url("/hook");
    let (stop, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
    let trusted = std::fs::read(authority.cert()).unwrap();
    // Half of them over connections that stay, half over one connection a request.
    let load = async |idle: usize| {
        let trusted = reqwest::Certificate::from_pem(&trusted).unwrap();
        let client = Client::with(|builder| {
            builder.tls_certs_only([trusted]).pool_max_idle_per_host(idle).http1_only()
        });
        while !stop.load(Ordering::Relaxed) {
            assert_eq!(client.post(&url, EVENT, &[]).await.status, 200);
            sent.fetch_add(1, Ordering::Relaxed);
        }
    };
    let replace = async {
        for name in ["second", "third", "fourth"] {
            let before = sent.load(Ordering::Relaxed);
            identity.replace(&authority.sign(name));
            shown(&bridge, &authority, name).await;
            assert!(sent.load(Ordering::Relaxed) > before);
        }
        stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(load(1), load(1), load(0), load(0), replace);
    println!("{} requests", sent.load(Ordering::Relaxed));
    assert!(!bridge.log().contains("needs attention"), "{}", bridge.log());
    let taken = || bridge.log().matches("took over a new certificate").count();
    eventually("all three in the log", Duration::from_secs(5), async || {
        (taken() >= 3).then_some(())
    })
    .await;
    assert_eq!(taken(), 3, "{}", bridge.log());
}

#[tokio::test]
async fn a_bad_certificate_is_told_and_the_old_one_stays() {
    let Some(authority) = Authority::new("test authority") else { return };
    let identity = authority.sign("good");
    let Some(setup) = bridge(&authority, &identity, "").await else { return };
    let bridge = setup.start_ready().await;
    let other = authority.sign("other");
    let good = [std::fs::read(&identity.cert).unwrap(), std::fs::read(&identity.key).unwrap()];
    let bad: [(&str, &dyn Fn()); 5] = [
        ("`key`: the key doesn't belong to the certificate", &|| {
            std::fs::copy(&other.cert, &identity.cert).unwrap();
        }),
        ("`cert`: the file holds no certificate", &|| std::fs::write(&identity.cert, "").unwrap()),
        ("`key`: the file holds no private key", &|| {
            std::fs::write(&identity.key, "nothing\n").unwrap();
        }),
        ("`cert`: the file can't be read: entity not found", &|| {
            std::fs::remove_file(&identity.cert).unwrap();
        }),
        ("`cert`: the file is not PEM", &|| {
            std::fs::write(&identity.cert, &good[0][..good[0].len() / 2]).unwrap();
        }),
    ];
    for (text, spoil) in bad {
        spoil();
        problem(&bridge, text).await;
        assert_eq!(bridge.admin("/readyz").await.status, 200);
        bridge.logs(text).await;
        shown(&bridge, &authority, "good").await;
        std::fs::write(&identity.cert, &good[0]).unwrap();
        std::fs::write(&identity.key, &good[1]).unwrap();
        no_problem(&bridge).await;
    }
    identity.replace(&other);
    shown(&bridge, &authority, "other").await;
    assert!(!bridge.log().contains("PRIVATE KEY"));
}

#[tokio::test]
async fn an_expired_certificate_is_told() {
    let Some(authority) = Authority::new("test authority") else { return };
    let identity = authority.sign_between("server", -30, 1);
    let Some(setup) = bridge(&authority, &identity, "").await else { return };
    let bridge = setup.start_ready().await;
    problem(&bridge, "problem: http.tls: `cert`: the certificate expires at 2").await;
    identity.replace(&authority.sign_between("server", -30, -1));
    problem(&bridge, "problem: http.tls: `cert`: the certificate expired at 2").await;
    identity.replace(&authority.sign("server"));
    no_problem(&bridge).await;
    assert_eq!(bridge.post("/hook", EVENT, &[]).await.status, 200);
}

/// The new one counts for new connections, and nobody comes in by an old session.
#[tokio::test]
async fn the_authority_of_clients_changes() {
    let Some(authority) = Authority::new("test authority") else { return };
    let Some(next) = Authority::new("next authority") else { return };
    let Some(setup) = bridge_for(&authority, &authority, &authority.sign("server")).await else {
        return;
    };
    let bridge = setup.start_ready().await;
    let (old, new) = (authority.sign("client"), next.sign("client"));
    let post = async |identity| {
        let client = Client::trusting(&authority.file("trusted.pem"), Some(identity));
        client.try_post(&bridge.url("/hook"), EVENT).await.is_ok()
    };
    std::fs::copy(authority.cert(), authority.file("trusted.pem")).unwrap();
    assert!(post(&old).await && !post(&new).await);
    std::fs::copy(next.cert(), authority.cert()).unwrap();
    eventually("the new authority", SOON, async || post(&new).await.then_some(())).await;
    assert!(!post(&old).await);
}
