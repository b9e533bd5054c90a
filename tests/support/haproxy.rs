//! HAProxy in front of bridges: somebody else's pool of connections.

use super::process::Process;
use super::{eventually, installed, missing, ports};
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

pub(crate) struct Haproxy {
    _process: Process,
    port: u16,
    folder: tempfile::TempDir,
}

impl Haproxy {
    /// In front of these servers. It asks each of them for `health`, at its second address if it has one, several times
    /// a second, and keeps connections as it does by default. Nothing when it isn't on this machine.
    pub(crate) async fn start(servers: &[(String, String)], health: &str) -> Option<Haproxy> {
        let Some(program) = installed("haproxy") else {
            missing("haproxy (run: make tools)");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let port = ports::free();
        let lines = servers.iter().enumerate().map(|(number, (address, checked))| {
            let at = if checked.is_empty() {
                String::new()
            } else {
                format!(" addr 127.0.0.1 port {}", checked.rsplit(':').next().unwrap_or_default())
            };
            format!("    server s{number} {address} check inter 100ms fall 1 rise 1{at}\n")
        });
        let lines: String = lines.collect();
        let file = folder.path().join("haproxy.cfg");
        let text = format!(
            "global\n    stats socket unix@{}\n    maxconn 2000\n\
             defaults\n    mode http\n    timeout connect 5s\n    timeout client 60s\n    timeout server 60s\n    \
             timeout http-keep-alive 60s\n    timeout check 10s\n    retries 3\n    option redispatch\n\
             frontend all\n    bind 127.0.0.1:{port}\n    default_backend bridges\n\
             backend bridges\n    balance roundrobin\n    option httpchk GET {health}\n{lines}",
            folder.path().join("stats").display()
        );
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(program);
        command.arg("-db").arg("-f").arg(&file).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let process = Process::start(&mut command, Some(folder.path()));
        let haproxy = Haproxy { _process: process, port, folder };
        eventually("an open port of HAProxy", Duration::from_secs(10), async || {
            TcpStream::connect(haproxy.address()).await.ok()
        })
        .await;
        for server in 0..servers.len() {
            haproxy.is_up(server).await;
        }
        Some(haproxy)
    }

    /// `host:port`.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Waits until it sends requests to the server of this number.
    pub(crate) async fn is_up(&self, server: usize) {
        let start = format!("bridges,s{server},");
        eventually(&format!("server {server} in use"), Duration::from_secs(20), async || {
            let stats = self.stats().await.unwrap_or_default();
            let line = stats.lines().find(|line| line.starts_with(&start))?;
            (line.split(',').nth(17) == Some("UP")).then_some(())
        })
        .await;
    }

    async fn stats(&self) -> std::io::Result<String> {
        let mut socket = UnixStream::connect(self.folder.path().join("stats")).await?;
        socket.write_all(b"show stat\n").await?;
        let mut text = String::new();
        socket.read_to_string(&mut text).await?;
        Ok(text)
    }
}
