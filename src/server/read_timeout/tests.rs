//! Which limit a silent connection is under, in paused time.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::timeout;

use super::super::requests::OpenRequest;
use super::super::shutdown::Shutdown;
use super::*;

const HEAD: Duration = Duration::from_secs(2);
const KEEP_ALIVE: Duration = Duration::from_secs(30);
const WRITE: Duration = Duration::from_secs(7);
const TIMEOUTS: Timeouts = Timeouts { head: HEAD, keep_alive: KEEP_ALIVE, write: WRITE };

struct Connection {
    client: DuplexStream,
    stream: Pin<Box<ReadTimeout<DuplexStream>>>,
    requests: Arc<Requests>,
}

impl Connection {
    fn open() -> Self {
        let (client, stream) = duplex(1 << 10);
        let requests = Arc::new(Requests::new(Shutdown::new(), Arc::default()));
        let stream = Box::pin(ReadTimeout::new(stream, TIMEOUTS, requests.clone(), false));
        Self { client, stream, requests }
    }

    /// The client sends this, and it is read.
    async fn sends(&mut self, text: &str) {
        self.client.write_all(text.as_bytes()).await.unwrap();
        let mut buffer = vec![0; text.len()];
        self.stream.read_exact(&mut buffer).await.unwrap();
        assert_eq!(buffer, text.as_bytes());
    }

    /// Nothing comes for so long, and nothing happens.
    async fn is_silent(&mut self, time: Duration) {
        assert!(timeout(time, self.stream.read_u8()).await.is_err());
    }

    /// The clock ends it after so long.
    async fn ends_after(mut self, time: Duration) {
        let began = Instant::now();
        let error = self.stream.read_u8().await.unwrap_err();
        assert_eq!((error.kind(), began.elapsed()), (io::ErrorKind::TimedOut, time));
    }
}

const MOMENT: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn the_first_byte_has_the_time_of_a_head() {
    Connection::open().ends_after(HEAD).await;
}

#[tokio::test(start_paused = true)]
async fn a_head_has_its_time_from_its_first_byte_on() {
    let mut connection = Connection::open();
    connection.is_silent(HEAD - MOMENT).await;
    connection.sends("P").await;
    connection.is_silent(HEAD / 2).await;
    connection.sends("OST / HTTP/1.1\r\n").await;
    connection.ends_after(HEAD / 2).await;
}

#[tokio::test(start_paused = true)]
async fn between_requests_there_is_more_time() {
    let mut connection = Connection::open();
    for _ in 0..3 {
        connection.sends("GET / HTTP/1.1\r\n\r\n").await;
        let open = OpenRequest::new(&connection.requests, false);
        // While it is handled, it has limits of its own.
        connection.is_silent(KEEP_ALIVE * 9).await;
        drop(open);
        connection.is_silent(KEEP_ALIVE - MOMENT).await;
    }
    // One that was answered before anybody read on.
    connection.sends("GET / HTTP/1.1\r\n\r\n").await;
    drop(OpenRequest::new(&connection.requests, false));
    connection.ends_after(KEEP_ALIVE).await;
}

#[tokio::test(start_paused = true)]
async fn a_later_head_has_the_same_time_as_the_first() {
    let mut connection = Connection::open();
    connection.sends("GET / HTTP/1.1\r\n\r\n").await;
    drop(OpenRequest::new(&connection.requests, false));
    connection.is_silent(KEEP_ALIVE - MOMENT).await;
    connection.sends("GE").await;
    connection.ends_after(HEAD).await;
}

#[tokio::test(start_paused = true)]
async fn the_preface_of_http2_is_no_request() {
    let mut connection = Connection::open();
    connection.sends("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    connection.is_silent(KEEP_ALIVE - MOMENT).await;
    // Nor are its frames.
    connection.sends("\0\0\0\u{4}\0\0\0\0\0").await;
    connection.ends_after(MOMENT).await;
}
