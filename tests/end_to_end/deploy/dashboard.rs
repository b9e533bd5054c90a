//! Every query of the dashboard, asked of a real Prometheus that scrapes a real bridge under load.

use super::metrics::{Query, dashboard};
use super::{list, packaged, read, text};
use crate::support::http::Client;
use crate::support::process::Process;
use crate::support::{Bridge, Nats, Reply, Worker, endpoint, eventually, ports};
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use std::time::Duration;

const START: Duration = Duration::from_secs(30);
const SECRET: (&str, &str) = ("x-vapi-secret", "of-this-test");

struct Prometheus {
    _process: Process,
    url: String,
    client: Client,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    /// With the configuration and the alerts of `deploy/`, but more often, and asking this bridge.
    async fn start(bridge: &Bridge) -> Option<Prometheus> {
        let program = packaged("prometheus", "prometheus")?;
        let folder = tempfile::tempdir().unwrap();
        let config = read("deploy/prometheus/prometheus.yml");
        let changed = config
            .replace("hookbus:9180", &bridge.admin_address())
            .replace("scrape_interval: 5s", "scrape_interval: 250ms")
            .replace("evaluation_interval: 15s", "evaluation_interval: 1s");
        assert_eq!(
            changed.matches("250ms").count() + changed.matches(": 1s").count(),
            2,
            "{config}"
        );
        std::fs::write(folder.path().join("prometheus.yml"), changed).unwrap();
        std::fs::write(folder.path().join("alerts.yaml"), read("deploy/prometheus/alerts.yaml"))
            .unwrap();
        let port = ports::free();
        let mut command = Command::new(program);
        command
            .arg(format!("--config.file={}", folder.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let process = Process::start(&mut command, Some(folder.path()));
        let url = format!("http://127.0.0.1:{port}");
        let client = Client::new();
        let prometheus = Prometheus { _process: process, url, client, _folder: folder };
        eventually("Prometheus", START, async || {
            let url = format!("{}/-/ready", prometheus.url);
            (prometheus.client.try_get(&url).await.ok()?.status == 200).then_some(())
        })
        .await;
        Some(prometheus)
    }

    /// The values that a query gives now; those that are no number are left out.
    async fn ask(&self, query: &str) -> Vec<f64> {
        let query: String =
            form_urlencoded::Serializer::new(String::new()).append_pair("query", query).finish();
        let answer = self.client.get(&format!("{}/api/v1/query?{query}", self.url)).await.json();
        assert_eq!(text(&answer, "/status"), "success", "{query}: {answer}");
        let values = list(&answer, "/data/result").iter();
        let values = values.map(|series| text(series, "/value/1").parse::<f64>().unwrap());
        values.filter(|value| !value.is_nan()).collect()
    }

    /// The alerts as it has evaluated them last.
    async fn rules(&self) -> Vec<Value> {
        let answer = self.client.get(&format!("{}/api/v1/rules", self.url)).await.json();
        list(&answer, "/data/groups/0/rules").to_vec()
    }
}

/// The queries as Grafana sends them, with all variables at what they are at first.
fn queries() -> Vec<Query> {
    let board: Value = serde_json::from_str(&read("deploy/grafana/hookbus.json")).unwrap();
    let mut variables = vec![("$__rate_interval".to_owned(), "5s".to_owned())];
    for variable in list(&board, "/templating/list") {
        let value = match text(variable, "/type") {
            "query" => text(variable, "/allValue"),
            "textbox" => text(variable, "/query"),
            "datasource" => continue,
            other => panic!("a variable of type {other}"),
        };
        variables.push((format!("${}", text(variable, "/name")), value.to_owned()));
    }
    let mut queries = dashboard();
    for query in &mut queries {
        for (name, value) in &variables {
            query.expression = query.expression.replace(name.as_str(), value);
        }
        assert!(!query.expression.contains('$'), "a variable that doesn't exist: {query:?}");
    }
    queries
}

fn tool_call(id: &str, function: &str) -> String {
    let call = json!({ "id": id, "function": { "name": function, "arguments": {} } });
    json!({ "message": { "type": "tool-calls", "call": { "id": "call" }, "toolCallList": [call] } })
        .to_string()
}

fn event(kind: &str) -> String {
    json!({ "message": { "type": kind, "call": { "id": "call" } } }).to_string()
}

/// Something of everything that is counted. The second of two equal calls gets the answer of the first.
async fn load(bridge: &mut Bridge, round: usize) {
    for kind in ["status-update", "end-of-call-report", "transcript"] {
        let stored = bridge.post("/vapi", event(kind), &[SECRET]).await;
        assert!([200, 202].contains(&stored.status), "{kind}: {stored:?}");
    }
    for function in ["book", "book", "slow"] {
        let asked =
            bridge.post("/vapi", tool_call(&format!("{function}-{round}"), function), &[SECRET]);
        assert_eq!(asked.await.status, 200, "{function}");
    }
    let stranger = bridge.post("/vapi", event("status-update"), &[]).await;
    assert_eq!(stranger.status, 401);
    assert_eq!(bridge.post("/nowhere", "", &[]).await.status, 404);
    bridge.signal("HUP");
}

#[tokio::test]
async fn every_query_of_the_dashboard_returns_data() {
    let Some(nats) = Nats::start().await else { return };
    nats.create_stream("VAPI", &["vapi.events.>"]).await;
    let vapi = endpoint("vapi").secrets(&[SECRET.1]).tables(
        "[[endpoint.event]]\ntypes = [\"transcript\"]\nto = [\"nats:nowhere.{type}\"]\n\
         [[endpoint.event]]\ntypes = [\"end-of-call-report\"]\nto = [\"nats:talked-over.{type}\"]\n\
         [[endpoint.tool]]\nnames = [\"slow\"]\ntimeout = \"50ms\"\n\
         [[endpoint.tool]]\nnames = [\"book\"]",
    );
    let mut bridge =
        Bridge::config(format!("[log]\nlevel = \"error\"\n{vapi}")).nats(&nats).start_ready().await;
    let Some(prometheus) = Prometheus::start(&bridge).await else { return };
    let _book = Worker::start(&nats, "vapi.tool.book", |_| Reply::text("booked")).await;
    let late = |_: &_| Reply::text("late").after(Duration::from_millis(100));
    let _slow = Worker::start(&nats, "vapi.tool.slow", late).await;
    // What isn't JetStream answers an event before the acknowledgement, which is played.
    let both =
        |_: &_| Reply::text("thanks").then(Reply::json(&json!({ "stream": "PLAYED", "seq": 1 })));
    let _talker = Worker::start(&nats, "talked-over.>", both).await;
    let mut left = queries();
    assert!(left.len() > 30, "{}", left.len());
    let mut round = 0;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while !left.is_empty() {
        assert!(tokio::time::Instant::now() < deadline, "no data after a minute: {left:#?}");
        load(&mut bridge, round).await;
        round += 1;
        let mut empty = Vec::new();
        for query in left {
            if prometheus.ask(&query.expression).await.is_empty() {
                empty.push(query);
            }
        }
        left = empty;
    }
    // The alerts are evaluated without an error, and one of them has seen what is wrong here.
    let rules = prometheus.rules().await;
    assert!(rules.len() > 10, "{rules:?}");
    for rule in &rules {
        assert_eq!(text(rule, "/health"), "ok", "{rule}");
    }
    eventually("an alert for events that nothing takes", START, async || {
        let rules = prometheus.rules().await;
        let rule = rules.iter().find(|rule| text(rule, "/name") == "HookbusNothingTakes").unwrap();
        let destination = rule.pointer("/alerts/0/labels/destination")?;
        (destination == "nats:nowhere.{type}").then_some(())
    })
    .await;
}
