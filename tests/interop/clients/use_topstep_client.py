"""topstep-client-py 0.1: REST by its client, both hubs by its hub classes (only they take an address)."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import common
from topstep import TopstepClient
from topstep.exceptions import APIError, AuthenticationError
from topstep.models import BarUnit, Bracket, OrderSide, OrderType, PlaceOrderRequest
from topstep.realtime import MarketHub, UserHub


async def until(condition: Any, what: str) -> None:
    await asyncio.to_thread(common.until, condition, what)


class Streams:
    """Both hubs with what they brought."""

    def __init__(self, token: str, ready: dict[str, Any]) -> None:
        self.market: dict[str, list[Any]] = {kind: [] for kind in common.MARKET}
        self.user: dict[str, list[Any]] = {kind: [] for kind in common.USER}
        self.market_hub = MarketHub(token, ready["market_hub"])
        self.user_hub = UserHub(token, ready["user_hub"])
        self.market_hub.on_quote(self.market["GatewayQuote"].append)
        self.market_hub.on_trade(self.market["GatewayTrade"].append)
        self.market_hub.on_depth(self.market["GatewayDepth"].append)
        self.user_hub.on_account(self.user["GatewayUserAccount"].append)
        self.user_hub.on_order(self.user["GatewayUserOrder"].append)
        self.user_hub.on_position(self.user["GatewayUserPosition"].append)
        self.user_hub.on_trade(self.user["GatewayUserTrade"].append)

    async def start(self, account: int, contract_id: str) -> None:
        opened: list[str] = []
        self.market_hub.on_open(lambda: opened.append("market"))
        self.user_hub.on_open(lambda: opened.append("user"))
        await self.market_hub.connect()
        await self.user_hub.connect()
        await until(lambda: len(opened) == 2, "both hubs open")
        await self.market_hub.subscribe_all(contract_id)
        await self.user_hub.subscribe_all(account)


async def look_around(client: TopstepClient, now: datetime) -> tuple[int, Any, dict[str, Any]]:
    """Account, contract, and what the read calls gave."""
    accounts = await client.accounts.search()
    found = await client.contracts.search("MNQ")
    contract = await client.contracts.search_by_id(found[0].id)
    start, end = now - timedelta(hours=2), now
    bars = await client.history.retrieve_bars(contract.id, start, end, BarUnit.MINUTE, 5, limit=20)
    seen = {
        "accounts": [account.model_dump(by_alias=True) for account in accounts],
        "contract": contract.model_dump(by_alias=True),
        "available": [entry.id for entry in await client.contracts.available()],
        "bars": [[bar.timestamp.isoformat(), bar.open, bar.high, bar.low, bar.close, bar.volume] for bar in bars],
        "window": [start.isoformat(), end.isoformat()],
    }
    return accounts[0].id, contract, seen


async def hold(client: TopstepClient, account: int, size: int) -> None:
    """Wait for a position of this size: an order is at the market when its answer comes, not always filled."""
    async with asyncio.timeout(common.PATIENCE_S):
        while [position.size for position in await client.positions.search_open(account)] != [size]:
            await asyncio.sleep(0.05)


async def trade(client: TopstepClient, account: int, contract: Any, price: float) -> tuple[dict[str, int], Any]:
    """The round of common.py through the package's own calls, and a bracket with the wrong sign."""
    order = {"account_id": account, "contract_id": contract.id, "side": OrderSide.BUY}
    away = price - 400 * contract.tick_size
    limit = await client.orders.place(PlaceOrderRequest(**order, type=OrderType.LIMIT, size=1, limit_price=away))
    moved = away - 4 * contract.tick_size
    await client.orders.modify(account, limit, size=2, limit_price=moved)
    working = [entry.model_dump(by_alias=True) for entry in await client.orders.search_open(account)]
    await client.orders.cancel(account, limit)
    market = await client.orders.place(PlaceOrderRequest(**order, type=OrderType.MARKET, size=2))
    await hold(client, account, 2)
    await client.positions.partial_close(account, contract.id, 1)
    await hold(client, account, 1)
    await client.positions.close(account, contract.id)
    wrong = PlaceOrderRequest(**order, type=OrderType.MARKET, stop_loss_bracket=Bracket(ticks=40, type=4))
    try:
        await client.orders.place(wrong)
        refused = "accepted"
    except APIError as error:
        refused = str(error)
    return {"limit": limit, "market": market}, {"working": working, "refused": refused, "moved": moved}


async def after_a_drop(streams: Streams, contract_id: str) -> dict[str, bool]:
    """Whether prints come again by themselves, and after subscribing once more."""
    trades = streams.market["GatewayTrade"]
    common.ask("drop")
    await asyncio.sleep(15)
    before = len(trades)
    await asyncio.sleep(3)
    alone = len(trades) > before
    await streams.market_hub.subscribe_all(contract_id)
    await asyncio.sleep(3)
    return {"alone": alone, "asked": len(trades) > before}


async def bad_key(base: str, user: str) -> str:
    try:
        await TopstepClient.create(user, "wrong", base_url=base)
    except (APIError, AuthenticationError) as error:
        return str(error)
    return "accepted"


async def main() -> None:
    ready = common.ready()
    user, key = common.credentials()
    client = await TopstepClient.create(user, key, base_url=ready["rest"])
    account, contract, seen = await look_around(client, datetime.fromisoformat(ready["now"]))
    await client.refresh_token()
    streams = Streams(client.token or "", ready)
    await streams.start(account, contract.id)
    await until(lambda: len(streams.market["GatewayTrade"]) >= ready["trades"], "trades")
    if ready.get("drop"):
        common.finish(await after_a_drop(streams, contract.id))
    price = streams.market["GatewayTrade"][-1][1][-1]["price"]
    ids, read = await trade(client, account, contract, price)
    events = streams.user
    await until(lambda: len(events["GatewayUserTrade"]) >= 3 and len(events["GatewayUserAccount"]) >= 3, "fills")
    await until(lambda: len(events["GatewayUserPosition"]) >= 3, "flat")
    await until(lambda: any(order[0]["data"]["status"] == 5 for order in events["GatewayUserOrder"]), "the rejection")
    long_ago = datetime.fromisoformat("2020-01-01T00:00:00+00:00")
    result = {
        "account": account,
        "ids": ids,
        "seen": seen,
        "read": read,
        "market": {kind: list(batch) for kind, batch in streams.market.items()},
        "user": events,
        "trades": [trade.model_dump(by_alias=True) for trade in await client.trades.search(account, long_ago)],
        "orders": [[order.id, int(order.status)] for order in await client.orders.search(account, long_ago)],
        "bad_key": await bad_key(ready["rest"], user),
    }
    common.finish(result)


asyncio.run(main())
