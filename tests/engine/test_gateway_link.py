"""The executor's line to a real simulated gateway: refused tokens, lists, clocks; all of it behind the loop's back."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sim_rig import DAY_NS, KEY, OWNER, RunningServer, steady_market, until
from tbot.context.dxy import LEGS
from tbot.domain.clock import MarketClock
from tbot.domain.contracts import PRODUCTS, contract_from_broker_id
from tbot.engine import gateway_link
from tbot.engine.clocks import SimulatedClock, boot_ns
from tbot.engine.gateway_link import Link
from tbot.engine.settings import AccountPlan, EngineSettings, GatewaySettings
from tbot.errors import AuthError, ConfigError, GatewayError
from tbot.gateway.codec_domain import broker_contract
from tbot.gateway.codec_rest import Answer
from tbot.gateway.redact import Credentials
from tbot.gateway.rest import OrderClient
from tbot.sim.server import SimServer, SimSettings
from tbot.strategy.dollar import DollarSettings
from tbot.strategy.settings import StrategySettings

HOUR_NS = 3600 * 10**9


@contextmanager
def gateway(start_ns: int = DAY_NS, key: str = KEY, port: int = 0, **more: Any) -> Iterator[RunningServer]:
    settings = SimSettings(user_name=OWNER, api_key=key, start_ns=start_ns, **more)
    with RunningServer(SimServer(settings, steady_market(600, start_ns)), port) as server:
        yield server


def stop(server: RunningServer) -> None:
    """Before its time; leaving the block once more does no harm."""
    server.__exit__(None, None, None)


@contextmanager
def linked(
    folder: Path, server: RunningServer, key: str = KEY, *, simulated: bool = True, restarted: bool = False, **more: Any
) -> Iterator[Link]:
    hubs = f"{server.ws}/hubs/user", f"{server.ws}/hubs/market"
    settings = EngineSettings(
        **({"mode": "sim", "run_dir": folder} | more), symbols=("MNQ",), state_dir=folder, run_id=1, build="t",
        config_hash="t",
    )  # fmt: skip
    address = GatewaySettings(server.rest, *hubs, simulated=simulated)
    link = Link(settings, address, Credentials(OWNER, key), restarted=restarted)
    link.rest._total_s, link.rest._exchange._timeout = 60.0, (30.0, 30.0)  # a stall must not cost an answer
    try:
        yield link
    finally:
        link.close()


def test_F_API_01_a_token_that_a_hub_refused_leads_to_one_new_login(tmp_path: Path) -> None:
    with gateway() as server, linked(tmp_path, server) as link:
        assert link.accounts() is not None
        first, token = link.token()
        for _ in range(5):  # the feed says it again until it has another one
            link.token_refused(first)
        until(lambda: link.token()[0] == first + 1, "a new token")
        link.token_refused(first)  # old news
        assert link.token()[0] == first + 1
        assert link.token()[1] != token
        assert link.rest.tokens.logins == 2


def test_F_PRC_01_F_TIM_01_a_new_executor_outranks_the_one_before_it_whatever_the_wall_clock_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A feed that outlives its executor holds the old one's token and months: it must take the new one's."""
    with gateway() as server, linked(tmp_path, server) as old:
        assert old.accounts() is not None
        for _ in range(3):
            old.token_refused(old.token()[0])
            until(lambda: old.token()[0], "a new token")
        old.roll("MNQ", "CON.F.US.MNQ.H27")
        later, yesterday = boot_ns() + 2 * 10**9, time.time_ns() - 86_400 * 10**9
        monkeypatch.setattr(gateway_link, "boot_ns", lambda: later)
        monkeypatch.setattr(gateway_link.time, "time_ns", lambda: yesterday)
        with linked(tmp_path, server) as new:
            assert new.accounts() is not None
            assert new.token()[0] > old.token()[0]
            assert new.generation > old.generation
            new.token_refused(old.token()[0])  # none of ours: nothing is given up
            assert new.rest.tokens.logins == 1


