"""The firm's loss floor with its end-of-day ratchet, and what else its past days decide (topstep-rules.md 2.1, 2.3).

    floor = min(S, H - D)     S start balance, D loss limit, H highest closing balance of a trading day so far (>= S)

H moves only when a trading day ends, and never down; so the floor stops for good once it reaches S. The gateway tells
none of this, so it is worked out from two witnesses, and the higher H of the two counts:

* balance and fills: the closing balance of a past day is the balance now minus the results since. That needs no
  complete history, only one without a hole: it is exact as far back as the fills reach.
* the balances told at the end of days, which the journal carried here.

The owner may state the floor that the firm's dashboard shows; the higher floor counts. Money that moves without a trade
(a payout) lowers what the first witness says of earlier days: the second, and the stated floor, hold against it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise

from tbot.risk.firm import FirmRules


@dataclass(slots=True)
class FloorBook:
    """Past trading days of one account. Days are ISO dates, money is cents.

    `since` is the first day of the account's present life (bought, or reset): what was before does not count. ""
    takes all. `stated_cents` is the floor by the owner's word.
    """

    rules: FirmRules
    since: str = ""
    stated_cents: int | None = None
    closings: dict[str, int] = field(default_factory=dict)  # as told when each day ended
    nets: dict[str, int] = field(default_factory=dict)  # of past days, by fills
    opening_cents: int | None = None  # closing balance of the day before today; None: nothing is known yet
    rebuilt_cents: int | None = None  # highest closing balance by balance and fills
    high_cents: int = 0  # H
    past_best_cents: int = 0  # largest net result of a past day; 0: none was won
    traded_days: int = 0  # past days with a fill, or with another closing balance than the day before

    def __post_init__(self) -> None:
        self._sum_up()

    def carry(self, closings: Iterable[tuple[str, int]], today: str) -> None:
        """Closing balances that earlier runs saw. That of today is none yet."""
        self.closings.update({day: cents for day, cents in closings if self.since <= day < today})
        self._sum_up()

    def rebuild(self, balance_cents: int, nets: Mapping[date, int], today: date) -> None:
        """From the balance and the net results by day that led to it: all of today, and of past days without a hole.

        Replaces what was rebuilt before: a fill that the balance did not know yet does no lasting harm.
        """
        by_day = {day.isoformat(): net for day, net in nets.items()}
        now = today.isoformat()
        self.opening_cents = closing = balance_cents - by_day.get(now, 0)
        self.nets = {day: by_day[day] for day in sorted(by_day) if self.since <= day < now}
        highest = closing
        for day in reversed(self.nets):
            highest = max(highest, closing)
            closing -= self.nets[day]
        # What is left is the closing balance before the oldest day known; in a younger life it is the start balance.
        self.rebuilt_cents = highest if self.since else max(highest, closing)
        self._sum_up()

    def end_day(self, day: date, net_cents: int, balance_cents: int | None) -> None:
        """Trading day `day` is over: its realised net, and the last balance that was told in it."""
        name = day.isoformat()
        if self.opening_cents is not None:
            self.opening_cents += net_cents
            if net_cents:
                self.nets[name] = net_cents
        if balance_cents is not None and name >= self.since:
            self.closings[name] = balance_cents
        self._sum_up()

    def _sum_up(self) -> None:
        """What follows from past days; asked for at every input, so it is worked out only when they change."""
        told = [value for value in (self.opening_cents, self.rebuilt_cents) if value is not None]
        self.high_cents = max([self.rules.start_cents, *self.closings.values(), *told])
        days = sorted(self.closings)
        changes = {after: self.closings[after] - self.closings[before] for before, after in pairwise(days)}
        # Where days are missing between two closing balances, the change is of all of them together: too large, which
        # asks for more profit and never for less. A day that fills tell counts by its fills.
        self.past_best_cents = max([0, *({**changes, **self.nets}).values()])
        self.traded_days = len({day for day, change in changes.items() if change} | set(self.nets))

    # ------------------------------------------------------------------------------------------------ questions
    @property
    def known(self) -> bool:
        """Whether the past days have been read."""
        return self.opening_cents is not None

    @property
    def floor_cents(self) -> int:
        """At this equity the firm closes the account."""
        floor = self.rules.floor_of(self.high_cents)
        return floor if self.stated_cents is None else max(floor, self.stated_cents)

    def best_day_cents(self, today_cents: int) -> int:
        """Largest net result of one trading day, today's so far included; 0 when no day was won."""
        return max(self.past_best_cents, today_cents)
