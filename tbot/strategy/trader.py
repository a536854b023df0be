"""ContractTrader: the strategy of one contract as a fold over pipeline events.

What comes out depends on the events and views given so far and on nothing else, so the same stream gives the same
signals live, on paper, in a replay and in a backtest. Rules: smc.md section 11. The bookkeeping of zones, levels and
setups and the judgement of those that were triggered are compiled (tbot_ext.setup_book, which has the rulings); this
module gives it its numbers and tells what it found. The bias zones of section 11 are told but not scored.
"""

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt

from tbot.domain.context import NO_CONTEXT
from tbot.domain.contracts import Product
from tbot.domain.messages import Learned, Quote, Signal, Why
from tbot.domain.timeframes import NAMES, NS_PER_MIN, TIMEFRAMES_MIN
from tbot.domain.trading_hours import trading_day_start_ns
from tbot.strategy import confluence, dollar, reasons
from tbot.strategy.facts import facts_of
from tbot.strategy.filters import MarketView
from tbot.strategy.learning import WeightSource, table_of
from tbot.strategy.outcomes import HORIZON_MIN, DayWeights, Rows
from tbot.strategy.settings import StrategySettings
from tbot.strategy.words import reason as reason_words
from tbot_ext.pipeline import ContractPipeline
from tbot_ext.setup_book import SetupBook
from tbot_ext.setup_story import answer, outcome_state, outcomes, state, tell, weigh

__all__ = ["ContractTrader", "MarketView", "StrategySettings"]

_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"
_LEAST_NEIGHBOUR_MIN = 5
_BIAS_MIN = tuple(confluence.MTF_WEIGHTS)
_TREND_NAMES = tuple(NAMES[minutes] for minutes in _BIAS_MIN)
_PARTS = tuple(confluence.SCORE_WEIGHTS)
_NEVER_NS = (1 << 63) - 1
_DAY_AND_A_HALF_NS = 36 * 60 * NS_PER_MIN


class ContractTrader:
    """Events of one contract in, signals out; see the module. State is bounded.

    `counters`: what became of zones, setups and triggers, by name, in the order of the funnel.
    """

    def __init__(self, contract: Product, settings: StrategySettings, learned: WeightSource | None = None) -> None:
        """`learned` is asked for the weights of each trading day, at its first event, where learning decides."""
        self._product = contract
        self._settings = settings
        self._params_hash = settings.digest(contract)
        self.counters: dict[str, int] = {}
        atr_n = {minutes: params.atr_n for minutes, params in settings.detectors(contract).items()}
        rules = _rules(contract, settings)
        self._book = SetupBook(rules, settings.max_tests, settings.zone_timeframes_min, atr_n, self.counters)
        self._learned = learned if settings.learning.decides else None
        self._weights = DayWeights(0, "")
        self._weighed_until_ns = _NEVER_NS
        if self._learned is not None:
            self._weigh(self._weights, 0)

    def on_events(self, events: npt.NDArray[np.void], view: MarketView) -> list[Signal]:
        """Fold in the events of one pipeline call, in order; `view` is the market where the pipeline stopped."""
        if view.now_ns >= self._weighed_until_ns:
            self._begin_day(view.now_ns)
        facts = self._facts(view)
        at = self._book.fold(events, 0, view.now_ns, view.bid, view.ask, view.live, facts)
        return self._decided(events, at, view, facts)

    def feed(self, pipeline: ContractPipeline, ticks: npt.NDArray[np.void], start: int) -> tuple[int, list[Signal]]:
        """Let the pipeline take records from `start` on until there is a signal, a reset of the market, or no more.

        Returns (index after the last record taken, signals). The same as `pipeline.feed` and `on_events` in turn,
        without coming back for events that lead to nothing.
        """
        end, at = self._book.feed(pipeline, ticks, start)
        due = pipeline.now_ns >= self._weighed_until_ns
        if not (due or self._book.asks or self._book.found):
            return end, []
        view = view_of(pipeline)
        facts = self._facts(view)
        if due:
            self._begin_day(pipeline.now_ns)
            at = self._book.fold(pipeline.events, at, view.now_ns, view.bid, view.ask, view.live, facts)
        return end, self._decided(pipeline.events, at, view, facts)

    def outcomes(self) -> Rows:
        """The hypothetical brackets that ended since the last call (tbot_ext.outcome_book), in that order."""
        return outcomes(self._book)

    @property
    def unfollowed(self) -> int:
        """Brackets that were not followed, or lost, because too many were under way at once."""
        return sum(outcome_state(self._book)[1])

    @property
    def open_setups(self) -> int:
        """Zones that price has entered and that wait for a trigger."""
        return self._book.open_setups

    def digest(self) -> str:
        """Hash of the whole state: equal digests mean equal outputs for equal inputs from here on."""
        whole = (self._params_hash, self.state(), self.counters, outcome_state(self._book)[0], self._weights)
        return hashlib.blake2b(repr(whole).encode(), digest_size=16).hexdigest()

    def state(self) -> dict[str, Any]:
        """The whole state as plain values (tbot_ext.setup_story.state)."""
        return state(self._book)

    # ----------------------------------------------------------------------------------------------------- deciding
    def _decided(self, events: npt.NDArray[np.void], at: int, view: MarketView, facts: bool) -> list[Signal]:
        """What the book found where it stopped and in the rest of the events; its questions are answered."""
        book, signals = self._book, []
        while book.asks or book.found:
            if book.asks:
                answer(book, self._verdict(view, 1), self._verdict(view, -1))
            if book.found:
                signals.append(self._tell(view))
            at = book.fold(events, at, view.now_ns, view.bid, view.ask, view.live, facts)
        return signals

    def _facts(self, view: MarketView) -> bool:
        """Whether news or the dollar index have a word on what is traded."""
        return view.context != NO_CONTEXT or self._settings.dollar.filter != "off"

    def _verdict(self, view: MarketView, side: int) -> tuple[str, float]:
        """Their word on trades of a side: why there may be none (a counter), and points of the score."""
        found = dollar.verdict(self._settings.dollar, view.context, self._product.family, side)
        return found.refusal, found.points

    # ------------------------------------------------------------------------------------------------------ learning
    def _begin_day(self, now_ns: int) -> None:
        """The weights of the trading day that has begun."""
        start_ns = trading_day_start_ns(now_ns)
        assert self._learned is not None
        self._weigh(self._learned(start_ns), trading_day_start_ns(start_ns + _DAY_AND_A_HALF_NS))

    def _weigh(self, weights: DayWeights, until_ns: int) -> None:
        self._weights, self._weighed_until_ns = weights, until_ns
        weigh(self._book, table_of(weights), until_ns)

    # ------------------------------------------------------------------------------------------------------ telling
    def _tell(self, view: MarketView) -> Signal:
        """The signal of the setup that the book has found."""
        numbers, rows, used = tell(self._book, _BIAS_MIN)
        decided_ns, zone_id, test, _, _, stop, target, _, score, _, _ = numbers
        zone = rows[0]
        why = self._why(numbers, rows)
        parts = dict(zip(_PARTS, rows[6], strict=True))
        return Signal(
            signal_id=signal_name(self._product.symbol, decided_ns, zone_id, test),
            contract=self._product.symbol,
            side=zone[2],
            quote=Quote(view.bid, view.ask, view.quote_ns, view.quote_seq, 0, view.epoch),
            stop=stop,
            target=target,
            score=score,
            reason=reason_words(why.zone, why.test, why.triggers, why.trends, self._product),
            zone_id=zone_id,
            zone_timeframe_min=zone[3],
            parts=parts,
            event_ids=used,
            params_hash=self._params_hash,
            decided_ns=decided_ns,
            ring_seq=view.ring_seq,
            why=why,
            learned=self._learning(why, parts),
            context=None if view.context == NO_CONTEXT else view.context,
        )

    def _learning(self, why: Why, parts: dict[str, float]) -> Learned | None:
        if not self._weights.version:
            return None
        found = self._weights.of(why.zone.kind, why.zone.timeframe_min)
        base = round(100 * sum(confluence.SCORE_WEIGHTS[name] * share for name, share in parts.items()), 6)
        return Learned(base, found.weight, self._weights.version, found.outcomes, found.edge_r)

    def _why(self, numbers: tuple[Any, ...], rows: tuple[Any, ...]) -> Why:
        _, _, test, entered_ns, entry, _, target, near, _, leg_low, leg_high = numbers
        zone, triggers, bias, neighbours, place, trends, _ = rows
        return Why(
            zone=reasons.in_full(zone),
            test=test,
            entered_ns=entered_ns,
            triggers=tuple(map(reasons.in_full, triggers)),
            trends=dict(zip(_TREND_NAMES, trends, strict=True)),
            bias=tuple(map(reasons.of_row, bias)),
            near_ticks=near,
            neighbours=tuple(map(reasons.of_row, neighbours)),
            leg_low=leg_low,
            leg_high=leg_high,
            entry=entry,
            target=None if place is None else reasons.of_row(place),
            gain_cents=(target - entry) * zone[2] * self._product.tick_value_cents,
            cost_cents=self._product.round_turn_cents,
            cost_multiple=self._settings.cost_multiple,
        )


