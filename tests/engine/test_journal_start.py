"""What a start makes of a journal that is lost: kept aside, re-derived from the broker, HALTED till a person looked."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import status_rig
from desk_rig import RUN_START_MS, Rig
from desk_rig import settings as desk_settings
from journal_items import RUN
from tbot.domain.messages import OperatorIn, StateChange, TimerIn
from tbot.engine.clocks import FixedClock
from tbot.engine.desk_record import DeskRecord
from tbot.engine.desk_setup import open_desk
from tbot.engine.health import Hops
from tbot.engine.journal_start import LOST_CODE, read_past
from tbot.engine.settings import AccountPlan, EngineSettings
from tbot.errors import JournalError
from tbot.execution.desk import AccountSettings, Carried
from tbot.risk.limits import RiskLimits
from tbot.storage.journal import Journal
from tbot.storage.journal_reader import JournalReader, RunInfo
from tbot.transport import wire

ACCOUNT = 1001
NOW = RUN.started_ns


NOTHING = Carried()


def record(carried: Carried = NOTHING) -> DeskRecord:
    accounts = (AccountSettings(ACCOUNT, "PRAC-1", carried),)
    return DeskRecord(accounts, RiskLimits(), ("MNQ",), True, RUN_START_MS, "flatten", 1.0)


def run_info(carried: Carried = NOTHING) -> RunInfo:
    return replace(RUN, desk=record(carried).encode())


def change(state: str, *codes: str) -> StateChange:
    return StateChange(NOW, ACCOUNT, state, codes, f"the sentence of {' '.join(codes)}")


def killed(path: Path, carried: Carried = NOTHING) -> None:
    """A journal of a day that a person ended, with a few rows more."""
    with Journal(path, wire, run_info(carried)) as journal:
        journal.record(TimerIn(NOW, {}), [change("ACTIVE")])
        journal.record(OperatorIn(NOW, "kill"), [change("LOCKED", "RC_KILL_SWITCH")])
        for number in range(40):
            journal.record(TimerIn(NOW + number, {}), [])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def codes(path: Path) -> list[str]:
    return [code for code, _ in read_past(path).carried(ACCOUNT).reasons]


def test_a_first_start_has_no_past(path: Path) -> None:
    past = read_past(path)
    assert (past.lost, past.emergency, past.carried(ACCOUNT)) == (None, (), Carried())


def test_a_first_start_that_was_cut_short_has_no_past_either(path: Path) -> None:
    path.touch(mode=0o600)
    assert read_past(path).carried(ACCOUNT) == Carried()
    killed(path)
    assert codes(path) == ["RC_KILL_SWITCH"]


def test_a_sound_journal_tells_the_locks(path: Path) -> None:
    killed(path)
    assert codes(path) == ["RC_KILL_SWITCH"]
    assert path.exists()


def flip(what: bytes) -> Callable[[Path], None]:
    """One bit of the first such bytes."""

    def damage(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[data.index(what) + len(what) - 1] ^= 4
        path.write_bytes(data)

    return damage


def other_journal(path: Path) -> None:
    elsewhere = path.with_name("elsewhere.db")
    killed(elsewhere)
    shutil.copyfile(elsewhere, path)


def noted_io_error(path: Path) -> None:
    with Journal(path, wire, RUN) as journal:
        journal.emergency("the journal is not trusted any more: disk I/O error")


DAMAGE: dict[str, Callable[[Path], object]] = {
    "header": flip(b"SQLite format"),
    "rows": flip(str(NOW + 35).encode()),
    "no database": lambda path: path.write_bytes(b"text, no database " * 999),
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:5000]),
    "empty": lambda path: path.write_bytes(b""),
    "journal deleted": lambda path: path.unlink(),
    "head deleted": lambda path: path.with_name("journal.db.head").unlink(),
    "head blanked": lambda path: path.with_name("journal.db.head").write_bytes(bytes(8192)),
    "swapped": other_journal,
    "put aside, then cut off": Journal.set_aside,
    "an I/O error": noted_io_error,
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_F_SYS_03_I14_a_lost_journal_halts_until_a_person_resumes(path: Path, kind: str) -> None:
    killed(path)
    DAMAGE[kind](path)
    before = path.read_bytes() if path.exists() else None
    past = read_past(path)
    assert past.lost is not None
    reasons = dict(past.carried(ACCOUNT).reasons)
    assert "look at the account, then resume" in reasons[LOST_CODE]
    assert not path.exists(), "a new one begins"
    if before is not None:
        assert past.lost.kept is not None
        assert past.lost.kept.read_bytes() == before, "the bad file is kept as it was"
    again = read_past(path)
    assert LOST_CODE in dict(again.carried(ACCOUNT).reasons), "until the new journal has its first row"
    with Journal(path, wire, run_info(past.carried(ACCOUNT))):
        pass
    assert LOST_CODE in codes(path), "and after that it is in there"


@pytest.mark.parametrize("kind", ["rows", "an I/O error", "head deleted", "put aside, then cut off"])
def test_F_SYS_03_I14_locks_that_can_still_be_read_bind(path: Path, kind: str) -> None:
    killed(path)
    DAMAGE[kind](path)
    assert [code for code, _ in read_past(path).carried(ACCOUNT).reasons] == ["RC_KILL_SWITCH", LOST_CODE]


def test_F_SYS_03_everything_deleted_is_a_first_start(path: Path) -> None:
    """Then the broker's own lists are all there is: they give the day's result again (F-CFG-05, test_desk_restart)."""
    killed(path)
    for file in path.parent.iterdir():
        file.unlink()
    assert read_past(path).lost is None


def test_I14_the_desk_is_halted_by_it_and_a_person_lifts_it(path: Path) -> None:
    killed(path)
    DAMAGE["rows"](path)
    lost = replace(read_past(path).carried(ACCOUNT), day="2000-01-01")  # the kill was of another day
    account = AccountSettings(ACCOUNT, "PRAC-1", lost)
    rig = Rig(settings=desk_settings(accounts=(account,))).start()
    rig.run(3)
    assert rig.state == "HALTED"
    rig.signal(1)
    assert rig.denials == [LOST_CODE]
    rig.operator("resume")
    rig.run(3)
    assert rig.state == "ACTIVE"


def test_K_JR_03_what_the_first_run_was_told_stands_for_the_files_before(path: Path) -> None:
    """A crash right behind the start row: nothing but that row tells of the lock."""
    killed(path)
    told = read_past(path).carried(ACCOUNT)
    with Journal(path, wire, run_info(told), rotate_rows=5) as journal:
        assert journal.count() == 1
    assert read_past(path).carried(ACCOUNT) == told
    assert path.with_name("journal.db.0001").exists()


def test_a_row_says_otherwise_than_the_first_run_was_told(path: Path) -> None:
    with Journal(path, wire, run_info(Carried(reasons=(("RC_RUNAWAY", "too fast"),)))) as journal:
        assert codes(path) == ["RC_RUNAWAY"]
        journal.record(OperatorIn(NOW, "resume"), [change("ACTIVE")])
    assert codes(path) == []


def test_another_versions_first_row_is_no_obstacle(path: Path) -> None:
    with Journal(path, wire, replace(RUN, desk='{"other": 1}')) as journal:
        journal.record(OperatorIn(NOW, "kill"), [change("LOCKED", "RC_KILL_SWITCH")])
    assert codes(path) == ["RC_KILL_SWITCH"]


def test_F_SYS_03_a_journal_out_of_reach_stays(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may hold the lock of the day: what is merely out of reach for a moment stays where it is."""
    killed(path)

    def out_of_reach(*_: object) -> None:
        raise JournalError("cannot be opened: unable to open database file")

    monkeypatch.setattr(Journal, "open_readonly", out_of_reach)
    with pytest.raises(JournalError):
        read_past(path)
    assert path.exists()


