"""I30 on the real engine: login and tokens are in no file, memory, argument or environment but the launcher's."""

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from engine_runs import until
from operate_rig import Rig, holding

TOKEN = re.compile(rb"eyJ[A-Za-z0-9_-]{10,}\.")  # how every token of a gateway begins


def artefacts(rig: Rig) -> Iterator[tuple[str, bytes]]:
    """Everything that the run has left so far, and what can be read of its processes from outside."""
    places = {rig.engine.home, *run_dirs(rig)}
    for path in {path for place in places for path in place.rglob("*")}:
        if path.is_file():
            yield str(path), path.read_bytes()
    launcher = psutil.Process(rig.engine.process.pid)
    for process in (launcher, *launcher.children(recursive=True)):
        yield f"arguments of {process.pid}", "\0".join(process.cmdline()).encode()
        if process != launcher:  # whose own environment is where the login came from (design ruling 7)
            yield f"environment of {process.pid}", Path(f"/proc/{process.pid}/environ").read_bytes()


def run_dirs(rig: Rig) -> list[Path]:
    """Where the shared memory of the run lies."""
    return [Path(json.loads(word.read_text())["run_dir"]) for word in rig.engine.home.rglob("run.json")]


@pytest.mark.long
@pytest.mark.timeout(600)
def test_I30_F_SEC_01_a_login_is_nowhere_but_where_it_is_used(tmp_path: Path) -> None:
    """While it trades, after each of its processes has died, in what commands say, and when it is over."""
    with holding(tmp_path) as rig:
        secrets = [value.encode() for value in rig.login.values()]
        names: set[str] = set()

        def look() -> None:
            for name, content in artefacts(rig):
                assert not [one for one in secrets if one in content], name
                assert not TOKEN.search(content), name
                names.add(Path(name).name)

        look()
        for victim in ("worker-MNQ", "feed", "executor"):
            old = rig.hurt(victim, signal.SIGKILL)
            until(lambda victim=victim, old=old: rig.engine.pid(victim) not in (0, old), f"another {victim}", 90)
        until(lambda: rig.status()["state"] == "ACTIVE", "ACTIVE again", 90, rig.status)
        look()
        for line in ("status --json", "journal --json", "signals", "trades", "doctor", "accounts"):
            done = rig.tbot(*line.split())
            said = (done.stdout + done.stderr).encode()
            assert not [one for one in secrets if one in said], line
            assert not TOKEN.search(said), line
        rig.engine.process.send_signal(signal.SIGINT)
        rig.engine.process.wait(90)
        for path in rig.engine.home.rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                assert not [one for one in secrets if one in content], path
                assert not TOKEN.search(content), path
        assert {"engine.log", "status.json", "journal.db", "run.json", "stderr.txt"} <= names
        assert any(name.startswith("ring.") for name in names), "the shared memory was looked at, too"
        log = next(rig.engine.home.rglob("engine.log")).read_text()
        assert "restarted" in log
        assert log.count('"kind":"BEGIN"') == log.count('"kind":"END"') == 1
