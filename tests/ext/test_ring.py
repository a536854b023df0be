"""TickRing in one process: what is written is what is read, laps are counted, bad buffers refused, damage survived."""

import os
import signal
import struct
import sys
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from ring_ticks import CONTRACT, EPOCH, HEAD, RUN, SLOTS, Ticks, new_ring, poke, sleepers, stamped, torn, word
from tbot_ext import ring_layout
from tbot_ext.records import NO_PRICE, TICK_DTYPE, Kind
from tbot_ext.ring import USES_FUTEX, RingLayoutError, RingReader, RingWriter, format_ring, reader_positions, ring_bytes

MILLISECOND = 1_000_000


def read(reader: RingReader, room: int = 4096) -> Ticks:
    """All records that are there, at most `room`."""
    out = np.zeros(room, TICK_DTYPE)
    return out[: reader.read(out)]


# ---------------------------------------------------------------- writing and reading


def test_every_field_comes_back_at_its_extremes() -> None:
    writer, reader = RingWriter(buffer := new_ring(16)), RingReader(buffer, 0)
    low = (-(2**63), -(2**63), NO_PRICE, NO_PRICE, -(2**31), -(2**31), -(2**63), -128, 0)
    high = (2**63 - 1, 2**63 - 1, 2**63 - 1, 2**63 - 1, 2**31 - 1, 2**31 - 1, 2**63 - 1, 127, 65535)
    for fields in (low, high):
        writer.push(Kind.QUOTE, *fields[:7], side=fields[7], flags=fields[8])
    names = ["exch_ns", "recv_ns", "price", "price2", "size", "aux", "volume", "side", "flags"]
    assert [tuple(int(tick[name]) for name in names) for tick in read(reader)] == [low, high]


def test_the_ring_numbers_and_signs_what_is_pushed() -> None:
    writer, reader = RingWriter(buffer := new_ring(16)), RingReader(buffer, 3)
    assert [writer.push(Kind.TRADE, 5, 6, 7), writer.push(Kind.CLOCK, 8, 9, 0)] == [0, 1]
    ticks = read(reader)
    assert ticks["seq"].tolist() == [2, 4]
    assert ticks["contract_id"].tolist() == [CONTRACT, CONTRACT]
    assert ticks["epoch"].tolist() == [1, 1] == [writer.epoch, reader.epoch]
    assert (ticks["volume"][0], ticks["price2"][0], ticks["size"][0]) == (-1, 0, 0)  # the defaults
    assert (writer.written, reader.written, reader.position, reader.lost) == (2, 2, 2, 0)
    assert read(reader).size == 0


def test_push_many_is_push_often() -> None:
    one, many = new_ring(64), new_ring(64)
    ticks = stamped(0, 50)
    ticks["kind"][20] = Kind.GAP
    with RingWriter(one) as writer:
        for tick in ticks:
            names = ["kind", "exch_ns", "recv_ns", "price", "price2", "size", "aux", "volume", "side", "flags"]
            writer.push(*(int(tick[name]) for name in names))
    with RingWriter(many) as writer:
        assert writer.push_many(ticks) == 50
        assert writer.push_many(ticks[:0]) == 0
    assert one.tobytes() == many.tobytes()


def test_push_many_takes_a_read_only_array_and_ignores_its_sequence() -> None:
    writer, reader = RingWriter(buffer := new_ring(16)), RingReader(buffer, 0)
    ticks = stamped(0, 3)
    ticks["seq"], ticks["epoch"] = 99, 99
    ticks.setflags(write=False)
    writer.push_many(ticks)
    assert read(reader)["seq"].tolist() == [2, 4, 6]
    assert ticks["seq"].tolist() == [99, 99, 99]


def test_a_gap_record_raises_the_epoch_however_it_is_pushed() -> None:
    writer, reader = RingWriter(buffer := new_ring(16)), RingReader(buffer, 0)
    writer.push(Kind.TRADE, 1, 1, 1)
    assert writer.gap(2, 3) == 1
    writer.push(Kind.GAP, 4, 5, 0)
    gaps = stamped(0, 1)
    gaps["kind"] = Kind.GAP
    writer.push_many(gaps)
    ticks = read(reader)
    assert ticks["epoch"].tolist() == [1, 2, 3, 4]
    assert (int(ticks["exch_ns"][1]), int(ticks["recv_ns"][1])) == (2, 3)
    assert (writer.epoch, reader.epoch) == (4, 4)


