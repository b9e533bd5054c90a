// Elements. Text stays text: nothing here makes markup of a string, and characters that can't be seen, or that turn the
// direction of writing around, are replaced.

/** @typedef {Node | string | number | null | undefined | false | Child[]} Child */
/** @typedef {Record<string, string | number | boolean | undefined | ((event: any) => void)>} Attributes */

const HARMFUL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/**
 * Text from outside, without such characters.
 * @param {string} text
 */
export function clean(text) {
  return text.replace(HARMFUL, '\ufffd');
}

/**
 * @param {Element} element
 * @param {Attributes} attributes
 * @param {Child[]} children
 */
function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') {
      element.addEventListener(name.slice(2), value);
    } else if (value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? '' : clean(String(value)));
    }
  }
  add(element, children);
}

/**
 * An element: `h('a', {href: '#/live'}, 'live')`. Attributes that are functions are listeners, such as `onclick`.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} name
 * @param {Attributes} [attributes]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  fill(element, attributes, children);
  return element;
}

/**
 * The same of a drawing.
 * @param {string} name
 * @param {Attributes} [attributes]
 * @param {...Child} children
 */
export function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name);
  fill(element, attributes, children);
  return element;
}

/**
 * @param {Node} parent
 * @param {Child} child
 */
function add(parent, child) {
  if (Array.isArray(child)) {
    child.forEach((one) => add(parent, one));
  } else if (child instanceof Node) {
    parent.appendChild(child);
  } else if (child !== null && child !== undefined && child !== false) {
    parent.appendChild(document.createTextNode(clean(String(child))));
  }
}

/**
 * Put this in the place of what is there.
 * @param {Element} element
 * @param {...Child} children
 */
export function show(element, ...children) {
  element.replaceChildren();
  add(element, children);
}

/**
 * A table that can be scrolled where there is little room.
 * @param {string} label
 * @param {(string | {number: string})[]} heads
 * @param {Node[]} rows
 */
export function table(label, heads, rows) {
  const head = heads.map((head) => {
    const [text, style] = typeof head === 'string' ? [head, undefined] : [head.number, 'number'];
    return h('th', {scope: 'col', class: style}, text);
  });
  return h('div', {class: 'scroll', tabindex: 0, role: 'region', 'aria-label': label},
    h('table', {}, h('thead', {}, h('tr', {}, head)), h('tbody', {}, rows)));
}

/** @param {...Child} children */
export function cell(...children) {
  return h('td', {class: 'long'}, children);
}

/** @param {Child} child */
export function number(child) {
  return h('td', {class: 'number'}, child);
}

/**
 * What there is to see where there is nothing: why, and what to do next.
 * @param {...Child} children
 */
export function empty(...children) {
  return h('p', {class: 'empty'}, children);
}

/**
 * A time of day where the reader is; the exact one on hover.
 * @param {string} iso
 */
export function time(iso) {
  const date = new Date(iso);
  const isToday = date.toDateString() === new Date().toDateString();
  const text = isToday ? date.toLocaleTimeString() : date.toLocaleString();
  return h('time', {datetime: iso, title: iso}, Number.isNaN(date.valueOf()) ? iso : text);
}

/** @param {number} milliseconds */
export function duration(milliseconds) {
  if (milliseconds < 10) return `${milliseconds.toFixed(1)} ms`;
  return milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}

/** @param {number} bytes */
export function size(bytes) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  for (; bytes >= 1024 && unit < units.length - 1; unit += 1) bytes /= 1024;
  return `${unit ? bytes.toFixed(1) : bytes} ${units[unit]}`;
}

/**
 * A text with line breaks and indentation, where it is JSON.
 * @param {string} text
 */
export function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** @param {number} count */
export function count(count) {
  return count.toLocaleString();
}

/**
 * How many of what: `1 event`, `2 events`.
 * @param {number} many
 * @param {string} one
 */
export function counted(many, one) {
  return `${count(many)} ${one}${many === 1 ? '' : 's'}`;
}

/**
 * A text that can be copied. Browsers let a page do that only over HTTPS or on this machine.
 * @param {string} text
 */
export function copyable(text) {
  if (!navigator.clipboard) return h('code', {}, text);
  const button = h('button', {type: 'button', onclick: async () => {
    await navigator.clipboard.writeText(text);
    button.textContent = 'Copied';
  }}, 'Copy');
  return [h('code', {}, text), ' ', button];
}

/**
 * A field of a form, with its label.
 * @param {string} label
 * @param {string} name
 * @param {string} value
 */
export function field(label, name, value) {
  return h('label', {}, label, h('input', {name, value, autocomplete: 'off', spellcheck: 'false'}));
}

/**
 * Ask before something is done.
 * @param {string} question
 * @param {string} action
 * @returns {Promise<boolean>}
 */
export function confirmed(question, action) {
  const dialog = /** @type {HTMLDialogElement} */ (document.getElementById('dialog'));
  return new Promise((done) => {
    const answer = (/** @type {boolean} */ is) => { dialog.close(); done(is); };
    show(dialog,
      h('h2', {id: 'dialog-title'}, action),
      h('p', {}, question),
      h('div', {class: 'actions'},
        h('button', {type: 'button', onclick: () => answer(false)}, 'Cancel'),
        h('button', {type: 'button', class: 'danger', onclick: () => answer(true)}, action)));
    dialog.oncancel = () => done(false);
    dialog.showModal();
  });
}
