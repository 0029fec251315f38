// The view of canned queries as forms; the address holds the query and its parameters, for sharing.

import { get, search } from "../api.js";
import { answerView } from "../answer.js";
import { el, empty, setAttr, problem, select } from "../dom.js";
import { paramForm } from "../form.js";
import { hash } from "../route.js";

class Queries {
  constructor(app, node) {
    Object.assign(this, { app, node, name: null, params: null });
    this.list = el("nav", { class: "query-list", "aria-label": "Canned queries" });
    this.pick = select([], "", { class: "query-pick", "aria-label": "Canned query" });
    this.pick.addEventListener("change", () => (location.hash = hash("queries", this.pick.value)));
    this.about = el("div", { class: "query-about" });
    this.result = el("div", { class: "query-result" });
    node.append(el("div", { class: "view-head" }, el("h2", { id: "title-queries", text: "Queries" })), this.pick, el("div", { class: "split" }, this.list, el("div", { class: "query-body" }, this.about, this.result)));
  }

  async show(part, params) {
    await this.app.metaReady;
    const { queries } = this.app.meta;
    if (!this.list.children.length) this._menu(queries);
    const query = queries.find((q) => q.name === part) ?? queries[0];
    if (!query) return this.result.replaceChildren(empty("The queries are not loaded yet.", "The server has not answered."));
    for (const link of this.list.querySelectorAll("a")) setAttr(link, "aria-current", link.dataset.name === query.name ? "true" : null);
    this.pick.value = query.name;
    if (this.name === query.name && search(params) === search(this.params)) return;
    if (this.name !== query.name) this._form(query);
    Object.assign(this, { name: query.name, params });
    this.form.fill(params);
    await this._run(query, params);
  }

  _menu(queries) {
    const topics = [...new Set(queries.map((q) => q.topic ?? "Other"))];
    for (const topic of topics) {
      const own = queries.filter((q) => (q.topic ?? "Other") === topic);
      this.list.append(el("h3", { text: topic }), ...own.map((q) => el("a", { href: hash("queries", q.name), text: q.name, title: q.title, data: { name: q.name } })));
      this.pick.append(el("optgroup", { label: topic }, ...own.map((q) => el("option", { value: q.name, text: q.name }))));
    }
  }

  _form(query) {
    this.form = paramForm(query.params ?? [], () => {
      const to = hash("queries", query.name, this.form.values());
      if (location.hash === to) this._run(query, this.form.values());
      else location.hash = to;
    });
    const fold = el("details", { class: "fold", open: innerWidth > 720 }, el("summary", { text: "Parameters" }), this.form.form);
    this.about.replaceChildren(el("h3", { text: query.title }), el("p", { class: "dim", text: query.description ?? "" }), fold);
  }

  async _run(query, params) {
    this.abort?.abort();
    const { signal } = (this.abort = new AbortController());
    setAttr(this.result, "aria-busy", true);
    if (!this.result.children.length) this.result.replaceChildren(el("p", { class: "dim", text: "Loading …" }));
    let shown;
    try {
      const answer = await get(`/api/query/${encodeURIComponent(query.name)}.json`, params, signal);
      const links = ["csv", "json"].map((kind) => [`.${kind}`, `/api/query/${encodeURIComponent(query.name)}.${kind}${search(params) ? `?${search(params)}` : ""}`]);
      shown = () => answerView(answer, { label: query.title, plot: query.plot, links, columns: query.columns });
    } catch (error) {
      if (error.name === "AbortError") return;
      shown = () => ({ node: problem(error) });
    }
    if (signal.aborted) return;
    this._put(shown);
  }

  _put(shown) {
    this.shown = shown;
    this.view?.destroy?.();
    this.view = shown();
    this.result.replaceChildren(this.view.node);
    this.view.drawn?.();
    setAttr(this.result, "aria-busy", null);
  }

  redraw() {
    if (this.shown) this._put(this.shown);
  }
}

export const queries = {
  title: "Queries",
  create(app, node) {
    const made = new Queries(app, node);
    return { show: (part, params) => made.show(part, params), redraw: () => made.redraw() };
  },
};
