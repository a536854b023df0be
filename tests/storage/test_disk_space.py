"""Room on the disk: warned of at 1 GiB, no entries at 200 MiB, and back only a little above that."""

import os
from pathlib import Path

import pytest

from tbot.execution.engine_state import SEVERITY, Severity
from tbot.storage.disk_space import CODE, MIB, Room, free_bytes, judge


@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize(
    ("mib", "warned", "stopped"),
    [(0, False, True), (199, False, True), (250, True, False), (1023, True, False), (1024, False, False)],
)
def test_F_SYS_01_limits(mib: int, warned: bool, stopped: bool, paused: bool) -> None:
    room = judge(mib * MIB, paused=paused)
    assert (bool(room.warning), bool(room.condition)) == (warned, stopped)
    assert f"{mib} MiB" in room.warning + room.condition or room == Room()


def test_F_SYS_01_it_lifts_a_little_above_where_it_began() -> None:
    assert judge(200 * MIB - 1, paused=False).condition
    assert not judge(200 * MIB, paused=False).condition
    assert judge(200 * MIB, paused=True).condition
    assert "no entries until 250 MiB are; make room" in judge(250 * MIB - 1, paused=True).condition
    assert not judge(250 * MIB, paused=True).condition


def test_the_code_pauses() -> None:
    assert SEVERITY[CODE] is Severity.PAUSE


def test_free_room_is_what_a_user_may_fill(tmp_path: Path) -> None:
    state = os.statvfs(tmp_path)
    assert 0 < free_bytes(tmp_path) <= state.f_blocks * state.f_frsize
    with pytest.raises(FileNotFoundError):
        free_bytes(tmp_path / "nowhere")