def test_F_API_02_a_refused_login_is_not_tried_again(tmp_path: Path) -> None:
    with gateway() as server, linked(tmp_path, server, key="wrong") as link:
        with pytest.raises(AuthError, match="refused the login"):
            link.accounts()
        for _ in range(5):
            link.token_refused(0)
            link.look_again()
        assert link.rest.tokens.logins == 1


def test_F_API_02_another_key_at_the_same_address_is_noticed(tmp_path: Path) -> None:
    with gateway() as server:
        port = server.port
        with linked(tmp_path, server) as link:
            assert link.accounts() is not None
            stop(server)
            with gateway(key="another", port=port):
                link.token_refused(link.token()[0])
                until(lambda: link.rest.tokens.refused, "the refusal")
                assert link.token() == (0, "")
                assert link.rest.tokens.logins == 2


def test_F_TIM_07_the_list_is_read_again_on_request_and_every_day_before_the_open(tmp_path: Path) -> None:
    with gateway() as server, linked(tmp_path, server) as link:
        assert link.accounts() is not None
        link.clock()
        assert link.listing is None
        link.look_again()
        listing = until(lambda: link.listing, "the list")
        assert listing.active == link.contracts() == {"MNQ": "CON.F.US.MNQ.Z26"}
        assert listing.missing == {}
        assert not link._list_due()
        for minutes, due in ((7 * 60 + 29, False), (7 * 60 + 31, True)):  # 16:29 and 16:31 in Chicago
            link._clock = SimulatedClock(MarketClock(DAY_NS + minutes * 60 * 10**9, boot_ns(), 1.0))
            assert link._list_due() is due


FOLLOWS = {"strategy": StrategySettings(dollar=DollarSettings(follow=True))}


def listed(**months: str) -> list[Any]:
    """What the gateway lists of the dollar index's futures."""
    names = (f"CON.F.US.{PRODUCTS[symbol].root}.{month}" for symbol, month in months.items())
    return [broker_contract(contract_from_broker_id(name)) for name in names]


def test_the_futures_of_the_index_are_looked_for_and_a_run_begins_without_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with gateway() as server, linked(tmp_path, server, **FOLLOWS) as link:
        assert link.accounts() is not None
        assert link.legs == ({}, dict.fromkeys(LEGS, "0 active months listed instead of one"))
        first, mnq = link.generation, link.rest.contract_available().value
        link.clock()
        answers = [
            listed(**dict.fromkeys(LEGS, "Z26")),
            listed(**dict.fromkeys(LEGS, "Z26")),  # nothing new: the feed need not hear of it
            listed(**{**dict.fromkeys(LEGS, "H27"), "6S": "Z26"}),
            listed(**{symbol: "H27" for symbol in LEGS if symbol != "6S"}),  # the feed keeps the month that it has
        ]
        found, ended, look = [], [0], link._look

        def watched(wanted: set[str]) -> None:
            look(wanted)
            ended[0] += "list" in wanted

        monkeypatch.setattr(link, "_look", watched)
        for number, answer in enumerate(answers, 1):
            monkeypatch.setattr(link.rest, "contract_available", lambda answer=answer: Answer("accepted", mnq + answer))
            link.listing = None
            link.look_again()
            until(lambda number=number: ended[0] >= number, "the end of the look")
            assert link.listing is not None
            months = {symbol: name.split(".")[-1] for symbol, name in link.legs[0].items()}
            found.append((months, set(link.legs[1]), link.generation - first))
        old, new = dict.fromkeys(LEGS, "Z26"), {**dict.fromkeys(LEGS, "H27"), "6S": "Z26"}
        assert found == [(old, set(), 1), (old, set(), 1), (new, set(), 2), (new, {"6S"}, 3)]
        assert link.contracts() == {"MNQ": "CON.F.US.MNQ.Z26"}


def test_no_list_is_searched_for_an_index_that_nobody_follows(tmp_path: Path) -> None:
    with gateway() as server, linked(tmp_path, server) as link:
        assert link.accounts() is not None
        assert link.legs == ({}, {})


