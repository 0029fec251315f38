// The dialog: raw frames, long texts, problems, help; one at a time.

import { get, search } from "./api.js";
import { el, problem } from "./dom.js";
import { bytes, momentMs, ofNs, zoneName } from "./format.js";
import { cut, visible } from "./text.js";

const SHOWN = 20_000;
let open = null;

/** Show a dialog; Escape, its button or a click outside closes it. */
export function show(title, content, { onClose, wide = false } = {}) {
  open?.close();
  const heading = el("h2", { text: title, id: "dialog-title" });
  const close = el("button", { type: "button", class: "quiet square", "aria-label": "Close", text: "✕" });
  const dialog = el(
    "dialog",
    { class: wide ? "wide" : "", "aria-labelledby": "dialog-title" },
    el("div", { class: "dialog-head" }, heading, close),
    el("div", { class: "dialog-body", tabindex: 0, role: "region", "aria-labelledby": "dialog-title" }, content),
  );
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (open === dialog) open = null;
    onClose?.();
  });
  document.body.append(dialog);
  open = dialog;
  dialog.showModal();
  return dialog;
}

/** Return true while a dialog is open. */
export const isOpen = () => open !== null;

/** Close the open dialog. */
export const close = () => open?.close();

/** Show a long text in full. */
export function showText(title, text) {
  show(title, block(String(text)), { wide: true });
}

/** Return a text with its invisible characters shown, cut to a length that a browser can handle. */
function block(text) {
  const shown = text.slice(0, SHOWN).split("\n").map(visible).join("\n");
  const rest = text.length - SHOWN;
  return el(
    "div",
    {},
    el("pre", { class: "raw", text: shown }),
    rest > 0 && el("p", { class: "dim", text: `… and ${rest.toLocaleString("en-US")} more characters; the download has them all.` }),
  );
}

/** Return the page's link to a raw frame. */
export const frameLink = ({ feed, connection, seq, recv_ns }) => `#frame?${search({ feed, connection, seq, recv_ns })}`;

/** Show the raw frame of an event. */
export async function showFrame(place, onClose) {
  const body = el("div", {}, el("p", { class: "dim", text: "Loading …" }));
  show(`Raw frame ${place.seq ?? ""}`, body, { wide: true, onClose });
  try {
    const frame = await get("/api/frame", place);
    body.replaceChildren(facts(frame, place), content(frame));
  } catch (error) {
    body.replaceChildren(problem(error));
  }
}

function facts(frame, place) {
  const rows = [
    ["feed", cut(frame.feed)],
    ["connection", cut(frame.connection)],
    ["frame number", String(frame.seq)],
    ["received", `${momentMs(ofNs(frame.recv_ns))} ${zoneName()} (${frame.recv_ns} ns)`],
    ["kind", cut(frame.kind)],
    ["size", bytes(frame.size)],
  ];
  return el(
    "div",
    { class: "frame-facts" },
    el("dl", { class: "facts" }, ...rows.flatMap(([name, value]) => [el("dt", { text: name }), el("dd", { text: value })])),
    el("p", {}, el("a", { href: `/api/frame?${search({ ...place, download: 1 })}`, download: true, text: "Download the exact bytes" })),
  );
}

function content(frame) {
  if (frame.text == null) {
    return el("div", {}, el("h3", { text: "Bytes" }), el("pre", { class: "raw", text: hex(frame.base64 ?? "") }));
  }
  const pretty = indented(frame.text);
  const exact = el("div", {}, el("h3", { text: "Exactly as received" }), block(frame.text));
  return el("div", {}, pretty && el("div", {}, el("h3", { text: "Indented" }), block(pretty)), exact);
}

function indented(text) {
  if (text.length > SHOWN) return null;
  try {
    // Replace each number by its source, so that it keeps all its digits.
    const raw = (_key, value, context) => (typeof value === "number" && JSON.rawJSON ? JSON.rawJSON(context.source) : value);
    return JSON.stringify(JSON.parse(text, raw), null, 2);
  } catch {
    return null;
  }
}

function hex(base64) {
  const text = atob(base64.slice(0, 8192));
  const lines = [];
  for (let at = 0; at < Math.min(text.length, 4096); at += 16) {
    const part = Array.from(text.slice(at, at + 16), (c) => c.charCodeAt(0));
    const codes = part.map((c) => c.toString(16).padStart(2, "0")).join(" ");
    const seen = part.map((c) => (c >= 32 && c < 127 ? String.fromCharCode(c) : "·")).join("");
    lines.push(`${at.toString(16).padStart(6, "0")}  ${codes.padEnd(48)} ${seen}`);
  }
  return lines.join("\n");
}
