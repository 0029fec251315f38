// tardis.js EXCHANGE SYMBOL COUNT: normalized trades, liquidations and tickers as they stream.
const { take, want } = require("./hook.js");
const tardis = require("tardis-dev");

const [exchange, symbol, count] = process.argv.slice(2);
want(Number(count));
const mappers = [tardis.normalizeTrades];
if (exchange !== "hyperliquid") mappers.push(tardis.normalizeLiquidations); // it has none
if (!exchange.startsWith("binance")) mappers.push(tardis.normalizeDerivativeTickers); // they poll

(async () => {
  const options = { exchange, symbols: [symbol], timeoutIntervalMS: 5000, onError: () => {} };
  for await (const m of tardis.streamNormalized(options, ...mappers)) {
    if (m.type === "derivative_ticker") take([m.type, m.markPrice ?? m.fundingRate ?? m.openInterest]);
    else take([m.type, m.side, m.price, m.amount]);
  }
})();
