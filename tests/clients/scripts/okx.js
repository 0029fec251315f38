// okx.js COUNT: the npm package `okx-api`.
const { take, want } = require("./hook.js");
const { WebsocketClient } = require("okx-api");

want(Number(process.argv[2]));
const quiet = { trace() {}, info() {}, error() {} };
const client = new WebsocketClient({}, quiet);
client.on("update", ({ arg, data }) => {
  for (const row of data) {
    if (arg.channel === "trades") take(["trade", row.side, Number(row.px), Number(row.sz)]);
    if (arg.channel === "mark-price") take(["mark", row.instId, Number(row.markPx)]);
    for (const one of row.details || [])
      take(["liquidation", one.side, Number(one.bkPx), Number(one.sz)]);
  }
});
const instId = "BTC-USDT-SWAP";
client.subscribe([
  { channel: "trades", instId },
  { channel: "mark-price", instId },
  { channel: "liquidation-orders", instType: "SWAP" },
]);
