"""PlainTrader: the strategy of one contract as a fold over pipeline events.

`on_events` is the only way in. What comes out depends on the events and views given so far and on nothing else, so the
same stream gives the same signals live, on paper, in a replay and in a backtest. Rules: smc.md section 11.

Rulings. A decision is made at the close of an entry bar, when all events of that instant are in; of all setups that it
triggers, of both sides, the best speaks and the others have had their trigger. A setup whose score is too low, or that
a rule forbids, waits for its next trigger. Confluence counts zones, pools and levels of 5m and longer (of the entry
timeframe and longer when that is longer): those of 1m are always near something and would tell nothing apart. The
target may be a pool or level of any timeframe. The bias zones of section 11 are told with the signal but not scored.
"""

import hashlib
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from plain_strategy import confluence, reasons
from plain_strategy.events import WARMUP, EventRow, rows_of
from plain_strategy.filters import UNCLEAN, refusal
from plain_strategy.liquidity import LIQUIDITY_EVENTS, LiquidityBook, Place
from plain_strategy.order_block import TradePlan, plan_trade
from plain_strategy.structure import TimeframeState
from plain_strategy.triggers import TRIGGER_KINDS, Setup
from plain_strategy.zone_book import ZONE_EVENTS, Zone, ZoneBook
from tbot.domain.context import NO_CONTEXT
from tbot.domain.contracts import Product
from tbot.domain.messages import Quote, Signal, Why
from tbot.domain.timeframes import NAMES, NS_PER_MIN, TIMEFRAMES_MIN
from tbot.strategy.confluence import MTF_WEIGHTS
from tbot.strategy.dollar import verdict
from tbot.strategy.filters import MarketView
from tbot.strategy.settings import StrategySettings
from tbot.strategy.words import reason as reason_words
from tbot_ext.records import EventCode

_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"
_LEAST_NEIGHBOUR_MIN = 5

# Why constants: a look-up in the enumeration costs more than the comparison, and this runs for every event.
_BAR, _SWEEP = int(EventCode.BAR), int(EventCode.SWEEP)
_BREAKS = frozenset({EventCode.BOS, EventCode.CHOCH})
_SWINGS = frozenset({EventCode.SWING_HIGH, EventCode.SWING_LOW})

# What became of zones, setups and triggers, in the order of the funnel.
COUNTERS = (
    "tests",  # a live bar entered a zone: a setup opened
    "tests_warmup",  # entered in warm-up: the test is spent
    "died_no_trigger",  # setups without a trigger in time
    "died_zone",  # setups whose zone broke, filled or expired
    "triggers_idle",  # closes with a trigger that concerns no setup
    "triggers",  # closes with one that concerns at least one
    "warmup",  # why such closes gave nothing
    "data_only",
    "not_live",
    "unclean_bar",
    "too_late",
    "no_quote",
    "no_atr",  # why single setups gave nothing when triggered
    "no_risk",
    "target_below_cost",
    "score_too_low",
    "outscored",  # a better setup was triggered at the same close
    "signals",
)
FACTS = ("news", "dollar_stale", "against_dollar")  # why single setups gave nothing: the outside facts


class Candidate(NamedTuple):
    """A triggered setup that could be traded."""

    score: float
    setup: Setup
    plan: TradePlan
    parts: dict[str, float]
    zones: list[Zone]  # its neighbours
    places: list[Place]
    near_ticks: int


