"""V1: does what was said up to a bar change with the bars after it?

A subject is anything that says something over bars: detectors, signals, a user's function. Two replays, each at many
cuts: prefix (what it says of the bars up to the cut alone) and noise (the bars behind the cut replaced by others that
have nothing to do with them). In both, everything said up to the cut must equal, field by field, what it says of all
data. Half of the cuts lie where something was said, kind by kind: a signal made from the next bar is missing when the
data ends where it claims to be known, and random cuts alone would seldom meet it. Two replays and not one: a function
may look at the last row in a special way (prefix sees that), or scale by what the whole data holds (both do).

Before that all data is played twice: a subject that says otherwise the second time keeps something from run to run
(repeat), and knows the future of every later run.

No replay can see a subject that reads the future from elsewhere (a file of its own), or one that acts on a bar before
that bar has closed, and agreement at the cuts is no proof between them.

How much of an edge a delay of one bar takes is `tbot.validation.lag`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from tbot.errors import DataError
from tbot.validation.paths import Bars, checked
from tbot.validation.trips import Ints, Names

Table = npt.NDArray[np.void]
Check = Literal["prefix", "noise", "repeat"]

NOISE_BARS = 300
_NOISE_RANGE = 3  # a step of the noise, in ranges of the bars before the cut
_RANGE_BARS = 100


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """What a subject said, in order of emission: of each statement the number of bars that had closed (`bars[:known]`
    are enough to say it), its kind, and all of it as a row. `numbering`: fields that count statements of all kinds, so
    that a kind is not blamed for another one's."""

    known: Ints
    kinds: Names
    rows: Table
    numbering: tuple[str, ...] = ()

    def until(self, cut: int) -> "Said":
        """What was said by the close of bar `cut` - 1."""
        keep = self.known <= cut
        return Said(self.known[keep], self.kinds[keep], self.rows[keep], self.numbering)

    def of_kind(self, kind: str) -> "Said":
        keep = self.kinds == kind
        return Said(self.known[keep], self.kinds[keep], self.rows[keep], self.numbering)


Subject = Callable[[Bars], Said]  # must give the same again for the same bars


@dataclass(frozen=True, slots=True)
class Hit:
    """The first statement that differs at a cut: `bars` were given, the last of which began at `cut_ns`."""

    check: Check
    kind: str
    bars: int
    cut_ns: int
    known: int  # bars closed when it was said
    known_ns: int  # start of the last of them, ns
    what: str


@dataclass(frozen=True, slots=True)
class KindVerdict:
    """One kind: how often it was said over all data, how many of the 2 * cuts + 1 replays differ in it, and the first
    difference: of the repetition, else the earliest."""

    kind: str
    said: int
    differing: int
    first: Hit | None


@dataclass(frozen=True, slots=True)
class LookaheadResult:
    """All kinds of one subject. `noise_told`: share of the noise replays in which something was said otherwise behind
    the cut; near 0 the noise test says nothing."""

    bars: int
    cuts: int
    kinds: tuple[KindVerdict, ...]
    noise_told: float

    @property
    def hit(self) -> bool:
        """Something looks ahead."""
        return any(kind.differing for kind in self.kinds)

    @property
    def first(self) -> Hit | None:
        """The first difference of all kinds."""
        return min((kind.first for kind in self.kinds if kind.first is not None), key=_place, default=None)


def audit_lookahead(
    bars: Bars,
    subject: Subject,
    *,
    cuts: int = 20,
    seed: int = 1,
    noise_bars: int | None = NOISE_BARS,
    progress: Callable[[int, int], None] | None = None,
) -> LookaheadResult:
    """Prefix and noise replays of `subject` at so many cuts; `noise_bars` None replaces all later bars, else so many
    are put in their place. DataError for less than two bars, for no cuts, or as `paths.checked`."""
    if len(checked(bars)) < 2 or cuts < 1:
        raise DataError("an audit needs at least two bars and one cut; give more data")
    rng = np.random.default_rng(seed)
    whole = subject(bars.copy())
    places = choose_cuts(whole, len(bars), cuts, rng)
    told, hits = 0, _differences(bars, whole, subject(bars.copy()), len(bars), "repeat")
    for done, cut in enumerate(places):
        expected = whole.until(cut)
        hits += _differences(bars, expected, subject(bars[:cut].copy()).until(cut), cut, "prefix")
        other = noise_after(bars, cut, noise_bars, rng)
        said = subject(other.copy())
        hits += _differences(bars, expected, said.until(cut), cut, "noise")
        told += not same(said.rows[said.known > cut], whole.until(len(other)).rows[len(expected.rows) :])
        if progress is not None:
            progress(done + 1, len(places))
    return LookaheadResult(len(bars), len(places), _verdicts(whole, hits), told / len(places))


