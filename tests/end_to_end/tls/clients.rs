//! Client certificates.

use super::{EVENT, bridge_for, s_client};
use crate::support::http::Client;
use crate::support::{Authority, Identity};

#[tokio::test]
async fn only_clients_with_a_certificate_are_let_in() {
    let Some(authority) = Authority::new("test authority") else { return };
    let Some(clients) = Authority::new("authority of clients") else { return };
    let Some(strangers) = Authority::new("authority of clients") else { return };
    let server = authority.sign("server");
    let Some(setup) = bridge_for(&clients, &authority, &server).await else { return };
    let bridge = setup.start_ready().await;
    let post = async |identity: Option<&Identity>| {
        let client = Client::trusting(&authority.cert(), identity);
        client.try_post(&bridge.url("/hook"), EVENT).await.map(|answer| answer.status)
    };
    assert_eq!(post(Some(&clients.sign("client"))).await.unwrap(), 200);
    for (who, identity) in [
        ("nobody", None),
        ("one whose authority only has the right name", Some(strangers.sign("client"))),
        ("one of the server's authority", Some(server.clone())),
        ("one that has expired", Some(clients.sign_between("client", -9, -2))),
        ("one that isn't valid yet", Some(clients.sign_between("client", 2, 9))),
        ("one for servers", Some(clients.sign_server("client"))),
    ] {
        assert!(post(identity.as_ref()).await.is_err(), "{who} was let in");
    }
    assert_eq!(post(Some(&clients.sign("client"))).await.unwrap(), 200);
    assert!(!bridge.log().contains("handshake"), "{}", bridge.log());
}

/// A resumed session would be let in by what was verified when it began.
#[tokio::test]
async fn certificates_are_verified_at_each_connection() {
    let Some(authority) = Authority::new("test authority") else { return };
    let Some(setup) = bridge_for(&authority, &authority, &authority.sign("server")).await else {
        return;
    };
    let bridge = setup.start_ready().await;
    let client = authority.sign("client");
    let own = ["-cert", client.cert.to_str().unwrap(), "-key", client.key.to_str().unwrap()];
    let ask = async |more: &[&str]| {
        s_client(&bridge.address(), &authority, &[&own[..], more].concat()).await
    };
    for version in ["-tls1_2", "-tls1_3"] {
        let session = authority.file("session");
        let session = session.to_str().unwrap();
        let first = ask(&[version, "-sess_out", session]).await;
        assert!(first.stdout.contains("HTTP/1.1 405"), "{first:?}");
        if std::fs::exists(session).unwrap() {
            let second = ask(&[version, "-sess_in", session]).await;
            assert!(second.stdout.contains("New, TLSv1"), "{version}: {second:?}");
            std::fs::remove_file(session).unwrap();
        }
    }
    let nobody = s_client(&bridge.address(), &authority, &["-tls1_3"]).await;
    assert!(nobody.stderr.contains("alert certificate required"), "{nobody:?}");
}
