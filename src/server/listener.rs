//! Binding an address and accepting its connections until shutdown.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tracing::warn;

use super::Settings;
use super::connection::Server;
use super::shutdown::{Shutdown, Stage};

/// Connections that the kernel holds for us until they are accepted.
const LISTEN_BACKLOG: i32 = 4_096;

/// Pause after an accept that failed for lack of something, such as file descriptors.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// A socket that listens on `address`.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for connections of the last run to be forgotten.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(LISTEN_BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Accept until `shutdown` drains. What is open then is served to its end.
pub async fn serve(listener: TcpListener, settings: Settings, shutdown: Arc<Shutdown>) {
    let slots = Arc::new(Semaphore::new(settings.max_connections.min(Semaphore::MAX_PERMITS)));
    let server = Arc::new(Server { settings, shutdown });
    let mut stage = server.shutdown.watch();
    let draining = async {
        // The sender is ours: it outlives this.
        let _ = stage.wait_for(|stage| *stage >= Stage::Draining).await;
    };
    let mut draining = pin!(draining);
    loop {
        let accept = async {
            // The semaphore is never closed: a slot is free, or becomes free.
            let slot = slots.clone().acquire_owned().await.ok();
            (listener.accept().await, slot)
        };
        let (accepted, slot) = tokio::select! {
            accepted = accept => accepted,
            () = &mut draining => break,
        };
        match accepted {
            Ok((stream, peer)) => server.spawn(stream, peer, slot),
            Err(error) if is_client_fault(&error) => {}
            Err(error) => {
                warn!(%error, "no connection can be accepted");
                sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
    // Connections that the kernel has established already would be cut off with the listener.
    let Ok(listener) = listener.into_std() else { return };
    while let Ok(slot) = slots.clone().try_acquire_owned()
        && let Ok((stream, peer)) = listener.accept()
        && stream.set_nonblocking(true).is_ok()
        && let Ok(stream) = TcpStream::from_std(stream)
    {
        server.spawn(stream, peer, Some(slot));
    }
}

/// Errors of a connection that ended before it was accepted.
fn is_client_fault(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pause after each of them would let strangers hold up all others.
    #[test]
    fn a_client_that_left_is_no_reason_to_pause() {
        use io::ErrorKind;
        for kind in
            [ErrorKind::ConnectionAborted, ErrorKind::ConnectionRefused, ErrorKind::ConnectionReset]
        {
            assert!(is_client_fault(&kind.into()), "{kind}");
        }
        // Too many open files.
        assert!(!is_client_fault(&io::Error::from_raw_os_error(24)));
    }
}
