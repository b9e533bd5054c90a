//! Dead letters in the page: seen, published again, dropped after a question.

use super::event;
use crate::support::{Bridge, Browser, HOOK, Nats};

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_published_again_or_dropped() {
    let Some(mut nats) = Nats::start_with("max_payload: 4096").await else { return };
    let Some(mut browser) = Browser::start() else { return };
    nats.create_stream("EVENTS", &["hook.events.>"]).await;
    let bridge = Bridge::config(HOOK).nats(&nats).start_ready().await;
    let large = |kind: &str| {
        let text = "x".repeat(5_000);
        serde_json::json!({"message": {"type": kind, "call": {"id": "k"}, "text": text}})
            .to_string()
    };
    for kind in ["kept", "unwanted"] {
        assert_eq!(bridge.post("/hook", large(kind), &[]).await.status, 202);
    }
    assert_eq!(bridge.post("/hook", event("small", "k"), &[]).await.status, 200);
    browser.run(&format!("await page.goto('{}')", bridge.admin_url("/#/disk")));
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
