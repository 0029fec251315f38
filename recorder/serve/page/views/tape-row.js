// The texts of a tape's row, by table.

import { compact, ms, number, ofNs, signed, usd, NONE } from "../format.js";
import { cut, short } from "../text.js";

const some = (...parts) => parts.filter((p) => p != null && p !== "" && p !== false).join(" ");
const hours = (n) => (n == null ? "" : `per ${n} h`);

/** The tables' names in the singular. */
export const WORDS = {
  whales: "whale",
  liquidations: "liquidation",
  listings: "listing",
  funding: "funding",
  open_interest: "open interest",
  flows: "flow",
  signals: "signal",
  alerts: "alert",
  system_status: "status",
  prices: "price",
};

const DETAIL = {
  whales: (e) => some(e.kind === "trade" ? "" : e.kind, e.action, e.quantity != null && `${number(e.quantity)} ${e.asset ?? ""}`, who(e)),
  liquidations: (e) => some(e.quantity != null && `${number(e.quantity)} ${e.quantity_unit ?? ""}`, e.price_kind && `at ${e.price_kind} price`),
  listings: (e) => some(e.listing_type, e.title),
  funding: (e) => some(signed(e.rate), hours(e.interval_hours), e.predicted_rate != null && `next ${signed(e.predicted_rate)}`),
  open_interest: (e) => some(e.open_interest_usd != null ? `$${compact(e.open_interest_usd)}` : compact(e.open_interest), e.change_pct != null && `${e.change_pct > 0 ? "+" : ""}${number(e.change_pct)} %`),
  flows: (e) => some(number(e.amount), e.asset, e.wallet && `wallet ${short(e.wallet)}`),
  signals: (e) => some(e.signal_type, e.score != null && `score ${number(e.score)}`),
  alerts: (e) => some(e.severity, e.alert_type, e.title, e.message),
  system_status: (e) => some(e.component, e.status, e.message),
  prices: (e) => some(e.kind, e.quantity != null && `${number(e.quantity)} ${e.quantity_unit ?? ""}`),
};

const who = (e) =>
  e.wallet ? `wallet ${short(e.wallet)}` : e.buyer || e.seller ? `${short(e.buyer ?? "?")} from ${short(e.seller ?? "?")}` : "";

/** The effect on the market by side; a liquidated long is a sell. */
const TONES = { buy: "buy", long: "buy", bullish: "buy", inflow: "", sell: "sell", short: "sell", bearish: "sell" };

function side(event) {
  const word = event.side ?? event.position_side ?? event.direction ?? "";
  const tone = TONES[String(word).toLowerCase()] ?? "";
  const effect = event.table === "liquidations" ? { buy: "sell", sell: "buy" }[tone] : tone;
  return { word: word ? cut(word, 12) : "", tone: effect ?? "" };
}

/** Return the time from publication, or from the event time, to receipt; "past" for backfill. */
function latency(event) {
  if (event.backfill) return "past";
  const sent = event.publish_ns ?? event.event_ns ?? event.detected_ns;
  return sent == null ? NONE : ms(event.recv_ms - ofNs(sent));
}

/** Return the cells of a row as texts. */
export function cells(event) {
  const { word, tone } = side(event);
  const value = event.notional_usd ?? event.amount_usd;
  return {
    kind: WORDS[event.table] ?? cut(event.table, 20),
    exchange: cut(event.exchange ?? event.publisher ?? event.feed ?? "", 40),
    symbol: cut(event.symbol ?? event.ticker ?? event.asset ?? "", 40),
    side: word,
    tone,
    price: event.price == null ? (event.mark_price == null ? "" : number(event.mark_price)) : number(event.price),
    value: value == null ? "" : usd(value),
    detail: cut((DETAIL[event.table] ?? (() => ""))(event), 200),
    latency: latency(event),
  };
}

