// @microsoft/signalr 10 on Node: both hubs with or without negotiation, errors, a bad token, a pulled cable, a farewell.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { join } from "node:path";

const PATIENCE_MS = 40_000;
const MARKET = {
  GatewayQuote: "SubscribeContractQuotes",
  GatewayTrade: "SubscribeContractTrades",
  GatewayDepth: "SubscribeContractMarketDepth",
};
const USER = {
  GatewayUserAccount: ["SubscribeAccounts", false],
  GatewayUserOrder: ["SubscribeOrders", true],
  GatewayUserPosition: ["SubscribePositions", true],
  GatewayUserTrade: ["SubscribeTrades", true],
};

console.info = console.log = console.error; // stdout is for our JSON lines alone
const say = (document) => new Promise((done) => process.stdout.write(JSON.stringify(document) + "\n", done));
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

async function until(condition, what) {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`not in time: ${what}`);
    await pause(20);
  }
}

async function readReady() {
  for await (const line of createInterface({ input: process.stdin })) return JSON.parse(line);
  throw new Error("no ready document");
}

class Rest {
  constructor(base) {
    this.base = base;
    this.token = "";
  }

  async post(path, body = {}) {
    const headers = { "Content-Type": "application/json", Authorization: `Bearer ${this.token}` };
    const answer = await fetch(`${this.base}/api/${path}`, { method: "POST", headers, body: JSON.stringify(body) });
    const document = await answer.json();
    if (!document.success) throw new Error(`${path}: ${JSON.stringify(document)}`);
    return document;
  }

  async login() {
    const body = { userName: process.env.TBOT_USERNAME, apiKey: process.env.TBOT_API_KEY };
    this.token = (await this.post("Auth/loginKey", body)).token;
  }

  // The same round as in common.py: a limit order placed, moved, cancelled; two bought, one sold, one closed.
  async trade(accountId, contract, price) {
    const contractId = contract.id;
    const away = price - 400 * contract.tickSize;
    const order = { accountId, contractId, side: 0 };
    const limit = (await this.post("Order/place", { ...order, type: 1, size: 1, limitPrice: away })).orderId;
    const moved = away - 4 * contract.tickSize;
    await this.post("Order/modify", { accountId, orderId: limit, size: 2, limitPrice: moved });
    await this.post("Order/cancel", { accountId, orderId: limit });
    const market = (await this.post("Order/place", { ...order, type: 2, size: 2 })).orderId;
    const held = async () => (await this.post("Position/searchOpen", { accountId })).positions.length;
    await until(held, "a position");
    await this.post("Position/partialCloseContract", { accountId, contractId, size: 1 });
    await this.post("Position/closeContract", { accountId, contractId });
    return { limit, market };
  }
}

class Hub {
  constructor(signalR, url, { token, skip, inQuery, targets, subscriptions }) {
    const transport = skip ? { skipNegotiation: true, transport: signalR.HttpTransportType.WebSockets } : {};
    const bearer = inQuery ? {} : { accessTokenFactory: () => token };
    this.subscriptions = subscriptions;
    this.targets = targets;
    this.connections = [];
    this.results = [];
    this.ids = [];
    this.reconnecting = 0;
    this.closed = null;
    this.connection = new signalR.HubConnectionBuilder()
      .withUrl(inQuery ? `${url}?access_token=${encodeURIComponent(token)}` : url, { ...bearer, ...transport })
      .withAutomaticReconnect()
      .configureLogging(signalR.LogLevel.Information)
      .build();
    for (const target of targets) {
      this.connection.on(target, (...values) => {
        this.connections.at(-1)[target].push(values);
      });
    }
    this.connection.onreconnecting(() => {
      this.reconnecting += 1;
    });
    this.connection.onreconnected(() => this.opened());
    this.connection.onclose((error) => {
      this.closed = error ? String(error.message ?? error) : "without error";
    });
  }

