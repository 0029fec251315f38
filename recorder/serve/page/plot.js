// Plots of a query's result: a chart over times or numbers, rows of marks over texts.

import { Chart } from "./chart.js";
import { el, svg } from "./dom.js";
import { compact, ms, msTick, number, percent } from "./format.js";
import { isNumeric, isTime, timeOf } from "./table.js";
import { cut } from "./text.js";

const SERIES = 8;
const ROWS = 40;

const join = (row, at) => at.map((i) => cut(row[i] ?? "–", 60)).join(" · ");
const formatOf = ({ unit, percent: asPercent, digits = 2 }) =>
  asPercent ? (v) => percent(v, digits) : unit === "ms" ? ms : unit ? (v) => `${compact(v)} ${unit}` : compact;

/** Draw a result and return {redraw, destroy}, or null if it cannot be drawn. */
export function plot(host, spec, { columns, rows }, label) {
  const place = (names) => (names ?? []).map((name) => columns.findIndex((c) => c.name === name));
  const [x, y, series] = [place(spec.x), place(spec.y), place(spec.series)];
  if (!rows.length || [...x, ...y, ...series].includes(-1) || !x.length) return null;
  const axis = columns[x[0]];
  if (x.length === 1 && (isTime(axis) || isNumeric(axis.type))) {
    if (!isNumeric(columns[y[0]].type)) return timeline(host, { columns, rows }, { x: x[0], y: y[0], series }, label);
    return over(host, spec, { columns, rows }, { x: x[0], y, series }, label);
  }
  return beside(host, spec, { columns, rows }, { x, y, series }, label);
}

/** Return series name → values at the sorted `xs`; values of the same x and series are added up. */
function pivot({ columns, rows }, { x, y, series }, xs) {
  const at = new Map(xs.map((value, i) => [value, i]));
  const bySeries = new Map();
  for (const row of rows) {
    const value = xOf(columns[x], row[x]);
    if (!at.has(value)) continue;
    for (const one of y) {
      const name = [series.length && join(row, series), y.length > 1 && columns[one].name].filter(Boolean).join(" · ") || columns[one].name;
      if (!bySeries.has(name)) bySeries.set(name, Array(xs.length).fill(null));
      const column = bySeries.get(name);
      if (row[one] != null) column[at.get(value)] = (column[at.get(value)] ?? 0) + Number(row[one]);
    }
  }
  return bySeries;
}

const xOf = (column, value) => {
  if (value == null) return null;
  const at = isTime(column) ? timeOf(column, value) : Number(value);
  return at == null ? null : isTime(column) ? at / 1000 : at;
};

const xsOf = ({ columns, rows }, x) => [...new Set(rows.map((row) => xOf(columns[x], row[x])))].filter((v) => v != null).sort((a, b) => a - b);

const weight = (values) => values.reduce((a, v) => a + Math.abs(v ?? 0), 0);

function over(host, spec, answer, at, label) {
  const xs = xsOf(answer, at.x);
  const all = [...pivot(answer, at, xs)].sort((a, b) => weight(b[1]) - weight(a[1]));
  const drawn = all.slice(0, SERIES);
  if (all.length > SERIES) host.append(el("p", { class: "dim", text: `Shown: the ${SERIES} largest of ${all.length} series.` }));
  const chart = new Chart(host, { label, height: 240, mark: spec.mark, log: spec.log, ticks: spec.unit === "ms" ? msTick : undefined, time: isTime(answer.columns[at.x]), format: formatOf(spec) });
  const logged = (values) => (spec.log ? values.map((v) => (v > 0 ? v : null)) : values);
  const series = drawn.map(([name, values]) => ({ name, values: logged(values), ...tone(name) }));
  chart.set(series, spec.stacked || spec.mark === "bar" ? stacked(xs, series) : [xs, ...series.map((s) => s.values)]);
  return chart;
}

/** Return the fixed colour of a series of longs or shorts. */
function tone(name) {
  if (/^long$/i.test(name)) return { colour: "sell" };
  if (/^short$/i.test(name)) return { colour: "buy" };
  return {};
}

/** Return the stacked sums; the highest is first, so that the others are drawn over it. */
function stacked(xs, series) {
  const sums = [];
  let below = Array(xs.length).fill(0);
  for (const { values } of [...series].reverse()) {
    below = below.map((sum, i) => sum + (values[i] ?? 0));
    sums.unshift(below);
  }
  return [xs, ...sums];
}

