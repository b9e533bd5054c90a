//! What goes away and comes back is seen in the page, and mends itself.

use super::{bridge, event};
use crate::support::{Browser, Nats};
use futures_util::future::join_all;

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_and_a_bridge_go_and_come() {
    let Some(mut nats) = Nats::start().await else { return };
    let Some(mut browser) = Browser::start() else { return };
    let mut bridge = bridge(&nats).await;
    browser.run(&format!("await page.goto('{}')", bridge.admin_url("/#/overview")));
    browser.shows("nats: connected");
    nats.kill();
    browser.shows("nats: down");
    assert_eq!(bridge.post("/hook", event("late", "k"), &[]).await.status, 202);
    browser.shows("1 event waits for its broker.");
    nats.restart().await;
    browser.shows("nats: connected");
    browser.shows("0 events wait for their broker.");

    browser.run("await page.getByRole('link', {name: 'Live'}).click()");
    browser.shows("Connected. The newest comes first.");
    bridge.kill();
    browser.shows("The bridge doesn’t answer.");
    bridge.restart().await;
    browser.shows("Connected. The newest comes first.");
    browser.run("await page.getByRole('alert').waitFor({state: 'hidden'})");
    bridge.post("/hook", event("after", "k"), &[]).await;
    browser.run("await page.locator('tbody tr', {hasText: 'after'}).waitFor()");
}

/// What an older bridge doesn't know is said; of what comes too fast there is a sample; a page of another origin gets
/// nothing done.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_said() {
    let Some(nats) = Nats::start().await else { return };
    let Some(mut browser) = Browser::start() else { return };
    let bridge = bridge(&nats).await;
    let page = bridge.admin_url("/");
    browser.run(&format!(
        "await page.route('**/history*', (route) => route.fulfill({{status: 404}}));
         await page.goto('{page}#/overview');
         await page.getByText('This bridge doesn\\'t know /history.').waitFor();
         await page.unroute('**/history*');
         await page.getByRole('heading', {{name: 'Ready', exact: true}}).waitFor();
         await page.getByRole('link', {{name: 'Live'}}).click();
         await page.getByText('Connected. The newest').waitFor();"
    ));
    // Twice as many as are shown in a second.
    let url = bridge.url("/hook");
    let posts = (0..100).map(|number| {
        bridge.client().try_post(&url, event("status-update", &format!("call-{number}")))
    });
    join_all(posts).await.into_iter().for_each(|answer| drop(answer.unwrap()));
    // One more second ends the one that counts.
    browser.run(
        "await page.locator('tbody tr').nth(49).waitFor();
         await page.getByText(/^A sample: [0-9]+ more came than are shown/).waitFor();",
    );
    browser.run(&format!(
        "const other = await context.newPage();
         await other.goto('{elsewhere}');
         await other.evaluate((url) => fetch(url, {{method: 'POST', mode: 'no-cors'}}).catch(() => {{}}), '{page}reload');
         await other.close();",
        elsewhere = bridge.url("/nothing")
    ));
    assert_eq!(bridge.metric("hookbus_reloads_total{outcome=\"done\"").await, 0.0);
}
