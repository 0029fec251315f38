// The event tape: newest first, bounded, drawn once per animation frame, held while the user reads it.

import { frameLink } from "../dialog.js";
import { el, field, setAttr, setText, select } from "../dom.js";
import { clockMs, whole } from "../format.js";
import { draw } from "../frames.js";
import { replace } from "../route.js";
import { cut, slim } from "../text.js";
import { cells, WORDS } from "./tape-row.js";

const ROWS = 250;
const HOLD_MS = 2000;
const LEAST_ROW = 24; // px
const BELOW = 15; // rows below the visible ones, so that the list can be scrolled
const COLUMNS = [
  ["time", "Time"], ["kind", "Table"], ["exchange", "Exchange"], ["symbol", "Symbol"], ["side", "Side"],
  ["price", "Price"], ["value", "Value, USD"], ["detail", "What"], ["latency", "Latency"], ["raw", "Raw"],
];
const TITLES = { time: "Receive time", latency: "From publication, or from the event time, to receipt", raw: "The raw frame of the event" };
const NUMERIC = new Set(["time", "price", "value", "latency"]);

class Tape {
  constructor(app, node) {
    Object.assign(this, { app, node });
    this.events = []; // newest first, at most ROWS
    this.pending = []; // oldest first, at most ROWS
    this.fresh = false; // true if the pending events arrived while this page was visible
    this.counts = { shown: 0, left_out: 0, dropped: 0, late: 0, cut: 0 };
    this.moved = -Infinity; // time at which the pointer last moved over the rows
    this.filter = {};
    this.rows = []; // elements, newest first; for all events only while the tape is held
    this.room = ROWS; // number of rows to create while the tape is not scrolled
    this.visible = false;
    this._build();
    app.togglePause = () => this.pause(!app.live.paused);
    app.live
      .on("hello", (m) => this._hello(m))
      .on("history", ({ events }) => this._reset(events))
      .on("events", (m) => this._take(m))
      .on("tick", () => this._held() || this._due());
  }

  // -- incoming events

  _hello({ events = [], tables = [], default_tables: defaults, exchanges = [] }) {
    this._tables(tables, defaults);
    this._exchanges([...exchanges, ...events.map((e) => e.exchange)]);
    for (const { symbol } of events) if (symbol) this.app.symbols.add(cut(symbol, 40));
    this._reset(events);
  }

  _reset(events) {
    this.pending = [];
    this.events = events.map((e) => slim(e)).sort((a, b) => b.recv_ms - a.recv_ms).slice(0, ROWS);
    this.stale = true;
    this._due();
  }

  _take({ events = [], left_out = 0, dropped = 0, late = 0 }) {
    this.counts.left_out += left_out;
    this.counts.dropped += dropped;
    this.counts.late += late;
    if (this.app.live.paused) this.counts.cut += events.length;
    else for (const event of events) this.pending.push(slim(event));
    const over = this.pending.length - ROWS;
    if (over > 0) {
      this.pending.splice(0, over);
      this.counts.cut += over;
    }
    this.fresh = !document.hidden;
    this._due();
  }

  _due() {
    draw((this._draw ??= () => this.draw()));
  }

  // -- rows

  /** Return true while rows must not move: paused, scrolled, a row has the focus, the pointer moves. */
  _held() {
    return (
      this.app.live.paused ||
      this.scroller.scrollTop > 8 ||
      this.body.contains(document.activeElement) ||
      performance.now() - this.moved < HOLD_MS
    );
  }

  draw() {
    if (!this.visible) {
      if (this.pending.length) this._measure(this._merge());
      return;
    }
    if (this.stale) this._all();
    const held = this._held();
    if (held) this._fillUp();
    else if (this.pending.length) this._add(this._merge());
    this._status(held);
  }

