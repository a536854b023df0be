"""The figures behind `tbot patterns` and the report: outcomes of a database by pattern, and what learning makes of it.

Of a stretch of days (`Days`) everything is as it was known when it ended: outcomes of later days, versions that began
to hold later, and decisions of a person that came behind later outcomes are left out.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from tbot.domain.timeframes import MINUTES
from tbot.storage.pattern_store import FILE_NAME, Marks, PatternReader, Version, next_day_start_ns
from tbot.strategy.learning import Judged, Ledger, Weights
from tbot.strategy.learning_settings import LearningSettings
from tbot.validation.bootstrap import Interval, wilson

Key = tuple[str, str, int]

# Of triggered setups whose target is worth its costs and whose end is known: as strategy.outcomes.counts.
_COUNTS = (
    "stage = 'trigger' AND ended <> 'unclean' AND fate <> 'target_below_cost' AND (nth = 1 OR fate = 'signal') "
    "AND seq > ? AND day <= ?"
)
_EVER = "9999-12-31"
_SPLITS = {"session": "session", "trend of 1h": "trend", "pace": "pace"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which patterns are shown; None: all."""

    contracts: tuple[str, ...] | None = None
    kind: str | None = None
    timeframe: str | None = None

    def holds(self, key: Key) -> bool:
        contract, kind, minutes = key
        return (
            (self.contracts is None or contract in self.contracts)
            and self.kind in (None, kind)
            and (self.timeframe is None or MINUTES[self.timeframe] == minutes)
        )


@dataclass(frozen=True, slots=True)
class Days:
    """Trading days from one to another, both included."""

    first: date
    last: date


@dataclass(frozen=True, slots=True)
class Recent:
    """Outcomes that count of the wanted days alone."""

    n: int = 0
    won: int = 0
    mean_r: float = 0.0


@dataclass
class Row:
    """One pattern. `expectancy_r` and `needed` are plain means; None without an outcome that counts."""

    judged: Judged
    before: float
    after: float
    why: str
    n: int = 0
    won: int = 0
    needed: float | None = None
    expectancy_r: float | None = None
    won_r: float = 0.0  # sum of what winners made, in R
    lost_r: float = 0.0  # of what losers lost, positive
    recent: Recent = Recent()
    fates: dict[str, int] = field(default_factory=dict)
    splits: dict[str, dict[str, tuple[int, float]]] = field(default_factory=dict)
    untriggered: int = 0
    untriggered_r: float | None = None
    traded: int = 0
    net_cents: int = 0

    @property
    def share(self) -> Interval:
        """Of wins, with Wilson's interval."""
        return wilson(self.won, self.n)

    @property
    def profit_factor(self) -> float | None:
        """Of results in R; None before the first loss."""
        return self.won_r / self.lost_r if self.lost_r > 0 else None


@dataclass(frozen=True)
class Table:
    """Everything that is shown."""

    mode: str
    frozen: bool
    in_force: Version | None
    learned: Weights
    totals: dict[str, int]
    rows: list[Row]


def table(folder: Path, settings: LearningSettings, wanted: Wanted, days: Days | None = None) -> Table:
    """Of the database of a state folder. DataError when there is none, or it is damaged.

    Weights before: those in force, of `days` when their first began. After: what all outcomes to the end give.
    """
    last = days.last.isoformat() if days else _EVER
    with PatternReader(folder / FILE_NAME) as store:
        marks = _marks(store, last)
        ledger = Ledger(settings)
        for contract, rows in store.outcomes(marks.reset_after):
            ledger.add(contract, rows)
        newest = store.ask("SELECT max(day) FROM outcome WHERE day <= ?", last)[0][0]
        learned = ledger.weights(next_day_start_ns(date.fromisoformat(newest or "1970-01-02")))
        in_force = store.version_of(days.first if days else date.max)
        before = store.weights(in_force.seq) if in_force else {}
        frozen = marks.frozen or settings.frozen
        found = _rows(store, marks.reset_after, wanted, last)
        for key, row in found.items():
            judged = learned.judge(key)
            row.judged, row.why = judged, why(judged, settings)
            row.needed = judged.own.needed / judged.own.n if judged.own.n else None
            row.before = before[key].weight if key in before else 1.0
            row.after = row.before if frozen else judged.weight
        if days:
            _add_recent(store, found, marks.reset_after, days)
        outcomes, triggered = store.counted(last)
        totals = {
            "outcomes": outcomes,
            "triggered": triggered,
            "counted": sum(row.n for row in found.values()),
            "traded": int(store.ask("SELECT count(*) FROM trip")[0][0]),
        }
    order = sorted(found.items(), key=lambda item: (item[0][0], -item[1].n, item[0]))
    return Table(settings.mode, frozen, in_force, learned, totals, [row for _, row in order])


