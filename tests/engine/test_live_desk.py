"""Mode live in one process: pinned accounts of a gateway that is no simulator to us, a bracket traded through, flat."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from foreign_gateway import ASK, BID, Foreign, foreign_gateway, name_of
from session_rig import history, quote
from sim_rig import KEY, OWNER, until
from tbot.domain.messages import OperatorIn, Quote, RoundTrip, Signal
from tbot.domain.trading_hours import SessionCalendar
from tbot.engine import desk_record
from tbot.engine.clocks import WallClock
from tbot.engine.desk_setup import TradingDesk, open_desk
from tbot.engine.gateway_link import Link
from tbot.engine.health import Hops
from tbot.engine.settings import AccountPlan, EngineSettings, GatewaySettings
from tbot.engine.state_dir import AccountLocks
from tbot.errors import ConfigError, Halted
from tbot.gateway.redact import Credentials
from tbot.gateway.rest import OrderClient, probe_simulator
from tbot.risk.limits import RiskLimits
from tbot.storage.journal import Journal
from tbot.transport import wire

PLANS = (
    AccountPlan(1001, name_of(1001), contracts=("MNQ",)),
    AccountPlan(1002, name_of(1002), limits=RiskLimits(max_micros=2)),
)
HOPS = ("signal_executor", "signal_request", "journal", "rest")


def live_settings(folder: Path, rest: str, **more: Any) -> EngineSettings:
    hubs = f"{rest.replace('http', 'ws')}/hubs/user", f"{rest.replace('http', 'ws')}/hubs/market"
    for name in ("state", "run"):
        (folder / name).mkdir(exist_ok=True, mode=0o700)
    values: dict[str, Any] = {
        "mode": "live", "symbols": ("MNQ",), "state_dir": folder / "state", "run_dir": folder / "run", "run_id": 1,
        "build": "t", "config_hash": "t", "gateway": GatewaySettings(rest, *hubs, simulated=False), "accounts": PLANS,
        "confirmed": (1001, 1002), "locks": folder / "locks",
    }  # fmt: skip
    return EngineSettings(**(values | more))


@pytest.fixture(autouse=True)
def any_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test runs at every hour of the day; the calendar has tests of its own."""
    monkeypatch.setattr(
        desk_record, "SessionCalendar", lambda table, template_ok: SessionCalendar(table, always=True)
    )


class LiveRun:
    """Link, locks and Desk of a live run, its loop turned by hand."""

    def __init__(self, settings: EngineSettings) -> None:
        assert settings.gateway is not None
        self.told: list[str] = []
        self.link = Link(settings, settings.gateway, Credentials(OWNER, KEY))
        self.locks = AccountLocks.of(settings)
        accounts = self.link.accounts()
        assert accounts is not None
        self.locks.take(plan.account for plan in accounts)
        self.desk: TradingDesk = open_desk(
            settings, self.link, WallClock(), accounts, lambda *line: self.told.append(line[-1]), Hops(*HOPS)
        )

    def turn(self) -> None:
        """What the executor's loop does."""
        self.desk.session.pump()
        self.desk.session.advance(time.time_ns())

    def until(self, condition: Any, what: str) -> Any:
        def look() -> Any:
            self.turn()
            return condition()

        try:
            return until(look, what, 30.0)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.desk.status()['accounts']} {self.told}") from None

    def states(self) -> set[str]:
        return {account["state"] for account in self.desk.status()["accounts"].values()}

    def close(self) -> None:
        self.desk.close()
        self.link.close()
        self.locks.release()


@pytest.fixture
def gateway() -> Iterator[Foreign]:
    with foreign_gateway(accounts=2) as made:
        yield made


def signal(now_ns: int, seq: int) -> Signal:
    held = Quote(BID, ASK, now_ns, seq, 0, 1)
    return Signal(
        "MNQ-live-1", "MNQ", 1, held, ASK - 40, ASK + 60, 80.0, "test", 1, 5, {}, (1,), "p", now_ns, seq
    )


