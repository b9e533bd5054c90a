//! Servers of NATS that demand TLS, certificates or credentials.

use crate::support::certificates::quoted;
use crate::support::{Authority, Bridge, Identity, Nats, eventually};
use crate::support::{DROP, HOOK};
use nkeys::KeyPair;
use serde_json::json;
use std::path::Path;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(15);
const QUESTION: &str = r#"{"message":{"type":"assistant-request","call":{"id":"call-1"}}}"#;

/// A bridge whose `[nats]` holds these lines.
async fn bridge(nats: &Nats, lines: &str) -> Bridge {
    let nats_table = format!("[nats]\nservers = [\"{{nats}}\"]\n{lines}\n");
    Bridge::config(format!("{nats_table}{HOOK}{DROP}")).nats(nats).without_spool().start().await
}

/// Waits until both connections are there, and asks something.
async fn connected(bridge: &Bridge) {
    eventually("a connection", SOON, async || {
        let ready = bridge.admin("/readyz").await;
        (ready.status == 200 && ready.text().contains("nats: connected\n")).then_some(())
    })
    .await;
    let ready = bridge.admin("/readyz").await;
    assert!(!ready.text().contains("problem: nats"), "{}", ready.text());
    let answer = bridge.post("/hook", QUESTION, &[]).await;
    assert_eq!(answer.header("hookbus-outcome"), Some("no-responders"), "{}", bridge.log());
}

/// Waits until the log and `/readyz` say why there is no connection.
async fn refused(bridge: &Bridge, why: &str) {
    let problems =
        ["events", "questions"].map(|role| format!("problem: nats ({role}): 127.0.0.1:"));
    eventually(&format!("{why:?} in /readyz and in the log"), SOON, async || {
        let ready = bridge.admin("/readyz").await;
        let text = ready.text();
        let is_down = text.contains("nats: down (events, questions)");
        let is_said = text.matches(why).count() >= 2 && bridge.log().contains(why);
        (is_down && is_said && problems.iter().all(|problem| text.contains(problem))).then_some(())
    })
    .await;
}

/// Not even by accident.
async fn says_nothing_of(bridge: &Bridge, secret: &str) {
    let (log, ready) = (bridge.log(), bridge.admin("/readyz").await);
    assert!(!log.contains(secret) && !ready.text().contains(secret), "{log}\n{}", ready.text());
}

/// Refused first, then let in by a server that changed its mind.
async fn refused_then_accepted(lines: &str, wrong: &str, right: &str, why: &str, secret: &str) {
    let Some(mut nats) = Nats::start_with(wrong).await else { return };
    let bridge = bridge(&nats, lines).await;
    refused(&bridge, why).await;
    says_nothing_of(&bridge, secret).await;
    nats.restart_with(right).await;
    connected(&bridge).await;
    nats.restart_with(wrong).await;
    refused(&bridge, why).await;
    nats.restart_with(right).await;
    connected(&bridge).await;
    says_nothing_of(&bridge, secret).await;
}

const REFUSED: &str = "the server refuses these credentials (authorization violation)";

#[tokio::test]
async fn by_user_and_password() {
    refused_then_accepted(
        "user = \"hookbus\"\npassword = \"hunter2-hunter2\"",
        "authorization { user: hookbus, password: another }",
        "authorization { user: hookbus, password: hunter2-hunter2 }",
        REFUSED,
        "hunter2",
    )
    .await;
}

#[tokio::test]
async fn by_token() {
    refused_then_accepted(
        "token = \"hunter2-hunter2\"",
        "authorization { token: another }",
        "authorization { token: hunter2-hunter2 }",
        REFUSED,
        "hunter2",
    )
    .await;
}

#[tokio::test]
async fn by_nkey() {
    let (user, other) = (KeyPair::new_user(), KeyPair::new_user());
    let seed = user.seed().unwrap();
    let known = |pair: &KeyPair| {
        format!("authorization {{ users: [ {{ nkey: {} }} ] }}", pair.public_key())
    };
    refused_then_accepted(
        &format!("nkey = \"{seed}\""),
        &known(&other),
        &known(&user),
        REFUSED,
        &seed,
    )
    .await;
}

/// In the address, as some write it.
#[tokio::test]
async fn by_the_address() {
    let login = "authorization { user: hookbus, password: hunter2-hunter2 }";
    let Some(nats) = Nats::start_with(login).await else { return };
    let with = |password: &str| {
        let url = nats.url().replace("nats://", &format!("nats://hookbus:{password}@"));
        Bridge::config(format!("{HOOK}{DROP}")).nats_at(&url).without_spool()
    };
    let bridge = with("hunter2-hunter2").start().await;
    connected(&bridge).await;
    let bridge = with("wrong-hunter2").start().await;
    refused(&bridge, REFUSED).await;
    says_nothing_of(&bridge, "hunter2").await;
}

/// Operator, account and user as the tools of NATS make them: signed JWTs.
struct Operator {
    pair: KeyPair,
    account: KeyPair,
    system: KeyPair,
}

impl Operator {
    fn new() -> Operator {
        Operator {
            pair: KeyPair::new_operator(),
            account: KeyPair::new_account(),
            system: KeyPair::new_account(),
        }
    }

