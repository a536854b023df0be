"""Checks of the gateway: against the simulator over real sockets, against servers that misbehave, and judged alone."""

import asyncio
import base64
import json
import time
from dataclasses import replace

import pytest

from gateway_records import ACCOUNT, CONTRACT
from hub_peer import HubPeer
from patient_checks import LONG_S, be_patient
from rest_calls import API_KEY, USER, HurriedClient, jwt
from rude_http import RudeServer, answer, drip, hang, ok, raw
from sim_rig import KEY, OWNER, running, steady_market
from tbot.doctor import hubs, online
from tbot.doctor.findings import Finding, run_checks
from tbot.doctor.online import Target, choose
from tbot.gateway import codec_rest as bodies
from tbot.gateway import codec_tables as tables
from tbot.gateway.codec import market_subscriptions
from tbot.gateway.hub import HubTimings
from tbot.gateway.openapi import document
from tbot.gateway.openapi_compare import Difference, compare
from tbot.gateway.redact import Credentials
from tbot.gateway.rest import RestClient

ID = "CON.F.US.MNQ.Z26"
NAMES = [
    "gateway", "login", "token", "clock skew", "accounts", "contracts", "history", "market hub", "user hub",
    "auto OCO", "interface",
]  # fmt: skip


def findings(target: Target) -> dict[str, Finding]:
    found = run_checks(online.checks(target), lambda finding: None, (USER, API_KEY, KEY))
    assert [name for name in NAMES if name in {item.name for item in found}] == NAMES
    by_name: dict[str, Finding] = {}
    for item in found:
        assert "check itself" not in item.text, item
        by_name.setdefault(item.name, item)
    return by_name


def levels(found: dict[str, Finding]) -> dict[str, str]:
    return {name: item.level for name, item in found.items()}


def sim_target(server, key: str = KEY, **more) -> Target:
    rest = RestClient(server.rest, Credentials(OWNER, key), total_s=LONG_S)
    return Target(rest, f"{server.rest}/hubs/user", f"{server.rest}/hubs/market", ("MNQ",), **more)


# ---------------------------------------------------------------------------------------------------- the simulator
@pytest.fixture
def patient(monkeypatch):
    be_patient(monkeypatch)


def test_all_is_well_with_the_simulator(patient):
    with running() as server:
        found = findings(sim_target(server))
    late = found.pop("clock skew")  # on a busy machine the server's Date header lags
    assert set(levels(found).values()) == {"ok"}, found
    assert "against the gateway" in late.text
    assert "a simulator of ours" in found["gateway"].text
    assert "24.0 hours" in found["token"].text
    assert "1001" in found["accounts"].text
    assert "MNQ Z26 (0.25 = 0.5 USD)" in found["contracts"].text
    assert "GatewayQuote" in found["market hub"].text or "GatewayTrade" in found["market hub"].text
    assert "says what we know" in found["interface"].text


def test_a_wrong_key_fails_once_and_costs_one_login(patient):
    with running() as server:
        target = sim_target(server, key="wrong")
        found = findings(target)
        assert target.rest.tokens.logins == 1
    assert found["login"].level == "fail"
    assert "InvalidCredentials" in found["login"].text
    assert "not the e-mail" in found["login"].fix
    for name in ("token", "accounts", "contracts", "history", "market hub", "user hub"):
        assert found[name].level == "warn"
        assert "not looked at" in found[name].text
    assert found["interface"].level == "ok"  # needs no login


def test_pinned_accounts_and_unknown_contracts(patient):
    with running(accounts=2) as server:
        target = sim_target(server, pinned=((1002, "50KTC-V2-000001-00000002"),))
        target.symbols = ("MNQ", "ES")
        found = findings(target)
        assert "1002" in found["accounts"].text
        assert found["contracts"].level == "fail"
        assert "ES: 0 active months" in found["contracts"].text
        assert found["market hub"].level == "ok"  # MNQ is there
        pins = ((1001, "another"), (1002, "50KTC-V2-000001-00000002"), (5, "x"))
        wrong = findings(sim_target(server, pinned=pins))["accounts"]
        assert wrong.level == "fail"
        assert "account 1001 is named '50KTC-V2-000001-00000001', configured is 'another'" in wrong.text
        assert "account 5 is not listed" in wrong.text


def test_a_running_engine_keeps_its_hubs(patient):
    with running() as server:
        found = findings(sim_target(server, engine_running=True))
    for name in ("market hub", "user hub"):
        assert (found[name].level, "engine runs" in found[name].text) == ("warn", True)
    assert found["history"].level == "ok"


