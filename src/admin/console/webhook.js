// One webhook: what is known of it, and its walk as a timeline.

import {copyable, duration, empty, h, number, pretty, show, size, svg, time} from './dom.js';
import {json} from './http.js';
import {outcome} from './rows.js';

/** @typedef {import('./types.js').Webhook} Webhook */

/** Those that were seen live, which may have bodies. */
const MAX_REMEMBERED = 500;
/** @type {Map<string, Webhook>} */
const remembered = new Map();

/** @param {Webhook} webhook */
export function remember(webhook) {
  if (!webhook.id) return;
  // One that comes again is as new as any.
  remembered.delete(webhook.id);
  remembered.set(webhook.id, webhook);
  if (remembered.size > MAX_REMEMBERED) remembered.delete(remembered.keys().next().value ?? '');
}

/** @param {import('./main.js').Context} context */
export async function webhook({root, parameters, signal}) {
  const id = parameters.get('id') ?? '';
  let found = remembered.get(id);
  try {
    found ??= (await json(`/recent?${new URLSearchParams({id})}`, signal)).webhooks[0];
  } catch (error) {
    if (!signal.aborted) show(root, h('p', {class: 'error'}, String(error)));
    return;
  }
  if (!found) {
    show(root, empty('No webhook with the id ', h('code', {}, id), ' is kept. Only the last ones are: look under ',
      h('a', {href: '#/lately'}, 'Lately'), '.'));
    return;
  }
  show(root, facts(found), h('h2', {}, 'Its walk'), timeline(found), body(found));
}

/** @param {Webhook} webhook */
function facts(webhook) {
  /** @type {[string, import('./dom.js').Child][]} */
  const all = [
    ['Received', time(webhook.time)],
    ['Endpoint', webhook.endpoint],
    ['Type', webhook.type && h('code', {}, webhook.type)],
    ['Key', webhook.key && copyable(webhook.key)],
    ['Id', webhook.id && copyable(webhook.id)],
    ['Trace', webhook.trace_id && copyable(webhook.trace_id)],
    ['Outcome', outcome(webhook)],
    ['Why', webhook.error && h('span', {class: 'error'}, webhook.error)],
    ['Answer', webhook.status ? `status ${webhook.status}` : 'none: its sender hung up'],
    ['Size', size(webhook.bytes)],
  ];
  return h('dl', {}, all.filter(([, value]) => value).map(([name, value]) => [h('dt', {}, name), h('dd', {}, value)]));
}

/** @typedef {{name: string, what: string, after?: number, isOdd?: boolean}} Step */

/** @param {Webhook} webhook */
function timeline(webhook) {
  const whole = Math.max(webhook.milliseconds, 0.001);
  const row = (/** @type {Step} */ {name, what, after, isOdd}) => h('tr', {},
    h('td', {}, name), h('td', {class: 'long'}, what), number(after === undefined ? '' : duration(after)),
    h('td', {class: 'bar'}, after !== undefined && svg('svg', {viewBox: '0 0 100 8', preserveAspectRatio: 'none', 'aria-hidden': true},
      svg('rect', {x: 0, y: 0, height: 8, width: Math.max(1, 100 * Math.min(1, after / whole)), class: isOdd ? 'late' : undefined}))));
  return [h('div', {class: 'timeline scroll', tabindex: 0, role: 'region', 'aria-label': 'Timeline'}, h('table', {},
    h('thead', {}, h('tr', {}, ['Step', 'What', 'After', 'Time'].map((head) => h('th', {scope: 'col'}, head)))),
    h('tbody', {}, steps(webhook).map(row)))),
  isOfOlderBridge(webhook) && h('p', {class: 'faint'},
    'This bridge is of an older version: it doesn’t say when the sender was known, nor when each destination had it.')];
}

/**
 * What happened, in its order.
 * @param {Webhook} webhook
 */
function steps(webhook) {
  /** @type {Step[]} */
  const known = [{name: 'received', what: `its head; ${webhook.kind ?? 'of no known kind'}`, after: 0}];
  if (webhook.authenticated_milliseconds !== undefined) {
    known.push({name: 'authenticated', what: 'its sender is known', after: webhook.authenticated_milliseconds});
  }
  if (webhook.received_milliseconds !== undefined) {
    known.push({name: 'read', what: `all of its ${size(webhook.bytes)}`, after: webhook.received_milliseconds});
  }
  /** @type {Step[]} */
  const beside = (webhook.questions ?? []).map((question) => {
    const who = question.worker ? ` by ${question.worker}` : '';
    const what = `${question.outcome ?? 'no answer before its sender hung up'}${who}${question.reused ? ', an earlier answer' : ''}`;
    const name = question.function ? `${question.function}()` : 'question';
    return {name, what, after: question.milliseconds, isOdd: question.outcome !== 'answered'};
  });
  const receipts = webhook.receipts ?? [];
  beside.push(...receipts.map(({destination, outcome, milliseconds}) =>
    ({name: outcome, what: destination, after: milliseconds, isOdd: outcome !== 'stored'})));
  const silent = (webhook.destinations ?? []).filter((destination) => !receipts.some((receipt) => receipt.destination === destination));
  beside.push(...silent.map((destination) => ({name: 'destination', what: destination})));
  beside.sort((one, other) => (one.after ?? Infinity) - (other.after ?? Infinity) || 0);
  const end = webhook.status ? `${webhook.outcome}, status ${webhook.status}` : webhook.outcome;
  return [...known, ...beside, {name: 'answered', what: end, after: webhook.milliseconds, isOdd: webhook.outcome === 'refused'}];
}

/**
 * What was let in has a time for it, since there are times.
 * @param {Webhook} webhook
 */
function isOfOlderBridge(webhook) {
  return webhook.authenticated_milliseconds === undefined && !['refused', 'hung-up', 'handshake'].includes(webhook.outcome);
}

/** @param {Webhook} webhook */
function body(webhook) {
  if (webhook.body === undefined) {
    return h('p', {class: 'faint'}, 'Its body isn’t shown: only the live view has bodies, where the configuration allows them.');
  }
  return [h('h2', {}, 'Its body'), h('pre', {tabindex: 0}, pretty(webhook.body)), workers(webhook)];
}

/**
 * What each worker got of it.
 * @param {Webhook} webhook
 */
export function workers(webhook) {
  return (webhook.asked ?? []).map(({function: name, subject, headers, payload}) => [
    h('h2', {}, name ? `What a worker for ${name}() gets` : 'What a worker gets'),
    h('p', {}, 'On the subject ', h('code', {}, subject)),
    headers && h('dl', {}, Object.entries(headers).map(([header, value]) => [h('dt', {}, header), h('dd', {}, h('code', {}, value))])),
    h('pre', {tabindex: 0}, pretty(payload)),
  ]);
}
