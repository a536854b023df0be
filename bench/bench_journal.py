r"""What does the journal cost: an entry that must be on disk, a second of timers, the proof at a start, a question?

Budget: signal to order request at most 2 ms including the synced record (design, section 6); what the index costs an
entry must not show beside its sync, and timers are not in it at all.
Run: python -m pytest -s -n 0 -o python_files='bench_*.py' -o python_functions='bench_*' bench/bench_journal.py
Reference machine: 2 virtual cores of a shared x86-64 server.
"""

import time
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any

import pytest

from journal_items import RUN, journal_at, step
from tbot.domain.messages import RoundTrip, TimerIn
from tbot.storage.journal import Journal
from tbot.storage.journal_beside import JournalBeside
from tbot.storage.journal_reader import JournalReader
from tbot.storage.journal_rotation import ROTATE_ROWS
from tbot.transport import wire

SILENCE_S = 0.1
TRIP = RoundTrip(1, 11, "MNQ", 1, 2, 1, 0, 0, 9_800, 144, 100, "target", "MNQ-1", 0)


@pytest.fixture(params=["with index", "without"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    with journal_at(tmp_path / "journal.db") as opened:
        if request.param == "without":
            opened._db.execute("DROP INDEX record_by_kind")
        yield opened


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As many rows as a file takes, a round trip in a thousand."""
    path = tmp_path_factory.mktemp("full") / "journal.db"
    timer = step(1)[0]
    assert isinstance(timer, TimerIn)
    with journal_at(path, max_waiting=5000) as opened:
        for number in range(ROTATE_ROWS):
            opened.record(timer, [] if number % 1000 else [TRIP])
    return path


def bench_an_entry_on_disk(benchmark: Any, journal: Journal) -> None:
    numbers = count(3, 3)
    benchmark.pedantic(lambda: journal.record(*step(next(numbers))), rounds=500)


def bench_an_entry_after_a_silence(benchmark: Any, tmp_path: Path) -> None:
    """As in a run, with its thread: signals are rare, and processor, disk and caches sleep between them."""
    numbers = count(3, 3)
    with JournalBeside(tmp_path / "journal.db", wire, RUN) as opened:

        def silence() -> tuple[tuple[Any, ...], dict[str, Any]]:
            time.sleep(SILENCE_S)
            return step(next(numbers)), {}

        benchmark.pedantic(opened.record, setup=silence, rounds=100)


def bench_500_timers_flushed(benchmark: Any, journal: Journal) -> None:
    timer, _ = step(1)

    def flush() -> None:
        for _ in range(499):
            journal.record(timer, [])
        journal.flush()

    benchmark.pedantic(flush, rounds=20)


def bench_a_full_file_proven(benchmark: Any, full: Path) -> None:
    with JournalReader(full, wire) as reader:
        assert benchmark.pedantic(reader.verify, rounds=3).state == "ok"


def bench_the_last_20_round_trips_of_a_full_file(benchmark: Any, full: Path) -> None:
    with JournalReader(full, wire) as reader:
        found = benchmark.pedantic(lambda: list(islice(reader.of_kind("RoundTrip"), 20)), rounds=20)
    assert len(found) == 20
