"""Each check of the machine: what it says here, and what it would say on a machine that is not fit."""

import os
import zoneinfo
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tbot.doctor import machine
from tbot.doctor.findings import run_checks
from tbot.domain.trading_hours import SessionTable
from tbot.storage.sessions import load_sessions

NOW = datetime(2026, 11, 20, 15, tzinfo=UTC)


def test_this_machine_runs_all_checks(tmp_path: Path) -> None:
    checks = machine.checks(tmp_path, 1 << 20)
    found = run_checks(checks, lambda finding: None)
    assert [item.name for item in found] == [check.name for check in checks]
    assert not [item for item in found if "check itself" in item.text or "no result" in item.text]
    by_name = {item.name: item for item in found}
    for name in ("python", "compiled core", "time zones"):
        assert by_name[name].level != "fail", by_name[name]
    assert "layout 1" in by_name["compiled core"].text
    assert not list(Path("/dev/shm").glob(f"tbot-{os.geteuid()}-{os.getpid()}-*")), "the check left something behind"


def test_python_too_old() -> None:
    assert machine.python((3, 10, 9)).level == "fail"
    assert machine.python((3, 11, 0)).level == "ok"
    assert machine.python((4, 0, 0)).level == "ok"


def test_a_compiled_module_that_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    real = machine.importlib.import_module

    def load(name: str) -> object:
        if name == "tbot_ext.ring":
            raise ImportError("undefined symbol")
        return real(name)

    monkeypatch.setattr(machine.importlib, "import_module", load)
    found = machine.compiled_core()
    assert found.level == "fail"
    assert "tbot_ext.ring" in found.text
    assert "pip install" in found.fix


def test_layouts_that_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    from tbot_ext import records

    monkeypatch.setattr(records, "TICK_DTYPE", records.BAR_DTYPE)
    assert machine.compiled_core().level == "fail"


@pytest.mark.parametrize(("free", "level"), [(0, "fail"), (99, "fail"), (100, "warn"), (199, "warn"), (200, "ok")])
def test_room(free: int, level: str) -> None:
    mega = 1 << 20
    found = machine.judge_room("disk", Path("/x"), free * mega, 100 * mega, 200 * mega)
    assert found.level == level
    assert f"{free} MB free in /x" in found.text
    assert bool(found.fix) == (level != "ok")


def test_shared_memory_that_is_too_small() -> None:
    found = machine.shared_memory(1 << 60)
    assert found.level == "fail"
    assert "needed" in found.text


def test_disk_of_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    assert str(tmp_path) in machine.disk(tmp_path / "a" / "b").text


@pytest.mark.parametrize(
    ("mode", "level"), [(0o700, "ok"), (0o750, "warn"), (0o755, "warn"), (0o770, "fail"), (0o777, "fail")]
)
def test_F_SEC_02_state_folder_modes(tmp_path: Path, mode: int, level: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(mode)
    assert machine.state_folder(home).level == level


def test_F_SEC_06_state_folders_that_are_none(tmp_path: Path) -> None:
    assert machine.state_folder(tmp_path / "later").level == "ok"
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path)
    for name in ("file", "link"):
        assert machine.state_folder(tmp_path / name).level == "fail"
    mine = tmp_path / "mine"
    mine.mkdir(0o700)
    assert "another user" in machine.state_folder(mine, uid=os.geteuid() + 1).text
    if os.geteuid() != 0:
        mine.chmod(0o500)
        assert "cannot be written" in machine.state_folder(mine).text


def test_time_zones(monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.time_zones(NOW).level == "ok"
    out_of_step = machine.time_zones(datetime(2026, 10, 28, 12, tzinfo=UTC))
    assert out_of_step.level == "warn"
    assert "7 hours" in out_of_step.text

    def none(name: str) -> object:
        raise zoneinfo.ZoneInfoNotFoundError(name)

    monkeypatch.setattr(machine, "ZoneInfo", none)
    assert machine.time_zones(NOW).level == "fail"
    monkeypatch.setattr(machine, "ZoneInfo", lambda name: zoneinfo.ZoneInfo("UTC"))
    assert machine.time_zones(NOW).level == "fail"


def test_session_table_years() -> None:
    table = load_sessions()
    last = max(table.years)
    assert machine.session_table(table, datetime(last, 6, 1, tzinfo=UTC)).level == "ok"
    near = machine.session_table(table, datetime(last, 12, 1, tzinfo=UTC))
    assert near.level == "warn"
    assert "31 days" in near.text
    assert machine.session_table(table, datetime(last + 1, 1, 1, tzinfo=UTC)).level == "fail"
    both = SessionTable(frozenset({last, last + 1}), ())
    assert machine.session_table(both, datetime(last, 12, 1, tzinfo=UTC)).level == "ok"


def test_session_rows_of_a_person_are_looked_at_F_TIM_05(tmp_path: Path) -> None:
    path = tmp_path / "sessions.toml"
    row = '[[session]]\ndate = 2026-11-27\nproducts = ["*"]\nsource = "a page"\nchecked_on = 2026-11-01\nclose_ct = '
    june = datetime(2026, 6, 1, tzinfo=UTC)
    path.write_text(row + "11:00:00")
    assert machine.sessions(None, june).level == "ok"
    stricter = machine.sessions(path, june)
    assert stricter.level == "ok"
    assert str(path) in stricter.text
    path.write_text(row + "13:00:00")
    wrong = machine.sessions(path, june)
    assert wrong.level == "fail"
    assert "row 2026-11-27" in wrong.text
    path.write_text(row + '13:00:00\noverride = true\nreason = "notice of the firm"')
    looser = machine.sessions(path, june)
    assert looser.level == "warn"
    assert "notice of the firm" in looser.text


def test_clock() -> None:
    assert machine.judge_clock(NOW, 0.0).level == "ok"
    assert machine.judge_clock(NOW, -0.3).level == "warn"
    assert machine.judge_clock(datetime(1970, 1, 1, tzinfo=UTC), 0.0).level == "fail"
    assert machine.judge_clock(datetime(2150, 1, 1, tzinfo=UTC), 0.0).level == "fail"


def test_extras_name_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.importlib.util, "find_spec", lambda name: name == "pyarrow" or None)
    text = machine.extras().text
    assert "installed: data" in text
    assert "tbot[report,web" in text
    monkeypatch.setattr(machine.importlib.util, "find_spec", lambda name: True)
    assert "to be had" not in machine.extras().text


def test_device() -> None:
    assert machine.judge_device(["ThinkPad X1", "LENOVO"], ["lo", "eth0", "wlan0"]).level == "ok"
    assert machine.judge_device(["KVM", "QEMU"], []).level == "warn"
    assert "network wg0" in machine.judge_device([], ["lo", "wg0"]).text
    seen = machine.judge_device(["", ""], ["lo"], ("fpu", "hypervisor"))
    assert (seen.level, "flag hypervisor" in seen.text) == ("warn", True)


def test_the_flags_of_the_first_processor(tmp_path: Path) -> None:
    (tmp_path / "x86").write_text("processor\t: 0\nflags\t\t: fpu vme hypervisor\n\nprocessor\t: 1\nflags\t\t: fpu\n")
    (tmp_path / "arm").write_text("processor\t: 0\nFeatures\t: fp asimd\n")
    flags = {name: machine._cpu_flags(tmp_path / name) for name in ("x86", "arm", "none")}
    assert flags == {"x86": ("fpu", "vme", "hypervisor"), "arm": (), "none": ()}
