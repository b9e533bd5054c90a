//! What the page is made of, and what it asks, without a browser.

use super::{bridge, event, some_of_everything};
use crate::support::{Bridge, HOOK, Nats, endpoint, eventually, nats, ports};
use http::Method;
use serde_json::{Value, json};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn the_page_and_its_files_are_there() {
    let Some(nats) = nats::shared().await else { return };
    let bridge = Bridge::config(HOOK).nats(nats).start_ready().await;
    let page = bridge.admin("/").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    let policy = page.header("content-security-policy").unwrap();
    for part in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    let files = page.text().split("/console/").skip(1).map(|rest| rest.split('"').next().unwrap());
    for file in files {
        let answer = bridge.admin(&format!("/console/{file}")).await;
        assert_eq!(answer.status, 200, "{file}");
        let zipped = [("accept-encoding", "br, gzip;q=0.8")];
        let url = bridge.admin_url(&format!("/console/{file}"));
        let zipped = bridge.client().request(Method::GET, &url, "", &zipped).await;
        assert_eq!(zipped.header("content-encoding"), Some("gzip"), "{file}");
        let plain = [("accept-encoding", "gzip;q=0, identity")];
        let plain = bridge.client().request(Method::GET, &url, "", &plain).await;
        assert_eq!((plain.status, plain.header("content-encoding")), (200, None), "{file}");
    }
    for unknown in ["/console/nothing.js", "/console/..%2Fguard.rs", "/console/", "/nothing"] {
        assert_eq!(bridge.admin(unknown).await.status, 404, "{unknown}");
    }
    // Nothing to try, nor to try it with, outside of `hookbus dev`.
    assert_eq!(bridge.admin("/samples").await.status, 404);
    let tried = bridge.client().post(&bridge.admin_url("/try/hook"), "{}", &[]).await;
    assert_eq!(tried.status, 404);
}

/// A page of somebody else, or a name that somebody else can point here.
#[tokio::test]
async fn others_get_nothing() {
    let Some(nats) = nats::shared().await else { return };
    let bridge = Bridge::config(HOOK).nats(nats).start_ready().await;
    let status = async |method: Method, path: &str, headers: &[(&str, &str)]| {
        bridge.client().request(method, &bridge.admin_url(path), "", headers).await.status
    };
    let own = format!("http://{}", bridge.admin_address());
    let (get, post) = (Method::GET, Method::POST);
    let drop = "/dead-letters/drop?all=true";
    for path in ["/", "/console/main.js", "/recent", "/history", "/routes", "/status"] {
        assert_eq!(status(get.clone(), path, &[("host", "console.example:9180")]).await, 403);
        assert_eq!(status(get.clone(), path, &[]).await, 200, "{path}");
    }
    for headers in [&[][..], &[("origin", &*own), ("sec-fetch-site", "same-origin")]] {
        assert_eq!(status(post.clone(), drop, headers).await, 200, "{headers:?}");
    }
    for headers in [
        &[("origin", "https://elsewhere.example")][..],
        &[("origin", "null")],
        &[("origin", "http://localhost")],
        &[("sec-fetch-site", "cross-site")],
        &[("origin", &*own), ("sec-fetch-site", "same-site")],
        &[("origin", "http://rebound.example"), ("host", "rebound.example")],
    ] {
        assert_eq!(status(post.clone(), drop, headers).await, 403, "{headers:?}");
        assert_eq!(status(get.clone(), "/tail", headers).await, 403, "{headers:?}");
    }
}