def test_F_TIM_01_the_gateways_time_is_asked_for_and_comes_with_any_answer(tmp_path: Path) -> None:
    with gateway() as server, linked(tmp_path, server) as link:
        assert link.accounts() is not None
        first = until(lambda: link.rest.date, "a Date header")
        assert abs(first.at(boot_ns()) - time.time_ns()) < HOUR_NS
        link.ask_date()
        until(lambda: link.rest.date.boot_ns > first.boot_ns, "another")


def test_a_list_that_cannot_be_read_is_asked_for_again_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with gateway() as server, linked(tmp_path, server) as link:
        assert link.accounts() is not None
        monkeypatch.setattr(link.rest, "contract_available", lambda: Answer("ambiguous", text="maintenance"))
        link.look_again()
        until(lambda: link._list_due_ns, "another time")
        assert link.listing is None
        assert not link._list_due()
        monkeypatch.undo()
        monkeypatch.setattr(gateway_link, "LIST_RETRY_NS", 0)
        link._list_due_ns = 1
        link.look_again()
        until(lambda: link.listing, "the list")


def test_another_run_of_the_simulator_with_an_earlier_clock_is_noticed(tmp_path: Path) -> None:
    with gateway(DAY_NS + HOUR_NS) as server:
        port = server.port
        with linked(tmp_path, server) as link:
            assert link.accounts() is not None
            assert link.clock() is not None
            link.look_again()
            until(lambda: link.listing, "a look at list and clock")
            assert link.clock_trouble == ""
            stop(server)
            with gateway(DAY_NS, port=port):
                link.look_again()
                until(lambda: "went back" in link.clock_trouble, "the clock that went back")


def test_a_later_clock_is_followed(tmp_path: Path) -> None:
    with gateway(DAY_NS) as server:
        port = server.port
        with linked(tmp_path, server) as link:
            assert link.accounts() is not None
            clock = link.clock()
            assert clock is not None
            stop(server)
            with gateway(DAY_NS + HOUR_NS, port=port):
                link.look_again()
                until(lambda: clock.now_ns() >= DAY_NS + HOUR_NS, "the later clock, by everybody who holds it")
                assert link.clock_trouble == ""


def test_F_API_01_a_short_life_is_looked_at_more_often(tmp_path: Path) -> None:
    with gateway(token_life_s=30.0) as server, linked(tmp_path, server) as link:
        assert link._pause_s() == 60.0  # nothing known yet
        assert link.accounts() is not None
        assert 1.0 <= link._pause_s() <= 3.0


def test_a_bug_in_the_watch_is_counted_and_the_watch_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with gateway() as server, linked(tmp_path, server) as link:
        assert link.accounts() is not None

        def broken() -> None:
            raise RuntimeError("a bug")

        monkeypatch.setattr(link, "_look_at_list", broken)
        link.look_again()
        until(lambda: link.errors["RuntimeError"] == 1, "the error")
        assert link.status()["link_errors"] == {"RuntimeError": 1}
        monkeypatch.undo()
        link.look_again()
        until(lambda: link.listing, "the next look")


# ----------------------------------------------------------------------------------------------------------- accounts
NAMES = {number: f"50KTC-V2-000001-0000000{number - 1000}" for number in (1001, 1002, 1003)}
PINNED = tuple(AccountPlan(number, NAMES[number]) for number in (1002, 1001))


def test_without_pins_the_first_account_that_may_trade_is_taken(tmp_path: Path) -> None:
    with gateway(accounts=3) as server:
        server.plan({"id": "lock", "name": "account.lock", "at": 0, "args": {"account": 1001}})
        until(lambda: server.fired("account.lock"), "the lock")
        with linked(tmp_path, server) as link:
            assert link.accounts() == (AccountPlan(1002, NAMES[1002]),)


