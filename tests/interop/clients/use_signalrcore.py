"""signalrcore 1.0: both hubs with or without negotiation, a bad token, a pulled cable."""

import logging
import threading
from typing import Any

import common
from signalrcore.hub_connection_builder import HubConnectionBuilder


class Hub:
    """One client with the events of each connection kept; it subscribes whenever it is connected."""

    def __init__(self, url: str, token: str, skip: bool, subscriptions: list[Any], targets: list[str]) -> None:
        self.connections: list[dict[str, list[Any]]] = []
        self.completions: list[Any] = []
        self.errors: list[str] = []
        self._targets = targets
        self._subscriptions = subscriptions
        builder = HubConnectionBuilder().with_url(
            url, options={"access_token_factory": lambda: token, "skip_negotiation": skip}
        )
        builder.configure_logging(logging.WARNING)
        builder.with_automatic_reconnect({"type": "raw", "keep_alive_interval": 5, "reconnect_interval": 1})
        self.hub = builder.build()
        self.hub.on_open(self._on_open)
        self.hub.on_reconnect(self._on_open)
        self.hub.on_error(lambda message: self.errors.append(str(message.error)))
        for target in targets:
            self.hub.on(target, self._keeper(target))

    def _keeper(self, target: str) -> Any:
        def keep(arguments: list[Any]) -> None:
            self.connections[-1][target].append(arguments)

        return keep

    def _on_open(self) -> None:
        self.connections.append({target: [] for target in self._targets})
        for method, arguments in self._subscriptions:
            self.hub.send(method, arguments, lambda message: self.completions.append([message.result, message.error]))

    def count(self, connection: int, target: str) -> int:
        return len(self.connections[connection][target]) if connection < len(self.connections) else 0


def bad_token(url: str, skip: bool) -> str:
    """What a client with a bad token raises, or whether it ever opened."""
    hub = Hub(url, "nonsense", skip, [], [])
    try:
        hub.hub.start()
        common.until(lambda: not hub.hub.transport.is_connecting(), "an end")
    except Exception as error:
        return f"{type(error).__name__} {error}"
    return "opened" if hub.connections else "not opened"


def main() -> None:
    ready = common.ready()
    rest = common.Rest(ready["rest"])
    account, contract, skip = rest.account(ready.get("account", 0)), ready["contract"], ready["skip"]
    methods = [(method, [contract["id"]]) for method in common.MARKET.values()]
    market = Hub(ready["market_hub"], rest.token, skip, methods, list(common.MARKET))
    methods = [(method, [account] if takes else []) for method, takes in common.USER.values()]
    user = Hub(ready["user_hub"], rest.token, skip, methods, list(common.USER))
    market.hub.start()
    user.hub.start()
    common.until(lambda: len(user.completions) == 4 and len(market.completions) == 3, "subscribed")
    common.until(lambda: market.count(0, "GatewayTrade") >= ready["trades"], "trades")
    threading.Event().wait(ready.get("idle", 0))
    if ready.get("drop"):
        common.ask("drop")
        common.until(lambda: len(user.completions) == 8 and len(market.completions) == 6, "subscribed again")
        common.until(lambda: market.count(1, "GatewayTrade") >= ready["trades"], "trades again")
    price = market.connections[-1]["GatewayTrade"][-1][1][-1]["price"]
    ids = rest.trade(account, contract, price)
    events = user.connections[-1]
    balances = events["GatewayUserAccount"]
    common.until(lambda: len(events["GatewayUserTrade"]) >= 3, "fills")
    common.until(lambda: sum(event["data"]["id"] == account for (event,) in balances) >= 3, "balances")
    common.until(lambda: events["GatewayUserPosition"][-1][0]["data"]["size"] == 0, "flat")
    market.hub.send("NoSuchMethod", [])
    common.until(lambda: market.errors, "an error")
    common.finish(
        {
            "account": account,
            "ids": ids,
            "market": market.connections,
            "user": user.connections,
            "completions": market.completions + user.completions,
            "errors": market.errors,
            "bad_token": bad_token(ready["market_hub"], skip),
        }
    )


main()
