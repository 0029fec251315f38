// The keyboard: every view and the most used switches, one key each.

import { isOpen, show } from "./dialog.js";
import { el } from "./dom.js";

const HELP = [
  ["1 … 9", "the views, from left to right"],
  ["p", "pause the tape, or go on"],
  ["/", "to the view's first field"],
  ["↑ ↓ Home End", "through the tape's rows, the calendar's days"],
  ["Enter", "the chosen row's raw frame, the chosen day's gaps"],
  ["u", "times in UTC or in local time"],
  ["t", "theme: auto, light, dark"],
  ["?", "this"],
  ["Esc", "close a dialog, leave a field"],
];

const NOTES = [
  "Times are when this recorder received a frame, unless a column says otherwise.",
  "Service → receive is the service's clock against the recorder's; clock error says how far the recorder's own may be off. A negative value means that two clocks disagree.",
  "Receive → screen is measured here: from the receive timestamp until this page draws the event, with this machine's clock set by the server's.",
  "A liquidation's side is the position that was closed: a long that is closed is sold.",
  "Invisible characters of a feed are shown as ␀ or ‹U+202E›; a long text is cut and ends with …; its raw frame has the whole.",
];

/** The shortcuts, in a dialog. */
export function help() {
  const rows = HELP.map(([key, what]) => el("tr", {}, el("th", { scope: "row" }, el("kbd", { text: key })), el("td", { text: what })));
  show(
    "Shortcuts and how to read it",
    el(
      "div",
      {},
      el("table", { class: "shortcuts" }, el("caption", { class: "unseen", text: "Keyboard shortcuts" }), el("tbody", {}, ...rows)),
      el("ul", { class: "notes" }, ...NOTES.map((text) => el("li", { text }))),
    ),
  );
}

/** Listen to the keys. `names`: the views in order; `current()`: the one that is shown. */
export function keys(app, names, current) {
  const press = (id) => document.getElementById(id).click();
  const actions = { p: () => app.togglePause?.(), u: () => press("clock"), t: () => press("theme"), "?": help };
  document.getElementById("help").addEventListener("click", help);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isOpen()) return;
    const typing = event.target.closest("input, textarea, select");
    if (event.key === "Escape" && typing) return typing.blur();
    if (typing) return;
    const number = Number(event.key);
    if (number >= 1 && number <= names.length) location.hash = `#${names[number - 1]}`;
    else if (event.key === "/") current()?.node.querySelector("input:not([type=checkbox]), textarea, select")?.focus();
    else if (event.key in actions) actions[event.key]();
    else return;
    event.preventDefault();
  });
}
