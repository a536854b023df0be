"""The core of a sweep: what is varied, which trials follow from it, and the folder that remembers those that are done.

Nothing here knows what a trial does. The list of a grid or random sweep, and the seed of every trial, follow from the
axes and the seed of the sweep alone; so the same sweep is the same list on every machine, whatever finishes first.
"""

import hashlib
import math
import os
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal, InvalidOperation
from io import FileIO
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import orjson

from tbot.errors import ConfigError, DataError, unwritable

Value = int | float | bool | str
Params = Mapping[str, Value]
Method = Literal["grid", "random", "optuna"]
Metric = Literal["expectancy_r", "expectancy_ticks", "expectancy_cents", "net_cents", "sharpe", "sortino",
                 "profit_factor", "win_rate"]  # fmt: skip

TRIALS_FILE = "trials.jsonl"
MOST_VALUES = 10_000  # of one axis
MOST_TRIALS = 100_000
_WORDS: Mapping[str, bool] = {"true": True, "false": False}


# ----------------------------------------------------------------------------------------------- what is varied
@dataclass(frozen=True, slots=True)
class Axis:
    """One option of the configuration by its dotted name, and the values to try, in the order given."""

    name: str
    values: tuple[Value, ...]


def parse_axis(text: str) -> Axis:
    """`strategy.min_score=50:80:10` (from, to, step; both ends included) or `risk.trail_percent=0,50,100`.

    Steps are counted in decimals, so 0.1:0.3:0.1 is 0.1, 0.2 and 0.3. ConfigError for anything else.
    """
    name, equals, told = text.partition("=")
    name, told = name.strip(), told.strip()
    if not equals or not told or "." not in name:
        raise ConfigError(
            f"--param {text!r} is not understood; write it like strategy.min_score=50:80:10 or risk.trail_percent=0,50"
        )
    values = _range(text, told) if ":" in told else tuple(_value(part.strip()) for part in told.split(","))
    if len(set(map(repr, values))) != len(values):
        raise ConfigError(f"--param {name}: a value stands there twice in {told}; leave one out")
    return Axis(name, values)


def parse_axes(texts: Sequence[str]) -> tuple[Axis, ...]:
    """All axes of a sweep; ConfigError when one is there twice."""
    axes = tuple(parse_axis(text) for text in texts)
    names = [axis.name for axis in axes]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"--param {name} is given twice; put all its values into one")
    return axes


def _range(text: str, told: str) -> tuple[Value, ...]:
    parts = told.split(":")
    try:
        first, last, step = (Decimal(part.strip()) for part in (*parts, "1")[:3])
        if len(parts) > 3 or not all(number.is_finite() for number in (first, last, step)) or step <= 0:
            raise InvalidOperation
    except InvalidOperation:
        raise ConfigError(f"--param {text!r} is no range; write it like 50:80:10 (from, to, step above 0)") from None
    if last < first:
        raise ConfigError(f"--param {text!r} ends before it begins; put the smaller number first")
    count = int((last - first) / step) + 1
    if count > MOST_VALUES:
        raise ConfigError(f"--param {text!r} has {count} values; {MOST_VALUES} is the most: take a larger step")
    return tuple(_value(str(first + step * place)) for place in range(count))


def _value(text: str) -> Value:
    """A number where it reads as one, true or false, else the word itself."""
    if text in _WORDS:
        return _WORDS[text]
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        if math.isfinite(number):
            return number
    if not text:
        raise ConfigError("a --param has an empty value; write values between commas")
    return text


# ----------------------------------------------------------------------------------------------- which trials follow
@dataclass(frozen=True, slots=True)
class Trial:
    """One set of values. `seed` is for a strategy that draws numbers; the packaged one draws none."""

    number: int
    params: Params
    seed: int


def size_of(axes: Sequence[Axis]) -> int:
    """Points of the grid."""
    return math.prod(len(axis.values) for axis in axes)


def point(axes: Sequence[Axis], place: int) -> dict[str, Value]:
    """Values of the grid's point `place`; the last axis runs fastest."""
    chosen: dict[str, Value] = {}
    for axis in reversed(axes):
        place, index = divmod(place, len(axis.values))
        chosen[axis.name] = axis.values[index]
    return {axis.name: chosen[axis.name] for axis in axes}


