"""An account at a simulated gateway with something open: a position with both legs, and an entry that rests."""

from typing import Any

from sim_rig import ACCOUNT_BODY, MNQ, OWNER, RunningServer, until

ACCOUNT = 1001
WORKING = [1, 6, 7, 8]  # open, pending, pending cancellation, suspended


def open_things(server: RunningServer) -> tuple[list[int], int]:
    """(sizes of positions, number of orders that are not final), by the gateway's own lists."""
    token = server.login()
    positions = server.post("/api/Position/searchOpen", token, accountId=ACCOUNT).json()["positions"]
    body: dict[str, Any] = {"filter": {"accountId": ACCOUNT, "statuses": WORKING}, "pageSize": 100}
    orders = server.post("/api/Order/v2/query", token, **body).json()["orders"]
    return [held["size"] for held in positions], len(orders)


def fill_account(server: RunningServer) -> None:
    """Two contracts long with stop and target, and a buy limit far below with legs of its own that wait."""
    token = server.login()
    legs = {"stopLossBracket": {"ticks": -400, "type": 4}, "takeProfitBracket": {"ticks": 800, "type": 1}}
    for more in ({"type": 2, "size": 2}, {"type": 1, "size": 1, "limitPrice": 100.0}):
        answer = server.post("/api/Order/place", token, **{**ACCOUNT_BODY, **more, **legs, "contractId": MNQ}).json()
        assert answer["success"], answer
    until(lambda: open_things(server) == ([2], 5), "position and five orders")


__all__ = ["ACCOUNT", "OWNER", "fill_account", "open_things"]
