"""`tbot record` against `tbot sim` in another process: a tape comes back as it went out, however the recording ends."""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from engine_runs import Command, running, until
from tbot.domain.contracts import PRODUCTS
from tbot.storage.tape import TapeReader, TapeWriter, merge_order, tape_meta
from tbot_ext.records import TICK_DTYPE, Kind

SECOND = 1_000_000_000
# Friday 2026-11-20, 09:30:59 in New York. Late in its minute, as the simulator leads in from where that begins: so long
# the recording may take to subscribe both contracts.
START = 1_795_185_059 * SECOND


def bursty(seconds: int) -> np.ndarray:
    """Two contracts; prints in runs of equal time, price and size, quotes between them."""
    rng = np.random.default_rng(7)
    parts = []
    for symbol in ("MNQ", "ES"):
        count = seconds * 20
        ticks = np.zeros(count, TICK_DTYPE)
        ticks["contract_id"] = PRODUCTS[symbol].contract_id
        ticks["exch_ns"] = START + np.cumsum(rng.choice([0, 0, 1, 150], count)) * 1_000_000
        ticks["recv_ns"] = ticks["exch_ns"]
        ticks["kind"] = np.where(rng.random(count) < 0.4, Kind.QUOTE, Kind.TRADE)
        ticks["price"] = 20_000 + np.cumsum(rng.choice([0, 0, -1, 1], count))
        quotes = ticks["kind"] == Kind.QUOTE
        ticks["price2"][quotes] = ticks["price"][quotes] + 1
        ticks["size"][~quotes] = rng.integers(1, 3, int(np.count_nonzero(~quotes)))
        ticks["side"][~quotes] = rng.choice([-1, 1], int(np.count_nonzero(~quotes)))
        ticks["volume"] = -1
        parts.append(ticks)
    return merge_order(np.concatenate(parts))


def write_tape(path: Path, ticks: np.ndarray) -> Path:
    with TapeWriter(path, tape_meta([PRODUCTS["MNQ"], PRODUCTS["ES"]], "test")) as tape:
        tape.write(ticks)
    return path


def trades_of(ticks: np.ndarray, symbol: str) -> list[tuple[int, int, int, int]]:
    mine = ticks[(ticks["kind"] == Kind.TRADE) & (ticks["contract_id"] == PRODUCTS[symbol].contract_id)]
    return [(int(t["exch_ns"]), int(t["price"]), int(t["size"]), int(t["side"])) for t in mine]


def login(ready: dict[str, Any]) -> dict[str, str]:
    return {"TBOT_USERNAME": ready["user_name"], "TBOT_API_KEY": ready["api_key"]}


def read(path: Path) -> np.ndarray:
    with TapeReader(path) as tape:
        tape.verify()
        return tape.ticks


def test_a_tape_comes_back_as_it_went_out(tmp_path: Path) -> None:
    """Through two processes and sockets at forty times real time; the recording ends with the tape."""
    ticks = bursty(60)
    tape = write_tape(tmp_path / "out.tape", ticks)
    with running(tmp_path / "sim", "sim", "--tape", str(tape), "--speed", "40") as sim:
        ready = sim.first_line()
        arguments = ("record", "--gateway", ready["rest"], "--contracts", "MNQ,ES", "--out", str(tmp_path / "back"))
        with running(tmp_path / "rec", *arguments, "--json", **login(ready)) as recorder:
            code, out = recorder.finish(120)
            assert code == 0, recorder.stderr
    document = json.loads(out)
    assert document["ended"] == "the market has ended"
    assert document["gaps"] == 0
    back = read(tmp_path / "back" / "2026-11-20.tape")
    for symbol in ("MNQ", "ES"):
        assert trades_of(back, symbol) == trades_of(ticks, symbol)
    assert document["trades"] == int(np.count_nonzero(ticks["kind"] == Kind.TRADE))
    assert document["files"] == [str(tmp_path / "back" / "2026-11-20.tape")]


def counted(command: Command, path: Path, least: int) -> int:
    """Records that can be read of a tape while it grows."""

    def look() -> int:
        assert command.process.poll() is None, command.stderr
        if not path.exists():
            return 0
        with TapeReader(path) as tape:
            return len(tape) if len(tape) >= least else 0

    return int(until(look, f"{least} records in {path}"))


