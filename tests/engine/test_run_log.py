"""The log of a run: one file of JSON lines, whole, bounded, without secrets, and never in anybody's way."""

import logging
import os
import stat
import threading
import warnings
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import orjson
import pytest

from tbot.domain.process_messages import EngineEvent
from tbot.engine import run_log as module
from tbot.engine.log_settings import LogSettings
from tbot.engine.run_log import RunLog
from tbot.errors import ConfigError

PATIENCE_S = 60.0
NOON_NS = 1_795_186_800_000_000_000  # 2026-11-20 15:00 UTC


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "sim"
    made.mkdir(mode=0o700)
    return made


def opened(folder: Path, *, secrets: tuple[str, ...] = (), user: str = "", **more: Any) -> RunLog:
    return RunLog(folder, LogSettings(**more), "sim", secrets, user)


@pytest.fixture
def log(folder: Path) -> Iterator[RunLog]:
    made = opened(folder)
    yield made
    made.close()


def written(folder: Path, name: str = "engine.log", log: RunLog | None = None) -> list[dict[str, Any]]:
    """The lines of a file; of a `log` that is open, once it has written what it was told."""
    assert log is None or log.settle(PATIENCE_S)
    return [orjson.loads(line) for line in (folder / name).read_bytes().splitlines()]


def test_a_line_tells_when_who_what_and_why(log: RunLog, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.time, "time_ns", lambda: NOON_NS + 1_000)
    log.event(EngineEvent(NOON_NS, "executor", "DENIAL", "MNQ", "one contract may lose too much (RISK_BUDGET)"))
    log.line("worker-MES", "STDERR", "a warning")
    assert written(folder, log=log) == [
        {"time": "2026-11-20T15:00:00.000001Z", "level": "INFO", "process": "executor", "mode": "sim", "kind": "DENIAL",
         "code": "RISK_BUDGET", "text": "one contract may lose too much (RISK_BUDGET)", "contract": "MNQ",
         "market_time": "2026-11-20T15:00:00.000000Z"},
        {"time": "2026-11-20T15:00:00.000001Z", "level": "WARNING", "process": "worker-MES", "mode": "sim",
         "kind": "STDERR", "code": "STDERR", "text": "a warning"},
    ]  # fmt: skip
    assert stat.S_IMODE((folder / "engine.log").stat().st_mode) == 0o600


@pytest.mark.parametrize(("level", "kinds"), [("debug", "ZONE FILL PROC"), ("info", "FILL PROC"), ("warning", "PROC")])
def test_the_level_says_what_is_written(folder: Path, level: str, kinds: str) -> None:
    log = opened(folder, level=level)
    for kind in ("ZONE", "FILL", "PROC"):
        log.event(EngineEvent(0, "feed", kind, "", "text"))
    log.close()
    assert [line["kind"] for line in written(folder)] == kinds.split()


def test_I30_F_SEC_05_secrets_are_masked_and_strangers_signs_taken_out(folder: Path) -> None:
    log = opened(folder, secrets=("canary-key-7731",), user="canary")
    log.line("feed", "STDERR", "wss://x/hubs?access_token=canary-token-1&id=2 eyJhbGciOiJIUzI1NiJ9.e30.canary-2 rest")
    log.line("feed", "STDERR", "key canary-key-7731 of canary: \x1b[2J\u202e\n" + "x" * 5_000)
    logging.getLogger("websockets").warning("gave up %s", "canary-key-7731")
    log.close()
    assert "canary" not in (folder / "engine.log").read_text()
    assert [line["text"][:22] for line in written(folder)] == [
        "wss://x/hubs?access_to", "key *** of ***:  [2J  ", "websockets: gave up **",
    ]  # fmt: skip
    assert max(len(line["text"]) for line in written(folder)) <= 300


def test_library_warnings_of_the_launcher_come_here_and_no_longer_once_it_is_closed(folder: Path) -> None:
    log = opened(folder)
    logging.getLogger("some.library").info("chatter")
    logging.getLogger("some.library").error("no answer")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    log.close()
    logging.getLogger("some.library").error("after the end")
    assert [line["level"] for line in written(folder)] == ["ERROR", "WARNING"]
    assert "DeprecationWarning: old" in written(folder)[1]["text"]


def test_files_are_bounded_in_size_and_number(folder: Path) -> None:
    log = opened(folder, max_mb=1, files=2)
    for number in range(16_000):
        log.line("feed", "FEED", f"{number} {'x' * 200}")
        assert number % 1_000 or log.settle(PATIENCE_S)
    log.close()
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["engine.log", "engine.log.1", "engine.log.2"]
    assert all((folder / name).stat().st_size <= 1_000_000 for name in names)
    numbers = [int(line["text"].split()[0]) for name in reversed(names) for line in written(folder, name)]
    assert numbers == list(range(numbers[0], 16_000))