def test_a_tape_that_waits_is_not_started(patient):
    with running(steady_market(start_ns=1_795_186_800_000_000_000), hold=True) as server:
        found = findings(sim_target(server))
        assert not server.server.clock.started
    assert "would start the tape" in found["market hub"].text


# ------------------------------------------------------------------------------------------------- dead and hostile
def hurry(monkeypatch):
    monkeypatch.setattr(hubs, "CONNECT_S", 1.0)
    monkeypatch.setattr(hubs, "_TIMINGS", HubTimings(open_s=0.5, handshake_s=0.5, invoke_s=0.5, close_s=0.1))


@pytest.fixture
def quick(monkeypatch):
    hurry(monkeypatch)


def with_time_to_log_in(login):
    """The check of the login by a gateway that answers: how fast it does so is not what is tested."""

    def patient(target: Target):
        rest = target.rest
        kept, rest._total_s = rest._total_s, LONG_S
        try:
            return login(target)
        finally:
            rest._total_s = kept

    return patient


def rude_target(server: RudeServer, total_s: float = 0.3) -> Target:
    rest = HurriedClient(server.url, total_s=total_s)
    return Target(rest, f"{server.url}/hubs/user", f"{server.url}/hubs/market", ("MNQ",))


def test_nobody_is_there(quick):
    dead = RudeServer()
    dead.close()
    found = levels(findings(rude_target(dead)))
    assert found.pop("gateway") == found.pop("login") == "fail"
    assert set(found.values()) == {"warn"}


@pytest.mark.parametrize(
    "behaviour",
    [hang, drip(b"HTTP/1.1 200 OK\r\nX: "), raw(b""), answer(200, b"<html>maintenance"), answer(500), answer(302),
     answer(200, b"[" * 200_000), answer(429, Retry_After="3600"), answer(401)],
    ids=["hang", "drip", "reset", "html", "500", "redirect", "deep", "429", "401"],
)  # fmt: skip
@pytest.mark.parametrize("logged_in", [True, False])
def test_F_API_05_a_hostile_gateway_costs_time_within_bounds(quick, monkeypatch, behaviour, logged_in):
    paths = [call.path for call in tables.CALLS]
    paths += [tables.PING_PATH, tables.CLOCK_PATH, tables.OPENAPI_PATH, tables.USER_HUB_PATH, tables.MARKET_HUB_PATH]
    server = RudeServer({path: [behaviour] for path in paths})
    try:
        if logged_in:
            server.script[tables.LOGIN_KEY.path] = [ok(bodies.encode_answer(tables.LOGIN_KEY, jwt()))]
            monkeypatch.setattr(online, "login", with_time_to_log_in(online.login))
        target = rude_target(server)
        found = findings(target)
        assert found["gateway"].level == "fail"
        assert found["login"].level == ("ok" if logged_in else "fail")
        assert found["accounts"].level == ("fail" if logged_in else "warn")
        assert sum(path == tables.LOGIN_KEY.path for path in server.paths()) <= 6
        for item in found.values():
            assert API_KEY not in item.text + item.fix
            assert "eyJ" not in item.text + item.fix
    finally:
        server.close()


def test_hubs_that_hang_or_refuse(monkeypatch):
    server = RudeServer({})
    try:
        for behaviour, words in ((hang, ""), (answer(404), "404"), (answer(401), "401"), (raw(b"\0"), "")):
            (hurry if behaviour is hang else be_patient)(monkeypatch)
            server.script = {f"/hubs/market?access_token={jwt()}": [behaviour]}
            seen = hubs.look(f"{server.url}/hubs/market", jwt(), market_subscriptions([ID]))
            assert not seen.connected
            assert seen.reason
            assert words in seen.reason
            assert "eyJ" not in seen.reason
    finally:
        server.close()


def test_a_hub_that_says_nothing_and_one_that_logs_us_out(patient):
    async def scenario() -> None:
        async with asyncio.timeout(200), HubPeer() as peer:
            for record in (b"", b'{"type":1,"target":"GatewayLogout","arguments":[]}\x1e'):
                record_s = LONG_S if record else 0.2
                task = asyncio.create_task(hubs.watch(peer.url, "token", market_subscriptions([ID]), record_s))
                link = await peer.link()
                await link.open(2)
                if record:
                    await link.send(record)
                seen = await task
                assert seen.connected
                assert seen.logged_out == bool(record)

    asyncio.run(scenario())


