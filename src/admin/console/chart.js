// A small chart of lines over time, and its legend.

import {h, svg} from './dom.js';

/** @typedef {{name: string, values: (number | null)[]}} Series */

const WIDTH = 400;
const HEIGHT = 100;

/**
 * @param {string} label
 * @param {Series[]} series
 * @param {(value: number) => string} format
 */
export function chart(label, series, format) {
  const all = series.flatMap((one) => one.values).filter((value) => value !== null);
  const top = Math.max(...all, 0);
  const last = (/** @type {Series} */ one) => one.values.findLast((value) => value !== null) ?? 0;
  const said = series.map((one) => `${one.name} ${format(last(one))}`).join(', ');
  const drawing = svg('svg', {
    class: 'chart', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img',
    'aria-label': `${label}: ${said || 'nothing yet'}`,
  }, svg('path', {class: 'axis', d: `M0 0H${WIDTH}M0 ${HEIGHT}H${WIDTH}`}));
  series.forEach((one, place) => {
    drawing.append(...pieces(one.values, top).map((points) =>
      svg('polyline', {class: `s${place % 6}`, points})));
  });
  const legend = series.map((one, place) => h('li', {},
    svg('svg', {viewBox: '0 0 12 6', 'aria-hidden': true}, svg('line', {class: `s${place % 6}`, x1: 0, y1: 3, x2: 12, y2: 3})),
    `${one.name} ${format(last(one))}`));
  return [h('p', {class: 'faint'}, `at most ${format(top)}`), drawing, h('ul', {class: 'legend'}, legend)];
}

/**
 * The points of each piece without a gap.
 * @param {(number | null)[]} values
 * @param {number} top
 */
function pieces(values, top) {
  /** @type {string[][]} */
  const all = [[]];
  values.forEach((value, place) => {
    if (value === null) {
      all.push([]);
      return;
    }
    const x = values.length > 1 ? (place / (values.length - 1)) * WIDTH : 0;
    const y = HEIGHT - (top > 0 ? (value / top) * HEIGHT : 0);
    all[all.length - 1].push(`${x.toFixed(1)},${y.toFixed(1)}`);
  });
  // One alone is a dot.
  return all.filter((points) => points.length).map((points) => [...points, points[points.length - 1]].join(' '));
}
