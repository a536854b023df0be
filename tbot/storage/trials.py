"""The ledger of trials: every run over past data, and every opening of a hold-out, in one file that only grows.

It lies beside the state folders (TBOT_HOME/trials.jsonl) and cannot be switched off, because a result means the less
the more was tried before it (validation V6, V14). Each line carries a hash that includes the line before, so a line
that was taken out or changed afterwards is seen. One line is a few kilobytes: with the daily results, from which the
effective number of trials follows.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec
import orjson

from tbot.domain.contracts import PRODUCTS
from tbot.errors import DataError

FILE_NAME = "trials.jsonl"
_CHAIN_CHARS = 32
_FIRST = "0" * _CHAIN_CHARS
_TAIL_BYTES = 1 << 20  # longer than any line


@dataclass(frozen=True, slots=True)
class Trial:
    """One run over past data. Money in cents; `daily_cents` net result by trading day (days since 1970-01-01)."""

    at_ns: int  # UTC, when it was run
    command: str  # backtest, sweep, walkforward, ...
    plan_hash: str
    data_hash: str
    contracts: tuple[str, ...]
    first_ns: int  # of the data
    last_ns: int
    trips: int
    net_cents: int
    daily_cents: Mapping[int, int] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)  # what a sweep varied
    kind: Literal["run", "holdout"] = "run"  # holdout: the data are a locked end that was opened for this run

    def overlaps(self, other: "Trial") -> bool:
        """Whether both looked at a common stretch of a common market; mini and micro of one underlying are one."""
        common = _families(self.contracts) & _families(other.contracts)
        return bool(common) and self.first_ns <= other.last_ns and other.first_ns <= self.last_ns


def _families(contracts: Sequence[str]) -> set[str]:
    return {PRODUCTS[symbol].family if symbol in PRODUCTS else symbol for symbol in contracts}


def append_trials(home: Path, trials: Sequence[Trial]) -> None:
    """Write trials at the end, synced. DataError when the ledger is damaged or cannot be written."""
    path = home / FILE_NAME
    try:
        home.mkdir(parents=True, exist_ok=True)
        with open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            chain = _last_chain(path, file)
            lines = []
            for trial in trials:
                body = orjson.dumps(asdict(trial), option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
                chain = _next_chain(chain, body)
                lines.append(chain.encode() + b" " + body + b"\n")
            file.write(b"".join(lines))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise DataError(
            f"the ledger of trials {path} cannot be written ({error.strerror}); a run that leaves no trace there does "
            "not count, so make the folder writable or set TBOT_HOME"
        ) from None


def read_trials(home: Path) -> list[Trial]:
    """All trials, oldest first; none without a file. DataError names the first line that is not what was written."""
    path = home / FILE_NAME
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DataError(f"the ledger of trials {path} cannot be read: {error.strerror}; mend its permissions") from None
    return list(_checked(path, data))


def open_ledger(home: Path) -> list[Trial]:
    """All trials, before a run: one that could not be remembered afterwards is refused now."""
    found = read_trials(home)
    append_trials(home, ())
    return found


def rivals(trials: Sequence[Trial], mine: Trial) -> list[Trial]:
    """The other runs that looked at data of `mine`: of each distinct plan and data the newest."""
    found: dict[tuple[str, str], Trial] = {}
    for trial in trials:
        key = (trial.plan_hash, trial.data_hash)
        if trial.overlaps(mine) and key != (mine.plan_hash, mine.data_hash):
            found[key] = trial
    return list(found.values())


def opened_before(trials: Sequence[Trial], mine: Trial) -> Trial | None:
    """The first opening of a hold-out that overlaps `mine` with another plan or other data; None: it is still locked.

    The same plan over the same data once more shows what was seen already, and is no second opening.
    """
    for trial in trials:
        same = (trial.plan_hash, trial.data_hash) == (mine.plan_hash, mine.data_hash)
        if trial.kind == "holdout" and trial.overlaps(mine) and not same:
            return trial
    return None


def looked_before(trials: Sequence[Trial], mine: Trial) -> int:
    """Runs on record that looked at data of `mine` without opening it as a hold-out: for those it was none."""
    return sum(trial.kind == "run" and trial.overlaps(mine) for trial in trials)


def _next_chain(chain: str, body: bytes) -> str:
    return hashlib.sha256(chain.encode() + body).hexdigest()[:_CHAIN_CHARS]


def _damaged(path: Path, why: str) -> DataError:
    return DataError(
        f"the ledger of trials {path} is damaged ({why}); move it aside to begin a new one, and know that what was "
        "tried before is then not counted"
    )


def _last_chain(path: Path, file: Any) -> str:
    """Hash of the last line; a line that a crash cut off is taken back first."""
    size = file.seek(0, os.SEEK_END)
    start = max(0, size - _TAIL_BYTES)
    file.seek(start)
    tail = file.read(size - start)
    whole = tail.rfind(b"\n") + 1
    if whole < len(tail):
        if not whole and start:
            raise _damaged(path, "a line without an end")
        file.truncate(start + whole)
    lines = tail[:whole].splitlines()
    if not lines:
        return _FIRST
    chain = str(lines[-1][:_CHAIN_CHARS], "ascii", "replace")
    if len(lines[-1]) < _CHAIN_CHARS + 2 or not all(char in "0123456789abcdef" for char in chain):
        raise _damaged(path, "its last line is none of ours")
    return chain


def _checked(path: Path, data: bytes) -> Iterator[Trial]:
    chain = _FIRST
    for number, line in enumerate(data[: data.rfind(b"\n") + 1].splitlines(), start=1):
        told, _, body = line.partition(b" ")
        chain = _next_chain(chain, body)
        if told.decode("ascii", "replace") != chain:
            raise _damaged(path, f"line {number} or one before it was changed or taken out")
        try:
            yield msgspec.convert(orjson.loads(body), Trial, strict=False)
        except (ValueError, msgspec.ValidationError):
            raise _damaged(path, f"line {number} does not read as a trial") from None
