"""V7: CSCV on noise, on one real edge and by brute force; folds that do not leak."""

from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbot.errors import DataError
from tbot.validation.overfitting import combinatorial_paths, combinatorial_splits, overfitting, purged_k_fold


def test_V7_noise_is_overfitted_half_of_the_time() -> None:
    """The mean PBO over seeds of trials without skill is 1/2; single ones spread widely."""
    told = [overfitting(np.random.default_rng(seed).standard_normal((240, 20)), blocks=8) for seed in range(150)]
    assert np.mean([one.pbo for one in told]) == pytest.approx(0.5, abs=0.07)
    assert np.mean([one.slope for one in told]) < -0.3, (
        "the halves of one trial add up: what shone before is dull after"
    )


def test_V7_one_real_edge_is_not_overfitted() -> None:
    results = np.random.default_rng(2).standard_normal((400, 30))
    results[:, 11] += 0.5
    told = overfitting(results)
    assert told.pbo == 0
    assert (told.best == 11).all()
    assert (told.loss_probability, told.trials, told.blocks, len(told.logits)) == (0, 30, 16, comb(16, 8))


def test_V7_trials_whose_luck_turns_are_wholly_overfitted() -> None:
    """Each of four trials wins in a quarter of the time and loses in the rest: the best of any half is poor after."""
    level = np.full((400, 4), -1.0)
    for trial in range(4):
        level[100 * trial : 100 * (trial + 1), trial] = 3.0
    told = overfitting(level + 0.1 * np.random.default_rng(5).standard_normal((400, 4)), blocks=4, measure="mean")
    assert told.pbo == 1
    assert told.loss_probability == 1


@pytest.mark.parametrize("measure", ["sharpe", "mean"])
def test_V7_agrees_with_a_slow_reading_of_the_paper(measure: str) -> None:
    results = np.random.default_rng(9).standard_normal((50, 7))
    blocks = np.array_split(np.arange(50), 6)
    logits, inside, outside = [], [], []
    for chosen in combinations(range(6), 3):
        here = results[np.concatenate([blocks[k] for k in chosen])]
        there = results[np.concatenate([blocks[k] for k in range(6) if k not in chosen])]
        scores = [x.mean(axis=0) / (x.std(axis=0, ddof=1) if measure == "sharpe" else 1) for x in (here, there)]
        rank = 1 + np.argsort(np.argsort(scores[1]))[scores[0].argmax()]
        logits.append(np.log(rank / (8 - rank)))
        inside.append(scores[0].max())
        outside.append(scores[1][scores[0].argmax()])
    told = overfitting(results, blocks=6, measure=measure)  # type: ignore[arg-type]
    assert told.logits == pytest.approx(np.array(logits))
    assert told.in_sample == pytest.approx(np.array(inside))
    assert told.out_of_sample == pytest.approx(np.array(outside))
    assert told.slope == pytest.approx(np.polyfit(inside, outside, 1)[0])
    assert told.loss_probability == np.mean(np.array(outside) < 0)
    assert told.pbo == np.mean(np.array(logits) <= 1e-9)


def test_V7_equal_trials_share_their_rank() -> None:
    same = np.repeat(np.random.default_rng(1).standard_normal((64, 1)), 5, axis=1)
    assert overfitting(same, blocks=4).logits == pytest.approx(np.zeros(6))
    with_idle = np.column_stack([same[:, 0] - 5, np.zeros(64)])
    assert overfitting(with_idle, blocks=4).best.tolist() == [1] * 6, "a trial without trades has a ratio of 0"


def test_V7_few_days_make_fewer_blocks_and_too_few_are_refused() -> None:
    assert overfitting(np.random.default_rng(1).standard_normal((40, 3))).blocks == 10
    for bad in (np.zeros((15, 3)), np.zeros((50, 1)), np.zeros(50), np.full((50, 3), np.nan)):
        with pytest.raises(DataError):
            overfitting(bad)
    with pytest.raises(DataError, match="even"):
        overfitting(np.zeros((50, 3)), blocks=5)
    with pytest.raises(DataError, match="blocks"):
        overfitting(np.zeros((500, 3)), blocks=22)


# ------------------------------------------------------------------------------------------------ folds
labels = st.lists(st.tuples(st.integers(0, 200), st.integers(0, 30)), min_size=4, max_size=30)


@given(labels, st.integers(2, 4), st.integers(1, 3), st.integers(0, 20))
def test_V7_no_label_of_the_training_overlaps_a_tested_one(
    spans: list[tuple[int, int]], groups: int, tested: int, embargo: int
) -> None:
    tested = min(tested, groups - 1)
    entry, length = np.array(spans).T
    exit_ = entry + length
    seen = np.zeros(len(spans), int)
    for split in combinatorial_splits(entry, exit_, groups, tested, embargo):
        assert not set(split.train) & set(split.test)
        seen[split.test] += 1
        for one in split.train:
            for other in split.test:
                apart = exit_[one] < entry[other] or entry[one] > exit_[other]
                assert apart
                if entry[one] > entry[other]:
                    assert entry[one] > exit_[other] + embargo
    assert (seen == comb(groups - 1, tested - 1)).all()


def test_V7_purge_and_embargo_by_hand() -> None:
    """Ten labels of 15 minutes, 10 minutes apart: the third of five folds tests labels 4 and 5, from 40 to 65."""
    entry = 10 * np.arange(10)
    split = list(purged_k_fold(entry, entry + 15, 5))[2]
    assert (split.test.tolist(), split.train.tolist()) == ([4, 5], [0, 1, 2, 7, 8, 9])
    split = list(purged_k_fold(entry, entry + 15, 5, embargo_ns=10))[2]
    assert split.train.tolist() == [0, 1, 2, 8, 9]


def test_V7_spans_apart_lose_nothing() -> None:
    entry = 10 * np.arange(12)
    for split in purged_k_fold(entry, entry + 5, 4):
        assert len(split.train) + len(split.test) == 12


@pytest.mark.parametrize(("groups", "tested"), [(6, 2), (5, 1), (8, 4)])
def test_V7_paths_cover_every_group_once(groups: int, tested: int) -> None:
    """Six groups, two tested: 15 splits, 5 paths (Lopez de Prado 2018, figure 12.1)."""
    paths = combinatorial_paths(groups, tested)
    chosen = list(combinations(range(groups), tested))
    assert paths.shape == (comb(groups, tested) * tested // groups, groups)
    assert all(group in chosen[split] for path in paths for group, split in enumerate(path))
    pairs = {(int(split), group) for path in paths for group, split in enumerate(path)}
    assert len(pairs) == comb(groups, tested) * tested, "each tested group of each split is used once"


def test_V7_impossible_splits_are_refused() -> None:
    three = np.arange(3)
    for groups, tested, embargo in ((4, 1, 0), (1, 1, 0), (3, 3, 0), (3, 0, 0), (3, 1, -1)):
        with pytest.raises(DataError):
            list(combinatorial_splits(three, three, groups, tested, embargo))
    with pytest.raises(DataError):
        combinatorial_paths(3, 3)
