"""project-x-py 4.4: client, trading suite with live bars, orders, positions and both hubs by its own classes."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from copy import deepcopy
from typing import Any

import common
from project_x_py import Features, ProjectX, TradingSuite
from project_x_py.models import ProjectXConfig
from project_x_py.realtime import ProjectXRealtimeClient
from project_x_py.trading_suite import TradingSuiteConfig

EVENTS = {
    "account_update": "GatewayUserAccount",
    "order_update": "GatewayUserOrder",
    "position_update": "GatewayUserPosition",
    "trade_execution": "GatewayUserTrade",
}


async def until(condition: Callable[[], Awaitable[Any]], what: str) -> Any:
    deadline = time.monotonic() + common.PATIENCE_S
    while not (value := await condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        await asyncio.sleep(0.05)
    return value


async def look_around(client: ProjectX) -> dict[str, Any]:
    accounts = await client.list_accounts()
    instrument = await client.get_instrument("MNQ")
    bars = await client.get_bars("MNQ", days=1, interval=5, partial=False)
    found = await client.search_instruments("NQ")
    return {
        "account": accounts[0].id,
        "balance": accounts[0].balance,
        "contract": {"id": instrument.id, "tickSize": instrument.tickSize, "tickValue": instrument.tickValue},
        "found": sorted(entry.id for entry in found),
        "bars": [
            [row["timestamp"].isoformat(), row["open"], row["high"], row["low"], row["close"], row["volume"]]
            for row in bars.iter_rows(named=True)
        ],
    }


async def listen(realtime: ProjectXRealtimeClient) -> tuple[list[Any], dict[str, list[Any]]]:
    """Lists that fill with market trades and with user events."""
    trades: list[Any] = []
    user: dict[str, list[Any]] = {kind: [] for kind in EVENTS.values()}

    def keeper(kind: str) -> Any:
        async def keep(data: Any) -> None:
            user[kind].append(deepcopy(data))  # its managers write into it later

        return keep

    async def keep_trade(data: Any) -> None:
        trades.append([data["contract_id"], data["data"]])

    await realtime.add_callback("market_trade", keep_trade)
    for event, kind in EVENTS.items():
        await realtime.add_callback(event, keeper(kind))
    return trades, user


async def trade(suite: TradingSuite, contract_id: str, price: float) -> tuple[dict[str, int], dict[str, Any]]:
    """The round of common.py through the package's own managers."""
    orders, positions = suite.orders, suite.positions
    limit = await orders.place_limit_order(contract_id, side=0, size=1, limit_price=price - 100)
    assert await orders.modify_order(limit.orderId, limit_price=price - 101, size=2)
    working = await orders.search_open_orders()
    assert await orders.cancel_order(limit.orderId)
    market = await orders.place_market_order(contract_id, side=0, size=2)

    async def held(size: int) -> bool:
        return [position.size for position in await suite.client.search_open_positions()] == [size]

    await until(lambda: held(2), "two")
    tracked = await until(lambda: positions.get_position(contract_id), "a tracked position")
    part = await positions.partially_close_position(contract_id, 1)
    await until(lambda: held(1), "one")
    rest = await positions.close_position_direct(contract_id)
    read = {
        "working": [[order.id, order.size, order.limitPrice] for order in working],
        "tracked": tracked.size,
        "closed": [part["success"], rest["success"]],
    }
    return {"limit": limit.orderId, "market": market.orderId}, read


async def best(suite: TradingSuite) -> Any:
    """The best bid and ask of its own order book, made of the depth events."""
    found = await suite.orderbook.get_best_bid_ask()
    return [found["bid"], found["ask"]] if found["bid"] and found["ask"] else None


async def main() -> None:
    ready = common.ready()
    user_name, key = common.credentials()
    config = ProjectXConfig(
        api_url=ready["rest"] + "/api",
        user_hub_url=ready["user_hub"],
        market_hub_url=ready["market_hub"],
        requests_per_minute=150,
    )
    async with ProjectX(user_name, key, config) as client:
        await client.authenticate()
        assert client.account_info is not None
        seen = await look_around(client)
        realtime = ProjectXRealtimeClient(client.session_token, str(client.account_info.id), config=config)
        suite = TradingSuite(client, realtime, TradingSuiteConfig("MNQ", ["1min", "5min"], [Features.ORDERBOOK], 1))
        trades, user = await listen(realtime)
        await suite.connect()
        history = await suite.data.get_data("1min")
        await until(lambda: asyncio.sleep(0, len(trades) >= ready["trades"]), "trades")
        current = await until(suite.data.get_current_price, "a price")
        assert suite.orderbook is not None
        book = await until(lambda: best(suite), "a book with two sides")
        if ready.get("drop"):
            before = len(trades)
            common.ask("drop")
            await until(lambda: asyncio.sleep(0, len(trades) >= before + 2 * ready["trades"]), "trades again")
        ids, read = await trade(suite, seen["contract"]["id"], trades[-1][1][-1]["price"])
        await until(lambda: asyncio.sleep(0, len(user["GatewayUserAccount"]) >= 3), "balances")
        common.finish(
            {
                "account": seen["account"],
                "seen": seen,
                "ids": ids,
                "read": read,
                "history": 0 if history is None else len(history),
                "price": current,
                "book": book,
                "trades": trades,
                "user": user,
                "fills": sorted(fill.id for fill in await client.search_trades()),
            }
        )


asyncio.run(main())
