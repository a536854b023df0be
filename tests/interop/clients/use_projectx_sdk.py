"""projectx-sdk 0.2: login, accounts, contracts, bars, orders, positions, trades and both hubs by its own interface."""

import asyncio
import logging
from datetime import datetime, timedelta
from typing import Any

import common
from projectx_sdk import ProjectXClient
from projectx_sdk.endpoints.history import TimeUnit
from projectx_sdk.exceptions import ProjectXError
from projectx_sdk.realtime import RealTimeClient
from projectx_sdk.utils.constants import OrderSide, OrderType

logging.basicConfig(level=logging.INFO)


class Streams:
    """Both hubs with what they brought."""

    def __init__(self, token: str, ready: dict[str, Any]) -> None:
        self.market: dict[str, list[Any]] = {kind: [] for kind in common.MARKET}
        self.user: dict[str, list[Any]] = {kind: [] for kind in common.USER}
        self.client = RealTimeClient(token, "topstepx", ready["user_hub"], ready["market_hub"])

    def _market(self, kind: str) -> Any:
        return lambda contract_id, data: self.market[kind].append([contract_id, data])

    def _user(self, kind: str) -> Any:
        return self.user[kind].append

    async def start(self, account: int, contract_id: str) -> None:
        await self.client.start()
        assert self.client.is_connected()
        market, user = self.client.market, self.client.user
        await market.subscribe_quotes(contract_id, self._market("GatewayQuote"))
        await market.subscribe_trades(contract_id, self._market("GatewayTrade"))
        await market.subscribe_market_depth(contract_id, self._market("GatewayDepth"))
        user.subscribe_accounts(self._user("GatewayUserAccount"))
        user.subscribe_orders(account, self._user("GatewayUserOrder"))
        user.subscribe_positions(account, self._user("GatewayUserPosition"))
        user.subscribe_trades(account, self._user("GatewayUserTrade"))


def look_around(client: ProjectXClient, now: datetime) -> tuple[int, Any, dict[str, Any]]:
    """Account, contract, and what the read calls gave."""
    accounts = client.accounts.search(only_active_accounts=True)
    contracts = client.contracts.search("MNQ")
    contract = contracts[0]
    window = (now - timedelta(hours=2), now)
    bars = client.history.retrieve_bars(contract.id, *window, TimeUnit.MINUTE, 5, limit=20)
    seen = {
        "accounts": [account.to_dict() for account in accounts],
        "contracts": [entry.model_dump(by_alias=True) for entry in contracts],
        "by_id": client.contracts.search_by_id(contract.id),
        "bars": [[bar.timestamp.isoformat(), bar.open, bar.high, bar.low, bar.close, bar.volume] for bar in bars],
        "window": [moment.isoformat() for moment in window],
    }
    return accounts[0].id, contract, seen


def trade(client: ProjectXClient, account: int, contract: Any, price: float) -> tuple[dict[str, int], dict[str, Any]]:
    """The round of common.py through the package's own calls, with what it read on the way."""

    def held() -> list[int]:
        return [position.size for position in client.positions.search_open(account)]

    away = price - 400 * contract.tick_size
    limit = client.orders.place(account, contract.id, OrderType.LIMIT, OrderSide.BUY, 1, limit_price=away)
    moved = away - 4 * contract.tick_size
    assert client.orders.modify(account, limit, size=2, limit_price=moved)
    working = [order.model_dump(by_alias=True) for order in client.orders.search_open(account)]
    assert client.orders.cancel(account, limit)
    market = client.orders.place(account, contract.id, OrderType.MARKET, OrderSide.BUY, 2, custom_tag="sdk-1")
    common.until(lambda: held() == [2], "a position of two")
    assert client.positions.partial_close_contract(account, contract.id, 1)
    common.until(lambda: held() == [1], "a position of one")
    assert client.positions.close_contract(account, contract.id)
    try:
        client.orders.place(account, contract.id, OrderType.MARKET, OrderSide.BUY, 1, custom_tag="sdk-1")
        refused = "accepted"
    except ProjectXError as error:
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
    await streams.client.market.reconnect_subscriptions()
    await asyncio.sleep(3)
    return {"alone": alone, "asked": len(trades) > before, "connected": streams.client.is_connected()}


async def main() -> None:
    ready = common.ready()
    user, key = common.credentials()
    client = ProjectXClient(user, key, base_url=ready["rest"])
    now = datetime.fromisoformat(ready["now"])
    account, contract, seen = look_around(client, now)
    streams = Streams(client.auth.get_token(), ready)
    await streams.start(account, contract.id)
    await asyncio.to_thread(common.until, lambda: len(streams.market["GatewayTrade"]) >= ready["trades"], "trades")
    if ready.get("drop"):
        common.finish(await after_a_drop(streams, contract.id))
    price = streams.market["GatewayTrade"][-1][1][-1]["price"]
    ids, read = await asyncio.to_thread(trade, client, account, contract, price)
    events = streams.user
    await asyncio.to_thread(common.until, lambda: len(events["GatewayUserAccount"]) >= 3, "balances")
    await asyncio.to_thread(common.until, lambda: events["GatewayUserPosition"][-1][0]["data"]["size"] == 0, "flat")
    long_ago = datetime.fromisoformat("2020-01-01T00:00:00+00:00")
    trades = client.trades.search(account, long_ago)
    orders = client.orders.search(account, long_ago)
    common.finish(
        {
            "account": account,
            "ids": ids,
            "seen": seen,
            "read": read,
            "market": streams.market,
            "user": events,
            "trades": [[trade.id, trade.price, trade.side, trade.size, trade.order_id] for trade in trades],
            "orders": [[order.id, order.status] for order in orders],
        }
    )


asyncio.run(main())
