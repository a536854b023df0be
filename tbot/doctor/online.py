"""Checks of the gateway: does it answer, does it know us, are accounts and contracts what the engine expects.

Everything is read only. A check that needs what an earlier one did not get says so and costs no time. With a gateway
that accepts connections and never answers, all of them together take about half a minute.
"""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tbot.doctor import hubs
from tbot.doctor.findings import Check, Finding, fail, ok, warn
from tbot.domain.contracts import PRODUCTS
from tbot.domain.trading_hours import SessionCalendar
from tbot.gateway.codec import (
    BrokerAccount,
    BrokerContract,
    ClockReading,
    market_subscriptions,
    resolve,
    user_subscriptions,
)
from tbot.gateway.net import NS_PER_S
from tbot.gateway.openapi import document
from tbot.gateway.openapi_compare import Difference, compare, read
from tbot.gateway.pinned import trouble_of
from tbot.gateway.redact import plain
from tbot.gateway.rest import RestClient
from tbot.gateway.tokens import expiry_ns
from tbot.storage.sessions import load_sessions

CALL_S = 5.0  # total deadline of one REST call
CHECK_S = 3 * CALL_S  # a login may be on the way
SHOWN = 12  # differences listed one by one
SKEW_WARN_S, SKEW_FAIL_S = 2.0, 10.0  # C_SKEW_MAX
LEAST_LIFE_S = 3600.0
FRESH_S = 180.0
LOOK_BACK_NS = 4 * 24 * 3600 * NS_PER_S  # over a long weekend
LOGIN_FIX = "see the login check"
OCO_FIX = (
    "look by hand: TopstepX, Settings, Risk Settings: Auto OCO Brackets must be chosen, not Position Brackets; "
    "else every entry with a bracket is refused"
)


@dataclass
class Target:
    """Which gateway, and what a run would use of it."""

    rest: RestClient
    user_hub: str
    market_hub: str
    symbols: tuple[str, ...]
    pinned: tuple[tuple[int, str], ...] = ()  # (id, name) of the accounts in the settings
    engine_running: bool = False
    legs: tuple[str, ...] = ()  # futures that the dollar index of a run needs; (): it makes none
    accounts: list[BrokerAccount] = field(default_factory=list)
    contracts: dict[str, str] = field(default_factory=dict)  # symbol -> gateway id
    sim: ClockReading | None = None

    @property
    def token(self) -> str:
        token = self.rest.tokens.current()
        return "" if token is None else token.text


def choose(accounts: list[BrokerAccount], pinned: tuple[tuple[int, str], ...]) -> list[BrokerAccount]:
    """The accounts a run would take: all that are pinned, else the first; each simulated and able to trade.

    None at all when something stands against one of the pinned ones: a run would refuse then.
    """
    wanted = pinned or tuple((account.account_id, "") for account in accounts)
    usable = [number for number, name in wanted if not trouble_of(accounts, number, name)]
    if pinned and len(usable) < len(pinned):
        return []
    return [account for account in accounts if account.account_id in (usable if pinned else usable[:1])]


def checks(target: Target) -> list[Check]:
    """All checks of a gateway, in the order in which they build on each other."""
    return [
        Check("gateway", lambda: ping(target), CHECK_S),
        Check("login", lambda: login(target), CHECK_S),
        Check("token", lambda: token_life(target)),
        Check("clock skew", lambda: skew(target.rest.skew_ns / NS_PER_S, target.rest.dated)),
        Check("accounts", lambda: accounts(target), CHECK_S),
        Check("contracts", lambda: contracts(target), CHECK_S),
        Check("history", lambda: history(target), CHECK_S),
        Check("market hub", lambda: market_hub(target), hubs.LIMIT_S),
        Check("user hub", lambda: user_hub(target), hubs.LIMIT_S),
        Check("auto OCO", lambda: auto_oco(target)),
        Check("interface", lambda: interface(target), CHECK_S),
    ]


def ping(target: Target) -> Finding:
    """Whether anything answers, and whether it is a simulator of ours."""
    address = target.rest.base_url
    answer = target.rest.ping()
    reading = target.rest.sim_clock() if answer.ok else None
    if reading is not None and reading.ok:
        target.sim = reading.value
    if not answer.ok:
        why = answer.text or answer.outcome
        return fail(
            "gateway", f"{address} does not answer ({why})", "check the address, the network, and its status page"
        )
    return ok("gateway", f"{address} answers{' (a simulator of ours)' if target.sim else ''}")


def login(target: Target) -> Finding:
    """Whether the credentials are taken."""
    answer = target.rest.login_key()
    if answer.ok:
        return ok("login", "the gateway knows the user name and the key")
    if target.rest.tokens.refused:
        advice = {
            "InvalidCredentials": "use the platform's login name (not the e-mail) and a key that is active",
            "AgreementsNotSigned": "sign the agreements on the platform first",
            "ApiSubscriptionNotFound": "subscribe to the API and link it: TopstepX, Settings, API",
            "ApiKeyAuthenticationDisabled": "the firm has turned off logins by key: ask its support",
        }.get(answer.text.partition(" ")[0], "check user name and key")
        return fail("login", f"refused: {answer.text}", advice)
    return fail("login", f"no usable answer to the login ({answer.text})", "try again later; see the gateway check")


