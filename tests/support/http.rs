//! An HTTP client that shows everything of an answer, and one that sends anything.

use super::certificates::Identity;
use bytes::Bytes;
use std::path::Path;
use std::sync::Once;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One per test: its connections belong to the test's runtime.
#[derive(Debug, Clone)]
pub(crate) struct Client(reqwest::Client);

#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) version: http::Version,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) elapsed: Duration,
}

impl Answer {
    /// A header that is there once or not at all.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?;
        assert!(values.next().is_none(), "{name} is there twice");
        Some(value.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body in UTF-8")
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

impl Client {
    pub(crate) fn new() -> Client {
        Client::with(|builder| builder.tls_certs_only([]))
    }

    /// One that trusts the servers of this authority, and shows a certificate of its own.
    pub(crate) fn trusting(authority: &Path, identity: Option<&Identity>) -> Client {
        let trusted = reqwest::Certificate::from_pem(&std::fs::read(authority).unwrap()).unwrap();
        let own = identity.map(|Identity { cert, key }| {
            let pem = [std::fs::read(cert).unwrap(), std::fs::read(key).unwrap()].concat();
            reqwest::Identity::from_pem(&pem).unwrap()
        });
        Client::with(|builder| {
            let builder = builder.tls_certs_only([trusted]);
            match own {
                Some(own) => builder.identity(own),
                None => builder,
            }
        })
    }

    /// One with settings of its own.
    pub(crate) fn with(
        settings: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> Client {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| {
            let _ = rustls::crypto::ring::default_provider().install_default();
        });
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(Duration::from_secs(60));
        Client(settings(client).build().unwrap())
    }

    /// Posts a body as JSON, unless the headers name another content type.
    pub(crate) async fn post(
        &self,
        url: &str,
        body: impl Into<Bytes>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let request = self.0.post(url).body(body.into());
        let typed = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        let request =
            if typed { request } else { request.header("content-type", "application/json") };
        send(request, headers).await.unwrap_or_else(|error| panic!("POST {url}: {error:?}"))
    }

    pub(crate) async fn get(&self, url: &str) -> Answer {
        self.try_get(url).await.unwrap_or_else(|error| panic!("GET {url}: {error:?}"))
    }

    /// For a server that may not be there.
    pub(crate) async fn try_get(&self, url: &str) -> reqwest::Result<Answer> {
        send(self.0.get(url), &[]).await
    }

    /// To a server that may end before it answers.
    pub(crate) async fn try_post(
        &self,
        url: &str,
        body: impl Into<Bytes>,
    ) -> reqwest::Result<Answer> {
        let request = self.0.post(url).body(body.into());
        send(request.header("content-type", "application/json"), &[]).await
    }

    /// Any method.
    pub(crate) async fn request(
        &self,
        method: http::Method,
        url: &str,
        body: impl Into<Bytes>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let request = self.0.request(method, url).body(body.into());
        send(request, headers).await.unwrap_or_else(|error| panic!("{url}: {error:?}"))
    }
}

async fn send(
    mut request: reqwest::RequestBuilder,
    headers: &[(&str, &str)],
) -> reqwest::Result<Answer> {
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let started = Instant::now();
    let response = request.send().await?;
    let (status, version) = (response.status().as_u16(), response.version());
    let headers = response.headers().clone();
    let body = response.bytes().await?;
    Ok(Answer { status, version, headers, body, elapsed: started.elapsed() })
}

/// Posts by a client of its own.
pub(crate) async fn post(url: &str, body: impl Into<Bytes>, headers: &[(&str, &str)]) -> Answer {
    Client::new().post(url, body, headers).await
}

/// Sends these very bytes to `host:port` and returns all that comes back until the other side closes, or until
/// nothing has come for two seconds.
pub(crate) async fn raw(address: &str, bytes: &[u8]) -> Vec<u8> {
    raw_within(address, bytes, Duration::from_secs(2)).await
}

/// The same with another patience.
pub(crate) async fn raw_within(address: &str, bytes: &[u8], silence: Duration) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    // Both at once: a server may answer and close before it has read everything.
    let send = async {
        let _ = writer.write_all(bytes).await;
        std::future::pending::<()>().await;
    };
    let mut answer = Vec::new();
    let receive = async {
        while let Ok(Ok(1..)) = tokio::time::timeout(silence, reader.read_buf(&mut answer)).await {}
    };
    tokio::select! {
        () = send => {}
        () = receive => {}
    }
    answer
}
