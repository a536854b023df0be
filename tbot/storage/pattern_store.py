"""patterns.db: what became of every setup, the weights that were learned from it, and the trades that really happened.

One process writes (the recorder; `tbot patterns freeze` and the like only while no engine runs on the state folder);
everybody else opens the file read-only. Why no write-ahead log: readers come rarely and read for milliseconds, and a
plain file can be copied and opened read-only anywhere. Losing the last second to a power cut loses a few outcomes and
nothing else, so a commit syncs as SQLite's NORMAL does. `outcome` is also there for its owner's own questions: its
columns say what they are in patterns.sql.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import Denial, RoundTrip
from tbot.domain.timeframes import NS_PER_S
from tbot.domain.trading_hours import trading_day, trading_day_start_ns
from tbot.errors import DataError
from tbot.strategy.learning import Weights
from tbot.strategy.outcomes import KINDS, DayWeights, PatternWeight, Rows, pace_name, results_r, ticks_of, trend_name
from tbot.strategy.trader import signal_name
from tbot_ext.outcome_book import ENDS, FATES, OUTCOME_DTYPE, STAGES

FILE_NAME = "patterns.db"
SCHEMA_VERSION = 1
PAGE_ROWS = 20_000
_APPLICATION_ID = 0x5442_5054  # "TBPT": a file of another program is not ours to write to
_CHICAGO = ZoneInfo("America/Chicago")
_BUSY_S = 2.0
_PARTS = ("zone_part", "mtf", "trigger", "confluence", "location")
_PLAIN = (
    "zone_id", "test", "nth", "together", "born_ns", "decided_ns", "ended_ns", "resolved_ns", "entry", "stop", "target",
    "exit", "against", "favour", "bars", "side", "timeframe_min", "score", "weight", "atr_zone", "atr_entry",
    "atr_hour",
)  # fmt: skip
_COLUMNS = (
    "contract", "kind", "stage", "fate", "ended", "day", "session", "hour", "trend", "pace", "result_ticks",
    "cost_cents", "result_r", "signal_id", *_PARTS, *_PLAIN,
)  # fmt: skip
_INSERT = f"INSERT OR IGNORE INTO outcome ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"


@dataclass(frozen=True, slots=True)
class Version:
    """Weights that hold from a trading date on."""

    seq: int
    name: str
    day: date
    outcomes: int


@dataclass(frozen=True, slots=True)
class Marks:
    """What a person decided about learning."""

    frozen: bool = False
    reset_after: int = 0  # outcomes up to this seq teach nothing any more


class _Base:
    """What reading and writing have in common."""

    def __init__(self, path: Path, address: str) -> None:
        self.path = path
        try:
            self._db = sqlite3.connect(address, uri=True, isolation_level=None, timeout=_BUSY_S)
        except sqlite3.Error as error:
            raise self._problem(error) from None

    def _problem(self, error: sqlite3.Error) -> DataError:
        return DataError(
            f"the pattern database {self.path} cannot be used ({error}); move it aside to begin a new one: only what "
            "was learned is lost"
        )

    def ask(self, statement: str, *values: object) -> list[Any]:
        """Rows of one statement. DataError when the file is damaged or out of reach."""
        try:
            return self._db.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise self._problem(error) from None

    def check(self) -> None:
        """DataError for another program's file, and for one of a later version of ours."""
        (application,), (version,) = self.ask("PRAGMA application_id")[0], self.ask("PRAGMA user_version")[0]
        if application != _APPLICATION_ID:
            raise DataError(f"{self.path} is no pattern database of ours; move it aside, then a new one is begun")
        if version != SCHEMA_VERSION:
            raise DataError(
                f"the pattern database {self.path} is of version {version}, this build knows {SCHEMA_VERSION}; use the "
                "build that wrote it, or move the file aside"
            )

    # ------------------------------------------------------------------------------------------------------ reading
    def marks(self, up_to: int | None = None) -> Marks:
        """The newest of each kind; `up_to`: of those that no outcome behind this seq went before."""
        frozen, after = False, 0
        most = 2**63 - 1 if up_to is None else up_to
        query = "SELECT what, after_outcome FROM mark WHERE after_outcome <= ? ORDER BY seq"
        for what, outcome in self.ask(query, most):
            if what == "reset":
                after = outcome
            else:
                frozen = what == "freeze"
        return Marks(frozen, after)

    def outcomes(self, after: int = 0) -> Iterator[tuple[str, Rows]]:
        """(contract, rows) of what teaches anything behind `after`, in order of writing, some at a time."""
        query = (
            f"SELECT seq, contract, kind, stage, fate, ended, {', '.join(_PLAIN)} FROM outcome "
            f"WHERE seq > ? AND stage = 'trigger' ORDER BY seq LIMIT {PAGE_ROWS}"
        )
        while page := self.ask(query, after):
            after = page[-1][0]
            for contract in sorted({row[1] for row in page}):
                if contract in PRODUCTS:
                    yield contract, _rows_of([row for row in page if row[1] == contract])

    def counted(self, last: str = "9999-12-31") -> tuple[int, int]:
        """(outcomes, those of triggered setups), up to a trading date."""
        found = self.ask("SELECT count(*), coalesce(sum(stage = 'trigger'), 0) FROM outcome WHERE day <= ?", last)[0]
        return int(found[0]), int(found[1])

    def versions(self, newest: int = 2) -> list[Version]:
        """The newest first."""
        rows = self.ask("SELECT seq, name, day, outcomes FROM version ORDER BY seq DESC LIMIT ?", newest)
        return [Version(seq, name, date.fromisoformat(day), outcomes) for seq, name, day, outcomes in rows]

    def version_of(self, day: date) -> Version | None:
        """What held on a trading date; None: nothing yet."""
        found = [one for one in self.versions(-1) if one.day <= day]
        return found[0] if found else None

    def weights(self, version: int) -> dict[tuple[str, str, int], PatternWeight]:
        """Of one version; a pattern that is not there has weight 1."""
        rows = self.ask(
            "SELECT contract, kind, timeframe_min, weight, outcomes, edge_r FROM weight WHERE version = ?", version
        )
        return {(row[0], row[1], row[2]): PatternWeight(*row[1:]) for row in rows}

    def frozen_weights(self, contract: str, day_start_ns: int) -> DayWeights:
        """The stored weights of one contract, whatever has been learned since."""
        found = self.versions(1)
        if not found:
            return DayWeights(day_start_ns, "")
        kept = self.weights(found[0].seq)
        return DayWeights(day_start_ns, found[0].name, tuple(one for key, one in kept.items() if key[0] == contract))

    def close(self) -> None:
        """Safe to repeat."""
        self._db.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class PatternReader(_Base):
    """A pattern database that is only looked at, also while an engine writes to it."""

    def __init__(self, path: Path) -> None:
        """DataError when it is not there, or none of ours."""
        if not path.exists():
            raise DataError(f"there is no pattern database {path} yet; an engine that observes or learns makes one")
        super().__init__(path, f"{path.absolute().as_uri()}?mode=ro")
        try:
            self.check()
        except DataError:
            self.close()
            raise

    def __enter__(self) -> "PatternReader":
        return self


