"""TickRing against a list that is never overwritten, and against a writer that dies between any two of its stores."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ring_model import ModelReader, ModelRing
from ring_ticks import HEAD, RUN, SLOTS, Ticks, new_ring, poke, stamped, torn, word
from tbot_ext.records import TICK_DTYPE, Kind
from tbot_ext.ring import RingReader, RingWriter, reader_positions

CAPACITY = 16
WRITE, READ, ATTACH, REPLACE_WRITER = range(4)
Step = tuple[int, int, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from((WRITE, WRITE, READ, READ, ATTACH, REPLACE_WRITER)), st.integers(0, 2), st.integers(0, 40)
    ),
    max_size=40,
)


@pytest.mark.parametrize("capacity", [16, 64])
@given(steps=STEPS)
@example(steps=[(WRITE, 0, 16), (READ, 0, 40), (WRITE, 0, 17), (READ, 0, 1), (READ, 1, 40)])
@example(steps=[(WRITE, 0, 40), (REPLACE_WRITER, 0, 0), (WRITE, 0, 15), (READ, 0, 3), (ATTACH, 0, 0), (READ, 0, 40)])
def test_I8_any_order_of_calls_gives_what_the_model_gives(capacity: int, steps: list[Step]) -> None:
    """Three readers, one writer now and then replaced; each record is known by its number (a GAP is -1)."""
    buffer, model = new_ring(capacity), ModelRing(capacity)
    writer = RingWriter(buffer)
    readers = [RingReader(buffer, slot, 0) for slot in range(3)]
    models = [ModelReader(model, 0) for _ in range(3)]
    epochs, serial = [], 0
    for kind, which, amount in steps:
        if kind == WRITE:
            writer.push_many(stamped(serial, amount))
            model.records += range(serial, serial + amount)
            epochs += [writer.epoch] * amount
            serial += amount
        elif kind == REPLACE_WRITER:
            writer = RingWriter(buffer)
            if model.records:
                model.records.append(-1)
                epochs.append(writer.epoch)
        elif kind == ATTACH:
            readers[which] = RingReader(buffer, which, "oldest")
            models[which] = ModelReader(model, model.oldest_safe())
        else:
            assert readers[which].wait(0) == (models[which].position < len(model.records))
            got = _read(readers[which], amount)
            expected = models[which].read(amount)
            _compare(got, expected, models[which].position, epochs)
            assert (readers[which].position, readers[which].lost) == (models[which].position, models[which].lost)
    assert writer.written == len(model.records)
    assert reader_positions(buffer)[3:] == [-1] * 5


def _compare(got: Ticks, expected: list[int], position: int, epochs: list[int]) -> None:
    first = position - len(expected)
    assert (got["seq"] // 2 - 1).tolist() == list(range(first, position))
    assert got["epoch"].tolist() == epochs[first:position]
    trades = got[got["kind"] == Kind.TRADE]
    assert torn(trades) == 0
    assert [int(tick["exch_ns"]) if tick["kind"] == Kind.TRADE else -1 for tick in got] == expected


def _read(reader: RingReader, room: int) -> Ticks:
    out = np.zeros(room, TICK_DTYPE)
    return out[: reader.read(out)]


# ---------------------------------------------------------------- a writer that dies

STORES = 10  # of one record: odd sequence, seven words, even sequence, head


def die_after(buffer: np.ndarray, number: int, epoch: int, stores: int) -> None:
    """What is in memory when the writer of record `number` (a `stamped` one) was killed after so many stores."""
    tick = stamped(number, 1)
    tick["epoch"] = epoch
    words = tick.view(np.uint64).tolist()
    slot = SLOTS + 64 * (number % CAPACITY)
    order = [(slot, 2 * number + 1), *((slot + 8 * i, words[i]) for i in range(1, 8)), (slot, 2 * number + 2)]
    for offset, value in [*order, (HEAD, number + 1)][:stores]:
        poke(buffer, offset, value)


@pytest.mark.parametrize("written", [0, 1, 15, 16, 40])
def test_the_stores_of_the_dying_writer_are_those_of_the_real_one(written: int) -> None:
    real, simulated = new_ring(CAPACITY), new_ring(CAPACITY)
    RingWriter(real).push_many(stamped(0, written + 1))
    RingWriter(simulated).push_many(stamped(0, written))
    die_after(simulated, written, 1, STORES)
    assert simulated.tobytes() == real.tobytes()


@pytest.mark.parametrize("stores", range(STORES + 1))
@pytest.mark.parametrize("written", [0, 1, 15, 16, 17, 40])
def test_K_FD_01_K_FD_02_F_DAT_05_a_writer_killed_at_any_store_is_repaired(written: int, stores: int) -> None:
    buffer = new_ring(CAPACITY)
    RingWriter(buffer).push_many(stamped(0, written))
    before, behind = RingReader(buffer, 0, "newest"), RingReader(buffer, 1, max(0, written - CAPACITY))
    die_after(buffer, written, 1, stores)
    whole = written + (stores >= 9)

    # While the writer is dead: what is whole is read, what is not does not exist, nothing hangs.
    assert before.wait(0) is (stores >= 9)
    early = _read(before, 64)
    assert (early["exch_ns"].tolist(), torn(early)) == (list(range(written, whole)), 0)

    writer = RingWriter(buffer)
    used = whole > 0 or stores > 0  # an untouched ring needs no mark
    assert (writer.epoch, writer.written) == (2, whole + used)
    assert word(buffer, HEAD) == whole + used
    writer.push_many(stamped(1000, 3))
    late = _read(before, 64)
    kinds = [Kind.GAP] * used + [Kind.TRADE] * 3
    assert (late["kind"].tolist(), late["epoch"].tolist()) == (kinds, [2] * len(kinds))
    if used and whole:
        newest = stamped(whole - 1, 1)
        assert (late["exch_ns"][0], late["recv_ns"][0]) == (newest["exch_ns"][0], newest["recv_ns"][0])
    _assert_all_accounted(behind, max(0, written - CAPACITY), writer.written)


def _assert_all_accounted(reader: RingReader, start: int, written: int) -> None:
    ticks = _read(reader, 64)
    assert (np.diff(ticks["seq"].astype(np.int64)) == 2).all()
    assert start + len(ticks) + reader.lost == written
    trades = ticks[ticks["kind"] == Kind.TRADE]
    assert torn(trades) == 0


@pytest.mark.parametrize("stores", range(STORES + 1))
def test_K_FD_01_K_FD_02_a_second_writer_killed_while_it_repairs_is_repaired_too(stores: int) -> None:
    buffer = new_ring(CAPACITY)
    RingWriter(buffer).push_many(stamped(0, 20))
    reader = RingReader(buffer, 0, "newest")
    die_after(buffer, 20, 1, 4)
    die_after(buffer, 20, 2, stores)  # its successor writes the same slot and dies as well
    writer = RingWriter(buffer, run_id=RUN)
    writer.push_many(stamped(21, 1))
    ticks = _read(reader, 64)
    assert ticks["kind"].tolist()[-2:] == [Kind.GAP, Kind.TRADE]
    assert torn(ticks[ticks["kind"] == Kind.TRADE]) == 0
    assert (ticks["seq"] // 2 - 1).tolist() == list(range(20, writer.written))


def test_an_untouched_ring_gets_no_gap_but_every_writer_an_epoch() -> None:
    buffer = new_ring(CAPACITY)
    assert [RingWriter(buffer).epoch for _ in range(3)] == [1, 2, 3]
    assert RingReader(buffer, 0).written == 0
