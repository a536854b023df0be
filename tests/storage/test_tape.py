"""Tapes: what is written is read; damage is noticed; a torn end is dropped with a count."""

import os
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tbot.domain.contracts import PRODUCTS
from tbot.errors import DataError
from tbot.storage.tape import BLOCK_TICKS, RECORD_BYTES, TapeReader, TapeWriter, merge_order, tape_meta
from tbot_ext.records import TICK_DTYPE, Kind

META = tape_meta([PRODUCTS["ES"], PRODUCTS["MNQ"]], "test", note="grüße")
BLOCK_BYTES = RECORD_BYTES * (BLOCK_TICKS + 1)


def some_ticks(count, seed=0):
    random = np.random.default_rng(seed)
    ticks = np.zeros(count, TICK_DTYPE)
    ticks["exch_ns"] = np.cumsum(random.integers(0, 3, count)) + 10**18
    ticks["price"] = random.integers(-(10**12), 10**12, count)
    ticks["price2"] = np.iinfo(np.int64).min
    ticks["size"] = random.integers(0, 2**31 - 1, count)
    ticks["contract_id"] = random.choice([1, 4], count)
    ticks["kind"] = random.integers(1, 7, count)
    ticks["side"] = random.integers(-1, 2, count)
    ticks["flags"] = random.integers(0, 2**16, count)
    return ticks


def write(path, *parts, meta=META):
    with TapeWriter(path, meta) as writer:
        for part in parts:
            writer.write(part)
    return path


def header_bytes(path):
    return struct.unpack_from("<I", path.read_bytes(), 16)[0]


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 2 * BLOCK_TICKS + 5), max_size=6),
    flushes=st.sets(st.integers(0, 5)),
    seed=st.integers(0, 2**32 - 1),
)
def test_reads_back_what_was_written_whatever_the_portions(tmp_path_factory, sizes, flushes, seed):
    path = tmp_path_factory.mktemp("tape") / "t.tape"
    ticks = some_ticks(sum(sizes), seed)
    with TapeWriter(path, META) as writer:
        place = 0
        for number, size in enumerate(sizes):
            writer.write(ticks[place : place + size])
            place += size
            if number in flushes:
                writer.flush()
    with TapeReader(path) as reader:
        assert reader.meta == META
        assert reader.contracts == {4: "ES", 1: "MNQ"}
        assert len(reader) == len(ticks)
        blocks = list(reader.blocks())
        assert all(0 < len(block) <= BLOCK_TICKS for block in blocks)
        assert np.array_equal(np.concatenate([ticks[:0], *blocks]), ticks)
        assert np.array_equal(reader.ticks, merge_order(ticks))
        assert np.array_equal(np.concatenate([ticks[:0], *reader.chunks(700)]), merge_order(ticks))
        assert (reader.dropped_bytes, reader.dropped_ticks) == (0, 0)
        reader.verify()


def test_writer_copies_and_reader_views_outlive_both(tmp_path):
    ticks = some_ticks(10)
    expected = ticks.copy()
    with TapeWriter(tmp_path / "t", META) as writer:
        writer.write(ticks)
        ticks["price"] = 0
    reader = TapeReader(tmp_path / "t")
    block = next(reader.blocks())
    reader.close()
    assert np.array_equal(block, expected)
    with pytest.raises(ValueError, match="read-only"):
        block["price"] = 1


def test_knows_whether_the_file_is_in_merge_order(tmp_path):
    ticks = merge_order(some_ticks(3 * BLOCK_TICKS))
    with TapeReader(write(tmp_path / "ordered", ticks)) as reader:
        assert reader.ordered
    one, other = ticks[ticks["contract_id"] == 1], ticks[ticks["contract_id"] == 4]
    with TapeReader(write(tmp_path / "by contract", one, other)) as reader:
        assert not reader.ordered
        assert np.array_equal(reader.ticks, ticks)
        assert np.array_equal(np.concatenate(list(reader.chunks(1000))), ticks)
    late_block = np.concatenate((ticks[BLOCK_TICKS : 2 * BLOCK_TICKS], ticks[:BLOCK_TICKS]))
    with TapeReader(write(tmp_path / "blocks swapped", late_block)) as reader:
        assert not reader.ordered


def test_a_growing_tape_can_be_read_and_a_written_one_resumed(tmp_path):
    path, ticks = tmp_path / "t", some_ticks(5000)
    writer = TapeWriter(path, META)
    writer.write(ticks[:1500])
    with TapeReader(path) as reader:
        assert len(reader) in (0, BLOCK_TICKS)  # what the file's buffer let through
    writer.flush()
    with TapeReader(path) as reader:
        assert len(reader) == 1500
    with pytest.raises(DataError, match="another process"):
        TapeWriter(path, resume=True)
    writer.close()
    writer.close()
    with TapeWriter(path, resume=True) as again:
        assert again.ticks_written == 1500
        again.write(ticks[1500:])
    with TapeReader(path) as reader:
        assert np.array_equal(np.concatenate(list(reader.blocks())), ticks)
    with pytest.raises(DataError, match="exists"):
        TapeWriter(path, META)