  _merge() {
    const added = this.pending.reverse();
    this.pending = [];
    this.counts.shown += added.length;
    this.events = [...added, ...this.events].slice(0, ROWS);
    if (!this.visible) this.stale = true;
    return added;
  }

  /** Add events at the top; reuse the elements of rows that leave at the bottom. */
  _add(events) {
    const shown = events.slice(0, this.room).map((event, i) => {
      const row = this.rows.length && this.rows.length + i >= this.room ? this.rows.pop() : makeRow();
      fill(row, event);
      return row;
    });
    while (this.rows.length + shown.length > this.room) this.rows.pop().node.remove();
    this.rows = [...shown, ...this.rows];
    this.body.prepend(...shown.map((row) => row.node));
    this.nothing.hidden = this.rows.length > 0;
    this._measure(events);
  }

  /** Measure the time from receipt to the animation frame that shows the events. */
  _measure(events) {
    if (!this.fresh || !this.app.live.clockKnown) return;
    const now = this.app.live.now();
    for (const event of events) this.app.second.add(now - event.recv_ms);
  }

  /** Create the rows below the visible ones, which the user may scroll to now. */
  _fillUp() {
    const missing = this.events.slice(this.rows.length).map((event) => {
      const row = makeRow();
      fill(row, event);
      return row;
    });
    this.rows.push(...missing);
    this.body.append(...missing.map((row) => row.node));
  }

  _all() {
    this.stale = false;
    const events = this.events.slice(0, this.room);
    while (this.rows.length > events.length) this.rows.pop().node.remove();
    events.forEach((event, i) => {
      if (!this.rows[i]) {
        this.rows[i] = makeRow();
        this.body.append(this.rows[i].node); // those before it stay where they are: one may have the focus
      }
      fill(this.rows[i], event);
    });
    this.nothing.hidden = this.rows.length > 0;
  }

  _status(held) {
    const { left_out: left, dropped, late, cut: skipped } = this.counts;
    const waiting = this.pending.length;
    const why = this.app.live.paused ? "Paused" : "Held while you read";
    setText(this.state, held ? `❙❙ ${why}${waiting ? `: ${whole(waiting)}${waiting >= ROWS ? " or more" : ""} new` : ""}` : this.rows.length ? `The newest ${whole(this.events.length)} events` : "Waiting for events");
    setText(this.left, `${whole(left + skipped)} left out`);
    setText(this.dropped, `${whole(dropped)} dropped`);
    setText(this.late, `${whole(late)} late`);
    setAttr(this.left, "class", left + skipped ? "count tone-warn" : "count dim");
    setAttr(this.dropped, "class", dropped ? "count tone-bad" : "count dim");
    setAttr(this.late, "class", late ? "count tone-warn" : "count dim");
    setText(this.pauseButton, this.app.live.paused ? "▶ Resume" : "❙❙ Pause");
    setAttr(this.pauseButton, "aria-pressed", this.app.live.paused);
    this.top.hidden = this.app.live.paused || this.scroller.scrollTop <= 8;
  }

  pause(paused) {
    this.app.live.setPaused(paused);
    this.app.live._emit("paused");
    this._due();
  }

  // -- the filter

  _changed() {
    const form = Object.fromEntries(new FormData(this.form));
    const on = [...this.chips.querySelectorAll("input:checked")].map((box) => box.value);
    const inputs = { exchange: form.exchange, symbol: form.symbol.trim(), min_usd: form.min_usd, text: form.text.trim() };
    const same = this.defaults && on.length === this.defaults.length && on.every((t) => this.defaults.includes(t));
    const tables = same ? "" : on.join(",") || "none";
    this._apply({ tables, ...inputs });
    replace("tape", "", { tables, ...inputs });
  }

