// The last webhooks, and those of them that are looked for.

import {count, empty, field, h, show, table, time} from './dom.js';
import {json, query} from './http.js';
import {HEADS, row} from './rows.js';
import {search} from './search.js';

const FILTERS = ['id', 'key', 'type', 'endpoint', 'outcome'];

/** @param {import('./main.js').Context} context */
export async function lately({root, parameters, signal}) {
  const result = h('div');
  const form = search('lately', FILTERS.map((name) => field(name, name, parameters.get(name) ?? '')), h('button', {class: 'main'}, 'Look'));
  show(root, form, h('p', {class: 'faint'}, '* stands for anything, except in an id.'), result);

  try {
    const recent = await json(`/recent${query(parameters)}`, signal);
    show(result, ...found(recent, parameters.size > 0));
  } catch (error) {
    if (!signal.aborted) show(result, h('p', {class: 'error'}, /** @type {Error} */ (error).message));
  }
}

/**
 * @param {{since?: string | null, kept?: number, max?: number, lost?: number, webhooks: import('./types.js').Webhook[]}} recent
 * @param {boolean} isFiltered
 */
function found(recent, isFiltered) {
  const {since, kept = recent.webhooks.length, max = Infinity, lost = 0} = recent;
  if (!max) {
    return [empty('None are kept: ', h('code', {}, 'recent = 0'), ' in [tail] of the configuration says so.')];
  }
  const about = h('p', {class: 'faint'}, `Keeps ${count(kept)} of at most ${count(max)}, since `,
    since ? time(since) : 'now', lost > 0 && `; ${count(lost)} came too fast`, '.');
  if (!recent.webhooks.length) {
    return [about, empty(isFiltered ? 'None of them fits.' : 'Nothing came since then. What comes from now on is kept for as long as somebody looks now and then.')];
  }
  return [about, table('Webhooks', HEADS, recent.webhooks.map(row))];
}