def signal_name(symbol: str, decided_ns: int, zone_id: int, test: int) -> str:
    """The id of a signal: the same in every mode."""
    return f"{symbol}-{_base36(decided_ns)}-{zone_id}-{test}"


def view_of(pipeline: ContractPipeline) -> MarketView:
    """The market where a pipeline stopped."""
    return MarketView(
        now_ns=pipeline.now_ns,
        bid=pipeline.bid,
        ask=pipeline.ask,
        quote_ns=pipeline.quote_ns,
        quote_seq=pipeline.quote_seq,
        epoch=pipeline.epoch,
        ring_seq=pipeline.ring_seq,
        live=pipeline.live and pipeline.history_agrees,
        context=facts_of(pipeline),
    )


def _rules(product: Product, settings: StrategySettings) -> dict[str, Any]:
    """What the compiled part needs to know (Rules in setup_book.pxd)."""
    return {
        "entry_min": settings.entry_timeframe_min,
        "trigger_bars": settings.trigger_bars,
        "stop_min_ticks": settings.stop_min_ticks,
        "confluence_full": settings.confluence_full,
        "cost_multiple": settings.cost_multiple,
        "tick_value_cents": product.tick_value_cents,
        "round_turn_cents": product.round_turn_cents,
        "least_tf": max(_LEAST_NEIGHBOUR_MIN, settings.entry_timeframe_min),
        "min_score": settings.min_score,
        "min_rr": settings.min_rr,
        "default_rr": settings.default_rr,
        "stop_atr": settings.stop_atr,
        "confluence_atr": settings.confluence_atr,
        "mtf": [confluence.MTF_WEIGHTS.get(minutes, 0.0) for minutes in TIMEFRAMES_MIN],
        "weights": list(confluence.SCORE_WEIGHTS.values()),
        "sweep_and_shift": confluence.SWEEP_AND_SHIFT,
        "sweep_alone": confluence.SWEEP_ALONE,
        "shift_alone": confluence.SHIFT_ALONE,
        "data_only": product.data_only,
        "facts": settings.dollar.filter != "off",
        "contract_id": product.contract_id,
        "horizon_min": HORIZON_MIN,
        "follow": settings.learning.follows,
    }


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _BASE36[digit] + digits
    return digits or "0"
