"""A row of the journal in plain words: one line that a person can read without knowing the schema."""

from collections.abc import Callable
from typing import Any

from tbot.domain import messages as m
from tbot.domain.contracts import PRODUCTS
from tbot.domain.words import CLOSED, plural


def words(item: Any) -> str:
    """What an input or output says, in one line; the class name and its fields for one without words here.

    Characters that a terminal would obey are left out: some texts come from the broker (F-SEC-05).
    """
    say = _WORDS.get(type(item))
    text = repr(item) if say is None else say(item)
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def price(contract: str, ticks: int | None) -> str:
    """`25104.25`; ticks as they are when the contract is not in the table."""
    if ticks is None:
        return "none"
    return PRODUCTS[contract].format(ticks) if contract in PRODUCTS else f"{ticks} ticks"


def _side(side: int) -> str:
    return "buy" if side > 0 else "sell"


def _usd(cents: int) -> str:
    return f"{cents / 100:,.2f} USD"


def _signal(item: m.SignalIn) -> str:
    signal = item.signal
    way = "long" if signal.side > 0 else "short"
    return (
        f"signal {signal.signal_id}: {way} {signal.contract}, stop {price(signal.contract, signal.stop)}, target "
        f"{price(signal.contract, signal.target)}, score {signal.score:.1f}, {item.age_ns / 1e6:.1f} ms old"
    )


def _timer(item: m.TimerIn) -> str:
    quotes = (f"{name} {price(name, quote.bid)}/{price(name, quote.ask)}" for name, quote in item.quotes.items())
    return f"time: {', '.join(quotes) or 'no prices yet'}"


def _result(item: m.CommandResult) -> str:
    order = "" if item.order_id is None else f", order {item.order_id}"
    return f"command {item.command_id}: {item.outcome.replace('_', ' ')}{order}{f': {item.text}' if item.text else ''}"


def _order(item: m.OrderUpdate) -> str:
    at = [f"{name} {price(item.contract, ticks)}" for name, ticks in (("limit", item.limit), ("stop", item.stop))
          if ticks is not None]  # fmt: skip
    place = f" at {', '.join(at)}" if at else ""
    return (
        f"order {item.order_id}: {item.order_type} {_side(item.side)} {item.size} {item.contract}{place}, "
        f"{item.status}, {item.filled} filled"
    )


def _fill(item: m.Fill) -> str:
    costs = item.fees_cents + item.commission_cents
    return (
        f"fill {item.fill_id} of order {item.order_id}: {_side(item.side)} {item.size} {item.contract} at "
        f"{price(item.contract, item.price)}, costs {_usd(costs)}{', voided' if item.voided else ''}"
    )


def _position(item: m.PositionUpdate) -> str:
    return f"position of {item.contract}: {item.size:+d}"


def _account(item: m.AccountUpdate) -> str:
    return f"account {item.name}: {_usd(item.balance_cents)}, {'can' if item.can_trade else 'cannot'} trade"


def _snapshot(item: m.Snapshot) -> str:
    state = "all lists proven" if item.complete else f"not proven: {item.text or 'a list is missing'}"
    return (
        f"broker's answer to {item.command_id}: {plural(len(item.orders), 'order')}, "
        f"{plural(len(item.positions), 'position')}, {plural(len(item.fills), 'fill')}, {state}"
    )


def _feed(item: m.FeedIn) -> str:
    return f"prices of {item.contract}: {item.state}{f', {item.reason}' if item.reason else ''}"


def _condition(item: m.ConditionIn) -> str:
    return f"condition {item.code}: {item.text or 'over'}"


def _operator(item: m.OperatorIn) -> str:
    whose = "all accounts" if item.account is None else f"account {item.account}"
    return f"operator: {item.verb}{f' {item.contract}' if item.contract else ''}, {whose}"


def _bracket(item: m.PlaceBracket) -> str:
    return (
        f"place {item.command_id}: market {_side(item.side)} {item.size} {item.contract}, stop {item.stop_offset:+d} "
        f"and target {item.target_offset:+d} ticks from the fill, tag {item.tag}"
    )


def _stop(item: m.PlaceStop) -> str:
    at = price(item.contract, item.stop)
    return f"place {item.command_id}: stop, {_side(item.side)} {item.size} {item.contract} at {at}, tag {item.tag}"


def _target(item: m.PlaceTarget) -> str:
    at = price(item.contract, item.limit)
    return f"place {item.command_id}: target, {_side(item.side)} {item.size} {item.contract} at {at}, tag {item.tag}"


def _exit(item: m.PlaceExit) -> str:
    return f"place {item.command_id}: market exit, {_side(item.side)} {item.size} {item.contract}, tag {item.tag}"


def _modify(item: m.ModifyStop) -> str:
    size = "" if item.size is None else f", size {item.size}"
    return f"move {item.command_id}: stop of order {item.order_id} to {price(item.contract, item.stop)}{size}"


def _cancel(item: m.CancelOrder) -> str:
    return f"cancel {item.command_id}: order {item.order_id} in {item.contract}"


def _close(item: m.CloseContract) -> str:
    return f"close {item.command_id}: all of {item.contract}, because {item.reason}"


def _query(item: m.Query) -> str:
    return f"ask {item.command_id}: orders, positions and fills of the broker"


def _intent(item: m.Intent) -> str:
    way = "long" if item.side > 0 else "short"
    return (
        f"approved {item.signal_id}: {way} {item.size} {item.contract}, stop {item.stop_ticks} and target "
        f"{item.target_ticks} ticks away, worst case {_usd(item.risk_cents)}, tag {item.tag}"
    )


def _denial(item: m.Denial) -> str:
    return f"denied {item.signal_id}: {item.text} ({item.reason})"


def _state(item: m.StateChange) -> str:
    codes = f" ({' '.join(item.reasons)})" if item.reasons else ""
    return f"{item.state}: {item.text}{codes}"


def _barred(item: m.Barred) -> str:
    return f"no {item.contract} entries for the rest of the day: {item.text} ({item.code})"


def _trip(item: m.RoundTrip) -> str:
    way = "long" if item.side > 0 else "short"
    return f"round trip {way} {item.size} {item.contract} closed {CLOSED[item.exit_reason]}: net {_usd(item.net_cents)}"


_WORDS: dict[type, Callable[[Any], str]] = {
    m.SignalIn: _signal,
    m.TimerIn: _timer,
    m.ConditionIn: _condition,
    m.FeedIn: _feed,
    m.OperatorIn: _operator,
    m.CommandResult: _result,
    m.OrderUpdate: _order,
    m.Fill: _fill,
    m.PositionUpdate: _position,
    m.AccountUpdate: _account,
    m.Snapshot: _snapshot,
    m.PlaceBracket: _bracket,
    m.PlaceStop: _stop,
    m.PlaceTarget: _target,
    m.PlaceExit: _exit,
    m.ModifyStop: _modify,
    m.CancelOrder: _cancel,
    m.CloseContract: _close,
    m.Query: _query,
    m.Intent: _intent,
    m.Denial: _denial,
    m.StateChange: _state,
    m.Barred: _barred,
    m.RoundTrip: _trip,
}
