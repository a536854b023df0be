"""Random event streams for the trader: sound in form, without meaning in content."""

import random

import numpy as np

from event_builder import MINUTE_NS, START_NS, WARMUP, EventBuilder
from tbot.strategy.trader import MarketView
from tbot_ext.records import NO_PRICE, EventCode, Flag, Source

Batches = list[tuple[np.ndarray, MarketView]]


class RandomStream:
    """A random walk with zones, breaks, swings, pools, levels and sweeps strewn about it."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.make = EventBuilder(first_id=1)
        self.price = 20_000
        self.zones: list[tuple[int, int, str]] = []  # id, timeframe, kind
        self.places: list[tuple[int, int, str, int]] = []  # id, timeframe, kind, side
        self.chochs: dict[int, tuple[int, int]] = {}  # per timeframe: CHoCH whose MSS comes on the next bar, its side
        self.bars: dict[int, list[int]] = {}  # open bar per timeframe: high, low

    def batches(self, minutes: int, warm: int) -> Batches:
        out = []
        for minute in range(1, minutes + 1):
            backfilled = minute % 25 < 3  # as after a gap
            self.make.flags = WARMUP if minute <= warm or backfilled else 0
            if self.chance.random() < 0.02:
                self.make.flags |= int(self.chance.choice([Flag.INCOMPLETE, Flag.SUSPECT]))
            self._minute(minute)
            out.append((self.make.take(), self._view(minute)))
        return out

    def _view(self, minute: int) -> MarketView:
        chance = self.chance
        lag = chance.choice([250_000_000] * 9 + [MINUTE_NS])
        bid = self.price if chance.random() > 0.05 else NO_PRICE
        ask = self.price + chance.choice([1, 1, 1, 0, -1])
        now = START_NS + minute * MINUTE_NS + lag
        return MarketView(now, bid, ask, now - 1, minute, 1, minute, live=chance.random() > 0.05)

    def _minute(self, minute: int) -> None:
        chance = self.chance
        steps = [self.price]
        for _ in range(6):
            steps.append(steps[-1] + chance.randint(-4, 4))
        if chance.random() < 0.05:
            steps = [step + chance.choice([-25, 25]) for step in steps]  # a jump: bars beyond zones
        self.price = steps[-1]
        high, low = max(steps), min(steps)
        for tf in (60, 30, 15, 5, 1):
            held = self.bars.setdefault(tf, [high, low])
            held[0], held[1] = max(held[0], high), min(held[1], low)
        for tf in (60, 30, 15, 5, 1):  # the longest first
            if minute % tf == 0:
                high, low = self.bars.pop(tf)
                self.make.bar(minute, high, low, self.price, tf, flags=chance.choice([0] * 20 + [128]))
                self._detector_events(minute, tf)

    def _detector_events(self, minute: int, tf: int) -> None:
        chance, make, price = self.chance, self.make, self.price
        for zone in [z for z in self.zones if z[1] == tf and chance.random() < 0.08]:
            self._live_on(minute, zone)
        self._liquidity(minute, tf)
        for _ in range(chance.choice([0, 0, 1]) if tf == 1 else 3):
            self._zone(minute, tf)
        self._structure(minute, tf)
        if chance.random() < 0.2:
            make.swing_high(minute, price + chance.randint(0, 60), tf)
        if chance.random() < 0.2:
            make.swing_low(minute, price - chance.randint(0, 60), tf)

    def _structure(self, minute: int, tf: int) -> None:
        """Breaks; an MSS follows its CHoCH on the same bar, on the next, or never."""
        chance, make = self.chance, self.make
        held = self.chochs.pop(tf, None)
        if held is not None:
            make.mss(minute, held[1], held[0], tf)
        if chance.random() < 0.2:
            side = chance.choice([1, -1])
            choch = make.choch(minute, side, tf)
            when = chance.choice(["now", "next", "never"])
            if when == "now":
                make.mss(minute, side, choch, tf)
            elif when == "next":
                self.chochs[tf] = (choch, side)
        elif chance.random() < 0.1:
            make.bos(minute, chance.choice([1, -1]), tf)

    def _zone(self, minute: int, tf: int) -> None:
        chance, make = self.chance, self.make
        side, height, away = chance.choice([1, -1]), chance.randint(1, 12), chance.randint(0, 15)
        edge = self.price - side * away
        bottom, top = (edge - height, edge) if side > 0 else (edge, edge + height)
        kind = chance.choice(["OB", "OB", "FVG", "FVG", "BREAKER", "MITIGATION"])
        code = EventCode.MITIGATION_BLOCK if kind == "MITIGATION" else EventCode[kind]
        score = chance.random() if kind == "FVG" else chance.uniform(20, 100)
        flags = int(Flag.DUPLICATE) if kind == "BREAKER" and chance.random() < 0.2 else 0
        zone = make.add(code, minute, tf, flags, side=side, bottom=bottom, top=top, score=score)
        if not flags:
            self.zones.append((zone, tf, kind))

    def _live_on(self, minute: int, zone: tuple[int, int, str]) -> None:
        zone_id, tf, kind = zone
        make, chance = self.make, self.chance
        block = ["TESTED", "DEAD", "EXPIRED"]
        follow = {
            "OB": ["TESTED", "MITIGATED", "REFRESHED", "BROKEN", "EXPIRED"],
            "FVG": ["TOUCHED", "HALF", "FILLED", "EXPIRED"],
            "FILLED": ["INVERTED"],
            "INVERTED": ["DEAD"],
            "BREAKER": block,
            "MITIGATION": block,
        }
        what = chance.choice(follow[kind])
        extra = {"n": 1} if what == "TESTED" else {"score": chance.uniform(20, 100)} if what == "REFRESHED" else {}
        family = "FVG" if kind in ("FILLED", "INVERTED") else kind
        make.life(EventCode[f"{family}_{what}"], minute, tf, zone_id, **extra)
        self.zones.remove(zone)
        after = what if what in ("FILLED", "INVERTED") else kind
        if what not in ("BROKEN", "EXPIRED", "DEAD"):
            self.zones.append((zone_id, tf, after))

    def _liquidity(self, minute: int, tf: int) -> None:
        """Pools and levels are born, move and end; the 1m sweeps often end near a zone."""
        chance, make, price = self.chance, self.make, self.price
        for place in [p for p in self.places if p[1] == tf and chance.random() < 0.15]:
            self._move(minute, place)
        if chance.random() < (0.2 if tf == 1 else 0.8):
            side, level = chance.choice([1, -1]), price + chance.randint(-60, 60)
            source = chance.choice([Source.SWING, Source.SWING, Source.ROUND, Source.DAY_HIGH, Source.LONDON_LOW])
            if source != Source.SWING:
                level = level // 20 * 20  # named places meet at one price
            if chance.random() < 0.5:
                self.places.append((make.pool(minute, side, level, tf, source=source), tf, "POOL", side))
            else:
                side = 0 if chance.random() < 0.1 else side
                self.places.append((make.level(minute, side, level, tf, source=source), tf, "LEVEL", side))
        if chance.random() < 0.15:
            self._sweep(minute, tf, chance.choice([1, -1]), -1)

    def _move(self, minute: int, place: tuple[int, int, str, int]) -> None:
        place_id, tf, kind, side = place
        make, chance = self.make, self.chance
        moved = {"level": self.price + chance.randint(-60, 60), "n": chance.randint(2, 6)}
        if kind == "POOL":
            what = chance.choice(["JOINED", "EXPIRED", "RUN", "SWEEP", "SWEPT_AND_FORMED"])
            if what in ("SWEEP", "SWEPT_AND_FORMED"):
                self._sweep(minute, tf, -side, place_id)
            else:
                make.life(EventCode.RUN if what == "RUN" else EventCode[f"POOL_{what}"], minute, tf, place_id, **moved)
            if what == "SWEPT_AND_FORMED":
                again = make.pool(minute, side, moved["level"], tf, parent_id=place_id)
                self.places.append((again, tf, kind, side))
        else:
            what = chance.choice(["JOINED", "TOUCHED", "BROKEN", "DEAD", "EXPIRED"])
            role = side or chance.choice([1, -1])
            extra = (
                {"side": -role} if what == "BROKEN" else moved | {"side": role} if what in ("JOINED", "TOUCHED") else {}
            )
            make.life(EventCode[f"LEVEL_{what}"], minute, tf, place_id, **extra)
        self.places.remove(place)
        if what in ("JOINED", "TOUCHED", "BROKEN"):
            self.places.append((place_id, tf, kind, extra["side"] if kind == "LEVEL" else side))

    def _sweep(self, minute: int, tf: int, side: int, pool: int) -> None:
        """Up to three pools taken by one bar, nearest first."""
        extreme = self.price - side * self.chance.randint(0, 12)
        for place in range(self.chance.choice([1, 1, 2, 3]), 0, -1):
            edges = sorted((extreme, extreme + side * place * 2))
            number = {"n": 1, "parent_id": pool if place == 1 else -1, "score": self.chance.random()}
            self.make.sweep(minute, side, *edges, tf, **number)
