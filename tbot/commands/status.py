"""`tbot status`: the status file of the running engine; never the network, never the engine itself.

Of an engine that is gone (it has ended, or its launcher died without a word) the document has no rate: `ticks_per_s`
and `last_tick_age_s` are null; where nobody watches the processes any more, their state is UNKNOWN. `other_runs` names
what else lives: a demo beside a run whose state lasts.

With `--account` the document has that account alone in `accounts`, its number in `account`, and `state, reasons,
reason, pnl_usd, open_usd, drawdown_usd, round_trips, wins, win_rate, profit_factor, intents, denials` are its own; all
else (contracts, processes, latencies, slippage, fills) is the whole engine's.
"""

import shutil
import textwrap
import time
from pathlib import Path
from typing import Any

import click
import orjson

from tbot.commands.account_choice import one_account, unknown
from tbot.commands.options import StateFolder
from tbot.commands.status_context import context_lines
from tbot.commands.status_losses import loss_lines
from tbot.commands.words import fitted, show, terminal_width
from tbot.domain.words import plural, profit_factor
from tbot.errors import TbotError
from tbot.gateway.redact import plain

DEAD_AFTER_S = 60
WATCH_S = 1.0
REST_OF_LINE = "\x1b[K\n"  # nothing of the longer line that was there stays
WIDTH = 80  # of what is told of an account
# States that are the launcher's word, not the accounts'.
LAUNCHERS = ("STARTING", "STOPPING", "STOPPED", "NOT_FLAT", "DEAD")


class NotRunning(TbotError):
    """There is no engine to ask."""

    exit_code = 7


@click.command()
@one_account
@click.option("--state-dir", type=StateFolder(), help="Of another run.")
@click.option("--watch", is_flag=True, help="Go on showing it every second, until Ctrl-C.")
@click.option("--json", "json_output", is_flag=True, help="The document as it is; with --watch one a line.")
def status(account: int | None, state_dir: Path | None, watch: bool, json_output: bool) -> int:
    """Show the state of the engine that runs or ran last; of several accounts each with its own state and money."""
    while True:
        document, age_s = _now(account, state_dir)
        if json_output:
            click.echo(orjson.dumps(document).decode())
        else:
            by = f"written {document['written']} ({age_s:.0f} s ago) by process {document['pid']}"
            _show([*lines(document), *_others(document), by], watch=watch)
        if not watch:
            return 0
        wait(WATCH_S)


def wait(seconds: float) -> None:
    """Between two looks."""
    time.sleep(seconds)


def _now(account: int | None, state_dir: Path | None) -> tuple[dict[str, Any], float]:
    """(the document of the run that is meant, its age in s)."""
    path = newest_status() if state_dir is None else state_dir / "status.json"
    document = read(path)
    age_s = (time.time_ns() - document["written_ns"]) / 1e9
    trouble = gone_because(document, path.parent)
    if trouble:
        unwatched = {name: one | {"state": "UNKNOWN"} for name, one in document.get("processes", {}).items()}
        document |= {"state": "DEAD", "reason": trouble, "processes": unwatched}
    if trouble or document["ended"]:
        old = {"ticks_per_s": None, "last_tick_age_s": None}
        document["contracts"] = {symbol: contract | old for symbol, contract in document["contracts"].items()}
    document["other_runs"] = _other_runs(path.parent)
    return (document if account is None else of_account(document, account)), age_s


def gone_because(document: dict[str, Any], state_dir: Path) -> str:
    """Why nobody stands behind a document in this folder that does not tell of an end; "" when somebody may."""
    from tbot.commands.runs import run_of

    if document["ended"]:
        return ""
    age_s = (time.time_ns() - document["written_ns"]) / 1e9
    run = run_of(state_dir)
    if run is not None and (run.pid != document["pid"] or run.launcher_is_gone()):
        rest = "; its executor is still there" if run.pid == document["pid"] and run.executor_lives() else ""
        return f"its launcher is gone without a last word{rest}: what you see is {age_s:.0f} s old"
    return f"the status is {age_s:.0f} s old: the engine is gone or hangs" if age_s > DEAD_AFTER_S else ""


def _other_runs(state_dir: Path) -> list[dict[str, Any]]:
    """What lives beside the run in this folder, and what should: `gone` tells which is which."""
    from tbot.commands.runs import living_runs, vanished_runs

    living = [run for run in living_runs(None) if run.state_dir.resolve() != state_dir.resolve()]
    vanished = [run for run in vanished_runs() if run.state_dir.resolve() != state_dir.resolve()]
    return [
        {"mode": run.mode, "name": run.name, "pid": run.pid, "state_dir": str(run.state_dir), "gone": run in vanished}
        for run in [*living, *vanished]
    ]


