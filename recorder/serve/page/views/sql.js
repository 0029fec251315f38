// The view of free SQL, in the sandbox of `recorder sql`. A shared address only fills the form.

import { post } from "../api.js";
import { answerView } from "../answer.js";
import { el, problem } from "../dom.js";
import { hash } from "../route.js";

const FIRST = "FROM liquidations\nORDER BY recv_ns DESC\nLIMIT 20";

class Sql {
  constructor(app, node) {
    Object.assign(this, { app, node });
    this.text = el("textarea", { name: "sql", rows: 7, spellcheck: "false", autocomplete: "off", autocapitalize: "off", "aria-describedby": "sql-hint" });
    this.text.value = FIRST;
    this.button = el("button", { type: "submit", class: "primary", text: "Run" });
    this.stop = el("button", { type: "button", text: "Stop", hidden: true });
    this.csv = el("button", { type: "button", class: "quiet", text: "Download .csv" });
    this.tables = el("div", { class: "schema" });
    this.result = el("div", { class: "query-result" });
    const form = el(
      "form",
      { class: "sql-form" },
      el("label", { class: "field tall" }, el("span", { text: "One SELECT" }), this.text),
      el("p", { class: "hint dim", id: "sql-hint", text: "Ctrl-Enter runs it. It can only read the tables; time, memory and rows are limited." }),
      el("div", { class: "bar" }, this.button, this.stop, this.csv),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this._run();
    });
    this.text.addEventListener("keydown", (event) => event.key === "Enter" && (event.ctrlKey || event.metaKey) && form.requestSubmit());
    this.stop.addEventListener("click", () => this.abort?.abort());
    this.csv.addEventListener("click", () => this._download());
    const fold = el("details", { class: "fold schema-fold", open: innerWidth > 1100 }, el("summary", { text: "Tables and columns" }), this.tables);
    node.append(el("div", { class: "view-head" }, el("h2", { id: "title-sql", text: "SQL" })), el("div", { class: "split right" }, el("div", { class: "query-body" }, form, this.result), fold));
  }

  async show(_part, params) {
    if (params.q) this.text.value = params.q;
    await this.app.metaReady;
    if (!this.tables.children.length) this._schema(this.app.meta.tables);
  }

  _schema(tables) {
    for (const [name, columns] of Object.entries(tables)) {
      const items = columns.map((c) => el("li", { title: c.description }, el("span", { text: c.name }), el("span", { class: "dim", text: c.type.toLowerCase() })));
      this.tables.append(el("details", {}, el("summary", { text: name }), el("ul", {}, ...items)));
    }
  }

  async _run() {
    this.abort?.abort();
    const abort = (this.abort = new AbortController());
    const sql = this.text.value;
    history.replaceState(null, "", hash("sql", "", { q: sql }));
    this._busy(true);
    let view;
    try {
      const answer = await post("/api/sql.json", { sql }, abort.signal);
      view = answerView(answer, { label: "Result" });
    } catch (error) {
      const stopped = error.name === "AbortError" ? Object.assign(new Error("stopped"), { next: "run it again, or select fewer rows" }) : error;
      view = { node: problem(stopped) };
    }
    if (this.abort !== abort) return;
    this.result.replaceChildren(view.node);
    this._busy(false);
  }

  _busy(busy) {
    this.button.disabled = busy;
    this.stop.hidden = !busy;
    this.button.textContent = busy ? "Running …" : "Run";
  }

  /** Fetch the result and save it as a file: a link cannot send the query in its body. */
  async _download() {
    const response = await fetch("/api/sql.csv", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ sql: this.text.value }) });
    if (!response.ok) return this._run();
    const link = el("a", { href: URL.createObjectURL(await response.blob()), download: "answer.csv" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }
}

export const sql = {
  title: "SQL",
  create(app, node) {
    const made = new Sql(app, node);
    return { show: (part, params) => made.show(part, params) };
  },
};
