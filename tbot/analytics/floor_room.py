"""How far each account was from the firm's loss floor over time: balances and fills of the journal, folded into the
engine's own book of the floor (risk/floor.py), so that report and engine have one rule for it.

Closed trades alone count: what open positions were worth in between is not in the journal. The floor moves when a
trading day ends. What a run knew of days before it stands in its first row.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import msgspec

from tbot.analytics.journal_records import Heard, Records, RunSpan
from tbot.analytics.period import Period
from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import Fill
from tbot.domain.trading_hours import CHICAGO, SESSION_OPEN, to_ns, trading_day
from tbot.errors import ConfigError
from tbot.risk.firm import FirmRules
from tbot.risk.floor import FloorBook
from tbot.risk.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Point:
    """Where an account stood from a moment on; money in cents."""

    at_ns: int
    balance_cents: int
    floor_cents: int

    @property
    def room_cents(self) -> int:
        return self.balance_cents - self.floor_cents


@dataclass(frozen=True, slots=True)
class FloorLine:
    """One account through the period. `points` in order of time, at least one."""

    account: int
    max_loss_cents: int  # distance of the floor from the highest closing balance
    lock_cents: int  # room at which T-BOT flattens and locks
    points: tuple[Point, ...]

    @property
    def least(self) -> Point:
        """Nearest to the floor; the first such moment."""
        return min(self.points, key=lambda point: (point.room_cents, point.at_ns))


@dataclass(slots=True)
class _Fold:
    """One account in one run."""

    book: FloorBook
    carried: Sequence[tuple[str, int]]
    today: date
    ledger: Ledger = field(default_factory=lambda: Ledger(PRODUCTS, trading_day))
    balance_cents: int | None = None

    def __post_init__(self) -> None:
        self.book.carry(self.carried, self.today.isoformat())

    def hear(self, heard: Heard) -> None:
        """Fills of days before the run come in its first list and move no day."""
        item = heard.item
        self.go_to(trading_day(item.now_ns))
        if isinstance(item, Fill):
            self.ledger.add(item)
            return
        self.balance_cents = item.balance_cents
        if heard.settled or not self.book.known:
            self.book.rebuild(item.balance_cents, self.ledger.nets(), self.today)

    def go_to(self, day: date) -> int:
        """A later day ends the one that it was; when that ended, or would have."""
        ended_ns = to_ns(self.today, SESSION_OPEN, CHICAGO)
        if day > self.today:
            self.book.end_day(self.today, self.ledger.nets().get(self.today, 0), self.balance_cents)
            self.today = day
        return ended_ns

    def point(self, at_ns: int) -> Point | None:
        """None before the first balance."""
        return None if self.balance_cents is None else Point(at_ns, self.balance_cents, self.book.floor_cents)


def floor_lines(records: Records, period: Period) -> tuple[FloorLine, ...]:
    """One line for each account with rules of the firm of which a balance is known in the period, by its number."""
    points: dict[int, list[Point]] = {}
    rules: dict[int, FirmRules] = {}
    for place, span in enumerate(records.spans):
        if span.last_ns < period.from_ns or span.info.started_ns >= period.until_ns:
            continue
        items = [heard for heard in records.money if heard.run == place]
        for account, fold in _folds(span).items():
            mine = [heard for heard in items if heard.item.account == account]
            found = _points(fold, mine, span, period)
            if found:
                points.setdefault(account, []).extend(found)
                rules[account] = fold.book.rules
    return tuple(
        FloorLine(account, rules[account].max_loss_cents, rules[account].lock_above_floor_cents, tuple(points[account]))
        for account in sorted(points)
    )


def _points(fold: _Fold, items: Sequence[Heard], span: RunSpan, period: Period) -> list[Point]:
    """What changed in the period, how it stood when period or run began, and how it stood at the end."""
    found: list[Point] = []

    def note(at_ns: int, *, always: bool = False) -> None:
        point = fold.point(max(at_ns, found[-1].at_ns if found else 0))  # a late word moves no time back
        if point is not None and (always or not found or not _stands(found[-1], point)):
            found.append(point)

    end_ns = min(span.last_ns, period.until_ns - 1)
    for heard in items:
        now_ns = heard.item.now_ns
        if period.holds(now_ns):
            if not found:
                fold.go_to(period.first)
                note(period.from_ns)
            note(fold.go_to(trading_day(now_ns)))  # that is when the floor moved
        fold.hear(heard)
        if period.holds(now_ns):
            note(now_ns)
    if not found:
        fold.go_to(period.first)
        note(period.from_ns)
    if found:
        note(fold.go_to(trading_day(end_ns)))
    if found and found[-1].at_ns < end_ns:
        note(end_ns, always=True)
    return found


def _stands(one: Point, other: Point) -> bool:
    return (one.balance_cents, one.floor_cents) == (other.balance_cents, other.floor_cents)


def _folds(span: RunSpan) -> dict[int, _Fold]:
    """A fold for each account of a run that has rules of the firm; of a run of another version as much as is clear."""
    found: dict[int, _Fold] = {}
    try:
        accounts = json.loads(span.info.desk or "{}").get("accounts", ())
        for told in accounts:
            if told.get("rules"):
                found[int(told["account"])] = _fold(told, span.info.started_ns)
    except (ValueError, KeyError, TypeError, AttributeError, ConfigError, msgspec.MsgspecError):
        return found
    return found


def _fold(told: dict[str, Any], started_ns: int) -> _Fold:
    closings = [(str(day), int(cents)) for day, cents in (told.get("carried") or {}).get("closings", ())]
    book = FloorBook(msgspec.convert(told["rules"], FirmRules), str(told.get("since") or ""), told.get("floor_cents"))
    return _Fold(book, closings, trading_day(started_ns))
