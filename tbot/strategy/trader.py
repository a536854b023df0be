"""ContractTrader: the strategy of one contract as a fold over pipeline events.

`on_events` is the only way in. What comes out depends on the events and views given so far and on nothing else, so the
same stream gives the same signals live, on paper, in a replay and in a backtest. Rules: smc.md section 11.
"""

import hashlib

import numpy as np
import numpy.typing as npt

from tbot.domain.contracts import Product
from tbot.domain.messages import Quote, Signal
from tbot.domain.timeframes import NS_PER_MIN, TIMEFRAMES_MIN
from tbot.strategy import confluence
from tbot.strategy.events import WARMUP, EventRow, rows_of
from tbot.strategy.filters import MarketView, refusal
from tbot.strategy.order_block import TRIGGER_SHARES, Setup, TradePlan, describe, plan_trade
from tbot.strategy.settings import StrategySettings
from tbot.strategy.structure import Swing, TimeframeState
from tbot.strategy.zone_book import Zone, ZoneBook
from tbot_ext.records import EventCode

__all__ = ["ContractTrader", "MarketView", "StrategySettings"]

_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"

# What became of zones, setups and triggers, in the order of the funnel.
COUNTERS = (
    "tests",  # a live bar entered a zone: a setup opened
    "tests_warmup",  # entered in warm-up: the test is spent
    "died_no_trigger",  # setups without a trigger in time
    "died_zone",  # setups whose zone broke, filled or expired
    "triggers_idle",  # triggers without a setup of their side
    "triggers",  # triggers with at least one
    "warmup",  # why such triggers gave nothing
    "data_only",
    "not_live",
    "unclean_bar",
    "too_late",
    "no_quote",
    "no_atr",  # why single setups gave nothing when triggered
    "no_risk",
    "target_below_cost",
    "score_too_low",
    "outscored",  # a better setup was triggered by the same event
    "signals",
)


