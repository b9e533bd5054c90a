// Webhooks as rows of a table.

import {cell, duration, h, number, time} from './dom.js';

/** @typedef {import('./types.js').Webhook} Webhook */

export const HEADS = ['Time', 'Endpoint', 'Type', 'Key', 'Outcome', {number: 'Took'}, 'Functions and destinations'];

const FINE = ['stored', 'answered', 'repeated', 'dropped', 'handshake'];

/** @param {string} outcome */
export function tone(outcome) {
  if (FINE.includes(outcome)) return 'good';
  return ['refused', 'dead-lettered'].includes(outcome) ? 'bad' : 'odd';
}

/** @param {Webhook} webhook */
export function outcome(webhook) {
  const text = webhook.reason ? `${webhook.outcome}: ${webhook.reason}` : webhook.outcome;
  return h('span', {class: tone(webhook.outcome)}, text);
}

/**
 * What is known of why it was refused.
 * @param {Webhook} webhook
 */
export function explained(webhook) {
  return webhook.error ?? webhook.reason ?? webhook.outcome;
}

/** @param {Webhook} webhook */
export function row(webhook) {
  const when = time(webhook.time);
  const functions = (webhook.questions ?? []).filter((question) => question.function).map((question) =>
    `${question.function}()${question.outcome && question.outcome !== 'answered' ? ` ${question.outcome}` : ''}`);
  const to = [...functions, ...webhook.destinations ?? [], webhook.request ?? ''].filter(Boolean);
  const id = webhook.id && new URLSearchParams({id: webhook.id});
  return h('tr', {},
    h('td', {}, id ? h('a', {href: `#/webhook?${id}`}, when) : when),
    cell(webhook.endpoint || '–'), cell(webhook.type ?? '–'), cell(webhook.key ?? '–'),
    cell(outcome(webhook), webhook.error && h('div', {class: 'faint'}, webhook.error)),
    number(duration(webhook.milliseconds)), cell(to.join(', ')));
}
