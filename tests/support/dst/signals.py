"""A strategy by chance: plausible signals at plausible rates, and on request the bad habits of workers."""

from collections.abc import Callable
from random import Random

from dst.market import FeedLine
from tbot.domain.messages import Quote, Signal

Send = Callable[[Signal, int, int], None]  # (signal, stamp of its sending by the boot clock, delay ns)


class Worker:
    """Decides by dice on the newest quote of a contract."""

    def __init__(self, seed: int, symbols: list[str], feed: FeedLine, send: Send, every_s: float) -> None:
        self._random = Random(f"worker/{seed}")
        self._symbols = symbols
        self._feed = feed
        self._send = send
        self._every_s = every_s
        self._number = 0
        self._sent: list[Signal] = []
        self.flood = 0  # signals a step
        self.stale = False  # stamps are old: they lay in a queue
        self.repeat = False  # what was sent is sent again

    def step(self, now_ns: int, boot_ns: int, step_s: float) -> None:
        """`now_ns`: market time."""
        if self._random.random() < step_s / self._every_s:
            self._one(self._random.choice(self._symbols), now_ns, boot_ns)
        for _ in range(self.flood):
            self._one(self._symbols[0], now_ns, boot_ns)
        if self.repeat and self._sent and self._random.random() < 0.3:
            self._send(self._random.choice(self._sent[-5:]), boot_ns, 0)

    def _one(self, symbol: str, now_ns: int, boot_ns: int) -> None:
        held = self._feed.heard.get(symbol)
        if held is None:
            return
        bid, ask, exch_ns = held
        rng = self._random
        self._number += 1
        side = rng.choice((1, -1))
        stop_ticks = rng.choice((8, 12, 20, 40, 80))
        target_ticks = stop_ticks * rng.choice((1, 2, 3))
        adverse = ask if side > 0 else bid
        quote = Quote(bid, ask, exch_ns, self._feed.seq[symbol], 0, self._feed.epoch(symbol))
        signal = Signal(
            signal_id=f"{symbol}-{self._number}",
            contract=symbol,
            side=side,
            quote=quote,
            stop=adverse - side * stop_ticks,
            target=adverse + side * target_ticks,
            score=70.0,
            reason="dice",
            zone_id=1,
            zone_timeframe_min=5,
            parts={},
            event_ids=(1,),
            params_hash="p",
            decided_ns=now_ns,
            ring_seq=quote.seq,
        )
        self._sent.append(signal)
        stamp = boot_ns - rng.choice((1_600_000_000, 10_000_000_000)) if self.stale else boot_ns
        self._send(signal, stamp, rng.randrange(1_000_000, 5_000_000))
