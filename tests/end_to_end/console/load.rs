//! The live view while much more comes than anybody can read: a page that is left open stays small, and answers at once.
//! `HOOKBUS_LOOK_SECONDS=180` looks longer.

use crate::support::bridge::program;
use crate::support::{Bridge, Browser, endpoint, ports, process};
use serde_json::Value;

/// What the page's own heap may take after garbage was collected, in MiB: it takes two.
const MAX_HEAP: f64 = 8.0;

/// What the process of the page may have in memory, in kB; what it shares with others counts by its share.
const MAX_MEMORY: u64 = 150_000;

/// How long half of the clicks may take until their answer is drawn, in milliseconds: 100 is the aim, and a debug build, its
/// sender and other tests share the cores with the browser here.
const MAX_CLICK: f64 = 400.0;

#[tokio::test(flavor = "multi_thread")]
async fn a_page_stays_small_and_quick_under_load() {
    let Some(mut browser) = Browser::start() else { return };
    let nowhere = format!("nats://127.0.0.1:{}", ports::free());
    let bridge = Bridge::config(endpoint("hook").events_to(&[])).nats_at(&nowhere).start().await;
    let seconds = std::env::var("HOOKBUS_LOOK_SECONDS").unwrap_or_else(|_| "8".to_owned());
    let seconds: usize = seconds.parse().unwrap();
    browser.run(&format!("await page.goto('{}')", bridge.admin_url("/#/live")));
    browser.shows("Connected. The newest comes first.");
    let mut command = program();
    command.args(["send", "hang", "--count", "100000000", "--concurrency", "16"]);
    command.args(["--to", &bridge.url("/hook")]);
    let sender = process::Process::start(&mut command, None);
    browser.shows("A sample: ");
    let count = async || bridge.metric("hookbus_webhooks_total{endpoint=\"hook\"").await;
    let (before, began) = (count().await, std::time::Instant::now());
    let mut clicks = Vec::new();
    for _ in 0..seconds {
        let took = browser.run(
            "await page.waitForTimeout(1000);
             return await page.evaluate(async () => {
                 const button = [...document.querySelectorAll('button')].find((it) => it.hasAttribute('aria-pressed'));
                 const began = performance.now();
                 // As if somebody clicked: behind whatever the page is busy with, and until it is drawn.
                 await new Promise((done) => setTimeout(done));
                 button.click();
                 await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
                 return performance.now() - began;
             });",
        );
        clicks.push(took.as_f64().unwrap());
    }
    let rate = (count().await - before) / began.elapsed().as_secs_f64();
    let seen = browser.run(
        "const cdp = await context.newCDPSession(page);
         await cdp.send('Performance.enable');
         await cdp.send('HeapProfiler.collectGarbage');
         const {metrics} = await cdp.send('Performance.getMetrics');
         const value = (name) => metrics.find((metric) => metric.name === name).value;
         const browserSession = await context.browser().newBrowserCDPSession();
         const times = async () => new Map((await browserSession.send('SystemInfo.getProcessInfo')).processInfo
             .filter(({type}) => type === 'renderer').map(({id, cpuTime}) => [id, cpuTime]));
         // There are renderers without a page as well: that of this one is the busiest while the page is.
         const before = await times();
         await page.evaluate(() => { const end = performance.now() + 1000; while (performance.now() < end); });
         const busy = [...await times()].map(([id, time]) => [id, time - (before.get(id) ?? 0)]);
         return {
             heap: value('JSHeapUsedSize'), nodes: value('Nodes'), rows: await page.locator('tbody tr').count(),
             process: busy.sort(([, one], [, other]) => other - one)[0][0],
         };",
    );
    let memory = memory(&seen["process"]);
    drop(sender);
    let heap = seen["heap"].as_f64().unwrap() / f64::from(1 << 20);
    clicks.sort_by(f64::total_cmp);
    let (median, slowest) = (clicks[clicks.len() / 2], clicks[clicks.len() - 1]);
    println!(
        "{rate:.0} webhooks/s for {seconds} s: {memory} kB, of which its heap {heap:.1} MiB, {} nodes, {} rows; a click took {median:.0} ms, the slowest {slowest:.0} ms",
        seen["nodes"], seen["rows"],
    );
    assert!(rate > 100.0, "{rate}: no load");
    assert!(heap < MAX_HEAP, "{heap} MiB");
    assert!((1_000..MAX_MEMORY).contains(&memory), "{memory} kB");
    assert!(seen["rows"].as_u64().unwrap() <= 500, "{seen}");
    assert!(median < MAX_CLICK, "{clicks:?}");
}

/// What a process has in memory, in kB: its own pages, and its share of those that it has in common with others.
fn memory(process: &Value) -> u64 {
    let rollup = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap()
}
