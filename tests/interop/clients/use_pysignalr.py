"""pysignalr 1.3: both hubs with negotiation (the package knows no other way), a bad token, a pulled cable."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import common
from pysignalr.client import SignalRClient
from pysignalr.exceptions import AuthorizationError, NegotiationFailure


class Hub:
    """One client with the events of each connection kept; it subscribes whenever it is connected."""

    def __init__(self, url: str, token: str, subscriptions: list[tuple[str, list[Any]]], targets: list[str]) -> None:
        self.connections: list[dict[str, list[Any]]] = []
        self.completions: list[Any] = []
        self._targets = targets
        self._subscriptions = subscriptions
        headers = {"Authorization": f"Bearer {token}"}
        self.client = SignalRClient(url, headers=headers, retry_sleep=0.1, retry_count=3)
        self.client.on_open(self._on_open)
        for target in targets:
            self.client.on(target, self._keeper(target))

    def _keeper(self, target: str) -> Any:
        async def keep(arguments: Any) -> None:
            self.connections[-1][target].append(arguments)

        return keep

    async def _on_open(self) -> None:
        self.connections.append({target: [] for target in self._targets})
        for method, arguments in self._subscriptions:
            await self.client.send(method, arguments, self._on_completion)

    async def _on_completion(self, message: Any) -> None:
        self.completions.append([message.result, message.error])

    def count(self, connection: int, target: str) -> int:
        return len(self.connections[connection][target]) if connection < len(self.connections) else 0


async def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + common.PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        await asyncio.sleep(0.02)


async def bad_token(url: str) -> str:
    """The name of what a client with a bad token raises."""
    client = SignalRClient(url, headers={"Authorization": "Bearer nonsense"}, retry_sleep=0.01, retry_count=1)
    try:
        await asyncio.wait_for(client.run(), 10)
    except (AuthorizationError, NegotiationFailure) as error:
        return type(error).__name__
    return "nothing"


async def main() -> None:
    ready = common.ready()
    rest = common.Rest(ready["rest"])
    account, contract = rest.account(ready.get("account", 0)), ready["contract"]
    methods = [(method, [contract["id"]]) for method in common.MARKET.values()]
    market = Hub(ready["market_hub"], rest.token, methods, list(common.MARKET))
    methods = [(method, [account] if takes else []) for method, takes in common.USER.values()]
    user = Hub(ready["user_hub"], rest.token, methods, list(common.USER))
    tasks = [asyncio.create_task(hub.client.run()) for hub in (market, user)]
    await until(lambda: len(user.completions) == 4 and len(market.completions) == 3, "subscribed")
    await until(lambda: market.count(0, "GatewayTrade") >= ready["trades"], "trades")
    await asyncio.sleep(ready.get("idle", 0))
    if ready.get("drop"):
        common.ask("drop")
        await until(lambda: len(user.completions) == 8 and len(market.completions) == 6, "subscribed again")
        await until(lambda: market.count(1, "GatewayTrade") >= ready["trades"], "trades again")
    price = market.connections[-1]["GatewayTrade"][-1][1][-1]["price"]
    ids = await asyncio.to_thread(rest.trade, account, contract, price)
    last = len(user.connections) - 1
    await until(lambda: user.count(last, "GatewayUserTrade") >= 3, "fills")
    await until(lambda: user.connections[last]["GatewayUserPosition"][-1][0]["data"]["size"] == 0, "flat")
    balances = user.connections[last]["GatewayUserAccount"]
    await until(lambda: sum(event["data"]["id"] == account for (event,) in balances) >= 3, "balances")
    assert not any(task.done() for task in tasks)
    common.finish(
        {
            "account": account,
            "ids": ids,
            "market": market.connections,
            "user": user.connections,
            "completions": market.completions + user.completions,
            "bad_token": await bad_token(ready["market_hub"]),
        }
    )


asyncio.run(main())
