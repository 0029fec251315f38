// A query's result: row count, freshness, chart, table and download links.

import { el, empty } from "./dom.js";
import { whole } from "./format.js";
import { plot } from "./plot.js";
import { answerTable } from "./table.js";
import { cut } from "./text.js";

/** Return {node, drawn(), destroy()}; call `drawn` when the node is in the page: a chart needs its width. */
export function answerView(answer, { label, plot: spec, links = [], columns = [] }) {
  const count = answer.rows.length;
  const facts = [`${whole(count)} row${count === 1 ? "" : "s"}${answer.more ? ", and more" : ""}`, answer.freshness && cut(answer.freshness, 200)];
  const anchors = links.map(([text, href, download]) => el("a", { href, text, download: download ?? null }));
  const share = el("button", { type: "button", class: "quiet", text: "Copy link" });
  share.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(location.href);
      share.textContent = "Copied";
    } catch {
      share.textContent = "Copy it from the address bar";
    }
  });
  const about = Object.fromEntries(columns.map((c) => [c.name, c.description]));
  const drawing = el("div", { class: "panel" });
  drawing.hidden = true;
  const node = el(
    "div",
    {},
    el("div", { class: "answer-head" }, el("span", { class: "dim", role: "status", text: facts.filter(Boolean).join(" · ") }), ...anchors, share),
    drawing,
    count ? answerTable(answer, label, about) : empty("No rows.", "Choose a longer period or fewer conditions."),
  );
  let chart = null;
  return {
    node,
    drawn: () => {
      if (!spec || !count) return;
      drawing.hidden = false;
      chart = plot(drawing, spec, answer, label);
      drawing.hidden = chart === null;
    },
    destroy: () => chart?.destroy(),
  };
}
