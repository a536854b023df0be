"""News and the dollar index in the status of a replay: what its stream told each contract last, in a run's words."""

from typing import Any

import numpy as np
import numpy.typing as npt

from tbot.context.dxy import LEGS
from tbot.domain.context import CORRELATION_SCALE, INDEX_SCALE, ContextRecord, MarketContext, context_at
from tbot.domain.contracts import PRODUCTS
from tbot.domain.timeframes import NS_PER_S
from tbot.engine.context_feed import ahead
from tbot.engine.dollar_feed import TREND_WORDS
from tbot.engine.settings import EngineSettings
from tbot.strategy.facts import MAX_AGE_NS, record_of, states
from tbot_ext.records import Kind


class TapeFacts:
    """`take` what is written into the rings; `status` has the keys `news` and `dxy` of the feed's status."""

    def __init__(self, settings: EngineSettings, on_tape: set[int]) -> None:
        """`on_tape`: contracts that the tape holds."""
        self._dollar, self._calendar = settings.strategy.dollar, settings.calendar
        self._symbols = {PRODUCTS[name].contract_id: name for name in settings.symbols}
        self._missing = [symbol for symbol in LEGS if PRODUCTS[symbol].contract_id not in on_tape]
        self._told: dict[int, dict[int, ContextRecord]] = {}
        self._now_ns = 0

    def take(self, records: npt.NDArray[np.void]) -> None:
        """The next records, in order of time."""
        self._now_ns = int(records["exch_ns"][-1])
        for row in records[records["kind"] == Kind.CONTEXT]:
            self._told.setdefault(int(row["contract_id"]), {})[int(row["aux"])] = record_of(row)

    def status(self) -> dict[str, Any]:
        """Null where this run follows nothing and its tape tells nothing."""
        facts = {
            self._symbols[number]: context_at(self._now_ns, *states(told), MAX_AGE_NS)
            for number, told in sorted(self._told.items())
            if number in self._symbols
        }
        return {"news": self._news(facts), "dxy": self._dxy(facts)}

    def _news(self, facts: dict[str, MarketContext]) -> dict[str, Any] | None:
        told = {symbol: context.news for symbol, context in facts.items() if context.news is not None}
        calendar = self._calendar
        if calendar is None and not told:
            return None
        return {
            "stale": any(state.stale for state in told.values()),
            "age_s": None,  # of a replay no file is too old
            "problems": [] if calendar is None else list(calendar.problems),
            "actions": {symbol: state.action or "none" for symbol, state in told.items()},
            "next": [] if calendar is None else ahead(calendar, self._now_ns),
        }

    def _dxy(self, facts: dict[str, MarketContext]) -> dict[str, Any] | None:
        told = {symbol: context.dollar for symbol, context in facts.items() if context.dollar is not None}
        if not told and not self._dollar.followed:
            return None
        state = max(told.values(), key=lambda one: one.minute_ns, default=None)
        missing = state is None and bool(self._missing)
        return {
            "filter": self._dollar.filter,
            "stale_policy": self._dollar.stale,
            "index": None if state is None else state.index / INDEX_SCALE,
            "trend": None if state is None else TREND_WORDS.get(state.trend, TREND_WORDS[0]),
            "age_s": None if state is None else max(0, (self._now_ns - state.minute_ns) // NS_PER_S),
            "stale": state is None or state.stale,
            "problem": f"the tape lacks {', '.join(self._missing)}" if missing else "",
            "errors": {},
            "correlation": {
                symbol: None if one.correlation is None else one.correlation / CORRELATION_SCALE
                for symbol, one in told.items()
            },
            "legs": {},
        }
