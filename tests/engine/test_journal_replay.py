"""A journal's inputs folded again: the same outputs and the same state, or the step that differs is named."""

import sqlite3
from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest

from journal_runs import SYMBOLS, run, settings_in
from lively_tape import lively
from tbot.domain.messages import Denial, Fill, OperatorIn, PlaceBracket
from tbot.domain.trading_hours import SessionRow, trading_day, with_own_rows
from tbot.engine.clocks import FixedClock
from tbot.engine.desk_record import DeskRecord
from tbot.engine.desk_setup import open_desk, paper_account, short_names
from tbot.engine.health import Hops
from tbot.engine.journal_replay import replay_journal
from tbot.engine.run_start import next_run_ms
from tbot.engine.settings import AccountPlan
from tbot.errors import DataError, JournalError
from tbot.execution.paper_broker import PaperAccount
from tbot.risk.firm import FirmRules
from tbot.risk.limits import RiskLimits
from tbot.storage.journal import Journal
from tbot.storage.journal_reader import RunInfo
from tbot.storage.sessions import load_sessions
from tbot.transport import wire

SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes, str]:
    """(journal file, head file, digest) of one run."""
    settings = settings_in(tmp_path_factory.mktemp("run"))
    digest = run(settings, seed=5)
    head = next(path for path in settings.state_dir.iterdir() if "head" in path.name)
    with Journal.open_readonly(settings.journal_path, wire) as reader:
        assert reader.verify().state == "ok"
    return settings.journal_path.read_bytes(), head.read_bytes(), digest


@pytest.fixture
def journal(finished: tuple[bytes, bytes, str], tmp_path: Path) -> Path:
    """A copy of that run's journal."""
    path = tmp_path / "journal.db"
    path.write_bytes(finished[0])
    return path


def change(path: Path, direction: str, kind: str, alter: Any) -> int:
    """Change one field of the first such row behind the start row, past the triggers; returns its seq."""
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("DROP TRIGGER record_is_never_changed")
    query = "SELECT seq, body FROM record WHERE direction = ? AND kind = ? ORDER BY seq LIMIT 1"
    seq, body = database.execute(query, (direction, kind)).fetchone()
    document = msgspec.json.decode(body)
    alter(document)
    database.execute("UPDATE record SET body = ? WHERE seq = ?", (msgspec.json.encode(document), seq))
    database.close()
    return int(seq)


def test_I15_the_same_inputs_give_the_same_outputs_and_state(journal: Path, finished: tuple[bytes, bytes, str]) -> None:
    result = replay_journal(journal)
    assert result.differences == []
    assert result.digest == finished[2]
    with Journal.open_readonly(journal, wire) as reader:
        steps = list(reader.steps())
    assert result.inputs == len(steps)
    kinds = Counter(type(step.item) for step in steps)
    assert kinds[Fill] >= 2
    assert any(isinstance(output, PlaceBracket) for step in steps for output in step.outputs)


def test_replaying_changes_nothing(journal: Path, finished: tuple[bytes, bytes, str]) -> None:
    assert replay_journal(journal) == replay_journal(journal)
    assert journal.read_bytes() == finished[0]


def test_a_changed_output_is_found_at_its_step(journal: Path, finished: tuple[bytes, bytes, str]) -> None:
    def bigger(document: dict[str, Any]) -> None:
        document["size"] += 1

    changed = change(journal, "out", "PlaceBracket", bigger)
    result = replay_journal(journal)
    (difference,) = result.differences
    assert difference.seq < changed
    sizes = [
        [output.size for output in outputs if isinstance(output, PlaceBracket)]
        for outputs in (difference.recorded, difference.replayed)
    ]
    assert sizes[0] == [sizes[1][0] + 1]
    assert result.digest == finished[2]  # the inputs are untouched
    with Journal.open_readonly(journal, wire) as reader:
        verdict = reader.verify()
        assert (verdict.state, verdict.seq) == ("mismatch", changed - 1)


