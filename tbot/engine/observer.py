"""Counts and words about everything that goes through the Desk: the executor's part of status and screen.

It stands behind the journal in the recorder chain, so a line on the screen is never ahead of the record.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import (
    Barred,
    CommandResult,
    Denial,
    DeskInput,
    DeskOutput,
    Fill,
    Intent,
    PlaceBracket,
    RoundTrip,
    StateChange,
)
from tbot.domain.words import CLOSED
from tbot.engine.clocks import boot_ns
from tbot.engine.health import Hops
from tbot.execution.broker import Recorder
from tbot_ext.histogram import LatencyHistogram

Tell = Callable[[int, str, str, str], None]  # now_ns, kind, contract, text


class Observer:
    """Recorder that journals first, then counts and tells."""

    def __init__(self, journal: Recorder, tell: Tell, hops: Hops, names: Mapping[int, str] | None = None) -> None:
        """`names`: of the accounts, put before each line where there are several."""
        self._journal = journal
        self._tell_plain = tell
        self._names = names or {}
        self._hops = hops
        self.intents = 0
        self.denials: Counter[str] = Counter()
        self.fills = 0
        self.round_trips = 0
        self.state_changes = 0
        self._slip_ticks = 0
        self._slip_contracts = 0
        self._approved: dict[tuple[int, str], int] = {}  # (account, contract) -> boot time of the approval
        self._execution = LatencyHistogram()
        self._execution_sum_ns = 0
        self._seen_fills: set[tuple[int, int]] = set()

    def _tell(self, account: int, now_ns: int, kind: str, contract: str, text: str) -> None:
        name = self._names.get(account)
        self._tell_plain(now_ns, kind, contract, f"{name}: {text}" if name else text)

    def record(self, item: DeskInput, outputs: list[DeskOutput]) -> None:
        """Journal, then look at what happened."""
        started = boot_ns()
        self._journal.record(item, outputs)
        if any(isinstance(output, PlaceBracket) for output in outputs):
            self._hops.record("journal", boot_ns() - started)
        if isinstance(item, Fill):
            self._on_fill(item)
        elif isinstance(item, CommandResult) and item.outcome in ("rejected", "ambiguous"):
            text = f"{item.command_id}: {item.outcome} {item.text}".rstrip()
            self._tell(item.account, item.now_ns, "ORDER", "", text)
        for output in outputs:
            self._on_output(output)

    def _on_fill(self, fill: Fill) -> None:
        key = (fill.account, fill.fill_id)
        if key in self._seen_fills:
            return
        self._seen_fills.add(key)
        self.fills += 1
        approved = self._approved.pop((fill.account, fill.contract), None)
        took = ""
        if approved is not None:
            elapsed = boot_ns() - approved
            self._execution.record(elapsed)
            self._execution_sum_ns += elapsed
            took = f" · approved to filled {elapsed / 1e6:.1f} ms"
        price = PRODUCTS[fill.contract].format(fill.price)
        self._tell(fill.account, fill.now_ns, "FILL", fill.contract, f"{fill.side * fill.size:+d} @ {price}{took}")

    def _on_output(self, output: DeskOutput) -> None:
        if isinstance(output, Intent):
            self.intents += 1
            self._approved[(output.account, output.contract)] = boot_ns()
            side = "long" if output.side > 0 else "short"
            text = (
                f"{side} {output.size}: stop {output.stop_ticks} ticks, target {output.target_ticks} ticks, "
                f"worst case ${output.risk_cents / 100:,.2f}"
            )
            self._tell(output.account, output.now_ns, "INTENT", output.contract, text)
        elif isinstance(output, Denial):
            self.denials[output.reason] += 1
            self._tell(output.account, output.now_ns, "DENIAL", output.contract, f"{output.text} ({output.reason})")
        elif isinstance(output, StateChange):
            self.state_changes += 1
            codes = " ".join(output.reasons)
            text = f"{output.state}: {output.text}" + (f" ({codes})" if codes else "")
            self._tell(output.account, output.now_ns, "STATE", "", text)
        elif isinstance(output, Barred):
            text = f"no entries for the rest of the day: {output.text} ({output.code})"
            self._tell(output.account, output.now_ns, "STATE", output.contract, text)
        elif isinstance(output, RoundTrip):
            self._on_round_trip(output)

    def _on_round_trip(self, trip: RoundTrip) -> None:
        self.round_trips += 1
        self._slip_ticks += trip.slippage_ticks
        self._slip_contracts += trip.size
        side = "long" if trip.side > 0 else "short"
        net = trip.net_cents / 100
        sign = "+" if net > 0 else "−" if net < 0 else ""
        minutes, how = (trip.now_ns - trip.opened_ns) / 60e9, CLOSED[trip.exit_reason]
        text = f"{side} {trip.size} closed {how}: {sign}${abs(net):,.2f} net after {minutes:.1f} min"
        self._tell(trip.account, trip.now_ns, "ROUND", trip.contract, text)

    def status(self) -> dict[str, Any]:
        """Plain figures for the status document; times in ns, slippage in ticks per contract (+ is worse)."""
        count = self._execution.count
        execution = {}
        if count:
            execution = {"mean": self._execution_sum_ns // count, "p99": int(self._execution.percentile(99))}
        slip = round(self._slip_ticks / self._slip_contracts, 3) if self._slip_contracts else None
        return {
            "intents": self.intents,
            "denials": dict(self.denials),
            "fills": self.fills,
            "execution_ns": execution,
            "slippage_ticks": slip,
        }
