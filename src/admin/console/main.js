// The frame: which view is shown, and whether the bridge is there and ready. Each view is a file of its own; they are listed here.

import {clean, h, show} from './dom.js';
import {connection, every, json, request} from './http.js';
import {disk} from './disk.js';
import {functions} from './functions.js';
import {lately} from './lately.js';
import {live} from './live.js';
import {overview} from './overview.js';
import {routes} from './routes.js';
import {trial} from './trial.js';
import {webhook} from './webhook.js';

/**
 * What a view is made with: where to draw, what stands in the address, and when to end.
 * @typedef {{root: HTMLElement, parameters: URLSearchParams, signal: AbortSignal}} Context
 * @typedef {{title: string, draw: (context: Context) => void, isHidden?: boolean}} View
 */

/** @type {Record<string, View>} */
const VIEWS = {
  overview: {title: 'Overview', draw: overview},
  live: {title: 'Live', draw: live},
  lately: {title: 'Lately', draw: lately},
  webhook: {title: 'One webhook', draw: webhook, isHidden: true},
  functions: {title: 'Functions', draw: functions},
  disk: {title: 'Dead letters and spool', draw: disk},
  routes: {title: 'Routes', draw: routes},
  try: {title: 'Try it', draw: trial, isHidden: true},
};

const [main, nav, state, lost] = ['main', 'nav', 'state', 'lost'].map((id) => {
  const element = document.getElementById(id);
  if (!element) throw new Error(`no ${id}`);
  return element;
});

let ending = new AbortController();
/** @type {string | null} */
let shown = null;

function where() {
  const [name, parameters] = location.hash.replace(/^#\/?/, '').split('?');
  return {name: Object.hasOwn(VIEWS, name) ? name : 'overview', parameters: new URLSearchParams(parameters)};
}

function navigate() {
  if (location.hash === '#main') return;
  const {name, parameters} = where();
  ending.abort();
  ending = new AbortController();
  const view = VIEWS[name];
  document.title = `${view.title} · hookbus`;
  const title = h('h1', {tabindex: -1}, view.title);
  const root = h('div');
  show(main, title, root);
  drawNav(name);
  view.draw({root, parameters, signal: ending.signal});
  if (shown !== null && shown !== name) title.focus();
  shown = name;
}

/** @param {string} current */
function drawNav(current) {
  const links = Object.entries(VIEWS).filter(([, view]) => !view.isHidden).map(([name, view]) =>
    h('a', {href: `#/${name}`, 'aria-current': name === current ? 'page' : undefined}, view.title));
  show(nav, links);
}

connection.addEventListener('lost', () => {
  lost.hidden = false;
  show(lost, 'The bridge doesn’t answer. Trying again …');
});
connection.addEventListener('found', () => { lost.hidden = true; });

document.getElementById('skip')?.addEventListener('click', (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener('hashchange', navigate);
navigate();

every(5000, new AbortController().signal, async () => {
  const status = await json('/status');
  const [readiness] = status.readiness;
  state.className = status.is_ready ? 'good' : 'bad';
  state.title = clean(status.readiness.join('\n'));
  show(state, `${readiness} · ${status.version}`);
}, (error) => {
  state.className = 'bad';
  show(state, error.message.split('\n')[0]);
});

// Only a trial on one machine has samples.
request('/samples').then((response) => {
  if (response.ok) {
    VIEWS.try.isHidden = false;
    drawNav(where().name);
  }
}, () => {});
