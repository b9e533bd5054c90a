// Endpoints and their rules; and where a webhook would go. The bridge's own routing answers that.

import {cell, duration, empty, field, h, show, table} from './dom.js';
import {json, query} from './http.js';
import {search} from './search.js';

/** @typedef {import('./types.js').Endpoint} Endpoint */
/** @typedef {import('./types.js').Rule} Rule */

/** @param {import('./main.js').Context} context */
export async function routes({root, parameters, signal}) {
  /** @type {Endpoint[]} */
  let endpoints;
  try {
    ({endpoints} = await json('/routes', signal));
  } catch (error) {
    if (!signal.aborted) show(root, h('p', {class: 'error'}, /** @type {Error} */ (error).message));
    return;
  }
  if (!endpoints.length) {
    show(root, empty('No endpoint is configured. [[endpoint]] opens a path for webhooks.'));
    return;
  }
  const answer = h('div', {role: 'status'});
  const chosen = parameters.get('endpoint') ?? endpoints[0].name;
  const options = endpoints.map((one) => h('option', {value: one.name, selected: one.name === chosen}, one.name));
  const form = search('routes', h('label', {}, 'endpoint', h('select', {name: 'endpoint'}, options)),
    ['type', 'key', 'function'].map((name) => field(name, name, parameters.get(name) ?? '')), h('button', {class: 'main'}, 'Where does it go?'));
  show(root, h('h2', {}, 'Where would a webhook go?'), form, answer, endpoints.map(endpoint));
  if (!parameters.get('type') && !parameters.get('function')) return;
  try {
    show(answer, ...found(await json(`/routes/find${query(parameters)}`, signal)));
  } catch (error) {
    if (!signal.aborted) show(answer, h('p', {class: 'error'}, /** @type {Error} */ (error).message));
  }
}

/** @param {{asks: boolean, stored: {destination: string, name: string}[], asked?: {subject: string, timeout?: number, fallback?: unknown}}} it */
function found(it) {
  const stored = it.stored.map((to) => h('li', {}, it.asks ? 'a copy to ' : 'to ', h('code', {}, to.destination), ', as ', h('code', {}, to.name)));
  const asked = it.asked && h('li', {}, 'asked on ', h('code', {}, it.asked.subject),
    it.asked.timeout !== undefined && ` for ${duration(it.asked.timeout)}`,
    it.asked.fallback !== undefined && [', with the fallback ', h('code', {}, JSON.stringify(it.asked.fallback))]);
  if (!asked && !stored.length) return [h('p', {}, 'Nowhere: a rule drops it on purpose.')];
  return [h('ul', {}, asked, stored)];
}

/** @param {Endpoint} one */
function endpoint(one) {
  const rules = (/** @type {string} */ title, /** @type {Rule[]} */ all) =>
    table(`${title} of ${one.name}`, [title, 'Where', 'How'], all.map(rule));
  return h('section', {},
    h('h2', {}, one.name),
    h('p', {}, h('code', {}, `POST ${one.path}`), ` from ${one.source}; authentication: ${one.auth.join(', ')}`),
    rules('Events', one.events), rules('Questions', one.questions), rules('Functions', one.functions));
}

/** @param {Rule} rule */
function rule(rule) {
  const how = [rule.timeout !== undefined && `within ${duration(rule.timeout)}`, rule.has_fallback && 'with a fallback'].filter(Boolean);
  const to = rule.subject ? [h('code', {}, rule.subject), rule.to.length > 0 && `, a copy to ${rule.to.join(', ')}`]
    : rule.to.length ? h('code', {}, rule.to.join(', ')) : 'nowhere';
  return h('tr', {}, cell(h('code', {}, rule.patterns.join(', '))), cell(to), cell(how.join(', ')));
}
