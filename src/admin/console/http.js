// The admin listener's own JSON. A token is asked for once, and kept for this tab only.

import {h, show} from './dom.js';

const TOKEN = 'hookbus-admin-token';

/** Dispatches `lost` and `found` as the bridge goes and comes. */
export const connection = new EventTarget();

let isLost = false;

/** @param {boolean} is */
function note(is) {
  if (is !== isLost) {
    isLost = is;
    connection.dispatchEvent(new Event(is ? 'lost' : 'found'));
  }
}

/** An answer that says why not. */
export class Refused extends Error {
  /**
   * @param {number} status
   * @param {string} text
   */
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

/** @type {Promise<void> | null} */
let asking = null;

function askForToken() {
  asking ??= new Promise((done) => {
    const dialog = /** @type {HTMLDialogElement} */ (document.getElementById('dialog'));
    const input = h('input', {type: 'password', name: 'token', required: true, autocomplete: 'off'});
    show(dialog,
      h('form', {method: 'dialog', onsubmit: () => {
        sessionStorage.setItem(TOKEN, input.value);
        asking = null;
        done();
      }},
      h('h2', {id: 'dialog-title'}, 'This bridge asks for its token'),
      h('p', {}, 'It is the ', h('code', {}, 'token'), ' of [admin] in its configuration. It is kept until this tab is closed.'),
      h('label', {}, 'Token', input),
      h('div', {class: 'actions'}, h('button', {class: 'main'}, 'Continue'))));
    dialog.oncancel = (event) => event.preventDefault();
    // Some browsers let a second Escape close it all the same.
    dialog.onclose = () => { if (asking) dialog.showModal(); };
    dialog.showModal();
  });
  return asking;
}

/**
 * Ask for something; a token that is missing or wrong is asked for.
 * @param {string} path
 * @param {RequestInit} [options]
 * @returns {Promise<Response>}
 */
export async function request(path, options = {}) {
  for (;;) {
    const token = sessionStorage.getItem(TOKEN);
    const headers = new Headers(options.headers);
    if (token) headers.set('authorization', `Bearer ${token}`);
    let response;
    try {
      response = await fetch(path, {...options, headers, cache: 'no-store'});
    } catch (error) {
      if (!options.signal?.aborted) note(true);
      throw error;
    }
    note(false);
    if (response.status === 401 && !path.startsWith('/try/')) {
      if (token === sessionStorage.getItem(TOKEN)) sessionStorage.removeItem(TOKEN);
      await askForToken();
      continue;
    }
    return response;
  }
}

/**
 * @param {string} path
 * @param {RequestInit} [options]
 */
async function accepted(path, options) {
  const response = await request(path, options);
  if (!response.ok) {
    const text = (await response.text()).trim();
    const unknown = `This bridge doesn't know ${path.split('?')[0]}. It may be an older version: reload the page.`;
    throw new Refused(response.status, response.status === 404 && !text ? unknown : text || `status ${response.status}`);
  }
  return response;
}

/**
 * @param {string} path
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export async function json(path, signal) {
  return (await accepted(path, {signal})).json();
}

/**
 * An answer of many lines, as they come.
 * @param {string} path
 * @param {RequestInit} options
 * @param {(line: any) => void} take
 */
export async function lines(path, options, take) {
  const body = (await accepted(path, options)).body;
  if (!body) return;
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  try {
    for (;;) {
      const {done, value} = await reader.read();
      if (done) return;
      const parts = (rest + value).split('\n');
      rest = parts.pop() ?? '';
      parts.filter(Boolean).forEach((part) => take(JSON.parse(part)));
    }
  } catch (error) {
    if (!options.signal?.aborted) note(true);
    throw error;
  }
}

/**
 * A query of what isn't empty, with its question mark.
 * @param {Iterable<[string, string]>} pairs
 */
export function query(pairs) {
  const text = new URLSearchParams([...pairs].filter(([, value]) => value)).toString();
  return text && `?${text}`;
}

/**
 * Do it again and again until the view ends; what fails is tried again.
 * @param {number} milliseconds
 * @param {AbortSignal} signal
 * @param {() => Promise<void>} work
 * @param {(error: Error) => void} failed
 */
export async function every(milliseconds, signal, work, failed) {
  while (!signal.aborted) {
    try {
      await work();
    } catch (error) {
      if (!signal.aborted && error instanceof Refused) failed(error);
    }
    await pause(milliseconds, signal);
  }
}

/**
 * @param {number} milliseconds
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
export function pause(milliseconds, signal) {
  return new Promise((done) => {
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener('abort', () => { clearTimeout(timer); done(); }, {once: true});
  });
}