class PatternStore(_Base):
    """The writing side. DataError for a file that is damaged, foreign, newer, or cannot be written."""

    def __init__(self, path: Path) -> None:
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise DataError(
                f"the pattern database {path} cannot be written: {error.strerror}; make its folder writable or set "
                '[learning] mode = "off"'
            ) from None
        super().__init__(path, f"{path.absolute().as_uri()}?mode=rw")
        try:
            self._begin()
        except sqlite3.Error as error:
            self.close()
            raise self._problem(error) from None
        except DataError:
            self.close()
            raise

    def _begin(self) -> None:
        """The tables of a new file; an old one is checked, and brought up to date version by version."""
        self._db.execute("PRAGMA synchronous = NORMAL")
        blank = not self.ask("SELECT count(*) FROM sqlite_schema")[0][0]
        if blank and not self.ask("PRAGMA application_id")[0][0]:
            schema = files("tbot.storage").joinpath("patterns.sql").read_text(encoding="utf-8")
            self._db.executescript(
                f"BEGIN; PRAGMA application_id = {_APPLICATION_ID}; {schema} PRAGMA user_version = {SCHEMA_VERSION}; "
                "COMMIT;"
            )
        self.check()  # version 1 is the first one: later ones migrate here

    def __enter__(self) -> "PatternStore":
        return self

    def add(self, contract: str, rows: Rows) -> Rows:
        """Keep outcomes; those that were not known yet come back, in order."""
        product = PRODUCTS[contract]
        ticks, result = ticks_of(rows).tolist(), results_r(rows, product).tolist()
        fresh = []
        with self._whole():
            for index, row in enumerate(rows):
                named = _named(contract, row, ticks[index], product.round_turn_cents, result[index])
                cursor = self._db.execute(_INSERT, [named[column] for column in _COLUMNS])
                if cursor.rowcount:
                    fresh.append(index)
        return rows[fresh]

    def add_version(self, weights: Weights, contracts: Iterable[str]) -> bool:
        """Keep the weights of a day unless they are those that were kept last; whether they were kept."""
        last = self.versions(1)
        if not weights.version or (last and last[0].name == weights.version):
            return False
        with self._whole():
            day = date.fromordinal(weights.day).isoformat()
            statement = "INSERT INTO version (name, day, outcomes) VALUES (?, ?, ?)"
            seq = self._db.execute(statement, (weights.version, day, weights.outcomes)).lastrowid
            rows = [
                (seq, contract, one.kind, one.timeframe_min, one.outcomes, one.edge_r, one.weight)
                for contract in sorted({*contracts, *(key[0] for key in weights.sums)})
                for one in weights.of(contract).patterns
            ]
            self._db.executemany("INSERT INTO weight VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        return True

    def mark(self, what: str, at_ns: int) -> None:
        """freeze, unfreeze, reset."""
        last = self.ask("SELECT coalesce(max(seq), 0) FROM outcome")[0][0]
        with self._whole():
            self._db.execute("INSERT INTO mark (what, at_ns, after_outcome) VALUES (?, ?, ?)", (what, at_ns, last))

    def add_trades(self, trips: Sequence[RoundTrip], denials: Sequence[Denial]) -> None:
        """Keep what really happened; known ones are passed over."""
        with self._whole():
            self._db.executemany(
                "INSERT OR IGNORE INTO trip VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        trip.account, trip.contract, trip.opened_ns, trip.now_ns, trip.signal_id, trip.side, trip.size,
                        trip.gross_cents, trip.fees_cents + trip.commission_cents, trip.exit_reason,
                    )
                    for trip in trips
                ],
            )  # fmt: skip
            self._db.executemany(
                "INSERT OR IGNORE INTO denial VALUES (?, ?, ?)",
                [(denial.account, denial.signal_id, denial.reason) for denial in denials],
            )

    def _whole(self) -> "_Transaction":
        return _Transaction(self)


