"""What a third-party client saw, held against the simulator's own word and against another subscriber."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from interop_rig import Gateway, Witness, eventually, position_of

DOM_ASK, DOM_BID, DOM_BEST_ASK, DOM_BEST_BID, DOM_RESET, DOM_NEW_BEST_BID, DOM_NEW_BEST_ASK = 1, 2, 3, 4, 6, 9, 10
FILLED, CANCELLED, REJECTED = 2, 3, 5
TERMINAL = {2, 3, 4, 5}


def check_stream(part: list[Any], witness: Witness, kind: str, least: int) -> None:
    """A run of events of one kind is a gapless piece of what the witness got, and long enough to mean something."""
    assert len(part) >= least, (kind, len(part))
    eventually(
        lambda: position_of(part, list(witness.events[kind])) >= 0, f"{len(part)} {kind} events as another saw them"
    )


def check_prints(part: list[dict[str, Any]], witness: Witness, least: int) -> None:
    """The same for single prints, for clients that take the arrays apart and decode them."""
    assert len(part) >= least, len(part)
    wanted = [_print(entry) for entry in part]

    def there() -> bool:
        return position_of(wanted, [_print(entry) for entry in witness.prints()]) >= 0

    eventually(there, f"{len(part)} prints as another saw them")


def _print(entry: dict[str, Any]) -> tuple[Any, ...]:
    return entry["symbolId"], entry["price"], entry["volume"], entry["type"], _tenths(entry["timestamp"])


def check_quotes(part: list[dict[str, Any]], witness: Witness, least: int) -> None:
    """Decoded quotes; the first is the snapshot of the subscription. Members a client does not know are left out."""
    assert len(part) >= least, len(part)
    known = {name for quote in part for name in quote}
    wanted = [_quote(quote, known) for quote in part[1:]]

    def there() -> bool:
        seen = [_quote(quote, known) for _, quote in list(witness.events["GatewayQuote"])]
        return position_of(wanted, seen) >= 0

    eventually(there, f"{len(part)} quotes as another saw them")
    assert known >= {"bestBid", "bestAsk", "lastPrice", "symbol", "lastUpdated"}
    at = position_of(wanted, [_quote(quote, known) for _, quote in list(witness.events["GatewayQuote"])])
    others = [quote for _, quote in witness.events["GatewayQuote"][at : at + len(wanted)]]
    for ours, theirs in zip(part[1:], others, strict=True):
        assert_same_time(ours["lastUpdated"], theirs["lastUpdated"])


def _quote(quote: dict[str, Any], known: set[str]) -> dict[str, Any]:
    return {name: value for name, value in quote.items() if name in known and name not in ("lastUpdated", "timestamp")}


def check_market(events: dict[str, list[Any]], witness: Witness, least: int) -> None:
    """Trades and quotes arrived whole, in order, unchanged. The first quote is the snapshot of the subscription."""
    check_stream(events["GatewayTrade"], witness, "GatewayTrade", least)
    check_stream(events["GatewayQuote"][1:], witness, "GatewayQuote", least // 2)
    if witness.events["GatewayDepth"]:
        check_stream(events["GatewayDepth"][1:], witness, "GatewayDepth", least // 2)
        check_book([rows for _, rows in events["GatewayDepth"]])


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


def check_book(messages: list[list[dict[str, Any]]]) -> None:
    """A book built row by row never crosses after a message, and has two sides; it begins with a reset.

    One side may be empty on the way: a subscription can come before the first quote.
    """
    bids: dict[float, int] = {}
    asks: dict[float, int] = {}
    sides = {DOM_ASK: asks, DOM_BEST_ASK: asks, DOM_NEW_BEST_ASK: asks}
    sides |= {DOM_BID: bids, DOM_BEST_BID: bids, DOM_NEW_BEST_BID: bids}
    assert messages[0][0]["type"] == DOM_RESET
    for rows in messages:
        for row in rows:
            if row["type"] == DOM_RESET:
                bids.clear()
                asks.clear()
            elif row["type"] in sides:
                side = sides[row["type"]]
                side.pop(row["price"], None)
                if row["volume"] > 0:
                    side[row["price"]] = row["volume"]
        assert not bids or not asks or max(bids) < min(asks), rows
    assert bids
    assert asks


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


def assert_same(hub: list[dict[str, Any]], rest: list[dict[str, Any]]) -> None:
    """Hubs leave null members out and write 7 fractional digits, REST at most 6: the same records all the same."""
    for ours, theirs in zip(hub, rest, strict=True):
        told = {name: value for name, value in theirs.items() if value is not None}
        times = {name for name in told if name.endswith("Timestamp")}
        assert ours.keys() == told.keys()
        assert {name: ours[name] for name in ours.keys() - times} == {name: told[name] for name in told.keys() - times}
        for name in times:
            assert_same_time(ours[name], told[name])


def assert_same_time(left: str, right: str) -> None:
    """Within a microsecond: some round the seventh digit, some cut it."""
    assert abs(_tenths(left) - _tenths(right)) <= 10, (left, right)


def _tenths(text: str) -> int:
    """Tenths of microseconds of a time as the wire writes it."""
    whole, _, fraction = text.replace("Z", "+00:00").removesuffix("+00:00").partition(".")
    assert len(whole) == 19, text
    seconds = int(datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp())
    return seconds * 10**7 + int(f"{fraction:0<7}")


def check_user_events(
    events: dict[str, list[dict[str, Any]]], gateway: Gateway, account: int, sizes: Sequence[int] = (2, 1, 0)
) -> None:
    """The last event of everything is the state that REST tells; every fill came once. Events without envelope."""
    last: dict[int, dict[str, Any]] = {}
    for order in events["GatewayUserOrder"]:
        assert order["id"] not in last or last[order["id"]]["status"] not in TERMINAL, "an event after the end"
        last[order["id"]] = order
    told = gateway.orders(account)
    assert last.keys() == {order["id"] for order in told}
    assert_same([last[order["id"]] for order in told], told)
    fills = sorted(events["GatewayUserTrade"], key=lambda trade: trade["id"])
    assert_same(fills, gateway.trades(account))
    positions = events["GatewayUserPosition"]
    assert [position["size"] for position in positions] == list(sizes)
    assert [position["type"] for position in positions] == [1 if size else 0 for size in sizes]
    balances = [record for record in events["GatewayUserAccount"] if record["id"] == account]
    assert balances[-1] == next(record for record in gateway.accounts() if record["id"] == account)


def unwrap(events: dict[str, list[Any]]) -> dict[str, list[dict[str, Any]]]:
    """User events as the wire has them, `[{action, data}]`, without their envelopes."""
    for kind, batch in events.items():
        for arguments in batch:
            assert len(arguments) == 1, (kind, arguments)
            assert set(arguments[0]) == {"action", "data"}, (kind, arguments)
    return {kind: [arguments[0]["data"] for arguments in batch] for kind, batch in events.items()}
