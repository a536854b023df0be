"""The README's first command, from outside: bars, zones, signals and paper round trips, offline."""

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

from engine_runs import Command, assert_nothing_left, open_journal, running, until


def test_the_first_minutes_show_bars_zones_signals_and_a_round_trip(tmp_path: Path) -> None:
    with running(tmp_path, "run", "--json") as engine:
        until(engine.status, "a status file")
        run_dir, journal_path = engine.run_dir(), engine.journal()
        until(lambda: has_shown_all(engine), "a round trip, and ticks, bars and zones of all", 200, engine.status)
        engine.interrupt()
        code, out = engine.finish(120)
        assert code == 0, engine.stderr
        assert_nothing_left(engine, run_dir)
    document = json.loads(out)
    assert document["mode"] == "sim"
    assert document["state"] == "STOPPED"
    assert set(document["contracts"]) == {"MNQ", "NQ", "MES", "ES", "MGC", "GC"}
    for symbol, contract in document["contracts"].items():
        assert contract["ticks"] > 500, symbol
        assert contract["bars"]["1m"] > 1000, symbol  # history and live
        assert contract["bars"]["1h"] > 20, symbol
        assert contract["zones"] > 0, symbol
    assert sum(contract["signals"] for contract in document["contracts"].values()) >= 1
    assert document["intents"] >= 1
    assert document["fills"] >= 2
    assert document["round_trips"] >= 1
    assert document["restarts"] == 0
    for hop in ("frame_ring", "frame_worker", "frame_signal", "signal_executor", "signal_request"):
        figures = document["latency_ns"][hop]
        assert 0 < figures["p50"] <= figures["p99"] <= figures["p999"] <= figures["max"] * 1.02, hop
    with open_journal(journal_path) as journal:
        assert journal.verify().state == "ok"


def has_shown_all(engine: Command) -> bool:
    assert engine.process.poll() is None, engine.stderr
    status = engine.status()
    shown = [one["ticks"] > 500 and sum(one["zones"].values()) > 0 for one in status["contracts"].values()]
    return status["round_trips"] >= 1 and all(shown) and have_history(status)


def test_shared_workers_serve_several_contracts(tmp_path: Path) -> None:
    arguments = ("run", "--contracts", "MNQ,MES,MGC", "--workers", "2", "--json")
    with running(tmp_path, *arguments) as engine:
        engine.await_state("ACTIVE")
        until(lambda: have_history(engine.status()), "history of all three", 60, engine.status)
        engine.interrupt()
        code, out = engine.finish(90)
        assert code == 0, engine.stderr
    assert have_history(json.loads(out))


def have_history(status: dict[str, Any]) -> bool:
    """Each contract has more minutes than it can have seen by itself."""
    bars = [contract["bars"] for contract in status["contracts"].values()]
    return all(one.get("1m", 0) > 1000 and one.get("1h", 0) > 20 for one in bars)


def test_bars_that_could_not_be_kept_are_told_and_the_run_does_not_end_with_0(tmp_path: Path) -> None:
    bars = tmp_path / "in the way" / "bars"
    with running(tmp_path, "run", "--contracts", "MNQ", "--keep-bars", str(bars)) as engine:
        engine.await_state("ACTIVE")
        shutil.rmtree(bars.parent)
        bars.parent.write_text("no folder any more")
        run_dir = engine.run_dir()
        until(lambda: engine.status()["contracts"]["MNQ"]["bars"].get("1m", 0) > 1000, "history", 60, engine.status)
        engine.interrupt()
        code, out = engine.finish(90)
        words = f"the bars of MNQ were not kept: {bars}: Not a directory"
        assert (code, words in out, engine.stderr.splitlines()[-1]) == (1, True, f"tbot: {words}")
        assert "Traceback" not in engine.stderr
        assert_nothing_left(engine, run_dir)
        status = engine.status()
        assert (status["state"], status["reason"]) == ("STOPPED", words)
        assert status["contracts"]["MNQ"]["bars"]["1m"] > 1000  # its last figures are there all the same


def test_a_second_made_up_market_is_refused_and_a_signal_to_the_whole_group_ends_flat(tmp_path: Path) -> None:
    """`timeout` and a shell that ends signal every process at once: the gateway must be the last to go."""
    with running(tmp_path / "first", "run", "--contracts", "MNQ", "--quiet") as engine:
        engine.await_state("ACTIVE")
        home = str(tmp_path / "first")
        with running(tmp_path / "second", "run", "--for", "3s", "--quiet", TBOT_HOME=home) as second:
            code, _ = second.finish(60)
            assert code == 6
            assert f"a DEMO run is under way already (process {engine.process.pid})" in second.stderr
        assert engine.status()["state"] == "ACTIVE"
        assert os.getpgid(engine.pid("sim")) != os.getpgid(engine.process.pid)
        run_dir = engine.run_dir()
        os.killpg(engine.process.pid, signal.SIGTERM)
        code, _ = engine.finish(60)
        assert code == 0, engine.stderr
        assert_nothing_left(engine, run_dir)


def test_F_API_02_refused_login_ends_the_run_with_its_reason(tmp_path: Path) -> None:
    with running(tmp_path / "sim", "sim", "--start", "2026-11-20T14:30:00Z") as sim:
        ready = sim.first_line()
        login = {"TBOT_USERNAME": ready["user_name"], "TBOT_API_KEY": "wrong"}
        arguments = ("run", "--gateway", ready["rest"], "--contracts", "MNQ", "--quiet")
        with running(tmp_path / "run", *arguments, **login) as run:
            code, _ = run.finish(60)
            assert code == 4, run.stderr
            assert "refused the login" in run.stderr
            assert "Traceback" not in run.stderr


def test_F_CFG_01_one_engine_per_state_directory(tmp_path: Path) -> None:
    with running(tmp_path / "sim", "sim", "--start", "2026-11-20T14:30:00Z", "--contracts", "MNQ") as sim:
        ready = sim.first_line()
        login = {"TBOT_USERNAME": ready["user_name"], "TBOT_API_KEY": ready["api_key"]}
        arguments = ("run", "--gateway", ready["rest"], "--contracts", "MNQ", "--quiet")
        with running(tmp_path / "home", *arguments, **login) as first:
            until(first.status, "a status file")
            pid = first.status()["pid"]
            second = Command(tmp_path / "home", *arguments, **login)
            code, _ = second.finish(60)
            assert code == 6, second.stderr
            assert "RC_SECOND_ENGINE" in second.stderr
            assert "Traceback" not in second.stderr
            assert first.status()["pid"] == pid
            assert first.process.poll() is None


def test_piped_output_is_log_lines(tmp_path: Path) -> None:
    """And a run for a time ends by itself."""
    with running(tmp_path, "run", "--contracts", "MNQ", "--for", "20s") as engine:
        code, out = engine.finish(90)
        assert code == 0, engine.stderr
    assert "ACTIVE" in out
    assert "\x1b" not in out
