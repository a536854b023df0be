"""What is looked at before orders may go to a gateway that is no simulator of ours, beside the machine itself.

Everything is read only. Each function judges what it is given; `look` asks the gateway.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from tbot.doctor import online
from tbot.doctor.findings import Check, Finding, fail, ok, run_checks, warn
from tbot.doctor.online import CHECK_S, Target
from tbot.domain.timeframes import NS_PER_S
from tbot.domain.trading_hours import SessionCalendar, trading_day, trading_day_start_ns
from tbot.gateway.codec import BrokerAccount, BrokerOrder, BrokerPosition, BrokerTrade
from tbot.risk.firm import FirmRules
from tbot.risk.limits import RiskLimits


@dataclass
class Facts:
    """What the gateway said."""

    listed: list[BrokerAccount] = field(default_factory=list)
    open: dict[int, list[str]] = field(default_factory=dict)  # account -> positions and working orders, in words
    day_cents: dict[int, int] = field(default_factory=dict)  # account -> net of the trading day so far, by its trades
    findings: list[Finding] = field(default_factory=list)


def look(target: Target, tell: Callable[[Finding], None], secrets: Iterable[str] = ()) -> Facts:
    """Ask the gateway: whether it knows us, its clock, accounts, contracts and history, and what is open."""
    facts = Facts()
    checks = [
        Check("gateway", lambda: online.ping(target), CHECK_S),
        Check("login", lambda: online.login(target), CHECK_S),
        Check("token", lambda: online.token_life(target)),
        Check("clock skew", lambda: online.skew(target.rest.skew_ns / NS_PER_S, target.rest.dated)),
        Check("accounts", lambda: online.accounts(target), CHECK_S),
        Check("contracts", lambda: online.contracts(target), CHECK_S),
        Check("history", lambda: online.history(target), CHECK_S),
        Check("auto OCO", lambda: online.auto_oco(target)),
        Check("leftovers", lambda: leftovers(target, facts), len(target.pinned) * CHECK_S),
    ]
    facts.findings = run_checks(checks, tell, secrets)
    facts.listed = target.accounts
    return facts


def leftovers(target: Target, facts: Facts) -> list[Finding]:
    """Positions and working orders of the pinned accounts: they are shown, and the engine manages or respects them."""
    if not target.token:
        return [warn("leftovers", "not looked at: no login", online.LOGIN_FIX)]
    findings = []
    for number, _ in target.pinned:
        positions, orders = target.rest.position_search_open(number), target.rest.order_search_open(number)
        trades = target.rest.trade_search(number, trading_day_start_ns(time.time_ns()))
        if positions.value is None or orders.value is None or trades.value is None:
            return [fail("leftovers", f"account {number} does not tell what is open and done", "try again later")]
        facts.day_cents[number] = net_cents(trades.value)
        held = facts.open[number] = describe(positions.value, orders.value)
        if held:
            fix = "the engine adopts what is its own, leaves the rest alone and takes no entries in those contracts"
            findings.append(warn("leftovers", f"account {number}: {'; '.join(held)}", fix))
    return findings or [ok("leftovers", "no position, no working order")]


def net_cents(trades: list[BrokerTrade]) -> int:
    """Profit and loss less fees and commissions of these fills; voided ones do not count."""
    paid = sum((trade.pnl or Decimal(0)) - trade.fees - trade.commissions for trade in trades if not trade.voided)
    return round(Decimal(paid) * 100)


def describe(positions: list[BrokerPosition], orders: list[BrokerOrder]) -> list[str]:
    """What is open, one text each."""
    held = [f"position {entry.broker_id} {entry.size:+d} @ {entry.average_price}" for entry in positions]
    return held + [
        f"order {entry.order_id} {entry.broker_id} {entry.side * entry.size:+d}"
        f"{f' tag {entry.tag}' if entry.tag else ''}"
        for entry in orders
    ]


def money(
    number: int, balance_cents: int, floor_cents: int | None, rules: FirmRules | None, limits: RiskLimits
) -> Finding:
    """Loss limits of an account against its balance and the firm's loss floor."""
    name = f"limits of {number}"
    limit = f"the day's loss limit is {_usd(limits.daily_loss_cents)}"
    if floor_cents is None:
        return warn(
            name,
            f"balance {_usd(balance_cents)}, {limit}, and the firm's loss floor is not told",
            "write floor_usd as the firm's dashboard shows it; the gateway does not tell it",
        )
    room = balance_cents - floor_cents
    text = f"balance {_usd(balance_cents)}, {_usd(room)} above the loss floor of {_usd(floor_cents)}; {limit}"
    if room <= 0:
        return fail(name, text, "the account is at or below its floor: correct floor_usd, or take the account out")
    ban = (rules or FirmRules()).ban_above_floor_cents
    if room <= ban:
        return fail(name, text, f"within {_usd(ban)} of the floor there are no entries: nothing could be traded")
    if limits.daily_loss_cents > room - ban:
        return warn(name, text, "entries end before that limit, because the floor is nearer")
    return ok(name, text)


def today(calendar: SessionCalendar, now_ns: int, symbols: tuple[str, ...]) -> Finding:
    """The table must cover today; whether there is trading today is another matter."""
    day = trading_day(now_ns)
    if not calendar.covers(day.year):
        fix = "update T-BOT, or add the year to the table"
        return fail("window", f"the session table does not cover {day.year}", fix)
    closed = [symbol for symbol in symbols if calendar.window(day, symbol) is None]
    if closed:
        text = f"no trading on {day} in {', '.join(closed)}"
        return warn("window", text, "nothing: the engine waits for the next window")
    late = [symbol for symbol in symbols if not calendar.entries_allowed(now_ns, symbol)]
    if late:
        text = f"no entries now in {', '.join(late)}: {calendar.entry_refusal(now_ns, late[0])}"
        return warn("window", text, "nothing: the engine waits for the next window")
    return ok("window", f"the session table covers {day.year}, and the window is open")


def _usd(cents: int) -> str:
    return f"{'−' if cents < 0 else ''}${abs(cents) / 100:,.2f}"
