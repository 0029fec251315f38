// The view of listings and alerts, with the switches for notifications and sound.

import { frameLink } from "../dialog.js";
import { el, empty, setText } from "../dom.js";
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
    this.note = el("p", { class: "dim", role: "status" });
    this.notify = this._switch("notify", "Browser notifications", () => this._askPermission());
    this.sound = this._switch("sound", "Sound", () => app.notices.ring());
    const test = el("button", { type: "button", text: "Test" });
    test.addEventListener("click", () => app.notices.add({ at_ms: app.live.now(), kind: "test", title: "Test", body: "A listing or an alert looks like this." }));
    this.list = el("ul", { class: "notices" });
    this.nothing = empty("No listings or alerts since this page was opened.", "The query listings shows older ones. Alert rules are part of the recorder's settings.");
    node.append(
      el("div", { class: "view-head" }, el("h2", { id: "title-alerts", text: "Listings and alerts" })),
      el("div", { class: "panel bar" }, this.notify.node, this.sound.node, test, el("span", { class: "dim", text: "Kept by this browser. They do not depend on the tape's filter." })),
      this.note,
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

  /** Ask the user for permission; switch notifications off if the user refuses. */
  async _askPermission() {
    const given = window.Notification ? await Notification.requestPermission() : "missing";
    if (given === "granted") return setText(this.note, "");
    remember("notify", false);
    setText(this.note, given === "missing" ? "This browser shows notifications only with https or on localhost." : "The browser does not allow notifications; see its settings for this site.");
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
    return { draw: made.draw, redraw: made.draw };
  },
};
