// The view of rates: frames, events and bytes per second of each feed.

import { Chart } from "../chart.js";
import { el, field, select } from "../dom.js";
import { bytes, rate } from "../format.js";
import { hash } from "../route.js";
import { parts } from "../tiles.js";
import { cut } from "../text.js";

const WHAT = [["frames", "Frames per second", rate], ["events", "Events per second", rate], ["bytes", "Bytes per second", bytes]];
const WINDOWS = [["120", "2 minutes"], ["300", "5 minutes"], ["900", "15 minutes"]];

export const rates = {
  title: "Rates",
  create(app, node) {
    const seconds = select(WINDOWS, "300", { name: "seconds" });
    const form = el("form", { class: "bar" }, field("Last", seconds));
    const grid = el("div", { class: "charts wide" });
    form.addEventListener("change", () => (location.hash = hash("rates", "", { seconds: seconds.value })));
    node.append(el("div", { class: "view-head" }, el("h2", { id: "title-rates", text: "Rates" }), form), grid);
    const charts = WHAT.map(([what, label, format]) => {
      const box = el("section", { class: "panel" }, el("h3", { text: label }));
      grid.append(box);
      return [what, new Chart(box, { label: `${label}, by feed`, format, height: 190 })];
    });
    const draw = () => {
      const feeds = [...new Set(parts(app.rates).map(([feed]) => feed))];
      for (const [what, chart] of charts) {
        const data = app.rates.window(Number(seconds.value), feeds.map((feed) => `${feed}\n${what}`));
        chart.set(feeds.map((feed) => ({ name: cut(feed, 40) })), data);
      }
    };
    return {
      draw,
      show: (_part, params) => {
        seconds.value = WINDOWS.some(([value]) => value === params.seconds) ? params.seconds : "300";
      },
      redraw: () => charts.forEach(([, chart]) => chart.redraw()),
    };
  },
};
