"""What earlier runs know of an account that this run does not trade is still there when it comes back (I14)."""

from pathlib import Path

import status_rig
from tbot.domain.messages import OperatorIn
from tbot.engine.clocks import FixedClock
from tbot.engine.desk_record import DeskRecord
from tbot.engine.desk_setup import TradingDesk, open_desk
from tbot.engine.health import Hops
from tbot.engine.journal_start import read_past
from tbot.engine.settings import AccountPlan
from tbot.execution.carry import CarryFold
from tbot.execution.settings import Carried, CarriedOrder
from tbot.storage.journal import Journal
from tbot.transport import wire

NOW_NS = 1_795_185_000_000_000_000
A7, A8 = AccountPlan(7, "A-7"), AccountPlan(8, "A-8")


def opened(folder: Path, run_id: int, *accounts: AccountPlan) -> TradingDesk:
    settings = status_rig.settings(folder, mode="replay", symbols=("MNQ",), template_hours=True, run_id=run_id)
    clock = FixedClock()
    clock.set_ns(NOW_NS + run_id)
    hops = Hops("signal_executor", "signal_request", "journal", "rest")
    return open_desk(settings, None, clock, accounts, lambda *_: None, hops)


def test_I14_a_pause_outlives_a_run_without_its_account_and_a_new_journal_file(tmp_path: Path) -> None:
    first = opened(tmp_path, 1, A7, A8)
    first.session.on_operator(OperatorIn(NOW_NS + 1, "pause", 8))
    first.close()
    second = opened(tmp_path, 2, A7)
    second.close()
    path = tmp_path / "state" / "journal.db"
    with Journal.open_readonly(path, wire) as reader:
        info = reader.runs()[-1][1]
    record = DeskRecord.decode(info.desk)
    ((account, kept),) = record.absent
    assert account == 8
    assert [code for code, _ in kept.reasons] == ["RC_OPERATOR"]
    # A file that begins with this run, as behind a full one: it is all that the next run can read.
    fresh = tmp_path / "fresh.db"
    Journal(fresh, wire, info).close()
    past = read_past(fresh)
    assert past.carried(8) == kept
    assert past.absent([8]) == ((7, past.carried(7)),)
    third = opened(tmp_path, 3, A7, A8)
    third.session.advance(NOW_NS + 10**9)
    accounts = third.status()["accounts"]
    codes = {number: [reason["code"] for reason in accounts[number]["reasons"]] for number in ("7", "8")}
    assert "RC_OPERATOR" in codes["8"]
    assert "RC_OPERATOR" not in codes["7"]
    third.close()


def test_I14_a_journal_file_begins_with_the_stops_of_the_one_before() -> None:
    told = Carried(orders=(CarriedOrder(NOW_NS, "stop", "TB1-1-1-S", "MNQ", -1, 2, 80_000, 9, "accepted"),))
    fold = CarryFold()
    fold.begin(7, told)
    assert fold.carried(7) == told
    assert fold.accounts == (7,)
