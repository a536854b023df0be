r"""What do a write and a read of the ring cost its two ends?

No budget of its own: the hop between processes, with its floors in C, is measured where the wake-up is (a bench of the
whole way from tick to signal). Here nobody sleeps and nobody waits.
Run: python -m pytest -s --benchmark-timer=time.process_time \
    -o python_files='bench_*.py' -o python_functions='bench_*' bench/bench_ring.py
Reference machine: 2 virtual cores of a shared x86-64 server.
"""

from typing import Any

import numpy as np
import pytest

from tbot_ext.records import TICK_DTYPE, Kind
from tbot_ext.ring import RingReader, RingWriter, format_ring, ring_bytes

CAPACITY = 1 << 16
BATCH = 1_000


@pytest.fixture
def memory() -> bytearray:
    space = bytearray(ring_bytes(CAPACITY))
    format_ring(space, CAPACITY, 1, 1)
    return space


def ticks() -> np.ndarray:
    """A batch of prints of contract 1."""
    found = np.zeros(BATCH, TICK_DTYPE)
    found["kind"], found["contract_id"] = Kind.TRADE, 1
    found["exch_ns"], found["price"], found["size"] = np.arange(BATCH), 20_000, 1
    return found


def note(benchmark: Any) -> None:
    each = benchmark.stats.stats.median / BATCH * 1e9
    benchmark.extra_info["ns_per_tick"] = round(each, 1)
    print(f"\n{benchmark.name}: {each:.1f} ns per tick")


def bench_write_one_by_one(benchmark: Any, memory: bytearray) -> None:
    """As the feed writes a lone frame: one call and one look for sleepers each."""
    push, kind = RingWriter(memory).push, int(Kind.TRADE)

    def run() -> None:
        for number in range(BATCH):
            push(kind, number, number, 20_000, 0, 1)

    benchmark.pedantic(run, rounds=200, warmup_rounds=5)
    note(benchmark)


def bench_write_a_batch(benchmark: Any, memory: bytearray) -> None:
    writer, batch = RingWriter(memory), ticks()
    assert benchmark.pedantic(lambda: writer.push_many(batch), rounds=500, warmup_rounds=5) == BATCH
    note(benchmark)


def bench_read_a_batch(benchmark: Any, memory: bytearray) -> None:
    writer, reader, batch, out = RingWriter(memory), RingReader(memory, 0), ticks(), np.zeros(BATCH, TICK_DTYPE)
    found = benchmark.pedantic(
        lambda: reader.read(out), setup=lambda: writer.push_many(batch) and None, rounds=500, warmup_rounds=5
    )
    assert (found, reader.lost) == (BATCH, 0)
    note(benchmark)


def bench_look_at_an_empty_ring(benchmark: Any, memory: bytearray) -> None:
    """What a spinning worker does all day."""
    reader, out = RingReader(memory, 0), np.zeros(BATCH, TICK_DTYPE)

    def run() -> None:
        for _ in range(BATCH):
            reader.read(out)

    benchmark.pedantic(run, rounds=200, warmup_rounds=5)
    note(benchmark)
