//! A broker of another kind: what Kafka stored, and what it will never take.

use super::event;
use crate::support::{Bridge, Browser, Nats, endpoint, kafka};

#[tokio::test(flavor = "multi_thread")]
async fn each_destination_is_seen_with_what_it_did() {
    let Some(kafka) = kafka::shared().await else { return };
    let Some(nats) = Nats::start().await else { return };
    let Some(mut browser) = Browser::start() else { return };
    nats.create_stream("EVENTS", &["hook.events.>"]).await;
    kafka.create_topic("console-large", 1).await;
    kafka.create_topic_with("console-small", 1, &[("max.message.bytes", "2000")]).await;
    let to = ["nats:hook.events.{type}", "kafka:console-large", "kafka:console-small"];
    let config = format!("[tail]\nalways_recent = true\n{}", endpoint("hook").events_to(&to));
    let bridge = Bridge::config(config).nats(&nats).kafka(kafka).start_ready().await;
    assert_eq!(bridge.post("/hook", event("fits", "k"), &[]).await.status, 200);
    let parent = [("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")];
    let body = serde_json::json!({"message": {"type": "large", "text": "x".repeat(5_000)}});
    assert_eq!(bridge.post("/hook", body.to_string(), &parent).await.status, 202);

    browser.run(&format!("await page.goto('{}')", bridge.admin_url("/#/overview")));
    browser.shows("kafka: connected");
    browser.shows("1 dead letter.");
    browser.run(
        "await page.getByRole('link', {name: 'Lately'}).click();
         await page.getByLabel('outcome', {exact: true}).fill('dead-lettered');
         await page.getByRole('button', {name: 'Look'}).click();
         await page.locator('tbody tr', {hasText: 'large'}).locator('a').click();
         await page.getByText('4bf92f3577b34da6a3ce929d0e0e4736').waitFor();
         const rows = await page.locator('.timeline tbody tr').evaluateAll((rows) =>
             rows.map((row) => [...row.cells].slice(0, 3).map((cell) => cell.textContent)));
         assert.deepEqual(rows.slice(0, 3).map(([step]) => step), ['received', 'authenticated', 'read']);
         const receipts = rows.slice(3, -1).map(([step, what]) => `${step} ${what}`).sort();
         assert.deepEqual(receipts, [
             'dead-lettered kafka:console-small', 'stored kafka:console-large', 'stored nats:hook.events.{type}',
         ]);
         assert.match(rows.at(-1)[1], /^dead-lettered, status 202/);
         const after = rows.map(([, , time]) => Number(time.split(' ')[0]));
         assert.deepEqual(after, after.toSorted((one, other) => one - other));
         assert.deepEqual(await axe(), []);
         await page.getByRole('link', {name: 'Dead letters and spool'}).click();
         const letter = page.locator('tbody tr', {hasText: 'kafka:console-small'});
         await letter.getByText('too-large').waitFor();
         await letter.getByRole('button', {name: 'Drop'}).click();
         await page.getByRole('dialog').getByRole('button', {name: 'Drop'}).click();
         await page.getByText('There are none.').waitFor();",
    );
}
