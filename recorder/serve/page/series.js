// Seconds kept in memory, capped: rates and latency as the server counts them, and the last leg,
// from receipt to this screen, as this page measures it.

export const KEPT_SECONDS = 900;

/** Columns over time: one row per moment, any number of named series, the oldest dropped. */
export class Series {
  constructor(most = KEPT_SECONDS) {
    this.most = most;
    this.t = [];
    this.columns = new Map();
  }

  /** Add one moment; what is not named is null. A moment that is not newer is left out. */
  add(t, values) {
    if (this.t.length && t <= this.t.at(-1)) return;
    this.t.push(t);
    for (const name of Object.keys(values)) {
      if (!this.columns.has(name)) this.columns.set(name, Array(this.t.length - 1).fill(null));
    }
    for (const [name, column] of this.columns) column.push(values[name] ?? null);
    while (this.t.length > this.most) {
      this.t.shift();
      for (const column of this.columns.values()) column.shift();
    }
  }

  /** Take what the server kept since before this page came. */
  load({ t = [], series = [] } = {}, nameOf) {
    const from = Math.max(0, t.length - this.most);
    this.t = t.slice(from);
    this.columns = new Map(series.map((one) => [nameOf(one), one.values.slice(from)]));
  }

  names() {
    return [...this.columns.keys()].sort();
  }

  column(name) {
    return this.columns.get(name) ?? Array(this.t.length).fill(null);
  }

  last(name) {
    return this.columns.get(name)?.at(-1) ?? null;
  }

  /** The last `seconds` as [t, …columns]. */
  window(seconds, names) {
    const since = (this.t.at(-1) ?? 0) - seconds;
    let from = this.t.findIndex((t) => t > since);
    if (from < 0) from = 0;
    return [this.t.slice(from), ...names.map((name) => this.column(name).slice(from))];
  }
}

/** Values of one second, to percentiles; at most so many are kept. */
export class Second {
  constructor(most = 2000) {
    this.most = most;
    this.values = [];
  }

  add(value) {
    if (this.values.length < this.most) this.values.push(value);
  }

  /** {p50, p95, p99, n}, or null where nothing came; begins anew. */
  take() {
    const sorted = this.values.sort((a, b) => a - b);
    this.values = [];
    if (!sorted.length) return null;
    const at = (part) => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))];
    return { p50: at(0.5), p95: at(0.95), p99: at(0.99), n: sorted.length };
  }
}