class _Transaction:
    """All of it or nothing; DataError when it cannot be written."""

    def __init__(self, store: PatternStore) -> None:
        self._store = store

    def __enter__(self) -> None:
        self._store.ask("BEGIN IMMEDIATE")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._store.ask("COMMIT")
            return
        if self._store._db.in_transaction:
            self._store._db.rollback()
        if isinstance(error, sqlite3.Error):
            raise self._store._problem(error) from None


def session_name(at_ns: int) -> tuple[str, int]:
    """(session, hour) of a moment, by the clock of Chicago: Asia from 17:00, London from 02:00, New York from 08:30."""
    local = datetime.fromtimestamp(at_ns // NS_PER_S, UTC).astimezone(_CHICAGO)
    minute = 60 * local.hour + local.minute
    name = "asia" if minute >= 17 * 60 or minute < 2 * 60 else "london" if minute < 8 * 60 + 30 else "new_york"
    return name, local.hour


def _named(contract: str, row: Any, ticks: int, cost_cents: int, result: float) -> dict[str, Any]:
    """The columns of one outcome."""
    decided_ns, resolved_ns = int(row["decided_ns"]), int(row["resolved_ns"])
    session, hour = session_name(decided_ns)
    signal_id = signal_name(contract, decided_ns, int(row["zone_id"]), int(row["test"]))
    told = {
        "contract": contract, "kind": KINDS[row["kind"]], "stage": STAGES[row["stage"]], "fate": FATES[row["fate"]],
        "ended": ENDS[row["end"]], "day": trading_day(resolved_ns).isoformat(), "session": session, "hour": hour,
        "trend": trend_name(row), "pace": pace_name(row), "result_ticks": ticks, "cost_cents": cost_cents,
        "result_r": result, "signal_id": signal_id,
    }  # fmt: skip
    parts = dict(zip(_PARTS, (round(float(part), 4) for part in row["parts"]), strict=True))
    return told | parts | {name: row[name].item() for name in _PLAIN}


def _rows_of(page: Sequence[Any]) -> Rows:
    """Outcomes as the strategy layer has them, so far as they teach."""
    rows = np.zeros(len(page), OUTCOME_DTYPE)
    for index, (_, _, kind, stage, fate, ended, *plain) in enumerate(page):
        row = rows[index]
        row["kind"], row["stage"] = KINDS.index(kind), STAGES.index(stage)
        row["fate"], row["end"] = FATES.index(fate), ENDS.index(ended)
        for name, value in zip(_PLAIN, plain, strict=True):
            row[name] = value
    return rows


def next_day_start_ns(day: date) -> int:
    """First instant of the trading day after a trading date."""
    noon = int(datetime(day.year, day.month, day.day, 18, tzinfo=UTC).timestamp()) * NS_PER_S
    return trading_day_start_ns(noon + 86_400 * NS_PER_S)
