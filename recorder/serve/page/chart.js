// Charts with uPlot, in the page's colours and time zone, with a legend that shows the values.

import { el, setAttr, setText, svg } from "./dom.js";
import { clock, compact, day, NONE } from "./format.js";
import { setting } from "./settings.js";
import { cut } from "./text.js";

const COLOURS = 8;
const DASHES = [[], [7, 4], [2, 3], [10, 3, 2, 3], [5, 2], [1, 2], [12, 4], [4, 4, 1, 4]];
const probe = el("span", { class: "unseen", "aria-hidden": "true" });

/** Return a colour of the style sheet, in the current theme, for the canvas. */
export function colour(name) {
  if (!probe.isConnected) document.body.append(probe);
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
}

/** Return the labels of a time axis: as precise as their distance, with the date at its first label. */
function times(_u, splits, _axis, _space, step) {
  let last = null;
  return splits.map((t) => {
    const at = t * 1000;
    const text = step >= 86400 ? day(at).slice(5) : step >= 60 ? clock(at).slice(0, 5) : clock(at);
    const today = day(at);
    const line = step < 86400 && today !== last ? `${text}\n${today.slice(5)}` : text;
    last = today;
    return line;
  });
}

/** Return the width of an axis, which depends on its widest label. */
function room(u, values, axis) {
  u.ctx.save();
  u.ctx.font = u.axes[axis].font[0];
  const widths = (values ?? []).map((v) => u.ctx.measureText(v ?? "").width);
  u.ctx.restore();
  return Math.ceil(Math.max(0, ...widths) / devicePixelRatio) + 16;
}

/**
 * One chart. `series`: [{name, colour?, dash?, mark?}]; mark: line, dot or bar.
 * Options: label (text for screen readers), height, format (value → text), ticks (the same for the
 * axis), log, time (x is seconds since the epoch); for values of y that are texts: axis ({values,
 * splits}) and yRange.
 */
export class Chart {
  constructor(host, options) {
    this.options = { height: 200, time: true, format: compact, mark: "line", ...options };
    this.canvas = el("div", { class: "canvas", role: "img", "aria-label": options.label });
    this.legend = el("ul", { class: "legend" });
    this.nothing = el("p", { class: "nothing dim", text: options.nothing ?? "No data yet." });
    this.box = el("div", { class: "chart" }, this.legend, this.canvas, this.nothing);
    host.append(this.box);
    this.series = [];
    this.data = [[]];
    this.plot = null;
    this.observer = new ResizeObserver(() => this._resize());
    this.observer.observe(this.canvas);
  }

  /** Show columns [x, …y]; create the plot again only if its series changed. */
  set(series, data) {
    const same = this.plot && JSON.stringify(series) === JSON.stringify(this.series);
    this.series = series;
    this.data = data;
    const some = data[0].length > 0 && data.slice(1).some((column) => column.some((v) => v != null));
    this.nothing.hidden = some;
    this.canvas.hidden = !some;
    if (!some) return this._clear();
    if (same) this.plot.setData(data);
    else this._make();
    this._updateLegend(null);
  }

  /** Create the plot again after a change of the theme or the time zone. */
  redraw() {
    if (this.plot) this._make();
  }

  destroy() {
    this.observer.disconnect();
    this._clear();
    this.box.remove();
  }

  _clear() {
    this.plot?.destroy();
    this.plot = null;
    this.legend.replaceChildren();
  }

  _make() {
    this._clear();
    const width = this.canvas.clientWidth || 300;
    this.plot = new uPlot(this._shape(width), this.data, this.canvas);
    this.legend.replaceChildren(...this.series.map((one, i) => this._key(one, i)));
  }

  _shape(width) {
    const { height, time, format, ticks, log, axis, yRange } = this.options;
    const look = {
      stroke: colour("dim"),
      font: "11px system-ui, sans-serif",
      grid: { stroke: colour("grid"), width: 1 },
      ticks: { show: false },
      gap: 6,
    };
    return {
      width,
      height,
      legend: { show: false },
      padding: [8, 10, 0, 0],
      cursor: { y: false, points: { size: 6 }, drag: { x: true, y: false } },
      tzDate: (t) => (setting("zone") === "utc" ? uPlot.tzDate(new Date(t * 1000), "Etc/UTC") : new Date(t * 1000)),
      scales: {
        x: { time, range: (_u, low, high) => this._xRange(low, high) },
        y: log ? { distr: 3, log: 10 } : { range: yRange ?? ((_u, low, high) => span(low, high)) },
      },
      axes: [
        { ...look, size: 36, ...(time ? { values: times } : { values: (_u, v) => v.map((n) => compact(n)) }) },
        { ...look, size: room, values: (_u, v) => v.map((n) => (n == null ? "" : (ticks ?? format)(n))), ...axis },
      ],
      series: [{}, ...this.series.map((one, i) => this._line(one, i))],
      hooks: { setCursor: [(u) => this._updateLegend(u.cursor.idx)] },
    };
  }