def _others(document: dict[str, Any]) -> list[str]:
    """How to look at each of them."""
    return [
        f"another run: {one['name']}, process {one['pid']}{', gone without a last word' if one['gone'] else ''}; "
        f"tbot status --state-dir {one['state_dir']}"
        for one in document["other_runs"]
    ]


def _show(text: list[str], *, watch: bool) -> None:
    """The lines; when watched, over those that were there before, as many as fit, or below them in a pipe."""
    width = terminal_width()
    if not watch:
        show(text)
    elif not width:
        show([*text, ""])
    else:
        fit = [part for line in text for part in fitted(line, width).splitlines()]
        rows = fit[: shutil.get_terminal_size().lines - 1]
        click.echo(f"\x1b[H{''.join(f'{row[:width]}{REST_OF_LINE}' for row in rows)}\x1b[J", nl=False)


def of_account(document: dict[str, Any], account: int) -> dict[str, Any]:
    """The document as one account has it; UsageError when the run does not trade it."""
    from tbot.engine.status import accounts_money, accounts_state

    accounts = document.get("accounts", {})
    if str(account) not in accounts:
        known = {int(number): one["name"] for number, one in accounts.items()}
        raise unknown(account, "is not traded by this run; it trades", known)
    one = accounts[str(account)]
    only = {str(account): one}
    told = {"account": account, "accounts": only, "intents": one["intents"], "denials": one["denials"]}
    if document["state"] not in LAUNCHERS and not document["ended"]:
        trouble = document["journal"].get("trouble", "")
        names = ("state", "reasons", "reason")
        told |= dict(zip(names, accounts_state(only, document["alarms"], trouble), strict=True))
    return document | told | accounts_money(only)


def lines(document: dict[str, Any]) -> list[str]:
    """The document in words, for a person."""
    rate, factor = document["win_rate"], profit_factor(document["profit_factor"], document["wins"])
    taken, denied = document["intents"], sum(document["denials"].values())
    text = [
        f"{document['badge']}  {document['state']}  {document['reason']}".rstrip(),
        f"day {document['pnl_usd']:+.2f} USD  open {document['open_usd']:+.2f} USD  "
        f"drawdown {document['drawdown_usd']:.2f} USD",
        f"round trips {document['round_trips']}  win rate {'n/a' if rate is None else f'{rate:.0%}'}  "
        f"profit factor {factor}  signals taken {taken}, denied {denied}",
        _execution(document),
    ]
    text += [f"! not as tested: {warning}" for warning in document.get("warnings", [])]
    log = document.get("log") or {}
    if log.get("trouble"):
        text.append(f"! {log['path']} is not written: {log['trouble']} ({log['lost']} lines lost)")
    report = document.get("report") or {}
    if report.get("last_failure"):
        text.append(f"! report of {report['last_label']}: {report['last_failure']}")
    elif report.get("last_paths"):
        text.append(f"report of {report['last_label']}: {report['last_paths'][0]}")
    accounts = document.get("accounts", {})
    if len(accounts) > 1:
        text += [line for number, account in accounts.items() for line in account_lines(number, account)]
    elif "account" in document:
        text += [line for number, account in accounts.items() for line in account_story(number, account)]
    text += [f"! {alarm['text']} ({alarm['code']})" for alarm in document.get("alarms", [])]
    text += [f"! {warning}" for warning in document.get("conditions", {}).get("warnings", [])]
    text += loss_lines(document)
    lives = not document["ended"] and document["state"] != "DEAD"
    text += context_lines(document if lives else document | {"news": None, "dxy": None})  # told as of now
    looser = document.get("sessions", {}).get("overrides", [])
    text += [f"! session table, looser than packaged: {row}" for row in looser]
    for symbol, contract in document["contracts"].items():
        text.append(_contract(symbol, contract, lives=lives))
        trouble = contract.get("barred") or contract.get("hole")
        if trouble:
            text.append(f"     no entries: {trouble}")
    return text


def _contract(symbol: str, contract: dict[str, Any], *, lives: bool) -> str:
    """One contract, within 80 columns; of an engine that is gone no rate and no age: they would be of another time."""
    age = contract["last_tick_age_s"]
    ago = "no tick" if age is None else f"{age:.{1 if age < DEAD_AFTER_S else 0}f} s ago"
    now = f" {contract['ticks_per_s']:>6.1f}/s {ago:>10}" if lives else ""
    return (
        f"{symbol:<4}{contract['ticks']:>9} ticks{now}  1m bars {contract['bars'].get('1m', 0):>5}  "
        f"zones {sum(contract['zones'].values()):>4}  signals {contract['signals']}"
    )


