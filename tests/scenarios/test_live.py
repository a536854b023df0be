"""`tbot run --live` with real processes against a simulator that looks like anybody's gateway."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from engine_runs import Command, assert_nothing_left, open_journal, running, until
from foreign_gateway import MINUTE, foreign_gateway, name_of
from scripted_trader import Cue, write_script
from sim_rig import KEY, OWNER, RunningServer
from tbot.domain.messages import RoundTrip

SUPPORT = Path(__file__).parents[1] / "support"
PINNED = (1001, 1002)


def write_config(folder: Path, *numbers: int) -> Path:
    path = folder / "tbot.toml"
    tables = [f'[[accounts]]\nid = {number}\nname = "{name_of(number)}"\nfloor_usd = 48000\n' for number in numbers]
    path.write_text('[engine]\ncontracts = ["MNQ"]\n' + "\n".join(tables))
    return path


@contextmanager
def live_engine(
    home: Path, rest: str, *arguments: str, cues: list[Cue] | None = None
) -> Iterator[Command]:
    """`tbot run --live` of both accounts, with scripted workers, at every hour of the day."""
    home.mkdir(exist_ok=True)
    write_script(home / "script.json", cues or [])
    config = write_config(home, *PINNED)
    confirm = [word for number in PINNED for word in ("--confirm-live", str(number))]
    program = (str(SUPPORT / "session_engine.py"), str(home / "script.json"))
    environment = {
        "TBOT_USERNAME": OWNER, "TBOT_API_KEY": KEY, "PYTHONPATH": str(SUPPORT), "TEST_ANY_HOUR": "1",
    }  # fmt: skip
    words = ("run", "--live", "--gateway", rest, "-c", str(config), *confirm, *arguments)
    with running(home, *words, program=program, **environment) as engine:
        yield engine


def flat(server: RunningServer) -> bool:
    books = [account.book for account in server.server.exchange.accounts.values()]
    return not any(book.holdings() or book.living_orders() for book in books)


@pytest.mark.long
@pytest.mark.timeout(400)
def test_R12_a_live_run_trades_a_bracket_through_and_ends_flat(tmp_path: Path) -> None:
    with foreign_gateway(accounts=2) as gateway:
        server = gateway.server
        first = time.time_ns() // MINUTE * MINUTE
        cues = [Cue("MNQ", first + number * MINUTE, 1, 40, 60) for number in range(6)]
        with live_engine(tmp_path / "home", gateway.rest, "--json", cues=cues) as engine:
            status = engine.await_state("ACTIVE")
            assert (status["mode"], status["badge"], sorted(status["accounts"])) == ("live", "LIVE", ["1001", "1002"])
            run_dir, journal_path = engine.run_dir(), engine.journal()
            assert journal_path == tmp_path / "home" / "live" / "journal.db"
            second_engines_are_refused(tmp_path, gateway.rest)
            until(lambda: engine.status()["fills"] >= 2, "both entries filled", 200, engine.status)
            assert not flat(server)
            gateway.market.rise(400)
            until(lambda: engine.status()["round_trips"] >= 2, "two round trips", 300, engine.status)
            engine.interrupt()
            code, out = engine.finish()
            assert code == 0, engine.stderr
            assert_nothing_left(engine, run_dir)
            assert flat(server)
        check(json.loads(out), journal_path)
        assert "orders go to" in engine.stderr
        assert KEY not in engine.stderr


def second_engines_are_refused(folder: Path, rest: str) -> None:
    """F-CFG-01: the same state directory, and another one."""
    for home in ("home", "another"):
        with live_engine(folder / home, rest, "--quiet") as second:
            code, _ = second.finish(60)
            assert code == 8, second.stderr
            assert "another engine trades account 1001 (RC_SECOND_ENGINE)" in second.stderr


def check(document: dict[str, Any], journal_path: Path) -> None:
    assert document["mode"] == "live"
    assert document["state"] == "STOPPED"
    assert {number: account["name"] for number, account in document["accounts"].items()} == {
        str(number): name_of(number) for number in PINNED
    }
    with open_journal(journal_path) as journal:
        assert journal.verify().state == "ok"
        ((_, info),) = journal.runs()
        assert info.mode == "live"
        trips = [note for step in journal.steps() for note in step.outputs if isinstance(note, RoundTrip)]
    targets = {(trip.account, trip.exit_reason) for trip in trips}
    assert {(1001, "target"), (1002, "target")} <= targets


@pytest.mark.long
def test_F_CFG_02_on_a_terminal_the_names_are_typed(tmp_path: Path) -> None:
    with foreign_gateway(accounts=2) as gateway:
        for typed, code, said in (("y", 8, "is not the name of account 1001"), (name_of(1001), 0, "LIVE in 1 s")):
            home = tmp_path / typed
            home.mkdir()
            text, ended = at_a_terminal(home, gateway.rest, typed)
            assert said in text
            assert ended == code, text
            assert KEY not in text


def at_a_terminal(home: Path, rest: str, typed: str) -> tuple[str, int]:
    """(everything on the terminal, exit code) of a live run whose person types this and then Ctrl-C when it is up."""
    config = write_config(home, 1001)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TBOT_")}
    login = {"TBOT_HOME": str(home), "TBOT_USERNAME": OWNER, "TBOT_API_KEY": KEY, "COLUMNS": "100", "TERM": "dumb"}
    mine, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "tbot", "run", "--live", "--gateway", rest, "-c", str(config), "--quiet"],
        stdin=theirs, stdout=theirs, stderr=theirs, env=clean | login, cwd=home, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    text = ""
    try:
        while True:
            try:
                text += os.read(mine, 4096).decode(errors="replace")
            except OSError:  # the other side is closed
                break
            if "Type the name of account 1001" in text and typed:
                os.write(mine, f"{typed}\n".encode())
                typed = ""
            if "LIVE in 1 s" in text and process.poll() is None:
                until((home / "live" / "status.json").exists, "a status")
                until(lambda: json.loads((home / "live" / "status.json").read_text())["accounts"], "accounts")
                process.send_signal(signal.SIGINT)
                process.wait(60)
        return text, process.wait(60)
    finally:
        process.kill()
        os.close(mine)


# ---------------------------------------------------------------------------------- engines against a simulator of ours
@contextmanager
def simulator(folder: Path) -> Iterator[tuple[dict[str, Any], dict[str, str]]]:
    with running(folder, "sim", "--start", "2026-11-20T14:30:00Z", "--contracts", "MNQ", "--accounts", "2") as sim:
        ready = sim.first_line()
        yield ready, {"TBOT_USERNAME": ready["user_name"], "TBOT_API_KEY": ready["api_key"]}


@pytest.mark.long
@pytest.mark.parametrize("pinned", [False, True])
def test_F_CFG_01_I16_F_IPC_05_an_engine_with_another_home_is_refused(tmp_path: Path, pinned: bool) -> None:
    """Pinned accounts are locked before anything is bound; one that the gateway chose, as soon as it is known."""
    arguments = ("-c", str(write_config(tmp_path, *PINNED))) if pinned else ("--contracts", "MNQ")
    with simulator(tmp_path / "sim") as (ready, login):
        words = ("run", "--gateway", ready["rest"], *arguments, "--quiet")
        with running(tmp_path / "first", *words, **login) as first:
            first.await_state("ACTIVE")
            with running(tmp_path / "second", *words, **login) as second:
                code, _ = second.finish(60)
                assert code == 6, second.stderr
                assert "another engine trades account 1001 (RC_SECOND_ENGINE)" in second.stderr
                said = [line for line in second.stderr.splitlines() if not line.startswith("tbot: settings from ")]
                assert len(said) == 1
                run_dir = second.run_dir()
                assert_nothing_left(second, run_dir)
                assert not (tmp_path / "second" / "sim" / "journal.db").exists()
            assert first.await_state("ACTIVE")["restarts"] == 0
            # The lock goes with the process that holds it, also when that is killed: its successor takes it again.
            old = first.pid("executor")
            os.kill(old, signal.SIGKILL)
            until(lambda: first.status()["processes"]["executor"]["pid"] not in (0, old), "another executor")
            first.await_state("ACTIVE")


@pytest.mark.long
def test_F_CFG_04_files_that_change_while_it_runs_have_no_effect_until_a_restart(tmp_path: Path) -> None:
    config = write_config(tmp_path, *PINNED)
    with simulator(tmp_path / "sim") as (ready, login):
        words = ("run", "--gateway", ready["rest"], "-c", str(config), "--quiet")
        with running(tmp_path / "home", *words, **login) as engine:
            before = engine.await_state("ACTIVE")
            config.write_text("this is no TOML any more")
            for name in ("worker-MNQ", "executor"):
                old = engine.pid(name)
                os.kill(old, signal.SIGKILL)
                until(lambda name=name, old=old: engine.status()["processes"][name]["pid"] not in (0, old), f"a {name}")
            until(lambda: engine.status()["restarts"] == 2, "two restarts")
            after = engine.await_state("ACTIVE")
            assert (after["config_hash"], after["build"]) == (before["config_hash"], before["build"])
            assert sorted(after["accounts"]) == ["1001", "1002"]
            journal = engine.journal()
            engine.interrupt()
            assert engine.finish()[0] == 0, engine.stderr
        with open_journal(journal) as reader:
            runs = [info for _, info in reader.runs()]
        assert len(runs) == 2
        assert {info.config_hash for info in runs} == {before["config_hash"]}
        assert runs[0].build == runs[1].build == before["build"]
        with running(tmp_path / "home", *words, **login) as again:
            assert again.finish(60)[0] == 3, again.stderr
