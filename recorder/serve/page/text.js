// Texts of a feed made safe to show: invisible characters become visible, long texts are cut.

// C0 and C1 controls, soft hyphen, zero-width and bidi marks, line separators, byte-order mark,
// interlinear and tag characters, lone surrogates.
const HIDDEN =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\u{e0000}-\u{e007f}]|\p{Cs}/gu;

/** Replace characters that are invisible, or that move others, by a sign or by ‹U+…›. */
export function visible(text) {
  return String(text).replace(HIDDEN, (c) => {
    const code = c.codePointAt(0);
    if (code < 0x20) return String.fromCharCode(0x2400 + code);
    if (code === 0x7f) return "␡";
    return `‹U+${code.toString(16).toUpperCase().padStart(4, "0")}›`;
  });
}

/** Return at most `most` characters of a text, made visible; an ellipsis marks a cut. */
export function cut(text, most = 160) {
  const whole = String(text);
  return whole.length > most ? `${visible(whole.slice(0, most))}…` : visible(whole);
}

/** Cut the long strings of an event in place, so that the page never holds megabytes of a title. */
export function slim(event, most = 500) {
  for (const [name, value] of Object.entries(event)) {
    if (typeof value === "string" && value.length > most) {
      // A slice would keep the whole string in memory; joining its characters makes a new string.
      event[name] = `${Array.from(value.slice(0, most)).join("")}…`;
    }
  }
  return event;
}

/** Return the first and last characters of a long identifier. */
export function short(id) {
  const text = String(id);
  return text.length > 14 ? `${text.slice(0, 6)}…${text.slice(-4)}` : text;
}
