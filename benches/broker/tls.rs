//! What TLS costs: handshakes, full and resumed, and a request over a connection that stays, beside one without TLS.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::bodies::Body;
use crate::load::{KEYS, Load};
use crate::server::{PATH, SECRET, Server};
use crate::support::certificates::{Authority, Kind};
use crate::support::{Kafka, Nats};
use crate::{Arguments, WARM_UP, median};

/// Clients that connect again and again.
const CLIENTS: usize = 8;

/// Answered at once with a 405, so that a connection has got its ticket when it ends.
const REQUEST: &[u8] = b"GET /vapi HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n";

/// Measures all of it, and prints two tables.
pub(crate) async fn measure(arguments: &Arguments, nats: &Nats, kafka: &Kafka) {
    let authority = Authority::new("bench").expect("openssl");
    println!("| connections with one request | a second | CPU µs each |\n|---|---:|---:|");
    let time = Duration::from_secs_f64(arguments.seconds);
    let plain = Server::bridge(nats, kafka).await;
    connections("without TLS", &plain, None, time).await;
    let mut over_tls = None;
    for (name, kind) in [("ECDSA P-256", Kind::Ecdsa), ("RSA 2048", Kind::Rsa)] {
        let identity = authority.sign_kind("bench", kind);
        let server = Server::bridge_with_tls(nats, kafka, &identity).await;
        for (what, resume) in [("full", false), ("resumed", true)] {
            let client = Some((trusting(&authority), resume));
            connections(&format!("{name}, {what}"), &server, client, time).await;
        }
        over_tls.get_or_insert(server);
    }

    let over_tls = over_tls.expect("one of two");
    println!("\n| body | plain CPU µs/request | over TLS | × |\n|---:|---:|---:|---:|");
    for size in crate::bodies::SIZES {
        let body = Body::event("status-update", size);
        let (address, connector) = (over_tls.address(), TlsConnector::from(trusting(&authority)));
        let mut loads = [
            (&plain, Load::connect(&plain.address(), PATH, SECRET, &body, KEYS).await),
            (
                &over_tls,
                Load::connect_by(Some(connector), &address, PATH, SECRET, &body, KEYS).await,
            ),
        ];
        let mut costs = [Vec::new(), Vec::new()];
        for (_, load) in &mut loads {
            load.run(WARM_UP, None).await;
        }
        for _ in 0..arguments.rounds {
            // The second at the rate of the first: a server under full load spends less on each.
            let mut rate = arguments.rate.or(Some(2_000.0));
            for ((server, load), costs) in loads.iter_mut().zip(&mut costs) {
                let before = server.cpu();
                let seen = load.run(time, rate).await;
                let count = seen.latencies.len() as f64;
                costs.push((server.cpu() - before).as_secs_f64() * 1e6 / count);
                rate = Some(count / seen.elapsed.as_secs_f64());
            }
        }
        let [plain, tls] = costs.map(|costs| median(costs.into_iter()));
        println!("| {} | {plain:.1} | {tls:.1} | {:.2} |", crate::human(size), tls / plain);
    }
}

fn trusting(authority: &Authority) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority.cert()).unwrap()).unwrap();
    Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

/// One connection after the other from each client, with or without a ticket of the last one.
async fn connections(
    what: &str,
    server: &Server,
    client: Option<(Arc<ClientConfig>, bool)>,
    time: Duration,
) {
    let (began, before) = (Instant::now(), server.cpu());
    let mut running = JoinSet::new();
    for _ in 0..CLIENTS {
        let address = server.address();
        let mut client = client.as_ref().map(|(config, resume)| {
            let mut config = ClientConfig::clone(config);
            // A store of its own: a ticket is used once.
            config.resumption =
                if *resume { Resumption::in_memory_sessions(16) } else { Resumption::disabled() };
            (TlsConnector::from(Arc::new(config)), *resume)
        });
        running.spawn(async move {
            let mut count = 0;
            while began.elapsed() < time {
                let stream = TcpStream::connect(&address).await.unwrap();
                stream.set_nodelay(true).unwrap();
                match &mut client {
                    None => ask(stream).await,
                    Some((connector, resume)) => {
                        let name = ServerName::try_from("127.0.0.1").unwrap();
                        let stream = connector.connect(name, stream).await.unwrap();
                        let is_resumed =
                            stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
                        assert_eq!(is_resumed, *resume && count > 0);
                        ask(stream).await;
                    }
                }
                count += 1;
            }
            count
        });
    }
    let count: usize = running.join_all().await.into_iter().sum();
    let cpu = (server.cpu() - before).as_secs_f64() * 1e6 / count as f64;
    println!("| {what} | {:.0} | {cpu:.0} |", count as f64 / began.elapsed().as_secs_f64());
}

async fn ask(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin) {
    stream.write_all(REQUEST).await.unwrap();
    let mut response = Vec::new();
    stream.read_to_end(&mut response).await.unwrap();
    assert!(response.starts_with(b"HTTP/1.1 405"));
}
