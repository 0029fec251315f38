// Formats of numbers, times and durations. An unknown value is a dash, never zero.

import { setting } from "./settings.js";

export const NONE = "–";
const plain = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const exact = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 8 });
const short = new Intl.NumberFormat("en-US", { notation: "compact", maximumSignificantDigits: 3 });
const known = (value) => value != null && Number.isFinite(Number(value));
const two = (n) => String(n).padStart(2, "0");

export const whole = (n) => (known(n) ? plain.format(n) : NONE);
export const number = (n) => (known(n) ? exact.format(n) : NONE);
export const compact = (n) => (known(n) ? short.format(n) : NONE);
export const usd = (n) => (known(n) ? `$${plain.format(n)}` : NONE);
export const percent = (n, digits = 2) => (known(n) ? `${(n * 100).toFixed(digits)} %` : NONE);
export const signed = (n, digits = 4) =>
  known(n) ? `${n < 0 ? "−" : "+"}${Math.abs(n * 100).toFixed(digits)} %` : NONE;

/** Format milliseconds, with about three digits. */
export function ms(value) {
  if (!known(value)) return NONE;
  const size = Math.abs(value);
  if (size >= 100_000) return `${exact.format(Math.round(value / 1000))} s`;
  if (size >= 10_000) return `${(value / 1000).toFixed(1)} s`;
  return `${value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2)} ms`;
}

/** Format milliseconds on an axis, where the numbers are round. */
export const msTick = (value) => (Math.abs(value) >= 10_000 ? `${number(value / 1000)} s` : `${number(value)} ms`);

/** Format a rate, with about three digits. */
export function rate(n) {
  if (!known(n)) return NONE;
  return n >= 100 || n === 0 ? plain.format(n) : n.toFixed(n >= 10 ? 1 : 2);
}

export function bytes(n) {
  if (!known(n)) return NONE;
  const units = ["B", "kB", "MB", "GB", "TB"];
  let step = 0;
  while (n >= 1000 && step < units.length - 1) [n, step] = [n / 1000, step + 1];
  return `${n >= 100 || step === 0 ? Math.round(n) : n.toFixed(1)} ${units[step]}`;
}

/** Format a duration in s, in its two largest units. */
export function span(seconds) {
  if (!known(seconds)) return NONE;
  const size = Math.max(0, seconds);
  if (size === 0) return "0 s";
  if (size < 1) return ms(size * 1000);
  if (size < 10) return `${size.toFixed(1)} s`;
  if (size < 60) return `${Math.round(size)} s`;
  if (size < 3600) return `${Math.floor(size / 60)} min ${two(Math.floor(size % 60))} s`;
  if (size < 86400) return `${Math.floor(size / 3600)} h ${two(Math.floor((size % 3600) / 60))} min`;
  if (size >= 365 * 86400) return `${(size / (365.25 * 86400)).toFixed(1)} years`;
  return `${Math.floor(size / 86400)} d ${Math.floor((size % 86400) / 3600)} h`;
}

/** Format a share of time; rounded down, so that 100 % means that nothing is missing. */
export function uptime(part) {
  if (!known(part)) return NONE;
  return part >= 1 ? "100 %" : `${(Math.floor(part * 1e5) / 1e3).toFixed(part > 0.999 ? 3 : 2)} %`;
}

const local = () => setting("zone") === "local";
const get = (at, part) => (local() ? at[`get${part}`]() : at[`getUTC${part}`]());

/** Format a time in ms since the epoch as HH:MM:SS in the chosen zone. */
export function clock(at_ms) {
  const at = new Date(at_ms);
  return `${two(get(at, "Hours"))}:${two(get(at, "Minutes"))}:${two(get(at, "Seconds"))}`;
}

let second = { at: null, zone: null, text: "" };
/** Format as HH:MM:SS.mmm; caches the text of the second, since there are many rows per second. */
export function clockMs(at_ms) {
  const at = Math.floor(at_ms / 1000);
  if (second.at !== at || second.zone !== setting("zone")) {
    second = { at, zone: setting("zone"), text: clock(at_ms) };
  }
  return `${second.text}.${String(Math.floor(at_ms - at * 1000)).padStart(3, "0")}`;
}

/** Format as YYYY-MM-DD in the chosen zone. */
export function day(at_ms) {
  const at = new Date(at_ms);
  return `${get(at, "FullYear")}-${two(get(at, "Month") + 1)}-${two(get(at, "Date"))}`;
}

export const moment = (at_ms) => (known(at_ms) ? `${day(at_ms)} ${clock(at_ms)}` : NONE);
export const momentMs = (at_ms) => (known(at_ms) ? `${day(at_ms)} ${clockMs(at_ms)}` : NONE);
export const zoneName = () => (local() ? "local" : "UTC");

/** Convert a *_ns value, a number or a string, to milliseconds. */
export const ofNs = (ns) => (ns == null ? null : Number(ns) / 1e6);
