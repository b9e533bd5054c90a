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
    let check = "
         const count = await page.evaluate(() => document.querySelectorAll('main img, main script, main b').length);
         assert.equal(count, 0);
         assert.ok(!(await page.title()).includes('owned'));
         const text = await page.locator('main').textContent();
         assert.doesNotMatch(text, /[\\u0000-\\u0008\\u000e-\\u001f\\u202a-\\u202e\\u2066-\\u2069]/);
         const [wide, room] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
         assert.ok(wide <= room, `${wide} of ${room}`);";
    browser.run("await page.locator('tbody tr').nth(2).waitFor()");
    browser.run(check);
    browser.run(
        "await page.locator('tbody tr', {hasText: 'onerror'}).last().locator('a').click();
         await page.locator('pre').waitFor();
         assert.match(await page.locator('pre').textContent(), /onerror/);",
    );
    browser.run(check);
    for view in ["lately", "functions"] {
        let url = Value::from(bridge.admin_url(&format!("/#/{view}")));
        browser.run(&format!(
            "await page.goto({url}); await page.getByText('onerror').first().waitFor()"
        ));
        browser.run(check);
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
        browser.run(check);
    }
    // What every object has is no view.
    let url = Value::from(bridge.admin_url("/#/constructor"));
    browser.run(&format!(
        "await page.goto({url});
         await page.getByRole('heading', {{name: 'Overview', level: 1}}).waitFor();"
    ));
}
