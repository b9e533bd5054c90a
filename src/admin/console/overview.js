// How the bridge is, now and over the last quarter of an hour.

import {chart} from './chart.js';
import {count, counted, duration, empty, h, show, size, time} from './dom.js';
import {every, json} from './http.js';
import {explained} from './rows.js';

/** @typedef {import('./types.js').Step} Step */

const MAX_STEPS = 180;

/** @param {import('./main.js').Context} context */
export function overview({root, signal}) {
  const [readiness, charts, refused] = [h('section', {class: 'card'}), h('div', {class: 'cards'}), h('section')];
  show(root, h('div', {class: 'cards'}, readiness), h('h2', {}, 'The last fifteen minutes'), charts, refused);
  /** @type {Step[]} */
  let steps = [];
  let age = 0;
  const failed = (/** @type {Error} */ error) => show(readiness, h('p', {class: 'error'}, error.message));
  every(5000, signal, async () => {
    const after = steps.at(-1)?.number ?? 0;
    const [history, status] = await Promise.all([json(`/history?after=${after}`, signal), json('/status', signal)]);
    // A process that began anew counts its steps from one: all of them are asked for at the next turn.
    steps = status.uptime_seconds < age ? [] : [...steps, ...history.steps].slice(-MAX_STEPS);
    age = status.uptime_seconds;
    show(readiness, h('h2', {}, status.is_ready ? 'Ready' : 'Not ready'), status.readiness.slice(status.is_ready ? 1 : 0).map(line),
      h('p', {class: 'faint'}, `Version ${status.version}, up ${uptime(status.uptime_seconds)}.`));
    show(charts, cards(steps));
  }, failed);
  every(5000, signal, async () => {
    const recent = await json('/recent?outcome=unauthorized&limit=5', signal);
    const reasons = sums(steps, 'unauthorized');
    show(refused, ...senders(reasons, recent.webhooks));
  }, failed);
}

/** @param {string} text */
function line(text) {
  return h('p', {class: text.endsWith(': connected') || text === 'ready' ? 'good' : 'bad'}, text);
}

/** @param {number} seconds */
function uptime(seconds) {
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return hours ? `${hours} h ${minutes} min` : minutes ? `${minutes} min` : `${seconds} s`;
}

/**
 * How often each of them came.
 * @param {Step[]} steps
 * @param {'webhooks' | 'questions' | 'unauthorized'} of
 */
function sums(steps, of) {
  /** @type {Map<string, number>} */
  const all = new Map();
  for (const step of steps) {
    for (const [name, value] of Object.entries(step[of])) all.set(name, (all.get(name) ?? 0) + value);
  }
  return [...all].sort((one, other) => other[1] - one[1]);
}

/**
 * What came a second, a line for each that came.
 * @param {Step[]} steps
 * @param {'webhooks' | 'questions'} of
 */
function rates(steps, of) {
  return sums(steps, of).slice(0, 6).map(([name]) => ({
    name, values: steps.map((step) => (step[of][name] ?? 0) / step.seconds),
  }));
}

/** @param {number} rate */
function perSecond(rate) {
  return `${rate >= 10 ? count(Math.round(rate)) : rate.toFixed(1)}/s`;
}

/** @param {Step[]} steps */
function cards(steps) {
  const now = steps.at(-1);
  if (!now) return empty('The first figures come five seconds after the start.');
  const card = (/** @type {string} */ title, /** @type {import('./dom.js').Child[]} */ ...children) =>
    h('section', {class: 'card'}, h('h2', {}, title), children);
  const latency = ['event', 'question'].flatMap((kind) => /** @type {const} */ (['p50', 'p99']).map((part) => ({
    name: `${kind} ${part}`, values: steps.map((step) => step.latency[kind]?.[part] ?? null),
  }))).filter((one) => one.values.some((value) => value !== null));
  const [webhooks, questions] = [rates(steps, 'webhooks'), rates(steps, 'questions')];
  return [
    card('Webhooks by outcome', webhooks.length ? chart('Webhooks a second by outcome', webhooks, perSecond)
      : empty('None came. ', h('code', {}, 'hookbus send'), ' posts samples.')),
    card('Latency', latency.length ? chart('Latency', latency, duration) : empty('Nothing was answered yet.')),
    card('Questions by outcome', questions.length ? chart('Questions a second by outcome', questions, perSecond)
      : empty('Nothing was asked.')),
    card('In flight', ['event', 'question', 'reading'].map((kind) =>
      inFlight(kind, now.in_flight[kind] ?? 0, now.in_flight_max[kind], count)),
    inFlight('bytes', now.in_flight_bytes, now.in_flight_bytes_max, size)),
    card('On disk',
      h('p', {class: now.queued ? 'odd' : undefined}, `${counted(now.queued, 'event')} ${now.queued === 1 ? 'waits for its' : 'wait for their'} broker.`),
      h('p', {class: now.dead_letters ? 'bad' : undefined}, `${counted(now.dead_letters, 'dead letter')}.`),
      h('p', {}, h('a', {href: '#/disk'}, 'Look at them'))),
  ];
}

/**
 * @param {string} name
 * @param {number} value
 * @param {number} max
 * @param {(value: number) => string} format
 */
function inFlight(name, value, max, format) {
  return h('label', {}, `${name}: ${format(value)} of ${format(max)}`,
    h('meter', {min: 0, max, high: max * 0.75, value}));
}

/**
 * @param {[string, number][]} reasons
 * @param {import('./types.js').Webhook[]} webhooks
 */
function senders(reasons, webhooks) {
  if (!reasons.length && !webhooks.length) return [];
  return [
    h('h2', {}, 'Refused senders'),
    reasons.length > 0 && h('p', {}, reasons.map(([reason, times]) => `${reason}: ${count(times)}`).join(', ')),
    h('ul', {}, webhooks.map((webhook) => h('li', {}, time(webhook.time), ' ', webhook.endpoint, ': ', explained(webhook)))),
  ];
}
