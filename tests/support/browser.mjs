// Drives Chromium for the tests: each line that comes is JSON text with the body of an async function, which has `page`,
// `context`, `assert` and `axe` in scope; each line that goes is its result, or why it failed.
import assert from 'node:assert/strict';
import {createRequire} from 'node:module';
import {createInterface} from 'node:readline';

const [, , modules, program] = process.argv;
const require = createRequire(`${modules}/`);
const {chromium} = require('playwright-core');
const source = require('axe-core').source;

// The tests run in containers, where Chromium can't make a sandbox of its own.
const browser = await chromium.launch({executablePath: program, args: ['--no-sandbox']});
const context = await browser.newContext({viewport: {width: 1280, height: 800}, timezoneId: 'Europe/Oslo', locale: 'en-GB'});
context.setDefaultTimeout(20_000);
const page = await context.newPage();
// Whatever the page complains of fails the next step: what its policy forbids, too.
const complaints = [];
page.on('pageerror', (error) => complaints.push(`error: ${error.message}`));
page.on('console', (message) => {
  // A bridge that is away, or refuses, is no fault of the page.
  if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) complaints.push(message.text());
});

/** What axe finds: each with the first element that it is about. Evaluated from outside, so that the page's policy stands. */
async function axe() {
  await page.evaluate(source);
  const {violations} = await page.evaluate(() => globalThis.axe.run());
  return violations.map(({id, nodes}) => `${id}: ${nodes[0].html} ${nodes[0].failureSummary}`);
}

const AsyncFunction = (async () => {}).constructor;
for await (const line of createInterface({input: process.stdin})) {
  let answer;
  try {
    const step = new AsyncFunction('page', 'context', 'assert', 'axe', JSON.parse(line));
    answer = {value: (await step(page, context, assert, axe)) ?? null};
    assert.deepEqual(complaints.splice(0), [], 'the page complains');
  } catch (error) {
    const text = await page.locator('body').innerText({timeout: 1000}).catch(() => '');
    answer = {error: `${error.stack ?? error}\n${text.slice(0, 3000)}`};
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await browser.close();