  /** Return the range of x, with a margin around a single value, or for half a bar at each end. */
  _xRange(low, high) {
    if (low == null) return [0, 1];
    const xs = this.data[0];
    if (xs.length < 2) return this.options.time ? [xs[0] - 1800, xs[0] + 1800] : [xs[0] - 1, xs[0] + 1];
    const margin = this.options.mark === "bar" ? (xs.at(-1) - xs[0]) / (xs.length - 1) / 2 : 0;
    return [low - margin, high + margin];
  }

  _line(one, i) {
    const kind = one.mark ?? this.options.mark;
    const stroke = colour(one.colour ?? `series-${i % COLOURS}`);
    const style = { label: one.name, stroke, width: 1.5, spanGaps: false };
    if (kind === "bar") {
      return { ...style, fill: stroke, width: 0, paths: uPlot.paths.bars({ size: [0.8, 40], gap: 1 }), points: { show: false } };
    }
    if (kind === "dot") return { ...style, paths: () => null, points: { show: true, size: 6, fill: stroke, width: 0 } };
    return { ...style, dash: one.dash ?? DASHES[i % DASHES.length], points: { show: this.data[0].length < 3 } };
  }

  _key(one, i) {
    const kind = one.mark ?? this.options.mark;
    const name = one.colour ?? `series-${i % COLOURS}`;
    const line = svg("line", { x1: 0, y1: 5, x2: 22, y2: 5, "stroke-width": 2.5, "stroke-dasharray": (one.dash ?? DASHES[i % DASHES.length]).join(" ") });
    const shape =
      kind === "bar" ? svg("rect", { x: 5, y: 0, width: 12, height: 10 }) : kind === "dot" ? svg("circle", { cx: 11, cy: 5, r: 4 }) : line;
    return el(
      "li",
      {},
      svg("svg", { class: `key stroke-${name}`, width: 22, height: 10, "aria-hidden": "true" }, shape),
      el("span", { class: "key-name", text: cut(one.name, 40), title: cut(one.name, 300) }),
      el("b", { class: "num" }),
    );
  }

  /** Show values in the legend: those at the pointer, else the newest. */
  _updateLegend(index) {
    const at = index ?? this.data[0].length - 1;
    this.series.forEach((one, i) => {
      const value = (one.values ?? this.data[i + 1])?.[at];
      const place = this.legend.children[i]?.lastChild;
      if (place) setText(place, value == null ? NONE : this.options.format(value));
    });
    setAttr(this.canvas, "aria-label", this._words());
  }

  _words() {
    const all = this.series.map((one, i) => `${one.name} ${this.options.format((one.values ?? this.data[i + 1])?.at(-1) ?? NaN)}`);
    return `${this.options.label}. Newest: ${all.join(", ")}`;
  }

  _resize() {
    const width = this.canvas.clientWidth;
    if (this.plot && width && Math.abs(width - this.plot.width) > 1) {
      this.plot.setSize({ width, height: this.options.height });
    }
  }
}

/** Return the range of y with a margin above; it begins at zero if the values are near zero. */
function span(low, high) {
  if (low == null || high == null) return [0, 1];
  if (low === high) return low === 0 ? [0, 1] : low > 0 ? [0, low * 1.2] : [low * 1.2, 0];
  const margin = (high - low) * 0.08;
  const from = low >= 0 && low < high * 0.6 ? 0 : low - margin;
  return [from, high <= 0 && high > low * 0.6 ? 0 : high + margin];
}

/** Return the points of a small line without axes, for a tile. */
export function spark(values, width = 96, height = 22) {
  const known = values.filter((v) => v != null);
  if (known.length < 2) return null;
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const y = (v) => height - 2 - ((v - low) / (high - low || 1)) * (height - 4);
  const points = values.map((v, i) => (v == null ? null : `${((i / (values.length - 1)) * width).toFixed(1)},${y(v).toFixed(1)}`));
  return points.filter(Boolean).join(" ");
}