class ContractTrader:
    """Events of one contract in, signals out; see the module. State is bounded."""

    def __init__(self, contract: Product, settings: StrategySettings) -> None:
        self._product = contract
        self._settings = settings
        self._params_hash = settings.digest()
        detectors = settings.detectors()
        self._period_ns = settings.entry_timeframe_min * NS_PER_MIN
        self._states = {minutes: TimeframeState(detectors[minutes].atr_n) for minutes in TIMEFRAMES_MIN}
        self._book = ZoneBook(settings.zone_timeframes_min, settings.max_tests)
        self._setups: dict[int, Setup] = {}  # by zone
        self._bar_flags = 0  # of the last bar of the entry timeframe
        self.counters: dict[str, int] = dict.fromkeys(COUNTERS, 0)

    def on_events(self, events: npt.NDArray[np.void], view: MarketView) -> list[Signal]:
        """Fold in the events of one pipeline call, in order; `view` is the market where the pipeline stopped."""
        signals: list[Signal] = []
        for event in rows_of(events):
            signal = self._on_event(event, view)
            if signal is not None:
                signals.append(signal)
        return signals

    @property
    def open_setups(self) -> int:
        """Zones that price has entered and that wait for a trigger."""
        return len(self._setups)

    def digest(self) -> str:
        """Hash of the whole state: equal digests mean equal outputs for equal inputs from here on."""
        setups = [(key, setup.test, setup.bar, setup.bar_event) for key, setup in self._setups.items()]
        states = [(minutes, state.state()) for minutes, state in self._states.items()]
        whole = (self._params_hash, setups, states, self._book.state(), self._bar_flags, self.counters)
        return hashlib.blake2b(repr(whole).encode(), digest_size=16).hexdigest()

    def _on_event(self, event: EventRow, view: MarketView) -> Signal | None:
        kind = event.kind
        if kind == EventCode.BAR:
            self._states[event.timeframe_min].on_bar(event)
            if event.timeframe_min == self._settings.entry_timeframe_min:
                self._on_entry_bar(event)
        elif kind in (EventCode.BOS, EventCode.CHOCH):
            self._states[event.timeframe_min].on_break(event)
            if kind in TRIGGER_SHARES and event.timeframe_min == self._settings.entry_timeframe_min:
                return self._on_trigger(event, view)
        elif kind == EventCode.SWING_HIGH:
            self._states[event.timeframe_min].on_swing_high(event)
        elif kind == EventCode.SWING_LOW:
            self._states[event.timeframe_min].on_swing_low(event)
        else:
            dead = self._book.apply(event)
            if dead is not None and self._setups.pop(dead, None) is not None:
                self.counters["died_zone"] += 1
        return None

    def _on_entry_bar(self, bar: EventRow) -> None:
        self._bar_flags = bar.flags
        late = [key for key, setup in self._setups.items() if bar.known > setup.bar + self._settings.trigger_bars]
        for key in late:
            del self._setups[key]
        self.counters["died_no_trigger"] += len(late)
        entered = self._book.enter(bar.top, bar.bottom, bar.known_ns - self._period_ns)
        if bar.flags & WARMUP:
            self.counters["tests_warmup"] += len(entered)
            return
        self.counters["tests"] += len(entered)
        for zone in entered:
            self._setups[zone.id] = Setup(zone, zone.tests, bar.known, bar.id)

    def _on_trigger(self, event: EventRow, view: MarketView) -> Signal | None:
        waiting = [setup for setup in self._setups.values() if setup.zone.side == event.side]
        if not waiting:
            self.counters["triggers_idle"] += 1
            return None
        self.counters["triggers"] += 1
        if event.flags & WARMUP:
            reason = "warmup"
        elif self._product.data_only:
            reason = "data_only"
        else:
            reason = refusal(view, event.known_ns, self._period_ns, event.flags | self._bar_flags)
        if reason:
            self.counters[reason] += 1
            return None
        signals = [signal for setup in waiting if (signal := self._judge(setup, event, view)) is not None]
        if not signals:
            return None
        # One decision, one signal: the best zone speaks, the others have had their trigger.
        best = min(signals, key=lambda signal: (-signal.score, -signal.zone_timeframe_min, signal.zone_id))
        for signal in signals:
            del self._setups[signal.zone_id]
        self.counters["outscored"] += len(signals) - 1
        self.counters["signals"] += 1
        return best

    def _judge(self, setup: Setup, trigger: EventRow, view: MarketView) -> Signal | None:
        """The signal of one triggered setup; None (and a counter) when a rule forbids it."""
        zone, settings = setup.zone, self._settings
        atr = self._states[zone.timeframe_min].atr.value
        if atr is None:
            self.counters["no_atr"] += 1
            return None
        entry = view.ask if zone.side > 0 else view.bid
        plan = plan_trade(zone, atr, entry, self._opposing(zone.side), self._product, settings)
        if isinstance(plan, str):
            self.counters[plan] += 1
            return None
        neighbours = self._book.neighbours(zone, settings.confluence_atr * atr)
        hour = self._states[60]
        leg_high, leg_low = hour.last_high, hour.last_low
        parts = {
            "zone": zone.score / 100.0,
            "mtf": confluence.mtf_share({minutes: self._states[minutes].trend for minutes in self._states}, zone.side),
            "trigger": TRIGGER_SHARES[trigger.kind],
            "confluence": confluence.confluence_share(len(neighbours), settings.confluence_full),
            "location": confluence.location_share(
                zone.side, entry, leg_high and leg_high.level, leg_low and leg_low.level
            ),
        }
        score = confluence.weighted_score(parts)
        if score < settings.min_score:
            self.counters["score_too_low"] += 1
            return None
        used = {setup.bar_event, trigger.id, plan.target_event, *zone.event_ids}
        used.update(other.event_ids[-1] for other in neighbours)
        used.update(self._states[minutes].trend_event for minutes in confluence.MTF_WEIGHTS)
        used.update(swing.event_id for swing in (leg_high, leg_low) if swing is not None)
        return self._signal(setup, trigger, view, plan, parts, score, used)

    def _signal(
        self,
        setup: Setup,
        trigger: EventRow,
        view: MarketView,
        plan: TradePlan,
        parts: dict[str, float],
        score: float,
        used: set[int],
    ) -> Signal:
        zone = setup.zone
        agreeing = [minutes for minutes in confluence.MTF_WEIGHTS if self._states[minutes].trend == zone.side]
        return Signal(
            signal_id=f"{self._product.symbol}-{_base36(trigger.known_ns)}-{zone.id}-{setup.test}",
            contract=self._product.symbol,
            side=zone.side,
            quote=Quote(view.bid, view.ask, view.quote_ns, view.quote_seq, 0, view.epoch),
            stop=plan.stop,
            target=plan.target,
            score=score,
            reason=describe(setup, trigger.kind, agreeing, self._product, self._settings),
            zone_id=zone.id,
            zone_timeframe_min=zone.timeframe_min,
            parts=parts,
            event_ids=tuple(sorted(used - {-1})),
            params_hash=self._params_hash,
            decided_ns=trigger.known_ns,
            ring_seq=view.ring_seq,
        )

    def _opposing(self, side: int) -> list[Swing]:
        """Where a trade of this side may be met: unbroken swings of all timeframes, edges of opposing zones."""
        levels: list[Swing] = []
        for state in self._states.values():
            levels += state.highs if side > 0 else state.lows
        zones: list[Zone] = [zone for zone in self._book.live.values() if zone.side == -side]
        levels += [Swing(zone.proximal, zone.event_ids[-1]) for zone in zones]
        return levels


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _BASE36[digit] + digits
    return digits or "0"
