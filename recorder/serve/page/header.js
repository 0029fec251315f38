// The header: the recorder's status, the page's connection, the time and the theme.

import { show } from "./dialog.js";
import { el, setAttr, setText } from "./dom.js";
import { clock, span, zoneName } from "./format.js";
import { onSetting, remember, setting } from "./settings.js";
import { cut } from "./text.js";

const byId = (id) => document.getElementById(id);
const THEMES = ["auto", "light", "dark"];
const SIGNS = { auto: "◐", light: "☀", dark: "☾" };

/** Return the sign, tone and words of the recorder's status. */
function health(status) {
  if (!status) return ["…", "dim", "Loading"];
  const problems = status.problems ?? [];
  const critical = problems.filter((p) => p.severity === "critical").length;
  const warnings = problems.filter((p) => p.severity === "warning").length;
  const count = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;
  if (critical) return ["✗", "bad", count(critical + warnings, "problem")];
  if (warnings) return ["▲", "warn", `Healthy, ${count(warnings, "warning")}`];
  return status.healthy === false ? ["▲", "warn", "Not healthy"] : ["✓", "good", "Healthy"];
}

/** Return the sign, tone and words of the connection between this page and the server. */
function liveness(live) {
  const since = live.heardWall == null ? "" : ` since ${clock(live.heardWall)}`;
  if (live.phase === "refused") return ["✗", "bad", "Refused: log in"];
  if (live.phase === "connecting") return ["…", "dim", "Connecting"];
  if (live.phase === "lost") return ["✗", "bad", `Stale${since}`];
  if (live.silence > 2500) return ["▲", "warn", `Silent${since}`];
  return live.paused ? ["❙❙", "warn", "Paused"] : ["●", "good", "Live"];
}

const SEVERITIES = { critical: ["bad", "✗ Critical"], warning: ["warn", "▲ Warning"], info: ["dim", "ℹ Info"] };

/** Create the list item of a problem: severity, what, where, what to do next. */
export function problemItem({ severity, what, where, next }) {
  const [tone, words] = SEVERITIES[severity] ?? SEVERITIES.warning;
  return el(
    "li",
    { class: `problem tone-${tone}` },
    el("strong", { text: words }),
    el("span", { class: "plain", text: cut(what, 300) }),
    where && el("span", { class: "dim plain", text: cut(where, 200) }),
    next && el("span", { class: "plain", text: `→ ${cut(next, 300)}` }),
  );
}

export class Header {
  constructor(app) {
    this.app = app;
    byId("health").addEventListener("click", () => this._problems());
    byId("live").addEventListener("click", () => this._press());
    byId("clock").addEventListener("click", () => remember("zone", setting("zone") === "utc" ? "local" : "utc"));
    byId("theme").addEventListener("click", () => this.nextTheme());
    app.live.on("tick", () => this.draw()).on("state", () => this.draw()).on("status", () => this.draw());
    app.live.on("paused", () => this.draw());
    onSetting(() => this.draw());
    this.draw();
  }

  /** Show the host and the data directory. */
  place({ host, data_dir: directory, version }) {
    setText(byId("where"), [host, directory].filter(Boolean).map((t) => cut(t, 60)).join(" · "));
    byId("where").title = `recorder ${version ?? ""}`;
  }

  refused() {
    this.app.live.phase = "refused";
    this.draw();
  }

  nextTheme() {
    remember("theme", THEMES[(THEMES.indexOf(setting("theme")) + 1) % THEMES.length]);
  }

  draw() {
    const { live, status } = this.app;
    pill("health", health(status));
    pill("live", liveness(live));
    setAttr(byId("live"), "aria-pressed", live.paused);
    byId("live").title = live.paused ? "Resume the tape (p)" : "Pause the tape (p)";
    setText(byId("clock-time"), clock(live.now()));
    setText(byId("clock-zone"), zoneName());
    byId("clock").title = "UTC or local time (u)";
    const theme = setting("theme");
    setText(byId("theme").firstElementChild, SIGNS[theme]);
    setText(byId("theme-words"), `Theme: ${theme}`);
    byId("theme").title = "Auto, light or dark (t)";
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    this._banner();
  }

  _banner() {
    const { live } = this.app;
    const banner = byId("banner");
    const away = live.phase === "lost" && live.heardWall != null;
    const never = live.phase === "lost" && live.heardWall == null;
    banner.hidden = !(away || never);
    if (never) setText(banner, "✗ The server is unavailable. Reconnecting automatically.");
    if (away) {
      // Change the text once a minute only: screen readers read out each change.
      const age = Math.floor((Date.now() - live.heardWall) / 60_000);
      const ago = age < 1 ? "less than a minute" : span(age * 60).replace(" 00 s", "");
      setText(banner, `✗ No connection since ${clock(live.heardWall)} ${zoneName()} (${ago}): the page shows that state. Reconnecting automatically.`);
    }
  }

  _press() {
    if (this.app.live.phase === "refused") location.assign("/login");
    else this.app.togglePause?.();
  }

  _problems() {
    const problems = this.app.status?.problems ?? [];
    const content = problems.length
      ? el("ul", { class: "problems" }, ...problems.map(problemItem))
      : el("p", { text: this.app.status ? "✓ No problems: capture is running, every feed is fresh." : "The status has not arrived yet." });
    show("Status of the recorder", content);
  }
}

function pill(id, [sign, tone, words]) {
  const node = byId(id);
  node.className = `pill tone-${tone}`;
  setText(node.firstElementChild, sign);
  setText(byId(`${id}-words`), words);
}
