"""Results by group: pattern, hour, weekday, contract, side, news, dollar, time held, exit, account."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from tbot.analytics import round_trips as of
from tbot.analytics.metrics import wilson_share
from tbot.analytics.round_trips import Deal


@dataclass(frozen=True, slots=True)
class Dimension:
    """A way to sort trades. `order`: of labels that do not sort by their names."""

    key: str
    title: str
    label: Callable[[Deal], str]
    order: tuple[str, ...] = ()


DIMENSIONS = (
    Dimension("pattern", "By pattern and timeframe", of.pattern),
    Dimension("hour", "By hour of entry (Chicago)", of.hour),
    Dimension("weekday", "By weekday", of.weekday, of.WEEKDAYS),
    Dimension("contract", "By contract", of.contract),
    Dimension("side", "By side", of.side),
    Dimension("held", "By time held", of.held, of.HELD_ORDER),
    Dimension("news", "By scheduled news at the signal", of.news),
    Dimension("dollar", "By the dollar index at the signal", of.dollar),
    Dimension("exit", "By exit", of.exit_kind),
    Dimension("account", "By account", of.account),
)


@dataclass(frozen=True, slots=True)
class GroupLine:
    """What the trades of one group add up to; None where a figure is not defined."""

    label: str
    n: int
    wins: int
    losses: int
    net_cents: int
    won_cents: int
    lost_cents: int  # positive
    win_low: float  # 95 % interval of the win rate (Wilson)
    win_high: float
    r: float | None  # average, of trades whose approved risk is known

    @property
    def win_rate(self) -> Fraction:
        return Fraction(self.wins, self.n)

    @property
    def average_cents(self) -> Fraction:
        return Fraction(self.net_cents, self.n)

    @property
    def profit_factor(self) -> Fraction | None:
        """None before the first loss."""
        return Fraction(self.won_cents, self.lost_cents) if self.lost_cents else None


def line(label: str, deals: Sequence[Deal]) -> GroupLine:
    """Of at least one trade."""
    nets = [deal.net_cents for deal in deals]
    wins = sum(net > 0 for net in nets)
    rs = [r for deal in deals if (r := deal.r) is not None]
    low, high = wilson_share(wins, len(nets))
    return GroupLine(
        label,
        len(nets),
        wins,
        sum(net < 0 for net in nets),
        sum(nets),
        sum(net for net in nets if net > 0),
        -sum(net for net in nets if net < 0),
        low,
        high,
        sum(rs) / len(rs) if rs else None,
    )


def groups(deals: Sequence[Deal], dimension: Dimension) -> list[GroupLine]:
    """One line for each label that occurs, in order."""
    found: dict[str, list[Deal]] = {}
    for deal in deals:
        found.setdefault(dimension.label(deal), []).append(deal)
    rank = {label: place for place, label in enumerate(dimension.order)}
    return [line(label, found[label]) for label in sorted(found, key=lambda label: (rank.get(label, 0), label))]


def breakdowns(deals: Sequence[Deal]) -> dict[str, list[GroupLine]]:
    """All dimensions by their keys."""
    return {dimension.key: groups(deals, dimension) for dimension in DIMENSIONS}