#[tokio::test]
async fn the_last_webhooks_are_found() {
    let Some(nats) = Nats::start().await else { return };
    let bridge = bridge(&nats).await;
    some_of_everything(&bridge).await;
    let id = bridge.post("/hook", event("status-update", "call-8"), &[]).await;
    let id = id.header("hookbus-id").unwrap().to_owned();
    bridge.post("/nowhere", "{}", &[]).await;
    let recent = async |query: &str| {
        let answer = bridge.admin(&format!("/recent{query}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["webhooks"].as_array().unwrap().clone()
    };
    let all =
        eventually("all of them", SOON, async || Some(recent("").await).filter(|it| it.len() == 5))
            .await;
    // The newest first, and without bodies.
    assert_eq!(all[0]["reason"], "no-such-path");
    assert_eq!((&all[1]["key"], &all[1]["id"]), (&json!("call-8"), &json!(id)));
    assert!(all.iter().all(|webhook| webhook["body"].is_null()));
    assert_eq!(recent(&format!("?id={id}")).await, [all[1].clone()]);
    assert_eq!(recent("?key=call-8").await.len(), 1);
    assert_eq!(recent("?type=status-*").await.len(), 2);
    assert_eq!(recent("?outcome=fallback").await[0]["questions"][0]["function"], "book");
    assert_eq!(recent("?limit=2").await.len(), 2);
    for wrong in ["?limit=x", "?color=red"] {
        assert_eq!(bridge.admin(&format!("/recent{wrong}")).await.status, 400, "{wrong}");
    }
}

/// As many as configured; those that nobody asked for aren't kept.
#[tokio::test]
async fn webhooks_are_kept_from_the_first_look_on() {
    let nowhere = format!("nats://127.0.0.1:{}", ports::free());
    let config = |recent| format!("[tail]\nrecent = {recent}\n{}", endpoint("hook").events_to(&[]));
    let mut bridge = Bridge::config(config(3)).nats_at(&nowhere).start().await;
    let post = async |bridge: &Bridge, key: &str| {
        assert_eq!(bridge.post("/hook", event("a", key), &[]).await.status, 200);
    };
    let keys = async |bridge: &Bridge| -> Vec<Value> {
        let answer = bridge.admin("/recent").await.json();
        answer["webhooks"].as_array().unwrap().iter().map(|it| it["key"].clone()).collect()
    };
    post(&bridge, "before").await;
    assert_eq!(keys(&bridge).await, [json!(null); 0]);
    for key in ["1", "2", "3", "4"] {
        post(&bridge, key).await;
    }
    eventually("the last three", SOON, async || {
        (keys(&bridge).await == ["4", "3", "2"]).then_some(())
    })
    .await;
    bridge.configure(&config(0));
    let reloaded = bridge.client().post(&bridge.admin_url("/reload"), "", &[]).await;
    assert_eq!(reloaded.status, 200, "{}", reloaded.text());
    assert_eq!(bridge.admin("/recent").await.json()["kept"], 0);
}

#[tokio::test]
async fn history_has_what_happened_in_each_step() {
    let Some(nats) = Nats::start().await else { return };
    let bridge = bridge(&nats).await;
    some_of_everything(&bridge).await;
    let history = async |after: u64| {
        bridge.admin(&format!("/history?after={after}")).await.json()["steps"].clone()
    };
    let steps = eventually("a step", SOON, async || {
        let steps = history(0).await;
        steps.as_array().is_some_and(|steps| !steps.is_empty()).then_some(steps)
    })
    .await;
    let sum = |of: &str, name: &str| -> f64 {
        steps.as_array().unwrap().iter().filter_map(|step| step[of][name].as_f64()).sum()
    };
    assert_eq!((sum("webhooks", "stored"), sum("webhooks", "fallback")), (1.0, 2.0), "{steps}");
    assert_eq!((sum("questions", "no-responders"), sum("questions", "answered")), (2.0, 0.0));
    let step = &steps[0];
    assert_eq!((&step["number"], &step["brokers"]["nats"]), (&json!(1), &json!(1.0)));
    assert_eq!(step["in_flight_max"]["event"], 8192.0);
    assert!(step["latency"]["event"]["p99"].as_f64().unwrap() > 0.0, "{step}");
    assert!(history(1).await.as_array().unwrap().iter().all(|step| step["number"] != 1));

    for wrong in ["?after=x", "?after=-1", "?before=1"] {
        let refused = bridge.admin(&format!("/history{wrong}")).await;
        assert_eq!(refused.status, 400, "{wrong}");
        assert!(refused.text().contains("hint: `after=N`"), "{}", refused.text());
    }

    let questions = bridge.admin("/questions").await.json();
    let book =
        questions["questions"].as_array().unwrap().iter().find(|it| it["function"] == "book");
    assert_eq!(book.unwrap()["outcomes"], json!({"no-responders": 1.0}), "{questions}");
}

#[tokio::test]
async fn routes_are_told_by_what_routes() {
    let config = endpoint("hook").tables(
        "[[endpoint.event]]\ntypes = [\"secret-*\"]\nto = []\n\
         [[endpoint.event]]\ntypes = [\"call.*\"]\nto = [\"nats:hook.events.{type}\", \"nats:hook.keys.{key}\"]\n\
         [[endpoint.tool]]\nnames = [\"get_*\"]\nsubject = \"tools.{function}\"\ntimeout = \"3s\"\nfallback = {a = 1}",
    );
    let nowhere = format!("nats://127.0.0.1:{}", ports::free());
    let bridge = Bridge::config(config).nats_at(&nowhere).start().await;
    let find = async |query: &str| {
        let answer = bridge.admin(&format!("/routes/find?endpoint=hook&{query}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    assert_eq!(find("type=secret-x").await, json!({"asks": false, "stored": []}));
    let call = find("type=call.ended&key=a%20b").await;
    assert_eq!(call["stored"][0]["name"], "hook.events.call.ended");
    assert_eq!(
        call["stored"][1],
        json!({"destination": "nats:hook.keys.{key}", "name": "hook.keys.a%20b"})
    );
    let other = find("type=%3E").await;
    assert_eq!(other["stored"][0]["name"], "hook.events.%3E");
    let asked = &find("type=tool-calls&function=get_x").await["asked"];
    assert_eq!(*asked, json!({"subject": "tools.get_x", "timeout": 3000, "fallback": {"a": 1}}));
    let asked = &find("type=assistant-request").await["asked"];
    assert_eq!(*asked, json!({"subject": "hook.ask.assistant-request"}));
    assert_eq!(bridge.admin("/routes/find?endpoint=other&type=x").await.status, 404);
    assert_eq!(bridge.admin("/routes/find?wrong=x").await.status, 400);

    let endpoints = bridge.admin("/routes").await.json();
    let hook = &endpoints["endpoints"][0];
    assert_eq!(
        (&hook["path"], &hook["source"], &hook["auth"]),
        (&json!("/hook"), &json!("vapi"), &json!(["none"]))
    );
    assert_eq!(hook["events"][1]["patterns"], json!(["call.*"]));
    assert_eq!(hook["events"][2]["patterns"], json!(["*"]));
    assert_eq!(hook["functions"][0]["has_fallback"], true);
}

/// However many follow, the last ones are kept: that takes no place from them, and they take none from it.
#[tokio::test]
async fn followers_take_no_place_from_what_is_kept() {
    let nowhere = format!("nats://127.0.0.1:{}", ports::free());
    let bridge = Bridge::config(endpoint("hook").events_to(&[])).nats_at(&nowhere).start().await;
    let mut followers = Vec::new();
    for _ in 0..16 {
        let answer = reqwest::get(bridge.admin_url("/tail")).await.unwrap();
        assert_eq!(answer.status(), 200);
        followers.push(answer);
    }
    assert_eq!(bridge.admin("/tail").await.status, 503);
    assert!(bridge.admin("/recent").await.json()["since"].is_string());
    bridge.post("/hook", event("a", "k"), &[]).await;
    eventually("it is kept", SOON, async || {
        (bridge.admin("/recent").await.json()["kept"] == 1).then_some(())
    })
    .await;
}

/// A reader that wants fewer is told how many there were.
#[tokio::test]
async fn a_tail_can_be_a_sample() {
    let nowhere = format!("nats://127.0.0.1:{}", ports::free());
    let bridge = Bridge::config(endpoint("hook").events_to(&[])).nats_at(&nowhere).start().await;
    assert_eq!(bridge.admin("/tail?rate=many").await.status, 400);
    let url = bridge.admin_url("/tail?rate=2");
    let mut answer = reqwest::get(&url).await.unwrap();
    for _ in 0..20 {
        bridge.post("/hook", event("a", "k"), &[]).await;
    }
    let (mut text, mut sum) = (String::new(), 0);
    while sum < 20 {
        let chunk = tokio::time::timeout(SOON, answer.chunk()).await.expect("in time").unwrap();
        text += std::str::from_utf8(&chunk.expect("more")).unwrap();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        sum = lines.map(|line| line["count"].as_u64().unwrap_or(1)).sum();
    }
    assert_eq!(sum, 20, "{text}");
    assert!(
        text.contains("\"line\":\"lost\"") && text.matches("\"webhook\"").count() < 20,
        "{text}"
    );
}
