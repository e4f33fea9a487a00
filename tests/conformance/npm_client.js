// Alpaca's own client for Node, unmodified, against a running exchange: run by `make conformance`.
// What it is asked is what a desk asks, and trade updates have to arrive for an order that it sends.
"use strict";

const assert = require("node:assert/strict");
const Alpaca = require("@alpacahq/alpaca-trade-api");

const url = process.env.EXCHANGE_URL;
const alpaca = new Alpaca({
  keyId: process.env.EXCHANGE_KEY,
  secretKey: process.env.EXCHANGE_SECRET,
  baseUrl: url,
  dataBaseUrl: url,
  paper: true,
});
const SECONDS = 1000;

function updates() {
  const seen = [];
  let waiting = [];
  const stream = alpaca.trade_ws;
  const listening = new Promise((resolve, reject) => {
    stream.onConnect(() => {
      stream.subscribe(["trade_updates"]);
      resolve();
    });
    stream.onError((error) => reject(new Error(String(error))));
  });
  stream.onOrderUpdate((update) => {
    seen.push(update);
    waiting = waiting.filter((one) => !one(update));
  });
  stream.connect();
  const next = (event) =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no ${event} within 10 s`)), 10 * SECONDS);
      const take = (update) => {
        if (update.event !== event) return false;
        clearTimeout(timer);
        resolve(update);
        return true;
      };
      const before = seen.find((update) => update.event === event);
      if (!(before && take(before))) waiting.push(take);
    });
  return { listening, next, close: () => stream.disconnect() };
}

async function main() {
  const account = await alpaca.getAccount();
  assert.equal(account.status, "ACTIVE");
  assert.ok(Number(account.buying_power) > 0);

  const clock = await alpaca.getClock();
  assert.equal(clock.is_open, true);

  const days = await alpaca.getCalendar({ start: "2012-07-02", end: "2012-07-06" });
  assert.deepEqual(
    days.map((day) => [day.date, day.close]),
    [["2012-07-02", "16:00"], ["2012-07-03", "13:00"], ["2012-07-05", "16:00"], ["2012-07-06", "16:00"]],
  );

  const bars = [];
  const wanted = { start: "2012-06-25", end: "2012-06-30", timeframe: "1Day", adjustment: "raw", feed: "iex" };
  for await (const bar of alpaca.getBarsV2("AAPL", wanted)) bars.push(bar);
  assert.equal(bars.length, 5);
  assert.ok(bars.every((bar) => bar.LowPrice <= bar.ClosePrice && bar.ClosePrice <= bar.HighPrice));

  const trade = await alpaca.getLatestTrade("AAPL");
  assert.ok(trade.Price > 0);

  const stream = updates();
  await stream.listening;
  await new Promise((resolve) => setTimeout(resolve, 300)); // the subscription has no answer to wait for
  const price = Math.ceil(trade.Price * 1.01);
  const order = await alpaca.createOrder({
    symbol: "AAPL", qty: 2, side: "buy", type: "limit", time_in_force: "day", limit_price: price,
    client_order_id: "from-node",
  });
  const fill = await stream.next("fill");
  assert.equal(fill.order.id, order.id);
  assert.equal(Number(fill.qty), 2);
  assert.ok(Number(fill.price) <= price);

  assert.equal((await alpaca.getOrderByClientId("from-node")).status, "filled");
  const position = await alpaca.getPosition("AAPL");
  assert.ok(Number(position.qty) >= Number(fill.position_qty) && Number(fill.position_qty) >= 2);
  assert.ok((await alpaca.getPositions()).some((held) => held.symbol === "AAPL"));

  const resting = await alpaca.createOrder({
    symbol: "MSFT", qty: 1, side: "buy", type: "limit", time_in_force: "day", limit_price: 10,
  });
  assert.ok((await alpaca.getOrders({ status: "open" })).some((open) => open.id === resting.id));
  const replaced = await alpaca.replaceOrder(resting.id, { limit_price: "11" });
  assert.notEqual(replaced.id, resting.id);
  assert.equal((await stream.next("replaced")).order.id, resting.id);
  await alpaca.cancelOrder(replaced.id);
  assert.equal((await stream.next("canceled")).order.id, replaced.id);
  await assert.rejects(alpaca.getOrderByClientId("nobody's"));

  const fills = await alpaca.getAccountActivities({ activityTypes: "FILL" });
  assert.ok(fills.some((line) => line.order_id === order.id));
  stream.close();
  console.log("account, clock, calendar, bars, orders, positions, activities and trade updates conform");
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error.response ? [error.response.status, error.response.data] : error);
    process.exit(1);
  },
);