def test_a_changed_input_changes_what_follows(journal: Path, finished: tuple[bytes, bytes, str]) -> None:
    def dearer(document: dict[str, Any]) -> None:
        document["price"] += 400

    changed = change(journal, "in", "Fill", dearer)
    result = replay_journal(journal)
    assert result.digest != finished[2]
    assert all(difference.seq >= changed for difference in result.differences)


def test_other_limits_than_the_runs_are_found(journal: Path, finished: tuple[bytes, bytes, str]) -> None:
    """What the Desk was told at construction is part of what is replayed."""

    def poorer(document: dict[str, Any]) -> None:
        assert DeskRecord.decode(document["desk"]).limits.risk_per_trade_cents == 80_000
        document["desk"] = document["desk"].replace('"risk_per_trade_cents":80000', '"risk_per_trade_cents":100')

    change(journal, "start", "RunInfo", poorer)
    result = replay_journal(journal)
    assert result.differences
    assert result.digest != finished[2]


def test_only_the_last_run_of_a_journal_is_replayed(tmp_path: Path) -> None:
    first = run(settings_in(tmp_path, 1), seed=5, minutes=120)
    alone = replay_journal(settings_in(tmp_path).journal_path)
    second = run(settings_in(tmp_path, 2), seed=9, minutes=90)
    result = replay_journal(settings_in(tmp_path).journal_path)
    assert alone.digest == first
    assert (result.digest, result.differences) == (second, [])
    assert 0 < result.inputs < alone.inputs


def test_no_journal_and_a_foreign_file_are_errors_in_words(tmp_path: Path) -> None:
    with pytest.raises(JournalError):
        replay_journal(tmp_path / "missing.db")
    (tmp_path / "text.db").write_text("this is no database at all" * 100)
    with pytest.raises(JournalError):
        replay_journal(tmp_path / "text.db")


def test_a_start_row_that_is_not_ours_is_an_error_in_words(journal: Path) -> None:
    change(journal, "start", "RunInfo", lambda document: document.update(desk="{}"))
    with pytest.raises(DataError, match="how its Desk was set up"):
        replay_journal(journal)


def test_I15_F_CFG_04_a_replay_has_the_session_table_of_its_run_not_todays(tmp_path: Path) -> None:
    """A day that a person closed: denied in the run, and denied in its replay, which knows nothing of their file."""
    packaged = load_sessions()
    assert packaged.rows
    start = int(lively(SYMBOLS, 5, 1)["exch_ns"][0])
    closed = SessionRow(trading_day(start), frozenset("*"), None, "a notice", date(2026, 1, 1), "closed by a person")
    table = with_own_rows(packaged, [closed], [])
    settings = replace(settings_in(tmp_path), sessions=table)
    digest = run(settings, seed=5, minutes=90)
    result = replay_journal(settings.journal_path)
    assert (result.differences, result.digest) == ([], digest)
    with Journal.open_readonly(settings.journal_path, wire) as reader:
        record = DeskRecord.decode(reader.runs()[-1][1].desk)
        reasons = {note.reason for step in reader.steps() for note in step.outputs if isinstance(note, Denial)}
    assert record.sessions == table
    assert reasons == {"RC_WINDOW"}
    old = msgspec.json.decode(record.encode())
    del old["sessions"]
    assert DeskRecord.decode(msgspec.json.encode(old).decode()).sessions is None  # a journal of an older version


