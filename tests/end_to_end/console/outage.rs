//! What goes away and comes back is seen in the page, and mends itself.

use super::{bridge, event};
use crate::support::{Browser, Nats};

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
    browser.shows("1 events wait for their broker.");
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
