"""A tape as a stream: what stands before it, how it is cut into instants, and who needs quotes."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lively_tape import MINUTE, SECOND, START, lively
from tbot.domain.contracts import BY_ID, PRODUCTS
from tbot.errors import DataError
from tbot.storage.replay_stream import contract_ids, first_ns, instants, opening, replay_stream, unquoted
from tbot.storage.tape import TapeReader, TapeWriter, merge_order, tape_meta
from tbot.storage.tick_stream import derive_quotes, with_clock
from tbot_ext.records import NO_PRICE, TICK_DTYPE, Flag, Kind

ES, MNQ = PRODUCTS["ES"], PRODUCTS["MNQ"]
UNKNOWN = 60_000
NOTHING = np.zeros(0, TICK_DTYPE)


def tape_of(path: Path, ticks: np.ndarray, *, unknown: bool = False) -> Path:
    """A tape of ES and MNQ, perhaps with a contract that this version does not know."""
    meta = tape_meta([ES, MNQ], "test")
    if unknown:
        meta["contracts"][str(UNKNOWN)] = {"symbol": "XXX", "tick_size": "1"}
    with TapeWriter(path, meta) as writer:
        writer.write(ticks)
    return path


def at(*times: int, contract_id: int = 1) -> np.ndarray:
    ticks = np.zeros(len(times), TICK_DTYPE)
    ticks["exch_ns"], ticks["contract_id"], ticks["kind"], ticks["size"] = times, contract_id, Kind.TRADE, 1
    ticks["price"] = np.arange(len(times))
    ticks["volume"] = -1
    return ticks


# ---------------------------------------------------------------------------------------------------------- instants
@given(st.lists(st.lists(st.integers(0, 3), max_size=6), max_size=8))
def test_instants_are_the_stream_cut_at_every_change_of_time(steps: list[list[int]]) -> None:
    """Chunks of any size, empty ones too; an instant may reach over several of them."""
    now, chunks = 0, []
    for steps_of_chunk in steps:
        times = []
        for step in steps_of_chunk:
            now += step
            times.append(now)
        chunks.append(at(*times))
    whole = np.concatenate([NOTHING, *chunks])
    whole["seq"] = np.arange(len(whole))
    sizes = np.cumsum([len(chunk) for chunk in chunks])
    found = [run.copy() for run in instants(np.split(whole, sizes))]
    assert np.array_equal(np.concatenate([NOTHING, *found]), whole)
    assert all(len(set(run["exch_ns"].tolist())) == 1 for run in found)
    times = [int(run["exch_ns"][0]) for run in found]
    assert times == sorted(set(times))


def test_an_instant_over_three_chunks_is_one() -> None:
    found = list(instants([at(1, 2), at(2, 2), NOTHING, at(2), at(2, 3)]))
    assert [(int(run["exch_ns"][0]), len(run)) for run in found] == [(1, 1), (2, 5), (3, 1)]


def test_no_stream_has_no_instants() -> None:
    assert list(instants([])) == list(instants([NOTHING, NOTHING])) == []


# ----------------------------------------------------------------------------------------------------------- opening
def test_opening_is_one_empty_history_for_each_contract() -> None:
    records = opening((1, 4), 600)
    assert records["contract_id"].tolist() == [1, 4]
    assert set(records["kind"].tolist()) == {int(Kind.HISTORY)}
    assert records["exch_ns"].tolist() == [600, 600]
    assert records["size"].tolist() == [0, 0]
    assert records["price"].tolist() == [NO_PRICE, NO_PRICE]


def test_opening_takes_any_iterable() -> None:
    assert opening(iter((1, 4)), 600)["contract_id"].tolist() == [1, 4]


@pytest.mark.parametrize("offset", [0, 1, 59 * SECOND])
def test_the_stream_opens_at_the_first_tapes_minute(tmp_path: Path, offset: int) -> None:
    with TapeReader(tape_of(tmp_path / "t", at(START + offset, START + MINUTE))) as tape:
        assert first_ns(tape) == START + offset
        head = next(iter(replay_stream(tape)))
    assert head["exch_ns"].tolist() == [START, START]
    assert head["contract_id"].tolist() == [MNQ.contract_id, ES.contract_id]


def test_an_empty_tape_is_an_error_in_words(tmp_path: Path) -> None:
    with TapeReader(tape_of(tmp_path / "t", NOTHING)) as tape, pytest.raises(DataError, match="empty"):
        list(replay_stream(tape))


# ------------------------------------------------------------------------------------------------------------ quotes
def test_only_contracts_without_quotes_of_their_own_get_derived_ones(tmp_path: Path) -> None:
    ticks = lively(("ES", "MNQ"), minutes=30, opened=False)
    bare = ticks[(ticks["contract_id"] == MNQ.contract_id) | (ticks["kind"] == Kind.TRADE)]
    with TapeReader(tape_of(tmp_path / "whole", ticks)) as tape:
        assert unquoted(tape) == {}
        assert not np.any(np.concatenate(list(replay_stream(tape)))["flags"] & int(Flag.DERIVED))
    with TapeReader(tape_of(tmp_path / "bare", bare)) as tape:
        assert unquoted(tape) == {ES.contract_id: ES.spread_ticks}
        stream = np.concatenate(list(replay_stream(tape)))
    quotes = stream[stream["kind"] == Kind.QUOTE]
    derived = (quotes["flags"] & int(Flag.DERIVED)) != 0
    assert set(quotes["contract_id"][derived].tolist()) == {ES.contract_id}
    assert set(quotes["contract_id"][~derived].tolist()) == {MNQ.contract_id}


@settings(max_examples=25)
@given(seed=st.integers(0, 1000), minutes=st.integers(1, 400), quoted=st.booleans())
def test_the_stream_is_opening_then_quotes_and_clocks_on_the_whole_tape(
    tmp_path_factory: pytest.TempPathFactory, seed: int, minutes: int, quoted: bool
) -> None:
    ticks = lively(("ES", "MNQ"), seed, minutes, opened=False)
    if not quoted:
        ticks = ticks[ticks["kind"] == Kind.TRADE]
    spreads = {} if quoted else {product.contract_id: product.spread_ticks for product in (ES, MNQ)}
    with TapeReader(tape_of(tmp_path_factory.mktemp("tape") / "t", ticks)) as tape:
        stream = np.concatenate(list(replay_stream(tape)))
        runs = list(instants(replay_stream(tape)))
    expected = with_clock(derive_quotes(ticks, spreads))
    assert np.array_equal(stream, np.concatenate((opening((1, 4), START), expected)))
    assert np.array_equal(np.concatenate(runs), stream)
    assert len({int(run["exch_ns"][0]) for run in runs}) == len(runs)


# ----------------------------------------------------------------------------------------------- foreign contracts
def test_contracts_this_version_does_not_know_are_left_out(tmp_path: Path) -> None:
    ticks = lively(("ES", "MNQ"), minutes=5, opened=False)
    foreign = ticks[ticks["contract_id"] == 1].copy()
    foreign["contract_id"] = UNKNOWN
    both = merge_order(np.concatenate((ticks, foreign)))
    with TapeReader(tape_of(tmp_path / "plain", ticks)) as tape:
        expected = np.concatenate(list(replay_stream(tape)))
    with TapeReader(tape_of(tmp_path / "both", both, unknown=True)) as tape:
        assert contract_ids(tape) == (1, 4)
        assert UNKNOWN not in BY_ID
        assert np.array_equal(np.concatenate(list(replay_stream(tape))), expected)


def test_a_tape_of_unknown_contracts_only_is_an_error_in_words(tmp_path: Path) -> None:
    path = tmp_path / "t"
    meta = {"contracts": {str(UNKNOWN): {"symbol": "XXX", "tick_size": "1"}}, "source": "test"}
    with TapeWriter(path, meta) as writer:
        writer.write(at(START, contract_id=UNKNOWN))
    with TapeReader(path) as tape, pytest.raises(DataError, match="no contract"):
        list(replay_stream(tape))