  async start() {
    await this.connection.start();
    await this.opened();
  }

  async opened() {
    this.ids.push(this.connection.connectionId ?? null);
    this.connections.push(Object.fromEntries(this.targets.map((target) => [target, []])));
    for (const [method, values] of this.subscriptions) {
      this.results.push(await this.connection.invoke(method, ...values));
    }
  }

  count(connection, target) {
    return this.connections[connection]?.[target].length ?? 0;
  }
}

async function refused(signalR, url, options) {
  const hub = new Hub(signalR, url, { ...options, token: "nonsense", targets: [], subscriptions: [] });
  try {
    await hub.connection.start();
    return "accepted";
  } catch (error) {
    return String(error.message);
  }
}

async function complaint(connection, method, ...values) {
  try {
    return ["result", await connection.invoke(method, ...values)];
  } catch (error) {
    return String(error.message);
  }
}

async function complaints(hub, user, { contract, foreign }) {
  await hub.connection.send("Heartbeat"); // without an id: nothing may come back, nothing may break
  return {
    unknown: await complaint(hub.connection, "NoSuchMethod"),
    count: await complaint(hub.connection, "SubscribeContractQuotes"),
    type: await complaint(hub.connection, "SubscribeContractQuotes", { id: contract.id }),
    foreign: await complaint(user.connection, "SubscribeOrders", foreign ?? 1),
    lowerCase: await complaint(hub.connection, "subscribecontractquotes", contract.id),
  };
}

async function main() {
  const ready = await readReady();
  const signalR = createRequire(join(ready.modules, "anchor.js"))("@microsoft/signalr");
  const rest = new Rest(ready.rest);
  await rest.login();
  const account = (await rest.post("Account/search", { onlyActiveAccounts: true })).accounts[ready.account ?? 0].id;
  const { contract } = ready;
  const options = { token: rest.token, skip: ready.skip, inQuery: ready.inQuery ?? false };
  const market = new Hub(signalR, ready.market_hub, {
    ...options,
    targets: Object.keys(MARKET),
    subscriptions: Object.values(MARKET).map((method) => [method, [contract.id]]),
  });
  const user = new Hub(signalR, ready.user_hub, {
    ...options,
    targets: Object.keys(USER),
    subscriptions: Object.values(USER).map(([method, takes]) => [method, takes ? [account] : []]),
  });
  await Promise.all([market.start(), user.start()]);
  await until(() => market.count(0, "GatewayTrade") >= ready.trades, "trades");
  await pause(1000 * (ready.idle ?? 0));
  if (ready.drop) {
    await say({ do: "drop" });
    await until(() => market.results.length === 6 && user.results.length === 8, "subscribed again");
    await until(() => market.count(1, "GatewayTrade") >= ready.trades, "trades again");
  }
  const price = market.connections.at(-1).GatewayTrade.at(-1)[1].at(-1).price;
  const ids = await rest.trade(account, contract, price);
  const events = user.connections.at(-1);
  const balances = () => events.GatewayUserAccount.filter(([event]) => event.data.id === account);
  await until(() => events.GatewayUserTrade.length >= 3 && balances().length >= 3, "fills");
  await until(() => events.GatewayUserPosition.at(-1)?.[0].data.size === 0, "flat");
  const result = {
    account,
    ids,
    market: structuredClone(market.connections),
    user: structuredClone(user.connections),
    results: [...market.results, ...user.results],
    connectionIds: [...market.ids, ...user.ids],
    complaints: await complaints(market, user, ready),
    badToken: await refused(signalR, ready.market_hub, options),
    reconnecting: [market.reconnecting, user.reconnecting],
  };
  if (ready.stop) {
    await say({ do: "stop" });
    await until(() => market.closed !== null && user.closed !== null, "closed");
    result.closed = [market.closed, user.closed];
    result.reconnecting = [market.reconnecting, user.reconnecting];
  }
  await say({ result }); // all of it, before the end
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
