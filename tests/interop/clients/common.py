"""What the scripts of this folder share. Standard library only: each runs in the environment of its client."""

import json
import os
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from typing import Any

# The real stdout is for our JSON lines alone; whatever a library prints goes to stderr.
_out = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

PATIENCE_S = 40.0

# Event -> the method that subscribes to it; on the user hub also whether it takes the account.
MARKET = {
    "GatewayQuote": "SubscribeContractQuotes",
    "GatewayTrade": "SubscribeContractTrades",
    "GatewayDepth": "SubscribeContractMarketDepth",
}
USER = {
    "GatewayUserAccount": ("SubscribeAccounts", False),
    "GatewayUserOrder": ("SubscribeOrders", True),
    "GatewayUserPosition": ("SubscribePositions", True),
    "GatewayUserTrade": ("SubscribeTrades", True),
}


def ready() -> dict[str, Any]:
    """The ready document from stdin."""
    document = json.loads(sys.stdin.readline())
    assert isinstance(document, dict)
    return document


def credentials() -> tuple[str, str]:
    return os.environ["TBOT_USERNAME"], os.environ["TBOT_API_KEY"]


def ask(what: str) -> None:
    """Ask the test to do something."""
    _say({"do": what})


def finish(result: dict[str, Any]) -> None:
    """The result, and a sure end: some clients leave threads behind that never stop."""
    _say({"result": result})
    sys.stderr.flush()
    os._exit(0)


def _say(document: dict[str, Any]) -> None:
    _out.write(json.dumps(document, default=str) + "\n")
    _out.flush()


def until(condition: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> Any:
    """Wait for a true value; the script fails without it."""
    deadline = time.monotonic() + patience_s
    pause = threading.Event()
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {patience_s:.0f} s: {what}")
        pause.wait(0.02)
    return value


class Rest:
    """The gateway's REST by hand, for clients that know hubs only."""

    def __init__(self, base: str) -> None:
        self._base = base
        user, key = credentials()
        self.token = ""
        self.token = self.post("Auth/loginKey", userName=user, apiKey=key)["token"]

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"}
        request = urllib.request.Request(f"{self._base}/api/{path}", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            document = json.load(answer)
        assert document["success"], (path, document)
        assert isinstance(document, dict)
        return document

    def account(self, number: int = 0) -> int:
        return int(self.post("Account/search", onlyActiveAccounts=True)["accounts"][number]["id"])

    def trade(self, account: int, contract: dict[str, Any], price: float) -> dict[str, int]:
        """Rest, move and cancel a limit order far below `price`; buy two, sell one, close. Gives the order ids."""
        away = price - 400 * contract["tickSize"]
        order = {"accountId": account, "contractId": contract["id"], "side": 0}
        limit = self.post("Order/place", **order, type=1, size=1, limitPrice=away)["orderId"]
        moved = away - 4 * contract["tickSize"]
        self.post("Order/modify", accountId=account, orderId=limit, size=2, limitPrice=moved)
        self.post("Order/cancel", accountId=account, orderId=limit)
        market = self.post("Order/place", **order, type=2, size=2)["orderId"]
        until(lambda: self.post("Position/searchOpen", accountId=account)["positions"], "a position")
        self.post("Position/partialCloseContract", accountId=account, contractId=contract["id"], size=1)
        self.post("Position/closeContract", accountId=account, contractId=contract["id"])
        return {"limit": limit, "market": market}
