"""V7: was the best trial chosen by luck? Combinatorially symmetric cross-validation, and folds without leaks.

CSCV (Bailey, Borwein, López de Prado, Zhu, "The probability of backtest overfitting", J. Computational Finance 20(4),
2017): the days are cut into S blocks; for every choice of S/2 of them the trial that is best there is looked up in the
other half. w is its relative rank there, logit = ln(w / (1 - w)); PBO is the share of logits at or below 0: how often
the best of the past was no better than the median of the future.

Purged, embargoed folds and combinatorial purged cross-validation (CPCV): López de Prado, "Advances in Financial
Machine Learning", 2018, chapters 7 and 12.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from tbot.errors import DataError
from tbot.validation.trips import Bools, Floats, Ints

BLOCKS = 16
MOST_BLOCKS = 20  # 184 756 combinations
_CHUNK = 512  # combinations worked out at once: keeps memory small with many trials


@dataclass(frozen=True, slots=True, eq=False)
class Overfitting:
    """What CSCV found. Measures are per day: Sharpe ratio, or mean."""

    pbo: float
    logits: Floats  # one per combination
    blocks: int
    best: Ints  # the trial chosen in each combination
    in_sample: Floats  # its measure where it was chosen
    out_of_sample: Floats  # and in the other half
    loss_probability: float  # share of combinations in which the chosen one loses out of sample
    slope: float  # of out_of_sample on in_sample; below 0: the better it looked, the worse it did
    trials: int


def overfitting(results: Floats, *, blocks: int = BLOCKS, measure: Literal["sharpe", "mean"] = "sharpe") -> Overfitting:
    """CSCV of `results`, days x trials (in any unit of money). With few days fewer blocks are taken: the largest even
    number that leaves at least four days to each.

    DataError with fewer than two trials, fewer than 16 days, an odd number of blocks or too many, or values that are no
    finite numbers.
    """
    if results.ndim != 2 or results.shape[1] < 2:
        raise DataError("overfitting is a matter of at least two trials; run a sweep first")
    days, trials = results.shape
    blocks = min(blocks, days // 4 // 2 * 2)
    if not 4 <= blocks <= MOST_BLOCKS or blocks % 2:
        raise DataError(f"{days} days and {blocks} blocks do not fit; 16 days or more, an even number to {MOST_BLOCKS}")
    if not np.isfinite(results).all():
        raise DataError("a result of a trial is no finite number; look at that trial")
    parts = np.array_split(results, blocks)
    counts = np.array([len(part) for part in parts], np.float64)
    sums = np.array([part.sum(axis=0) for part in parts])
    squares = np.array([(part**2).sum(axis=0) for part in parts])
    chosen = np.array(list(combinations(range(blocks), blocks // 2)))
    inside = np.zeros((len(chosen), blocks))
    np.put_along_axis(inside, chosen, 1.0, axis=1)

    ranks, best, here, there = [], [], [], []
    for start in range(0, len(inside), _CHUNK):
        mask = inside[start : start + _CHUNK]
        trained = _measure(mask, counts, sums, squares, measure)
        tested = _measure(1 - mask, counts, sums, squares, measure)
        top = trained.argmax(axis=1)
        row = np.arange(len(mask))
        value = tested[row, top]
        below = (tested < value[:, None]).sum(axis=1)
        equal = (tested == value[:, None]).sum(axis=1)
        ranks.append((below + (equal + 1) / 2) / (trials + 1))  # ties get their middle rank
        best.append(top)
        here.append(trained[row, top])
        there.append(value)
    rank, in_sample, out_of_sample = np.concatenate(ranks), np.concatenate(here), np.concatenate(there)
    logits = np.log(rank / (1 - rank))
    spread = float(((in_sample - in_sample.mean()) ** 2).sum())
    covariance = float(((in_sample - in_sample.mean()) * out_of_sample).sum())
    return Overfitting(
        pbo=float((logits <= 1e-12).mean()),
        logits=logits,
        blocks=blocks,
        best=np.concatenate(best).astype(np.int64),
        in_sample=in_sample,
        out_of_sample=out_of_sample,
        loss_probability=float((out_of_sample < 0).mean()),
        slope=covariance / spread if spread > 0 else math.nan,
        trials=trials,
    )


def _measure(mask: Floats, counts: Floats, sums: Floats, squares: Floats, measure: str) -> Floats:
    """Combinations x trials: the measure over the blocks of each combination; a trial without spread has ratio 0."""
    n = (mask @ counts)[:, None]
    mean = mask @ sums / n
    if measure == "mean":
        return np.asarray(mean, np.float64)
    square = mask @ squares / n
    variance = square - mean**2
    fine = variance > 1e-12 * square
    return np.where(fine, mean / np.sqrt(np.where(fine, variance * n / (n - 1), 1.0)), 0.0)


# ------------------------------------------------------------------------------------------------ folds without leaks
@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Places of labels (trips) to fit on and to test on, sorted. `groups`: which groups of days are tested."""

    train: Ints
    test: Ints
    groups: tuple[int, ...]


def purged_k_fold(entry_ns: Ints, exit_ns: Ints, folds: int, embargo_ns: int = 0) -> Iterator[Split]:
    """Each fold once as test; labels are cut into folds in order of their entries. See `combinatorial_splits`."""
    return combinatorial_splits(entry_ns, exit_ns, folds, 1, embargo_ns)


def combinatorial_splits(
    entry_ns: Ints, exit_ns: Ints, groups: int, tested: int, embargo_ns: int = 0
) -> Iterator[Split]:
    """CPCV: every choice of `tested` of `groups` groups as test.

    A label lives from its entry to its exit, both included. Out of the training go labels that live at any time of a
    tested group (purge; a group lasts from its first entry to its last exit), and labels that begin within `embargo_ns`
    after it (embargo). Little may be left to fit on, or nothing. DataError when there are fewer labels than groups.
    """
    if not 2 <= groups <= len(entry_ns) or not 1 <= tested < groups or embargo_ns < 0:
        raise DataError(f"{len(entry_ns)} trips cannot be split into {groups} groups of which {tested} are tested")
    order = np.argsort(entry_ns, kind="stable")
    parts = np.array_split(order, groups)
    leaks = [_leaks(entry_ns, exit_ns, part, embargo_ns) for part in parts]
    for chosen in combinations(range(groups), tested):
        test = np.concatenate([parts[group] for group in chosen])
        shut = np.logical_or.reduce([leaks[group] for group in chosen])
        shut[test] = True
        yield Split(np.flatnonzero(~shut), np.sort(test), chosen)


def _leaks(entry_ns: Ints, exit_ns: Ints, part: Ints, embargo_ns: int) -> Bools:
    """Labels that know something of the labels of `part`, or follow them within the embargo."""
    first, last = int(entry_ns[part].min()), int(exit_ns[part].max())
    return np.asarray((entry_ns <= last + embargo_ns) & (exit_ns >= first), np.bool_)


def combinatorial_paths(groups: int, tested: int) -> Ints:
    """CPCV: paths x groups; the number of the split (in the order of `combinatorial_splits`) whose test result of that
    group belongs to the path. There are tested / groups x number of splits of them, and each covers all groups once."""
    if not 1 <= tested < groups:
        raise DataError(f"{tested} of {groups} groups cannot be tested")
    uses: list[list[int]] = [[] for _ in range(groups)]
    for number, chosen in enumerate(combinations(range(groups), tested)):
        for group in chosen:
            uses[group].append(number)
    return np.array(uses, np.int64).T
