// What this browser remembers: theme, clock, notifications.

const KEY = "recorder";
const DEFAULTS = { theme: "auto", zone: "utc", notify: false, sound: false };
const listeners = new Set();
const values = { ...DEFAULTS, ...stored() };

function stored() {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? "{}");
  } catch {
    return {};
  }
}

/** A remembered value. */
export const setting = (name) => values[name];

/** Remember a value and tell who listens. */
export function remember(name, value) {
  values[name] = value;
  try {
    localStorage.setItem(KEY, JSON.stringify(values));
  } catch {
    // Without storage it lasts as long as the page.
  }
  for (const listener of listeners) listener(name, value);
}

/** Be told of changes: listener(name, value). */
export const onSetting = (listener) => listeners.add(listener);