def test_F_TIM_01_I2_a_run_starts_later_than_every_earlier_one_whatever_the_clock_shows(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    now_ns = 1_795_000_000_000_000_000
    assert next_run_ms(settings.journal_path, now_ns) == now_ns // 10**6
    run(settings, seed=1, minutes=1)
    with Journal.open_readonly(settings.journal_path, wire) as reader:
        first = DeskRecord.decode(reader.runs()[-1][1].desk).run_start_ms
    assert next_run_ms(settings.journal_path, (first - 86_400_000) * 10**6) == first + 1  # set back by a day
    assert next_run_ms(settings.journal_path, (first + 5) * 10**6) == first + 5
    Journal(settings.journal_path, wire, RunInfo(78, "b", "c", "replay", 1, "of another version")).close()
    assert next_run_ms(settings.journal_path, 0) == first + 1


def test_I15_several_accounts_each_with_limits_contracts_and_firm_of_its_own_are_replayed(tmp_path: Path) -> None:
    accounts = (
        AccountPlan(7, "A-7", contracts=("MNQ",)),
        AccountPlan(8, "A-8", limits=RiskLimits(risk_per_trade_cents=80_000, max_micros=1)),
        AccountPlan(9, "A-9", "150K", "funded", ("MES",), 4_500_000),
    )
    settings = settings_in(tmp_path)
    digest = run(settings, seed=5, accounts=accounts)
    result = replay_journal(settings.journal_path)
    assert (result.differences, result.digest) == ([], digest)
    with Journal.open_readonly(settings.journal_path, wire) as reader:
        ((_, info),) = reader.runs()
        placed = [out for step in reader.steps() for out in step.outputs if isinstance(out, PlaceBracket)]
    record = DeskRecord.decode(info.desk)
    assert DeskRecord.decode(record.encode()) == record
    assert [(held.account, held.name, held.contracts) for held in record.accounts] == [
        (7, "A-7", ("MNQ",)), (8, "A-8", ()), (9, "A-9", ("MES",)),
    ]  # fmt: skip
    traded = {(order.account, order.contract) for order in placed}
    assert {account for account, _ in traded} == {7, 8, 9}
    assert {contract for account, contract in traded if account == 7} == {"MNQ"}
    assert all(order.size == 1 for order in placed if order.account == 8)
    assert any(order.size > 1 for order in placed if order.account == 7)
    assert not any(contract == "MNQ" for account, contract in traded if account == 9)


def test_I14_each_account_carries_what_is_its_own(tmp_path: Path) -> None:
    """One is halted by a person's hand on the journal's record; the next run knows which one it was."""
    accounts = (AccountPlan(7, "A-7"), AccountPlan(8, "A-8"))
    settings = settings_in(tmp_path)
    clock = FixedClock()
    clock.set_ns(int(lively(SYMBOLS, 5, 5)["exch_ns"][0]))
    hops = Hops("signal_executor", "signal_request", "journal", "rest")
    first = open_desk(settings, None, clock, accounts, lambda *_: None, hops)
    first.session.on_operator(OperatorIn(clock.now_ns(), "pause", 8))
    first.close()
    second = open_desk(settings_in(tmp_path, run_id=78), None, clock, accounts, lambda *_: None, hops)
    second.session.advance(clock.now_ns() + SECOND)
    states = {number: view["reasons"] for number, view in second.status()["accounts"].items()}
    assert [reason["code"] for reason in states["7"] if reason["code"] == "RC_OPERATOR"] == []
    assert [reason["code"] for reason in states["8"] if reason["code"] == "RC_OPERATOR"] == ["RC_OPERATOR"]
    second.close()


def test_a_paper_account_begins_with_the_balance_of_its_plan() -> None:
    assert paper_account(AccountPlan(7, "A-7")) == PaperAccount(7, "A-7", 5_000_000)
    rules = FirmRules(start_cents=15_000_000)
    assert paper_account(AccountPlan(7, "A-7", "150K", rules=rules)) == PaperAccount(7, "A-7", 15_000_000)


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (("50KTC-V2-000001-00000001", "50KTC-V2-000001-00000002"), ("…00000001", "…00000002")),
        (("PRAC-1", "50KTC-V2-000001-00000002"), ("PRAC-1", "…00000002")),
        (("A-V2-000001-00000001", "B-V2-000001-00000001"), ("1", "2")),  # the ends are alike
    ],
)
def test_short_names_tell_accounts_apart(names: tuple[str, str], short: tuple[str, str]) -> None:
    plans = tuple(AccountPlan(number, name) for number, name in enumerate(names, 1))
    assert tuple(short_names(plans).values()) == short
