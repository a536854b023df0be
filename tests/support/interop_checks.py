"""What a third-party client saw, held against the simulator's own word and against another subscriber."""

from typing import Any

from interop_rig import Gateway, Witness, eventually, position_of

FILLED, CANCELLED, REJECTED = 2, 3, 5
TERMINAL = {2, 3, 4, 5}


def check_stream(part: list[Any], witness: Witness, kind: str, least: int) -> None:
    """A run of events of one kind is a gapless piece of what the witness got, and long enough to mean something."""
    assert len(part) >= least, (kind, len(part))
    eventually(
        lambda: position_of(part, list(witness.events[kind])) >= 0, f"{len(part)} {kind} events as another saw them"
    )


def check_prints(part: list[Any], witness: Witness, least: int) -> None:
    """The same for single prints, for clients that take the arrays apart."""
    assert len(part) >= least, len(part)
    eventually(lambda: position_of(part, witness.prints()) >= 0, f"{len(part)} prints as another saw them")


def check_market(events: dict[str, list[Any]], witness: Witness, least: int) -> None:
    """Trades and quotes arrived whole, in order, unchanged. The first quote is the snapshot of the subscription."""
    check_stream(events["GatewayTrade"], witness, "GatewayTrade", least)
    check_stream(events["GatewayQuote"][1:], witness, "GatewayQuote", least)
    if witness.events["GatewayDepth"]:
        assert events["GatewayDepth"]


def check_bars(
    bars: list[Any], gateway: Gateway, contract_id: str, window: list[str], unit: int, number: int, limit: int
) -> None:
    """Bars as `[time, open, high, low, close, volume]` are those of the same request by hand, newest first."""
    answer = gateway.post(
        "History/retrieveBars",
        contractId=contract_id,
        live=False,
        startTime=window[0],
        endTime=window[1],
        unit=unit,
        unitNumber=number,
        limit=limit,
        includePartialBar=False,
    )
    assert bars == [[bar["t"], bar["o"], bar["h"], bar["l"], bar["c"], bar["v"]] for bar in answer["bars"]]
    assert len(bars) == limit


def check_round(gateway: Gateway, account: int, ids: dict[str, int], contract_id: str, refused: int = 0) -> None:
    """The simulator's books after the common round: a cancelled limit, two bought, one sold, one closed, flat."""
    orders = {order["id"]: order for order in gateway.orders(account)}
    limit, market = orders[ids["limit"]], orders[ids["market"]]
    assert (limit["status"], limit["type"], limit["size"], limit["fillVolume"]) == (CANCELLED, 1, 2, 0)
    assert (market["status"], market["type"], market["side"], market["fillVolume"]) == (FILLED, 2, 0, 2)
    assert len(orders) == 4 + refused
    assert sum(order["status"] == REJECTED for order in orders.values()) == refused
    assert all(order["contractId"] == contract_id for order in orders.values())
    trades = gateway.trades(account)
    assert sum(trade["size"] for trade in trades if trade["side"] == 0) == 2
    assert sum(trade["size"] for trade in trades if trade["side"] == 1) == 2
    assert gateway.positions(account) == []


def comparable(record: dict[str, Any]) -> dict[str, Any]:
    """Hubs leave null members out and write 7 fractional digits, REST at most 6: what both say, in one form."""
    kept = {name: value for name, value in record.items() if value is not None}
    for name, value in kept.items():
        if name.endswith("Timestamp"):
            kept[name] = microseconds(value)
    return kept


def microseconds(text: str) -> str:
    """A time as the wire writes it, cut to microseconds."""
    assert text.endswith("+00:00"), text
    whole, _, fraction = text.removesuffix("+00:00").partition(".")
    return f"{whole}.{fraction[:6]:0<6}+00:00"


def check_user_events(events: dict[str, list[dict[str, Any]]], gateway: Gateway, account: int) -> None:
    """The last event of everything is the state that REST tells; every fill came once. Events without envelope."""
    last: dict[int, dict[str, Any]] = {}
    for order in events["GatewayUserOrder"]:
        assert order["id"] not in last or last[order["id"]]["status"] not in TERMINAL, "an event after the end"
        last[order["id"]] = order
    told = gateway.orders(account)
    assert [comparable(last[order["id"]]) for order in told] == [comparable(order) for order in told]
    fills = sorted(events["GatewayUserTrade"], key=lambda trade: trade["id"])
    assert [comparable(fill) for fill in fills] == [comparable(trade) for trade in gateway.trades(account)]
    positions = events["GatewayUserPosition"]
    assert [position["size"] for position in positions] == [2, 1, 0]
    assert [position["type"] for position in positions] == [1, 1, 0]
    assert events["GatewayUserAccount"][-1] == gateway.accounts()[0]


def unwrap(events: dict[str, list[Any]]) -> dict[str, list[dict[str, Any]]]:
    """User events as the wire has them, `[{action, data}]`, without their envelopes."""
    for kind, batch in events.items():
        for arguments in batch:
            assert len(arguments) == 1, (kind, arguments)
            assert set(arguments[0]) == {"action", "data"}, (kind, arguments)
    return {kind: [arguments[0]["data"] for arguments in batch] for kind, batch in events.items()}
