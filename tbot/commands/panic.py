"""`tbot panic`: the emergency exit from the command line. Login and REST, nothing of the engine (rule R14)."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tbot.commands import words
from tbot.commands.gateway import config_option, credentials_option
from tbot.commands.options import Filled, Number
from tbot.errors import AuthError, ConfigError

if TYPE_CHECKING:
    from tbot.commands.runs import Run
    from tbot.credentials import Login
    from tbot.panic.program import Result

EXIT_NOT_FLAT = 11


@dataclass(frozen=True)
class Hints:
    """What the emergency exit takes from a settings file; it reads no more of it, so that no other mistake stops it."""

    gateway: str = ""
    credentials_file: str = ""
    trouble: str = ""
    found: bool = False  # nobody named the file: the gateway of the last run goes before its own


def read_hints(path: Path | None) -> Hints:
    """[gateway] of the settings file that every command would use; one that cannot be read is trouble, not an error."""
    from tbot.domain.toml_text import toml_text, toml_values
    from tbot.settings.places import find_file

    named = path is not None
    try:
        path = find_file(path)
        if path is None:
            return Hints()
        if path.exists() and not path.is_file():  # a pipe that nobody writes would hold an emergency up
            return Hints(trouble=f"{path} was not used: it is no plain file")
        section = toml_values(toml_text(path.read_bytes())).get("gateway", {})
        return Hints(str(section.get("rest", "")), str(section.get("credentials_file", "")), found=not named)
    except (ConfigError, OSError, ValueError, AttributeError, RuntimeError) as error:  # RuntimeError: too deep, no HOME
        return Hints(trouble=f"{path or 'the settings file'} was not used: {error}")


@click.command()
@click.option(
    "--account", "accounts", type=Number(), multiple=True, metavar="ID", help="Only this account; repeatable."
)
@click.option("--gateway", metavar="URL", help="The gateway; default: of --config, the last run, the settings.")
@config_option
@credentials_option
@click.option(
    "--for", "duration", type=Filled(), default="60s", show_default=True, metavar="TIME",
    help="Give up after this long.",
)  # fmt: skip
@click.option("--json", "json_output", is_flag=True, help="One JSON document at the end; the steps go to stderr.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def panic(
    accounts: tuple[int, ...],
    gateway: str | None,
    config_path: Path | None,
    credentials_file: Path | None,
    duration: str,
    json_output: bool,
    debug: bool,
) -> int:
    """Close EVERYTHING now, without the engine: all positions and orders of all accounts of the login.

    Needs the login and the gateway, and nothing else: it works while the engine is frozen, dead or was never started.
    First it locks T-BOT until the next trading day (as `tbot kill` does). It repeats until the gateway's own lists show
    no position and no working order.

    Exit code 0: proven flat. 11: NOT proven, also for want of a login: look at the account on the platform now.
    """
    from tbot.commands.options import parse_duration_s
    from tbot.commands.runs import known_runs, lock_files
    from tbot.panic.program import Result

    for_s = parse_duration_s(duration)
    say = teller(json_output)
    hints = read_hints(config_path)
    if hints.trouble:
        say(hints.trouble)
    locked = False
    for account in accounts or (None,):  # first: an engine that lives closes by it, too, whatever is missing here
        written, problems = lock_files(None, account, "tbot panic")
        locked = locked or bool(written)
        for problem in problems:
            say(f"a lock file could not be written, going on: {problem}")
    runs = known_runs()
    last = last_at_broker(runs)
    named = gateway or ("" if hints.found else hints.gateway)
    if not named and last is not None and (why := nothing_at_a_broker(last)):
        return conclude(_in_memory(last, why, accounts, for_s, locked), json_output)
    try:
        url = address(named, last, hints.gateway)
        login = find_login(credentials_file, hints)
    except (AuthError, ConfigError) as error:
        # Something may be open, and nothing is proven: that counts for more than what is missing here (ecosystem 3.2).
        return conclude(Result(False, (), str(error)), json_output)
    say(f"closing everything at {url}")
    for other in elsewhere(runs, url):
        say(f"the {other.name} at {other.gateway} is not looked at: give --gateway {other.gateway} for it")
    result = carry_out(url, login, accounts, for_s, say)
    return conclude(result, json_output)


def teller(json_output: bool) -> Callable[[str], None]:
    """Steps go to stdout, or beside the document."""
    return lambda sentence: words.say(sentence, err=json_output)


def last_at_broker(runs: "list[Run]") -> "Run | None":
    """The run whose gateway is meant when none is named; `runs`: newest first.

    Of those with orders at a gateway that is not their own: a live one, then one that lives, then the newest. A demo or
    a paper run since then says nothing about what an earlier one left open, and a simulator holds nobody's money.
    """
    outside = [run for run in runs if run.at_broker and not run.embedded]
    outside.sort(key=lambda run: (run.mode != "live", not run.alive()))
    return next(iter(outside or runs), None)


def elsewhere(runs: "list[Run]", url: str) -> "list[Run]":
    """Runs with orders at another gateway that is not their own."""
    return [run for run in runs if run.at_broker and not run.embedded and run.gateway and run.gateway != url]


def nothing_at_a_broker(run: "Run") -> str:
    """Why there is nothing at a broker to flatten for a run; "" when there may be."""
    if not run.at_broker:
        return f"the last run was {run.name.split()[0]}: its positions are in its own memory, nothing is at a broker"
    if run.embedded:
        return "the last run was the demo on its own simulator: nothing is at a broker; Ctrl-C or tbot kill ends it"
    return ""


def address(named: str | None, last: "Run | None", settings: str) -> str:
    """The gateway to act on: named, else the last run's, else that of the settings. ConfigError when none is known."""
    from tbot.gateway.net import check_url

    url = named or (last.gateway if last is not None else None) or settings
    if not url:
        raise ConfigError("no gateway is known: give --gateway URL, or --config FILE with rest in section [gateway]")
    return check_url(url, "http", "https")


