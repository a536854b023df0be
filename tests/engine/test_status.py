"""The status document: one word for the run, sums over the processes; the file is whole or old, never half."""

import errno
import os
import threading
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from json_shape import same
from small_files import files_up_to
from status_rig import HOP, LIVE, account, child, family, settings
from tbot.engine import status as module
from tbot.engine.status import (
    CHANGE_EVERY_NS,
    LOOK_EVERY_NS,
    STRICTNESS,
    WRITE_EVERY_NS,
    Phase,
    StatusFile,
    build_status,
    iso,
)
from tbot.execution import engine_state

SECOND = 1_000_000_000


def build(folder: Path, children: dict[str, Any], phase: Phase | None = None, **more: Any) -> dict[str, Any]:
    return build_status(settings(folder, **more), children, 0, phase or Phase())


# ------------------------------------------------------------------------------------------------------------ state
@pytest.mark.parametrize(("milder", "stricter"), list(pairwise(STRICTNESS)))
def test_the_strictest_account_speaks_for_the_run(tmp_path: Path, milder: str, stricter: str) -> None:
    for order in ((milder, stricter), (stricter, milder)):
        accounts = {str(number): account(state, f"RC_{state}") for number, state in enumerate(order)}
        document = build(tmp_path, family(accounts))
        assert (document["state"], document["reasons"]) == (stricter, [f"RC_{stricter}"])
        others = "; 1 of 2 accounts trading" if milder == "ACTIVE" else ""
        assert document["reason"] == f"A-1: because of {stricter}{others}"


def test_a_run_is_active_only_when_every_account_is() -> None:
    """Who trades is the least strict of all: an account that waits or is stopped must show."""
    assert STRICTNESS[0] == "ACTIVE"


def test_every_state_an_account_can_have_is_ranked() -> None:
    named = {"BOOT", "RECONCILING", "ACTIVE", "PAUSED", "REDUCING", *engine_state._STATE_OF.values()}
    assert named == set(STRICTNESS)


@pytest.mark.parametrize(
    ("phase", "state", "reasons", "words"),
    [
        (Phase(), "LOCKED", ["RC_X"], "because of LOCKED"),
        (Phase(stopping=True), "STOPPING", [], "entries are off"),
        (Phase(stopping=True, ended=True, flat=True), "STOPPED", [], ""),
        (Phase(stopping=True, ended=True), "NOT_FLAT", [], "not proven flat"),
        (Phase(failure="feed ended", failure_code="RC_PEER_DEAD"), "HALTED", ["RC_PEER_DEAD"], "feed ended"),
        (Phase(True, True, True, failure="x", failure_code="RC_Y"), "HALTED", ["RC_Y"], "x"),
    ],
)
def test_what_the_launcher_knows_overrules_the_accounts(
    tmp_path: Path, phase: Phase, state: str, reasons: list[str], words: str
) -> None:
    document = build(tmp_path, family({"1": account("LOCKED", "RC_X")}), phase)
    assert (document["state"], document["reasons"]) == (state, reasons)
    assert words in document["reason"]


def test_starting_until_everybody_who_beats_has_reported(tmp_path: Path) -> None:
    children = family() | {"sim": child("sim", beats=False), "worker-GC": child("worker-GC", ready=False)}
    document = build(tmp_path, children | {"feed": child("feed", ready=False)})
    assert (document["state"], document["reasons"]) == ("STARTING", ["RC_START"])
    assert document["reason"] == "waiting for feed, worker-GC"
    children["worker-GC"].beat("OK", {})
    assert build(tmp_path, children)["state"] == "ACTIVE"


def test_nobody_waits_for_a_process_that_the_run_can_do_without(tmp_path: Path) -> None:
    """It may be starting for the first time or again, or be gone for good: the accounts trade (I33)."""
    children = family() | {"recorder": child("recorder", ready=False, vital=False)}
    assert build(tmp_path, children)["state"] == "ACTIVE"


def test_starting_until_there_is_an_account(tmp_path: Path) -> None:
    document = build(tmp_path, family({}))
    assert (document["state"], document["reason"]) == ("STARTING", "no account yet")


