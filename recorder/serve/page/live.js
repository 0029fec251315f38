// The live connection: reconnects, detects silence, and compares this machine's clock with the server's.

const SILENCE_MS = 8000; // the server sends a message every second
const PING_MS = 2000;
const FIRST_PINGS_MS = [0, 150, 300, 500, 800, 1200];
const TRUSTED_MS = 10; // the largest error of the clock's offset for measurements
const LONGEST_WAIT_MS = 10_000;

/** `on(type, listener)`: `type` is a message's type, or "state" for changes of the connection. */
export class Live {
  constructor(url) {
    this.url = url;
    this.phase = "connecting"; // connecting | open | lost | refused
    this.heardAt = null; // performance.now() of the last message
    this.heardWall = null; // Date.now() of the last message
    this.filter = {};
    this.watched = [];
    this.paused = false;
    this.offset = null; // server's ms since epoch minus performance.now()
    this.offsetError = null;
    this._samples = [];
    this._listeners = new Map();
    this._failures = 0;
    this._socket = null;
    this._timer = null;
    this._tick = setInterval(() => this._check(), 1000);
    setInterval(() => this._ping(), PING_MS);
    document.addEventListener("visibilitychange", () => !document.hidden && this._awake());
    window.addEventListener("online", () => this._awake());
    window.addEventListener("pageshow", () => this._awake());
    this._connect();
  }

  on(type, listener) {
    if (!this._listeners.has(type)) this._listeners.set(type, []);
    this._listeners.get(type).push(listener);
    return this;
  }

  /** Return the server's time in ms since the epoch; this machine's time until the first pong. */
  now() {
    return performance.now() + (this.offset ?? performance.timeOrigin);
  }

  /** True if the clock's offset is exact enough for measurements. */
  get clockKnown() {
    return this.offset !== null && this.offsetError < TRUSTED_MS;
  }

  /** The time since the last message in ms; null before the first. */
  get silence() {
    return this.heardAt == null ? null : performance.now() - this.heardAt;
  }

  setFilter(filter) {
    this.filter = filter;
    this._send({ filter });
  }

  setPaused(paused) {
    this.paused = paused;
    this._send({ paused });
  }

  setWatched(tables) {
    this.watched = tables;
    this._send({ watch: tables });
  }

  _emit(type, message) {
    for (const listener of this._listeners.get(type) ?? []) listener(message);
  }

  _send(message) {
    if (this._socket?.readyState === WebSocket.OPEN) this._socket.send(JSON.stringify(message));
  }

  _connect() {
    clearTimeout(this._timer);
    this._timer = null;
    const socket = new WebSocket(this.url);
    this._socket = socket;
    this._begun = performance.now();
    socket.onopen = () => {
      this._send({ filter: this.filter });
      if (this.watched.length) this._send({ watch: this.watched });
      if (this.paused) this._send({ paused: true });
      this._samples = [];
      for (const wait of FIRST_PINGS_MS) setTimeout(() => this._ping(), wait);
    };
    socket.onmessage = ({ data }) => socket === this._socket && this._receive(JSON.parse(data));
    socket.onclose = ({ code }) => socket === this._socket && this._lost(code);
  }

  _receive(message) {
    this.heardAt = performance.now();
    this.heardWall = Date.now();
    if (message.type === "pong") this._pong(message);
    if (message.type === "hello") this._failures = 0;
    if (this.phase !== "open") {
      this.phase = "open";
      this._emit("state");
    }
    this._emit(message.type, message);
  }

  _lost(code) {
    this._socket = null;
    this.phase = code === 4401 || code === 1008 ? "refused" : "lost";
    this._emit("state");
    const most = Math.min(LONGEST_WAIT_MS, 500 * 2 ** this._failures++);
    this._timer = setTimeout(() => this._connect(), most * (0.5 + Math.random() / 2));
  }

  /** Treat the connection as lost now: closing a half-open socket may take minutes. */
  _drop() {
    const socket = this._socket;
    this._socket = null;
    socket?.close();
    this._lost(1006);
  }

  _check() {
    const since = this.heardAt == null ? this._begun : Math.max(this.heardAt, this._begun);
    if (this._socket && performance.now() - since > SILENCE_MS) this._drop();
    this._emit("tick");
  }

  _awake() {
    this._failures = 0;
    if (this._timer) this._connect();
    else this._check();
  }

  _ping() {
    this._send({ ping: performance.now() });
  }

  // The pong with the shortest round trip has the smallest error of the offset.
  _pong({ ping, server_ns }) {
    const now = performance.now();
    const trip = now - Number(ping);
    this._samples = [...this._samples, { trip, offset: Number(server_ns) / 1e6 - now + trip / 2 }].slice(-20);
    const best = this._samples.reduce((a, b) => (b.trip < a.trip ? b : a));
    this.offset = best.offset;
    this.offsetError = best.trip / 2;
  }
}
