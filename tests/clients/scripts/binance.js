// binance.js COUNT: the npm package `binance`, USD-M.
const { take, want } = require("./hook.js");
const { WebsocketClient } = require("binance");

want(Number(process.argv[2]));
const quiet = { trace() {}, info() {}, error() {} };
const client = new WebsocketClient({ beautify: true }, quiet);
client.on("formattedMessage", (message) => {
  for (const m of [message].flat()) {
    if (m.eventType === "aggTrade") take(["trade", m.maker ? "sell" : "buy", m.price, m.quantity]);
    if (m.eventType === "forceOrder") {
      const order = m.liquidationOrder;
      take(["liquidation", order.side.toLowerCase(), order.averagePrice, order.quantity]);
    }
    if (m.eventType === "markPriceUpdate") take(["mark", m.symbol, m.markPrice]);
  }
});
client.subscribe(["btcusdt@aggTrade", "!forceOrder@arr", "btcusdt@markPrice@1s"], "usdm");