def test_I17_R12_a_live_run_trades_a_bracket_through_on_two_accounts_and_ends_flat(
    tmp_path: Path, gateway: Foreign
) -> None:
    server, rest = gateway.server, gateway.rest
    assert not probe_simulator(rest)  # to us it is anybody's gateway
    run = LiveRun(live_settings(tmp_path, rest))
    try:
        assert isinstance(run.link.rest, OrderClient)
        with pytest.raises(Halted, match="RC_SECOND_ENGINE"):
            AccountLocks.of(live_settings(tmp_path, rest)).take([1002])
        now_ns = time.time_ns()
        run.desk.session.on_records(history(ns=now_ns, recv_ns=now_ns), now_ns)
        run.desk.session.on_records(quote(BID, ASK, ns=now_ns, recv_ns=now_ns, n=1), now_ns)
        run.until(lambda: run.states() == {"ACTIVE"}, "both accounts active")
        now_ns = time.time_ns()
        run.desk.session.on_records(quote(BID, ASK, ns=now_ns, recv_ns=now_ns, n=2), now_ns)
        run.desk.session.on_signal(signal(now_ns, 2), 0, now_ns)
        run.until(lambda: run.desk.observer.fills >= 2, "both entries filled")
        run.until(lambda: all(a["protected"] for a in run.desk.status()["accounts"].values()), "both stops proven")
        assert not run.desk.flat()
        assert run.desk.describe_open() == (
            f"open: {name_of(1001)}: MNQ +5, 2 working orders; {name_of(1002)}: MNQ +2, 2 working orders"
        )
        gateway.market.rise(80)
        run.until(lambda: run.desk.observer.round_trips == 2, "both targets hit")
        run.desk.session.on_operator(OperatorIn(time.time_ns(), "stop"))
        run.until(run.desk.flat, "proven flat")
        sizes = {account: view["trades"] for account, view in run.desk.status()["accounts"].items()}
        assert sizes == {"1001": 1, "1002": 1}, "\n".join(run.told)
    finally:
        run.close()
    for account in server.server.exchange.accounts.values():
        assert account.book.holdings() == []
        assert account.book.living_orders() == []
        assert account.book.balance_cents > 5_000_000
    check_journal(tmp_path / "state" / "journal.db")


def check_journal(path: Path) -> None:
    with Journal.open_readonly(path, wire) as journal:
        assert journal.verify().state == "ok"
        (_, info), = journal.runs()
        assert info.mode == "live"
        trips = [note for step in journal.steps() for note in step.outputs if isinstance(note, RoundTrip)]
    assert {(trip.account, trip.size, trip.exit_reason) for trip in trips} == {(1001, 5, "target"), (1002, 2, "target")}


def test_F_ACC_04_an_account_that_is_renamed_while_it_is_traded_halts_alone(
    tmp_path: Path, gateway: Foreign
) -> None:
    server, rest = gateway.server, gateway.rest
    plans = (AccountPlan(1001, name_of(1001)),)
    run = LiveRun(live_settings(tmp_path, rest, accounts=plans, confirmed=(1001,)))
    try:
        run.until(lambda: run.states() == {"ACTIVE"}, "active")
        server.plan({"id": "swap", "name": "account.swap", "at": 0, "args": {"first": 1001, "second": 1002}})
        until(lambda: server.fired("account.swap"), "the swap")
        run.until(lambda: run.states() == {"HALTED"}, "halted")
        reasons = run.desk.status()["accounts"]["1001"]["reasons"]
        assert [reason["code"] for reason in reasons] == ["RC_CONFIG"]
    finally:
        run.close()


# ------------------------------------------------------------------------------------------------- what may not exist
@pytest.mark.parametrize(
    "change",
    [
        {"gateway": None},
        {"gateway": GatewaySettings("http://127.0.0.1:1", "", "", simulated=True)},
        {"gateway": GatewaySettings("http://127.0.0.1:1", "", "", simulated=False, embedded=True)},
        {"accounts": ()},
        {"accounts": (AccountPlan(1001, ""), AccountPlan(1002, "x"))},
        {"confirmed": ()},
        {"confirmed": (1001,)},
        {"confirmed": (1001, 1002, 1003)},
        {"mode": "sim"},  # orders without confirmation go to simulators of ours alone
    ],
)
def test_I17_settings_of_a_live_run_that_may_not_be_cannot_be_made(tmp_path: Path, change: dict[str, Any]) -> None:
    live_settings(tmp_path, "http://127.0.0.1:1")
    with pytest.raises(ConfigError, match=r"^mode (live|sim) "):
        live_settings(tmp_path, "http://127.0.0.1:1", **change)
