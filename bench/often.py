"""`tbot` as the benches run it: `python often.py FOLDER run ...`; a strategy that speaks often, and kept latencies.

Two things differ from `tbot`. The workers' trader does all the work of the packaged one at every bar, and, once there
is a file FOLDER/speak, gives one signal at each closed minute, so that a short run has many (the packaged one gives a
few a day). And every process keeps each value that it adds to its latency histograms: FOLDER/<process>.hops gets,
whenever the process reports (about once a second), one JSON line {"boot_ns": ..., "hops": {name: [ns, ...]}}.
"""

import importlib
import json
import sys
from array import array
from dataclasses import replace
from pathlib import Path
from typing import Any

import tbot.strategy.decider as decider_module
from tbot.commands import launch
from tbot.domain.contracts import Product
from tbot.domain.messages import Quote, Signal
from tbot.domain.timeframes import NS_PER_MIN
from tbot.engine import executor, feed, worker
from tbot.engine.child import ChildContext
from tbot.engine.clocks import boot_ns
from tbot.engine.health import Hops
from tbot.engine.processes import ProcessSpec
from tbot.engine.settings import EngineSettings
from tbot.strategy.filters import MarketView
from tbot.strategy.learning import WeightSource
from tbot.strategy.trader import ContractTrader, StrategySettings
from tbot_ext.records import NO_PRICE

DISTANCE = 8  # ticks to stop and to target: a trade is over within a minute of the benches' rising market


class OftenTrader(ContractTrader):
    """The packaged strategy at work, and a long signal at every closed minute whatever it found."""

    SPEAKS = False

    def __init__(self, contract: Product, settings: StrategySettings, learned: WeightSource | None = None) -> None:
        super().__init__(contract, settings, learned)
        self._contract = contract.symbol
        self._minute = 0

    def on_events(self, events: Any, view: MarketView) -> list[Signal]:
        """All that the packaged strategy does; its own word, if it has one, else ours."""
        found = super().on_events(events, view)
        minute = view.now_ns // NS_PER_MIN
        if minute == self._minute or not self.SPEAKS or not view.live:
            return found
        if view.bid == NO_PRICE or view.bid > view.ask:
            return found
        self._minute = minute
        return found or [self._signal(minute * NS_PER_MIN, view)]

    def _signal(self, decided_ns: int, view: MarketView) -> Signal:
        return Signal(
            signal_id=f"{self._contract}-often-{decided_ns}",
            contract=self._contract,
            side=1,
            quote=Quote(view.bid, view.ask, view.quote_ns, view.quote_seq, 0, view.epoch),
            stop=view.ask - DISTANCE,
            target=view.ask + DISTANCE,
            score=80.0,
            reason="often",
            zone_id=0,
            zone_timeframe_min=5,
            parts={},
            event_ids=(),
            params_hash="often",
            decided_ns=decided_ns,
            ring_seq=view.ring_seq,
        )


class KeptHops(Hops):
    """The engine's histograms, and each value for the bench; `folder` and `process` are set before one is made."""

    folder: Path
    process: str

    def __init__(self, *names: str) -> None:
        super().__init__(*names)
        self._kept = {name: array("q") for name in names}

    def record(self, name: str, elapsed_ns: int, times: int = 1) -> None:
        """See Hops: a value stands once for each of its `times`."""
        super().record(name, elapsed_ns, times)
        self._kept[name].extend(array("q", (elapsed_ns,)) * times)

    def status(self) -> dict[str, dict[str, int]]:
        """See Hops; writes down what came since the last call."""
        OftenTrader.SPEAKS = OftenTrader.SPEAKS or (self.folder / "speak").exists()  # looked at where nothing waits
        hops = {name: values.tolist() for name, values in self._kept.items() if values}
        if hops:
            with (self.folder / f"{self.process}.hops").open("a") as file:
                file.write(json.dumps({"boot_ns": boot_ns(), "hops": hops}) + "\n")
            self._kept = {name: array("q") for name in self._kept}
        return super().status()


def child_main(settings: EngineSettings, context: ChildContext) -> None:
    """Process entry point of every process of the engine."""
    KeptHops.folder, KeptHops.process = Path(context.secrets["bench"]), context.name
    for module in (feed, executor, worker):
        module.Hops = KeptHops  # type: ignore[misc]
    decider_module.ContractTrader = OftenTrader  # type: ignore[misc]
    module_name, _, function = context.secrets["target"].partition(":")
    getattr(importlib.import_module(module_name), function)(settings, context)


def main() -> None:
    """The command line of `tbot` behind the folder's name."""
    folder, real = sys.argv[1], launch.engine_specs

    def watched(settings: EngineSettings, credentials: tuple[str, str] | None) -> list[ProcessSpec]:
        return [
            replace(spec, target="often:child_main", secrets={**spec.secrets, "bench": folder, "target": spec.target})
            for spec in real(settings, credentials)
        ]

    launch.engine_specs = watched
    from tbot.cli import run

    run(sys.argv[2:])


if __name__ == "__main__":
    main()