def find_login(credentials_file: Path | None, hints: Hints) -> "Login":
    """The login; AuthError when it is nowhere."""
    from tbot.credentials import require
    from tbot.home import emergency_home, expanded

    configured = expanded(hints.credentials_file) if hints.credentials_file else None
    return require(option=credentials_file, configured=configured, home=emergency_home())


def carry_out(
    url: str, login: "Login", accounts: tuple[int, ...], for_s: float, say: Callable[[str], None]
) -> "Result":
    """Run the emergency exit; Ctrl-C leaves it, and then nothing is proven."""
    from tbot.panic.program import Result
    from tbot.panic.program import panic as flatten_all

    try:
        return flatten_all(url, login.pair, accounts, for_s, say)
    except KeyboardInterrupt:
        return Result(False, (), "interrupted before anything was proven")


def conclude(result: "Result", json_output: bool) -> int:
    """Last words and exit code."""
    if json_output:
        words.say(json.dumps(result.document()))
    if result.flat:
        if not json_output:
            words.say(result.text or "flat: every account is proven to hold no position and no working order")
        return 0
    words.say(f"tbot: NOT PROVEN FLAT: {result.text}; look at the account on the platform NOW", err=True)
    return EXIT_NOT_FLAT


def _in_memory(run: "Run", why: str, accounts: tuple[int, ...], for_s: float, written: bool) -> "Result":
    """Of a run whose orders are at no broker but its own: what went with it is gone, what lives is asked until flat.

    The lock file was written before, and its engine closes by that.
    """
    from tbot.commands.operate import await_words
    from tbot.panic.program import Result

    state = "is locked" if written else "is NOT locked"
    locked = f"T-BOT {state} until the next trading day. Name another place with --gateway URL."
    if not run.alive():
        return Result(True, (), f"{why}, and it has ended. {locked}")
    wanted = set(accounts)
    waited = await_words(
        run, None, None, for_s,
        lambda said: all(word.clear for word in said if not wanted or word.account in wanted)
        and wanted <= {word.account for word in said},
        lambda said: not wanted <= {word.account for word in said},
    )  # fmt: skip
    if waited.done:
        return Result(True, (), f"{why}; its engine says that nothing is open. {locked}")
    said = waited.reply.accounts if waited.reply is not None else ()
    known = ", ".join(f"{word.account} ({word.name})" for word in said)
    strangers = sorted(wanted - {word.account for word in said})
    if said and strangers:
        return Result(False, (), f"account {strangers[0]} is not traded by this run; it trades {known}")
    open_ones = "; ".join(f"{word.still_open} of account {word.account}" for word in said if word.still_open)
    return Result(False, (), f"{why}; its engine {f'still has {open_ones}' if open_ones else 'does not answer'}")
