"""How late it is at the exchange, measured: from the Date headers of the gateway's answers. Pure: readings come in.

The age of a quote decides about entries (F-NET-05, I7), and a clock of this machine that is slow makes every quote look
young. So age is not told by our wall clock, and no allowance for clocks that differ is taken off either, which would
let quotes pass that are as much too old. Each answer bounds the gateway's time, and the latest time that all of them
allow is the one by which quotes are judged: the error is on the side of too old, one second and the way of the answer
after the first one, less with every other (the method of Cristian, "Probabilistic clock synchronization", 1989: the
truth lies in the intersection of the bounds).

Where answers contradict each other the gateway's clock was moved, or one of them is not its own and not of now: a
stored answer of a proxy, a machine of the gateway's that is behind. A later time counts at once. An earlier one, by
which quotes would look younger, counts when the next answer agrees with it.
"""

from dataclasses import dataclass

from tbot.domain.clock import BrokerDate
from tbot.engine.clocks import NS_PER_S, SKEW_NS

DRIFT = 10_000  # a boot clock may run wrong by one part of so many: twice what a poor crystal does


@dataclass(frozen=True, slots=True)
class _Bounds:
    """Between what exchange time minus boot time lies, ns, and the boot-clock reading at which it was so."""

    low_ns: int
    high_ns: int
    boot_ns: int

    @classmethod
    def of(cls, date: BrokerDate) -> "_Bounds":
        """Stamped between question and answer, and cut to the second."""
        return cls(date.date_ns - date.boot_ns, date.date_ns + NS_PER_S - date.asked_ns, date.boot_ns)

    def and_then(self, new: "_Bounds") -> "_Bounds | None":
        """What both allow, when `new` was read; None: they contradict each other."""
        drift_ns = abs(new.boot_ns - self.boot_ns) // DRIFT
        low_ns, high_ns = max(new.low_ns, self.low_ns - drift_ns), min(new.high_ns, self.high_ns + drift_ns)
        return _Bounds(low_ns, high_ns, new.boot_ns) if low_ns <= high_ns else None


class ExchangeTime:
    """`heard` with every Date header; `latest` for the time."""

    def __init__(self) -> None:
        self._date: BrokerDate | None = None  # newest
        self._bounds: _Bounds | None = None
        self._earlier: BrokerDate | None = None  # the newest, while nothing has confirmed its earlier time

    @property
    def measured(self) -> bool:
        """There was a Date header."""
        return self._bounds is not None

    def heard(self, date: BrokerDate | None) -> None:
        """Fold one Date header; the same one again says nothing new."""
        if date is None or date == self._date:
            return
        self._date, new, known = date, _Bounds.of(date), self._bounds
        both = new if known is None else known.and_then(new)
        if both is None and known is not None and new.high_ns < known.high_ns:
            first, self._earlier = self._earlier, date
            if first is None or first.date_ns == date.date_ns:  # one stored answer confirms nothing
                return
            both = _Bounds.of(first).and_then(new)
            if both is None:
                return
        self._bounds, self._earlier = both or new, None

    def latest(self, boot_ns: int, own_ns: int) -> int:
        """The latest that it can be at the exchange, at a boot-clock reading. `own_ns`: what we take it for.

        Nothing measured yet: our own clock may be slow by as much as passes without a warning (C_SKEW_MAX), so that
        much is added, and a quote is good for an entry only in its first second.
        """
        return own_ns + SKEW_NS if self._bounds is None else boot_ns + self._bounds.high_ns
