//! A bridge with a token: the page asks for it once, and keeps it for the tab.

use crate::support::{Bridge, Browser, HOOK, nats};

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_typed_once() {
    let Some(nats) = nats::shared().await else { return };
    let Some(mut browser) = Browser::start() else { return };
    let config = format!("[admin]\nlisten = \"{{admin}}\"\ntoken = \"the-right-one\"\n{HOOK}");
    let bridge = Bridge::config(config).nats(nats).start_ready().await;
    browser.run(&format!("await page.goto('{}')", bridge.admin_url("/#/overview")));
    browser.run(
        "await page.getByRole('dialog').waitFor();
         for (let times = 0; times < 3; times += 1) await page.keyboard.press('Escape');
         await page.getByRole('dialog').getByLabel('Token').fill('a-wrong-one');
         await page.keyboard.press('Enter');
         await page.waitForFunction(() => document.querySelector('dialog[open] input')?.value === '');
         assert.deepEqual(await axe(), []);
         await page.getByRole('dialog').getByLabel('Token').fill('the-right-one');
         await page.keyboard.press('Enter');
         await page.getByText('nats: connected').waitFor();
         await page.reload();
         await page.getByText('nats: connected').waitFor();
         assert.equal(await page.getByRole('dialog').count(), 0);
         // Another tab knows nothing of it, and nothing outlives this one.
         assert.deepEqual(await page.evaluate(() => [localStorage.length, document.cookie]), [0, '']);
         const other = await context.newPage();
         await other.goto(page.url());
         await other.getByRole('dialog').waitFor();
         await other.close();",
    );
    assert!(!bridge.log().contains("the-right-one"));
}
