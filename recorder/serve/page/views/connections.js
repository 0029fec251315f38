// The view of connections: problems, every line of every feed with its state, feeds, this machine.

import { el, empty, setText } from "../dom.js";
import { bytes, moment, ms, NONE, ofNs, rate, span, uptime, whole, zoneName } from "../format.js";
import { problemItem } from "../header.js";
import { cut } from "../text.js";

const STATES = { open: ["●", "good", "open"], closed: ["○", "warn", "closed"], lost: ["✗", "bad", "lost"] };
const HINTS = { open: "connected", closed: "closed; the recorder reconnects", lost: "open when its recorder ended" };
const HEADS = [
  ["Feed", ""], ["Group", ""], ["Line", ""], ["State", ""], ["For", "num"], ["Uptime today", "num"], ["Frames/s", "num"],
  ["Last activity", "num"], ["Round trip", "num"], ["Clock error", "num"], ["Code, reason", ""],
];

const ago = (ns, now) => (ns == null ? NONE : span((now - ofNs(ns)) / 1000));
const td = (text, { label, title, ...more } = {}) => el("td", { "data-label": label, title, ...more }, el("span", { class: "plain", text }));

function line(feed, one, now) {
  const [sign, tone, word] = STATES[one.state] ?? ["?", "dim", cut(one.state ?? "unknown", 20)];
  const since = one.state === "open" ? one.opened_ns : (one.closed_ns ?? one.heard_ns);
  const why = [one.code, one.reason && cut(one.reason, 80)].filter((v) => v != null && v !== "").join(" ");
  const cells = [
    [cut(feed.name, 40), { class: "name", title: cut(one.url ?? "", 300) }],
    [one.line_group == null ? NONE : cut(one.line_group, 60)],
    [one.line ?? NONE],
    null,
    [ago(since, now), { class: "num", title: `${moment(ofNs(since))} ${zoneName()}` }],
    [uptime(one.uptime), { class: "num" }],
    [rate(one.frames_per_second), { class: "num" }],
    [one.heard_ns == null ? NONE : `${ago(one.heard_ns, now)} ago`, { class: "num", title: `${moment(ofNs(one.heard_ns))} ${zoneName()}` }],
    [ms(one.rtt_seconds == null ? null : one.rtt_seconds * 1000), { class: "num" }],
    [one.clock_error_ns == null ? NONE : `± ${ms(one.clock_error_ns / 1e6)}`, { class: "num" }],
    [why || NONE],
  ].map((given, i) =>
    given ? td(given[0], { label: HEADS[i][0], ...given[1] }) : el("td", { "data-label": "State", title: HINTS[one.state] }, el("span", { class: `tone-${tone}`, text: `${sign} ${word}` })),
  );
  return el("tr", {}, ...cells);
}

function feedCard(feed, now) {
  const facts = [
    ["Frames/s", rate(feed.frames_per_second)],
    ["Bytes/s", bytes(feed.bytes_per_second)],
    ["Reconnects today", whole(feed.reconnects_today)],
    ["Gaps today", feed.gaps_today ? `${whole(feed.gaps_today)}, ${span(feed.gap_seconds_today)}` : whole(feed.gaps_today)],
    ["Uncovered", span(feed.uncovered_seconds_today)],
    ["Frames missing", whole(feed.frames_missing_today)],
    ["Last frame", feed.last_frame_ns == null ? NONE : `${ago(feed.last_frame_ns, now)} ago`],
    ["Not yet sealed", bytes(feed.backlog_bytes)],
  ];
  const [tone, words] = feed.fresh ? ["good", "● fresh"] : feed.recorded === false ? ["warn", "○ not recorded now"] : ["bad", "✗ not fresh"];
  return el(
    "article",
    { class: "card" },
    el("h3", {}, el("span", { class: "plain", text: cut(feed.name, 40) }), el("span", { class: `tone-${tone}`, text: words })),
    el("dl", { class: "facts" }, ...facts.flatMap(([name, value]) => [el("dt", { text: name }), el("dd", { class: "num", text: value })])),
  );
}

function machine({ capture = {}, ingest = {}, disk }, now) {
  const rows = [
    ["Capture", capture.running ? ["good", `● running since ${moment(ofNs(capture.since_ns))}`] : ["bad", "✗ not running"]],
    ["Writing", capture.unwritable ? ["bad", "✗ the disk cannot be written"] : ["good", "● healthy"]],
    ["Ingest", ingest.running ? ["good", "● running"] : ["warn", "○ not running"]],
    ["Tables", ["dim", ingest.newest_ns == null ? "none yet" : `newest row ${ago(ingest.newest_ns, now)} old, ${bytes(ingest.database_bytes)}, ${whole(ingest.rejects)} rejects`]],
    ["Disk", ["dim", !disk ? "unknown" : `${bytes(disk.free_bytes)} of ${bytes(disk.total_bytes)} free${disk.hours_left == null ? "" : `, ${span(disk.hours_left * 3600)} left at this rate`}`]],
  ];
  return el("dl", { class: "facts machine" }, ...rows.flatMap(([name, [tone, words]]) => [el("dt", { text: name }), el("dd", { class: `tone-${tone}`, text: words })]));
}

export const connections = {
  title: "Connections",
  create(app, node) {
    const problems = el("ul", { class: "problems" });
    const body = el("tbody");
    const heads = HEADS.map(([text, names]) => el("th", { scope: "col", class: names, text }));
    const table = el("table", { class: "lines" }, el("caption", { class: "unseen", text: "Connections, one per row" }), el("thead", {}, el("tr", {}, ...heads)), body);
    const scroll = el("div", { class: "scroll panel", tabindex: 0, role: "region", "aria-label": "Connections" }, table);
    const nothing = empty("No connections are recorded yet.", "Start recording with: recorder capture");
    const cards = el("div", { class: "cards" });
    const facts = el("div");
    const at = el("span", { class: "dim" });
    node.append(el("div", { class: "view-head" }, el("h2", { id: "title-connections", text: "Connections" }), at), problems, scroll, nothing, el("h3", { text: "Feeds" }), cards, el("h3", { text: "This machine" }), el("div", { class: "panel" }, facts));
    const draw = () => {
      const { status } = app;
      if (!status) return setText(at, "waiting for the first status");
      const now = app.live.now();
      const feeds = status.feeds ?? [];
      const lines = feeds.flatMap((feed) => (feed.connections ?? []).map((one) => line(feed, one, now)));
      setText(at, `as of ${moment(ofNs(status.at_ns))} ${zoneName()}`);
      problems.replaceChildren(...(status.problems ?? []).map(problemItem));
      body.replaceChildren(...lines);
      scroll.hidden = lines.length === 0;
      nothing.hidden = lines.length > 0;
      cards.replaceChildren(...feeds.map((feed) => feedCard(feed, now)));
      facts.replaceChildren(machine(status, now));
    };
    return { draw, redraw: draw };
  },
};
