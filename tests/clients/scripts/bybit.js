// bybit.js COUNT: the npm package `bybit-api`, linear contracts.
const { take, want } = require("./hook.js");
const { WebsocketClient } = require("bybit-api");

want(Number(process.argv[2]));
const quiet = { trace() {}, info() {}, error() {} };
const client = new WebsocketClient({ market: "v5" }, quiet);
client.on("update", (m) => {
  if (m.topic.startsWith("tickers")) take(["mark", m.data.symbol, Number(m.data.markPrice)]);
  else {
    const kind = m.topic.startsWith("allLiquidation") ? "liquidation" : "trade";
    for (const row of m.data) take([kind, row.S.toLowerCase(), Number(row.p), Number(row.v)]);
  }
});
const topics = ["publicTrade.BTCUSDT", "allLiquidation.BTCUSDT", "tickers.BTCUSDT"];
client.subscribeV5(topics, "linear");
