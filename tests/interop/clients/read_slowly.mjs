// @microsoft/signalr as a reader that cannot keep up: it holds up its own loop again and again, and must lose nothing.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { join } from "node:path";

const HOLD_MS = 20;

function hold() {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, HOLD_MS); // the whole thread stands still
}

async function readReady() {
  for await (const line of createInterface({ input: process.stdin })) return JSON.parse(line);
  throw new Error("no ready document");
}

async function login(base) {
  const body = JSON.stringify({ userName: process.env.TBOT_USERNAME, apiKey: process.env.TBOT_API_KEY });
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch(`${base}/api/Auth/loginKey`, { method: "POST", headers, body });
  return (await answer.json()).token;
}

class Ledger {
  prints = 0;
  outOfOrder = 0;
  disagreements = [];
  compared = 0;
  last = "";
  sum = 0;
  base = null;
  prices = [];

  trades(batch) {
    for (const { price, volume, timestamp } of batch) {
      this.prices.push([timestamp, price]);
      this.prints += 1;
      this.sum += volume;
      if (timestamp < this.last) this.outOfOrder += 1;
      this.last = timestamp;
    }
  }

  // The session's cumulative volume in a quote is the sum of all prints before it: a lost print would show.
  quote({ volume }) {
    if (volume === undefined || volume === null) return;
    if (this.base === null) {
      this.base = volume - this.sum;
    } else {
      this.compared += 1;
      if (this.base + this.sum !== volume) this.disagreements.push([this.base + this.sum, volume]);
    }
  }
}

async function main() {
  const ready = await readReady();
  const signalR = createRequire(join(ready.modules, "anchor.js"))("@microsoft/signalr");
  const token = await login(ready.rest);
  const ledger = new Ledger();
  let messages = 0;
  const connection = new signalR.HubConnectionBuilder()
    .withUrl(ready.market_hub, { accessTokenFactory: () => token })
    .configureLogging(signalR.LogLevel.None)
    .build();
  const slow = () => {
    messages += 1;
    if (messages % ready.holdEvery === 0) hold();
  };
  const finished = new Promise((done, failed) => {
    connection.onclose((error) => failed(error ?? new Error("closed")));
    connection.on("GatewayTrade", (_contract, batch) => {
      ledger.trades(batch);
      slow();
      if (ledger.prints >= ready.prints && (ready.keep || ledger.compared > 0)) done();
    });
    connection.on("GatewayQuote", (_contract, quote) => {
      ledger.quote(quote);
      slow();
    });
  });
  await connection.start();
  await connection.invoke("SubscribeContractTrades", ready.contract.id);
  await connection.invoke("SubscribeContractQuotes", ready.contract.id);
  await finished;
  const { prints, outOfOrder, disagreements, compared } = ledger;
  const result = { prints, outOfOrder, disagreements, compared, messages };
  if (ready.keep) result.prices = ledger.prices;
  process.stdout.write(JSON.stringify({ result }) + "\n", () => process.exit(0));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