def test_the_epoch_wraps_within_its_sixteen_bits() -> None:
    writer, reader = RingWriter(buffer := new_ring(16)), RingReader(buffer, 0, "newest")
    for _ in range(65535):
        writer.gap(0, 0)
    assert writer.epoch == 0
    reader = RingReader(buffer, 0, "newest")
    writer.push(Kind.TRADE, 1, 1, 1)
    assert read(reader)["epoch"].tolist() == [0]


def test_what_does_not_belong_into_the_ring_is_refused_before_anything_is_written() -> None:
    writer = RingWriter(buffer := new_ring(16))
    before = buffer.tobytes()
    for kind in (Kind.NONE, 7, -1):
        with pytest.raises(ValueError, match="not the kind"):
            writer.push(kind, 0, 0, 0)
    for more in ({"size": 2**31}, {"aux": -(2**31) - 1}, {"side": 128}, {"flags": 65536}, {"price2": 2**63}):
        with pytest.raises(OverflowError):
            writer.push(Kind.TRADE, 0, 0, 0, **more)
    foreign, unknown = stamped(0, 5), stamped(0, 5)
    foreign["contract_id"][4] = CONTRACT + 1
    unknown["kind"][4] = 0
    for ticks in (foreign, unknown):
        with pytest.raises(ValueError, match=r"tick 4 is of contract|not the kind"):
            writer.push_many(ticks)
    with pytest.raises(TypeError, match="TICK_DTYPE"):
        writer.push_many(np.zeros(3, np.int64))
    with pytest.raises(TypeError, match="TICK_DTYPE"):
        writer.push_many([1, 2])  # type: ignore[arg-type]
    assert buffer.tobytes() == before


def test_reading_needs_a_writable_contiguous_array_of_ticks() -> None:
    RingWriter(buffer := new_ring(16)).push_many(stamped(0, 8))
    reader = RingReader(buffer, 0)
    with pytest.raises(TypeError, match="TICK_DTYPE"):
        reader.read(np.zeros(8, np.uint64))
    fixed = np.zeros(8, TICK_DTYPE)
    fixed.setflags(write=False)
    with pytest.raises((BufferError, ValueError)):
        reader.read(fixed)
    with pytest.raises((BufferError, ValueError)):
        reader.read(np.zeros(8, TICK_DTYPE)[::2])
    assert reader.read(np.zeros(0, TICK_DTYPE)) == 0
    assert reader.position == 0


# ---------------------------------------------------------------- starting points and laps


def test_oldest_newest_and_a_number_are_where_a_reader_starts() -> None:
    writer = RingWriter(buffer := new_ring(32))
    writer.push_many(stamped(0, 20))
    starts = {"oldest": 0, "newest": 20, 5: 5, 20: 20}
    assert {start: RingReader(buffer, 0, start).position for start in starts} == starts  # type: ignore[arg-type]
    for start in (21, -1, "middle", None, 1.0):
        with pytest.raises(ValueError, match="start is"):
            RingReader(buffer, 0, start)  # type: ignore[arg-type]
    writer.push_many(stamped(20, 80))
    assert RingReader(buffer, 0, "oldest").position == 100 - 32 + 2


def test_F_DAT_04_a_lapped_reader_counts_exactly_what_it_lost_and_goes_on() -> None:
    writer, reader = RingWriter(buffer := new_ring(64)), RingReader(buffer, 0)
    writer.push_many(stamped(0, 10))
    assert read(reader).size == 10
    writer.push_many(stamped(10, 64))
    assert (read(reader, 1)["exch_ns"].tolist(), reader.lost) == ([10], 0)  # full to the last slot is not lapped
    writer.push_many(stamped(74, 2))
    ticks = read(reader)
    assert int(ticks["exch_ns"][0]) == 76 - 64 + 4 == 16
    assert ticks["exch_ns"].tolist() == list(range(16, 76))
    assert (reader.lost, torn(ticks)) == (5, 0)
    assert 11 + len(ticks) + reader.lost == writer.written


