"""Steps of a make-believe Desk for the journal tests, and child processes that write one."""

import dataclasses
import resource
from multiprocessing.connection import Connection
from pathlib import Path

from tbot.domain import messages as m
from tbot.errors import JournalError
from tbot.storage.journal import Journal
from tbot.storage.journal_reader import RunInfo
from tbot.transport import wire

RUN = RunInfo(run_id=7, build="test", config_hash="c0ffee", mode="sim", started_ns=1_780_000_000_000_000_000)
QUOTE = m.Quote(bid=20100, ask=20101, exch_ns=1_780_000_000_000_000_000, seq=7)
ACCOUNT = 11


def signal(number: int) -> m.Signal:
    return m.Signal(
        f"MNQ-{number}", "MNQ", 1, QUOTE, 20000, 20300, 71.5, "retest", number, 5, {"trend": 20.0}, (1, 2), "ab", 5, 9
    )


def entry(number: int) -> m.PlaceBracket:
    return m.PlaceBracket(f"c{number}", ACCOUNT, "MNQ", 1, 2, -40, 80, f"TB1-{number}-E", f"MNQ-{number}")


def protective(number: int) -> m.CloseContract:
    return m.CloseContract(f"x{number}", ACCOUNT, "MNQ", "window")


def step(number: int) -> tuple[m.DeskInput, list[m.DeskOutput]]:
    """A varied but fixed sequence; every third step holds an entry, every fifth a protective command."""
    now = RUN.started_ns + number * 1_000_000_000
    if number % 3 == 0:
        intent = m.Intent(now, ACCOUNT, f"MNQ-{number}", "MNQ", 1, 2, QUOTE, 40, 80, 8_000, f"TB1-{number}-E")
        return m.SignalIn(now, signal(number), QUOTE, 5), [intent, entry(number)]
    if number % 5 == 0:
        change = m.StateChange(now, ACCOUNT, "REDUCING", ("RC_WINDOW",), "flat")
        return m.OperatorIn(now, "flatten"), [change, protective(number), m.Query(f"q{number}", ACCOUNT, 0)]
    return m.TimerIn(now, {"MNQ": dataclasses.replace(QUOTE, seq=number)}), []


def has_entry(number: int) -> bool:
    return number % 3 == 0


def journal_at(path: Path, **settings: object) -> Journal:
    return Journal(path, wire, RUN, **settings)  # type: ignore[arg-type]


def write_for_ever(path: str, pipe: Connection) -> None:
    """Record steps and say each number as soon as its entry may leave; to be killed."""
    journal = journal_at(Path(path))
    number = 0
    while True:
        number += 1
        journal.record(*step(number))
        if has_entry(number):
            pipe.send(number)
        elif number % 7 == 0:
            journal.flush()


def write_into_a_full_disk(path: str, limit: int, pipe: Connection) -> None:
    """No file may grow beyond `limit` bytes: says (acknowledged, refused, trouble, noted) and ends in disorder."""
    journal = journal_at(Path(path))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    acknowledged, refused = [], []
    for number in range(1, 400):
        try:
            journal.record(*step(number))
            if has_entry(number):
                acknowledged.append(number)
        except JournalError:
            refused.append(number)
    noted = journal.emergency("last words")
    pipe.send((acknowledged, refused, journal.trouble, noted))
    pipe.close()
