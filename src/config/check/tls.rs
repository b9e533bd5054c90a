//! Certificates and keys, of our listeners and as a client: whether the files hold what they should.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::SystemTime;

use super::{Checks, shown};
use crate::config::load::tree::Node;
use crate::config::{Kafka, Nats, Tls};
use crate::tls::validity::Validity;
use crate::tls::{Fault, pair, pem};

/// `[http.tls]` and `[admin.tls]`.
pub(super) fn listener(checks: &mut Checks<'_, '_, '_>, node: Node<'_>, tls: Option<&Tls>) {
    let (Some(tls), node) = (tls, node.get("tls")) else { return };
    if node.is_broken() {
        return;
    }
    identity(checks, (node.get("cert"), "cert", &tls.cert), (node.get("key"), "key", &tls.key));
    if let Some(path) = &tls.client_ca {
        authorities(checks, node.get("client_ca"), "client_ca", path);
    }
}

/// The files of `[nats]`.
pub(super) fn nats(checks: &mut Checks<'_, '_, '_>, node: Node<'_>, nats: &Nats) {
    if let Some(path) = &nats.tls_ca {
        authorities(checks, node.get("tls_ca"), "tls_ca", path);
    }
    if let (Some(cert), Some(key)) = (&nats.tls_cert, &nats.tls_key) {
        let cert = (node.get("tls_cert"), "tls_cert", cert.as_path());
        identity(checks, cert, (node.get("tls_key"), "tls_key", key));
    }
    if let Some(path) = &nats.credentials {
        checks.file(node, "credentials", Some(path));
        private(checks, (node.get("credentials"), "credentials", path));
    }
}

/// The files that the properties of `[kafka]` name. What they hold is librdkafka's business, which takes more forms of
/// it than we do.
pub(super) fn kafka(checks: &mut Checks<'_, '_, '_>, node: Node<'_>, kafka: &Kafka) {
    let path = |key: &str| kafka.properties.get(key).map(|value| Path::new(value.expose()));
    for key in [
        "ssl.ca.location",
        "ssl.certificate.location",
        "ssl.key.location",
        "ssl.keystore.location",
        "ssl.crl.location",
    ] {
        // A word of librdkafka's for where the system keeps them.
        let path = path(key).filter(|path| *path != Path::new("probe"));
        checks.file(node, key, path);
    }
    if let Some(path) = path("ssl.key.location") {
        private(checks, (node.get("ssl.key.location"), "ssl.key.location", path));
    }
    let key = "ssl.certificate.location";
    let chain = path(key).and_then(|path| pem::chain(&pem::read(path).ok()?).ok());
    let validity = chain.and_then(|chain| Validity::of(chain.first()?));
    if let Some(problem) = validity.and_then(|validity| validity.problem(SystemTime::now())) {
        let hint = "renew it in time, and restart hookbus: librdkafka reads it at the start";
        checks.warning(node.get(key), format!("`{key}`: {problem}"), hint);
    }
}

/// A setting that names a file.
type Named<'a> = (Node<'a>, &'a str, &'a Path);

/// A certificate with its key.
fn identity(checks: &mut Checks<'_, '_, '_>, cert: Named<'_>, key: Named<'_>) {
    let chain = read(checks, cert, pem::chain);
    let private_key = read(checks, key, pem::key);
    private(checks, key);
    let validity = chain.as_ref().and_then(|chain| Validity::of(chain.first()?));
    if let Some(problem) = validity.and_then(|validity| validity.problem(SystemTime::now())) {
        let hint = "renew it in time; hookbus picks up what is in the files";
        checks.warning(cert.0, format!("`{}`: {problem}", cert.1), hint);
    }
    if let (Some(chain), Some(private_key)) = (chain, private_key)
        && let Err(fault) = pair(chain, private_key)
    {
        say(checks, key, &fault);
    }
}

pub(super) fn authorities(
    checks: &mut Checks<'_, '_, '_>,
    node: Node<'_>,
    name: &str,
    path: &Path,
) {
    read(checks, (node, name, path), pem::roots);
}

fn read<T>(
    checks: &mut Checks<'_, '_, '_>,
    file: Named<'_>,
    parse: impl FnOnce(&[u8]) -> Result<T, Fault>,
) -> Option<T> {
    let found = pem::read(file.2).and_then(|bytes| parse(&bytes));
    found.map_err(|fault| say(checks, file, &fault)).ok()
}

fn say(checks: &mut Checks<'_, '_, '_>, (node, name, path): Named<'_>, fault: &Fault) {
    let text = match fault {
        Fault::Unreadable(kind) => {
            let path = shown(node, &path.display().to_string());
            format!("`{name}`: the file `{path}` can't be opened: {kind}")
        }
        fault => format!("`{name}`: {fault}"),
    };
    checks.error(node, text, fault.hint());
}

/// Warn of a private key that every user of the machine may read.
fn private(checks: &mut Checks<'_, '_, '_>, (node, name, path): Named<'_>) {
    const OTHERS: u32 = 0o004;
    let is_open = |data: std::fs::Metadata| data.permissions().mode() & OTHERS != 0;
    if std::fs::metadata(path).is_ok_and(is_open) {
        checks.warning(
            node,
            format!("`{name}`: every user of this machine may read the private key"),
            "take that away with `chmod o= FILE`",
        );
    }
}
