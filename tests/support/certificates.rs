//! Certificates made by the `openssl` command: somebody else's software, as in life.

use super::missing;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What an authority needs to sign. Servers are on loopback.
const CONFIG: &str = "
[ca]
default_ca = own
[own]
dir = .
database = index.txt
new_certs_dir = .
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
x509_extensions = both
[any]
commonName = supplied
[req]
distinguished_name = empty
[empty]
[authority]
basicConstraints = critical,CA:true
keyUsage = critical,keyCertSign,cRLSign
[both]
subjectAltName = IP:127.0.0.1,DNS:localhost
extendedKeyUsage = serverAuth,clientAuth
[server]
subjectAltName = IP:127.0.0.1,DNS:localhost
extendedKeyUsage = serverAuth
";

/// Signs certificates; a folder of its own that goes away with it.
pub(crate) struct Authority {
    folder: tempfile::TempDir,
    signed: AtomicUsize,
}

/// A certificate and its key, in files.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

/// The key that a certificate is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// ECDSA on P-256, in PKCS#8.
    Ecdsa,
    /// The same in the older form, SEC1.
    EcdsaSec1,
    /// RSA of 2048 bits, in PKCS#8.
    Rsa,
    /// The same in the older form, PKCS#1.
    RsaPkcs1,
    Ed25519,
}

impl Authority {
    /// `None` where there is no `openssl`.
    pub(crate) fn new(name: &str) -> Option<Authority> {
        if Command::new("openssl").arg("version").stdout(Stdio::null()).status().is_err() {
            missing("the openssl command");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority { folder, signed: AtomicUsize::new(0) };
        std::fs::write(authority.file("config"), CONFIG).unwrap();
        std::fs::write(authority.file("index.txt"), "").unwrap();
        authority.make_key("ca.key", Kind::Ecdsa);
        let subject = format!("/CN={name}");
        authority.openssl(&[
            "req",
            "-x509",
            "-new",
            "-config",
            "config",
            "-extensions",
            "authority",
            "-key",
            "ca.key",
            "-subj",
            &subject,
            "-days",
            "30",
            "-out",
            "ca.pem",
        ]);
        Some(authority)
    }

    /// The file with its own certificate.
    pub(crate) fn cert(&self) -> PathBuf {
        self.file("ca.pem")
    }

    /// For servers on loopback and for clients, valid for 30 days.
    pub(crate) fn sign(&self, name: &str) -> Identity {
        self.sign_for(name, Kind::Ecdsa, "both", days(-1), days(30))
    }

    pub(crate) fn sign_kind(&self, name: &str, kind: Kind) -> Identity {
        self.sign_for(name, kind, "both", days(-1), days(30))
    }

    /// For servers only.
    pub(crate) fn sign_server(&self, name: &str) -> Identity {
        self.sign_for(name, Kind::Ecdsa, "server", days(-1), days(30))
    }

    /// From one day to another, counted from today.
    pub(crate) fn sign_between(&self, name: &str, from: i64, until: i64) -> Identity {
        self.sign_for(name, Kind::Ecdsa, "both", days(from), days(until))
    }

    fn sign_for(
        &self,
        name: &str,
        kind: Kind,
        uses: &str,
        from: String,
        until: String,
    ) -> Identity {
        let number = self.signed.fetch_add(1, Ordering::Relaxed);
        let [key, request, cert] =
            ["key", "csr", "pem"].map(|end| format!("{name}-{number}.{end}"));
        self.make_key(&key, kind);
        let subject = format!("/CN={name}");
        self.openssl(&[
            "req", "-new", "-config", "config", "-key", &key, "-subj", &subject, "-out", &request,
        ]);
        self.openssl(&[
            "ca",
            "-batch",
            "-notext",
            "-config",
            "config",
            "-cert",
            "ca.pem",
            "-keyfile",
            "ca.key",
            "-extensions",
            uses,
            "-startdate",
            &from,
            "-enddate",
            &until,
            "-in",
            &request,
            "-out",
            &cert,
        ]);
        Identity { cert: self.file(&cert), key: self.file(&key) }
    }

    fn make_key(&self, name: &str, kind: Kind) {
        let pkcs8: &[&str] = match kind {
            Kind::Ecdsa | Kind::EcdsaSec1 => &["EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
            Kind::Rsa | Kind::RsaPkcs1 => &["RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
            Kind::Ed25519 => &["ED25519"],
        };
        self.openssl(&[&["genpkey", "-out", name, "-algorithm"], pkcs8].concat());
        if matches!(kind, Kind::EcdsaSec1 | Kind::RsaPkcs1) {
            let new = format!("{name}.old");
            self.openssl(&["pkey", "-traditional", "-in", name, "-out", &new]);
            std::fs::rename(self.file(&new), self.file(name)).unwrap();
        }
    }

    /// Runs one of its commands in the folder.
    pub(crate) fn openssl(&self, arguments: &[&str]) {
        let output = Command::new("openssl")
            .args(arguments)
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {arguments:?}: {error}");
    }

    /// A file of its folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Identity {
    /// Lets these files take the place of those that a server reads, one after the other.
    pub(crate) fn replace(&self, other: &Identity) {
        std::fs::copy(&other.cert, &self.cert).unwrap();
        std::fs::copy(&other.key, &self.key).unwrap();
    }

    /// `[http.tls]` with these files, or another section with these names of the two.
    pub(crate) fn section(&self, section: &str, names: [&str; 2]) -> String {
        format!(
            "[{section}]\n{} = {}\n{} = {}\n",
            names[0],
            quoted(&self.cert),
            names[1],
            quoted(&self.key)
        )
    }
}

/// A path as TOML and other languages write it.
pub(crate) fn quoted(path: &Path) -> String {
    format!("{path:?}")
}

/// The moment so many days from now, as `openssl ca` takes it.
fn days(count: i64) -> String {
    let distance = DAY * u32::try_from(count.unsigned_abs()).unwrap();
    let now = SystemTime::now();
    let time = if count < 0 { now - distance } else { now + distance };
    humantime::format_rfc3339_seconds(time).to_string().replace(['-', ':', 'T'], "")
}
