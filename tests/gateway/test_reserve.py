"""Out of file descriptors: the way out has kept some (F-SYS-06)."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import sim_rig
from open_account import fill_account, open_things
from sim_rig import KEY, MNQ, OWNER
from tbot.gateway.reserve import AT_ONCE, KEPT, DescriptorReserve

CHILD = Path(__file__).parents[1] / "support" / "descriptor_child.py"


def out_of_descriptors(server: sim_rig.RunningServer, kept: int) -> dict[str, Any]:
    """What a process says that has to get out without one descriptor left but those it keeps."""
    given = json.dumps({"gateway": server.rest, "login": [OWNER, KEY], "contract": MNQ}).encode()
    command = [sys.executable, str(CHILD), str(kept)]
    done = subprocess.run(command, input=given, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode()
    document = json.loads(done.stdout)
    assert isinstance(document, dict)
    return document


def test_F_SYS_06_the_way_out_has_descriptors_when_nobody_else_has() -> None:
    with sim_rig.running() as server:
        fill_account(server)
        said = out_of_descriptors(server, KEPT)
        assert (said["close"], said["complete"], said["positions"]) == ("accepted", True, [])
        assert open_things(server)[0] == []
        assert said["left"] < KEPT  # it was needed


def test_F_SYS_06_without_the_reserve_nothing_would_leave() -> None:
    """The same without any: else the test above could not fail."""
    with sim_rig.running() as server:
        fill_account(server)
        said = out_of_descriptors(server, 0)
        assert (said["close"], said["complete"]) == ("not_sent", False)
        assert open_things(server)[0] == [2]


def test_nothing_is_given_up_while_there_are_others() -> None:
    reserve = DescriptorReserve(3)
    with reserve.spending() as given:
        assert not given
    assert len(reserve) == 3


def test_it_gives_up_a_few_at_a_time_and_fills_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    reserve = DescriptorReserve(3)
    real = os.open
    full = True

    def scarce(path: Any, *rest: Any, **named: Any) -> int:
        if full and path == os.devnull:
            raise OSError(24, "Too many open files")
        return real(path, *rest, **named)

    monkeypatch.setattr(os, "open", scarce)
    left = []
    for _ in range(3):
        with reserve.spending() as given:
            left.append((given, len(reserve)))
            reserve.fill()  # somebody else's: it does not take what is being used, nor wait for it
    assert left == [(True, 3 - AT_ONCE), (True, 0), (False, 0)]
    reserve.fill()
    assert len(reserve) == 0
    full = False
    reserve.fill()
    assert len(reserve) == 3


def test_another_trouble_than_a_lack_gives_up_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    reserve = DescriptorReserve(2)

    def broken(*_: Any, **__: Any) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "open", broken)
    with reserve.spending() as given:
        assert not given
    assert len(reserve) == 2
