"""topstep-sdk 0.1: REST, both hubs and a bracket, by its own asynchronous client."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import common
import msgspec
from topstep_sdk import AggregateBarUnit, AsyncTopstepClient, Config
from topstep_sdk.enums import OrderStatus, OrderType
from topstep_sdk.errors import TopstepError


def plain(model: Any) -> Any:
    """A model as the wire's members: unset ones left out, numbers as JSON has them."""
    members = msgspec.to_builtins(model, builtin_types=(Decimal,))
    return {
        name: float(value) if isinstance(value, Decimal) else value
        for name, value in members.items()
        if value is not None
    }


async def until(condition: Callable[[], Awaitable[Any]], what: str) -> Any:
    deadline = time.monotonic() + common.PATIENCE_S
    while not (value := await condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        await asyncio.sleep(0.05)
    return value


class Streams:
    """Both hubs with what they brought."""

    def __init__(self, client: AsyncTopstepClient) -> None:
        self.market: dict[str, list[Any]] = {kind: [] for kind in common.MARKET}
        self.user: dict[str, list[Any]] = {kind: [] for kind in common.USER}
        self.market_hub, self.user_hub = client.market_hub(), client.user_hub()
        self.market_hub.on_quote(lambda _contract, data: self.market["GatewayQuote"].append(plain(data)))
        self.market_hub.on_trade(lambda _contract, data: self.market["GatewayTrade"].append(plain(data)))
        self.market_hub.on_depth(lambda _contract, data: self.market["GatewayDepth"].append(plain(data)))
        self.user_hub.on_account(lambda data: self.user["GatewayUserAccount"].append(plain(data)))
        self.user_hub.on_order(lambda data: self.user["GatewayUserOrder"].append(plain(data)))
        self.user_hub.on_position(lambda data: self.user["GatewayUserPosition"].append(plain(data)))
        self.user_hub.on_trade(lambda data: self.user["GatewayUserTrade"].append(plain(data)))

    async def start(self, account: int, contract_id: str) -> None:
        await self.market_hub.start()
        await self.market_hub.subscribe_quotes(contract_id)
        await self.market_hub.subscribe_trades(contract_id)
        await self.market_hub.subscribe_depth(contract_id)
        await self.user_hub.subscribe_accounts()  # before the start: they are sent when it opens
        await self.user_hub.subscribe_orders(account)
        await self.user_hub.subscribe_positions(account)
        await self.user_hub.subscribe_trades(account)
        await self.user_hub.start()


def ended(streams: Streams) -> int:
    """How many orders have come to their end."""
    terminal = {OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.EXPIRED, OrderStatus.REJECTED}
    return len({order["id"] for order in streams.user["GatewayUserOrder"] if order["status"] in terminal})


async def look_around(client: AsyncTopstepClient, now: datetime) -> tuple[int, Any, dict[str, Any]]:
    """Account, contract, and what the read calls gave."""
    accounts = await client.accounts.search()
    contract = await client.contracts.get_by_symbol("MNQ")
    assert contract is not None
    start, end = now - timedelta(hours=2), now
    unit = AggregateBarUnit.MINUTE
    bars = await client.history.retrieve_bars(
        contract.id, unit=unit, unit_number=5, start_time=start, end_time=end, limit=20
    )
    seen = {
        "ping": await client.ping(),
        "accounts": [plain(account) for account in accounts],
        "contract": plain(contract),
        "by_id": plain(await client.contracts.search_by_id(contract.id)),
        "nothing": await client.contracts.search_by_id("CON.F.US.XYZ.Z26"),
        "available": [entry.id for entry in await client.contracts.available()],
        "bars": [[bar.t.isoformat(), *(float(price) for price in (bar.o, bar.h, bar.l, bar.c)), bar.v] for bar in bars],
        "window": [start.isoformat(), end.isoformat()],
    }
    return accounts[0].id, contract, seen


async def hold(client: AsyncTopstepClient, account: int, sizes: list[int]) -> None:
    async def held() -> bool:
        return [position.size for position in await client.positions.search_open(account)] == sizes

    await until(held, f"positions {sizes}")


async def trade(client: AsyncTopstepClient, account: int, contract: Any, price: float) -> tuple[dict[str, int], Any]:
    """The round of common.py through the package's own calls; the same tag twice."""
    tick = float(contract.tick_size)
    away = price - 400 * tick
    limit = await client.orders.buy(account, contract.id, 1, type=OrderType.LIMIT, limit_price=away)
    await client.orders.modify(account, limit, size=2, limit_price=Decimal(str(away - 4 * tick)))
    working = [plain(entry) for entry in await client.orders.search_open(account)]
    await client.orders.cancel(account, limit)
    market = await client.orders.buy(account, contract.id, 2, custom_tag="sdk-1")
    filled = await client.orders.wait_for_fill(account, market)
    await hold(client, account, [2])
    await client.positions.partial_close(account, contract.id, 1)
    await hold(client, account, [1])
    await client.positions.close(account, contract.id)
    await hold(client, account, [])
    try:
        await client.orders.buy(account, contract.id, 1, custom_tag="sdk-1")
        refused = "accepted"
    except TopstepError as error:
        refused = str(error)
    read = {"working": working, "filled": plain(filled), "refused": refused, "moved": away - 4 * tick}
    return {"limit": limit, "market": market}, read


async def bracket(client: AsyncTopstepClient, account: int, contract: Any) -> dict[str, Any]:
    """A bracketed entry, its stop moved, the position closed, what is left cancelled."""
    entry = await client.orders.buy(
        account, contract.id, 1, custom_tag="bracket-1", stop_loss_ticks=400, take_profit_ticks=400
    )

    async def legs() -> list[Any]:
        found = await client.orders.query(account, statuses=[OrderStatus.OPEN], contract_id=contract.id)
        return found.orders if len(found.orders or []) == 2 else []

    working = await until(legs, "two working legs")
    stop = next(order for order in working if order.type == OrderType.STOP)
    await client.orders.modify(account, stop.id, stop_price=stop.stop_price + 20 * contract.tick_size)
    moved = await client.orders.get(account, stop.id)
    closed = await client.positions.close_all(account)
    await hold(client, account, [])
    return {
        "entry": entry,
        "legs": [plain(order) for order in working],
        "moved": plain(moved),
        "closed": closed,
        "cancelled": await client.orders.cancel_all(account),
    }


async def main() -> None:
    ready = common.ready()
    user, key = common.credentials()
    config = Config(user, key, ready["rest"], ready["user_hub"], ready["market_hub"])
    async with AsyncTopstepClient(config) as client:
        account, contract, seen = await look_around(client, datetime.fromisoformat(ready["now"]))
        streams = Streams(client)
        await streams.start(account, contract.id)
        trades = streams.market["GatewayTrade"]
        await until(lambda: asyncio.sleep(0, len(trades) >= ready["trades"]), "trades")
        result: dict[str, Any] = {"account": account, "seen": seen, "before": len(trades)}
        if ready.get("drop"):
            common.ask("drop")
            await until(lambda: asyncio.sleep(0, len(trades) >= result["before"] + 2 * ready["trades"]), "trades again")
        balances = streams.user["GatewayUserAccount"]
        if ready.get("bracket"):
            result |= await bracket(client, account, contract)
            await until(lambda: asyncio.sleep(0, len(balances) >= 2 and ended(streams) >= 4), "the last events")
        else:
            ids, read = await trade(client, account, contract, trades[-1]["price"])
            result |= {"ids": ids, "read": read}
            await until(lambda: asyncio.sleep(0, len(balances) >= 3), "balances")
        long_ago = datetime.fromisoformat("2020-01-01T00:00:00+00:00")
        fills = [plain(fill) for fill in await client.trades.search(account, start_timestamp=long_ago)]
        common.finish(result | {"market": streams.market, "user": streams.user, "trades": fills})


asyncio.run(main())