def token_life(target: Target) -> Finding:
    """How long the token lasts, by its own word."""
    if not target.token:
        return warn("token", "not looked at: no login", LOGIN_FIX)
    expires = expiry_ns(target.token)
    if expires is None:
        return warn("token", "its expiry cannot be read", "the engine takes one hour and renews early; report this")
    left_s = (expires - time.time_ns()) / NS_PER_S
    if left_s <= 0:
        return fail("token", "it is expired already by this clock", "set the clock; see the clock skew check")
    if left_s < LEAST_LIFE_S:
        return warn("token", f"it lasts {left_s / 60:.0f} minutes only", "the engine renews it at 80 %; nothing to do")
    return ok("token", f"lasts {left_s / 3600:.1f} hours")


def skew(skew_s: float, measured: bool) -> Finding:
    """Our wall clock against the gateway's Date header. Its seconds are cut off, so half of one is taken away."""
    if not measured:
        return warn("clock skew", "not measured: the gateway sent no date", "see the gateway check")
    skew_s -= 0.5
    text = f"{skew_s:+.1f} s against the gateway (±1 s)"
    if abs(skew_s) > SKEW_FAIL_S:
        return fail("clock skew", text, "set the clock: the engine pauses beyond 10 s")
    if abs(skew_s) > SKEW_WARN_S + 1:
        return warn("clock skew", text, "turn time synchronisation on")
    return ok("clock skew", text)


def accounts(target: Target) -> Finding:
    """Accounts that can be seen, and those a run would trade."""
    if not target.token:
        return warn("accounts", "not looked at: no login", LOGIN_FIX)
    answer = target.rest.account_search(False)
    if not answer.ok or answer.value is None:
        return fail("accounts", f"no list of accounts ({answer.text or answer.outcome})", "try again later")
    target.accounts = answer.value
    count = f"{len(answer.value)} visible"
    troubles = [text for number, name in target.pinned if (text := trouble_of(answer.value, number, name))]
    if troubles:
        return fail("accounts", f"{count}, but {'; '.join(troubles)}", "correct [[accounts]]; see tbot accounts")
    chosen = choose(answer.value, target.pinned)
    if not chosen:
        why = "none of them is simulated and may trade"
        return fail("accounts", f"{count}, {why}", "look at the account on the platform: locked, or not eligible?")
    names = ", ".join(f"{account.account_id} ({plain(account.name, 40)})" for account in chosen)
    return ok("accounts", f"{count}; a run takes {names}, simulated, may trade")


def contracts(target: Target) -> list[Finding]:
    """Every contract of the configuration: one active month, with the tick our arithmetic rests on."""
    if not target.token:
        return [warn("contracts", "not looked at: no login", LOGIN_FIX)]
    answer = target.rest.contract_available()
    if not answer.ok or answer.value is None:
        return [fail("contracts", f"no list of contracts ({answer.text or answer.outcome})", "try again later")]
    listed: list[BrokerContract] = answer.value
    target.contracts, missing = resolve(listed, target.symbols)
    findings = [
        fail("contracts", f"{symbol}: {why}", "leave it out with --contracts until this is cleared up")
        for symbol, why in missing.items()
    ]
    if target.contracts:
        found = ", ".join(
            f"{symbol} {broker_id.rpartition('.')[2]} ({PRODUCTS[symbol].tick_size} = "
            f"{PRODUCTS[symbol].tick_value_cents / 100:g} USD)"
            for symbol, broker_id in target.contracts.items()
        )
        findings.append(ok("contracts", f"{len(listed)} listed; {found}"))
    return findings + dollar_legs(listed, target.legs)


def dollar_legs(listed: list[BrokerContract], legs: tuple[str, ...]) -> list[Finding]:
    """The futures of the dollar index, where a run makes one: without one of them there is no index."""
    found, missing = resolve(listed, legs)
    if missing:
        told = "; ".join(f"{symbol}: {why}" for symbol, why in missing.items())
        return [warn("dollar index", told, "without them there is no index; [dxy] stale acts")]
    months = ", ".join(f"{symbol} {broker_id.rpartition('.')[2]}" for symbol, broker_id in found.items())
    return [ok("dollar index", months)] if found else []


def history(target: Target) -> Finding:
    """Whether the newest 1m bar is of now, while the market is open."""
    if not target.contracts:
        return warn("history", "not looked at: no contract", "see the contracts check")
    symbol, broker_id = next(iter(target.contracts.items()))
    now_ns = time.time_ns() if target.sim is None else target.sim.market_ns
    answer = target.rest.retrieve_bars(
        broker_id, now_ns - LOOK_BACK_NS, now_ns + 24 * 3600 * NS_PER_S, limit=5, partial=True
    )
    if not answer.ok or answer.value is None:
        return fail("history", f"no bars of {symbol} ({answer.text or answer.outcome})", "try again later")
    if not answer.value:
        return fail("history", f"no bars of {symbol} in four days", "the engine cannot warm up; try again later")
    if target.sim is not None:
        return ok("history", f"{symbol} up to {_time(answer.value[-1].start_ns)} of the simulated market")
    return judge_history(symbol, answer.value[-1].start_ns, now_ns)


