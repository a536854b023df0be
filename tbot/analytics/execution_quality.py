"""How well orders were carried out and what went wrong on the way: latency, slippage, fill ratio, refusals, states."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tbot.analytics.journal_records import Records
from tbot.analytics.period import Period
from tbot.analytics.round_trips import Deal
from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import Fill

LATENCIES = {
    "frame_recv_ring_written": "frame received → tick in the ring",
    "ring_written_worker_woke": "tick in the ring → worker awake",
    "frame_recv_worker_woke": "frame received → worker awake",
    "worker_woke_sent": "worker awake → signal sent",
    "sent_received": "signal sent → executor has it",
    "received_journaled": "executor has it → approved, in the journal",
    "journaled_request": "in the journal → request leaves",
    "request_answered": "request leaves → answered",
}


@dataclass(frozen=True, slots=True)
class Latency:
    """Of one hop, in nanoseconds. Percentiles by nearest rank: times that really were."""

    hop: str
    n: int
    p50_ns: int
    p99_ns: int
    worst_ns: int


@dataclass(frozen=True, slots=True)
class Refused:
    """Signals that one reason kept out, and its newest sentence."""

    reason: str
    n: int
    text: str


@dataclass(frozen=True, slots=True)
class Quality:
    """Execution and operations of a period."""

    latencies: tuple[Latency, ...]
    slippage_ticks: int  # of all entries, over contracts; + is worse
    slippage_contracts: int
    slippage_worse: int  # trades that entered worse than decided, as decided, better
    slippage_equal: int
    slippage_better: int
    signals: int
    taken: int  # signals that at least one account took
    intents: int  # approvals, one an account
    denials: tuple[Refused, ...]  # most frequent first; one an account
    entries: int  # entry orders that were sent
    entry_contracts: int
    filled_entries: int  # with at least one fill
    filled_contracts: int
    rejected: int
    ambiguous: int  # of which nobody knew at first whether they had arrived
    not_sent: int
    starts: int  # of the engine
    halts: tuple[tuple[str, int], ...]  # state -> how often it was entered, of the strict ones
    gaps: tuple[tuple[str, int], ...]  # contract -> times its data was not whole
    conditions: tuple[tuple[str, int], ...]  # code of what paused all accounts -> times

    @property
    def fill_ratio(self) -> float | None:
        """Contracts filled over contracts ordered; None: nothing was ordered."""
        return self.filled_contracts / self.entry_contracts if self.entry_contracts else None


def quality(records: Records, deals: Sequence[Deal], period: Period) -> Quality:
    """Of one period; `deals` are its round trips."""
    intents = [intent for intent in records.intents.values() if period.holds(intent.now_ns)]
    filled = _filled(records)
    outcomes = Counter(
        result.outcome for entry in records.entries if (result := records.results.get(entry.command_id)) is not None
    )
    slips = [deal.trip.slippage_ticks for deal in deals if deal.intent or deal.trip.signal_id]
    return Quality(
        latencies=tuple(_latencies(deals)),
        slippage_ticks=sum(slips),
        slippage_contracts=sum(deal.trip.size for deal in deals if deal.intent or deal.trip.signal_id),
        slippage_worse=sum(slip > 0 for slip in slips),
        slippage_equal=sum(slip == 0 for slip in slips),
        slippage_better=sum(slip < 0 for slip in slips),
        signals=len(records.decided),
        taken=len({intent.signal_id for intent in intents}),
        intents=len(intents),
        denials=_refusals(records),
        entries=len(records.entries),
        entry_contracts=sum(entry.size for entry in records.entries),
        filled_entries=sum(1 for size in filled if size),
        filled_contracts=sum(filled),
        rejected=outcomes["rejected"],
        ambiguous=outcomes["ambiguous"],
        not_sent=outcomes["not_sent"],
        starts=sum(1 for run in records.runs if period.holds(run.info.started_ns)),
        halts=_counted(
            change.state for change in records.states if change.state in ("REDUCING", "LOCKED", "HALTED")
        ),
        gaps=_counted(feed.contract for feed in records.feeds if feed.state in ("stale", "gap")),
        conditions=_counted(one.code for one in records.conditions if one.text),
    )


def _counted(names: Iterable[str]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(Counter(names).items(), key=lambda entry: (-entry[1], entry[0])))


def _latencies(deals: Sequence[Deal]) -> list[Latency]:
    times: dict[str, list[int]] = {}
    for deal in deals:
        for hop, took in deal.hops().items():
            times.setdefault(hop, []).append(took)
    order = {hop: place for place, hop in enumerate(LATENCIES)}
    found = []
    for hop in sorted(times, key=lambda name: (order.get(name, len(order)), name)):
        mine = times[hop]
        p50, p99 = np.percentile(mine, [50, 99], method="inverted_cdf").tolist()
        found.append(Latency(hop, len(mine), int(p50), int(p99), max(mine)))
    return found


def _refusals(records: Records) -> tuple[Refused, ...]:
    texts = {denial.reason: denial.text for denial in records.denials}
    return tuple(Refused(reason, n, texts[reason]) for reason, n in _counted(one.reason for one in records.denials))


def _filled(records: Records) -> list[int]:
    """Contracts that each entry order of the period was filled with."""
    sizes: dict[tuple[int, int], dict[int, Fill]] = {}
    for told in records.fills:
        fill = told.item
        sizes.setdefault((fill.account, fill.order_id), {})[fill.fill_id] = fill
    found = []
    for entry in records.entries:
        result = records.results.get(entry.command_id)
        order = result.order_id if result is not None else None
        if order is None:
            order = records.orders_of_tag.get((entry.account, entry.tag))
        fills = {} if order is None else sizes.get((entry.account, order), {})
        total = sum(fill.size for fill in fills.values() if not fill.voided and fill.contract in PRODUCTS)
        found.append(min(total, entry.size))
    return found
