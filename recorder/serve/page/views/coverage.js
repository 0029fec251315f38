// The view of coverage: a calendar of days and feeds. Every cell has a letter and words as well as a colour.

import { get } from "../api.js";
import { el, empty, field, setAttr, problem, select } from "../dom.js";
import { span, whole } from "../format.js";
import { hash, replace } from "../route.js";
import { answerTable } from "../table.js";
import { cut } from "../text.js";

const DAYS = [["7", "7 days"], ["14", "14 days"], ["30", "30 days"], ["90", "90 days"]];

const LETTERS = { complete: "C", degraded: "D", unverified: "U", missing: "M" };

/** Return the kind, letter and words of a feed's day. */
function look(one) {
  const letter = LETTERS[one?.condition];
  if (!letter) return ["none", "·", "nothing recorded"];
  const { condition, bare_seconds: bare = 0, causes, gaps, gap_seconds: gap = 0, listened_seconds: listened } = one;
  const figures = listened ? [`connected ${span(listened)}`, `${whole(gaps ?? 0)} gap${gaps === 1 ? "" : "s"} of ${span(gap ?? 0)}`] : [];
  if (bare && condition !== "missing") figures.unshift(`${span(bare)} in which frames may be missing`);
  const why = (causes ?? []).slice(0, 3).map((cause) => cut(cause, 80)).join("; ");
  const words = [condition, ...figures].join(", ") + (why ? `. Why: ${why}` : "");
  const poor = condition === "degraded" && bare >= 864;
  return [poor ? "poor" : condition, letter, words];
}

const LEGEND = [["complete", "C", "complete"], ["degraded", "D", "degraded: frames may be missing"], ["poor", "D", "degraded for 1 % of the day or more"], ["unverified", "U", "unverified: not all can be proven"], ["missing", "M", "missing: no data frame"], ["none", "·", "not recorded"]];

class Coverage {
  constructor(app, node) {
    Object.assign(this, { app, node });
    this.days = select(DAYS, innerWidth > 720 ? "30" : "7", { name: "days" });
    const form = el("form", { class: "bar" }, field("Last", this.days));
    form.addEventListener("change", () => (location.hash = hash("coverage", "", { days: this.days.value })));
    const legend = LEGEND.map(([kind, sign, words]) => el("li", {}, el("span", { class: `cover cover-${kind}`, text: sign, "aria-hidden": "true" }), words));
    this.calendar = el("div", { class: "scroll panel", tabindex: 0, role: "region", "aria-label": "Calendar of conditions" });
    this.detail = el("section", { class: "panel", hidden: true, "aria-live": "polite" });
    node.append(el("div", { class: "view-head" }, el("h2", { id: "title-coverage", text: "Coverage" }), form), el("ul", { class: "legend" }, ...legend), this.calendar, this.detail);
    this.calendar.addEventListener("keydown", (event) => this._walk(event));
  }

  async show(_part, params) {
    if (DAYS.some(([value]) => value === params.days)) this.days.value = params.days;
    if (!this.calendar.children.length) this.calendar.append(el("p", { class: "empty dim", text: "Loading …" }));
    this.abort?.abort();
    const { signal } = (this.abort = new AbortController());
    try {
      this._draw(await get("/api/coverage", { days: this.days.value }, signal), params);
    } catch (error) {
      if (error.name !== "AbortError") this.calendar.replaceChildren(problem(error));
    }
    if (params.feed && params.day) await this._open(params.feed, params.day);
    else this.detail.hidden = true;
  }

  _draw({ days = [], feeds = [] }, { feed: chosenFeed, day: chosenDay }) {
    if (!feeds.length) return this.calendar.replaceChildren(empty("The tables are empty.", "Fill them with: recorder ingest"));
    const heads = days.map((day) => el("th", { scope: "col", class: "day", title: day, text: day.slice(8) }));
    const months = [...new Set(days.map((day) => day.slice(0, 7)))].map((month) => {
      const colspan = days.filter((day) => day.startsWith(month)).length;
      return el("th", { scope: "colgroup", class: "month", colspan, text: colspan > 1 ? month : month.slice(5) });
    });
    this.words = new Map();
    const rows = feeds.map(({ feed, days: own }) => {
      const of = Object.fromEntries(own.map((one) => [one.day, one]));
      const cells = days.map((day) => {
        const [kind, sign, words] = look(of[day]);
        const chosen = feed === chosenFeed && day === chosenDay;
        this.words.set(`${feed} ${day}`, words);
        const label = `${cut(feed, 40)}, ${day}: ${words}`;
        const button = el("button", { type: "button", class: `cover cover-${kind}`, text: sign, title: label, "aria-label": label, tabindex: -1, "aria-pressed": chosen });
        button.addEventListener("click", () => this._choose(button, feed, day));
        return el("td", {}, button);
      });
      return el("tr", {}, el("th", { scope: "row", title: cut(feed, 100), text: cut(feed, 40) }), ...cells);
    });
    const table = el("table", { class: "calendar" }, el("caption", { class: "unseen", text: "Condition per feed and UTC day" }), el("thead", {}, el("tr", {}, el("th", { scope: "col", rowspan: 2, text: "UTC day" }), ...months), el("tr", {}, ...heads)), el("tbody", {}, ...rows));
    this.calendar.replaceChildren(table);
    const last = table.querySelector("[aria-pressed=true]") ?? [...table.querySelectorAll("button")].at(-1);
    last?.setAttribute("tabindex", 0);
    this.calendar.scrollLeft = this.calendar.scrollWidth;
  }

  async _choose(button, feed, day) {
    for (const other of this.calendar.querySelectorAll("[aria-pressed=true]")) setAttr(other, "aria-pressed", false);
    setAttr(button, "aria-pressed", true);
    replace("coverage", "", { days: this.days.value, feed, day });
    await this._open(feed, day);
  }

  async _open(feed, day) {
    const head = el("h3", { text: `${cut(feed, 40)} on ${day}` });
    this.detail.hidden = false;
    const says = el("p", { text: this.words?.get(`${feed} ${day}`) ?? "" });
    this.detail.replaceChildren(head, says, el("p", { class: "dim", text: "Loading …" }));
    try {
      const answer = await get("/api/gaps", { feed, day });
      const content = answer.rows.length ? answerTable(answer, head.textContent) : el("p", { text: "✓ No gaps on this day." });
      this.detail.replaceChildren(head, says, content);
    } catch (error) {
      this.detail.replaceChildren(head, says, problem(error));
    }
  }

  /** Move the focus over days and feeds with the arrow keys. */
  _walk(event) {
    const cell = document.activeElement.closest?.("td");
    if (!cell) return;
    const [row, x] = [cell.parentElement, cell.cellIndex];
    const to = {
      ArrowLeft: () => cell.previousElementSibling,
      ArrowRight: () => cell.nextElementSibling,
      ArrowUp: () => row.previousElementSibling?.cells[x],
      ArrowDown: () => row.nextElementSibling?.cells[x],
      Home: () => row.cells[1],
      End: () => row.cells[row.cells.length - 1],
    }[event.key]?.();
    const button = to?.querySelector("button");
    if (!button) return;
    event.preventDefault();
    document.activeElement.setAttribute("tabindex", -1);
    button.setAttribute("tabindex", 0);
    button.focus();
  }
}

export const coverage = {
  title: "Coverage",
  create(app, node) {
    const made = new Coverage(app, node);
    return { show: (part, params) => made.show(part, params) };
  },
};
