"""`tbot dashboard`: the running engine on a terminal, read-only but for what a person confirms."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tbot.commands.gateway import config_option, credentials_option
from tbot.commands.options import StateFolder
from tbot.errors import ConfigError, TbotError
from tbot.streams import is_terminal

if TYPE_CHECKING:
    from tbot.commands.runs import Run
    from tbot.dashboard.attach import Attachment, Place
    from tbot.dashboard.shown import Choice

MOST_COLUMNS, MOST_ROWS = 400, 150


@click.command()
@click.option("--account", metavar="ID", help="Show this account first.")
@click.option("--contract", metavar="SYMBOL", help="Show this contract first.")
@click.option("--timeframe", type=click.Choice(("1m", "5m", "15m", "30m", "1h")), default="1m", show_default=True)
@click.option("--mode", type=click.Choice(("live", "paper", "sim", "replay")), help="Which engine, when several run.")
@click.option(
    "--state-dir", type=StateFolder(), help="Of the run, when several run."
)
@click.option("--tz", default="Europe/Helsinki", show_default=True, help="Time zone of the screen.")
@click.option(
    "--theme", type=click.Choice(("dark", "light", "cb")), default="dark", show_default=True, help="cb: blue, orange."
)
@click.option("--wait", is_flag=True, help="Wait for an engine when none runs.")
@click.option(
    "--screenshot", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.svg", help="Write one picture."
)
@click.option("--size", default="150x42", show_default=True, metavar="COLUMNSxROWS", help="Of the screenshot.")
@config_option
@credentials_option
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def dashboard(
    account: str | None,
    contract: str | None,
    timeframe: str,
    mode: str | None,
    state_dir: Path | None,
    tz: str,
    theme: str,
    wait: bool,
    screenshot: Path | None,
    size: str,
    config_path: Path | None,
    credentials_file: Path | None,
    debug: bool,
) -> int:
    """Show the running engine: candles with zones, signals, positions, risk, news, latency; keys under `?`.

    It attaches to an engine that runs and leaves it running. Pause, resume, flatten and kill ask first. With --config
    and --credentials kill finds the login that it needs when the engine does not answer.
    """
    from tbot.commands.options import parse_symbols, parse_zone
    from tbot.dashboard.attach import Attachment
    from tbot.dashboard.shown import Choice
    from tbot.domain.timeframes import MINUTES
    from tbot.engine.clocks import boot_ns

    choice = Choice(
        symbol=parse_symbols(contract)[0] if contract else "",
        account=account or "",
        timeframe_min=MINUTES[timeframe],
        zone=parse_zone(tz),
    )
    finder = _Finder(mode, state_dir)
    if screenshot is not None:
        return _screenshot(Attachment(finder.find, boot_ns), choice, theme, screenshot, parse_size(size))
    if not is_terminal(sys.stdout) or not is_terminal(sys.stdin):
        raise ConfigError("the dashboard needs a terminal; use tbot status, or --screenshot FILE.svg for a picture")
    if not wait and finder.find(None) is None:
        raise _nothing(mode)
    attachment = Attachment(finder.find, boot_ns)
    if (contract or account) and (view := attachment.look()) is not None:
        try:
            _check_traded(choice, view.status())
        except BaseException:
            attachment.close()
            raise
    return _run(attachment, finder, choice, theme, config_path, credentials_file)


def _check_traded(choice: "Choice", status: Mapping[str, Any]) -> None:
    """ConfigError or UsageError for a contract or an account that the run does not trade."""
    from tbot.gateway.redact import plain

    symbols, accounts = list(status.get("contracts", {})), status.get("accounts", {})
    if choice.symbol and symbols and choice.symbol not in symbols:
        raise ConfigError(f"contract {choice.symbol} is not traded by this run; it trades {', '.join(symbols)}")
    if choice.account and accounts and choice.account not in accounts:
        known = ", ".join(f"{number} ({plain(one['name'], 60)})" for number, one in accounts.items())
        raise click.UsageError(f"account {choice.account} is not traded by this run; it trades {known}")


def _nothing(mode: str | None) -> TbotError:
    from tbot.commands.runs import BADGES, NotRunning

    kind = f"{BADGES[mode]} engine" if mode else "engine"
    return NotRunning(f"no {kind} runs here; start one with tbot run in another terminal, or add --wait")


class _Finder:
    """Which run to look at: the present one while it lives, else the one that is meant."""

    def __init__(self, mode: str | None, state_dir: Path | None = None) -> None:
        self._mode = mode
        self._state_dir = state_dir.resolve() if state_dir is not None else None
        self.run: Run | None = None  # that of the last answer

    def find(self, present: "Place | None") -> "Place | None":
        from tbot.commands.runs import living_runs
        from tbot.dashboard.attach import Place

        if present is not None and self.run is not None and self.run.run_dir == present.run_dir and self.run.alive():
            return present
        living = living_runs(self._mode)
        wanted = [run for run in living if self._state_dir in (None, run.state_dir.resolve())]
        self.run = next(iter(wanted), None)
        return Place(self.run.run_dir, self.run.state_dir) if self.run is not None else None


def _run(
    attachment: "Attachment",
    finder: _Finder,
    choice: "Choice",
    theme: str,
    config_path: Path | None,
    credentials_file: Path | None,
) -> int:
    from tbot.commands.dashboard_operator import RunOperator
    from tbot.dashboard.app import Dashboard

    operator = RunOperator(lambda: finder.run, config_path, credentials_file)
    app = Dashboard(attachment, operator, choice, theme)
    try:
        return app.run(mouse=False) or 0
    finally:
        attachment.close()


def _screenshot(
    attachment: "Attachment", choice: "Choice", theme: str, path: Path, size: tuple[int, int]
) -> int:
    from tbot.dashboard.layout import chart_columns, compose
    from tbot.dashboard.shown import chosen, look_at
    from tbot.dashboard.svg import svg
    from tbot.dashboard.theme import THEMES

    width, height = size
    view = attachment.look()
    if view is None or attachment.gone:
        raise _nothing(None)
    _check_traded(choice, view.status())
    choice = chosen(choice, view.status())
    view.refresh(choice.symbol)
    rows = compose(look_at(view, choice, chart_columns(width)), THEMES[theme], width, height)
    attachment.close()
    try:
        path.write_text(svg(rows, THEMES[theme], width, "tbot dashboard"), encoding="utf-8")
    except OSError as error:
        raise TbotError(f"cannot write {path}: {error.strerror}; choose another place") from None
    click.echo(f"wrote {path}", err=True)
    return 0


def parse_size(text: str) -> tuple[int, int]:
    """`150x42` as columns and rows; ConfigError when it is none, or none that can be drawn."""
    columns, _, rows = text.lower().partition("x")
    if not (columns.isdecimal() and rows.isdecimal()):
        raise ConfigError(f"size {text!r} is not understood; write it like 150x42")
    width, height = int(columns), int(rows)
    if not (40 <= width <= MOST_COLUMNS and 10 <= height <= MOST_ROWS):
        raise ConfigError(f"size {text} cannot be drawn; from 40x10 to {MOST_COLUMNS}x{MOST_ROWS} can")
    return width, height
