// The view of a symbol's liquidations and funding, from canned queries.

import { get } from "../api.js";
import { el, field, problem, setText, select } from "../dom.js";
import { hash } from "../route.js";
import { plot } from "../plot.js";
import { answerTable } from "../table.js";
import { cut } from "../text.js";

const SPANS = [["1h ago", "1 hour", "1 minute"], ["6h ago", "6 hours", "5 minutes"], ["1d ago", "1 day", "15 minutes"], ["7d ago", "7 days", "2 hours"], ["30d ago", "30 days", "6 hours"]];

/** The charts: a query, its parameters, and its plot. */
const PARTS = [
  {
    title: "Liquidations",
    note: "dollars per bucket, by the side that was closed; some venues send only the largest ones, so the sums are too low",
    query: "liquidation_totals",
    params: (p) => ({ symbol: p.symbol, exchange: p.exchange, since: p.since, bucket: p.bucket }),
    plot: { mark: "bar", x: ["time"], y: ["notional_usd"], series: ["position_side"], stacked: true, unit: "" },
  },
  {
    title: "Funding rate",
    note: "the last rate of each bucket, in per cent per interval of the venue",
    query: "funding_over_time",
    params: (p) => ({ symbol: p.symbol, exchange: p.exchange, since: p.since, bucket: p.bucket }),
    plot: { mark: "line", x: ["time"], y: ["rate"], series: ["exchange", "symbol"], digits: 4, percent: true },
  },
];
const TABLES = [
  { title: "Bursts of liquidations", query: "liquidation_cascades", params: (p) => ({ symbol: p.symbol, exchange: p.exchange, since: p.since, limit: 10 }) },
  { title: "Funding now", query: "funding_rates", params: (p) => ({ symbol: p.symbol, exchange: p.exchange }) },
];

class Market {
  constructor(app, node) {
    Object.assign(this, { app, node, parts: [] });
    this.symbols = el("datalist", { id: "market-symbols" });
    const input = (name, placeholder, list) => el("input", { name, placeholder, list, autocomplete: "off", spellcheck: "false", size: 12 });
    this.form = el(
      "form",
      { class: "bar" },
      field("Symbol", input("symbol", "all", "market-symbols")),
      this.symbols,
      field("Exchange", input("exchange", "all")),
      field("Since", select(SPANS.map(([value, label]) => [value, label]), "1d ago", { name: "since" })),
      el("button", { type: "submit", class: "primary", text: "Show" }),
    );
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      const to = hash("market", "", this._inputs());
      if (location.hash === to) this._load();
      else location.hash = to;
    });
    this.form.elements.since.addEventListener("change", () => this.form.requestSubmit());
    this.charts = el("div", { class: "charts wide" });
    this.tables = el("div");
    this.freshness = el("span", { class: "dim" });
    node.append(el("div", { class: "view-head" }, el("h2", { id: "title-market", text: "Liquidations and funding" }), this.form, this.freshness), this.charts, this.tables);
  }

  _inputs() {
    const form = Object.fromEntries(new FormData(this.form));
    return { symbol: form.symbol.trim(), exchange: form.exchange.trim(), since: form.since };
  }

  show(_part, params) {
    for (const name of ["symbol", "exchange"]) this.form.elements[name].value = params[name] ?? "";
    this.form.elements.since.value = SPANS.some(([value]) => value === params.since) ? params.since : "1d ago";
    this.symbols.replaceChildren(...[...this.app.symbols].sort().slice(0, 200).map((value) => el("option", { value })));
    this._load();
  }

  async _load() {
    this.abort?.abort();
    const { signal } = (this.abort = new AbortController());
    if (!this.results) this.charts.replaceChildren(el("p", { class: "dim", text: "Loading …" }));
    const inputs = this._inputs();
    inputs.bucket = SPANS.find(([value]) => value === inputs.since)[2];
    const ask = (part) =>
      get(`/api/query/${part.query}.json`, part.params(inputs), signal).then(
        (answer) => ({ part, answer }),
        (error) => ({ part, error }),
      );
    const results = await Promise.all([...PARTS, ...TABLES].map(ask));
    if (signal.aborted) return;
    this.results = results;
    this._draw();
  }

  _draw() {
    for (const chart of this.parts) chart?.destroy();
    setText(this.freshness, cut(this.results.find((f) => f.answer?.freshness)?.answer.freshness ?? "", 120));
    this.charts.replaceChildren();
    this.parts = this.results.slice(0, PARTS.length).map((one) => this._chart(one));
    const boxes = this.results.slice(PARTS.length).map(({ part, answer, error }) => {
      const content = error ? problem(error) : answer.rows.length ? answerTable(answer, part.title) : el("p", { class: "dim", text: "None in this period." });
      return el("section", { class: "panel" }, title(part), content);
    });
    this.tables.replaceChildren(...boxes);
  }

  _chart({ part, answer, error }) {
    const box = el("section", { class: "panel" }, title(part), part.note && el("p", { class: "dim hint", text: part.note }));
    this.charts.append(box);
    if (error) return void box.append(problem(error));
    const chart = plot(box, part.plot, answer, part.title);
    if (!chart) box.append(el("p", { class: "nothing dim", text: "None in this period." }));
    return chart;
  }

  redraw() {
    if (this.results) this._draw();
  }
}

const title = (part) => el("h3", {}, `${part.title} `, el("a", { class: "small", href: hash("queries", part.query), text: "query", "aria-label": `The query ${part.query}` }));

export const market = {
  title: "Market",
  create(app, node) {
    const made = new Market(app, node);
    return { show: (part, params) => made.show(part, params), redraw: () => made.redraw() };
  },
};