def test_a_start_goes_on_in_the_file_of_its_trading_day(folder: Path) -> None:
    for number in range(3):
        log = opened(folder)
        log.line("feed", "FEED", str(number))
        log.line("feed", "FEED", f"{number} again")
        log.close()
        if number == 1:
            os.utime(folder / "engine.log", (1.7e9, 1.7e9))  # as if nothing had been written for years
    assert [line["text"] for line in written(folder, "engine.log.1")] == ["0", "0 again", "1", "1 again"]
    assert [line["text"] for line in written(folder)] == ["2", "2 again"]


def test_a_day_that_ends_during_a_run_ends_its_file(log: RunLog, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for day in (19, 20):
        monkeypatch.setattr(module, "trading_day", lambda ns, day=day: date(2026, 11, day))
        log.line("feed", "FEED", str(day))
        assert log.settle(PATIENCE_S)
    assert [line["text"] for line in written(folder, "engine.log.1")] == ["19"]
    assert [line["text"] for line in written(folder)] == ["20"]


def test_F_SYS_01_a_full_disk_costs_lines_and_nothing_else(
    log: RunLog, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.line("feed", "FEED", "before")
    assert log.settle(PATIENCE_S)
    real = module._Rotated._open
    monkeypatch.setattr(module._Rotated, "_open", lambda self: open("/dev/full", "a"))  # noqa: SIM115
    log._file.stream = None  # type: ignore[assignment]
    for _ in range(3):
        log.line("feed", "FEED", "lost")
    assert log.settle(PATIENCE_S)
    assert log.status()["lost"] == 3
    assert "No space left" in log.status()["trouble"]
    monkeypatch.setattr(module._Rotated, "_open", real)
    log.line("feed", "FEED", "after")
    assert log.settle(PATIENCE_S)
    assert log.status() == {"path": str(folder / "engine.log"), "lost": 3, "trouble": ""}
    assert [line["text"] for line in written(folder)] == ["before", "after"]


def test_F_CFG_05_a_log_that_is_taken_away_is_told_and_begun_anew(log: RunLog, folder: Path) -> None:
    log.line("feed", "FEED", "before")
    assert log.settle(PATIENCE_S)
    folder.rename(folder.with_name("elsewhere"))
    log.line("feed", "FEED", "lost")
    assert log.settle(PATIENCE_S)
    assert log.status()["lost"] == 1
    assert "No such file" in log.status()["trouble"]
    folder.mkdir(mode=0o700)
    log.line("feed", "FEED", "after")
    assert [line["text"] for line in written(folder, log=log)] == ["after"]
    (folder / "engine.log").unlink()
    log.line("feed", "FEED", "and again")
    assert [line["text"] for line in written(folder, log=log)] == ["and again"]
    assert log.status()["trouble"] == ""


def test_F_SYS_05_a_disk_that_hangs_holds_nobody_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING", 10)
    monkeypatch.setattr(module, "CLOSE_S", 0.01)
    log = opened(folder)
    reached, answers = threading.Event(), threading.Event()
    handle = log._file.handle

    def hanging(record: logging.LogRecord) -> None:
        reached.set()
        answers.wait()
        handle(record)

    monkeypatch.setattr(log._file, "handle", hanging)
    log.line("feed", "FEED", "0")
    assert reached.wait(PATIENCE_S)
    for number in range(1, 14):  # one is on its way, ten wait
        log.line("feed", "FEED", str(number))
    assert (log.status()["lost"], log.status()["trouble"]) == (3, "the disk does not answer")
    assert not log.settle(0.01)
    log.close()
    assert not (folder / "engine.log").exists()
    answers.set()
    log._waiting.put(None, timeout=PATIENCE_S)
    log._writer.join(PATIENCE_S)
    assert [line["text"] for line in written(folder)] == [str(number) for number in range(11)]


def test_a_line_that_was_torn_off_stays_alone(folder: Path) -> None:
    (folder / "engine.log").write_bytes(b'{"time":"2026-')
    log = opened(folder)
    log.line("feed", "FEED", "whole")
    log.close()
    torn, whole = (folder / "engine.log").read_bytes().splitlines()
    assert torn == b'{"time":"2026-'
    assert orjson.loads(whole)["text"] == "whole"


@pytest.mark.parametrize("planted", ["link", "folder", "pipe"])
def test_F_SEC_06_only_a_file_of_ours_is_written(folder: Path, tmp_path: Path, planted: str) -> None:
    place = folder / "engine.log"
    target = tmp_path / "target"
    target.write_text("mine")
    if planted == "link":
        place.symlink_to(target)
    elif planted == "folder":
        place.mkdir()
    else:
        os.mkfifo(place)
    log = opened(folder)
    log.line("feed", "FEED", "text")
    assert log.settle(PATIENCE_S)
    assert log.status()["lost"] == 1
    assert log.status()["trouble"]
    log.close()
    assert target.read_text() == "mine"


@pytest.mark.parametrize(
    ("values", "words"),
    [({"level": "loud"}, "level must be one of"), ({"max_mb": 0}, "1 and 1,000"), ({"files": 101}, "1 and 100")],
)
def test_settings_that_make_no_sense_are_named(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        LogSettings(**values)
