//! Each view, with a bridge, a broker and a worker behind it: what was sent is found, and everyone can use it.

use super::{bridge, some_of_everything};
use crate::cli::dev::Dev;
use crate::support::worker::serve;
use crate::support::{Bridge, Browser, Nats};

const VIEWS: [&str; 6] = ["overview", "live", "lately", "functions", "disk", "routes"];

fn open(browser: &mut Browser, bridge: &Bridge, view: &str) {
    let url = bridge.admin_url(&format!("/#/{view}"));
    browser.run(&format!("await page.goto('{url}'); await page.locator('h1').waitFor()"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_view_shows_what_there_is() {
    let Some(nats) = Nats::start().await else { return };
    let Some(mut browser) = Browser::start() else { return };
    let bridge = bridge(&nats).await;
    let _worker = serve(&nats, "forecast", "q", "hook.tool.weather").await;
    some_of_everything(&bridge).await;

    open(&mut browser, &bridge, "overview");
    browser.shows("nats: connected");
    browser.run(
        "await page.getByRole('img', {name: /^Webhooks a second by outcome: .*stored/}).waitFor();
         await page.getByRole('img', {name: /^Questions a second by outcome: .*no-responders/}).waitFor();
         await page.getByText('event: 0 of 8,192').waitFor();",
    );

    // Live: what comes from now on; the filter stands in the address.
    browser.run("await page.getByRole('link', {name: 'Live'}).click()");
    browser.shows("Connected. The newest comes first.");
    some_of_everything(&bridge).await;
    browser.run(
        "await page.locator('tbody tr').nth(2).waitFor();
         await page.getByLabel('type', {exact: true}).fill('status-*');
         await page.getByLabel('type', {exact: true}).press('Enter');
         await page.waitForURL(/type=status-/);
         await page.getByText('Connected').waitFor();",
    );
    some_of_everything(&bridge).await;
    browser.run(
        "await page.locator('tbody tr').first().waitFor();
         assert.equal(await page.locator('tbody tr').count(), 1);
         await page.getByRole('button', {name: 'Pause'}).click();
         await page.getByText('Paused.').waitFor();
         assert.equal(await page.getByRole('button', {name: 'Go on'}).getAttribute('aria-pressed'), 'true');",
    );

    // Lately: found by its function's outcome, and from there to its walk.
    open(&mut browser, &bridge, "lately");
    browser.run(
        "await page.getByLabel('outcome', {exact: true}).fill('no-responders');
         await page.getByRole('button', {name: 'Look'}).click();
         await page.waitForURL(/outcome=no-responders/);
         await page.getByText('book() no-responders').first().waitFor();
         await page.locator('tbody a').first().click();
         await page.getByRole('heading', {name: 'One webhook', level: 1}).waitFor();
         await page.getByText('fallback: no-responders').waitFor();
         assert.deepEqual(await page.locator('.timeline tbody tr td:first-child').allTextContents(),
             ['received', 'authenticated', 'read', 'book()', 'answered']);
         assert.ok(await page.locator('time').first().getAttribute('title'));",
    );

    // Functions: without a worker first.
    open(&mut browser, &bridge, "functions");
    browser.run(
        "await page.getByText('forecast 1.2.3').waitFor();
         const rows = await page.locator('tbody tr').allTextContents();
         assert.match(rows[0], /^bookhook hook.tool.bookno worker that NATS micro shows/);
         assert.match(rows[1], /^weather.*forecast 1.2.3.*answered/);",
    );

    open(&mut browser, &bridge, "routes");
    browser.run(
        "await page.getByLabel('type', {exact: true}).fill('tool-calls');
         await page.getByLabel('function', {exact: true}).fill('weather');
         await page.getByRole('button', {name: 'Where does it go?'}).click();
         await page.getByText('asked on hook.tool.weather for 3.0 s').waitFor();",
    );
    open(&mut browser, &bridge, "try");
    browser.shows("Only hookbus dev has samples to try.");
}

/// No rule of axe is broken, in light and in dark; nothing runs over at 400 pixels; the keyboard suffices.
#[tokio::test(flavor = "multi_thread")]
async fn everyone_can_use_it() {
    let Some(nats) = Nats::start().await else { return };
    let Some(mut browser) = Browser::start() else { return };
    let bridge = bridge(&nats).await;
    let _worker = serve(&nats, "forecast", "q", "hook.tool.weather").await;
    some_of_everything(&bridge).await;
    for view in VIEWS {
        open(&mut browser, &bridge, view);
        let structure = browser.run(
            "await page.waitForLoadState('networkidle').catch(() => {});
             for (const colorScheme of ['light', 'dark']) {
                 await page.emulateMedia({colorScheme});
                 assert.deepEqual(await axe(), [], colorScheme);
             }
             await page.setViewportSize({width: 400, height: 800});
             const [wide, room] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
             assert.ok(wide <= room, `${wide} of ${room}`);
             await page.setViewportSize({width: 1280, height: 800});
             return {
                 titles: await page.locator('h1').allTextContents(),
                 current: await page.locator('nav [aria-current=page]').allTextContents(),
             };",
        );
        // One title, which is that of the view in the list.
        assert_eq!(structure["titles"], structure["current"], "{view}");
        assert_eq!(structure["titles"].as_array().unwrap().len(), 1);
    }
    browser.run(
        "await page.reload();
         await page.locator('h1').waitFor();
         await page.keyboard.press('Tab');
         for (let tabs = 0; tabs < 12; tabs += 1) {
             if (await page.evaluate(() => document.activeElement.textContent) === 'Functions') break;
             await page.keyboard.press('Tab');
         }
         await page.keyboard.press('Enter');
         await page.getByRole('heading', {name: 'Functions', level: 1}).waitFor();
         assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Functions');",
    );
}

/// In `hookbus dev` a sample can be changed and posted, and its answer is shown.
#[tokio::test(flavor = "multi_thread")]
async fn a_sample_can_be_tried() {
    let Some(dev) = Dev::start(&[]).await else { return };
    let Some(mut browser) = Browser::start() else { return };
    browser.run(&format!("await page.goto('{}')", dev.address("console")));
    browser.run(
        "await page.getByRole('link', {name: 'Try it'}).click();
         await page.getByLabel('Sample').selectOption({label: '/vapi tool-calls: question: one tool call, lookup_appointment'});
         assert.deepEqual(await axe(), []);
         await page.getByRole('button', {name: 'Post it'}).click();
         await page.getByText('/vapi asks nobody who they are').waitFor();
         await page.getByRole('heading', {name: 'Answer: 200, answered'}).waitFor();
         assert.match(await page.locator('pre').first().textContent(), /The next appointment/);
         // Beside it: what the worker got.
         await page.getByRole('heading', {name: 'What a worker for lookup_appointment() gets'}).waitFor();
         await page.getByText('vapi.tool.lookup_appointment', {exact: true}).waitFor();
         const got = JSON.parse(await page.locator('pre').nth(1).textContent());
         assert.equal(got.name, 'lookup_appointment');
         const headers = await page.locator('.beside dl').textContent();
         assert.match(headers, /Hookbus-Endpointvapi.*Hookbus-Typetool-calls/s);
         assert.deepEqual(await axe(), []);
         const body = page.getByRole('textbox', {name: 'Body'});
         await body.fill((await body.inputValue()).replaceAll('lookup_appointment', 'broken_tool'));
         await page.getByRole('button', {name: 'Post it'}).click();
         await page.getByRole('heading', {name: 'Answer: 200, worker-error'}).waitFor();
         await page.getByRole('link', {name: 'Look at its walk'}).click();
         await page.locator('.timeline').getByText('broken_tool()').waitFor();
         await page.goBack();
         await page.getByLabel('Sample').selectOption({label: '/vapi end-of-call-report: event: the report after a call'});
         await page.getByRole('button', {name: 'Post it'}).click();
         await page.getByRole('heading', {name: 'Answer: 200', exact: true}).waitFor();
         await page.getByRole('heading', {name: 'What destinations got'}).waitFor();
         await page.getByText(/^nats:.*: stored after/).waitFor();
         await page.getByRole('textbox', {name: 'Body'}).fill('no JSON');
         await page.getByRole('button', {name: 'Post it'}).click();
         await page.getByRole('heading', {name: 'Answer: 400'}).waitFor();",
    );
}

/// Where an endpoint demands a secret, the bridge adds what it makes of it: the page never has it.
#[tokio::test(flavor = "multi_thread")]
async fn a_sample_is_signed_where_that_is_demanded() {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let providers = [
        "--provider",
        "stripe",
        "--provider",
        "discord",
        "--provider",
        "twilio",
        "--secret",
        secret,
    ];
    let Some(dev) = Dev::start(&providers).await else { return };
    let Some(mut browser) = Browser::start() else { return };
    browser.run(&format!("await page.goto('{}')", dev.address("console")));
    browser.run(
        "await page.getByRole('link', {name: 'Try it'}).click();
         const choose = (name) => page.getByLabel('Sample').selectOption(name);
         const post = () => page.getByRole('button', {name: 'Post it'}).click();
         const bodies = [];
         page.on('response', async (response) => bodies.push(await response.text().catch(() => '')));
         await choose({label: '/stripe charge.succeeded: a payment that succeeded'});
         await page.getByText('/stripe asks for signature: the bridge adds it').waitFor();
         await post();
         await page.getByRole('heading', {name: 'Answer: 200', exact: true}).waitFor();
         await page.getByText(/^nats:.*: stored after/).waitFor();
         assert.deepEqual(await axe(), []);
         // Signed as it is now, whatever was changed.
         const body = page.getByRole('textbox', {name: 'Body'});
         await body.fill((await body.inputValue()).replaceAll('evt_', 'evt_other_'));
         await post();
         await page.locator('a[href*=evt_other_]').waitFor();
         await page.getByRole('heading', {name: 'Answer: 200', exact: true}).waitFor();
         // A form, and the URL is a part of what is signed: a question that nobody answers.
         const voice = await page.locator('option', {hasText: '/twilio voice'}).getAttribute('value');
         await choose(voice);
         await post();
         await page.getByRole('heading', {name: 'Answer: 503, no-responders'}).waitFor();
         await choose(await page.locator('option', {hasText: '/vapi hang'}).getAttribute('value'));
         await page.getByText('/vapi asks for secret: the bridge adds it').waitFor();
         // Its key is a public one: nobody but Discord can sign.
         await choose(await page.locator('option', {hasText: '/discord component'}).getAttribute('value'));
         await page.getByText('/discord asks nobody').waitFor();
         const samples = await page.evaluate(async () => (await fetch('/samples')).text());
         for (const text of [samples, await page.content(), ...bodies]) assert.ok(!text.includes('whsec_'), text.slice(0, 500));
         assert.ok(bodies.length > 3);",
    );
}
