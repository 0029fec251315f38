// Results as tables: aligned numbers, times in the chosen zone, long texts cut with a button to show all.

import { frameLink, showText } from "./dialog.js";
import { el } from "./dom.js";
import { momentMs, NONE, number, ofNs, whole } from "./format.js";
import { cut } from "./text.js";

const ROWS = 200;
const CUT = 120;
const NUMERIC = /^(DOUBLE|FLOAT|REAL|DECIMAL|U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?)/i;
const DURATIONS = new Set(["total_ns", "network_ns", "clock_error_ns", "loop_lag_ns", "max_loop_lag_ns"]);

export const isNumeric = (type) => NUMERIC.test(type ?? "");
export const isTime = ({ name, type }) => /^(TIMESTAMP|DATETIME)/i.test(type ?? "") || isNs(name);
const isNs = (name) => /_ns$/.test(name ?? "") && !DURATIONS.has(name);

/** Return the time of a cell in ms since the epoch, or null. */
export function timeOf(column, value) {
  if (value == null) return null;
  if (isNs(column.name)) return ofNs(value);
  const text = String(value);
  const at = Date.parse(/[zZ]|[+-]\d\d(:?\d\d)?$/.test(text) ? text : `${text.replace(" ", "T")}Z`);
  return Number.isNaN(at) ? null : at;
}

/** Return a cell as text. */
export function cellText(column, value) {
  if (value == null) return NONE;
  if (isTime(column)) {
    const at = timeOf(column, value);
    return at == null ? cut(value, CUT) : momentMs(at);
  }
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "number") return /_ns$|^seq$|^item$/.test(column.name) ? String(value) : isInteger(column) ? whole(value) : number(value);
  return cut(typeof value === "object" ? JSON.stringify(value) : value, CUT);
}

const isInteger = ({ type }) => /INT/i.test(type ?? "");

function cell(column, value) {
  const text = cellText(column, value);
  const raw = value != null && typeof value === "object" ? JSON.stringify(value) : value;
  if (typeof raw === "string" && raw.length > CUT && !isTime(column)) {
    const all = el("button", { type: "button", class: "more", text: "all", "aria-label": `Full text of ${column.name}` });
    all.addEventListener("click", () => showText(column.name, raw));
    return el("td", { class: "text" }, el("span", { class: "plain", text }), " ", all);
  }
  const names = isNumeric(column.type) || isTime(column) ? "num" : "text";
  return el("td", { class: names, title: column.description }, el("span", { class: "plain", text }));
}

/** Create a scrolling table of a result {columns, rows}, with a button for more rows. */
export function answerTable({ columns, rows }, label, about = {}) {
  const links = linker(columns);
  const body = el("tbody");
  const head = columns.map((c) => el("th", { scope: "col", class: isNumeric(c.type) || isTime(c) ? "num" : "", title: about[c.name] ?? c.description, text: cut(c.name, 60) }));
  const more = el("button", { type: "button", class: "quiet" });
  let shown = 0;
  const add = () => {
    const next = rows.slice(shown, shown + ROWS);
    body.append(...next.map((row) => el("tr", {}, ...columns.map((c, i) => cell(c, row[i])), links && el("td", {}, links(row)))));
    shown += next.length;
    more.hidden = shown >= rows.length;
    more.textContent = `Show ${whole(Math.min(ROWS, rows.length - shown))} more of ${whole(rows.length - shown)}`;
  };
  add();
  more.addEventListener("click", add);
  const table = el("table", { class: "answer" }, el("caption", { class: "unseen", text: label }), el("thead", {}, el("tr", {}, ...head, links && el("th", { scope: "col", text: "raw" }))), body);
  return el("div", {}, el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label }, table), more);
}

/** Return the function that links a row to its raw frame; null if the columns do not name a frame. */
function linker(columns) {
  const at = Object.fromEntries(columns.map((c, i) => [c.name, i]));
  if (!["feed", "connection", "seq", "recv_ns"].every((name) => name in at)) return null;
  return (row) => {
    const place = { feed: row[at.feed], connection: row[at.connection], seq: row[at.seq], recv_ns: row[at.recv_ns] };
    return el("a", { href: frameLink(place), text: "raw", "aria-label": `Raw frame ${place.seq}` });
  };
}
