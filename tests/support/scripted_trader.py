"""A worker whose strategy is a script: signals at given minutes. All around the decision is the real thing."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import tbot.strategy.decider as decider_module
from plain_strategy.events import WARMUP, rows_of
from plain_strategy.filters import refusal
from tbot.domain.contracts import Product
from tbot.domain.messages import Quote, Signal
from tbot.domain.timeframes import NS_PER_MIN
from tbot.engine import worker
from tbot.engine.child import ChildContext
from tbot.engine.settings import EngineSettings
from tbot.strategy.filters import MarketView
from tbot.strategy.trader import StrategySettings
from tbot_ext.outcome_book import OUTCOME_DTYPE
from tbot_ext.records import EventCode


@dataclass(frozen=True)
class Cue:
    """At the close of this bar (UTC ns of its start): trade `side` with these distances in ticks."""

    contract: str
    bar_start_ns: int
    side: int
    stop_ticks: int
    target_ticks: int


def write_script(path: Path, cues: list[Cue]) -> None:
    """The script as a file that every worker reads."""
    path.write_text(json.dumps([vars(cue) for cue in cues]))


class ScriptedTrader:
    """Stands in for ContractTrader; `SCRIPT` is set before a worker makes its shells."""

    SCRIPT: list[Cue]

    def __init__(self, contract: Product, _settings: StrategySettings, learned: object = None) -> None:
        self._cues = {cue.bar_start_ns: cue for cue in self.SCRIPT if cue.contract == contract.symbol}
        self.counters = {"signals": 0, "not_live": 0, "too_late": 0, "no_quote": 0, "unclean_bar": 0}

    def on_events(self, events: Any, view: MarketView) -> list[Signal]:
        signals = []
        for event in rows_of(events):
            if event.kind != EventCode.BAR or event.timeframe_min != 1 or event.flags & WARMUP:
                continue
            cue = self._cues.pop(event.known_ns - NS_PER_MIN, None)
            if cue is None:
                continue
            reason = refusal(view, event.known_ns, NS_PER_MIN, event.flags)
            self.counters[reason or "signals"] += 1
            if not reason:
                signals.append(self._signal(cue, event.known_ns, event.id, view))
        return signals

    def outcomes(self) -> np.ndarray:
        """A script has no hypothetical trades."""
        return np.zeros(0, OUTCOME_DTYPE)

    @staticmethod
    def _signal(cue: Cue, decided_ns: int, event_id: int, view: MarketView) -> Signal:
        adverse = view.ask if cue.side > 0 else view.bid
        return Signal(
            signal_id=f"{cue.contract}-script-{decided_ns}",
            contract=cue.contract,
            side=cue.side,
            quote=Quote(view.bid, view.ask, view.quote_ns, view.quote_seq, 0, view.epoch),
            stop=adverse - cue.side * cue.stop_ticks,
            target=adverse + cue.side * cue.target_ticks,
            score=80.0,
            reason="script",
            zone_id=0,
            zone_timeframe_min=5,
            parts={},
            event_ids=(event_id,),
            params_hash="script",
            decided_ns=decided_ns,
            ring_seq=view.ring_seq,
        )


def main(settings: EngineSettings, context: ChildContext) -> None:
    """Process entry point of a scripted worker."""
    ScriptedTrader.SCRIPT = [Cue(**cue) for cue in json.loads(Path(context.secrets["script"]).read_text())]
    decider_module.ContractTrader = ScriptedTrader  # type: ignore[assignment,misc]
    worker.main(settings, context)