# ----------------------------------------------------------------------------------------------------------- alarms
@pytest.mark.parametrize("code", ["RC_AUTH", "RC_SECOND_ENGINE", "RC_CLOCK"])
def test_F_API_02_an_alarm_that_bars_every_contract_is_the_state_of_the_run(tmp_path: Path, code: str) -> None:
    alarm = {"code": code, "text": "look at it"}
    document = build(tmp_path, family(alarms=[alarm]))
    assert (document["state"], document["reasons"], document["reason"]) == ("HALTED", [code], "look at it")
    assert document["alarms"] == [alarm]
    for strict in ("REDUCING", "LOCKED", "HALTED"):  # what an account says of itself then matters more
        document = build(tmp_path, family({"1": account(strict, "RC_X")}, alarms=[alarm]))
        assert (document["state"], document["reasons"]) == (strict, ["RC_X"])
        assert document["alarms"] == [alarm]


@pytest.mark.parametrize("code", ["RC_MKT_HUB", "RC_QUOTE_STALE", "RC_USER_HUB"])
def test_F_NET_01_F_NET_07_a_run_without_its_hubs_is_not_called_active(tmp_path: Path, code: str) -> None:
    children = family()
    children["feed"].status["alarms"] = [{"code": code, "text": "it is dead"}]
    document = build(tmp_path, children)
    assert (document["state"], document["reasons"], document["reason"]) == ("PAUSED", [code], "no entries, it is dead")
    document = build(tmp_path, family({"1": account("RECONCILING", "RC_X")}) | {"feed": children["feed"]})
    assert (document["state"], document["reasons"]) == ("RECONCILING", ["RC_X"])


def test_other_alarms_are_shown_beside_the_state(tmp_path: Path) -> None:
    children = family(alarms=[{"code": "RC_OTHER", "text": "one"}])
    children["feed"].status["alarms"] = [{"code": "RC_ANOTHER", "text": "two"}]
    document = build(tmp_path, children)
    assert document["state"] == "ACTIVE"
    assert [alarm["text"] for alarm in document["alarms"]] == ["one", "two"]


def test_F_TIM_07_why_a_contract_takes_no_entries_is_shown_with_it(tmp_path: Path) -> None:
    children = family(barred={"MNQ": "rolled"}, feeds={"MNQ": "closed"})
    children["feed"].status["contracts"]["MNQ"] |= {"source": "STALE", "broker_id": "CON.F.US.MNQ.Z26", "hole": "x"}
    document = build(tmp_path, children)["contracts"]
    assert (document["MNQ"]["barred"], document["MNQ"]["feed"], document["MNQ"]["source"]) == (
        "rolled",
        "closed",
        "STALE",
    )
    assert (document["MNQ"]["broker_id"], document["MNQ"]["hole"]) == ("CON.F.US.MNQ.Z26", "x")
    assert document["ES"]["barred"] == ""
    for name in ("worker-MNQ", "worker-ES"):  # a worker's reason to give no signal stands behind the executor's
        for contract in children[name].status["contracts"].values():
            contract["distrust"] = "no signals: 1 of 4"
    document = build(tmp_path, children)["contracts"]
    assert (document["MNQ"]["barred"], document["ES"]["barred"]) == ("rolled", "no signals: 1 of 4")


# ------------------------------------------------------------------------------------------------------------- sums
def test_what_the_processes_said_is_joined(tmp_path: Path) -> None:
    children = family()
    children["feed"].restarts = 2
    children["worker-ES"].restarts = 1
    document = build(tmp_path, children)
    assert document["contracts"]["MNQ"]["ticks"] == 10
    assert document["contracts"]["MNQ"]["bars"] == {"1m": 5, "5m": 1}
    assert document["contracts"]["MNQ"]["live"] is True
    assert document["contracts"]["ES"]["live"] is False
    assert document["contracts"]["ES"]["bars"] == {"1m": 6}
    assert (document["gaps"], document["restarts"], document["reconnections"]) == (3, 3, 3)
    assert document["market_time"] == "2027-01-15T08:00:00.500Z"
    assert document["latency_ns"] == {
        "frame_ring": HOP,
        "signal_request": HOP,
        "frame_worker": {"count": 4, "p50": 10, "p99": 20, "p999": 30, "max": 99},
    }
    orjson.dumps(document, option=orjson.OPT_NON_STR_KEYS)


