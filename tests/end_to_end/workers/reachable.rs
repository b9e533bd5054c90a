//! Where nobody can be asked, that is said, and nothing is made up.

use super::{check, config, function, shown};
use crate::support::{Bridge, Nats, ports};
use serde_json::Value;

/// A server whose user may do everything but ask services.
const FORBIDDEN: &str = r#"
    authorization {
      users = [{user: u, password: p, permissions: {publish: {deny: ["$SRV.>"]}}}]
    }
"#;

#[tokio::test]
async fn what_is_forbidden_is_no_missing_worker() {
    let Some(nats) = Nats::start_with(FORBIDDEN).await else { return };
    let url = nats.url().replace("nats://", "nats://u:p@");
    let bridge = Bridge::config(config()).nats_at(&url).start_ready().await;
    let report = shown(&bridge, |_| true).await;
    let problem = report["problems"][0].as_str().unwrap();
    assert!(problem.contains("nothing came back from `$SRV.INFO`"), "{problem}");
    assert!(problem.contains("permissions to publish to `$SRV.>`"), "{problem}");
    assert_eq!(function(&report, "weather")["warning"], Value::Null);

    let config = format!(
        "[http]\nmax_body = \"1MiB\"\n[nats]\nservers = [\"{url}\"]\n[[nats.stream]]\nname = \"J\"\nsubjects = [\"hook.jobs.>\"]\n{}",
        config()
    );
    let output = check(&config).await;
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(
        output
            .stderr
            .contains("warning: nats: who answers can't be told for sure: nothing came back")
    );
    assert!(!output.stderr.contains("no worker that NATS micro shows"), "{}", output.stderr);
    assert!(!bridge.log().contains(":p@"));
}

#[tokio::test]
async fn without_a_server_there_is_an_error_and_no_list() {
    let dead = format!("nats://u:opensesame@127.0.0.1:{}", ports::free());
    let bridge = Bridge::config(config()).nats_at(&dead).start().await;
    let answer = bridge.admin("/workers").await;
    assert_eq!(answer.status, 503);
    assert!(
        answer.text().contains("NATS can't be asked for workers: 127.0.0.1:"),
        "{}",
        answer.text()
    );
    assert!(!answer.text().contains("opensesame"), "{}", answer.text());

    let bridge =
        Bridge::config(config()).kafka_at(&format!("127.0.0.1:{}", ports::free())).start().await;
    let answer = bridge.admin("/workers").await;
    assert_eq!(answer.status, 404);
    assert!(answer.text().contains("without [nats]"), "{}", answer.text());
}