def choose_cuts(whole: Said, bars: int, count: int, rng: np.random.Generator) -> list[int]:
    """Numbers of bars to give, rising, each once: half of them anywhere, half where something was said, the kinds in
    turn."""
    chosen = set[int]()
    usable = (whole.known >= 1) & (whole.known < bars)
    known = {kind: whole.known[usable & (whole.kinds == kind)] for kind in np.unique(whole.kinds).tolist()}
    waiting = [kind for kind in rng.permutation(sorted(known)).tolist() if len(known[kind])]
    for turn in range(count // 2 if waiting else 0):
        chosen.add(int(rng.choice(known[waiting[turn % len(waiting)]])))
    chosen |= set(rng.integers(1, bars, count - len(chosen)).tolist())
    return sorted(chosen)


def noise_after(bars: Bars, cut: int, length: int | None, rng: np.random.Generator) -> Bars:
    """The first `cut` bars, then `length` (None: all the others) with the times of the real ones and prices of a wild
    random walk."""
    end = len(bars) if length is None else min(len(bars), cut + length)
    changed = bars[:end].copy()
    span = changed[cut:]
    before = bars[max(0, cut - _RANGE_BARS) : cut]
    step = max(4, _NOISE_RANGE * int(np.median(before["high"] - before["low"])))
    walk = int(bars["close"][cut - 1]) + np.cumsum(rng.integers(-step, step + 1, len(span)))
    prices = np.sort(np.maximum(walk[:, None] + rng.integers(-step, step + 1, (len(span), 4)), 1), axis=1)
    falls = rng.random(len(span)) < 0.5
    span["low"], span["high"] = prices[:, 0], prices[:, 3]
    span["open"] = np.where(falls, prices[:, 2], prices[:, 1])
    span["close"] = np.where(falls, prices[:, 1], prices[:, 2])
    span["volume"] = rng.integers(1, 500, len(span))
    span["delta"], span["trades"] = 0, 1
    return changed


def same(ours: Table, theirs: Table) -> bool:
    """Equal rows, NaN being equal to NaN."""
    if len(ours) != len(theirs):
        return False
    if ours.dtype == theirs.dtype and ours.tobytes() == theirs.tobytes():
        return True
    return not _unequal(ours, theirs, ours.dtype.names or ()).any()


def _unequal(ours: Table, theirs: Table, names: tuple[str, ...]) -> npt.NDArray[np.bool_]:
    """Which rows of two tables of one length differ in these fields."""
    found = np.zeros(len(ours), np.bool_)
    for name in names:
        a, b = ours[name], theirs[name]
        differs = a != b
        if a.dtype.kind == "f":
            differs &= ~(np.isnan(a) & np.isnan(b))
        found |= differs.any(axis=tuple(range(1, differs.ndim))) if differs.ndim > 1 else differs
    return found


def _differences(bars: Bars, expected: Said, got: Said, cut: int, check: Check) -> list[Hit]:
    """The first difference of each kind; one in the numbering alone counts for the kind where it is seen first."""
    if same(expected.rows, got.rows):
        return []
    names = expected.rows.dtype.names or ()
    loose = tuple(name for name in names if name not in expected.numbering)
    kinds = np.union1d(expected.kinds, got.kinds).tolist()
    pairs = [(kind, expected.of_kind(kind), got.of_kind(kind)) for kind in kinds]
    for fields in (loose, names):
        found = [_first(bars, kind, a, b, fields, cut, check) for kind, a, b in pairs]
        hits = [hit for hit in found if hit is not None]
        if hits:
            return hits if fields is loose else [min(hits, key=lambda hit: hit.known)]
    place = int(np.flatnonzero(expected.kinds != got.kinds)[0])  # equal kind by kind: the order differs
    return [_hit(bars, str(expected.kinds[place]), int(expected.known[place]), cut, check, "said in another order")]


def _first(
    bars: Bars, kind: str, expected: Said, got: Said, fields: tuple[str, ...], cut: int, check: Check
) -> Hit | None:
    common = min(len(expected.rows), len(got.rows))
    differs = np.flatnonzero(_unequal(expected.rows[:common], got.rows[:common], fields))
    differs = np.union1d(differs, np.flatnonzero(expected.known[:common] != got.known[:common]))
    if not len(differs) and len(expected.rows) == len(got.rows):
        return None
    place = int(differs[0]) if len(differs) else common
    more = place >= len(got.rows) or (len(expected.rows) > len(got.rows) and expected.known[place] < got.known[place])
    if more:
        return _hit(bars, kind, int(expected.known[place]), cut, check, f"said only {_with(check, True)}")
    if place >= len(expected.rows) or (len(got.rows) > len(expected.rows) and got.known[place] < expected.known[place]):
        return _hit(bars, kind, int(got.known[place]), cut, check, f"said only {_with(check, False)}")
    ours, theirs = expected.rows[place : place + 1], got.rows[place : place + 1]
    changed = [name for name in fields if _unequal(ours, theirs, (name,))[0]]
    words = ", ".join(f"{name} {_word(ours[name][0])} instead of {_word(theirs[name][0])}" for name in changed[:3])
    text = f"{words or 'known at another bar'} {_with(check, True)}"
    return _hit(bars, kind, int(expected.known[place]), cut, check, text)


def _with(check: Check, real: bool) -> str:
    if check == "repeat":
        return "the first time all data was played" if real else "the second time all data was played"
    if check == "prefix":
        return "when the later bars are there" if real else "when the data ends here"
    return "when the later bars are the real ones" if real else "when the later bars are noise"


def _word(value: object) -> str:
    plain = value.tolist() if isinstance(value, np.generic | np.ndarray) else value
    return f"{plain:g}" if isinstance(plain, float) else " ".join(str(plain).split())[:60]


def _hit(bars: Bars, kind: str, known: int, cut: int, check: Check, what: str) -> Hit:
    cut_ns, known_ns = (int(bars["start_ns"][max(number, 1) - 1]) for number in (cut, known))
    return Hit(check, kind, cut, cut_ns, known, known_ns, what)


def _place(hit: Hit) -> tuple[bool, int, int]:
    return hit.check != "repeat", hit.known, hit.bars


def _verdicts(whole: Said, hits: list[Hit]) -> tuple[KindVerdict, ...]:
    kinds, counts = np.unique(whole.kinds, return_counts=True)
    said = dict(zip(kinds.tolist(), counts.tolist(), strict=True))
    out = []
    for kind in sorted(said.keys() | {hit.kind for hit in hits}):
        mine = [hit for hit in hits if hit.kind == kind]
        first = min(mine, key=_place, default=None)
        out.append(KindVerdict(kind, said.get(kind, 0), len(mine), first))
    return tuple(out)