def test_contracts_nobody_spoke_of_are_there_all_the_same(tmp_path: Path) -> None:
    document = build(tmp_path, {"executor": child("executor", ready=False)}, symbols=("MNQ", "GC"))
    assert list(document["contracts"]) == ["MNQ", "GC"]
    assert document["contracts"]["GC"] | {"counters": {}} == {
        "ticks": 0, "ticks_per_s": 0.0, "last_tick_age_s": None, "gaps": 0, "last_price": None, "bid": None,
        "ask": None, "live": False, "feed": "gap",
        "bars": {}, "zones": {}, "signals": 0, "last_signal": None, "lost": 0, "position": 0, "lag": 0,
        "counters": {}, "setups": {},
            "source": "", "broker_id": "", "hole": "", "rolls": 0, "barred": "",
    }  # fmt: skip
    assert (document["pnl_usd"], document["win_rate"], document["profit_factor"]) == (0, None, None)


def test_money_of_all_accounts_is_added_up(tmp_path: Path) -> None:
    first = account(trades=3, wins=2, gained_cents=30_000, lost_cents=10_000, day_pnl_cents=20_000, drawdown_cents=7)
    second = account(trades=1, lost_cents=2_050, day_pnl_cents=-2_050, unrealised_cents=-125, drawdown_cents=5_000)
    document = build(tmp_path, family({"1": first, "2": second}))
    assert (document["round_trips"], document["wins"], document["win_rate"]) == (4, 2, 0.5)
    assert (document["pnl_usd"], document["open_usd"], document["drawdown_usd"]) == (179.5, -1.25, 50)
    assert document["profit_factor"] == 2.49


@pytest.mark.parametrize(
    ("mode", "badge"), [("sim", "DEMO"), ("paper", "PAPER"), ("live", "LIVE"), ("replay", "REPLAY")]
)
def test_every_mode_has_its_badge(tmp_path: Path, mode: str, badge: str) -> None:
    document = build(tmp_path, family(), **(LIVE if mode == "live" else {"mode": mode}))
    assert (document["mode"], document["badge"]) == (mode, badge)


def test_F_SEC_07_warnings_of_the_run_are_in_its_status(tmp_path: Path) -> None:
    assert build(tmp_path, family())["warnings"] == []
    assert build(tmp_path, family(), warnings=("numpy 9, tested with 2",))["warnings"] == ["numpy 9, tested with 2"]


def test_I25_what_was_lost_between_processes_is_added_up(tmp_path: Path) -> None:
    children = family(lost=7, messages={"signals": 9, "bad_messages": 1, "early_signals": 1})
    healthy = build(tmp_path, family())["messages"]
    assert set(healthy.values()) == {0}
    for name, count in (("worker-MNQ", 1), ("worker-ES", 10)):
        children[name].status |= {
            "messages": {"sent": 99, "acked": 99, "send_failed": count, "refused": 2 * count, "unacked": 3 * count,
                         "bad_messages": count},
            "outcomes": {"sent": 99, "acked": 99, "unsent": 4 * count, "unacked": 5 * count},
            "dropped": count,
        }  # fmt: skip
    children["recorder"] = child("recorder", {"messages": {"bad_messages": 100}})
    assert build(tmp_path, children, Phase(bad_messages=1000))["messages"] == {
        "signals_not_sent": 11, "signals_refused": 22, "signals_unacknowledged": 33, "prices_lost": 7,
        "outcomes_not_sent": 44, "outcomes_unacknowledged": 55, "lines_dropped": 11, "bad": 1112,
    }  # fmt: skip
    assert build(tmp_path, {})["messages"] == healthy


def test_with_several_accounts_the_reason_names_its_own(tmp_path: Path) -> None:
    accounts = {"1": account(), "2": account("LOCKED", "RC_DAILY_LOSS", name="A-2")}
    document = build(tmp_path, family(accounts))
    assert (document["state"], document["reasons"]) == ("LOCKED", ["RC_DAILY_LOSS"])
    assert document["reason"] == "A-2: because of LOCKED; 1 of 2 accounts trading"
    both = build(tmp_path, family({"1": account(), "2": account(name="A-2")}))
    assert both["reason"] == "because of ACTIVE"  # of one that trades there is nothing to tell


# ------------------------------------------------------------------------------------------------------------- time
def test_iso_of_nothing_is_nothing() -> None:
    assert iso(0) is None


