// The form of what a view looks for. What is chosen becomes part of the address, so that a view can be shared as a link.

import {h} from './dom.js';
import {query} from './http.js';

/**
 * @param {string} view
 * @param {...import('./dom.js').Child} fields
 */
export function search(view, ...fields) {
  const form = h('form', {onsubmit: (/** @type {Event} */ event) => {
    event.preventDefault();
    const chosen = /** @type {[string, string][]} */ ([...new FormData(form)]);
    const wanted = `#/${view}${query(chosen)}`;
    // The same again is to look again.
    if (location.hash === wanted) dispatchEvent(new HashChangeEvent('hashchange'));
    else location.hash = wanted;
  }}, fields);
  return form;
}
