// Series in memory: rates and latencies from the server, and the latency from receipt to this screen
// as measured by the page.

export const KEPT_SECONDS = 900;

/** Named columns with one row per time; the oldest rows are dropped. */
export class Series {
  constructor(most = KEPT_SECONDS) {
    this.most = most;
    this.t = [];
    this.columns = new Map();
  }

  /** Add the values of a time; missing series get null. Times that are not newer are ignored. */
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

  /** Replace the content by the server's series, which begin before the page was opened. */
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

  /** Return the last `seconds` as [t, …columns]. */
  window(seconds, names) {
    const since = (this.t.at(-1) ?? 0) - seconds;
    let from = this.t.findIndex((t) => t > since);
    if (from < 0) from = 0;
    return [this.t.slice(from), ...names.map((name) => this.column(name).slice(from))];
  }
}

/** The values of one second, at most `most`, for percentiles. */
export class Second {
  constructor(most = 2000) {
    this.most = most;
    this.values = [];
  }

  add(value) {
    if (this.values.length < this.most) this.values.push(value);
  }

  /** Return {p50, p95, p99, n} or, without values, null; and clear the values. */
  take() {
    const sorted = this.values.sort((a, b) => a - b);
    this.values = [];
    if (!sorted.length) return null;
    const at = (part) => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))];
    return { p50: at(0.5), p95: at(0.95), p99: at(0.99), n: sorted.length };
  }
}
