"""The command line: names and one-line help of the commands; each is loaded when it is called.

Imports click and the group that loads the rest. A command lives in `tbot/commands/<module>.py` and calls into the
packages below.
"""

import contextlib
import os
import sys
from typing import Any

import click

from tbot import __version__
from tbot.commands.lazy_group import LazyGroup
from tbot.errors import INTERRUPTED, NO_ROOM, TbotError
from tbot.streams import prepare, settle

COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("tbot.commands.run:run", "Run the engine; without settings: paper account on the embedded gateway."),
    "demo": ("tbot.commands.demo:demo", "The guided tour: watch it work, on a made-up market; nothing is needed."),
    "sim": ("tbot.commands.sim:sim", "Run the gateway simulator: REST and both hubs on one loopback port."),
    "replay": ("tbot.commands.replay:replay", "Play a tape through the real processes."),
    "record": ("tbot.commands.record:record", "Record live ticks to tapes, one file per trading day."),
    "detect": ("tbot.commands.detect:detect", "Find all pattern events of a bar file; CSV, JSON lines, pictures."),
    "backtest": ("tbot.commands.backtest:backtest", "Play past data through the same decisions, and judge the result."),
    "audit": ("tbot.commands.audit:audit", "Honest questions: look-ahead, random levels, null paths, parity."),
    "sweep": ("tbot.commands.sweep:sweep", "Backtest a space of parameters, and say what the best is worth."),
    "walkforward": ("tbot.commands.walkforward:walkforward", "Choose on past days, look at the days that followed."),
    "import": ("tbot.commands.import_data:import_data", "Turn foreign tick or bar files into a tape."),
    "status": ("tbot.commands.status:status", "Show the state of the running engine."),
    "dashboard": ("tbot.commands.dashboard:dashboard", "Show the running engine: chart with zones, positions, risk."),
    "pause": ("tbot.commands.operate:pause", "No new trades; what is open stays managed."),
    "resume": ("tbot.commands.operate:resume", "Trade again after pause, flatten or a fault."),
    "flatten": ("tbot.commands.operate:flatten", "Close everything (or one contract), then pause until resume."),
    "kill": ("tbot.commands.operate:kill", "Close everything and lock until the next trading day."),
    "panic": ("tbot.commands.panic:panic", "Close everything without the engine: login and REST only."),
    "signals": ("tbot.commands.signals:signals", "List signals and what became of them; --explain tells why."),
    "patterns": ("tbot.commands.patterns:patterns", "Show what became of patterns, and the weights learned from it."),
    "trades": ("tbot.commands.trades:trades", "List round trips: result, reasons, slippage, where the time went."),
    "report": ("tbot.commands.report:report", "Make the report of a week: page, PDF, picture, JSON."),
    "journal": ("tbot.commands.journal:journal", "Show the journal in words; --verify and --replay prove it."),
    "news": ("tbot.commands.news:news", "List scheduled news, and what happens to entries then."),
    "notify": ("tbot.commands.notify:notify", "Send a test message to your phone or mail."),
    "accounts": ("tbot.commands.accounts:accounts", "List the gateway's accounts and those a run would trade."),
    "metrics": ("tbot.commands.metrics:metrics", "Serve figures of the running engine for Prometheus."),
    "config": ("tbot.commands.config:config", "Make, check, change and explain the settings."),
    "profile": ("tbot.commands.profile:profile", "Show where a process of the running engine spends its time."),
    "web": ("tbot.commands.web:web", "Show the engine on a web page of this machine, with a kill switch."),
    "completion": ("tbot.commands.completion:completion", "Print the completion script for bash, zsh or fish."),
    "doctor": ("tbot.commands.doctor:doctor", "Check this machine, the settings and, with --online, the gateway."),
}


@click.group(cls=LazyGroup, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tbot")
@click.option("--no-color", is_flag=True, help="No colours (as the variable NO_COLOR).")
def root(no_color: bool) -> None:
    """T-BOT trades TopstepX evaluation accounts with Smart Money Concepts. Paper is the default."""
    if no_color:
        os.environ["NO_COLOR"] = "1"


def run(arguments: list[str] | None = None) -> None:
    """Run the command line and end the process with its exit code; errors are one sentence on stderr."""
    prepare()
    try:
        sys.exit(_run(sys.argv[1:] if arguments is None else arguments))
    finally:
        settle()


def _run(arguments: list[str]) -> int:
    debug = "--debug" in arguments
    try:
        others = [argument for argument in arguments if argument != "--debug"]  # so that every command knows it
        result: Any = root(args=others, prog_name="tbot", standalone_mode=False)
    except TbotError as error:
        if debug:
            raise
        _tell(f"tbot: {error}")
        return error.exit_code
    except OSError as error:
        if debug:
            raise
        what = f"{error.filename}: {error.strerror}; look at that place" if error.filename else error.strerror or error
        if error.errno in NO_ROOM:
            what = f"{what}; make room and do it again"
        _tell(f"tbot: {what}; --debug shows where it happened")
        return 1
    except click.exceptions.Abort:
        return INTERRUPTED
    except click.ClickException as error:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            error.show()
        return error.exit_code
    return result if isinstance(result, int) else 0


def _tell(sentence: str) -> None:
    """One sentence on stderr, broken between words on a terminal; where it cannot be said, the code tells it."""
    from tbot.commands.words import show

    with contextlib.suppress(OSError, ValueError, AttributeError):
        show([sentence], err=True)
