//! What `hookbus check` says of certificates and keys.

use crate::support::bridge::run;
use crate::support::certificates::{Kind, quoted};
use crate::support::process::Output;
use crate::support::{Authority, Identity};
use crate::support::{DROP, HOOK};
use std::os::unix::fs::PermissionsExt;

async fn check(tables: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hookbus.toml");
    let nats = if tables.contains("[nats]") { "" } else { "[nats]" };
    std::fs::write(&file, format!("{tables}\n{nats}\n{HOOK}{DROP}")).unwrap();
    run(&["check", "--config", file.to_str().unwrap()]).await
}

#[tokio::test]
async fn every_mistake_with_certificates_is_explained() {
    let Some(authority) = Authority::new("test authority") else { return };
    let good = authority.sign("good");
    let file = |name: &str, text: &str| {
        let path = authority.file(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        path
    };
    let empty = file("empty", "");
    authority.openssl(&[
        "pkey",
        "-in",
        good.key.to_str().unwrap(),
        "-aes256",
        "-passout",
        "pass:hunter2",
        "-out",
        "locked",
    ]);
    authority.openssl(&[
        "rsa",
        "-in",
        authority.sign_kind("rsa", Kind::Rsa).key.to_str().unwrap(),
        "-traditional",
        "-aes256",
        "-passout",
        "pass:hunter2",
        "-out",
        "locked-rsa",
    ]);
    let text = std::fs::read_to_string(&good.cert).unwrap();
    let cut = file("cut", &text[..text.len() / 2]);
    let open = file("open", &std::fs::read_to_string(&good.key).unwrap());
    std::fs::set_permissions(&open, PermissionsExt::from_mode(0o644)).unwrap();

    let gone = authority.file("gone");
    let pair = |cert: &std::path::Path, key: &std::path::Path| Identity {
        cert: cert.to_owned(),
        key: key.to_owned(),
    };
    for (identity, severity, said) in [
        (pair(&gone, &good.key), "error", "`cert`: the file `"),
        (pair(&good.cert, &gone), "error", "gone` can't be opened: entity not found"),
        (pair(&empty, &good.key), "error", "`cert`: the file holds no certificate"),
        (pair(&good.key, &good.key), "error", "`cert`: the file holds no certificate"),
        (pair(&cut, &good.key), "error", "`cert`: the file is not PEM"),
        (pair(&good.cert, &empty), "error", "`key`: the file holds no private key"),
        (pair(&good.cert, &authority.file("locked")), "error", "`key`: the key is encrypted"),
        (pair(&good.cert, &authority.file("locked-rsa")), "error", "`key`: the key is encrypted"),
        (
            pair(&good.cert, &authority.sign("other").key),
            "error",
            "`key`: the key doesn't belong to the certificate",
        ),
        (authority.sign_between("old", -9, -2), "warning", "`cert`: the certificate expired at 2"),
        (
            authority.sign_between("nearly", -60, 9),
            "warning",
            "`cert`: the certificate expires at 2",
        ),
        (
            authority.sign_between("early", 2, 60),
            "warning",
            "`cert`: the certificate isn't valid before 2",
        ),
        (
            pair(&good.cert, &open),
            "warning",
            "`key`: every user of this machine may read the private key",
        ),
    ] {
        for section in ["http.tls", "admin.tls"] {
            let output = check(&identity.section(section, ["cert", "key"])).await;
            let code = if severity == "error" { Some(2) } else { Some(0) };
            assert_eq!(output.code, code, "{output:?}");
            let lines: Vec<&str> = output.stderr.lines().collect();
            let severity = format!(": {severity}: ");
            assert!(lines[0].contains(&severity) && lines[0].contains(said), "{said}: {output:?}");
            assert!(lines[1].starts_with("  hint: ") && lines.len() == 2, "{output:?}");
            assert!(!output.stderr.contains("hunter2"));
        }
    }

    let tls = good.section("http.tls", ["cert", "key"]);
    for (ca, said) in [
        (&gone, "can't be opened"),
        (&empty, "the file holds no certificate"),
        (&good.key, "the file holds no certificate"),
    ] {
        let output = check(&format!("{tls}client_ca = {}", quoted(ca))).await;
        assert!(output.code == Some(2) && output.stderr.contains("`client_ca`: "), "{output:?}");
        assert!(output.stderr.contains(said), "{output:?}");
    }
    let output = check(&format!("{tls}client_ca = {}", quoted(&authority.cert()))).await;
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""));
    // Both files of a pair at once.
    let output = check(&pair(&empty, &empty).section("http.tls", ["cert", "key"])).await;
    assert_eq!(output.stderr.matches(": error: ").count(), 2, "{output:?}");
}

#[tokio::test]
async fn the_files_for_nats_are_looked_at_as_well() {
    let Some(authority) = Authority::new("test authority") else { return };
    let (good, other) = (authority.sign("good"), authority.sign("other"));
    let mixed = Identity { cert: good.cert.clone(), key: other.key };
    let output = check(&mixed.section("nats", ["tls_cert", "tls_key"])).await;
    assert_eq!(output.code, Some(2));
    assert!(output.stderr.contains("`tls_key`: the key doesn't belong to the certificate"));
    let output = check(&format!("[nats]\ntls_ca = {}\n", quoted(&good.key))).await;
    assert!(output.stderr.contains("`tls_ca`: the file holds no certificate"), "{output:?}");
    let output =
        check(&authority.sign_between("old", -9, -2).section("nats", ["tls_cert", "tls_key"]))
            .await;
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(output.stderr.contains("`tls_cert`: the certificate expired at 2"), "{output:?}");
    let output = check(&good.section("nats", ["tls_cert", "tls_key"])).await;
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""));
}
