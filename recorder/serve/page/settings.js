// Settings that this browser keeps: theme, time zone, notifications, sound.

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

/** Return a setting. */
export const setting = (name) => values[name];

/** Store a setting and call the listeners. */
export function remember(name, value) {
  values[name] = value;
  try {
    localStorage.setItem(KEY, JSON.stringify(values));
  } catch {
    // Without storage the setting is kept until the page is closed.
  }
  for (const listener of listeners) listener(name, value);
}

/** Call listener(name, value) after each change. */
export const onSetting = (listener) => listeners.add(listener);
