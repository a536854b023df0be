"""Pipeline events written by hand: each call adds one event and returns its id.

Times are minutes after START; a bar number is its start minute divided by its timeframe, so both stay consistent.
"""

import numpy as np

from tbot.strategy.trader import MarketView
from tbot_ext.records import EVENT_DTYPE, EventCode, Flag

MINUTE_NS = 60_000_000_000
START_NS = 1_795_185_000_000_000_000  # 2026-11-20 14:30 UTC, a Friday
WARMUP = int(Flag.WARMUP)
BLANK: dict[str, object] = {name: (0.0,) * 5 if name == "parts" else 0 for name in EVENT_DTYPE.names or ()}


class EventBuilder:
    """Collects events; `take` hands them out as an array and starts the next batch. Ids go on."""

    def __init__(self, first_id: int = 1000) -> None:
        self._rows: list[dict[str, object]] = []
        self._next_id = first_id
        self.flags = 0  # added to every event

    def add(self, kind: EventCode, closes: float, tf: int = 1, flags: int = 0, **fields: object) -> int:
        """`closes`: minute at whose end the event is known. Returns its id."""
        event_id = self._next_id
        self._next_id += 1
        row = {
            "id": event_id,
            "parent_id": -1,
            "known_ns": START_NS + int(closes * MINUTE_NS),
            "known": int(closes // tf) - 1,
            "timeframe_min": tf,
            "flags": flags | self.flags,
            "kind": int(kind),
        }
        self._rows.append(row | fields)
        return event_id

    def bar(self, closes: float, high: int, low: int, close: int, tf: int = 1, flags: int = 0) -> int:
        return self.add(EventCode.BAR, closes, tf, flags, top=high, bottom=low, level=close)

    def quiet_bars(self, tf: int, until: float, count: int, high: int, low: int) -> None:
        """`count` equal bars that end at `until` and close in their middle: their ATR is high - low."""
        for number in range(count - 1, -1, -1):
            self.bar(until - number * tf, high, low, (high + low) // 2, tf)

    def order_block(self, closes: float, tf: int, side: int, bottom: int, top: int, score: float) -> int:
        return self.add(EventCode.OB, closes, tf, side=side, bottom=bottom, top=top, score=score)

    def gap(self, closes: float, tf: int, side: int, bottom: int, top: int, score: float) -> int:
        return self.add(EventCode.FVG, closes, tf, side=side, bottom=bottom, top=top, score=score)

    def life(self, kind: EventCode, closes: float, tf: int, parent: int, **fields: object) -> int:
        return self.add(kind, closes, tf, parent_id=parent, **fields)

    def choch(self, closes: float, side: int, tf: int = 1, flags: int = 0) -> int:
        return self.add(EventCode.CHOCH, closes, tf, flags, side=side)

    def bos(self, closes: float, side: int, tf: int = 1) -> int:
        return self.add(EventCode.BOS, closes, tf, side=side)

    def swing_high(self, closes: float, level: int, tf: int = 1) -> int:
        return self.add(EventCode.SWING_HIGH, closes, tf, level=level, side=1)

    def swing_low(self, closes: float, level: int, tf: int = 1) -> int:
        return self.add(EventCode.SWING_LOW, closes, tf, level=level, side=-1)

    def mss(self, closes: float, side: int, parent: int, tf: int = 1) -> int:
        return self.add(EventCode.MSS, closes, tf, side=side, parent_id=parent)

    def sweep(self, closes: float, side: int, bottom: int, top: int, tf: int = 1, **fields: object) -> int:
        """`side`: where it points; the band lies between the pool's level and the extreme of the excursion."""
        level = top if side > 0 else bottom
        return self.add(
            EventCode.SWEEP, closes, tf, **({"side": side, "bottom": bottom, "top": top, "level": level} | fields)
        )

    def pool(self, closes: float, side: int, level: int, tf: int = 5, **fields: object) -> int:
        """`side`: +1 above highs, -1 below lows."""
        return self.add(EventCode.POOL, closes, tf, **({"side": side, "level": level, "n": 1} | fields))

    def level(self, closes: float, role: int, level: int, tf: int = 5, **fields: object) -> int:
        """`role`: +1 support, -1 resistance."""
        return self.add(EventCode.LEVEL, closes, tf, **({"side": role, "level": level, "n": 2} | fields))

    def take(self) -> np.ndarray:
        """All events since the last call."""
        events = np.array([tuple((BLANK | row).values()) for row in self._rows], EVENT_DTYPE)
        self._rows = []
        return events


def mirrored(events: np.ndarray) -> np.ndarray:
    """The same market upside down: prices and sides change sign, highs and lows change places."""
    turned = events.copy()
    turned["top"], turned["bottom"] = -events["bottom"], -events["top"]
    turned["level"] = -events["level"]
    turned["side"] = -events["side"]
    high, low = events["kind"] == EventCode.SWING_HIGH, events["kind"] == EventCode.SWING_LOW
    turned["kind"][high] = EventCode.SWING_LOW
    turned["kind"][low] = EventCode.SWING_HIGH
    # Of a period: its source ends in 1 for the high, in 2 for the low.
    source = events["source"]
    turned["source"] = np.where(source > 100, np.choose(source % 10, [0, 2, 1, 3, 4]) + source // 10 * 10, source)
    return turned


def view_at(closes: float, bid: int, ask: int, **changes: object) -> MarketView:
    """The market half a second after the end of minute `closes`."""
    now = START_NS + int(closes * MINUTE_NS) + 500_000_000
    fields = {"now_ns": now, "bid": bid, "ask": ask, "quote_ns": now - 100_000_000, "quote_seq": 77, "epoch": 3}
    return MarketView(**(fields | {"ring_seq": 80, "live": True} | changes))  # type: ignore[arg-type]
