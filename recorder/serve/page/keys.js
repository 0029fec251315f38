// Keyboard shortcuts: one key for each view and for the most used switches.

import { isOpen, show } from "./dialog.js";
import { el } from "./dom.js";

const HELP = [
  ["1 … 9", "show a view, from left to right"],
  ["p", "pause or resume the tape"],
  ["/", "go to the view's first field"],
  ["↑ ↓ Home End", "move through the tape's rows or the calendar's days"],
  ["Enter", "open the row's raw frame or the day's gaps"],
  ["u", "show times in UTC or in local time"],
  ["t", "change the theme: auto, light, dark"],
  ["?", "show this help"],
  ["Esc", "close a dialog or leave a field"],
];

const NOTES = [
  "Times are receive times of this recorder, unless a column says otherwise.",
  "Service → receive compares the service's clock with the recorder's. The clock error is the largest error that the recorder's clock may have. A negative latency means that the two clocks disagree.",
  "Receive → screen is measured in this page: from the receive timestamp until the page draws the event, by the server's clock.",
  "A liquidation's side is the position that was closed: a long position is closed by a sell.",
  "Invisible characters are shown as ␀ or ‹U+202E›. A long text is cut and ends with …; the raw frame has all of it.",
];

/** Show the shortcuts in a dialog. */
export function help() {
  const rows = HELP.map(([key, what]) => el("tr", {}, el("th", { scope: "row" }, el("kbd", { text: key })), el("td", { text: what })));
  show(
    "Shortcuts and help",
    el(
      "div",
      {},
      el("table", { class: "shortcuts" }, el("caption", { class: "unseen", text: "Keyboard shortcuts" }), el("tbody", {}, ...rows)),
      el("ul", { class: "notes" }, ...NOTES.map((text) => el("li", { text }))),
    ),
  );
}

/** Handle key presses. `names`: the views in order; `current()`: the view that is shown. */
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