@pytest.mark.parametrize("cut", [1, 63, 64, 65, 5 * RECORD_BYTES, 100 * RECORD_BYTES + 7, 301 * RECORD_BYTES - 1])
def test_a_torn_last_block_is_dropped_with_a_count_and_resuming_goes_on_before_it(tmp_path, cut):
    path, ticks = tmp_path / "t", some_ticks(BLOCK_TICKS + 300)
    write(path, ticks)
    os.truncate(path, path.stat().st_size - cut)
    left = 301 * RECORD_BYTES - cut
    with TapeReader(path) as reader:
        assert np.array_equal(next(reader.blocks()), ticks[:BLOCK_TICKS])
        assert len(reader) == BLOCK_TICKS
        assert reader.dropped_bytes == left
        assert reader.dropped_ticks == max(0, left // RECORD_BYTES - 1)
    with TapeWriter(path, resume=True) as writer:
        assert writer.dropped_bytes == left
        writer.write(ticks[BLOCK_TICKS:])
    with TapeReader(path) as reader:
        assert np.array_equal(np.concatenate(list(reader.blocks())), ticks)


def test_every_truncation_is_either_a_shorter_tape_or_an_error(tmp_path):
    path = write(tmp_path / "t", some_ticks(4))
    with TapeWriter(path, resume=True) as writer:
        writer.write(some_ticks(3, 1))
    whole = path.read_bytes()
    first = header_bytes(path)
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        if size < first:
            with pytest.raises(DataError):
                TapeReader(path)
            continue
        with TapeReader(path) as reader:
            blocks = (size >= first + 5 * 64) + (size >= first + 9 * 64)
            assert len(reader) == (0, 4, 7)[blocks]
            assert reader.dropped_bytes == size - first - (0, 320, 576)[blocks]


def test_zeros_behind_the_last_block_are_a_torn_end(tmp_path):
    path = write(tmp_path / "t", some_ticks(7))
    with path.open("ab") as file:
        file.write(bytes(3 * BLOCK_BYTES))
    with TapeReader(path) as reader:
        assert len(reader) == 7
        assert reader.dropped_bytes == 3 * BLOCK_BYTES


def test_any_flipped_byte_before_the_last_block_is_an_error(tmp_path):
    path = write(tmp_path / "t", some_ticks(20))
    for seed in (1, 2):
        with TapeWriter(path, resume=True) as writer:
            writer.write(some_ticks(30, seed))
    whole = path.read_bytes()
    first = header_bytes(path)
    meta_end = 32 + struct.unpack_from("<I", whole, 20)[0]
    last_block = len(whole) - 31 * 64
    places = [*range(meta_end), *range(first, last_block, 7), *range(first, first + 48)]
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 0x10
        path.write_bytes(damaged)
        with pytest.raises(DataError) as caught, TapeReader(path) as reader:
            reader.verify()
        text = str(caught.value)
        assert text.count(". ") == 0
        assert text.endswith(".")  # one sentence


def test_a_flipped_byte_in_the_last_block_drops_that_block_only(tmp_path):
    path = write(tmp_path / "t", some_ticks(20))
    with TapeWriter(path, resume=True) as writer:
        writer.write(some_ticks(30, 5))
    whole = path.read_bytes()
    for place in range(len(whole) - 31 * 64, len(whole), 5):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        with TapeReader(path) as reader:
            reader.verify()
            assert len(reader) == 20
            assert reader.dropped_bytes == 31 * 64


@pytest.mark.parametrize("content", [b"", b"short", b"Date,open,high\n" * 40, b"PAR1" + bytes(4096)])
def test_foreign_files_are_refused_in_one_sentence(tmp_path, content):
    path = tmp_path / "foreign.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match="is not a tape") as caught:
        TapeReader(path)
    assert str(caught.value).endswith(".")
    with pytest.raises(DataError):
        TapeWriter(path, resume=True)
    assert path.read_bytes() == content


def test_other_versions_missing_files_and_missing_contracts_are_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be opened"):
        TapeReader(tmp_path / "none")
    with pytest.raises(DataError, match="cannot be opened"):
        TapeReader(tmp_path)
    with pytest.raises(DataError, match="which contracts"):
        TapeReader(write(tmp_path / "bare", meta={"source": "test"}))
    path = write(tmp_path / "t", some_ticks(3))
    data = bytearray(path.read_bytes())
    data[12:16] = struct.pack("<I", 99)  # record layout
    import zlib

    data[28:32] = struct.pack("<I", zlib.crc32(bytes(data[:28])))
    path.write_bytes(data)
    with pytest.raises(DataError, match="record layout 99"):
        TapeReader(path)


def test_writer_refuses_other_records_and_links(tmp_path):
    with TapeWriter(tmp_path / "t", META) as writer, pytest.raises(TypeError):
        writer.write(np.zeros(3))
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError):
        TapeWriter(tmp_path / "link", META)
    assert not (tmp_path / "elsewhere").exists()


def test_reading_block_by_block_keeps_memory_flat(tmp_path):
    """Two tapes, one eight times as long: reading gives pages back, so resident memory hardly differs."""
    path = tmp_path / "long"
    part = merge_order(some_ticks(40 * BLOCK_TICKS))
    part["kind"] = Kind.TRADE
    with TapeWriter(path, META) as writer:
        for _ in range(40):
            writer.write(part)
            part["exch_ns"] += 10**9
    size = path.stat().st_size
    assert size > 96 << 20

    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096

    with TapeReader(path) as reader:
        before, most = resident(), 0
        for chunk in reader.chunks():
            assert len(chunk)
            most = max(most, resident())
    assert most - before < size // 2