def _marks(store: PatternReader, last: str) -> Marks:
    """What a person had decided by the end of a day: a decision behind an outcome of a later day came later."""
    (newest,) = store.ask("SELECT coalesce(max(seq), 0) FROM outcome WHERE day <= ?", last)[0]
    (later,) = store.ask("SELECT count(*) FROM outcome WHERE day > ?", last)[0]
    return store.marks(newest if later else None)


def _add_recent(store: PatternReader, found: dict[Key, Row], after: int, days: Days) -> None:
    """What the days themselves brought."""
    query = (
        "SELECT contract, kind, timeframe_min, count(*), sum(result_r > 0), avg(result_r) FROM outcome WHERE "
        f"{_COUNTS} AND day >= ? GROUP BY contract, kind, timeframe_min"
    )
    for contract, kind, minutes, n, won, mean in store.ask(query, after, days.last.isoformat(), days.first.isoformat()):
        if row := found.get((contract, kind, minutes)):
            row.recent = Recent(n, won, mean)


def _rows(store: PatternReader, after: int, wanted: Wanted, last: str) -> dict[Key, Row]:
    """Plain figures by pattern, of outcomes behind a reset and up to a day."""
    group = "contract, kind, timeframe_min"
    found: dict[Key, Row] = {}
    counts: dict[Key, dict[str, int]] = defaultdict(dict)
    fates = (
        f"SELECT {group}, fate, count(*) FROM outcome WHERE stage = 'trigger' AND seq > ? AND day <= ? "
        f"GROUP BY {group}, fate"
    )
    for contract, kind, minutes, fate, number in store.ask(fates, after, last):
        counts[contract, kind, minutes][fate] = number
    for key in sorted(counts):
        if wanted.holds(key):
            found[key] = Row(Weights(0, 0, LearningSettings()).judge(key), 1.0, 1.0, "", fates=counts[key])
    query = (
        f"SELECT {group}, count(*), sum(result_r > 0), avg(result_r), sum(max(result_r, 0)), -sum(min(result_r, 0)) "
        f"FROM outcome WHERE {_COUNTS} GROUP BY {group}"
    )
    for contract, kind, minutes, *told in store.ask(query, after, last):
        if row := found.get((contract, kind, minutes)):
            row.n, row.won, row.expectancy_r, row.won_r, row.lost_r = told
    for title, column in _SPLITS.items():
        query = (
            f"SELECT {group}, {column}, count(*), avg(result_r) FROM outcome WHERE {_COUNTS} GROUP BY {group}, {column}"
        )
        for contract, kind, minutes, value, n, mean in store.ask(query, after, last):
            if row := found.get((contract, kind, minutes)):
                row.splits.setdefault(title, {})[value] = (n, mean)
    query = (
        f"SELECT {group}, count(*), avg(result_r) FROM outcome WHERE stage = 'test' AND ended <> 'unclean' AND seq > ? "
        f"AND day <= ? GROUP BY {group}"
    )
    for contract, kind, minutes, n, mean in store.ask(query, after, last):
        if row := found.get((contract, kind, minutes)):
            row.untriggered, row.untriggered_r = n, mean
    _add_trips(store, found)
    return found


def _add_trips(store: PatternReader, found: dict[Key, Row]) -> None:
    """Round trips that really happened, of all accounts, by the pattern of their signal."""
    query = (
        "SELECT o.contract, o.kind, o.timeframe_min, count(*), sum(t.gross_cents - t.cost_cents) FROM trip t JOIN "
        "(SELECT DISTINCT signal_id, contract, kind, timeframe_min FROM outcome WHERE stage = 'trigger' AND fate = "
        "'signal') o ON o.signal_id = t.signal_id GROUP BY o.contract, o.kind, o.timeframe_min"
    )
    for contract, kind, minutes, n, net in store.ask(query):
        if row := found.get((contract, kind, minutes)):
            row.traded, row.net_cents = n, net


def why(judged: Judged, settings: LearningSettings) -> str:
    """How a weight came about, in one sentence."""
    own, k = judged.own, settings.prior_outcomes
    if not own.n:
        said = "no outcome of its own counts"
    else:
        said = (
            f"its own outcomes, {own.n:.1f} after decay and ties, won {own.wins / own.n:.0%} where "
            f"{own.needed / own.n:.0%} lose nothing, {own.r / own.n:+.2f} R on average"
        )
    after = judged.posterior
    return (
        f"{said}; its relatives expect {judged.others.mu:+.2f} R and weigh as {k:g} outcomes; together "
        f"{after.mu:+.3f} R and {after.excess:+.1%} wins beyond need: the smaller edge, {judged.edge_r:+.3f} R, gives "
        f"weight {judged.weight:.4g}"
    )
