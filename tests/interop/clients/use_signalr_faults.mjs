// @microsoft/signalr while the simulator misbehaves: what it notices, whether it comes back, and what is missing.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { join } from "node:path";

const PATIENCE_MS = 40_000;

const say = (document) => new Promise((done) => process.stdout.write(JSON.stringify(document) + "\n", done));
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

async function until(condition, what) {
  const deadline = Date.now() + PATIENCE_MS;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`not in time: ${what}`);
    await pause(20);
  }
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

// The prints of one connection against the cumulative volume of its quotes: a lost or doubled print shows.
class Segment {
  prints = 0;
  compared = 0;
  disagreements = [];
  sum = 0;
  base = null;

  trades(batch) {
    for (const { volume } of batch) {
      this.prints += 1;
      this.sum += volume;
    }
  }

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
  const seen = { segments: [], reconnecting: [], closed: null, started: "no" };
  const connection = new signalR.HubConnectionBuilder()
    .withUrl(ready.market_hub, {
      accessTokenFactory: () => login(ready.rest),
      skipNegotiation: true,
      transport: signalR.HttpTransportType.WebSockets,
    })
    .withAutomaticReconnect([0, 100, 200, 400, 800, 1600])
    .withServerTimeout(ready.serverTimeout ?? 30_000)
    .configureLogging(signalR.LogLevel.None)
    .build();
  const subscribe = async () => {
    seen.segments.push(new Segment());
    await connection.invoke("SubscribeContractTrades", ready.contract.id);
    await connection.invoke("SubscribeContractQuotes", ready.contract.id);
  };
  connection.on("GatewayTrade", (_contract, batch) => {
    if (Array.isArray(batch)) seen.segments.at(-1).trades(batch);
  });
  connection.on("GatewayQuote", (_contract, quote) => {
    if (quote) seen.segments.at(-1).quote(quote);
  });
  connection.onreconnecting((error) => {
    seen.reconnecting.push(String(error?.message ?? error));
    if (ready.noticed) say({ do: "noticed" });
  });
  connection.onreconnected(() => {
    subscribe().catch(() => {}); // the connection may be gone again already
  });
  connection.onclose((error) => {
    seen.closed = error ? String(error.message) : "without error";
  });
  if (ready.before) await say({ do: "fault" });
  try {
    await connection.start();
    await subscribe();
    seen.started = "yes";
  } catch (error) {
    seen.started = String(error.message);
  }
  if (!ready.before) {
    await until(() => seen.segments[0].compared >= 3, "quotes with volume");
    await say({ do: "fault" });
  }
  const enough = () => seen.segments.length >= ready.segments && seen.segments.at(-1).compared >= ready.compared;
  await until(() => seen.closed !== null || seen.started !== "yes" || enough(), "an end");
  const segments = seen.segments.map(({ prints, compared, disagreements }) => ({ prints, compared, disagreements }));
  const result = { ...seen, segments, state: connection.state };
  await say({ result });
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