    /// What the server is told.
    fn config(&self) -> String {
        let own = self.pair.public_key();
        let operator = jwt(&self.pair, &own, &json!({"type": "operator", "version": 2}));
        let limits = json!({"subs": -1, "conn": -1, "leaf": -1, "imports": -1, "exports": -1, "data": -1,
            "payload": -1, "wildcards": true, "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1});
        let account = |pair: &KeyPair, limits: &serde_json::Value| {
            let claims = json!({"type": "account", "version": 2, "limits": limits});
            let key = pair.public_key();
            format!("{key}: {}\n", jwt(&self.pair, &key, &claims))
        };
        let mut no_storage = limits.clone();
        no_storage["mem_storage"] = json!(0);
        no_storage["disk_storage"] = json!(0);
        format!(
            "operator: {operator}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload: {{\n{}{}}}",
            self.system.public_key(),
            account(&self.account, &limits),
            account(&self.system, &no_storage),
        )
    }

    /// The `.creds` file of a user of the account.
    fn credentials(&self, user: &KeyPair) -> String {
        let claims = json!({"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1});
        let jwt = jwt(&self.account, &user.public_key(), &claims);
        let seed = user.seed().unwrap();
        format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
             ************************* IMPORTANT *************************\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        )
    }
}

fn jwt(issuer: &KeyPair, subject: &str, claims: &serde_json::Value) -> String {
    let part = |json: serde_json::Value| base64url(json.to_string().as_bytes());
    let body = json!({"jti": subject, "iat": 1_700_000_000, "iss": issuer.public_key(), "name": "test",
        "sub": subject, "nats": claims});
    let signed = format!("{}.{}", part(json!({"typ": "JWT", "alg": "ed25519-nkey"})), part(body));
    let signature = issuer.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", base64url(&signature))
}

fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digits = bytes.chunks(3).flat_map(|chunk| {
        let bits = chunk.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        (0..=chunk.len()).map(move |at| char::from(DIGITS[(bits >> (18 - 6 * at)) as usize & 63]))
    });
    digits.collect()
}

#[tokio::test]
async fn by_a_file_of_credentials() {
    let operator = Operator::new();
    let Some(nats) = Nats::start_with(&operator.config()).await else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hookbus.creds");
    let lines = format!("credentials = {}", quoted(&file));
    let user = KeyPair::new_user();
    // Somebody else's operator signed this one.
    let strange = Operator::new().credentials(&user);
    std::fs::write(&file, &strange).unwrap();
    let bridge = bridge(&nats, &lines).await;
    refused(&bridge, REFUSED).await;
    std::fs::write(&file, "nothing").unwrap();
    refused(&bridge, "the credentials file holds no USER NKEY SEED").await;
    // It is read at each attempt.
    std::fs::write(&file, operator.credentials(&user)).unwrap();
    connected(&bridge).await;
    says_nothing_of(&bridge, &user.seed().unwrap()).await;
    says_nothing_of(&bridge, strange.lines().nth(1).unwrap()).await;
}

/// What nats-server is to demand: TLS, and certificates of clients where an authority is named.
fn tls(server: &Identity, clients: Option<&Path>) -> String {
    let clients = clients.map_or(String::new(), |ca| format!("ca_file: {ca:?}, verify: true"));
    format!("tls {{ cert_file: {:?}, key_file: {:?}, {clients} }}", server.cert, server.key)
}

#[tokio::test]
async fn over_tls() {
    let Some(authority) = Authority::new("test authority") else { return };
    let Some(strangers) = Authority::new("test authority") else { return };
    let ca = format!("tls_ca = {}", quoted(&authority.cert()));
    let right = tls(&authority.sign("nats"), None);
    for (wrong, why) in [
        (
            tls(&strangers.sign("nats"), None),
            "the server's certificate is signed by no authority that is trusted here",
        ),
        (
            tls(&authority.sign_between("nats", -9, -2), None),
            "the server's certificate has expired",
        ),
        // Without TLS nothing is sent.
        (String::new(), "127.0.0.1:"),
    ] {
        refused_then_accepted(&ca, &wrong, &right, why, "PRIVATE").await;
    }
    // Nobody asked for an authority of its own: the system's don't know this one.
    let Some(nats) = Nats::start_with(&right).await else { return };
    let unknown = bridge(&nats, "").await;
    refused(&unknown, "signed by no authority that is trusted here").await;
}

#[tokio::test]
async fn with_a_client_certificate() {
    let Some(authority) = Authority::new("test authority") else { return };
    let Some(strangers) = Authority::new("other authority") else { return };
    let demanding = tls(&authority.sign("nats"), Some(&authority.cert()));
    let Some(nats) = Nats::start_with(&demanding).await else { return };
    let ca = format!("tls_ca = {}\n", quoted(&authority.cert()));
    let own = authority.sign_between("client", -9, -2);
    let lines = ca.clone() + &own.section("nats", ["tls_cert", "tls_key"]).replace("[nats]\n", "");
    let bridge = bridge(&nats, &lines).await;
    refused(&bridge, "the server refuses the client certificate").await;
    own.replace(&strangers.sign("client"));
    eventually("another attempt", SOON, async || {
        nats.log().contains("unknown authority").then_some(())
    })
    .await;
    // The files are read at each attempt.
    own.replace(&authority.sign("client"));
    connected(&bridge).await;

    let nobody = self::bridge(&nats, &ca).await;
    refused(&nobody, "the server wants a client certificate").await;
}
