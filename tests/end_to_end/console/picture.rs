//! The picture in the README. `HOOKBUS_PICTURE=docs/console.png` writes it anew.

use super::{bridge, event};
use crate::http::tool_calls;
use crate::support::worker::serve;
use crate::support::{Browser, Nats, project};

/// What a picture may take, in bytes.
const MAX_BYTES: u64 = 150 << 10;

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_can_be_taken() {
    let Some(nats) = Nats::start().await else { return };
    let Some(mut browser) = Browser::start() else { return };
    let bridge = bridge(&nats).await;
    let _worker = serve(&nats, "forecast", "q", "hook.tool.weather").await;
    let folder = tempfile::tempdir().unwrap();
    let wanted = std::env::var_os("HOOKBUS_PICTURE").map(|path| project().join(path));
    // A picture to be shown has some minutes of traffic; to see that one can be taken, one step is enough.
    let steps = if wanted.is_some() { 24 } else { 1 };
    let number_of_steps = async || {
        let history = bridge.admin("/history").await.json();
        history["steps"].as_array().map_or(0, Vec::len)
    };
    let mut number = 0;
    while number_of_steps().await < steps {
        number += 1;
        for _ in 0..2 + (number / 40) % 5 {
            bridge.post("/hook", event("status-update", &format!("call-{number}")), &[]).await;
        }
        bridge
            .post("/hook", tool_calls(&["weather"]).replace("call_1", &format!("c{number}")), &[])
            .await;
        if number % 9 == 0 {
            bridge
                .post("/hook", tool_calls(&["book"]).replace("call_1", &format!("b{number}")), &[])
                .await;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let path = wanted.unwrap_or_else(|| folder.path().join("console.png"));
    browser.run(&format!(
        "await page.goto('{}');
         await page.getByRole('img', {{name: /^Webhooks a second/}}).waitFor();
         await page.setViewportSize({{width: 1200, height: 780}});
         await page.screenshot({{path: {}, animations: 'disabled'}});",
        bridge.admin_url("/#/overview"),
        serde_json::Value::from(path.to_str().unwrap()),
    ));
    let size = std::fs::metadata(&path).unwrap().len();
    assert!(size <= MAX_BYTES, "{size}");
}
