//! Dead letters in the page: seen, published again, dropped after a question.

use super::event;
use crate::support::{Bridge, Browser, HOOK, Nats};

/// An event that is larger than the broker takes.
async fn dead_letter(bridge: &Bridge, kind: &str) {
    let text = "x".repeat(5_000);
    let body = serde_json::json!({"message": {"type": kind, "call": {"id": "k"}, "text": text}});
    assert_eq!(bridge.post("/hook", body.to_string(), &[]).await.status, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_published_again_or_dropped() {
    let Some(mut nats) = Nats::start_with("max_payload: 4096").await else { return };
    let Some(mut browser) = Browser::start() else { return };
    nats.create_stream("EVENTS", &["hook.events.>"]).await;
    let bridge = Bridge::config(HOOK).nats(&nats).start_ready().await;
    dead_letter(&bridge, "kept").await;
    assert_eq!(bridge.post("/hook", event("small", "k"), &[]).await.status, 200);
    browser.run(&format!("await page.goto('{}')", bridge.admin_url("/#/disk")));
    browser.run("await page.locator('tr', {hasText: 'kept'}).waitFor()");
    dead_letter(&bridge, "unwanted").await;
    browser.run("await page.getByRole('button', {name: 'Look'}).click()");
    browser.run(
        "await page.locator('tbody tr').nth(1).waitFor();
         assert.deepEqual(await axe(), []);
         const unwanted = page.locator('tr', {hasText: 'unwanted'});
         await unwanted.getByRole('button', {name: 'Drop'}).click();
         await page.getByRole('dialog').getByText('can\\'t be had back').waitFor();
         assert.deepEqual(await axe(), []);
         await page.getByRole('dialog').getByRole('button', {name: 'Cancel'}).click();
         assert.equal(await page.locator('tbody tr').count(), 2);
         await unwanted.getByRole('button', {name: 'Drop'}).click();
         await page.getByRole('dialog').getByRole('button', {name: 'Drop'}).click();
         await page.getByText('1 dropped').waitFor();
         await unwanted.waitFor({state: 'detached'});
         assert.equal(await page.locator('tbody tr').count(), 1);",
    );
    // It would be refused once more.
    browser.run(
        "await page.getByRole('button', {name: 'Publish again'}).click();
         await page.getByText('1 rejected').waitFor();",
    );
    nats.restart_with("max_payload: 1MB").await;
    browser.run(
        "for (;;) {
             await page.getByRole('button', {name: 'Publish all 1 again'}).click();
             const said = page.getByRole('status').filter({hasText: /published|rejected|left/}).first();
             await said.waitFor();
             if ((await said.textContent()).includes('1 published')) break;
         }
         await page.getByText('There are none.').waitFor();",
    );
    let stored = nats.messages("EVENTS", 2).await;
    let subjects: Vec<_> = stored.iter().map(|message| &*message.subject).collect();
    assert_eq!(subjects, ["hook.events.small", "hook.events.kept"]);
}

/// Only what was counted when the page was shown is dropped, and not what came since.
#[tokio::test(flavor = "multi_thread")]
async fn all_of_them_are_those_that_were_seen() {
    let Some(nats) = Nats::start_with("max_payload: 4096").await else { return };
    let Some(mut browser) = Browser::start() else { return };
    nats.create_stream("EVENTS", &["hook.events.>"]).await;
    let bridge = Bridge::config(HOOK).nats(&nats).start_ready().await;
    for kind in ["first", "second"] {
        dead_letter(&bridge, kind).await;
    }
    browser.run(&format!("await page.goto('{}')", bridge.admin_url("/#/disk")));
    browser.run("await page.getByRole('button', {name: 'Drop all 2'}).waitFor()");
    dead_letter(&bridge, "unseen").await;
    browser.run(
        "await page.getByRole('button', {name: 'Drop all 2'}).click();
         const dialog = page.getByRole('dialog');
         await dialog.getByText('2 dead letters will be removed').waitFor();
         await dialog.getByRole('button', {name: 'Drop'}).click();
         await page.getByText('2 dropped').waitFor();
         await page.getByRole('button', {name: 'Drop all 1'}).waitFor();
         assert.match(await page.locator('tbody tr').first().textContent(), /unseen/);",
    );
}

/// More than fit on a page come page by page; what is done with all of them is done with those of all pages.
#[tokio::test(flavor = "multi_thread")]
async fn many_dead_letters_have_pages() {
    let Some(nats) = Nats::start_with("max_payload: 4096").await else { return };
    let Some(mut browser) = Browser::start() else { return };
    nats.create_stream("EVENTS", &["hook.events.>"]).await;
    let bridge = Bridge::config(HOOK).nats(&nats).start_ready().await;
    for number in 0..130 {
        dead_letter(&bridge, if number % 2 == 0 { "even" } else { "odd" }).await;
    }
    browser.run(&format!("await page.goto('{}')", bridge.admin_url("/#/disk")));
    browser.run(
        "const rows = page.getByRole('region', {name: 'Dead letters'}).locator('tbody tr');
         await page.getByRole('button', {name: 'Drop all 130'}).waitFor();
         assert.equal(await rows.count(), 100);
         assert.ok(await page.getByRole('button', {name: 'Back'}).isDisabled());
         await page.getByRole('button', {name: 'Next'}).click();
         await page.getByText('Page 2').waitFor();
         assert.equal(await rows.count(), 30);
         assert.ok(await page.getByRole('button', {name: 'Next'}).isDisabled());
         assert.deepEqual(await axe(), []);
         await page.getByRole('button', {name: 'Back'}).click();
         await page.getByText('Page 1').waitFor();
         assert.equal(await rows.count(), 100);
         // All that fit are on one page: their number is known.
         await page.getByLabel('type', {exact: true}).fill('odd');
         await page.getByRole('button', {name: 'Look'}).click();
         await page.getByRole('button', {name: 'Drop all 65'}).click();
         await page.getByRole('dialog').getByRole('button', {name: 'Drop'}).click();
         await page.getByText('65 dropped').waitFor();
         await page.getByText('None fits.').waitFor();
         await page.getByLabel('type', {exact: true}).fill('');
         await page.getByRole('button', {name: 'Look'}).click();
         await page.getByRole('button', {name: 'Drop all 65'}).waitFor();",
    );
}
