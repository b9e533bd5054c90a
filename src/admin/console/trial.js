// Samples to try an endpoint with: what its sender gets back, beside what workers and destinations got. Only `hookbus dev`
// has them.

import {duration, empty, h, pretty, show} from './dom.js';
import {Refused, json, lines, pause, request} from './http.js';
import {remember, workers} from './webhook.js';

/** @typedef {import('./types.js').Sample} Sample */
/** @typedef {import('./types.js').Webhook} Webhook */

/** More than these don't come between a post and its answer, on one machine. */
const MAX_SEEN = 100;
/** How long the live tail may take to tell of a webhook that was answered, in milliseconds. */
const TOLD_WITHIN = 3000;

/** @param {import('./main.js').Context} context */
export async function trial({root, parameters, signal}) {
  /** @type {Sample[]} */
  let samples;
  try {
    ({samples} = await json('/samples', signal));
  } catch (error) {
    if (signal.aborted) return;
    if (error instanceof Refused && error.status === 404) {
      show(root, empty('Only ', h('code', {}, 'hookbus dev'), ' has samples to try.'));
    } else {
      show(root, h('p', {class: 'error'}, /** @type {Error} */ (error).message));
    }
    return;
  }
  const [text, auth] = [h('textarea', {'aria-label': 'Body', spellcheck: 'false'}), h('p', {class: 'faint'})];
  const answers = h('div', {class: 'beside', 'aria-live': 'polite'});
  const label = (/** @type {Sample} */ sample) => `${sample.path} ${sample.name}`;
  const select = h('select', {onchange: () => choose()}, samples.map((sample, place) =>
    h('option', {value: place, selected: label(sample) === parameters.get('sample')}, `${label(sample)}: ${sample.about}`)));
  const choose = () => {
    const sample = samples[Number(select.value)];
    text.value = pretty(sample.body);
    show(auth, proof(sample));
  };
  /** @type {Map<string, Webhook>} */
  const seen = new Map();
  const told = follow(seen, signal);
  const failed = (/** @type {Error} */ error) => {
    if (!signal.aborted) show(answers, h('p', {class: 'error'}, error.message));
  };
  const send = async () => {
    const sample = samples[Number(select.value)];
    const headers = Object.fromEntries(Object.entries(sample.headers).map(([name, value]) =>
      [name, value.replaceAll('{uuid}', () => crypto.randomUUID())]));
    // One that is posted again has the same id.
    seen.clear();
    const began = performance.now();
    const response = await request(`/try${sample.path}${sample.query && `?${sample.query}`}`, {
      method: 'POST', signal, body: text.value, headers: {...headers, 'content-type': sample.content_type},
    });
    const body = await response.text();
    const [answer, walk] = [h('section', {}, answered(response, body, performance.now() - began)), h('section')];
    show(answers, answer, walk);
    const id = response.headers.get('hookbus-id');
    if (id) show(walk, received(await told(id)));
  };
  show(root,
    h('form', {onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); send().catch(failed); }},
      h('label', {}, 'Sample', select), auth, text, h('button', {class: 'main'}, 'Post it')),
    answers);
  choose();
}

/**
 * What is proved of who sends it.
 * @param {Sample} sample
 */
function proof({path, auth, signed}) {
  if (signed) return `${path} asks for ${auth.join(' or ')}: the bridge adds it to what is posted from here.`;
  return auth.includes('none') ? `${path} asks nobody who they are, so it is posted without a signature.`
    : [`${path} asks for ${auth.join(' or ')}, which can’t be made here: use `, h('code', {}, 'hookbus send'), '.'];
}

/**
 * Follow what comes with its body, and give what tells of the webhook with an id; nothing where nobody does in time.
 * @param {Map<string, Webhook>} seen
 * @param {AbortSignal} signal
 * @returns {(id: string) => Promise<Webhook | undefined>}
 */
function follow(seen, signal) {
  /** @type {(() => void)[]} */
  const waiting = [];
  (async () => {
    while (!signal.aborted) {
      try {
        await lines('/tail?bodies=true', {signal}, (line) => {
          if (line.line !== 'webhook' || !line.id) return;
          remember(line);
          if (seen.size < MAX_SEEN) seen.set(line.id, line);
          waiting.splice(0).forEach((wake) => wake());
        });
      } catch {
        // The frame says that the bridge is away, and the answer that nothing is known of its walk.
      }
      await pause(1000, signal);
    }
  })();
  return async (id) => {
    const end = performance.now() + TOLD_WITHIN;
    while (!seen.has(id) && performance.now() < end && !signal.aborted) {
      await Promise.race([pause(TOLD_WITHIN, signal), new Promise((done) => waiting.push(() => done(undefined)))]);
    }
    return seen.get(id);
  };
}

/**
 * @param {Response} response
 * @param {string} body
 * @param {number} took
 */
function answered(response, body, took) {
  const id = response.headers.get('hookbus-id');
  const outcome = response.headers.get('hookbus-outcome');
  return [
    h('h2', {}, `Answer: ${response.status}${outcome ? `, ${outcome}` : ''}`),
    h('p', {class: 'faint'}, `After ${took.toFixed(0)} ms. `, id && h('a', {href: `#/webhook?${new URLSearchParams({id})}`}, 'Look at its walk')),
    h('pre', {tabindex: 0}, pretty(body) || '(an empty body)'),
  ];
}

/** @param {Webhook | undefined} webhook */
function received(webhook) {
  if (!webhook) return h('p', {class: 'faint'}, 'The live tail tells nothing of it, so what workers got isn’t known here.');
  const receipts = webhook.receipts ?? [];
  const asked = workers(webhook);
  if (!asked.length && !receipts.length) return h('p', {class: 'faint'}, 'No worker and no destination got anything of it.');
  return [asked, receipts.length > 0 && [h('h2', {}, 'What destinations got'), h('ul', {}, receipts.map((receipt) =>
    h('li', {}, h('code', {}, receipt.destination), `: ${receipt.outcome} after ${duration(receipt.milliseconds)}`)))]];
}