def test_F_PRC_01_F_ACC_04_a_new_executor_keeps_the_account_of_its_run(tmp_path: Path) -> None:
    """The firm has stopped it meanwhile, and another one could trade: that one is not this run's."""
    with gateway(accounts=2) as server:
        with linked(tmp_path, server) as link:
            assert link.accounts() == (AccountPlan(1001, NAMES[1001]),)
        server.plan({"id": "lock", "name": "account.lock", "at": 0, "args": {"account": 1001}})
        until(lambda: server.fired("account.lock"), "the lock")
        with linked(tmp_path, server, restarted=True) as link:
            assert link.accounts() == (AccountPlan(1001, NAMES[1001]),)
        server.plan({"id": "swap", "name": "account.swap", "at": 0, "args": {"first": 1001, "second": 1002}})
        until(lambda: server.fired("account.swap"), "the swap")
        with linked(tmp_path, server, restarted=True) as link, pytest.raises(ConfigError, match="1001 is named"):
            link.accounts()
        (tmp_path / gateway_link.ACCOUNT_FILE).write_text('{"account": null}')
        with linked(tmp_path, server, restarted=True) as link, pytest.raises(ConfigError, match="not readable"):
            link.accounts()
        with linked(tmp_path, server) as link:  # another run
            assert link.accounts() == (AccountPlan(1002, NAMES[1001]),)


def test_F_PRC_01_an_executor_that_died_before_it_took_an_account_leaves_the_choice(tmp_path: Path) -> None:
    with gateway(accounts=2) as server, linked(tmp_path, server, restarted=True) as link:
        assert link.accounts() == (AccountPlan(1001, NAMES[1001]),)