def account_lines(number: str, account: dict[str, Any]) -> list[str]:
    """One of several accounts, within 80 columns: state, money in USD, what it holds and why it does not trade."""
    name = plain(account["name"], 24)
    head = (
        f"{number}  {name}  {account['state']}  day {account['day_pnl_cents'] / 100:+,.2f}  "
        f"open {account['unrealised_cents'] / 100:+,.2f}"
    )
    held = [f"{place['contract']} {place['side'] * place['size']:+d}" for place in account["positions"]]
    bare = [place["contract"] for place in account["positions"] if not place["protected"]]
    parts = [", ".join(held) or "no position"]
    if bare:
        parts.append(f"NOT PROTECTED: {', '.join(bare)}")
    if account["state"] != "ACTIVE":
        parts.append(_why(account))
    return [head, *_indented("; ".join(parts))]


def account_story(number: str, account: dict[str, Any]) -> list[str]:
    """All that is known of one account, for `--account`."""
    from tbot.domain.contracts import PRODUCTS

    text = account_lines(number, account)
    room, firm = account["day_room_cents"], account["firm"]
    more = [f"left of today's limit {max(0, room) / 100:,.2f} USD"]
    if account["balance_cents"] is not None:
        more.insert(0, f"balance {account['balance_cents'] / 100:,.2f} USD")
    if firm is not None and firm["to_floor_cents"] is not None:
        more.append(f"loss floor {firm['floor_cents'] / 100:,.2f}, {firm['to_floor_cents'] / 100:,.2f} USD away")
    text += _indented("; ".join(more))
    for place in account["positions"]:
        show = PRODUCTS[place["contract"]].format if place["contract"] in PRODUCTS else str
        levels = [f"{leg} {show(place[leg])}" for leg in ("stop", "target") if place[leg] is not None]
        side = "long" if place["side"] > 0 else "short"
        entry = f"{place['contract']} {side} {place['size']} @ {show(round(place['entry']))}"
        text += _indented("  ".join([entry, *levels, f"open {(place['unrealised_cents'] or 0) / 100:+,.2f} USD"]))
    for contract, why in account["quarantine"].items():
        text += _indented(f"{contract} takes no entries: {why}")
    denied = ", ".join(f"{code} {count}" for code, count in account["denials"].items())
    working = plural(len(account["orders"]), "working order")
    entries = plural(account["entries_today"], "entry", "entries")
    return text + _indented(f"{working}; {entries} today; denied: {denied or 'none'}")


def _why(account: dict[str, Any]) -> str:
    codes = [reason["code"] for reason in account["reasons"]]
    return f"{account['text']} ({codes[0]})" if codes else str(account["text"])


def _indented(text: str) -> list[str]:
    return textwrap.wrap(plain(text, 400), WIDTH, initial_indent="    ", subsequent_indent="    ")


def _execution(document: dict[str, Any]) -> str:
    execution, api = document["execution_ns"], document["api"]
    slip = document["slippage_ticks"]
    parts = []
    if execution:
        parts.append(f"approved to filled mean {execution['mean'] / 1e6:.1f} ms, p99 {execution['p99'] / 1e6:.1f} ms")
    parts.append(f"slippage {'n/a' if slip is None else f'{slip:+.2f} ticks'}")
    if api.get("requests"):
        parts.append(f"API {api['answered'] / api['requests']:.1%} answered, {api['too_many']} refused as too many")
    parts.append(f"reconnections {document['reconnections']}  restarts {document['restarts']}  gaps {document['gaps']}")
    return "  ".join(parts)


def newest_status() -> Path:
    """The status file of the run that is meant; NotRunning when there is none. The journal lies beside it.

    That of a living run (one whose state lasts before a demo beside it), else the newest that any run left.
    """
    from tbot.commands.runs import MODES, living_runs, pointed_at
    from tbot.home import home

    living = [run.state_dir / "status.json" for run in living_runs(None)]
    if there := [path for path in living if path.exists()]:
        return there[0]
    candidates = [home() / mode / "status.json" for mode in MODES]
    candidates += pointed_at()
    found = [path for path in candidates if path.exists()]
    if not found:
        raise NotRunning("no engine has left a status here; start one with `tbot run`")
    return max(found, key=lambda path: path.stat().st_mtime)


def read(path: Path) -> dict[str, Any]:
    """The status document; NotRunning when there is none."""
    try:
        document = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        raise NotRunning(f"no engine has left a status in {path.parent}; name the state folder of a run") from None
    assert isinstance(document, dict)
    return document
