// What is on disk: dead letters, which can be published again or dropped, and what queues for a broker.

import {cell, confirmed, count, counted, empty, field, h, number, show, size, table, time} from './dom.js';
import {lines, query} from './http.js';
import {search} from './search.js';

/** @typedef {import('./types.js').DeadLetter} DeadLetter */
/** @typedef {import('./types.js').Queue} Queue */

const FILTERS = ['endpoint', 'type', 'reason', 'destination'];
const ROWS_OF_A_PAGE = 100;

/** @param {import('./main.js').Context} context */
export function disk({root, parameters, signal}) {
  const [letters, queues, progress] = [h('div'), h('div'), h('p', {role: 'status'})];
  const form = search('disk', FILTERS.map((name) => field(name, name, parameters.get(name) ?? '')), h('button', {class: 'main'}, 'Look'));
  show(root, h('h2', {}, 'Dead letters'), h('p', {class: 'faint'}, 'Events that a broker will never take as they are.'),
    form, progress, letters, h('h2', {}, 'Spool'), h('p', {class: 'faint'}, 'Events that wait for their broker, and follow in order by themselves.'), queues);

  const failed = (/** @type {unknown} */ error) => {
    if (!signal.aborted) show(progress, h('span', {class: 'error'}, /** @type {Error} */ (error).message));
  };
  /** Where the pages up to the one that is shown begin. */
  let pages = [0];
  const look = async () => {
    /** @type {DeadLetter[]} */
    const dead = [];
    /** @type {import('./types.js').Summary} */
    let summary = {};
    const page = [['from', String(pages.at(-1) || '')], ['limit', String(ROWS_OF_A_PAGE)]];
    await lines(`/dead-letters${query([...parameters, .../** @type {[string, string][]} */ (page)])}`, {signal}, (line) => {
      if (line.line === 'summary') summary = line;
      if (line.line === 'dead-letter') dead.push(line);
    });
    show(letters, ...deadLetters(dead, summary));
  };
  const lookAtSpool = async () => {
    /** @type {Queue[]} */
    const waiting = [];
    await lines('/spool', {signal}, (line) => { if (line.line === 'queue') waiting.push(line); });
    show(queues, waiting.length ? spool(waiting) : empty('Nothing waits.'));
  };

  /**
   * @param {'replay' | 'drop'} what
   * @param {[string, string][]} filter
   */
  const change = async (what, filter) => {
    /** @type {HTMLElement[]} */
    const givenUp = [];
    show(progress, 'Working …');
    try {
      await lines(`/dead-letters/${what}${query(filter)}`, {method: 'POST', signal}, (line) => {
        if (line.line === 'given-up') givenUp.push(h('div', {class: 'error'}, `${line.destination}: ${line.error}`));
        if (line.line === 'progress' || line.line === 'summary') show(progress, summary(line), givenUp);
      });
      pages = [0];
      await Promise.all([look(), lookAtSpool()]);
    } catch (error) {
      failed(error);
    }
  };
  const drop = async (/** @type {string} */ which, /** @type {[string, string][]} */ filter) => {
    if (await confirmed(`${which} will be removed and can't be had back.`, 'Drop')) change('drop', filter);
  };

  /**
   * @param {DeadLetter[]} dead
   * @param {import('./types.js').Summary} summary
   */
  const deadLetters = (dead, summary) => {
    const {end, next, dead_letters: all} = summary;
    const isFirst = pages.length === 1;
    if (!dead.length && isFirst) return [empty(parameters.size ? 'None fits.' : 'There are none.')];
    // What came since isn't meant.
    /** @type {[string, string][]} */
    const filter = [...parameters, ['before', String(end ?? '')]];
    // How many fit is known only of what was read.
    const known = !parameters.size ? all : isFirst && next === undefined ? dead.length : undefined;
    const which = known === undefined ? 'All dead letters that fit' : counted(known, 'dead letter');
    const amount = known === undefined ? 'that fit' : count(known);
    const turn = (/** @type {number[]} */ to) => { pages = to; look().catch(failed); };
    return [
      end !== undefined && h('div', {class: 'actions'},
        h('button', {type: 'button', onclick: () => change('replay', filter)}, `Publish all ${amount} again`),
        h('button', {type: 'button', class: 'danger', onclick: () => drop(which, filter)}, `Drop all ${amount}`)),
      table('Dead letters', ['Since', 'Event', 'Destination', 'Why', {number: 'Size'}, 'Do'], dead.map(letter)),
      (!isFirst || next !== undefined) && h('div', {class: 'actions'},
        h('button', {type: 'button', disabled: isFirst, onclick: () => turn(pages.slice(0, -1))}, 'Back'),
        h('button', {type: 'button', disabled: next === undefined, onclick: () => turn([...pages, next ?? 0])}, 'Next'),
        h('span', {class: 'faint'}, `Page ${pages.length}, ${ROWS_OF_A_PAGE} on a page.`)),
    ];
  };

  /** @param {DeadLetter} one */
  const letter = (one) => {
    /** @type {[string, string][]} */
    const filter = [['id', one.id], ['destination', one.destination]];
    return h('tr', {},
      h('td', {}, time(one.dead_lettered)),
      cell(one.type, h('div', {class: 'faint'}, one.endpoint, one.key && ` · ${one.key}`, ' · ', h('code', {}, one.id))),
      cell(one.destination, h('div', {class: 'faint'}, one.name)),
      cell(one.reason, h('div', {class: 'faint error'}, one.detail)),
      number(size(one.bytes)),
      h('td', {}, h('div', {class: 'actions'},
        h('button', {type: 'button', onclick: () => change('replay', filter)}, 'Publish again'),
        h('button', {type: 'button', class: 'danger', onclick: () => drop('This dead letter', filter)}, 'Drop'))));
  };

  look().catch(failed);
  lookAtSpool().catch((error) => { if (!signal.aborted) show(queues, h('p', {class: 'error'}, error.message)); });
}

/** @param {Record<string, number>} line */
function summary(line) {
  const parts = ['published', 'rejected', 'dropped', 'left'].filter((part) => line[part] > 0);
  return parts.map((part) => `${count(line[part])} ${part}`).join(', ') || 'nothing was done';
}

/** @param {Queue[]} waiting */
function spool(waiting) {
  return table('Queues', ['Destination', {number: 'Events'}, {number: 'Of these apart'}, {number: 'Size'}, 'Since'], waiting.map((queue) =>
    h('tr', {}, cell(queue.destination, !queue.is_configured && h('div', {class: 'odd'},
      'It left the configuration: ', h('code', {}, 'hookbus spool drain'), ' publishes what queues.')),
    number(count(queue.records)), number(count(queue.apart)), number(size(queue.bytes)),
    h('td', {}, queue.oldest && time(queue.oldest)))));
}
