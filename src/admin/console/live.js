// Webhooks as they come, as `hookbus tail` shows them.

import {count, empty, field, h, show, table} from './dom.js';
import {Refused, lines, pause, query} from './http.js';
import {HEADS, row} from './rows.js';
import {remember} from './webhook.js';

/** More than these a second nobody reads: then it is a sample. */
const RATE = 50;
const MAX_ROWS = 500;
const FILTERS = ['endpoint', 'type', 'key', 'outcome'];

/** @param {import('./main.js').Context} context */
export function live({root, parameters, signal}) {
  let isPaused = false;
  let lost = 0;
  /** @type {import('./types.js').Webhook[]} */
  let waiting = [];
  const rows = /** @type {HTMLElement} */ (table('Webhooks', HEADS, []));
  const body = /** @type {HTMLElement} */ (rows.querySelector('tbody'));
  const note = h('p', {class: 'faint', role: 'status'}, 'Connecting …');
  const nothing = empty('Nothing came since this view was opened. ', h('code', {}, 'hookbus send end-of-call-report'), ' posts a sample.');
  const button = h('button', {type: 'button', 'aria-pressed': 'false', onclick: () => {
    isPaused = !isPaused;
    button.setAttribute('aria-pressed', String(isPaused));
    show(button, isPaused ? 'Go on' : 'Pause');
    draw();
  }}, 'Pause');
  const check = (/** @type {string} */ name, /** @type {string} */ label) => h('label', {class: 'check'},
    h('input', {type: 'checkbox', name, value: 'true', checked: parameters.get(name) === 'true'}), label);
  const form = h('form', {
    onsubmit: (/** @type {Event} */ event) => event.preventDefault(),
    onchange: () => {
      const chosen = /** @type {[string, string][]} */ ([...new FormData(form)]);
      location.hash = `#/live${query(chosen)}`;
    },
  }, FILTERS.map((name) => field(name, name, parameters.get(name) ?? '')),
  check('errors', 'only what went wrong'), check('bodies', 'with bodies'), button);
  show(root, form, note, nothing, rows);
  rows.hidden = true;

  const draw = () => {
    if (isPaused) {
      show(note, `Paused. ${count(waiting.length)} came meanwhile.`);
      return;
    }
    if (waiting.length) {
      nothing.hidden = true;
      rows.hidden = false;
      body.prepend(...waiting.reverse().map(row));
      waiting = [];
      while (body.childElementCount > MAX_ROWS) body.lastElementChild?.remove();
    }
    show(note, lost ? `A sample: ${count(lost)} more came than are shown.` : 'Connected. The newest comes first.');
  };
  let isDrawing = false;
  const take = (/** @type {any} */ line) => {
    if (line.line === 'lost') {
      lost += line.count;
    } else {
      remember(line);
      waiting.push(line);
      // What is paused takes no more than what is shown.
      if (waiting.length > MAX_ROWS) waiting.shift();
    }
    if (!isDrawing) {
      isDrawing = true;
      setTimeout(() => { isDrawing = false; if (!signal.aborted) draw(); }, 100);
    }
  };
  const path = `/tail${query([['rate', String(RATE)], ...parameters])}`;
  (async () => {
    while (!signal.aborted) {
      try {
        draw();
        await lines(path, {signal}, take);
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof Refused) {
          show(note, h('span', {class: 'error'}, error.message));
          await pause(5000, signal);
          continue;
        }
      }
      if (!signal.aborted) show(note, 'The connection is lost. Trying again …');
      await pause(1000, signal);
    }
  })();
}
