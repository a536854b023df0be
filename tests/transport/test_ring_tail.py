"""Looking at a ring without being one of its readers."""

import random

import numpy as np
import pytest

from ring_ticks import CONTRACT, new_ring, stamped, torn
from tbot.transport.ring_tail import RingTail
from tbot_ext.ring import RingLayoutError, RingWriter, reader_positions


def numbers(records: np.ndarray) -> list[int]:
    return records["exch_ns"].tolist()


def test_reads_on_from_where_it_was() -> None:
    ring = new_ring(64)
    tail, writer = RingTail(memoryview(ring).toreadonly()), RingWriter(ring)
    assert len(tail.read()) == 0
    writer.push_many(stamped(0, 10))
    assert numbers(tail.read()) == list(range(10))
    assert len(tail.read()) == 0
    writer.push_many(stamped(10, 5))
    found = tail.read()
    assert numbers(found) == list(range(10, 15))
    assert torn(found) == 0


def test_a_late_one_gets_what_is_safely_there() -> None:
    ring = new_ring(64)
    RingWriter(ring).push_many(stamped(0, 1000))
    found = RingTail(memoryview(ring)).read()
    assert numbers(found) == list(range(1000 - 60, 1000))  # a sixteenth is left: it is overwritten next
    assert set(found["contract_id"]) == {CONTRACT}


def test_it_writes_nothing() -> None:
    ring = new_ring(64)
    RingWriter(ring).push_many(stamped(0, 100))
    before = ring.copy()
    ring.flags.writeable = False
    tail = RingTail(memoryview(ring))
    tail.read()
    tail.close()
    assert np.array_equal(ring, before)
    assert set(reader_positions(memoryview(ring))) == {-1}


def test_a_slot_that_is_being_written_is_left_out() -> None:
    ring = new_ring(64)
    RingWriter(ring).push_many(stamped(0, 20))
    ring[1536:].view(np.uint64)[5 * 8] += 1  # as if the writer stood in record 5's slot, a lap ahead
    assert numbers(RingTail(memoryview(ring)).read()) == [n for n in range(20) if n != 5]


def test_any_mix_of_writing_and_looking_gives_every_record_or_the_newest() -> None:
    chance = random.Random(5)
    ring = new_ring(32)
    tail, writer, written, seen = RingTail(memoryview(ring)), RingWriter(ring), 0, -1
    for _ in range(300):
        count = chance.choice((0, 1, 2, 7, 29, 33, 100))
        writer.push_many(stamped(written, count))
        written += count
        found = numbers(tail.read())
        assert found == list(range(max(seen + 1, written - 30), written))
        seen = written - 1


def test_what_is_no_ring_is_refused() -> None:
    with pytest.raises(RingLayoutError):
        RingTail(memoryview(bytearray(8192)))
