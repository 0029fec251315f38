// The view of latency: service → receive, measured by the server, and receive → screen, measured by the page.

import { Chart } from "../chart.js";
import { el, field, setText, select } from "../dom.js";
import { ms, msTick, NONE, whole } from "../format.js";
import { hash } from "../route.js";
import { parts } from "../tiles.js";
import { cut } from "../text.js";

const PERCENTILES = [
  { name: "p50", colour: "p50", dash: [] },
  { name: "p95", colour: "p95", dash: [7, 4] },
  { name: "p99", colour: "p99", dash: [2, 3] },
];
const WINDOWS = [["120", "2 minutes"], ["300", "5 minutes"], ["900", "15 minutes"]];
const HOPS = {
  total: "total (published or event → received)",
  network: "network (dispatched → received)",
  detection: "detection (published → detected)",
  dispatch: "dispatch (detected → dispatched)",
};
const newest = (column) => column.slice(-30).findLast((v) => v != null) ?? null;

/** Return the clock's error bound as text; latencies below it mean nothing. */
const clockWords = (ns) => (ns == null ? "clock error unknown" : `clock error ± ${ms(ns / 1e6)}`);

class Latency {
  constructor(app, node) {
    Object.assign(this, { app, node, charts: new Map(), params: {} });
    this.hop = select([], "", { name: "hop" });
    this.window = select(WINDOWS, "300", { name: "seconds" });
    this.form = el("form", { class: "bar" }, field("Hop", this.hop), field("Last", this.window));
    this.form.addEventListener("change", () => (location.hash = hash("latency", "", Object.fromEntries(new FormData(this.form)))));
    this.grid = el("div", { class: "charts" });
    this.nothing = el("p", { class: "dim", text: "No frames with an event time in this period." });
    this.screenNote = el("span", { class: "dim" });
    const second = el("div", { class: "panel" });
    this.rows = el("tbody");
    node.append(
      el("div", { class: "view-head" }, el("h2", { id: "title-latency", text: "Latency" }), this.form),
      el("div", { class: "leg" }, el("h3", { text: "Leg 1: service → receive" }), el("span", { class: "dim", text: "By the service's clock and this recorder's; each point is five seconds." })),
      this.nothing,
      this.grid,
      el("div", { class: "leg" }, el("h3", { text: "Leg 2: receive → screen" }), this.screenNote),
      second,
      el("h3", { text: "Newest figures" }),
      this._table(),
    );
    this.screen = new Chart(second, { label: "Receive to screen, milliseconds", format: ms, ticks: msTick, height: 150, nothing: "No events in this period." });
  }

  _table() {
    const heads = [["Feed", ""], ["Hop", ""], ["p50", "num"], ["p95", "num"], ["p99", "num"], ["Frames", "num"], ["Clock error", "num"]];
    const row = el("tr", {}, ...heads.map(([text, names]) => el("th", { scope: "col", class: names, text })));
    return el("div", { class: "scroll panel", tabindex: 0, role: "region", "aria-label": "Newest latency figures" }, el("table", {}, el("caption", { class: "unseen", text: "Newest latency per feed and hop" }), el("thead", {}, row), this.rows));
  }

  show(_part, params) {
    this.params = params;
    this.window.value = params.seconds ?? "300";
    if (!this.window.value) this.window.value = "300";
  }

  _choices(names) {
    const hops = [...new Set(names.map(([, hop]) => hop))].sort((a, b) => (b === "total") - (a === "total") || a.localeCompare(b));
    const wanted = this.params.hop && hops.includes(this.params.hop) ? this.params.hop : (hops[0] ?? "total");
    if (hops.join() !== [...this.hop.options].map((o) => o.value).join()) {
      this.hop.replaceChildren(...hops.map((hop) => el("option", { value: hop, text: HOPS[hop] ?? cut(hop, 40) })));
    }
    this.hop.value = wanted;
    return wanted;
  }

  draw() {
    const { latency, screen, live } = this.app;
    const names = parts(latency);
    const hop = this._choices(names);
    const feeds = [...new Set(names.filter(([, h]) => h === hop).map(([feed]) => feed))];
    const seconds = Number(this.window.value);
    const shown = feeds.filter((feed) => this._feed(feed, hop, seconds));
    for (const [feed, { box, chart }] of this.charts) {
      if (shown.includes(feed)) continue;
      chart.destroy();
      box.remove();
      this.charts.delete(feed);
    }
    this.nothing.hidden = shown.length > 0;
    this.screen.set(PERCENTILES, screen.window(seconds, PERCENTILES.map((p) => p.name)));
    setText(this.screenNote, live.offset == null ? "This machine's clock has not been compared with the server's yet." : `From the receive timestamp until this page draws the event; the clocks are compared to ± ${ms(live.offsetError)}.`);
    this._figures(names);
  }

  /** Draw one feed's chart; return false if it has no values in this period. */
  _feed(feed, hop, seconds) {
    const names = PERCENTILES.map((p) => `${feed}\n${hop}\n${p.name}`);
    const [t, ...columns] = this.app.latency.window(seconds, names);
    const kept = t.map((_, i) => i).filter((i) => columns.some((c) => c[i] != null));
    if (!kept.length) return false;
    if (!this.charts.has(feed)) {
      const note = el("span", { class: "dim" });
      const box = el("section", { class: "panel" }, el("h4", {}, el("span", { class: "plain", text: cut(feed, 40) }), note));
      this.grid.append(box);
      this.charts.set(feed, { box, note, chart: new Chart(box, { label: `Service to receive of ${cut(feed, 40)}, milliseconds`, format: ms, ticks: msTick, height: 170 }) });
    }
    const { chart, note } = this.charts.get(feed);
    setText(note, clockWords(this.app.clockErrors[feed]));
    chart.set(PERCENTILES, [kept.map((i) => t[i]), ...columns.map((c) => kept.map((i) => c[i]))]);
    return true;
  }

  _figures(names) {
    const { screen, live, clockErrors } = this.app;
    const pairs = [...new Set(names.map(([feed, hop]) => `${feed}\n${hop}`))];
    const rows = pairs.map((pair) => {
      const [feed, hop] = pair.split("\n");
      return { feed, hop, error: clockErrors[feed] / 1e6, get: (p) => this.app.lag(`${pair}\n${p}`) };
    });
    rows.push({ feed: "this page", hop: "receive → screen", error: live.offsetError, get: (p) => newest(screen.column(p)) });
    this.rows.replaceChildren(
      ...rows.map(({ feed, hop, error, get }) => {
        const figures = ["p50", "p95", "p99"].map((p) => el("td", { class: "num", text: ms(get(p)) }));
        return el("tr", {}, el("td", { text: cut(feed, 40) }), el("td", { text: cut(hop, 40) }), ...figures, el("td", { class: "num", text: whole(get("n")) }), el("td", { class: "num", text: error > 0 ? `± ${ms(error)}` : NONE }));
      }),
    );
  }

  redraw() {
    this.screen.redraw();
    for (const { chart } of this.charts.values()) chart.redraw();
  }
}

export const latency = {
  title: "Latency",
  create(app, node) {
    const made = new Latency(app, node);
    return { show: (part, params) => made.show(part, params), draw: () => made.draw(), redraw: () => made.redraw() };
  },
};
