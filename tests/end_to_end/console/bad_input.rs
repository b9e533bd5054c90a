//! Whatever comes from outside is text, and nothing but text.

use super::{bridge, event};
use crate::http::tool_calls;
use crate::support::{Browser, Nats};
use serde_json::Value;

/// Markup, marks of direction, what terminals obey, and a zero, ten thousand characters long.
fn hostile() -> String {
    let start = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>\u{202e}\u{2066}\u{1b}[31m\u{0}'\"&lt;b&gt;{{7*7}}";
    start.to_owned() + &"x".repeat(10_000 - start.len())
}

/// What holds of every view: nothing became markup, nothing that can't be seen is left, and nothing runs over.
const CHECK: &str = "
         const count = await page.evaluate(() => document.querySelectorAll('main img, main script, main b').length);
         assert.equal(count, 0);
         assert.ok(!(await page.title()).includes('owned'));
         const text = await page.locator('main').textContent();
         assert.doesNotMatch(text, /[\\u0000-\\u0008\\u000e-\\u001f\\u202a-\\u202e\\u2066-\\u2069]/);
         const [wide, room] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
         assert.ok(wide <= room, `${wide} of ${room}`);";

#[tokio::test(flavor = "multi_thread")]
async fn markup_stays_text() {
    let Some(nats) = Nats::start().await else { return };
    let Some(mut browser) = Browser::start() else { return };
    let bridge = bridge(&nats).await;
    let page = bridge.admin_url("/#/live?bodies=true");
    browser.run(&format!("await page.goto('{page}')"));
    browser.shows("Connected. The newest comes first.");
    let hostile = hostile();
    bridge.post("/hook", event(&hostile, &hostile), &[]).await;
    // Long names are counted as others.
    bridge.post("/hook", tool_calls(&[&hostile, &hostile[..100]]), &[]).await;
    bridge.post(&format!("/{}", "%3Cb%3E".repeat(100)), "{}", &[]).await;
    browser.run("await page.locator('tbody tr').nth(2).waitFor()");
    browser.run(CHECK);
    browser.run(
        "await page.locator('tbody tr', {hasText: 'onerror'}).last().locator('a').click();
         await page.locator('pre').waitFor();
         assert.match(await page.locator('pre').textContent(), /onerror/);",
    );
    browser.run(CHECK);
    for view in ["lately", "functions"] {
        let url = Value::from(bridge.admin_url(&format!("/#/{view}")));
        browser.run(&format!(
            "await page.goto({url}); await page.getByText('onerror').first().waitFor()"
        ));
        browser.run(CHECK);
    }
    // What stands in the address is from outside, too.
    for (view, shown) in [
        ("routes?endpoint=hook&type=", "as hook.events.%3Cimg"),
        ("lately?key=", "None of them fits."),
        ("webhook?id=", "No webhook with the id"),
        ("disk?type=", "None fits."),
        ("live?outcome=", "Connected. The newest comes first."),
    ] {
        let code = format!(
            "await page.goto('about:blank');
             await page.goto({} + encodeURIComponent({}));
             await page.locator('h1').waitFor();",
            Value::from(bridge.admin_url(&format!("/#/{view}"))),
            Value::from(&hostile[..300]),
        );
        browser.run(&code);
        browser.shows(shown);
        browser.run(CHECK);
    }
    // What every object has is no view.
    let url = Value::from(bridge.admin_url("/#/constructor"));
    browser.run(&format!(
        "await page.goto({url});
         await page.getByRole('heading', {{name: 'Overview', level: 1}}).waitFor();"
    ));
}

/// Errors come from brokers, workers and the bridge itself: as long as they are, they are text.
#[tokio::test(flavor = "multi_thread")]
async fn error_texts_stay_text() {
    let Some(nats) = Nats::start().await else { return };
    let Some(mut browser) = Browser::start() else { return };
    let bridge = bridge(&nats).await;
    let (page, hostile) = (bridge.admin_url("/"), Value::from(hostile()));
    browser.run(&format!(
        "const hostile = {hostile};
         const webhook = {{time: hostile, endpoint: hostile, id: 'id', type: hostile, key: hostile, outcome: 'refused',
             reason: hostile, error: hostile, status: 401, milliseconds: 1, bytes: 1, authenticated_milliseconds: 1,
             trace_id: hostile, request: hostile, questions: [{{function: hostile, outcome: hostile, worker: hostile}}],
             receipts: [{{destination: hostile, outcome: hostile, milliseconds: 1}}], destinations: [hostile]}};
         const letter = {{line: 'dead-letter', position: 1, dead_lettered: hostile, id: hostile, endpoint: hostile, type: hostile,
             key: hostile, destination: hostile, name: hostile, reason: hostile, detail: hostile, bytes: 1}};
         const worker = {{service: hostile, version: hostile, id: hostile, subject: hostile, last_error: hostile}};
         const workers = {{functions: [{{endpoint: hostile, function: hostile, subject: hostile, workers: [worker], warning: hostile}}],
             others: [worker], problems: [hostile]}};
         const status = {{is_ready: false, readiness: [hostile, hostile], version: hostile, uptime_seconds: 1}};
         const lines = [letter, {{line: 'summary', matched: 1, dead_letters: 1, end: 2}}].map((line) => JSON.stringify(line));
         await page.route('**/recent*', (route) => route.fulfill({{json: {{since: hostile, kept: 1, max: 1, lost: 1, webhooks: [webhook]}}}}));
         await page.route('**/dead-letters*', (route) => route.fulfill({{body: lines.join('\\n')}}));
         await page.route('**/workers', (route) => route.fulfill({{json: workers}}));
         await page.route('**/status', (route) => route.fulfill({{json: status}}));
         await page.route('**/tail*', (route) => route.fulfill({{status: 400, body: hostile}}));
         await page.route((url) => url.pathname === '/routes', (route) => route.fulfill({{status: 500, body: hostile}}));
         for (const view of ['overview', 'live', 'lately', 'webhook?id=id', 'functions', 'disk', 'routes']) {{
             await page.goto('about:blank');
             await page.goto('{page}#/' + view);
             await page.locator('main').getByText('onerror').first().waitFor();
             {CHECK}
         }}
         await page.unrouteAll();"
    ));
}
