"""The way into live trading: every condition is looked at, told and confirmed; a missing one ends with exit code 8.

The conditions (design ruling 5): a gateway that is no simulator of ours; accounts pinned by id and name, each listed by
the gateway under that name, simulated, able to trade; a green pre-flight; the name of every account typed by a person
(without a terminal: `--confirm-live ID` for every account). Nothing here falls back to another mode.
"""

import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import click
import orjson

from tbot.commands.launch import announced_caps
from tbot.config import Config, home, require_login
from tbot.doctor import machine, preflight
from tbot.doctor.findings import Finding, fail, line, ok, run_checks
from tbot.doctor.online import CALL_S, Target
from tbot.doctor.versions import outside
from tbot.domain.contracts import PRODUCTS
from tbot.domain.trading_hours import SessionCalendar
from tbot.domain.words import plural
from tbot.engine.settings import AccountPlan, GatewaySettings
from tbot.engine.state_dir import AccountLocks
from tbot.errors import Halted, TbotError
from tbot.gateway.redact import Credentials, plain
from tbot.gateway.rest import RestClient, probe_simulator
from tbot.risk.limits import RiskLimits
from tbot.storage.sessions import effective_sessions, own_sessions
from tbot.streams import is_terminal
from tbot.transport.shm import run_directory

COUNTDOWN_S = 5
ZONES = (("Chicago", "America/Chicago"), ("Helsinki", "Europe/Helsinki"), ("UTC", "UTC"))


class LiveNotConfirmed(TbotError):
    """`--live` without everything that live needs."""

    exit_code = 8


@dataclass(frozen=True)
class Person:
    """Who is asked. A test brings its own; the program has `here`."""

    terminal: bool  # somebody can type
    say: Callable[[str], None]
    ask: Callable[[str], str]
    wait: Callable[[float], None]  # seconds


def here() -> Person:
    """The person at this terminal, if it is one. Everything goes to stderr: stdout is for results."""

    def ask(text: str) -> str:
        answer: str = click.prompt(text, prompt_suffix=" ", default="", show_default=False, err=True)
        return answer

    terminal = is_terminal(sys.stdin) and is_terminal(sys.stderr)
    return Person(terminal, lambda text: click.echo(text, err=True), ask, time.sleep)


@dataclass(frozen=True)
class Wish:
    """What `tbot run --live` was told."""

    config: Config
    plans: tuple[AccountPlan, ...]
    gateway: GatewaySettings | None  # None: none is named
    confirmed: tuple[int, ...]  # by --confirm-live
    credentials_file: Path | None = None


@dataclass(frozen=True)
class Admission:
    """All conditions hold."""

    credentials: tuple[str, str]
    confirmed: tuple[int, ...]
    warnings: tuple[str, ...]


def admit(wish: Wish, person: Person) -> Admission:
    """Through all conditions, in the order of what they cost; LiveNotConfirmed names the first that does not hold."""
    gateway = wish.gateway
    if gateway is None:
        raise LiveNotConfirmed(
            "live needs a gateway, and the embedded one is a simulator: name yours with --gateway or [gateway] rest"
        )
    if not wish.plans or not all(plan.name for plan in wish.plans):
        raise LiveNotConfirmed(
            "live needs accounts pinned by id and name: write a table [[accounts]] for each; tbot accounts lists them"
        )
    check_confirmation(wish, person)
    credentials = require_login(wish.config, wish.credentials_file).pair
    if probe_simulator(gateway.rest_url):
        raise LiveNotConfirmed(
            f"{gateway.rest_url} is a simulator of ours: leave --live out, orders go to it without"
        )
    person.say("looking at this machine and at the gateway ...")
    facts = look(wish, gateway, credentials)
    warnings = tuple(outside())
    for text in card(wish, gateway, facts, warnings, time.time_ns()):
        person.say(text)
    failures = [finding for finding in facts.findings if finding.level == "fail"]
    if failures:
        first = failures[0]
        more = f" (and {len(failures) - 1} more above)" if len(failures) > 1 else ""
        raise LiveNotConfirmed(f"the pre-flight is not green: {first.name}: {first.text}{more}; {first.fix}")
    if person.terminal:
        type_names(wish, person)
    for left in range(COUNTDOWN_S, 0, -1):
        person.say(f"LIVE in {left} s; Ctrl-C stops it")
        person.wait(1.0)
    return Admission(credentials, tuple(plan.account for plan in wish.plans), warnings)