class PlainTrader:
    """Events of one contract in, signals out; see the module. State is bounded."""

    def __init__(self, contract: Product, settings: StrategySettings) -> None:
        self._product = contract
        self._settings = settings
        self._params_hash = settings.digest(contract)
        detectors = settings.detectors(contract)
        self._entry_min = settings.entry_timeframe_min
        self._period_ns = self._entry_min * NS_PER_MIN
        self._states = {minutes: TimeframeState(detectors[minutes].atr_n) for minutes in TIMEFRAMES_MIN}
        self._book = ZoneBook(settings.zone_timeframes_min, settings.max_tests)
        self._liquidity = LiquidityBook()
        self._setups: dict[int, Setup] = {}  # by zone
        self._triggers: list[EventRow] = []  # of the close whose events are coming in
        self._spoken = -1  # id of the last CHoCH that gave a signal
        self._bar_flags = 0  # of the last bar of the entry timeframe
        self.counters: dict[str, int] = dict.fromkeys((*COUNTERS, *FACTS), 0)

    def on_events(self, events: npt.NDArray[np.void], view: MarketView) -> list[Signal]:
        """Fold in the events of one pipeline call, in order; `view` is the market where the pipeline stopped."""
        signals: list[Signal] = []
        for event in rows_of(events):
            if self._triggers and event.known_ns != self._triggers[0].known_ns:
                signals += self._decide(view)
            self._on_event(event)
        if self._triggers:
            signals += self._decide(view)
        return signals

    @property
    def open_setups(self) -> int:
        """Zones that price has entered and that wait for a trigger."""
        return len(self._setups)

    def digest(self) -> str:
        """Hash of the whole state: equal digests mean equal outputs for equal inputs from here on."""
        setups = [setup.state() for setup in self._setups.values()]
        states = [(minutes, state.state()) for minutes, state in self._states.items()]
        books = (self._book.state(), self._liquidity.state())
        whole = (self._params_hash, setups, states, books, self._bar_flags, self._spoken, self.counters)
        return hashlib.blake2b(repr(whole).encode(), digest_size=16).hexdigest()

    # --------------------------------------------------------------------------------------------------- folding in
    def _on_event(self, event: EventRow) -> None:
        kind = event.kind
        if kind in LIQUIDITY_EVENTS:
            ended = self._liquidity.apply(event)
            if kind == _SWEEP:  # its own n, the place in the cluster, has told its order
                event = event._replace(n=0 if ended is None else ended.members)
        elif kind in ZONE_EVENTS:
            dead = self._book.apply(event)
            if dead is not None and self._setups.pop(dead, None) is not None:
                self.counters["died_zone"] += 1
        elif kind == _BAR:
            self._states[event.timeframe_min].on_bar(event)
            if event.timeframe_min == self._entry_min:
                self._on_entry_bar(event)
        elif kind in _BREAKS:
            self._states[event.timeframe_min].on_break(event)
        elif kind in _SWINGS:
            self._states[event.timeframe_min].on_swing(event)
        if kind in TRIGGER_KINDS and event.timeframe_min == self._entry_min and not self._is_spoken(event):
            self._triggers.append(event)

    def _is_spoken(self, event: EventRow) -> bool:
        """The MSS of a CHoCH that gave a signal."""
        return event.kind == EventCode.MSS and event.parent_id == self._spoken != -1

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
            self._setups[zone.id] = Setup(zone, bar)

    # ----------------------------------------------------------------------------------------------------- deciding
    def _decide(self, view: MarketView) -> list[Signal]:
        """Judge the close whose triggers have come in."""
        triggers, self._triggers = self._triggers, []
        waiting = [setup for setup in self._setups.values() if any(map(setup.concerns, triggers))]
        if not waiting:
            self.counters["triggers_idle"] += 1
            return []
        self.counters["triggers"] += 1
        flags = triggers[0].flags | self._bar_flags
        if not flags & (WARMUP | UNCLEAN):
            for setup in waiting:
                setup.remember(triggers)
        refused = self._refusal(view, triggers[0].known_ns, flags)
        if refused:
            self.counters[refused] += 1
            return []
        found = [candidate for setup in waiting if (candidate := self._judge(setup, view)) is not None]
        if not found:
            return []
        best = min(found, key=lambda one: (-one.score, -one.setup.zone.timeframe_min, one.setup.zone.id))
        for candidate in found:
            del self._setups[candidate.setup.zone.id]
        self._spoken = next((row.id for row in best.setup.shifts if row.kind == EventCode.CHOCH), -1)
        self.counters["outscored"] += len(found) - 1
        self.counters["signals"] += 1
        return [self._signal(best, triggers[0].known_ns, view)]

    def _refusal(self, view: MarketView, decided_ns: int, flags: int) -> str:
        """Why nothing may be decided at this close (a counter's name), or ""."""
        if flags & WARMUP:
            return "warmup"
        if self._product.data_only:
            return "data_only"
        return refusal(view, decided_ns, self._period_ns, flags)

    def _judge(self, setup: Setup, view: MarketView) -> Candidate | None:
        """A triggered setup as a trade; None (and a counter) when a rule forbids it."""
        zone, settings = setup.zone, self._settings
        atr = self._states[zone.timeframe_min].atr.value
        if atr is None:
            self.counters["no_atr"] += 1
            return None
        entry = view.ask if zone.side > 0 else view.bid
        plan = plan_trade(zone, atr, entry, self._liquidity, self._product, settings)
        if isinstance(plan, str):
            self.counters[plan] += 1
            return None
        least_tf = max(_LEAST_NEIGHBOUR_MIN, self._entry_min)
        near = int(settings.confluence_atr * atr)  # distances are whole ticks
        zones = self._book.neighbours(zone, near, least_tf)
        places = self._liquidity.neighbours(zone.side, zone.bottom, zone.top, near, least_tf)
        leg_low, leg_high = self._leg()
        parts = {
            "zone": zone.score / 100.0,
            "mtf": confluence.mtf_share({minutes: self._states[minutes].trend for minutes in self._states}, zone.side),
            "trigger": setup.share,
            "confluence": confluence.confluence_share(len(zones) + len(places), settings.confluence_full),
            "location": confluence.location_share(zone.side, entry, leg_high, leg_low),
        }
        plain = confluence.weighted_score(parts)
        facts = verdict(settings.dollar, view.context, self._product.family, zone.side)
        score = round(min(100.0, max(0.0, plain + facts.points)), 6)
        refused = "score_too_low" if plain < settings.min_score else "against_dollar"
        if score >= settings.min_score:
            refused = facts.refusal
        if refused:
            self.counters[refused] += 1
            return None
        return Candidate(score, setup, plan, parts, zones, places, near)

    def _leg(self) -> tuple[int | None, int | None]:
        """Last known swing low and high of 1h."""
        low, high = self._states[60].last_low, self._states[60].last_high
        return (None if low is None else low.level), (None if high is None else high.level)

    # ------------------------------------------------------------------------------------------------------ telling
    def _signal(self, chosen: Candidate, decided_ns: int, view: MarketView) -> Signal:
        setup, zone = chosen.setup, chosen.setup.zone
        why = self._why(chosen)
        return Signal(
            signal_id=f"{self._product.symbol}-{_base36(decided_ns)}-{zone.id}-{setup.test}",
            contract=self._product.symbol,
            side=zone.side,
            quote=Quote(view.bid, view.ask, view.quote_ns, view.quote_seq, 0, view.epoch),
            stop=chosen.plan.stop,
            target=chosen.plan.target,
            score=chosen.score,
            reason=reason_words(why.zone, why.test, why.triggers, why.trends, self._product),
            zone_id=zone.id,
            zone_timeframe_min=zone.timeframe_min,
            parts=chosen.parts,
            event_ids=self._used(chosen),
            params_hash=self._params_hash,
            decided_ns=decided_ns,
            ring_seq=view.ring_seq,
            why=why,
            context=None if view.context == NO_CONTEXT else view.context,
        )

    def _why(self, chosen: Candidate) -> Why:
        setup, plan = chosen.setup, chosen.plan
        leg_low, leg_high = self._leg()
        bias = self._book.nearest(MTF_WEIGHTS, plan.entry)
        neighbours = [reasons.of_zone(zone) for zone in chosen.zones]
        neighbours += [reasons.of_place(place) for place in chosen.places]
        return Why(
            zone=reasons.of_zone(setup.zone, in_full=True),
            test=setup.test,
            entered_ns=setup.entered_ns,
            triggers=tuple(reasons.of_trigger(row) for row in setup.triggers),
            trends={NAMES[minutes]: self._states[minutes].trend for minutes in MTF_WEIGHTS},
            bias=tuple(map(reasons.of_zone, bias)),
            near_ticks=chosen.near_ticks,
            neighbours=tuple(neighbours),
            leg_low=leg_low,
            leg_high=leg_high,
            entry=plan.entry,
            target=None if plan.place is None else reasons.of_place(plan.place),
            gain_cents=(plan.target - plan.entry) * setup.zone.side * self._product.tick_value_cents,
            cost_cents=self._product.round_turn_cents,
            cost_multiple=self._settings.cost_multiple,
        )

    def _used(self, chosen: Candidate) -> tuple[int, ...]:
        """Every event that the score or the plan rests on."""
        setup, place = chosen.setup, chosen.plan.place
        used = {setup.bar_event, *setup.zone.event_ids}
        for row in setup.triggers:
            used |= {row.id, row.parent_id}  # the swept pool, the confirmed CHoCH
        if place is not None:
            used |= set(place.event_ids)
        used.update(zone.event_ids[-1] for zone in chosen.zones)
        for neighbour in chosen.places:
            used |= set(neighbour.event_ids)
        used.update(self._states[minutes].trend_event for minutes in MTF_WEIGHTS)
        swings = (self._states[60].last_high, self._states[60].last_low)
        used.update(swing.event_id for swing in swings if swing is not None)
        return tuple(sorted(used - {-1}))


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _BASE36[digit] + digits
    return digits or "0"
