//! Real services, beside what is configured and what was asked.

use super::{check, config, function, shown};
use crate::http::tool_calls;
use crate::support::worker::serve;
use crate::support::{Bridge, Nats, Reply, Worker};
use serde_json::{Value, json};

#[tokio::test]
async fn workers_stand_beside_their_functions() {
    let Some(nats) = Nats::start().await else { return };
    let bridge = Bridge::config(config()).nats(&nats).start_ready().await;
    let _weather = serve(&nats, "weather", "q", "hook.tool.weather").await;
    let _second = serve(&nats, "weather", "q", "hook.tool.weather").await;
    let _alarm = serve(&nats, "alarm", "q", "hook.tool.set_alarm").await;
    let _stray = serve(&nats, "stray", "mine", "hook.tool.book").await;
    let _other = serve(&nats, "other", "q", "elsewhere.x").await;
    let _broken = serve(&nats, "broken", "q", "hook.tool.broken").await;
    // One that NATS micro doesn't know answers, and can't be seen.
    let plain = Worker::start(&nats, "hook.tool.plain", |_| Reply::text("ok")).await;
    for _ in 0..4 {
        let calls = tool_calls(&["weather", "broken", "plain", "nobody\n"]);
        bridge.post("/hook", calls, &[]).await;
    }

    let asked = |report: &Value| {
        let workers = function(report, "weather")["workers"].as_array().unwrap();
        let requests = workers.iter().map(|worker| worker["requests"].as_u64().unwrap_or(0));
        // The answers to tool calls that come again are used again.
        workers.len() == 2 && requests.sum::<u64>() == 1
    };
    let report = shown(&bridge, asked).await;
    let weather = &function(&report, "weather")["workers"][0];
    assert_eq!(weather["service"], "weather");
    assert_eq!(weather["version"], "1.2.3");
    assert_eq!(weather["queue_group"], "q");
    assert_eq!(weather["subject"], "hook.tool.weather");
    assert!(
        !weather["id"].as_str().unwrap().is_empty() && weather["average_milliseconds"].is_f64()
    );
    assert_eq!(function(&report, "weather")["warning"], Value::Null);
    assert_eq!(function(&report, "set_*")["workers"][0]["service"], "alarm");
    let book = function(&report, "book");
    let warning = book["warning"].as_str().unwrap();
    assert!(warning.contains("`stray`") && warning.contains("queue group `mine`"), "{warning}");
    let nobody = "no worker that NATS micro shows";
    assert_eq!(function(&report, "assistant-request")["warning"], nobody);

    // What was asked, and isn't configured.
    let broken = &function(&report, "broken")["workers"][0];
    assert_eq!((&broken["requests"], &broken["errors"]), (&json!(1), &json!(1)));
    assert!(broken["last_error"].as_str().unwrap().contains("no"), "{broken}");
    for name in ["plain", "nobody\n"] {
        let function = function(&report, name);
        assert_eq!((&function["warning"], &function["workers"]), (&nobody.into(), &json!([])));
    }
    assert_eq!(function(&report, "nobody\n")["subject"], "hook.tool.nobody%0A");
    let others = report["others"].as_array().unwrap();
    assert_eq!(others.len(), 1);
    assert_eq!(others[0]["service"], "other");
    assert_eq!(report["problems"], json!([]));
    assert_eq!(plain.questions().len(), 1, "asking for workers calls none");
}

#[tokio::test]
async fn check_names_workers_and_those_that_are_missing() {
    let Some(nats) = Nats::start().await else { return };
    nats.create_stream("JOBS", &["hook.jobs.>"]).await;
    let _weather = serve(&nats, "weather", "q", "hook.tool.*").await;
    let _stray = serve(&nats, "stray", "mine", "hook.tool.book").await;
    let config = format!(
        "[http]\nmax_body = \"1MiB\"\n[nats]\nservers = [\"{}\"]\n{}",
        nats.url(),
        config()
    );
    let output = check(&config).await;
    assert_eq!(output.code, Some(0), "{output:?}");
    for text in [
        "warning: nats: `assistant-request` (`hook.ask.assistant-request`) has no worker that NATS micro shows\n  hint: start one",
        "warning: nats: `book` (`hook.tool.book`): `stray` (",
        "in the queue group `mine`",
    ] {
        assert!(output.stderr.contains(text), "{text}\nin\n{}", output.stderr);
    }
    assert!(!output.stderr.contains("`weather` ("), "{}", output.stderr);
    for text in [
        "\nnats: hook `weather`: weather 1.2.3 (",
        "in `q`, 0 requests, 0 errors, 0.0 ms on average",
        "\nnats: hook `set_*`: weather 1.2.3 (",
        "\nnats: hook `assistant-request`: no worker that can be seen",
    ] {
        assert!(output.stdout.contains(text), "{text}\nin\n{}", output.stdout);
    }
}

#[tokio::test]
async fn a_reload_changes_what_is_asked_for() {
    let Some(nats) = Nats::start().await else { return };
    let mut bridge = Bridge::config(config()).nats(&nats).start_ready().await;
    shown(&bridge, |report| report["functions"].as_array().unwrap().len() == 4).await;
    bridge.configure(&config().to_string().replace("\"book\"", "\"read\", \"write\""));
    let client = crate::support::http::Client::new();
    assert_eq!(client.post(&bridge.admin_url("/reload"), "", &[]).await.status, 200);
    let report = shown(&bridge, |report| report["functions"].as_array().unwrap().len() == 5).await;
    assert_eq!(function(&report, "write")["subject"], "hook.tool.write");
}