def judge_history(symbol: str, newest_ns: int, now_ns: int) -> Finding:
    """The start of the newest bar against a wall clock."""
    text = f"newest 1m bar of {symbol} began {_time(newest_ns)}"
    calendar = SessionCalendar(load_sessions(), template_ok=True)
    if (now_ns - newest_ns) / NS_PER_S <= FRESH_S:
        return ok("history", text)
    if not calendar.is_open(now_ns, symbol) or not calendar.is_open(now_ns - int(FRESH_S) * NS_PER_S, symbol):
        return ok("history", f"{text}; the market is closed")
    return warn("history", f"{text} though the market is open", "the data is late: wait, and look at the status page")


def market_hub(target: Target) -> Finding:
    """Connect, subscribe one contract, see a first record."""
    obstacle = _hub_obstacle("market hub", target)
    if obstacle is not None:
        return obstacle
    if not target.contracts:
        return warn("market hub", "not looked at: no contract", "see the contracts check")
    if target.sim is not None and not target.sim.started:
        return warn("market hub", "not looked at: a subscription would start the tape", "nothing to do")
    symbol, broker_id = next(iter(target.contracts.items()))
    seen = hubs.look(target.market_hub, target.token, market_subscriptions([broker_id]))
    quiet = warn(
        "market hub",
        f"connected and subscribed to {symbol}, nothing came within {hubs.RECORD_S:g} s",
        "normal while the market is closed; else wait and run again",
    )
    return _judge_hub("market hub", seen, f"connected, subscribed to {symbol}, first record {seen.first}", quiet)


def user_hub(target: Target) -> Finding:
    """Connect and subscribe the accounts a run would take. Silence is normal while flat."""
    obstacle = _hub_obstacle("user hub", target)
    if obstacle is not None:
        return obstacle
    chosen = choose(target.accounts, target.pinned)
    if not chosen:
        return warn("user hub", "not looked at: no account", "see the accounts check")
    wanted = user_subscriptions([account.account_id for account in chosen])
    seen = hubs.look(target.user_hub, target.token, wanted, hubs.QUIET_S)
    quiet = ok("user hub", "connected and subscribed; nothing came, which is normal while flat")
    return _judge_hub("user hub", seen, f"connected and subscribed, first record {seen.first}", quiet)


def _hub_obstacle(name: str, target: Target) -> Finding | None:
    if target.engine_running:
        # a second connection of the same user may throw out the first one
        return warn(name, "not looked at: an engine runs and must not lose its own", "see tbot status")
    return None if target.token else warn(name, "not looked at: no login", LOGIN_FIX)


def _judge_hub(name: str, seen: hubs.HubLook, good: str, quiet: Finding) -> Finding:
    if seen.logged_out:
        return warn(
            name, "the gateway ended the session", "close other programs and the platform's page, then run again"
        )
    if not seen.connected:
        return fail(
            name, f"no connection ({seen.reason})", "check the hub address and whether the network lets sockets pass"
        )
    return ok(name, good) if seen.first else quiet


def auto_oco(target: Target) -> Finding:
    """The one setting that decides whether brackets work, and that no call can read."""
    if target.sim is not None:
        return ok("auto OCO", "a simulator of ours takes brackets unless it was told otherwise")
    return warn("auto OCO", "the bracket setting of the account cannot be read", OCO_FIX)


def interface(target: Target) -> list[Finding]:
    """What the gateway publishes about itself against what we know."""
    answer = target.rest.openapi()
    if not answer.ok or answer.value is None:
        why = answer.text or answer.outcome
        return [warn("interface", f"the gateway's description cannot be read ({why})", "nothing to compare: go on")]
    try:
        published = read(answer.value)
    except ValueError as error:
        return [warn("interface", str(error), "nothing to compare: go on")]
    return judge_interface(compare(published, document()))


def judge_interface(differences: list[Difference]) -> list[Finding]:
    """Each difference as a line, those that may hurt first."""
    if not differences:
        return [ok("interface", "the published description says what we know")]
    ordered = sorted(differences, key=lambda item: not item.breaking)
    findings = [
        warn("interface", str(item), "look for an update of T-BOT before you trade")
        if item.breaking
        else ok("interface", f"{item} (harmless)")
        for item in ordered[:SHOWN]
    ]
    if len(ordered) > SHOWN:
        rest = ordered[SHOWN:]
        text = f"{len(rest)} more differences, {sum(item.breaking for item in rest)} of them may hurt"
        findings.append(warn("interface", text, "look for an update of T-BOT before you trade"))
    return findings


def _time(ns: int) -> str:
    return f"{datetime.fromtimestamp(ns // NS_PER_S, UTC):%Y-%m-%d %H:%M} UTC"
