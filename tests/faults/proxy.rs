//! A TCP proxy in front of a broker: it can cut, hold back and slow down what goes through.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

/// What is passed on at once.
const CHUNK: usize = 16 << 10;

pub(crate) struct Proxy {
    port: u16,
    line: watch::Sender<Line>,
    connections: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Line {
    mode: Mode,
    /// Connections of an earlier one are closed.
    generation: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Mode {
    #[default]
    Open,
    /// Connections are open, and nothing passes.
    Hole,
    /// Each chunk waits for so long.
    Slow(Duration),
    /// A connection ends when its first ping was answered, which is how a client of NATS knows that it is let in.
    Leave,
}

/// A proxy that has its port, and isn't open yet.
pub(crate) struct Closed(TcpListener);

impl Closed {
    pub(crate) async fn bind() -> Closed {
        Closed(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    /// Opens it, in front of this port.
    pub(crate) fn open(self, target: u16) -> Proxy {
        let port = self.port();
        let (line, lines) = watch::channel(Line::default());
        let connections = Arc::new(AtomicU64::new(0));
        let task = tokio::spawn(accept(self.0, target, lines, connections.clone()));
        Proxy { port, line, connections, task }
    }
}

impl Proxy {
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.line.send_modify(|line| line.mode = mode);
    }

    /// How many there ever were.
    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Closes all connections.
    pub(crate) fn cut(&self) {
        self.line.send_modify(|line| line.generation += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(
    listener: TcpListener,
    target: u16,
    lines: watch::Receiver<Line>,
    count: Arc<AtomicU64>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    count.fetch_add(1, Ordering::Relaxed);
                    connections.spawn(pass(stream, target, lines.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn pass(client: TcpStream, target: u16, lines: watch::Receiver<Line>) {
    let generation = lines.borrow().generation;
    let both = async {
        let mut line = lines.clone();
        let _ = line.wait_for(|line| line.mode != Mode::Hole).await;
        let Ok(server) = TcpStream::connect(("127.0.0.1", target)).await else {
            return;
        };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (client, server) = (client.into_split(), server.into_split());
        // When one direction ends, both do.
        tokio::select! {
            () = pump(client.0, server.1, lines.clone()) => {}
            () = pump(server.0, client.1, lines.clone()) => {}
        }
    };
    let mut cuts = lines.clone();
    tokio::select! {
        () = both => {}
        _ = cuts.wait_for(|line| line.generation != generation) => {}
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut lines: watch::Receiver<Line>) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(length @ 1..) = from.read(&mut chunk).await {
        let Ok(mode) = lines.wait_for(|line| line.mode != Mode::Hole).await.map(|line| line.mode)
        else {
            return;
        };
        if let Mode::Slow(pause) = mode {
            sleep(pause).await;
        }
        if to.write_all(&chunk[..length]).await.is_err() {
            return;
        }
        if mode == Mode::Leave && chunk[..length].starts_with(b"PONG") {
            return;
        }
    }
}
