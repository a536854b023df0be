"""Drives a supervised run from the terminal: live view, log lines or one JSON document, Ctrl-C, exit code."""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

import click
import orjson

from tbot.domain.process_messages import EngineEvent
from tbot.domain.words import plural
from tbot.engine.clocks import NS_PER_S, boot_ns
from tbot.engine.supervisor import Supervisor
from tbot.errors import INTERRUPTED, GatewayError, TbotError
from tbot.streams import is_terminal

EXIT_NOT_FLAT = 11
FRAME_S = 0.25
FINAL_KEYS = (
    "mode", "intents", "denials", "fills", "round_trips", "pnl_usd", "latency_ns", "gaps", "restarts", "state",
    "reason",
)  # fmt: skip
ACCOUNT_KEYS = ("name", "state", "text", "balance_cents", "day_pnl_cents", "trades", "wins", "positions", "orders")


class Screen:
    """Where a run shows itself. The base class shows nothing (`--json`, `--quiet`)."""

    def event(self, event: EngineEvent) -> None:
        """One event happened."""

    def draw(self, supervisor: Supervisor) -> None:
        """Time to refresh."""

    def close(self) -> None:
        """The run is over."""


class LineScreen(Screen):
    """Log lines, for pipes and files."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._state = ""

    def event(self, event: EngineEvent) -> None:
        from tbot.dashboard.view import event_line

        click.echo(event_line(event, self._zone).plain)

    def draw(self, supervisor: Supervisor) -> None:
        status = supervisor.status()
        line = f"{status['state']}: {status['reason']}" if status["reason"] else str(status["state"])
        if line != self._state:
            self._state = line
            click.echo(f"         STATE  {line}")


class LiveScreen(Screen):
    """The live view on a terminal."""

    def __init__(self, zone: ZoneInfo) -> None:
        from rich.console import Console
        from rich.live import Live

        self._zone = zone
        self._console = Console()
        self._live = Live(console=self._console, auto_refresh=False, screen=True)
        self._live.start()
        self._last: tuple[dict[str, Any], list[EngineEvent]] | None = None
        self._temporary = False

    def draw(self, supervisor: Supervisor) -> None:
        from tbot.dashboard.view import render
        from tbot.engine.temporary_state import is_temporary

        self._temporary = is_temporary(supervisor.settings.state_dir)

        size = self._console.size
        status, events = supervisor.status(), list(supervisor.events)
        self._last = (status, events)
        self._live.update(render(status, events, self._zone, size.width, size.height), refresh=True)

    def close(self) -> None:
        """Leave the alternate screen and keep the last picture in the scroll-back."""
        from tbot.dashboard.view import render

        self._live.stop()
        if self._last is not None:
            size = self._console.size
            status, events = self._last
            self._console.print(render(status, events, self._zone, size.width, min(size.height, 40)))
            for line in after_run(status, temporary=self._temporary):
                self._console.print(line, highlight=False)


def after_run(status: dict[str, Any], *, temporary: bool) -> list[str]:
    """What a person does next, in one line or two; nothing where the run never came to trade."""
    if not status["accounts"]:
        return []
    lines = ["tbot trades has every round trip, tbot signals why each signal was given and what became of it."]
    if temporary:
        lines.append("This run's record is temporary: a later run removes it; tbot report --out DIR keeps a report.")
    return lines


class LastingScreen(Screen):
    """Another screen for as long as somebody is there: a closed pipe or terminal must not end the run."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def event(self, event: EngineEvent) -> None:
        self._show(lambda: self._screen.event(event))

    def draw(self, supervisor: Supervisor) -> None:
        self._show(lambda: self._screen.draw(supervisor))

    def close(self) -> None:
        self._show(self._screen.close)

    def _show(self, action: Callable[[], None]) -> None:
        try:
            action()
        except OSError:
            self._screen = Screen()
            # What is still in the buffers has to go somewhere when the process ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def choose_screen(json_output: bool, quiet: bool, zone: ZoneInfo) -> Screen:
    """The screen that fits where stdout goes."""
    if json_output or quiet:
        return Screen()
    return LiveScreen(zone) if is_terminal(sys.stdout) else LineScreen(zone)


class Interrupts:
    """Counts Ctrl-C and SIGTERM: first stops orderly, second shows what is open, third leaves (ruling 12).

    SIGUSR1 is the kill switch.
    """

    def __init__(self) -> None:
        self.count = 0
        self.kill = False
        signal.signal(signal.SIGUSR1, self._on_kill)
        self.told = False  # what is still open was shown
        signal.signal(signal.SIGINT, self._on_signal)
        signal.signal(signal.SIGTERM, self._on_signal)
        if hasattr(signal, "SIGHUP"):
            signal.signal(signal.SIGHUP, self._on_signal)

    def _on_signal(self, *_: object) -> None:
        self.count += 1

    def _on_kill(self, *_: object) -> None:
        self.kill = True

    def take_kill(self) -> bool:
        """Whether the kill switch was pressed since the last call."""
        pressed, self.kill = self.kill, False
        return pressed