def trial_seed(seed: int, number: int) -> int:
    """That of trial `number` of a sweep: far from that of its neighbours."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def fixed_trials(axes: Sequence[Axis], method: Literal["grid", "random"], count: int | None, seed: int) -> list[Trial]:
    """All points of the grid in its order, or `count` of them drawn without repeats (all when there are no more)."""
    size = size_of(axes)
    wanted = size if count is None or method == "grid" else min(count, size)
    if wanted > MOST_TRIALS:
        raise ConfigError(
            f"{wanted} trials are more than {MOST_TRIALS}; take larger steps, or --method random --trials N"
        )
    places = range(size) if method == "grid" else random.Random(seed).sample(range(size), wanted)
    return [Trial(number, point(axes, place), trial_seed(seed, number)) for number, place in enumerate(places)]


# ----------------------------------------------------------------------------------------------- what came of them
@dataclass(frozen=True)
class Outcome:
    """What a trial came to. Money in cents, times UTC ns; floats are kept exactly.

    `trips` are the columns of validation.trips.Trips by name: with them windows and folds are judged without a second
    run. `daily_cents` is by trading day of the data (days since 1970-01-01).
    """

    number: int
    params: Params
    seed: int
    plan_hash: str
    metrics: Mapping[str, float | None]
    daily_cents: Mapping[int, int]
    trips: Mapping[str, list[Any]] = field(default_factory=dict)

    def score(self, metric: str) -> float:
        """The larger the better; minus infinity where the metric is not defined (no trades)."""
        value = self.metrics.get(metric)
        return -math.inf if value is None or math.isnan(value) else value


def ranked(outcomes: Sequence[Outcome], metric: str) -> list[Outcome]:
    """Best first; of equal ones the earlier trial."""
    return sorted(outcomes, key=lambda outcome: (-outcome.score(metric), outcome.number))


@dataclass(frozen=True, slots=True)
class Identity:
    """What must be equal for a sweep to be continued."""

    version: str
    method: str
    axes: list[list[Any]]  # [name, [values]]
    trials: int
    seed: int
    data_hash: str
    plan_hash: str  # of the configuration without what is varied
    metric: str = ""  # of optuna, whose next trials depend on it

    def digest(self) -> str:
        """A short name for it."""
        return hashlib.sha256(orjson.dumps(asdict(self), option=orjson.OPT_SORT_KEYS)).hexdigest()[:8]

    def differences(self, other: "Identity") -> list[str]:
        """In what another sweep differs, in words."""
        words = {"version": "version of tbot", "axes": "parameters", "data_hash": "data", "plan_hash": "configuration",
                 "trials": "number of trials"}  # fmt: skip
        mine, theirs = asdict(self), asdict(other)
        return [words.get(name, name) for name, value in mine.items() if value != theirs[name]]


class Folder:
    """The folder of a sweep: TRIALS_FILE holds its identity in the first line, then one finished trial a line, each
    synced to the disk before the next one counts."""

    def __init__(self, path: Path, identity: Identity, *, resume: bool) -> None:
        """Begin, or with `resume` go on. ConfigError when another sweep, or without `resume` any, is there."""
        self.path = path
        self.done: dict[int, Outcome] = {}
        try:
            self._file = self._opened(path / TRIALS_FILE, resume)
        except OSError as error:
            raise unwritable(f"the folder {path}", error) from None
        try:
            self._go_on(identity)
        except BaseException:
            self._file.close()
            raise

    @staticmethod
    def _opened(file: Path, resume: bool) -> FileIO:
        path = file.parent
        path.mkdir(parents=True, exist_ok=True)
        if file.exists() and not resume:
            if file.read_bytes().count(b"\n") > 1:
                raise ConfigError(
                    f"{path} holds a sweep already; give --resume to go on with it, or another --out for a new one"
                )
            file.unlink()  # not one trial came of it
        if not file.exists() and resume and any(path.iterdir()):
            raise ConfigError(f"{path} is no folder of a sweep ({TRIALS_FILE} is missing); look at --out")
        # Without a buffer: what a full disk did not take would be written again by `close`.
        return os.fdopen(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644), "r+b", buffering=0)

    def _go_on(self, identity: Identity) -> None:
        data = self._file.read()
        whole = data.rfind(b"\n") + 1  # a line that a crash cut off is forgotten
        self._file.truncate(whole)
        self._file.seek(whole)
        if not whole:
            self._write({"schema": "tbot.trials", "version": 1, "identity": asdict(identity)})
            return
        head, *lines = data[:whole].splitlines()
        found = self._identity(head)
        if differences := found.differences(identity):
            raise ConfigError(
                f"{self.path} holds a sweep with other {' and '.join(differences)}; resume it as it was begun, or give "
                "another --out"
            )
        for line in lines:
            outcome = self._read(line, Outcome)
            self.done[outcome.number] = outcome

    def _identity(self, head: bytes) -> Identity:
        try:
            document = orjson.loads(head)
            if document["schema"] != "tbot.trials":
                raise ValueError
            return msgspec.convert(document["identity"], Identity)
        except (ValueError, KeyError, TypeError, msgspec.ValidationError):
            raise ConfigError(f"{self.path / TRIALS_FILE} is not what a sweep writes; give another --out") from None

    def _read(self, line: bytes, kind: type[Outcome]) -> Outcome:
        try:
            return msgspec.convert(orjson.loads(line), kind, strict=False)
        except (ValueError, msgspec.ValidationError):
            raise DataError(
                f"{self.path / TRIALS_FILE} is damaged (a line that is no trial); take that line out and resume"
            ) from None

    def add(self, outcome: Outcome) -> None:
        """Remember a finished trial, on the disk too."""
        self._write(asdict(outcome))
        self.done[outcome.number] = outcome

    def _write(self, document: Mapping[str, Any]) -> None:
        try:
            left = memoryview(orjson.dumps(document, option=orjson.OPT_NON_STR_KEYS) + b"\n")
            while left:
                left = left[self._file.write(left) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            raise unwritable(f"the folder {self.path}", error) from None

    def __iter__(self) -> Iterator[Outcome]:
        """Finished trials by number."""
        return iter([self.done[number] for number in sorted(self.done)])

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