@given(st.integers(1, 4_000_000_000_000))
def test_iso_reads_back_to_the_millisecond(milliseconds: int) -> None:
    text = iso(milliseconds * 1_000_000)
    assert text is not None
    assert text.endswith("Z")
    assert len(text) == 24
    seconds, rest = divmod(milliseconds, 1000)
    moment = datetime.fromisoformat(text)
    assert (moment.replace(microsecond=0), moment.microsecond) == (datetime.fromtimestamp(seconds, UTC), rest * 1000)


# ------------------------------------------------------------------------------------------------------------- file
@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The boot clock of the module, to be moved by hand."""
    now = [1000 * SECOND]
    monkeypatch.setattr(module, "boot_ns", lambda: now[0])
    return now


@pytest.fixture
def file(tmp_path: Path) -> StatusFile:
    return StatusFile(tmp_path / "status.json")


def shown(file: StatusFile) -> dict[str, Any]:
    document = orjson.loads(file.path.read_bytes())
    assert isinstance(document, dict)
    return document


def document(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    return build(tmp_path, family()) | changes


def test_a_change_is_written_and_sameness_is_not(tmp_path: Path, file: StatusFile, clock: list[int]) -> None:
    file.update(document(tmp_path, uptime_s=1))
    assert shown(file)["uptime_s"] == 1
    clock[0] += CHANGE_EVERY_NS
    file.update(document(tmp_path, uptime_s=2))  # nothing that a person would call a change
    assert shown(file)["uptime_s"] == 1
    file.update(document(tmp_path, uptime_s=3, fills=1))
    assert shown(file)["uptime_s"] == 3
    clock[0] += CHANGE_EVERY_NS - 1
    file.update(document(tmp_path, uptime_s=4, fills=2))  # too soon after the last one
    assert shown(file)["uptime_s"] == 3
    clock[0] += 1
    file.update(document(tmp_path, uptime_s=5, fills=2))
    assert shown(file)["uptime_s"] == 5


def test_I33_another_state_does_not_wait_for_other_changes(
    tmp_path: Path, file: StatusFile, clock: list[int]
) -> None:
    file.update(document(tmp_path, state="ACTIVE"))
    clock[0] += 1
    file.update(document(tmp_path, state="ACTIVE", fills=1))
    assert shown(file)["fills"] == 0
    file.update(document(tmp_path, state="HALTED", fills=1))
    assert (shown(file)["state"], shown(file)["fills"]) == ("HALTED", 1)


def test_I33_it_is_looked_at_five_times_a_second(tmp_path: Path, file: StatusFile, clock: list[int]) -> None:
    assert file.due()
    file.update(document(tmp_path))
    clock[0] += LOOK_EVERY_NS - 1
    assert not file.due()
    clock[0] += 1
    assert file.due()


def test_without_a_change_it_is_written_now_and_then(tmp_path: Path, file: StatusFile, clock: list[int]) -> None:
    file.update(document(tmp_path, uptime_s=1))
    clock[0] += WRITE_EVERY_NS - 1
    file.update(document(tmp_path, uptime_s=2))
    assert shown(file)["uptime_s"] == 1
    clock[0] += 1
    file.update(document(tmp_path, uptime_s=3))
    assert shown(file)["uptime_s"] == 3


def changed(document: dict[str, Any], what: str) -> dict[str, Any]:
    """The document after something a person would call a change."""
    copy: dict[str, Any] = orjson.loads(orjson.dumps(document))
    if what == "live":
        copy["contracts"]["ES"]["live"] = True
    elif what == "pid":
        copy["processes"]["feed"]["pid"] = 4711
    elif what in ("positions", "orders"):
        (account,) = copy["accounts"].values()
        account["positions"] = [{"contract": "ES", "side": 1, "size": 1, "stop": 5}]
        if what == "orders":
            order = {"order_id": 3_000_000_001, "status": "open", "filled": 0, "limit": None, "stop": 5}
            account["positions"], account["orders"] = [], [order]
    elif what == "balance_cents":
        (account,) = copy["accounts"].values()
        account["balance_cents"] += 1
    elif what == "messages":
        copy["messages"]["signals_not_sent"] += 1
    elif what in ("denials", "reasons"):
        copy[what] = {"RC_X": 1} if what == "denials" else ["RC_X"]
    else:
        copy[what] = "HALTED" if what == "state" else copy[what] + 1
    return copy


@pytest.mark.parametrize(
    "what",
    [
        *("state", "reasons", "intents", "denials", "fills", "round_trips", "pnl_usd", "restarts", "gaps", "live"),
        *("pid", "positions", "orders", "balance_cents", "messages"),
    ],
)
def test_these_are_changes(tmp_path: Path, file: StatusFile, clock: list[int], what: str) -> None:
    before = document(tmp_path)
    file.update(before)
    clock[0] += CHANGE_EVERY_NS
    file.update(changed(before, what) | {"uptime_s": -1})
    assert shown(file)["uptime_s"] == -1


# ------------------------------------------------------------------------------------------------- a full disk
def no_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def assert_old_file_stands(file: StatusFile, old: bytes) -> None:
    assert file.path.read_bytes() == old
    assert [path.name for path in file.path.parent.iterdir() if path.suffix == ".tmp"] == []


def test_F_SYS_01_a_full_disk_keeps_the_old_file(tmp_path: Path, file: StatusFile) -> None:
    file.write(document(tmp_path))
    old = file.path.read_bytes()
    assert len(old) > 100
    full = document(tmp_path, state="HALTED")
    with files_up_to(100):
        file.write(full)
    assert_old_file_stands(file, old)


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_F_SYS_01_whatever_call_fails(
    tmp_path: Path, file: StatusFile, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    file.write(document(tmp_path))
    old = file.path.read_bytes()
    failed = []

    def failing(*_: object) -> None:
        failed.append(call)
        no_space()

    monkeypatch.setattr(os, call, failing)
    file.write(document(tmp_path, state="HALTED"))
    assert failed == [call]
    assert_old_file_stands(file, old)


def test_F_SYS_01_a_change_that_could_not_be_written_follows_when_there_is_space(
    tmp_path: Path, file: StatusFile, clock: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    file.update(document(tmp_path))
    clock[0] += CHANGE_EVERY_NS
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", no_space)
        file.update(document(tmp_path, state="HALTED"))
    assert shown(file)["state"] == "ACTIVE"
    clock[0] += CHANGE_EVERY_NS
    file.update(document(tmp_path, state="HALTED"))
    assert shown(file)["state"] == "HALTED"


def test_F_SYS_05_a_disk_that_hangs_does_not_hold_the_launcher_up(
    tmp_path: Path, clock: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It heard of no death and no lock file for as long as the file system wrote its journal."""
    free, hangs, sync = threading.Event(), threading.Event(), os.fsync

    def hang(descriptor: int) -> None:
        hangs.set()
        assert free.wait(60)
        sync(descriptor)

    file = StatusFile(tmp_path / "status.json", beside=True)
    monkeypatch.setattr(os, "fsync", hang)
    for state in ("ACTIVE", "PAUSED", "HALTED"):
        file.update(document(tmp_path, state=state))
        clock[0] += CHANGE_EVERY_NS
        assert hangs.wait(30)
    assert not file.settle(0.01)
    assert not file.path.exists()
    free.set()
    assert file.settle(60)
    assert shown(file)["state"] == "HALTED"
    assert [entry.name for entry in tmp_path.iterdir() if "status" in entry.name] == ["status.json"]
    file.write(document(tmp_path, state="STOPPED"))
    assert file.settle(60)
    assert shown(file)["state"] == "STOPPED"


def test_F_SYS_01_a_state_folder_that_vanished_stops_nothing(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("not a folder")
    StatusFile(in_the_way / "status.json").write(document(tmp_path))
    StatusFile(tmp_path / "gone" / "status.json").write(document(tmp_path))
    assert in_the_way.read_text() == "not a folder"


def test_I33_until_the_new_file_is_whole_the_old_one_is_seen(
    tmp_path: Path, file: StatusFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write(document(tmp_path, uptime_s=1))
    seen = []
    sync = os.fsync

    def looking(number: int) -> None:
        seen.append(shown(file)["uptime_s"])
        sync(number)

    monkeypatch.setattr(os, "fsync", looking)
    file.write(document(tmp_path, uptime_s=2))
    assert seen == [1]
    assert shown(file)["uptime_s"] == 2


def test_the_document_has_the_keys_it_had(tmp_path: Path) -> None:
    """Where nothing is known yet, too: whoever reads it need not ask whether a key is there."""
    same(build(tmp_path, family({"1": account()})))
    assert build(tmp_path, {}).keys() == build(tmp_path, family({"1": account()})).keys()
