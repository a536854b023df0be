"""A contract's board: what the worker shows is what a screen reads, whole or not at all."""

import numpy as np
import pytest

from engine_scene import MINUTE, START, tape
from pipeline_tapes import feed_all
from tbot.domain.contracts import PRODUCTS
from tbot.domain.timeframes import TIMEFRAMES_MIN
from tbot.transport.board import BOARD_BYTES, BoardReader, BoardWriter, board_of, picture
from tbot_ext.pipeline import ContractPipeline


@pytest.fixture
def memory() -> memoryview:
    return memoryview(bytearray(BOARD_BYTES))


def pipeline(minutes: int = 400) -> ContractPipeline:
    made = ContractPipeline(PRODUCTS["MNQ"].contract_id, await_history=False)
    feed_all(made, tape("MNQ", minutes))
    return made


def test_a_screen_reads_what_the_pipeline_has(memory: memoryview) -> None:
    market, reader = pipeline(), BoardReader(memory.toreadonly())
    assert reader.read() is None
    assert BoardWriter(memory).show(market)
    board = reader.read()
    assert board is not None
    assert (board.market_ns, board.live, board.minutes) == (market.now_ns, True, market.minutes)
    for minutes in TIMEFRAMES_MIN:
        assert np.array_equal(board.rows("bars", minutes), market.bars(minutes, 600))
        assert np.array_equal(board.rows("zones", minutes), market.zones(minutes)[-200:])
        assert np.array_equal(board.rows("levels", minutes), market.levels(minutes)[-60:])
        assert np.array_equal(board.rows("pools", minutes), market.pools(minutes)[-60:])
    assert len(board.rows("zones", 1)) > 3, "a market without zones shows nothing"
    assert reader.read() is None, "the same picture twice"


def test_it_is_written_once_a_minute(memory: memoryview) -> None:
    market, writer = pipeline(30), BoardWriter(memory)
    assert writer.show(market)
    assert not writer.show(market)
    more = tape("MNQ", 31)[-2:]
    more["exch_ns"] = START + 31 * MINUTE
    feed_all(market, more)
    assert writer.show(market)


@pytest.mark.parametrize("word", [0, 1, 2, 3, 40])
def test_a_torn_picture_is_not_shown(memory: memoryview, word: int) -> None:
    """Another bit anywhere: sequence (odd), length, checksum, picture."""
    BoardWriter(memory).show(pipeline())
    words = np.frombuffer(memory, np.uint64)
    words[word] ^= np.uint64(1)
    assert BoardReader(memory).read() is None
    words[word] ^= np.uint64(1)
    assert BoardReader(memory).read() is not None


def test_a_worker_that_died_while_writing_is_followed_by_another(memory: memoryview) -> None:
    market = pipeline()
    BoardWriter(memory).show(market)
    np.frombuffer(memory, np.uint64, 1)[0] += np.uint64(1)
    reader = BoardReader(memory)
    assert reader.read() is None
    BoardWriter(memory).show(market)
    assert reader.read() is not None


def test_garbage_is_no_board() -> None:
    data = bytearray(picture(pipeline(20)))
    data[32] = 255  # number of 1m bars
    data[33] = 255
    with pytest.raises(ValueError, match="more than a board has"):
        board_of(bytes(data))