def test_a_row_that_this_version_cannot_read_stops_the_start_in_words(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(path)
    monkeypatch.setattr(wire, "_RECORDS", {k: v for k, v in wire._RECORDS.items() if k != "OperatorIn"})
    with pytest.raises(JournalError, match=r"cannot read .*OperatorIn.* run the version that wrote it"):
        read_past(path)
    assert path.exists()


def test_F_SYS_03_the_engines_start_takes_it_all(tmp_path: Path) -> None:
    settings: EngineSettings = status_rig.settings(tmp_path, mode="replay", symbols=("MNQ",), template_hours=True)
    settings.journal_path.write_bytes(b"this is no database at all, it is text " * 50)
    settings.journal_path.chmod(0o600)
    hops = Hops("signal_executor", "signal_request", "journal", "rest")
    desk = open_desk(settings, None, FixedClock(), (AccountPlan.paper(),), lambda *_: None, hops)
    desk.journal.emergency("last words")
    desk.close()
    with JournalReader(settings.journal_path, wire) as reader:
        ((_, info),) = reader.runs()
    assert [code for code, _ in DeskRecord.decode(info.desk).accounts[0].carried.reasons] == [LOST_CODE]
    assert settings.journal_path.with_name("journal.db.bad-1").exists()
    noted_io_error(settings.journal_path)
    desk = open_desk(settings, None, FixedClock(), (AccountPlan.paper(),), lambda *_: None, hops)
    desk.close()
    with JournalReader(settings.journal_path, wire) as reader:
        ((_, info),) = reader.runs()
    assert info.emergency == ("the journal is not trusted any more: disk I/O error",)


def test_F_SYS_03_I14_a_folder_emptied_under_a_run_is_a_lost_journal_and_no_first_start(tmp_path: Path) -> None:
    settings: EngineSettings = status_rig.settings(tmp_path, mode="replay", symbols=("MNQ",), template_hours=True)
    hops = Hops("signal_executor", "signal_request", "journal", "rest")

    def started() -> list[str]:
        desk = open_desk(settings, None, FixedClock(), (AccountPlan.paper(),), lambda *_: None, hops)
        desk.close()
        with JournalReader(settings.journal_path, wire) as reader:
            info = [info for _, info in reader.runs()][-1]
        return [code for code, _ in DeskRecord.decode(info.desk).accounts[0].carried.reasons]

    assert started() == [], "the first executor of a run finds nothing, and nothing is missing"
    assert started() == []
    for file in settings.state_dir.glob("journal.db*"):
        file.unlink()
    assert started() == [LOST_CODE]
    assert started() == [LOST_CODE], "until a person resumes"
    settings.journal_path.with_name("journal.db.head").unlink()
    for file in settings.state_dir.glob("journal.db*"):
        file.unlink()
    settings.journal_path.touch(mode=0o600)
    assert started() == [LOST_CODE]
