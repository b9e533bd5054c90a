//! What answers the page changes under it: a new configuration, or an older bridge.

use super::event;
use crate::support::{Bridge, Browser, Nats, endpoint};

/// The page stays open; what is new is there at the next look, and the connections go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_reload_is_seen() {
    let Some(nats) = Nats::start().await else { return };
    let Some(mut browser) = Browser::start() else { return };
    nats.create_stream("EVENTS", &["hook.events.>", "shop.events.>"]).await;
    let tail = "[tail]\nalways_recent = true\n";
    let mut bridge =
        Bridge::config(format!("{tail}{}", endpoint("hook"))).nats(&nats).start_ready().await;
    browser.run(&format!("await page.goto('{}')", bridge.admin_url("/#/live")));
    browser.shows("Connected. The newest comes first.");
    bridge.post("/hook", event("before", "k"), &[]).await;
    browser.run("await page.locator('tbody tr', {hasText: 'before'}).waitFor()");

    bridge.configure(&format!("{tail}{}{}", endpoint("hook"), endpoint("shop")));
    browser.run(
        "const status = await page.evaluate(async () => (await fetch('/reload', {method: 'POST'})).status);
         assert.equal(status, 200);",
    );
    assert_eq!(bridge.post("/shop", event("since", "k"), &[]).await.status, 200);
    browser.run(
        "await page.locator('tbody tr', {hasText: 'since'}).waitFor();
         // All of it is one connection.
         assert.equal(await page.locator('tbody tr').count(), 2);
         assert.ok(await page.getByRole('alert').isHidden());
         await page.getByRole('link', {name: 'Routes'}).click();
         await page.getByText('POST /shop').waitFor();
         await page.getByLabel('endpoint').selectOption('shop');
         await page.getByLabel('type', {exact: true}).fill('status-update');
         await page.getByRole('button', {name: 'Where does it go?'}).click();
         await page.getByText('shop.events.status-update').waitFor();",
    );
    // One that can't be read is refused, and nothing changes.
    bridge.configure("[tail]\nrecent = \"many\"");
    browser.run(
        "const status = await page.evaluate(async () => (await fetch('/reload', {method: 'POST'})).status);
         assert.notEqual(status, 200);
         await page.reload();
         await page.getByText('POST /shop').waitFor();",
    );
}

/// A bridge from before there was this page knows none of its requests, and says less of a webhook.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_bridge_is_told() {
    let Some(nats) = Nats::start().await else { return };
    let Some(mut browser) = Browser::start() else { return };
    let bridge = super::bridge(&nats).await;
    let page = bridge.admin_url("/");
    browser.run(&format!(
        "const webhook = {{time: '2026-11-23T15:20:09.526Z', endpoint: 'vapi', id: 'old-one', outcome: 'stored', status: 200,
             milliseconds: 3.1, bytes: 412, destinations: ['nats:old.events']}};
         const unknown = ['/history', '/questions', '/routes', '/status', '/samples'];
         await page.route((url) => unknown.includes(url.pathname), (route) => route.fulfill({{status: 404}}));
         await page.route('**/dead-letters*', (route) => route.fulfill({{status: 400, body: 'unknown parameter `limit`'}}));
         await page.route('**/tail*', (route) => route.fulfill({{body: JSON.stringify({{line: 'webhook', ...webhook}}) + '\\n'}}));
         await page.route('**/recent*', (route) => route.fulfill({{json: {{webhooks: [webhook]}}}}));
         await page.goto('{page}#/overview');
         await page.getByText('This bridge doesn\\'t know /history.').waitFor();
         await page.goto('{page}#/functions');
         await page.getByText('This bridge doesn\\'t know /questions.').waitFor();
         await page.locator('tbody tr', {{hasText: 'weather'}}).waitFor();
         await page.goto('{page}#/routes');
         await page.getByText('This bridge doesn\\'t know /routes.').waitFor();
         await page.goto('{page}#/disk');
         await page.getByText('unknown parameter `limit`').waitFor();
         await page.getByText('Nothing waits.').waitFor();
         await page.goto('{page}#/live');
         await page.locator('tbody tr', {{hasText: 'nats:old.events'}}).first().waitFor();
         await page.goto('{page}#/lately');
         await page.locator('tbody a').click();
         await page.getByText('This bridge is of an older version').waitFor();
         assert.deepEqual(await page.locator('.timeline tbody tr td:first-child').allTextContents(),
             ['received', 'destination', 'answered']);
         await page.unrouteAll();"
    ));
}