def test_F_DAT_04_a_start_long_overwritten_reports_the_lap_at_once() -> None:
    writer = RingWriter(buffer := new_ring(16))
    writer.push_many(stamped(0, 1000))
    reader = RingReader(buffer, 0, 3)
    assert read(reader)["exch_ns"].tolist() == list(range(985, 1000))
    assert reader.lost == 982


# ---------------------------------------------------------------- attaching


@pytest.mark.parametrize("capacity", [16, 64, 1 << 16])
def test_the_bytes_of_a_ring_are_header_and_slots(capacity: int) -> None:
    assert ring_bytes(capacity) == SLOTS + 64 * capacity == ring_layout.HEADER_BYTES + 64 * capacity


@pytest.mark.parametrize("capacity", [0, 1, 8, 15, 17, 24, -16, 2**33, 2**64, 2**70])
def test_a_capacity_that_is_no_power_of_two_in_range_is_refused(capacity: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        ring_bytes(capacity)
    with pytest.raises(ValueError, match="power of two"):
        format_ring(np.zeros(1 << 16, np.uint8), capacity, CONTRACT, RUN)


def test_formatting_needs_room_and_numbers_in_range() -> None:
    with pytest.raises(ValueError, match="needs 2560 bytes"):
        format_ring(np.zeros(2559, np.uint8), 16, CONTRACT, RUN)
    with pytest.raises(ValueError, match="aligned to 8"):
        format_ring(np.zeros(4000, np.uint8)[1:], 16, CONTRACT, RUN)
    for contract, run in ((65536, 0), (-1, 0), (0, 2**64), (0, -1)):
        with pytest.raises(OverflowError):
            format_ring(np.zeros(4000, np.uint8), 16, contract, run)
    with pytest.raises((BufferError, TypeError)):
        format_ring(bytes(4000), 16, CONTRACT, RUN)  # type: ignore[arg-type]


DAMAGE: dict[str, Callable[[np.ndarray], None]] = {
    "magic": lambda b: poke(b, 0, 0),
    "layout 2": lambda b: struct.pack_into("<I", b, 8, 2),
    "layout 1.2": lambda b: struct.pack_into("<I", b, 12, 2),
    "does not fit": lambda b: poke(b, 16, SLOTS + 64 * 16 - 1),
    "capacity 17": lambda b: poke(b, 24, 17),
    "does not fit into": lambda b: poke(b, 24, 32),
    "carries contract": lambda b: struct.pack_into("<I", b, 40, 1 << 20),
    "slots at 64": lambda b: struct.pack_into("<I", b, 44, 64),
}


@pytest.mark.parametrize("message", DAMAGE)
def test_F_DAT_05_a_damaged_header_is_refused_on_attach(message: str) -> None:
    buffer = new_ring(16)
    DAMAGE[message](buffer)
    for attach in (RingWriter, lambda b: RingReader(b, 0), reader_positions):
        with pytest.raises(RingLayoutError, match=message):
            attach(buffer)


def test_a_ring_that_is_too_short_foreign_or_unaligned_is_refused_on_attach() -> None:
    buffer = new_ring(16)
    for wrong in (buffer[:-64], buffer[:100], np.zeros(9000, np.uint8), np.concatenate([buffer[:1], buffer])[1:]):
        with pytest.raises(RingLayoutError):
            RingReader(wrong, 0)
    with pytest.raises(RingLayoutError, match="contract 7, not 8"):
        RingReader(buffer, 0, contract_id=8)
    with pytest.raises(RingLayoutError, match="run 2024, not 1"):
        RingWriter(buffer, run_id=1)
    with pytest.raises((BufferError, TypeError)):
        RingReader(buffer.tobytes(), 0)  # type: ignore[arg-type]
    reader = RingReader(buffer, 0, contract_id=CONTRACT, run_id=RUN)
    assert (reader.capacity, reader.contract_id, reader.run_id, reader.slot) == (16, CONTRACT, RUN, 0)


def test_reader_slots_are_eight_and_show_what_was_published() -> None:
    writer = RingWriter(buffer := new_ring(16))
    assert reader_positions(buffer) == [-1] * 8
    readers = [RingReader(buffer, slot) for slot in range(8)]
    for slot in (-1, 8):
        with pytest.raises(ValueError, match="0 to 7"):
            RingReader(buffer, slot)
    writer.push_many(stamped(0, 9))
    read(readers[2])
    assert reader_positions(buffer) == [0] * 8  # reading publishes nothing by itself
    readers[2].publish()
    readers[5].publish(4)
    readers[7].close()
    assert reader_positions(buffer) == [0, 0, 9, 0, 0, 4, 0, -1]
    assert reader_positions(buffer.tobytes()) == [0, 0, 9, 0, 0, 4, 0, -1]


def test_words_of_different_processes_lie_two_cache_lines_apart() -> None:
    buffer = new_ring(16)
    writer, readers = RingWriter(buffer), [RingReader(buffer, slot) for slot in range(8)]
    empty = buffer.copy()
    writer.push(Kind.TRADE, 1, 1, 1)
    written = set(np.flatnonzero(buffer[:SLOTS] != empty[:SLOTS]) // 128)
    owners = [written]
    for number, reader in enumerate(readers):
        before = buffer.copy()
        reader.publish(1000 + number)
        owners.append(set(np.flatnonzero(buffer != before) // 128))
    assert all(len(lines) == 1 for lines in owners)
    assert len(set.union(*owners, {HEAD // 128, 2})) == len(owners) + 1  # and the sleepers' line is nobody's


# ---------------------------------------------------------------- closing


def test_closing_releases_the_buffer_and_ends_every_call() -> None:
    buffer = bytearray(ring_bytes(16))
    format_ring(buffer, 16, CONTRACT, RUN)
    writer, reader = RingWriter(buffer), RingReader(buffer, 0)
    with pytest.raises(BufferError):
        buffer.clear()
    for ring in (writer, reader, writer, reader):
        ring.close()
    out = np.zeros(1, TICK_DTYPE)
    calls: list[Callable[[], object]] = [
        lambda: writer.push(Kind.TRADE, 1, 1, 1), lambda: writer.gap(0, 0), lambda: writer.push_many(out), writer.wake,
        lambda: writer.capacity, lambda: writer.written, lambda: reader.read(out), lambda: reader.wait(0),
        reader.publish, lambda: reader.epoch, lambda: reader.run_id,
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(ValueError, match="is closed"):
            call()
    buffer.clear()


def test_a_refused_attach_keeps_no_hold_of_the_buffer() -> None:
    buffer = bytearray(4000)
    for attach in (RingWriter, lambda b: RingReader(b, 0), lambda b: RingReader(b, 9), reader_positions):
        with pytest.raises(ValueError, match="ring"):
            attach(buffer)
    buffer.clear()


# ---------------------------------------------------------------- waiting


def test_waiting_ends_with_a_record_or_at_its_time() -> None:
    writer, reader = RingWriter(buffer := new_ring(16)), RingReader(buffer, 0)
    begun = time.monotonic_ns()
    assert reader.wait(20 * MILLISECOND) is False
    assert time.monotonic_ns() - begun >= 20 * MILLISECOND
    assert [reader.wait(0), reader.wait(-5)] == [False, False]
    assert sleepers(buffer) == 0  # the bit is taken back
    writer.push(Kind.TRADE, 1, 1, 1)
    assert reader.wait(0) is True
    assert reader.wait(2**62) is True


def test_a_lapped_reader_does_not_sleep() -> None:
    writer, reader = RingWriter(buffer := new_ring(16)), RingReader(buffer, 0)
    writer.push_many(stamped(0, 100))
    assert reader.wait(10_000 * MILLISECOND) is True
    assert read(reader).size == 15


def test_pushing_without_wake_leaves_the_sleeper_until_it_is_called() -> None:
    writer, reader = RingWriter(buffer := new_ring(16)), RingReader(buffer, 0)
    result: list[bool] = []
    sleeper = threading.Thread(target=lambda: result.append(reader.wait(60_000 * MILLISECOND)))
    sleeper.start()
    while sleepers(buffer) != 1:
        time.sleep(0)
    writer.push(Kind.TRADE, 1, 1, 1, wake=False)
    assert sleepers(buffer) == 1
    writer.wake()
    sleeper.join(30)
    assert result == [True]
    assert sleepers(buffer) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="futexes are Linux's")
def test_on_linux_waiting_is_a_futex() -> None:
    assert USES_FUTEX is True


def test_a_signal_handler_runs_while_a_reader_sleeps() -> None:
    reader = RingReader(buffer := new_ring(16), 0)
    main = threading.main_thread().ident
    assert main == threading.get_ident()
    done = threading.Event()

    def interrupt() -> None:
        # Repeated: a signal that arrives just before the reader falls asleep is only seen when it wakes.
        while not done.wait(0.01):
            if sleepers(buffer):
                signal.pthread_kill(main, signal.SIGUSR1)

    def handler(*_: object) -> None:
        done.set()
        raise InterruptedError("handled")

    before = signal.signal(signal.SIGUSR1, handler)
    helper = threading.Thread(target=interrupt)
    helper.start()
    try:
        with pytest.raises(InterruptedError, match="handled"):
            reader.wait(60_000 * MILLISECOND)
    finally:
        done.set()
        helper.join()
        signal.signal(signal.SIGUSR1, before)
    assert sleepers(buffer) == 0
    reader.close()  # and it is no longer held by the wait


def test_a_reader_is_not_closed_under_a_thread_that_waits() -> None:
    writer, reader = RingWriter(buffer := new_ring(16)), RingReader(buffer, 0)
    sleeper = threading.Thread(target=lambda: reader.wait(60_000 * MILLISECOND))
    sleeper.start()
    while not sleepers(buffer):
        os.sched_yield()
    with pytest.raises(RuntimeError, match="waits"):
        reader.close()
    writer.push(Kind.TRADE, 1, 1, 1)
    sleeper.join(30)
    reader.close()


# ---------------------------------------------------------------- damage inside


def test_I8_a_slot_with_an_impossible_sequence_costs_that_record_and_is_counted() -> None:
    for wrong in (0, 3, 2 * 24 + 2, 2 * 25, 2 * 25 + 3, 2 * 41 + 1, 2**64 - 1):  # whole would be 2 * 25 + 2
        writer, reader = RingWriter(buffer := new_ring(16)), RingReader(buffer, 0)
        writer.push_many(stamped(0, 30))
        assert read(reader, 1)["exch_ns"].tolist() == [15]  # 0 to 14 are lapped
        poke(buffer, SLOTS + 64 * (25 % 16), wrong)
        assert read(reader)["exch_ns"].tolist() == list(range(16, 25))
        assert (reader.wait(0), reader.lost) == (True, 15)  # there is something to say
        assert read(reader)["exch_ns"].tolist() == list(range(26, 30)), wrong
        assert reader.lost == 15 + 1


def test_a_slot_damaged_before_it_is_written_does_no_harm() -> None:
    writer, reader = RingWriter(buffer := new_ring(16)), RingReader(buffer, 0)
    poke(buffer, SLOTS, 999)
    assert read(reader).size == 0
    assert reader.wait(0) is False
    writer.push(Kind.TRADE, 1, 1, 1)
    assert (read(reader).size, reader.lost) == (1, 0)


def test_a_writer_refuses_a_ring_whose_next_slot_makes_no_sense() -> None:
    RingWriter(buffer := new_ring(16)).push_many(stamped(0, 3))
    poke(buffer, SLOTS + 64 * 3, 12)
    with pytest.raises(RingLayoutError, match="record 3 comes next, but its slot has sequence 12"):
        RingWriter(buffer)


def test_an_older_writer_finds_out_that_a_newer_one_has_taken_over() -> None:
    old = RingWriter(buffer := new_ring(16))
    old.push(Kind.TRADE, 1, 1, 1)
    new = RingWriter(buffer)
    before = buffer.tobytes()
    for call in (lambda: old.push(Kind.TRADE, 2, 2, 2), lambda: old.gap(0, 0), lambda: old.push_many(stamped(0, 2))):
        with pytest.raises(RuntimeError, match="newer writer"):
            call()
    assert buffer.tobytes() == before
    assert new.push(Kind.TRADE, 3, 3, 3) == 2
    assert word(buffer, HEAD) == 3
    assert struct.unpack_from("<I", buffer, EPOCH)[0] == new.epoch == 2