def test_F_PRC_01_killed_interrupted_and_continued(tmp_path: Path) -> None:
    """kill -9 leaves what was flushed; the next recording goes on in the same file; Ctrl-C ends it in order."""
    with running(tmp_path / "sim", "sim", "--start", "2026-11-20T15:00:00Z", "--speed", "20") as sim:
        ready = sim.first_line()
        folder = tmp_path / "tapes"
        path = folder / "2026-11-20.tape"
        arguments = ("record", "--gateway", ready["rest"], "--contracts", "MNQ", "--out", str(folder))
        with running(tmp_path / "one", *arguments, **login(ready)) as recorder:
            first = counted(recorder, path, 50)
            recorder.process.send_signal(signal.SIGKILL)
            recorder.process.wait(10)
        assert len(read(path)) >= first
        with running(tmp_path / "two", *arguments, **login(ready)) as recorder:
            counted(recorder, path, len(read(path)) + 50)
            recorder.interrupt()
            code, out = recorder.finish()
        assert code == 130
        assert out.startswith("interrupted: ")
        assert "connected, 1 contracts subscribed" in recorder.stderr
        ticks = read(path)
        assert np.all(ticks["contract_id"] == PRODUCTS["MNQ"].contract_id)


def test_F_SYS_01_a_full_disk_ends_a_recording_in_one_sentence_and_the_next_one_goes_on(tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk: writing fails in the same place."""
    path = tmp_path / "day.tape"
    with running(tmp_path / "sim", "sim", "--start", "2026-11-20T15:00:00Z", "--speed", "20") as sim:
        ready = sim.first_line()
        command = [sys.executable, "-m", "tbot", "record", "--gateway", ready["rest"], "--out", str(path)]
        kept = 0
        for room in (100, 300_000, 300_000):
            done = subprocess.run(
                [*command, "--for", "60s"], capture_output=True, text=True, check=False, timeout=120, cwd=tmp_path,
                env={**os.environ, "TBOT_HOME": str(tmp_path), **login(ready)},
                preexec_fn=lambda room=room: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)),
            )  # fmt: skip
            assert done.returncode == 9, done.stderr
            sentences = [line for line in done.stderr.splitlines() if line.startswith("tbot:")]
            assert sentences == [
                f"tbot: The tape {path} cannot be written: File too large; make room there, then record again: what "
                "was written is kept and continued."
            ]
            assert "Traceback" not in done.stderr
            assert path.exists() == (room > 100)  # what is no tape yet stands in nobody's way
            if path.exists():
                assert len(read(path)) >= max(kept, 1)
                kept = len(read(path))
        with running(tmp_path / "more", *command[3:], **login(ready)) as recorder:
            counted(recorder, path, kept + 50)
            recorder.interrupt()
            assert recorder.finish()[0] == 130
    assert len(read(path)) > kept


def test_a_recording_for_a_time_and_what_can_be_wrong_before_it(tmp_path: Path) -> None:
    with running(tmp_path / "sim", "sim", "--speed", "1") as sim:
        ready = sim.first_line()
        base = ("record", "--gateway", ready["rest"])
        with running(tmp_path / "a", *base, "--for", "1s", "--out", str(tmp_path / "one.tape"), **login(ready)) as done:
            code, out = done.finish()
            assert code == 0, done.stderr
            assert out.startswith("stopped: ")
            assert (tmp_path / "one.tape").exists()
        with running(tmp_path / "b", *base, TBOT_USERNAME="x", TBOT_API_KEY="wrong-key") as done:
            code, _ = done.finish()
            assert code == 4
            assert "refused the login" in done.stderr
            assert "wrong-key" not in done.stderr
        with running(tmp_path / "c", *base) as done:
            code, _ = done.finish()
            assert (code, "no credentials" in done.stderr) == (4, True)
        key_file = tmp_path / "key"
        key_file.write_text("".join(f"{name}={value}\n" for name, value in login(ready).items()))
        key_file.chmod(0o600)
        option = ("--credentials-file", str(key_file), "--for", "1s", "--out", str(tmp_path / "two.tape"))
        with running(tmp_path / "f", *base, *option) as done:
            code, _ = done.finish()
            assert code == 0, done.stderr
        (tmp_path / "full").write_text("")
        with running(tmp_path / "d", *base, "--out", str(tmp_path / "full" / "x"), **login(ready)) as done:
            code, _ = done.finish()
            assert (code, "cannot be made" in done.stderr) == (9, True)
    with running(tmp_path / "e", "record", "--gateway", "http://127.0.0.1:9", **login(ready)) as done:
        code, _ = done.finish()
        assert (code, "is it running" in done.stderr) == (5, True)
