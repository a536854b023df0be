"""`tbot status`: the status file of the running engine; never the network, never the engine itself."""

import time
from pathlib import Path
from typing import Any

import click
import orjson

from tbot.commands.status_context import context_lines
from tbot.errors import TbotError
from tbot.gateway.redact import plain

DEAD_AFTER_S = 60


class NotRunning(TbotError):
    """There is no engine to ask."""

    exit_code = 7


@click.command()
@click.option("--json", "json_output", is_flag=True, help="The document as it is.")
def status(json_output: bool) -> int:
    """Show the state of the engine that ran last."""
    document = read_newest()
    age_s = (time.time_ns() - document["written_ns"]) / 1e9
    if age_s > DEAD_AFTER_S and not document["ended"]:
        document["state"] = "DEAD"
        document["reason"] = f"the status is {age_s:.0f} s old: the engine is gone or hangs"
    if json_output:
        click.echo(orjson.dumps(document).decode())
        return 0
    for line in lines(document):
        click.echo(line)
    click.echo(f"written {document['written']} ({age_s:.0f} s ago) by process {document['pid']}")
    return 0


def lines(document: dict[str, Any]) -> list[str]:
    """The document in words, for a person."""
    factor, rate = document["profit_factor"], document["win_rate"]
    taken, denied = document["intents"], sum(document["denials"].values())
    text = [
        f"{document['badge']}  {document['state']}  {document['reason']}".rstrip(),
        f"day {document['pnl_usd']:+.2f} USD  open {document['open_usd']:+.2f} USD  "
        f"drawdown {document['drawdown_usd']:.2f} USD",
        f"round trips {document['round_trips']}  win rate {'n/a' if rate is None else f'{rate:.0%}'}  "
        f"profit factor {'n/a' if factor is None else factor}  signals taken {taken}, denied {denied}",
        _execution(document),
    ]
    text += [f"! not as tested: {warning}" for warning in document.get("warnings", [])]
    accounts = document.get("accounts", {})
    if len(accounts) > 1:
        text += [account_line(number, account) for number, account in accounts.items()]
    text += [f"! {alarm['text']} ({alarm['code']})" for alarm in document.get("alarms", [])]
    text += [f"! {warning}" for warning in document.get("conditions", {}).get("warnings", [])]
    text += context_lines(document)
    looser = document.get("sessions", {}).get("overrides", [])
    text += [f"! session table, looser than packaged: {row}" for row in looser]
    for symbol, contract in document["contracts"].items():
        age = contract["last_tick_age_s"]
        text.append(
            f"{symbol:<5}{contract['ticks']:>10} ticks {contract['ticks_per_s']:>7.1f}/s  "
            f"last {'n/a' if age is None else f'{age:.1f} s'} ago  1m bars {contract['bars'].get('1m', 0):>6}  "
            f"zones {sum(contract['zones'].values()):>4}  signals {contract['signals']}"
        )
        trouble = contract.get("barred") or contract.get("hole")
        if trouble:
            text.append(f"     no entries: {trouble}")
    return text


def account_line(number: str, account: dict[str, Any]) -> str:
    """One of several accounts: its state, its money and what it holds."""
    held = ", ".join(f"{place['contract']} {place['side'] * place['size']:+d}" for place in account["positions"])
    return (
        f"{plain(account['name'], 40)} ({number})  {account['state']}  day {account['day_pnl_cents'] / 100:+.2f} USD  "
        f"open {account['unrealised_cents'] / 100:+.2f} USD  {held or 'no position'}"
    )


def _execution(document: dict[str, Any]) -> str:
    execution, api = document["execution_ns"], document["api"]
    slip = document["slippage_ticks"]
    parts = []
    if execution:
        parts.append(f"approved to filled mean {execution['mean'] / 1e6:.1f} ms, p99 {execution['p99'] / 1e6:.1f} ms")
    parts.append(f"slippage {'n/a' if slip is None else f'{slip:+.2f} ticks'}")
    if api.get("requests"):
        parts.append(f"API {api['answered'] / api['requests']:.1%} answered, {api['too_many']} too many")
    parts.append(f"reconnections {document['reconnections']}  restarts {document['restarts']}  gaps {document['gaps']}")
    return "  ".join(parts)


def newest_status() -> Path:
    """The newest status file of this user's runs; NotRunning when there is none. The journal lies beside it."""
    from tbot.home import home

    pointer = home() / "current.json"
    candidates = [home() / mode / "status.json" for mode in ("live", "paper", "sim")]
    if pointer.exists():
        candidates.append(Path(orjson.loads(pointer.read_bytes())["status"]))
    found = [path for path in candidates if path.exists()]
    if not found:
        raise NotRunning("no engine has left a status here; start one with `tbot run`")
    return max(found, key=lambda path: path.stat().st_mtime)


def read_newest() -> dict[str, Any]:
    """The newest status document; NotRunning when there is none."""
    document = orjson.loads(newest_status().read_bytes())
    assert isinstance(document, dict)
    return document
