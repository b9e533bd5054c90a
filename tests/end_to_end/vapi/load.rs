//! What one request costs: the memory of the bridge, and the time of others.

use crate::support::Bridge;
use crate::support::http::Answer;
use bytes::Bytes;
use std::fmt;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What was seen while a request was answered.
pub(super) struct Load {
    /// The most memory, less that before.
    pub(super) grown: u64,
    /// How long others waited: half of them, all but one in a hundred, all.
    pub(super) median: Duration,
    pub(super) p99: Duration,
    pub(super) longest: Duration,
    pub(super) took: Duration,
    /// What the bridge computed, in clock ticks of 10 ms; other load on the machine doesn't show in it.
    pub(super) ticks: u64,
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Load { grown, median, p99, longest, took, ticks } = self;
        write!(
            f,
            "{} KiB, others {median:.1?} {p99:.1?} {longest:.1?}, took {took:.1?}, {ticks} ticks",
            grown >> 10
        )
    }
}

/// Posts a body, and all the time small events to `/beside`, on a thread of their own.
pub(super) async fn measure(
    bridge: &Bridge,
    path: &str,
    body: impl Into<Bytes>,
    headers: &[(&str, &str)],
) -> (Answer, Load) {
    // From here on the kernel keeps another maximum.
    std::fs::write(format!("/proc/{}/clear_refs", bridge.id()), "5").unwrap();
    let (before, ticks) = (bridge.rss_bytes(), bridge.cpu_ticks());
    let stop = Arc::new(AtomicBool::new(false));
    let others = std::thread::spawn({
        let (stop, address) = (stop.clone(), bridge.address());
        move || others(&address, &stop)
    });
    let began = Instant::now();
    let answer = bridge.post(path, body, headers).await;
    let took = began.elapsed();
    stop.store(true, Ordering::Relaxed);
    let mut waits = others.join().unwrap();
    waits.sort();
    let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize];
    let load = Load {
        grown: bridge.peak_rss_bytes().saturating_sub(before),
        median: at(0.5),
        p99: at(0.99),
        longest: at(1.0),
        took,
        ticks: bridge.cpu_ticks() - ticks,
    };
    (answer, load)
}

/// How long each of the events took, one after the other.
#[expect(clippy::disallowed_methods, reason = "a thread of its own")]
fn others(address: &str, stop: &AtomicBool) -> Vec<Duration> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let body = crate::http::event("beside");
    let head =
        format!("POST /beside HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len());
    let request = head + &body;
    let mut waits = Vec::new();
    while waits.is_empty() || !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        let mut part = [0; 1024];
        while !answer.ends_with(b"{}") {
            let count = stream.read(&mut part).unwrap();
            assert!(count > 0, "the connection was closed");
            answer.extend_from_slice(&part[..count]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        waits.push(began.elapsed());
        std::thread::sleep(Duration::from_millis(1));
    }
    waits
}
