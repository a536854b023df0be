"""History bars for the workers: the feed downloads them, lays them into the contract's segment and says so in the ring.

Start-up rule of smc.md section 1: the bucket in which the subscription became active is incomplete in the tick stream,
so it is downloaded too, after it is over plus two seconds; later buckets come from ticks. After a reconnect the same,
with every bucket since the last good one.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tbot.domain.contracts import Product
from tbot.domain.timeframes import NS_PER_MIN, NS_PER_S, bar_start_ns
from tbot.gateway.codec_domain import bars_array
from tbot.gateway.rest import RestClient
from tbot_ext.records import NO_PRICE, Kind
from tbot_ext.ring import RingWriter

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


def download(rest: RestClient, broker_id: str, product: Product, request: Request) -> tuple[Bars | None, str]:
    """(bars oldest first, "") or (None, why not). Of a stretch longer than one answer: the newest bars."""
    answer = rest.retrieve_bars(broker_id, request.since_ns, request.through_ns)
    if not answer.ok or answer.value is None:
        return None, answer.text or answer.outcome
    bars, refused = bars_array(answer.value, product, 1)
    if refused:
        return None, f"{refused} history bars are not valid"
    inside = (bars["start_ns"] >= request.since_ns) & (bars["start_ns"] < request.through_ns)
    return bars[inside], ""


def announce(writer: RingWriter, position: tuple[int, int], through_ns: int, recv_ns: int) -> None:
    """Tell the ring's readers that history up to `through_ns` lies in the segment."""
    start, count = position
    writer.push(int(Kind.HISTORY), through_ns, recv_ns, NO_PRICE, start, count)
