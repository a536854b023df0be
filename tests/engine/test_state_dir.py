"""Locks of accounts: one engine each, whatever its directory, for as long as its process lives."""

import json
import multiprocessing
import os
import stat
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

import status_rig
from tbot.engine.settings import EngineSettings, GatewaySettings
from tbot.engine.state_dir import RUN_FILE, AccountLocks, leave_word, lock_state
from tbot.engine.status import StatusFile
from tbot.errors import Halted
from tbot.transport.process_identity import process_space, process_start

FOREIGN = "https://gateway.example"


def settings(folder: Path, home: str = "home", url: str = FOREIGN, **more: Any) -> EngineSettings:
    """Of a run in a TBOT_HOME of its own; all runs share the place of shared memory."""
    (folder / home).mkdir(exist_ok=True)
    gateway = GatewaySettings(url, f"{url}/u", f"{url}/m", simulated=url != FOREIGN)
    mode = "sim" if gateway.simulated else "paper"
    return status_rig.settings(folder, **({"mode": mode, "gateway": gateway, "locks": folder / home / "locks"} | more))


def test_F_CFG_01_I16_one_engine_an_account_also_from_another_home(tmp_path: Path) -> None:
    first = AccountLocks.of(settings(tmp_path))
    first.take([7, 8])
    second = AccountLocks.of(settings(tmp_path, "another"))
    for other in (AccountLocks.of(settings(tmp_path)), second):
        with pytest.raises(Halted, match=r"another engine trades account 8 \(RC_SECOND_ENGINE\)"):
            other.take([9, 8])
    AccountLocks.of(settings(tmp_path)).take([9])  # what was refused as a whole is not held in part
    first.release()
    second.take([7, 8])


def test_taking_twice_is_taking_once(tmp_path: Path) -> None:
    locks = AccountLocks.of(settings(tmp_path))
    locks.take([7])
    locks.take([7, 8])
    with pytest.raises(Halted):
        AccountLocks.of(settings(tmp_path)).take([7])
    locks.release()
    AccountLocks.of(settings(tmp_path)).take([7, 8])


def test_two_simulators_have_two_accounts_of_one_number(tmp_path: Path) -> None:
    one = AccountLocks.of(settings(tmp_path, "one", "http://127.0.0.1:8801"))
    other = AccountLocks.of(settings(tmp_path, "other", "http://127.0.0.1:8802"))
    one.take([1001])
    other.take([1001])
    with pytest.raises(Halted):
        AccountLocks.of(settings(tmp_path, "third", "http://localhost:8801")).take([1001])


def test_F_CFG_01_I16_two_proxies_on_loopback_lead_to_the_same_account(tmp_path: Path) -> None:
    def through(port: int, home: str) -> AccountLocks:
        url = f"http://127.0.0.1:{port}"
        proxy = GatewaySettings(url, f"{url}/u", f"{url}/m", simulated=False)
        return AccountLocks.of(settings(tmp_path, home, gateway=proxy, mode="paper"))

    first = through(8801, "one")
    first.take([7])
    with pytest.raises(Halted):
        through(8802, "other").take([7])
    first.release()
    through(8802, "other").take([7])


def test_paper_locks_nothing(tmp_path: Path) -> None:
    AccountLocks.of(settings(tmp_path, locks=None)).take([1])
    assert not (tmp_path / "home" / "locks").exists()


def _hold(made: EngineSettings, pipe: Connection) -> None:
    locks = AccountLocks.of(made)
    locks.take([7])
    pipe.send(os.getpid())
    pipe.recv()


def test_F_CFG_01_a_killed_engine_leaves_its_lock_files_and_no_lock(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_hold, args=(settings(tmp_path), theirs))
    process.start()
    ours.recv()
    with pytest.raises(Halted):
        AccountLocks.of(settings(tmp_path)).take([7])
    process.kill()
    process.join(10)
    paths = AccountLocks.of(settings(tmp_path)).paths(7)
    assert all(path.exists() for path in paths)
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in paths)
    locks = AccountLocks.of(settings(tmp_path))
    locks.take([7])
    locks.release()
    assert all(path.exists() for path in paths)  # a deleted one would let a second engine in


def test_F_CFG_01_children_do_not_inherit_a_lock(tmp_path: Path) -> None:
    made = settings(tmp_path)
    locks = AccountLocks.of(settings(tmp_path))
    locks.take([7])
    held = [path.resolve() for path in AccountLocks.of(made).paths(7)]
    for name in os.listdir("/proc/self/fd"):
        try:
            target = Path(os.readlink(f"/proc/self/fd/{name}"))
        except OSError:
            continue
        if target in held:
            assert not os.get_inheritable(int(name))
            held.remove(target)
    assert held == []
    locks.release()


@pytest.mark.parametrize("plant", ["link", "open", "file"])
def test_F_SEC_06_a_planted_lock_folder_is_refused(tmp_path: Path, plant: str) -> None:
    made = settings(tmp_path)
    place = tmp_path / f"tbot-locks-{os.geteuid()}"
    if plant == "link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        place.symlink_to(tmp_path / "elsewhere")
    elif plant == "open":
        place.mkdir()
        place.chmod(0o777)
    else:
        place.write_text("")
    with pytest.raises(Halted, match=r"closed to others|cannot be locked"):
        AccountLocks.of(made).take([7])


def test_F_SEC_06_a_planted_lock_file_is_not_followed(tmp_path: Path) -> None:
    made = settings(tmp_path)
    (lock,) = [path for path in AccountLocks.of(made).paths(7) if path.parent == made.locks]
    (tmp_path / "precious").write_text("keep")
    lock.symlink_to(tmp_path / "precious")
    with pytest.raises(Halted, match="symbolic link"):
        AccountLocks.of(made).take([7])
    assert (tmp_path / "precious").read_text() == "keep"


def test_one_engine_a_state_directory(tmp_path: Path) -> None:
    with lock_state(tmp_path), pytest.raises(Halted, match="another engine runs on the state"):
        lock_state(tmp_path)
    lock_state(tmp_path).close()


def test_I31_word_of_a_run_is_for_its_owner_alone_and_names_the_very_process(tmp_path: Path) -> None:
    """Whatever the umask; a file that was open to others before is closed by it."""
    run = settings(tmp_path, pointer=tmp_path / "current.json")
    run.state_dir.mkdir(exist_ok=True)
    run.pointer.write_text("{}")  # type: ignore[union-attr]
    before = os.umask(0)
    try:
        leave_word(run)
        StatusFile(run.state_dir / "status.json").write({"state": "ACTIVE"})
    finally:
        os.umask(before)
    paths = [run.pointer, run.state_dir / RUN_FILE, run.state_dir / "status.json"]
    assert [stat.S_IMODE(path.stat().st_mode) for path in paths] == [0o600] * 3
    document = json.loads(paths[1].read_text())
    assert (document["pid"], document["start"]) == (os.getpid(), process_start(os.getpid()))
    assert sorted(path.name for path in run.state_dir.glob(".*")) == []


def test_word_of_a_demo_stays_when_a_lasting_run_begins_beside_it(tmp_path: Path) -> None:
    pointer, demo, paper = tmp_path / "current.json", tmp_path / "elsewhere" / "state", tmp_path / "paper"
    for state_dir in (demo, paper):
        state_dir.mkdir(parents=True)
        leave_word(settings(tmp_path, pointer=pointer, state_dir=state_dir))
    told = [json.loads(path.read_text()) for path in (pointer, tmp_path / "temporary.json")]
    assert [Path(one["status"]).parent for one in told] == [paper, demo]
    assert told[0]["space"] == process_space()