  _apply({ tables = "", exchange = "", symbol = "", min_usd: least = "", text = "" }) {
    const filter = {};
    if (tables) filter.tables = tables === "none" ? [] : tables.split(",");
    if (exchange) filter.exchange = exchange;
    if (symbol) filter.symbol = symbol;
    if (least !== "" && Number.isFinite(Number(least))) filter.min_usd = Number(least);
    if (text) filter.text = text;
    const count = Object.keys(filter).length;
    setText(this.summary, count ? `Filters (${count} set)` : "Filters");
    this.clear.hidden = count === 0;
    if (JSON.stringify(filter) === JSON.stringify(this.filter)) return;
    this.filter = filter;
    this._reset([]);
    this.app.live.setFilter(filter);
  }

  _tables(names, defaults) {
    this.defaults = defaults ?? names;
    const on = this.filter.tables ?? this.defaults;
    const chips = names.map((name) =>
      el("label", { class: `chip kind-${name}` }, el("input", { type: "checkbox", name: "tables", value: name, checked: on.includes(name) }), el("span", { text: WORDS[name] ?? name })),
    );
    this.chips.replaceChildren(...chips);
  }

  _exchanges(names) {
    const chosen = this.form.elements.exchange;
    const known = new Set([...chosen.options].map((o) => o.value));
    const fresh = [...new Set(names)].filter((n) => n && !known.has(n)).sort().slice(0, 100);
    chosen.append(...fresh.map((name) => el("option", { value: name, text: cut(name, 40) })));
    if (this.filter.exchange) this._choose(this.filter.exchange);
  }

  _choose(exchange) {
    const chosen = this.form.elements.exchange;
    if (exchange && ![...chosen.options].some((o) => o.value === exchange)) chosen.append(el("option", { value: exchange, text: cut(exchange, 40) }));
    chosen.value = exchange;
  }

  // -- the view

  show(_part, params) {
    this.visible = true;
    const { form } = this;
    this._choose(params.exchange ?? "");
    for (const name of ["symbol", "min_usd", "text"]) form.elements[name].value = params[name] ?? "";
    this._apply(params);
    const on = this.filter.tables ?? this.defaults ?? [];
    for (const box of this.chips.querySelectorAll("input")) box.checked = on.includes(box.value);
    this._due();
  }

  hide() {
    this.visible = false;
  }

  redraw() {
    this.stale = true;
    this._due();
  }

