"""How late it is at the exchange, measured: from the Date headers of the gateway's answers. Pure: readings come in.

The age of a quote decides about entries (F-NET-05, I7), and a clock of this machine that is slow makes every quote look
young. So age is not told by our wall clock, and no allowance for clocks that differ is taken off either, which would
let quotes pass that are as much too old. Each answer bounds the gateway's time, and the latest time that all of them
allow is the one by which quotes are judged: the error is on the side of too old, one second and the way of the answer
after the first one, less with every other (the method of Cristian, "Probabilistic clock synchronization", 1989: the
truth lies in the intersection of the bounds).
"""

from tbot.domain.clock import BrokerDate
from tbot.engine.clocks import NS_PER_S, SKEW_NS

DRIFT = 10_000  # a boot clock may run wrong by one part of so many: twice what a poor crystal does


class ExchangeTime:
    """`heard` with every Date header; `latest` for the time. Offsets are exchange time minus boot time, ns."""

    def __init__(self) -> None:
        self._low_ns = self._high_ns = 0
        self._date: BrokerDate | None = None

    @property
    def measured(self) -> bool:
        """There was a Date header."""
        return self._date is not None

    def heard(self, date: BrokerDate | None) -> None:
        """Fold one Date header; the same one again says nothing new."""
        if date is None or date == self._date:
            return
        # Stamped between question and answer, and cut to the second.
        low_ns, high_ns = date.date_ns - date.boot_ns, date.date_ns + NS_PER_S - date.asked_ns
        if self._date is not None:
            drift_ns = abs(date.boot_ns - self._date.boot_ns) // DRIFT
            both = max(low_ns, self._low_ns - drift_ns), min(high_ns, self._high_ns + drift_ns)
            if both[0] <= both[1]:  # else the gateway's clock was moved: what it says now counts
                low_ns, high_ns = both
        self._low_ns, self._high_ns, self._date = low_ns, high_ns, date

    def latest(self, boot_ns: int, own_ns: int) -> int:
        """The latest that it can be at the exchange, at a boot-clock reading. `own_ns`: what we take it for.

        Nothing measured yet: our own clock may be slow by as much as passes without a warning (C_SKEW_MAX), so that
        much is added, and a quote is good for an entry only in its first second.
        """
        return own_ns + SKEW_NS if self._date is None else boot_ns + self._high_ns
