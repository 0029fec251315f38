// The six tiles: key figures of the recorder, each with a link to its view.

import { el, setAttr, setText, svg } from "./dom.js";
import { spark } from "./chart.js";
import { bytes, ms, rate, span, uptime, whole, NONE } from "./format.js";
import { cut } from "./text.js";

const SPARK_SECONDS = 120;
const sum = (values) => values.reduce((a, b) => a + (b ?? 0), 0);
const RATE_SECONDS = 5;

/** Return the parts of the series' names: feed, hop or rate, percentile. */
export const parts = (series) => series.names().map((name) => name.split("\n"));

const TILES = [
  ["events", "Events/s", "#rates"],
  ["service", "Service → receive, p50", "#latency"],
  ["screen", "Receive → screen, p50", "#latency"],
  ["lines", "Connections", "#connections"],
  ["gaps", "Gaps today", "#coverage"],
  ["store", "Disk space", "#connections"],
];

export class Tiles {
  constructor(app) {
    this.app = app;
    this.tiles = {};
    for (const [name, label, href] of TILES) {
      const line = svg("polyline", { class: "spark-line", fill: "none" });
      const tile = {
        value: el("b", { class: "tile-value", text: NONE }),
        note: el("span", { class: "tile-note", text: " " }),
        line,
      };
      const drawing = svg("svg", { class: "spark", viewBox: "0 0 96 22", preserveAspectRatio: "none", "aria-hidden": "true" }, line);
      document.getElementById("tiles").append(el("a", { class: "tile", href, data: { tile: name } }, el("span", { class: "tile-label", text: label }), tile.value, tile.note, drawing));
      this.tiles[name] = tile;
    }
    app.live.on("status", () => this.draw());
  }

  draw() {
    this._events();
    this._service();
    this._screen();
    if (this.app.status) this._status(this.app.status);
  }

  _set(name, value, note, values) {
    const tile = this.tiles[name];
    setText(tile.value, value);
    setText(tile.note, note || " ");
    if (values) setAttr(tile.line, "points", spark(values) ?? "");
  }

  _events() {
    const { rates } = this.app;
    const of = (what) => parts(rates).filter(([, w]) => w === what).map(([feed, w]) => `${feed}\n${w}`);
    const [, ...columns] = rates.window(SPARK_SECONDS, of("events"));
    const events = (columns[0] ?? []).map((_, i) => sum(columns.map((c) => c[i])));
    const mean = (values) => (values.length ? sum(values.slice(-RATE_SECONDS)) / Math.min(RATE_SECONDS, values.length) : null);
    const frames = of("frames").map((name) => mean(rates.column(name).slice(-RATE_SECONDS)));
    this._set("events", rate(mean(events)), frames.length ? `${rate(sum(frames))} frames/s` : "", events);
  }

  /** Show the median feed's p50, and the worst p99 with its feed. */
  _service() {
    const { latency } = this.app;
    const of = (p) =>
      parts(latency)
        .filter(([, hop, name]) => hop === "total" && name === p)
        .map(([feed, hop, name]) => ({ feed, name: `${feed}\n${hop}\n${name}` }))
        .map((one) => ({ ...one, value: this.app.lag(one.name) }))
        .filter((one) => one.value != null)
        .sort((a, b) => a.value - b.value);
    const medians = of("p50");
    const middle = medians[Math.floor((medians.length - 1) / 2)];
    const worst = of("p99").at(-1);
    this._set("service", ms(middle?.value), worst ? `p99 ${ms(worst.value)} ${cut(worst.feed, 24)}` : "", middle && latency.column(middle.name).slice(-SPARK_SECONDS));
  }

  _screen() {
    const { screen } = this.app;
    const newest = (name) => screen.column(name).slice(-10).findLast((v) => v != null) ?? null;
    this._set("screen", ms(newest("p50")), newest("p99") == null ? "no recent events" : `p99 ${ms(newest("p99"))}`, screen.column("p50").slice(-SPARK_SECONDS));
  }

  _status({ feeds = [], disk, ingest }) {
    const lines = feeds.flatMap((f) => f.connections ?? []);
    const open = lines.filter((c) => c.state === "open").length;
    const reconnects = sum(feeds.map((f) => f.reconnects_today));
    const worst = Math.min(...lines.map((c) => c.uptime ?? Infinity));
    const low = Number.isFinite(worst) ? `, uptime ${worst < 1 ? "≥ " : ""}${uptime(worst)}` : "";
    this._set("lines", `${open} of ${lines.length} open`, `${whole(reconnects)} reconnect${reconnects === 1 ? "" : "s"}${low}`);
    const uncovered = sum(feeds.map((f) => f.uncovered_seconds_today));
    this._set("gaps", whole(sum(feeds.map((f) => f.gaps_today))), uncovered > 0 ? `${span(uncovered)} uncovered` : "all covered");
    const left = disk?.hours_left == null ? bytes(disk?.free_bytes) : span(disk.hours_left * 3600);
    const behind = ingest?.newest_ns ? `tables ${span((this.app.live.now() - Number(ingest.newest_ns) / 1e6) / 1000)} behind` : "no tables yet";
    this._set("store", left, behind);
  }
}
