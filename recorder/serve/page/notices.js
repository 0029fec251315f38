// Notices of listings and alerts, with browser notifications and a sound; both are off by default.

import { cut } from "./text.js";
import { onSetting, setting } from "./settings.js";

const KEPT = 200;
const WATCHED = ["listings", "alerts"];
const PAUSE_MS = 1500; // the least time between two sounds

export class Notices {
  constructor(app) {
    this.app = app;
    this.kept = []; // newest first: {at_ms, kind, title, body, event?}
    this.listeners = new Set();
    this._seen = new Set();
    this._rangAt = 0;
    app.live.on("alert", ({ alert }) => this.add(ofAlert(alert ?? {}, app.live.now())));
    app.live.on("watched", ({ events }) => events.forEach((event) => this._event(event)));
    app.live.on("events", ({ events }) => events.forEach((event) => WATCHED.includes(event.table) && this._event(event)));
    app.live.setWatched(WATCHED);
    onSetting(() => this._changed());
  }

  /** Add a notice; play the sound and show the notification if they are on. */
  add(notice) {
    this.kept.unshift(notice);
    this.kept.length = Math.min(this.kept.length, KEPT);
    if (setting("sound")) this.ring();
    if (setting("notify")) this._notify(notice);
    this._changed();
  }

  /** Play two short tones, generated without a file. */
  ring() {
    if (performance.now() - this._rangAt < PAUSE_MS) return;
    this._rangAt = performance.now();
    this._audio ??= new AudioContext();
    for (const [delay, pitch] of [[0, 880], [0.16, 1175]]) {
      const tone = this._audio.createOscillator();
      const gain = this._audio.createGain();
      const from = this._audio.currentTime + delay;
      tone.frequency.value = pitch;
      gain.gain.setValueAtTime(0.15, from);
      gain.gain.exponentialRampToValueAtTime(0.001, from + 0.14);
      tone.connect(gain).connect(this._audio.destination);
      tone.start(from);
      tone.stop(from + 0.15);
    }
  }

  // An event arrives twice if the tape shows its table too.
  _event(event) {
    const place = `${event.connection} ${event.seq} ${event.item}`;
    if (this._seen.has(place) || event.backfill) return;
    if (this._seen.size > 2 * KEPT) this._seen.clear();
    this._seen.add(place);
    this.add(ofEvent(event));
  }

  _notify({ title, body }) {
    if (window.Notification?.permission !== "granted") return;
    try {
      new Notification(cut(title, 100), { body: cut(body, 200), icon: "/page/favicon.svg", tag: cut(title, 100) });
    } catch {
      // Some phones allow notifications to service workers only.
    }
  }

  _changed() {
    for (const listener of this.listeners) listener();
  }
}

function ofEvent(event) {
  const where = event.exchange ?? event.publisher ?? event.feed;
  const listing = event.table === "listings";
  const title = listing ? `${event.ticker ?? event.symbol ?? "?"} on ${where}` : (event.title ?? event.alert_type ?? "alert");
  const body = listing ? `${event.listing_type ?? ""} ${event.title ?? ""}` : `${event.severity ?? ""} ${event.message ?? ""}`;
  return { at_ms: event.recv_ms, kind: listing ? "listing" : "alert of a feed", title: String(title), body: body.trim(), event };
}

function ofAlert(alert, now) {
  const ns = alert.at_ns ?? alert.fired_ns ?? alert.ns;
  const title = alert.title ?? alert.rule ?? alert.name ?? alert.what ?? "alert";
  const body = alert.text ?? alert.message ?? alert.what ?? JSON.stringify(alert);
  return { at_ms: ns ? Number(ns) / 1e6 : now, kind: "rule", title: String(title), body: String(body) };
}