def test_a_hub_that_refuses_the_subscription(patient):
    async def scenario() -> None:
        async with asyncio.timeout(200), HubPeer() as peer:
            task = asyncio.create_task(hubs.watch(peer.url, "token", market_subscriptions([ID]), 0.2))
            link = await peer.link()
            await link.handshake()
            await link.subscriptions(1, error="not entitled")
            seen = await task
            assert not seen.connected
            assert "not entitled" in seen.reason

    asyncio.run(scenario())


# ------------------------------------------------------------------------------------------------------- judgements
def test_the_choice_of_the_account_is_that_of_a_run():
    live = replace(ACCOUNT, account_id=1, simulated=False)
    locked = replace(ACCOUNT, account_id=2, can_trade=False)
    first, second = replace(ACCOUNT, account_id=3), replace(ACCOUNT, account_id=4)
    assert choose([live, locked, first, second], ()) == [first]
    assert choose([live, locked, first, second], ((4, ACCOUNT.name),)) == [second]
    assert choose([first, second], ((4, ACCOUNT.name), (3, ACCOUNT.name))) == [first, second]
    assert choose([live, locked], ()) == []
    for number, name in ((4, ACCOUNT.name), (1, ACCOUNT.name), (2, ACCOUNT.name), (3, "another")):
        assert choose([live, locked, first], ((3, ACCOUNT.name), (number, name))) == []


def test_skew():
    assert online.skew(0.0, False).level == "warn"
    levels_at = {0.5: "ok", 3.4: "ok", -2.4: "ok", 4.0: "warn", -3.0: "warn", 11.0: "fail", -10.0: "fail"}
    for seconds, level in levels_at.items():
        assert online.skew(seconds, True).level == level, seconds


def test_history_that_is_late():
    ns = 1_000_000_000
    friday, saturday = 1_795_188_302 * ns, 1_795_273_202 * ns  # 2026-11-20 15:25 UTC, a day later
    assert online.judge_history("MNQ", friday - 60 * ns, friday).level == "ok"
    assert online.judge_history("MNQ", friday - 600 * ns, friday).level == "warn"
    closed = online.judge_history("MNQ", friday, saturday)
    assert (closed.level, "market is closed" in closed.text) == ("ok", True)


def test_token_life():
    rest = HurriedClient("http://127.0.0.1:1")
    target = Target(rest, "", "", ())
    assert online.token_life(target).level == "warn"  # no login
    for text, level in (("opaque", "warn"), (-60, "fail"), (600, "warn"), (86_400, "ok")):
        token = text
        if isinstance(text, int):
            claims = json.dumps({"exp": int(time.time()) + text}).encode()
            token = f"eyJhbGciOiJIUzI1NiJ9.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.s"
        current = rest.tokens.current()
        rest.tokens.adopt(str(token), 1 if current is None else current.revision + 1)
        assert online.token_life(target).level == level, text


def test_ticks_that_are_not_ours_and_no_accounts():
    other = replace(CONTRACT, tick_value=CONTRACT.tick_value * 2)
    for payload, expected in (([CONTRACT], "ok"), ([other], "fail"), ([], "fail"), ([CONTRACT, CONTRACT], "fail")):
        script = {
            tables.CONTRACT_AVAILABLE.path: [ok(bodies.encode_answer(tables.CONTRACT_AVAILABLE, payload))],
            tables.ACCOUNT_SEARCH.path: [ok(bodies.encode_answer(tables.ACCOUNT_SEARCH, []))],
        }
        server = RudeServer(script)
        try:
            target = rude_target(server, total_s=5.0)
            target.rest.tokens.adopt(jwt(), 1)
            assert online.contracts(target)[0].level == expected
            assert online.accounts(target).level == "fail"
        finally:
            server.close()


def test_differences_of_the_interface_are_listed():
    assert online.judge_interface([])[0].level == "ok"
    theirs = document()
    theirs["definitions"]["OrderModel"]["properties"]["fresh"] = {"type": "string"}
    del theirs["paths"]["/api/Order/place"]
    found = online.judge_interface(compare(theirs, document()))
    assert (found[0].level, "Order/place" in found[0].text) == ("warn", True)
    assert (found[1].level, "OrderModel.fresh" in found[1].text) == ("ok", True)
    many = [Difference("member added", f"X.m{n}", "", False) for n in range(100)]
    listed = online.judge_interface(many)
    assert len(listed) == online.SHOWN + 1
    assert "88 more" in listed[-1].text
