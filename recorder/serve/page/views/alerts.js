// Listings and alerts: what came, and whether this browser shall call.

import { frameLink } from "../dialog.js";
import { el, empty, say } from "../dom.js";
import { momentMs, zoneName } from "../format.js";
import { draw } from "../frames.js";
import { remember, setting } from "../settings.js";
import { cut } from "../text.js";

function item({ at_ms: at, kind, title, body, event }) {
  return el(
    "li",
    {},
    el("time", { class: "num", text: `${momentMs(at)} ${zoneName()}` }),
    el("span", { class: "chip", text: kind }),
    el("strong", { class: "plain", text: cut(title, 120) }),
    el("span", { class: "plain notice-body", text: cut(body, 300) }),
    event && el("a", { href: frameLink(event), text: "raw", "aria-label": `Raw frame of ${cut(title, 60)}` }),
  );
}

class Alerts {
  constructor(app, node) {
    Object.assign(this, { app });
    this.said = el("p", { class: "dim", role: "status" });
    this.notify = this._switch("notify", "Browser notifications", () => this._ask());
    this.sound = this._switch("sound", "Sound", () => app.notices.ring());
    const test = el("button", { type: "button", text: "Try it" });
    test.addEventListener("click", () => app.notices.add({ at_ms: app.live.now(), kind: "trial", title: "A trial", body: "This is how a listing or an alert calls." }));
    this.list = el("ul", { class: "notices" });
    this.nothing = empty("No listing or alert since this page was opened.", "Older listings: the query listings. Rules are set in the recorder's configuration.");
    node.append(
      el("div", { class: "view-head" }, el("h2", { id: "title-alerts", text: "Listings and alerts" })),
      el("div", { class: "panel bar" }, this.notify.node, this.sound.node, test, el("span", { class: "dim", text: "Off until switched on; remembered by this browser. They come whatever the tape's filter." })),
      this.said,
      this.nothing,
      this.list,
    );
    this.draw = () => this._draw();
    app.notices.listeners.add(() => draw(this.draw));
  }

  _switch(name, label, onTurn) {
    const box = el("input", { type: "checkbox", role: "switch", checked: setting(name) });
    box.addEventListener("change", async () => {
      remember(name, box.checked);
      if (box.checked) await onTurn();
      this._draw();
    });
    return { box, node: el("label", { class: "switch" }, box, el("span", { text: label })) };
  }

  /** The browser asks its user; a refusal switches it off again. */
  async _ask() {
    const given = window.Notification ? await Notification.requestPermission() : "missing";
    if (given === "granted") return say(this.said, "");
    remember("notify", false);
    say(this.said, given === "missing" ? "This browser shows notifications only over https or on localhost." : "The browser refused; its settings for this site decide.");
  }

  _draw() {
    this.notify.box.checked = setting("notify");
    this.sound.box.checked = setting("sound");
    this.nothing.hidden = this.app.notices.kept.length > 0;
    this.list.replaceChildren(...this.app.notices.kept.slice(0, 100).map(item));
  }
}

export const alerts = {
  title: "Alerts",
  create(app, node) {
    const made = new Alerts(app, node);
    return { draw: made.draw, again: made.draw };
  },
};