def drive(
    supervisor: Supervisor, screen: Screen, for_s: float | None, json_output: bool, on_started: Callable[[], None]
) -> int:
    """Run to the end (time, Ctrl-C, end of tape, failure); returns the exit code."""
    interrupts = Interrupts()
    try:
        supervisor.start()
        on_started()
        _watch(supervisor, screen, for_s, interrupts)
        request = supervisor.request_stop()
        screen.draw(supervisor)
        supervisor.await_flat(request, lambda: _while_stopping(supervisor, screen, interrupts))
        if not supervisor.phase.flat:
            # Asked once more: a restarting executor may have missed the first request; asking twice is harmless.
            supervisor.await_flat(supervisor.request_stop(), lambda: interrupts.count >= 3)
    finally:
        supervisor.shutdown()
        screen.draw(supervisor)
        screen.close()
    return _conclude(supervisor, json_output, interrupted=interrupts.count > 0)


def _watch(supervisor: Supervisor, screen: Screen, for_s: float | None, interrupts: Interrupts) -> None:
    deadline = None
    next_frame = 0
    while not interrupts.count and not supervisor.phase.failure and not supervisor.finished:
        supervisor.poll(0.1)
        if interrupts.take_kill():
            supervisor.press_kill("signal")
        now = boot_ns()
        if deadline is None and for_s is not None and supervisor.ready():
            deadline = now + int(for_s * NS_PER_S)
        if deadline is not None and now >= deadline:
            return
        if now >= next_frame:
            next_frame = now + int(FRAME_S * NS_PER_S)
            screen.draw(supervisor)


def _while_stopping(supervisor: Supervisor, screen: Screen, interrupts: Interrupts) -> bool:
    """True when the person insists on leaving."""
    if interrupts.take_kill():
        supervisor.press_kill("signal")
    if interrupts.count >= 2 and not interrupts.told:
        interrupts.told = True
        supervisor.tell(EngineEvent(0, "launcher", "PROC", "", still_open(supervisor.status())))
    screen.draw(supervisor)
    return interrupts.count >= 3


def still_open(status: dict[str, Any]) -> str:
    """What the second Ctrl-C shows: positions and working orders that are being closed."""
    accounts = status["accounts"].values()
    places = [place for account in accounts for place in account["positions"]]
    held = [f"{place['contract']} {place['side'] * place['size']:+d}" for place in places]
    orders = plural(sum(len(account["orders"]) for account in accounts), "working order")
    return f"closing: {', '.join(held) or 'no position'}, {orders}; a third Ctrl-C leaves them"


def final_document(status: dict[str, Any]) -> dict[str, Any]:
    """The one document of `--json` (design.md section 5)."""
    contracts = {
        symbol: {
            "ticks": contract["ticks"],
            "bars": contract["bars"],
            "zones": sum(contract["zones"].values()),
            "signals": contract["signals"],
        }
        for symbol, contract in status["contracts"].items()
    }
    accounts = {number: {key: account[key] for key in ACCOUNT_KEYS} for number, account in status["accounts"].items()}
    rest = {key: status[key] for key in FINAL_KEYS}
    return {"schema": "tbot.run", "version": 1, "contracts": contracts, "accounts": accounts, **rest}


def _conclude(supervisor: Supervisor, json_output: bool, *, interrupted: bool) -> int:
    phase, status = supervisor.phase, supervisor.status()
    replay = supervisor.settings.mode == "replay"  # a tape that ends leaves nothing real behind
    if json_output:
        click.echo(orjson.dumps(final_document(status), option=orjson.OPT_NON_STR_KEYS).decode())
    cut_short = replay and not supervisor.finished
    if phase.failure:
        code = "" if phase.failure_code in phase.failure else f" ({phase.failure_code})"
        click.echo(f"tbot: {phase.failure}{code}", err=True)
        foreign = phase.failure_code == "RC_SECOND_ENGINE"  # nothing was sent: the account is that engine's business
        return phase.exit_code if phase.flat or replay or foreign else EXIT_NOT_FLAT
    if not phase.flat and not replay:
        click.echo("tbot: the accounts were not proven flat; look at the account now, then run tbot again", err=True)
        return EXIT_NOT_FLAT
    if cut_short:
        click.echo("tbot: stopped before the end of the tape; what is on record is a part of a replay", err=True)
        return INTERRUPTED
    if not (status["accounts"] or replay or interrupted):  # Ctrl-C in the start is no failure
        click.echo("tbot: the gateway never let this run in; see tbot doctor --online", err=True)
        return GatewayError.exit_code
    if phase.undone:
        click.echo(f"tbot: {phase.undone}", err=True)
        return TbotError.exit_code
    return 0