  _build() {
    const input = (name, type, more) => el("input", { name, type, autocomplete: "off", spellcheck: "false", ...more });
    this.summary = el("summary", { text: "Filters" });
    this.chips = el("div", { class: "chips", role: "group", "aria-label": "Tables" });
    this.clear = el("button", { type: "button", class: "quiet", text: "Clear filters", hidden: true });
    this.clear.addEventListener("click", () => (location.hash = location.hash === "#tape" ? "#tape?" : "#tape"));
    this.pauseButton = el("button", { type: "button", text: "❙❙ Pause", title: "Pause or resume (p)" });
    this.pauseButton.addEventListener("click", () => this.app.togglePause());
    this.form = el(
      "form",
      { class: "filters", role: "search", "aria-label": "Filter the tape" },
      this.chips,
      field("Exchange", select([["", "all"]], "", { name: "exchange" })),
      field("Symbol", input("symbol", "text", { placeholder: "BTC*", size: 7 }), "A * matches any characters"),
      field("Min. USD", input("min_usd", "number", { min: 0, step: "any", placeholder: "100000", class: "short" })),
      field("Text", input("text", "text", { placeholder: "anywhere", size: 8 })),
      this.clear,
    );
    this.form.addEventListener("submit", (event) => event.preventDefault());
    let timer;
    this.form.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => this._changed(), 250);
    });
    this._buildRows();
    const wide = matchMedia("(min-width: 721px)");
    const fold = el("details", { class: "fold", open: wide.matches }, this.summary, this.form);
    wide.addEventListener("change", () => (fold.open = wide.matches));
    this.node.append(el("div", { class: "view-head" }, el("h2", { id: "title-tape", text: "Event tape" }), this.pauseButton, this.state, this.left, this.dropped, this.late, this.top), fold, this.table);
  }

  _buildRows() {
    this.state = el("span", { class: "state" });
    this.left = el("span", { class: "count", title: "Left out of the tape, which shows only a part of a high rate; all are in the record" });
    this.dropped = el("span", { class: "count", title: "Dropped by the server because this page did not keep up; all are in the record" });
    this.late = el("span", { class: "count", title: "Arrived after newer events had been shown" });
    this.top = el("button", { type: "button", class: "quiet", text: "↑ To the newest", hidden: true });
    this.top.addEventListener("click", () => {
      this.moved = -Infinity;
      this.scroller.scrollTo({ top: 0 });
      this._due();
    });
    const heads = COLUMNS.map(([name, label]) => el("span", { role: "columnheader", class: `c-${name}${NUMERIC.has(name) ? " num" : ""}`, text: label, title: TITLES[name] }));
    this.body = el("div", { role: "rowgroup" });
    this.nothing = el("p", { class: "nothing dim", text: "No events yet. New events that match the filter appear here." });
    const head = el("div", { class: "tape-head", role: "rowgroup" }, el("div", { class: "tape-row", role: "row" }, ...heads));
    const table = el("div", { role: "table", "aria-label": "Events, newest first" }, head, this.body);
    this.scroller = el("div", { class: "tape-rows", tabindex: 0, role: "region", "aria-label": "Event tape" }, table);
    this.table = el("div", { class: "tape" }, this.scroller, this.nothing);
    this.body.addEventListener("pointermove", () => (this.moved = performance.now()), { passive: true });
    new ResizeObserver(([{ contentRect }]) => {
      this.room = Math.min(ROWS, Math.ceil(contentRect.height / LEAST_ROW) + BELOW);
    }).observe(this.scroller);
    this.scroller.addEventListener("scroll", () => this._due(), { passive: true });
    this.body.addEventListener("focusout", () => this._due());
    this.body.addEventListener("keydown", (event) => this._walk(event));
  }

  /** Move the focus between rows with the arrow keys. */
  _walk(event) {
    const at = this.rows.findIndex(({ node }) => node.contains(document.activeElement));
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: this.rows.length - 1, PageDown: at + 15, PageUp: at - 15 }[event.key];
    if (event.key === "Escape") document.activeElement.blur();
    if (to == null || at < 0) return;
    event.preventDefault();
    this.rows[Math.max(0, Math.min(this.rows.length - 1, to))].raw.focus();
  }
}

function makeRow() {
  const row = {};
  row.raw = el("a", { text: "raw" });
  for (const [name] of COLUMNS) {
    row[`_${name}`] = el("span", { role: "cell", class: `c-${name}${NUMERIC.has(name) ? " num" : ""}` });
  }
  row._raw.append(row.raw);
  row.node = el("div", { class: "tape-row", role: "row" }, ...COLUMNS.map(([name]) => row[`_${name}`]));
  return row;
}

function fill(row, event) {
  const text = cells(event);
  row._time.textContent = clockMs(event.recv_ms);
  for (const name of ["kind", "exchange", "symbol", "side", "price", "value", "detail", "latency"]) {
    row[`_${name}`].textContent = text[name];
  }
  for (const name of ["exchange", "symbol", "detail"]) row[`_${name}`].title = text[name];
  row._side.className = `c-side side-${text.tone}`;
  row.node.className = `tape-row kind-${WORDS[event.table] ? event.table : "other"}`;
  row.raw.href = frameLink(event);
  row.raw.setAttribute("aria-label", `Raw frame of the ${text.kind} at ${row._time.textContent}`);
}

export const tape = {
  title: "Tape",
  create(app, node) {
    const made = new Tape(app, node);
    return { show: (part, params) => made.show(part, params), hide: () => made.hide(), redraw: () => made.redraw(), draw: () => made.draw() };
  },
};
