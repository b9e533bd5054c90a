// Samples to try an endpoint with. Only `hookbus dev` has them.

import {empty, h, show} from './dom.js';
import {Refused, json, request} from './http.js';

/** @typedef {import('./types.js').Sample} Sample */

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
  const [text, answer] = [h('textarea', {'aria-label': 'Body', spellcheck: 'false'}), h('section', {'aria-live': 'polite'})];
  const label = (/** @type {Sample} */ sample) => `${sample.path} ${sample.name}`;
  const select = h('select', {onchange: () => choose()}, samples.map((sample, place) =>
    h('option', {value: place, selected: label(sample) === parameters.get('sample')}, `${label(sample)}: ${sample.about}`)));
  const choose = () => {
    const {body} = samples[Number(select.value)];
    try {
      text.value = JSON.stringify(JSON.parse(body), null, 2);
    } catch {
      text.value = body;
    }
  };
  const failed = (/** @type {Error} */ error) => {
    if (!signal.aborted) show(answer, h('p', {class: 'error'}, error.message));
  };
  const send = async () => {
    const sample = samples[Number(select.value)];
    const began = performance.now();
    const response = await request(`/try${sample.path}${sample.query && `?${sample.query}`}`, {
      method: 'POST', signal, body: text.value, headers: {...sample.headers, 'content-type': sample.content_type},
    });
    const body = await response.text();
    const took = performance.now() - began;
    show(answer, ...answered(response, body, took));
  };
  show(root,
    h('form', {onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); send().catch(failed); }},
      h('label', {}, 'Sample', select), text, h('button', {class: 'main'}, 'Post it')),
    answer);
  choose();
}

/**
 * @param {Response} response
 * @param {string} body
 * @param {number} took
 */
function answered(response, body, took) {
  const id = response.headers.get('hookbus-id');
  const outcome = response.headers.get('hookbus-outcome');
  let text = body;
  try {
    text = JSON.stringify(JSON.parse(body), null, 2);
  } catch {
    // It isn't JSON.
  }
  return [
    h('h2', {}, `Answer: ${response.status}${outcome ? `, ${outcome}` : ''}`),
    h('p', {class: 'faint'}, `After ${took.toFixed(0)} ms. `, id && h('a', {href: `#/webhook?${new URLSearchParams({id})}`}, 'Look at its walk')),
    h('pre', {tabindex: 0}, text || '(an empty body)'),
  ];
}
