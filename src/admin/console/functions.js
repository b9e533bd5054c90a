// What is asked, and who answers.

import {cell, count, duration, empty, h, number, show, table} from './dom.js';
import {Refused, every, json} from './http.js';

/** @typedef {import('./types.js').Answering} Answering */
/** @typedef {import('./types.js').Asked} Asked */

/** @param {import('./main.js').Context} context */
export function functions({root, signal}) {
  every(5000, signal, async () => {
    const [workers, questions] = await Promise.all([json('/workers', signal), asked(signal)]);
    show(root, questions.missing && h('p', {class: 'error'}, questions.missing), ...all(workers, questions.questions));
  }, (error) => show(root, h('p', {class: 'error'}, error.message)));
}

/**
 * How questions ended; a bridge that doesn't know it shows its workers all the same.
 * @param {AbortSignal} signal
 * @returns {Promise<{questions: Asked[], missing?: string}>}
 */
async function asked(signal) {
  try {
    return await json('/questions', signal);
  } catch (error) {
    if (error instanceof Refused && error.status === 404) return {questions: [], missing: error.message};
    throw error;
  }
}

/**
 * @param {{functions: Answering[], others: import('./types.js').Worker[], problems: string[]}} workers
 * @param {Asked[]} questions
 */
function all(workers, questions) {
  const asked = new Map(questions.map((one) => [key(one), one]));
  const listed = workers.functions.map((one) => ({...one, asked: asked.get(key(one))}));
  const known = new Set(workers.functions.map(key));
  const others = questions.filter((one) => !known.has(key(one))).map((one) => ({
    endpoint: one.endpoint, function: one.function || undefined, type: one.type || undefined, subject: '', workers: [], asked: one,
  }));
  /** @type {(Answering & {asked?: Asked})[]} */
  const rows = [...listed, ...others];
  // Those that nobody answers first.
  rows.sort((one, other) => Number(one.workers.length > 0) - Number(other.workers.length > 0));
  const problems = workers.problems.map((problem) => h('p', {class: 'odd'}, problem));
  if (!rows.length) {
    return [problems, empty('Nothing is configured to be asked, and nothing was. Rules are [[endpoint.tool]] and [[endpoint.question]].')];
  }
  return [problems, table('Functions', ['Function or type', 'Workers', {number: 'p50'}, {number: 'p99'}, 'Outcomes since the start', 'Last error'],
    rows.map(row)), strangers(workers.others)];
}

/** @param {{endpoint: string, function?: string, type?: string}} one */
function key(one) {
  return JSON.stringify([one.endpoint, one.function || '', one.type || '']);
}

/** @param {Answering & {asked?: Asked}} one */
function row(one) {
  const latency = one.asked?.latency;
  const outcomes = Object.entries(one.asked?.outcomes ?? {}).map(([outcome, times]) => `${outcome} ${count(times)}`);
  const errors = one.workers.map((worker) => worker.last_error).filter(Boolean);
  return h('tr', {},
    cell(h('strong', {}, one.function ?? one.type), h('div', {class: 'faint'}, one.endpoint, ' ', h('code', {}, one.subject))),
    cell(workers(one)), number(latency ? duration(latency.p50) : '–'), number(latency ? duration(latency.p99) : '–'),
    cell(outcomes.join(', ') || 'not asked'), cell(h('div', {class: errors.length ? 'error' : undefined}, errors.join('; '))));
}

/** @param {Answering} one */
function workers(one) {
  if (!one.workers.length) {
    return h('span', {class: 'bad'}, one.warning ?? 'none that is known');
  }
  /** @type {Map<string, number>} */
  const services = new Map();
  for (const worker of one.workers) {
    const name = `${worker.service} ${worker.version}`;
    services.set(name, (services.get(name) ?? 0) + 1);
  }
  const text = [...services].map(([name, times]) => (times > 1 ? `${times} × ${name}` : name)).join(', ');
  return [text, one.warning && h('div', {class: 'odd'}, one.warning)];
}

/** @param {import('./types.js').Worker[]} others */
function strangers(others) {
  return others.length > 0 && [h('h2', {}, 'Workers of something else'),
    h('p', {class: 'faint'}, 'Nobody asked these yet, and no rule names them.'),
    h('ul', {}, others.slice(0, 100).map((worker) => h('li', {}, `${worker.service} ${worker.version}: `, h('code', {}, worker.subject))))];
}