def check_confirmation(wish: Wish, person: Person) -> None:
    """Without a terminal every pinned account, and no other, must have been named on the command line."""
    pinned, named = {plan.account for plan in wish.plans}, set(wish.confirmed)
    strangers = sorted(named - pinned)
    if strangers:
        raise LiveNotConfirmed(f"--confirm-live {strangers[0]} is not among the pinned accounts; correct [[accounts]]")
    missing = sorted(pinned - named)
    if missing and not person.terminal:
        raise LiveNotConfirmed(
            f"nobody can type the account's name here: give --confirm-live {' --confirm-live '.join(map(str, missing))}"
        )


def type_names(wish: Wish, person: Person) -> None:
    """The name of every account, as the gateway and the settings have it."""
    for plan in wish.plans:
        typed = person.ask(f"Type the name of account {plan.account} to trade it live:")
        if typed.strip() != plan.name:
            raise LiveNotConfirmed(
                f"what was typed is not the name of account {plan.account}: nothing was started; run it again and type "
                "the name as it stands above"
            )


def look(wish: Wish, gateway: GatewaySettings, credentials: tuple[str, str]) -> preflight.Facts:
    """The pre-flight: this machine, the gateway, then what follows from both. Findings are shown on the card."""
    config = wish.config
    symbols = config.engine.contracts
    pinned = tuple((plan.account, plan.name) for plan in wish.plans)
    client = RestClient(gateway.rest_url, Credentials(*credentials), total_s=CALL_S)
    try:
        target = Target(client, gateway.user_hub, gateway.market_hub, symbols, pinned)
        facts = preflight.look(target, lambda _: None, credentials)
    finally:
        client.close()
    own_rows = own_sessions(home(), config.engine.sessions)
    local = run_checks(machine.checks(home(), _shared_bytes(len(symbols)), own_rows), lambda _: None)
    calendar = SessionCalendar(effective_sessions(own_rows))
    balances = {account.account_id: account.balance_cents for account in facts.listed}
    judged = [preflight.today(calendar, time.time_ns(), symbols), second_engine(wish.plans)]
    judged += [
        preflight.money(
            plan.account, balances[plan.account], plan.floor_cents, plan.rules, plan.limits or config.risk
        )
        for plan in wish.plans
        if plan.account in balances
    ]
    facts.findings = [*facts.findings, *judged, *local]
    return facts


def _shared_bytes(contracts: int) -> int:
    from tbot.engine.settings import HISTORY_CAPACITY, RING_CAPACITY
    from tbot_ext.records import BAR_DTYPE
    from tbot_ext.ring import ring_bytes

    return contracts * (ring_bytes(RING_CAPACITY) + HISTORY_CAPACITY * BAR_DTYPE.itemsize)


def second_engine(plans: tuple[AccountPlan, ...]) -> Finding:
    """Whether another engine of this user trades one of the accounts; the executor takes the locks later, for good."""
    home().mkdir(parents=True, exist_ok=True, mode=0o700)
    place = run_directory(None)
    locks = AccountLocks(home() / "locks", place.parent, "")
    try:
        locks.take(plan.account for plan in plans)
    except Halted as error:
        return fail("other engine", str(error).partition(";")[0], "stop it first: tbot status shows where it runs")
    finally:
        locks.release()
        shutil.rmtree(place, ignore_errors=True)
    return ok("other engine", "none trades these accounts")