def test_F_SYS_01_an_account_that_cannot_be_noted_is_not_traded(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with gateway() as server, linked(tmp_path, server, run_dir=missing) as link, pytest.raises(ConfigError) as told:
        link.accounts()
    assert "cannot be noted" in str(told.value)


def test_F_ACC_04_pinned_accounts_are_taken_in_the_order_of_the_settings(tmp_path: Path) -> None:
    with gateway(accounts=3) as server, linked(tmp_path, server, accounts=PINNED) as link:
        assert link.accounts() == PINNED
        assert isinstance(link.rest, OrderClient)


@pytest.mark.parametrize(
    ("account", "name", "said"),
    [
        (1003, NAMES[1003], "account 1003 is not listed by the gateway"),
        (1002, "PRAC-V2-1", f"account 1002 is named '{NAMES[1002]}', configured is 'PRAC-V2-1'"),
        (1001, NAMES[1001], "account 1001 cannot trade"),
    ],
)
def test_F_ACC_04_one_wrong_account_and_nothing_is_traded(tmp_path: Path, account: int, name: str, said: str) -> None:
    with gateway(accounts=2) as server:
        server.plan({"id": "lock", "name": "account.lock", "at": 0, "args": {"account": 1001}})
        until(lambda: server.fired("account.lock"), "the lock")
        good = AccountPlan(1002, NAMES[1002])
        wanted = [plan for plan in (good, AccountPlan(account, name)) if plan.account != account or plan is not good]
        with linked(tmp_path, server, accounts=tuple(wanted)) as link, pytest.raises(ConfigError) as told:
            link.accounts()
        assert "tbot accounts" in str(told.value)
        assert said in str(told.value)


def test_F_ACC_03_an_account_that_the_firm_stopped_does_not_keep_an_executor_from_coming_back(tmp_path: Path) -> None:
    with gateway(accounts=2) as server:
        server.plan({"id": "lock", "name": "account.lock", "at": 0, "args": {"account": 1001}})
        until(lambda: server.fired("account.lock"), "the lock")
        with linked(tmp_path, server, restarted=True, accounts=PINNED) as link:
            assert link.accounts() == PINNED


def test_F_ACC_04_accounts_are_looked_at_again_after_each_login(tmp_path: Path) -> None:
    with gateway(accounts=2) as server, linked(tmp_path, server, accounts=PINNED) as link:
        assert link.accounts() == PINNED
        server.plan({"id": "swap", "name": "account.swap", "at": 0, "args": {"first": 1001, "second": 1002}})
        until(lambda: server.fired("account.swap"), "the swap")
        link.look_after_login()
        assert link.accounts_trouble == ""  # no login since
        link.token_refused(link.token()[0])
        until(lambda: link.token()[0], "a new token")
        until(lambda: link.look_after_login() or link.accounts_trouble, "the trouble")
        assert f"account 1002 is named '{NAMES[1001]}', configured is '{NAMES[1002]}'" in link.accounts_trouble
        assert f"account 1001 is named '{NAMES[1002]}'" in link.accounts_trouble
        link.forgive()  # a person said resume, but nothing is better
        until(lambda: link.accounts_trouble, "the trouble again")


def test_F_ACC_04_an_account_that_is_gone_from_the_list_is_noticed_and_may_come_back(tmp_path: Path) -> None:
    with gateway(accounts=2) as server, linked(tmp_path, server, accounts=PINNED) as link:
        assert link.accounts() == PINNED
        server.plan({"id": "hide", "name": "account.hide", "at": 0, "args": {"account": 1002}})
        until(lambda: server.fired("account.hide"), "the account hidden")
        link.token_refused(link.token()[0])
        until(lambda: link.token()[0], "a new token")
        until(lambda: link.look_after_login() or link.accounts_trouble, "the trouble")
        assert link.accounts_trouble == "account 1002 is not listed by the gateway"
        server.calm()
        link.look_after_login()
        assert link.accounts_trouble  # it stays until a person has looked
        looked = link.rest.counts["requests"]
        link.forgive()
        until(lambda: link.rest.counts["requests"] > looked, "another look")
        assert link.accounts_trouble == ""


def test_F_ACC_04_a_list_asked_for_before_a_person_looked_is_not_held_against_the_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer came after the word, halted the account again, and the person had to say it twice."""
    with gateway(accounts=2) as server, linked(tmp_path, server, accounts=PINNED) as link:
        assert link.accounts() == PINNED
        listed = link.rest.account_search(False)
        assert listed.value is not None
        old = replace(listed, value=[entry for entry in listed.value if entry.account_id != 1002])

        def forgiven_meanwhile(_only_active: bool) -> object:
            link._forgiven += 1
            return old

        monkeypatch.setattr(link.rest, "account_search", forgiven_meanwhile)
        link._look_at_accounts()
        assert link.accounts_trouble == ""
        monkeypatch.setattr(link.rest, "account_search", lambda _only_active: old)
        link._look_at_accounts()
        assert link.accounts_trouble == "account 1002 is not listed by the gateway"


def test_F_ACC_04_a_list_that_cannot_be_read_is_no_proof(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with gateway(accounts=2) as server, linked(tmp_path, server, accounts=PINNED) as link:
        monkeypatch.setattr(link.rest, "account_search", lambda *_: Answer("ambiguous", text="maintenance"))
        with pytest.raises(GatewayError, match="does not list its accounts yet"):
            link.accounts()
        monkeypatch.undo()
        assert link.accounts() == PINNED
        monkeypatch.setattr(link.rest, "account_search", lambda *_: Answer("ambiguous", text="maintenance"))
        link._look_at_accounts()
        assert link.accounts_trouble == ""  # no word is no proof


def test_I17_on_paper_no_client_can_send_an_order_and_pins_are_paper_accounts(tmp_path: Path) -> None:
    with gateway(accounts=2) as server:
        for wanted in ((), PINNED):
            with linked(tmp_path, server, mode="paper", simulated=False, accounts=wanted) as link:
                assert not isinstance(link.rest, OrderClient)
                assert not any(hasattr(link.rest, name) for name in ("order_place", "order_modify", "order_cancel"))
                assert not hasattr(link.rest, "position_close_contract")
                assert link.accounts() == (wanted or (AccountPlan(1, "PAPER"),))
        with linked(tmp_path, server, mode="sim", simulated=False) as link:  # a mode is no permission by itself
            assert not isinstance(link.rest, OrderClient)
