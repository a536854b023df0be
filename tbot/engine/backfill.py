"""History bars for the workers: the feed downloads them, lays them into the contract's segment and says so in the ring.

Start-up rule of smc.md section 1: the bucket in which the subscription became active is incomplete in the tick stream,
so it is downloaded too, after it is over plus two seconds; later buckets come from ticks. After a reconnect the same,
with every bucket since the last good one.

A minute without a bar may be a minute without a trade or a hole, and one answer cannot tell (F-DAT-07). So an answer
with missing minutes is asked for again; the answers are joined; what is missing in two of them counts as quiet, unless
ticks of that minute were seen or the answer itself had bars that could not be read. A bar set that keeps such a hole is
not used across it: only what follows the hole is.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from tbot.domain.contracts import Product
from tbot.domain.timeframes import NS_PER_MIN, NS_PER_S, bar_start_ns
from tbot.gateway.codec_domain import bars_array
from tbot.gateway.rest import RestClient
from tbot_ext.records import NO_PRICE, Kind

SETTLE_NS = 2 * NS_PER_S
DAY_NS = 24 * 60 * NS_PER_MIN

Bars = npt.NDArray[np.void]


@dataclass
class Request:
    """Bars that a contract needs: from `since_ns` up to `through_ns` (market time, UTC ns)."""

    since_ns: int
    through_ns: int

    @property
    def due_ns(self) -> int:
        """Market time from which the last bucket is surely complete at the gateway."""
        return self.through_ns + SETTLE_NS


def start_request(now_ns: int, days: int) -> Request:
    """What to download after the first subscription at market time `now_ns`."""
    through = bar_start_ns(now_ns, 1) + NS_PER_MIN
    return Request(through - days * DAY_NS, through)


def gap_request(now_ns: int, last_good_ns: int) -> Request:
    """What to download after a reconnect at `now_ns`; `last_good_ns` is the start of the last bar known to be whole."""
    return Request(last_good_ns, bar_start_ns(now_ns, 1) + NS_PER_MIN)


class HistoryWriter(Protocol):
    """What `announce` needs of a ring's writer."""

    def push(
        self, kind: int, exch_ns: int, recv_ns: int, price: int, price2: int = 0, size: int = 0, /
    ) -> int: ...


class HistorySegment:
    """Writer's view of a contract's history bars: a circular array with absolute positions."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._written = 0

    def put(self, bars: Bars) -> tuple[int, int]:
        """Lay bars down, oldest first; returns (absolute position of the first, count). More than fit: the newest."""
        capacity = len(self._bars)
        bars = bars[-capacity:]
        start = self._written
        self._bars[(start + np.arange(len(bars))) % capacity] = bars
        self._written += len(bars)
        return start, len(bars)


class Download(NamedTuple):
    """One answer: bars oldest first, or None and why not."""

    bars: Bars | None
    problem: str = ""
    dropped: int = 0  # bars that could not be read or lie off the grid: there is a hole somewhere


def download(rest: RestClient, broker_id: str, product: Product, request: Request) -> Download:
    """The bars of a stretch; when it is longer than one answer, the newest ones."""
    answer = rest.retrieve_bars(broker_id, request.since_ns, request.through_ns)
    if not answer.ok or answer.value is None:
        return Download(None, answer.text or answer.outcome)
    bars, refused = bars_array(answer.value, product, 1)
    inside = (bars["start_ns"] >= request.since_ns) & (bars["start_ns"] < request.through_ns)
    return Download(bars[inside], "", answer.dropped + refused)


RELOOK_S = (0.25, 1.0, 2.0, 4.0, 8.0)  # before the next look at a stretch with missing minutes
SLOW_RELOOK_S = 60.0
LEAST_BARS = 30  # fewer behind a hole are no history to trade on


@dataclass
class HoleCheck:
    """Joins the answers to one request until the bar set is whole. Pure: who asks, and when, is the owner's affair.

    `lead`: the stretch follows a bar that is known, so minutes missing at its beginning count, too.
    """

    request: Request
    lead: bool
    looks: int = 0
    missing: frozenset[int] = frozenset()  # starts of open minutes that no answer had
    unresolved: frozenset[int] = frozenset()  # of these, the ones that may not count as quiet
    _bars: Bars | None = field(default=None, repr=False)

    def add(self, answer: Download, seen: Collection[int], is_open: Callable[[int], bool]) -> Bars | None:
        """Take in an answer; the whole bar set when it is one, else None: look again after `pause_s`.

        `seen`: starts of minutes of which ticks came. `is_open`: whether the market trades in the minute that starts.
        """
        assert answer.bars is not None
        bars = answer.bars if self._bars is None else np.concatenate((answer.bars, self._bars))
        _, places = np.unique(bars["start_ns"], return_index=True)  # of two for one minute the newest answer's
        self._bars = bars = bars[places]
        before, first = self.missing, self.looks == 0
        self.looks += 1
        self.missing = frozenset(missing_minutes(bars, self.request, is_open, self.lead))
        if answer.dropped:
            self.unresolved = self.missing
        elif first:
            self.unresolved = self.missing  # one answer is no proof of anything
        else:
            self.unresolved = (self.missing - before) | (self.missing & frozenset(seen))
        return None if self.unresolved else bars

    @property
    def pause_s(self) -> float:
        """Real seconds until the next look."""
        return RELOOK_S[self.looks - 1] if 0 < self.looks <= len(RELOOK_S) else SLOW_RELOOK_S

    @property
    def stubborn(self) -> bool:
        """The hole has outlasted every quick look."""
        return self.looks > len(RELOOK_S)

    def behind_hole(self) -> Bars | None:
        """What follows the last unresolved minute; None when that is too little."""
        if self._bars is None or not self.unresolved:
            return None
        rest = self._bars[self._bars["start_ns"] > max(self.unresolved)]
        return rest if len(rest) >= LEAST_BARS else None


def missing_minutes(bars: Bars, request: Request, is_open: Callable[[int], bool], lead: bool) -> list[int]:
    """Starts of the minutes of a stretch in which the market trades and for which there is no bar."""
    starts = bars["start_ns"]
    since = request.since_ns if lead or not len(starts) else int(starts[0])
    since = bar_start_ns(since + NS_PER_MIN - 1, 1)
    minutes = np.arange(since, request.through_ns, NS_PER_MIN, dtype=np.int64)
    absent = minutes[~np.isin(minutes, starts)]
    return [start for start in absent.tolist() if is_open(start)]


def announce(writer: HistoryWriter, position: tuple[int, int], through_ns: int, recv_ns: int) -> None:
    """Tell the ring's readers that history up to `through_ns` lies in the segment."""
    start, count = position
    writer.push(int(Kind.HISTORY), through_ns, recv_ns, NO_PRICE, start, count)