function timeline(host, answer, at, label) {
  const xs = xsOf(answer, at.x);
  const names = [...new Set(answer.rows.map((row) => String(row[at.y] ?? "–")))].sort();
  const place = new Map(names.map((name, i) => [name, i]));
  const index = new Map(xs.map((value, i) => [value, i]));
  const groups = new Map();
  for (const row of answer.rows) {
    const value = xOf(answer.columns[at.x], row[at.x]);
    if (value == null) continue;
    const group = at.series.length ? join(row, at.series) : "events";
    if (!groups.has(group)) groups.set(group, Array(xs.length).fill(null));
    groups.get(group)[index.get(value)] = place.get(String(row[at.y] ?? "–"));
  }
  const axis = { splits: () => names.map((_, i) => i), values: (_u, v) => v.map((i) => cut(names[i] ?? "", 18)) };
  const range = { height: Math.max(140, names.length * 34 + 60), mark: "dot", axis, format: (i) => names[i] ?? "–", yRange: [-0.5, names.length - 0.5] };
  const chart = new Chart(host, { label, ...range });
  const drawn = [...groups].slice(0, SERIES);
  chart.set(drawn.map(([name]) => ({ name })), [xs, ...drawn.map(([, values]) => values)]);
  return chart;
}

const SHAPES = [
  (x, y) => svg("circle", { cx: x, cy: y, r: 5 }),
  (x, y) => svg("rect", { x: x - 4.5, y: y - 4.5, width: 9, height: 9 }),
  (x, y) => svg("path", { d: `M${x} ${y - 6} l6 10 h-12 z` }),
  (x, y) => svg("path", { d: `M${x} ${y - 6} l6 6 l-6 6 l-6 -6 z` }),
];

/** Draw one line per row, with marks or bars on one scale and the values as text. */
function beside(host, spec, { columns, rows }, { x, y, series }, label) {
  const format = formatOf(spec);
  const lines = rows.flatMap((row) => {
    const name = join(row, [...x, ...series]);
    return [{ name, values: y.map((i) => (row[i] == null ? null : Number(row[i]))) }];
  });
  const shown = lines.slice(0, ROWS);
  const all = shown.flatMap((one) => one.values).filter((v) => v != null && (!spec.log || v > 0));
  if (!all.length) return null;
  const [low, high] = spec.log ? [Math.min(...all), Math.max(...all)] : [Math.min(0, ...all), Math.max(0, ...all)];
  const scale = spec.log ? (v) => Math.log(v / low) / (Math.log(high / low) || 1) : (v) => (v - low) / (high - low || 1);
  const where = (v) => 2 + scale(v) * 96; // per cent of the width
  const draw = (values) =>
    values.flatMap((v, i) => {
      if (v == null || (spec.log && v <= 0)) return [];
      if (spec.mark !== "bar") {
        const place = { x: `${where(v)}%`, overflow: "visible", class: `stroke-series-${i % SERIES}` };
        return [svg("svg", place, SHAPES[i % SHAPES.length](0, 10))];
      }
      const [from, to] = [where(0), where(v)].sort((a, b) => a - b);
      return [svg("rect", { class: `stroke-series-${i % SERIES}`, x: `${from}%`, y: 4 + (i * 12) / values.length, width: `${Math.max(0.3, to - from)}%`, height: 12 / values.length })];
    });
  const body = shown.map(({ name, values }) =>
    el(
      "li",
      {},
      el("span", { class: "beside-name plain", text: name, title: name }),
      svg("svg", { class: "beside-line", "aria-hidden": "true" }, svg("line", { x1: 0, x2: "100%", y1: 10, y2: 10, class: "beside-axis" }), ...draw(values)),
      el("span", { class: "beside-values num", text: values.map((v) => (v == null ? "–" : format(v))).join("  ") }),
    ),
  );
  const keys = y.length > 1 && el("p", { class: "dim", text: `Figures from left to right: ${y.map((i) => columns[i].name).join(", ")}; marks: ${y.map((i, n) => `${["●", "■", "▲", "◆"][n % 4]} ${columns[i].name}`).join("  ")}${spec.log ? "; logarithmic" : ""}.` });
  const box = el("div", { class: "beside", role: "img", "aria-label": `${label}: ${shown.map((l) => `${l.name} ${l.values.map((v) => number(v)).join(" ")}`).join("; ").slice(0, 500)}` }, el("ul", {}, ...body));
  if (keys) host.append(keys);
  host.append(box);
  if (lines.length > ROWS) host.append(el("p", { class: "dim", text: `Shown: the first ${ROWS} of ${lines.length} rows.` }));
  return { redraw: () => {}, destroy: () => box.remove() };
}
