//! Ports for servers that have to come back on the same one.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the ports that systems give to outgoing connections: while a server is down, no client can be given its port.
const LOWEST: u16 = 12_000;
const COUNT: u16 = 20_000;

/// A port that nobody listens on. Two calls of one process never give the same one; another process may still take it
/// before it is used, so whoever starts a server tries again with another.
pub(crate) fn free() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id().wrapping_mul(613) % u32::from(COUNT)) as u16;
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        let port = LOWEST + (start + step) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