# ----------------------------------------------------------------------------------------------------------- the card
def card(
    wish: Wish, gateway: GatewaySettings, facts: preflight.Facts, warnings: tuple[str, ...], now_ns: int
) -> list[str]:
    """What is about to happen, line by line."""
    config = wish.config
    text = ["", f"LIVE   orders go to {gateway.rest_url}", ""]
    for plan in wish.plans:
        text += _account_lines(plan, config, facts)
    text += _window_lines(config, now_ns)
    for cap in announced_caps(config):
        what = "CPI release" if cap.cpi else f"{cap.product} {cap.most}"
        when = f"{_moment(cap.from_ns, 'UTC')} to {_moment(cap.to_ns, 'UTC')} UTC"
        text.append(f"cap        {what}, {when}: {plain(cap.source, 80)}")
    text.append(f"settings   hash {config.digest()}; state in {home() / 'live'}")
    text.append(f"           on exit: {config.engine.on_exit}; {_paper_result(config.digest())}")
    text.append(f"versions   {'not as tested: ' + '; '.join(warnings) if warnings else 'of all packages as tested'}")
    noted = [finding for finding in facts.findings if finding.level != "ok" and finding.name != "versions"]
    text.append(f"checks     {len(facts.findings) - len(noted)} ok, {len(noted)} to look at")
    text += [f"  {line(finding)}" for finding in noted]
    return [*text, ""]


def _account_lines(plan: AccountPlan, config: Config, facts: preflight.Facts) -> list[str]:
    limits = plan.limits or config.risk
    listed = next((entry for entry in facts.listed if entry.account_id == plan.account), None)
    text = [f"account    {plan.account}  {plain(plan.name, 60)}  ({plan.plan} {plan.stage})"]
    if listed is not None:
        permission = "may trade" if listed.can_trade else "MAY NOT TRADE"
        kind = "simulated" if listed.simulated else "REAL MONEY"
        text.append(f"           {kind}, {permission}, balance {_usd(listed.balance_cents)}")
        text += [f"           {words}" for words in _distances(plan, limits, facts, listed.balance_cents)]
    symbols = plan.contracts or config.engine.contracts
    sizes = ", ".join(f"{name} {limits.max_contracts(PRODUCTS[name].micros)}" for name in symbols)
    text.append(f"           at most {sizes}; {_usd(limits.risk_per_trade_cents)} a trade")
    held = facts.open.get(plan.account)
    text.append(f"           open: {'not known' if held is None else '; '.join(held) or 'nothing'}")
    return text


def _distances(plan: AccountPlan, limits: RiskLimits, facts: preflight.Facts, balance_cents: int) -> list[str]:
    limit = _usd(limits.daily_loss_cents)
    day_cents = facts.day_cents.get(plan.account)
    if day_cents is None:
        day = f"the day's loss limit is {limit}; today's trades are not known"
    else:
        day = f"{_usd(limits.daily_loss_cents + day_cents)} from the day's loss limit of {limit}"
    floor = plan.floor_cents
    room = "floor not told" if floor is None else f"{_usd(balance_cents - floor)} from the loss floor of {_usd(floor)}"
    losses = plural(limits.consecutive_losses, "loss in a row ends", "losses in a row end")
    return [f"{day}; {room}", f"{losses} the day"]


def _window_lines(config: Config, now_ns: int) -> list[str]:
    """The window that is open or comes next, once for all contracts that share it."""
    calendar = SessionCalendar(effective_sessions(own_sessions(home(), config.engine.sessions)))
    shared: dict[tuple[int, int], list[str]] = {}
    for symbol in config.engine.contracts:
        window = calendar.next_window(now_ns, symbol)
        if window is not None:
            shared.setdefault((window.start_ns, window.end_ns), []).append(symbol)
    if not shared:
        return ["window     none is known in the coming days"]
    text = []
    for (start_ns, end_ns), names in shared.items():
        text.append(f"window     {', '.join(names)}")
        text += [f"           {_moment(start_ns, zone)} to {_moment(end_ns, zone)} {name}" for name, zone in ZONES]
    return text


def _moment(ns: int, zone: str) -> str:
    return f"{datetime.fromtimestamp(ns // 1_000_000_000, UTC).astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}"


def _paper_result(digest: str) -> str:
    """What the newest paper run with the same settings came to, by its status file."""
    try:
        status = orjson.loads((home() / "paper" / "status.json").read_bytes())
        if status["config_hash"] == digest:
            trips, usd = int(status["round_trips"]), float(status["pnl_usd"])
            return f"newest paper run with these settings: {trips} round trips, {usd:+,.2f} USD"
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return "no paper run with these settings is known here"


def _usd(cents: int) -> str:
    return f"{'−' if cents < 0 else ''}${abs(cents) / 100:,.2f}"
