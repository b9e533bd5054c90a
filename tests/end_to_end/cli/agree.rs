//! `check` and `serve` agree: what the one accepts the other starts with, and what it refuses ends the other.

use crate::support::bridge::program;
use crate::support::process::{Process, output};
use crate::support::{HOOK, ports};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

/// Tables before the endpoint, lines of the endpoint, and whether that is a configuration.
const TABLE: [(&str, &str, bool); 33] = [
    ("[nats]", "", true),
    ("[kafka]", "", true),
    ("[nats]\n[kafka]", "", true),
    ("", "", false),
    ("[nats]\nservers = []", "", false),
    ("[nats]\nservers = [\"http://a:1\"]", "", false),
    ("[nats]\nuser = \"a\"", "", false),
    ("[nats]\ncredentials = \"nowhere.creds\"", "", false),
    ("[nats]\ntls_ca = \"nowhere.pem\"", "", false),
    ("[nats]\nack_timeout = \"0s\"", "", false),
    ("[kafka]\nack_timeout = \"1500ms\"", "", true),
    ("[kafka]\nack_timeout = \"1s\"", "", false),
    ("[kafka]\nbrokers = [\"kafka\"]", "", false),
    ("[kafka.properties]\n\"linger.ms\" = 20", "", true),
    ("[kafka.properties]\n\"linger.ms\" = 5000", "", false),
    ("[kafka.properties]\n\"max.in.flight\" = 5", "", true),
    ("[kafka.properties]\n\"max.in.flight\" = 6", "", false),
    ("[kafka.properties]\nretries = 1", "", true),
    ("[kafka.properties]\nretries = 0", "", false),
    ("[kafka.properties]\nacks = 1", "", false),
    ("[kafka.properties]\n\"delivery.report.only.error\" = true", "", false),
    ("[kafka.properties]\n\"compression.type\" = \"zstd\"", "", true),
    ("[kafka.properties]\n\"security.protocol\" = \"SASL_SSL\"", "", false),
    (
        "[kafka.properties]\n\"security.protocol\" = \"SASL_SSL\"\n\"sasl.mechanism\" = \"GSSAPI\"",
        "",
        false,
    ),
    (
        "[kafka.properties]\n\"security.protocol\" = \"SASL_SSL\"\n\"sasl.mechanism\" = \"AWS_MSK_IAM\"",
        "",
        false,
    ),
    (
        "[kafka.properties]\n\"security.protocol\" = \"SASL_SSL\"\n\"sasl.mechanism\" = \"OAUTHBEARER\"",
        "",
        false,
    ),
    (
        "[kafka.properties]\n\"security.protocol\" = \"SASL_SSL\"\n\"sasl.mechanism\" = \"PLAIN\"\n\"sasl.username\" = \"$ConnectionString\"\n\"sasl.password\" = \"x\"",
        "",
        true,
    ),
    (
        "[kafka.properties]\n\"security.protocol\" = \"SSL\"\n\"ssl.ca.location\" = \"nowhere\"",
        "",
        false,
    ),
    ("[http]\nmax_body = \"1GiB\"\nmax_in_flight_bytes = \"2GiB\"\n[kafka]", "", true),
    ("[http.tls]\ncert = \"nowhere.pem\"\nkey = \"nowhere.pem\"\n[nats]", "", false),
    ("[nats]", "[[endpoint.event]]\ntypes = [\"*\"]\nto = [\"kafka:a\"]", false),
    ("[nats]", "[[endpoint.event]]\ntypes = [\"*\"]\nto = [\"nats:{type}\"]", false),
    ("[spool]\nmax_bytes = \"0B\"\n[nats]", "", false),
];

/// Whether `serve` comes to serving; otherwise it ends, with its exit code.
async fn serves(folder: &Path) -> Result<(), Option<i32>> {
    let mut command = program();
    command.arg("serve").current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null());
    let mut process = Process::start(command.stderr(Stdio::piped()), None);
    let pipe = process.child().stderr.take().unwrap();
    let read = move || {
        BufReader::new(pipe).lines().map_while(Result::ok).any(|line| line.contains(" serving "))
    };
    if tokio::task::spawn_blocking(read).await.unwrap() {
        return Ok(());
    }
    let status = process.wait(std::time::Duration::from_secs(20)).await;
    Err(status.and_then(|status| status.code()))
}

#[tokio::test]
async fn check_and_serve_agree() {
    for (tables, lines, is_right) in TABLE {
        let folder = tempfile::tempdir().unwrap();
        let (http, admin) = (ports::free(), ports::free());
        let listen = format!("listen = \"127.0.0.1:{http}\"\n");
        let tables = match tables.strip_prefix("[http]\n") {
            Some(rest) => format!("[http]\n{listen}{rest}"),
            None => format!("[http]\n{listen}{tables}"),
        };
        let text = format!("[admin]\nlisten = \"127.0.0.1:{admin}\"\n{tables}\n{HOOK}{lines}\n");
        std::fs::write(folder.path().join("hookbus.toml"), &text).unwrap();
        let mut command = program();
        command.arg("check").current_dir(folder.path());
        let checked = output(command.into(), b"").await;
        assert_eq!(checked.code, Some(if is_right { 0 } else { 2 }), "{text}\n{}", checked.stderr);
        let served = serves(folder.path()).await;
        assert_eq!(served, if is_right { Ok(()) } else { Err(Some(2)) }, "{text}");
    }
}
