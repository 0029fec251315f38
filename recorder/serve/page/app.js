// The page: the state that all views share, the current view, and the header.

import { get } from "./api.js";
import { showFrame, close as closeDialog } from "./dialog.js";
import { el, setAttr } from "./dom.js";
import { draw } from "./frames.js";
import { Header } from "./header.js";
import { keys } from "./keys.js";
import { Live } from "./live.js";
import { Notices } from "./notices.js";
import { parse } from "./route.js";
import { KEPT_SECONDS, Series, Second } from "./series.js";
import { onSetting } from "./settings.js";
import { Tiles } from "./tiles.js";
import { alerts } from "./views/alerts.js";
import { connections } from "./views/connections.js";
import { coverage } from "./views/coverage.js";
import { latency } from "./views/latency.js";
import { market } from "./views/market.js";
import { queries } from "./views/queries.js";
import { rates } from "./views/rates.js";
import { sql } from "./views/sql.js";
import { tape } from "./views/tape.js";

const BUCKET_SECONDS = 5;
const VIEWS = { tape, connections, latency, rates, market, coverage, queries, sql, alerts };

const app = {
  live: new Live(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/live`),
  meta: { tables: {}, feeds: [], queries: [] },
  status: null,
  rates: new Series(),
  latency: new Series(KEPT_SECONDS / BUCKET_SECONDS),
  newest: {}, // latencies of the current five seconds
  /** Return a latency's newest value of the last 30 s, or null. */
  lag: (name) => app.newest[name] ?? app.latency.column(name).slice(-6).findLast((v) => v != null) ?? null,
  screen: new Series(),
  second: new Second(),
  clockErrors: {},
  symbols: new Set(),
  metaReady: null,
};
app.notices = new Notices(app);

const main = document.getElementById("main");
const made = new Map();
let current = null;
let lastHash = "#tape";

/** Return a view by its name; create it on first use. */
function view(name) {
  if (!made.has(name)) {
    const node = el("section", { class: `view view-${name}`, "aria-labelledby": `title-${name}` });
    main.append(node);
    made.set(name, { node, ...VIEWS[name].create(app, node) });
  }
  return made.get(name);
}

function route() {
  const { view: name, part, params } = parse(location.hash || "#tape");
  if (name === "frame") {
    if (!current) go("tape", "", {});
    return showFrame(params, () => history.replaceState(null, "", lastHash));
  }
  if (name === "main") return main.focus();
  closeDialog();
  go(name in VIEWS ? name : "tape", part, params);
  lastHash = location.hash || "#tape";
}

function go(name, part, params) {
  const next = view(name);
  if (current && current !== next) current.hide?.();
  for (const [other, { node }] of made) node.hidden = other !== name;
  for (const link of document.querySelectorAll("#tabs a")) {
    setAttr(link, "aria-current", link.dataset.view === name ? "page" : null);
  }
  document.title = `${VIEWS[name].title} · recorder`;
  current = next;
  next.show?.(part, params);
  drawCurrent();
}

const drawCurrent = () => current?.draw && draw(current.draw);

function tabs() {
  const links = Object.entries(VIEWS).map(([name, { title }], i) =>
    el("a", { href: `#${name}`, data: { view: name }, text: title, title: `${title} (${i + 1})` }),
  );
  document.getElementById("tabs").append(...links);
}

/** Keep the server's counts of a second for the charts. */
function onSecond({ t, rates: counted = {}, latency: measured = {} }) {
  const values = {};
  for (const [feed, one] of Object.entries(counted)) {
    for (const what of ["frames", "bytes", "events"]) values[`${feed}\n${what}`] = one[what];
  }
  app.rates.add(t, values);
  const lags = {};
  for (const [feed, hops] of Object.entries(measured)) {
    for (const [hop, one] of Object.entries(hops)) {
      for (const p of ["p50", "p95", "p99"]) lags[`${feed}\n${hop}\n${p}`] = one[p];
      lags[`${feed}\n${hop}\nn`] = one.n;
      app.clockErrors[feed] = one.clock_error_ns ?? app.clockErrors[feed];
    }
  }
  // The server sends figures of the current five seconds; the charts get them when these are over.
  app.newest = lags;
  if (t % BUCKET_SECONDS === 0 && Object.keys(lags).length) app.latency.add(t, lags);
  const screen = app.second.take();
  app.screen.add(t, screen ?? {});
  drawCurrent();
  draw(() => tiles.draw());
}

async function loadSeries() {
  const [counted, measured] = await Promise.allSettled([
    get("/api/series", { what: "rates", seconds: 900 }),
    get("/api/series", { what: "latency", seconds: 900 }),
  ]);
  if (counted.value) app.rates.load(counted.value, (s) => `${s.feed}\n${s.name}`);
  if (measured.value) app.latency.load(measured.value, (s) => `${s.feed}\n${s.hop}\n${s.name}`);
  drawCurrent();
}

/** Load the names of tables, feeds and queries; retry with back-off. */
async function loadMeta() {
  for (let wait = 1000; ; wait = Math.min(wait * 2, 15_000)) {
    try {
      app.meta = await get("/api/meta");
      return header.place(app.meta);
    } catch (error) {
      if (error.status === 401) return header.refused();
      await new Promise((done) => setTimeout(done, wait));
    }
  }
}

tabs();
const header = new Header(app);
const tiles = new Tiles(app);
app.metaReady = loadMeta();

app.live
  .on("hello", loadSeries)
  .on("second", onSecond)
  .on("status", ({ status }) => {
    app.status = status;
    drawCurrent();
  });
view("tape"); // It counts and keeps events even while it is not shown.
keys(app, Object.keys(VIEWS), () => current);
onSetting((name) => {
  if (name !== "theme" && name !== "zone") return;
  draw(() => [...made.values()].forEach((one) => one.redraw?.()));
  drawCurrent();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => current?.redraw?.());
window.addEventListener("hashchange", route);
route();
