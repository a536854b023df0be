"""The terminal dashboard: a thin textual program around the pure picture of `layout`.

It looks four times a second, draws only the rows that changed, and holds no state of the engine. What a person asks for
(pause, resume, flatten, kill) is confirmed in a dialog and carried out by whoever is handed in, in a thread.
"""

import os
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Protocol

from rich.segment import Segment
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Resize
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from tbot.dashboard.attach import Attachment
from tbot.dashboard.dialogs import Ask, Help
from tbot.dashboard.layout import NARROW_PANELS, chart_columns, compose
from tbot.dashboard.rows import Row
from tbot.dashboard.shown import ZONE_CHOICES, Choice, Shown, chosen, look_at, not_had, status_age_s
from tbot.dashboard.theme import Theme, theme_for
from tbot.domain.timeframes import TIMEFRAMES_MIN

FRAME_S = 0.25
FRAMES_UNDER_DIALOG = 4
LATENCY_KEPT = 60
LATENCY_HOP = "frame_worker"

Verb = Literal["pause", "resume", "flatten", "kill"]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is known when a command has ended: `done` only when it is proven."""

    done: bool
    text: str


class Operator(Protocol):
    """Carries out what a person asks for; blocks, and says how far it is."""

    def carry_out(self, verb: Verb, account: int | None, say: Say) -> Outcome: ...


class Picture(Widget):
    """Rows on the screen; rows that did not change are not drawn again."""

    DEFAULT_CSS = "Picture { width: 100%; height: 100%; }"

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self._rows: list[Row] = []

    def show(self, rows: list[Row]) -> None:
        """Draw these."""
        old, self._rows = self._rows, rows
        if len(old) != len(rows):
            self.refresh()
            return
        changed = [y for y, (before, now) in enumerate(zip(old, rows, strict=True)) if before != now]
        if changed:
            self.refresh(*(Region(0, y, self.size.width, 1) for y in changed))

    def render_line(self, y: int) -> Strip:
        row = self._rows[y] if y < len(self._rows) else []
        style = self._theme.style
        return Strip([Segment(span.text, style(span.style)) for span in row])


class Dashboard(App[int]):
    """Attach, look, draw."""

    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(str(place), f"timeframe({place - 1})", show=False) for place in range(1, 6)),
        Binding("question_mark,h,f1", "help"),
        Binding("c", "contract(1)"),
        Binding("C", "contract(-1)"),
        Binding("a", "account"),
        Binding("z", "zones"),
        Binding("v,tab", "panel(1)"),
        Binding("V,shift+tab", "panel(-1)"),
        Binding("p", "ask('pause')"),
        Binding("r", "ask('resume')"),
        Binding("X", "ask('flatten')"),
        Binding("K", "ask('kill')"),
        Binding("q", "leave"),
        Binding("ctrl+c,ctrl+q", "leave", priority=True),
    ]

    def __init__(
        self,
        attachment: Attachment,
        operator: Operator | None,
        choice: Choice,
        theme: str = "dark",
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        super().__init__()
        self._wall_ns = wall_ns
        self._attachment = attachment
        self._operator = operator
        self.choice = choice
        self._asked = choice  # contract and account as the person named them last, whether this run has them or not
        self.colours = theme_for(theme, self.console.color_system, self.no_color)
        self.ansi_color = self.colours.texture
        self.theme = "textual-light" if theme == "light" else "textual-dark"
        self.picture = Picture(self.colours)
        self._latency: deque[tuple[int, int]] = deque(maxlen=LATENCY_KEPT)
        self._told_ns = 0  # the status of which the latency was taken
        self._ticks = 0
        self.busy = ""  # the command that is under way

    def compose(self) -> ComposeResult:
        yield self.picture

    def on_mount(self) -> None:
        self.set_interval(FRAME_S, self._tick)
        self.draw()

    def _tick(self) -> None:
        """Under a dialog, where a frame costs several times as much, once a second is enough."""
        self._ticks += 1
        self._look_at_size()
        if len(self.screen_stack) == 1 or self._ticks % FRAMES_UNDER_DIALOG == 0:
            self.draw()

    def on_resize(self, event: Resize) -> None:
        self.draw(event.size)

    # ---------------------------------------------------------------------------------------------------- a frame
    def _look_at_size(self) -> None:
        """A terminal that changed its size without a word (a lost signal, a container's) is noticed all the same."""
        if self.is_headless:
            return
        with suppress(OSError, ValueError):
            columns, rows = os.get_terminal_size(sys.__stdout__.fileno() if sys.__stdout__ else 1)
            if columns and rows and (columns, rows) != tuple(self.size):
                self.post_message(Resize(Size(columns, rows), Size(columns, rows)))

    def draw(self, size: Size | None = None) -> None:
        """Look and draw; `size` where the terminal has just got another one."""
        width, height = size or self.size
        if width and height:
            self.picture.show(compose(self.frame(width), self.colours, width, height))

    def frame(self, width: int) -> Shown:
        """What is to be seen now."""
        view = self._attachment.look(self.choice.symbol) if self.choice.symbol else self._attachment.look()
        if view is None:
            return Shown(self.choice, {}, gone=self._attachment.gone)
        asked = self._wish()
        choice = chosen(asked, view.status())
        if choice.symbol != self.choice.symbol:
            view.refresh(choice.symbol)  # known only now
        self.choice = choice
        self._take_latency(view.status())
        age_s = status_age_s(view.status(), self._wall_ns())
        told = {"gone": self._attachment.gone, "age_s": age_s, "notice": not_had(asked, choice)}
        return look_at(view, choice, chart_columns(width), latency=tuple(self._latency), **told)

    def _wish(self) -> Choice:
        """The choice as the person means it: the next run may have what this one has not."""
        symbol, account = self._asked.symbol or self.choice.symbol, self._asked.account or self.choice.account
        return replace(self.choice, symbol=symbol, account=account)

    def _take_latency(self, status: dict[str, object]) -> None:
        told = status.get("latency_ns")
        written = status.get("written_ns")
        if isinstance(told, dict) and isinstance(written, int) and LATENCY_HOP in told and written != self._told_ns:
            self._told_ns = written
            self._latency.append((told[LATENCY_HOP]["p50"], told[LATENCY_HOP]["p99"]))

    # ------------------------------------------------------------------------------------------------------- keys
    def _choose(self, choice: Choice) -> None:
        self.choice = choice
        self.draw()

    def action_timeframe(self, place: int) -> None:
        self._choose(replace(self.choice, timeframe_min=TIMEFRAMES_MIN[place]))

    def action_contract(self, step: int) -> None:
        view = self._attachment.view
        symbols = list(view.status().get("contracts", {})) if view is not None else []
        self._asked = replace(self._asked, symbol=_next(symbols, self.choice.symbol, step))
        self._choose(replace(self.choice, symbol=self._asked.symbol))

    def action_account(self) -> None:
        view = self._attachment.view
        accounts = list(view.status().get("accounts", {})) if view is not None else []
        self._asked = replace(self._asked, account=_next(accounts, self.choice.account, 1))
        self._choose(replace(self.choice, account=self._asked.account))

    def action_zones(self) -> None:
        self._choose(replace(self.choice, zones=_next(list(ZONE_CHOICES), self.choice.zones, 1)))

    def action_panel(self, step: int) -> None:
        self._choose(replace(self.choice, panel=(self.choice.panel + step) % len(NARROW_PANELS)))

    def action_help(self) -> None:
        if not isinstance(self.screen, Help):
            self.push_screen(Help())

    def action_leave(self) -> None:
        """Leave; the engine goes on. A command that is under way is finished first, by the thread that does it."""
        self.exit(0)

    # -------------------------------------------------------------------------------------------------- commands
    def action_ask(self, verb: Verb) -> None:
        """Ask whether it is meant; what is carried out is what the dialog was opened for."""
        if self._operator is None or self.busy or isinstance(self.screen, Ask):
            return
        view = self._attachment.view
        if view is None or self._attachment.gone:
            self.notify("no engine runs here; `tbot kill` works without one", severity="warning")
            return
        account = self.choice.account if len(view.status().get("accounts", {})) > 1 else ""
        name = str(view.status()["accounts"][account]["name"]) if account else ""
        self.push_screen(Ask(verb, name, lambda dialog: self._begin(dialog, verb, account)))

    def _begin(self, dialog: Ask, verb: Verb, account: str) -> None:
        self.busy = verb
        number = int(account) if account else None
        self.run_worker(lambda: self._carry_out(dialog, verb, number), thread=True, exit_on_error=False)

    def _carry_out(self, dialog: Ask, verb: Verb, account: int | None) -> None:
        """In a thread: whatever goes wrong, the person hears that nothing is proven."""
        assert self._operator is not None
        try:
            outcome = self._operator.carry_out(verb, account, lambda words: self._tell(dialog.said, words))
        except Exception as error:
            what = f"{type(error).__name__}: {error}".rstrip(": ")
            outcome = Outcome(False, f"{verb} failed ({what}); nothing is proven, see tbot status")
        self._tell(self._end, dialog, outcome)

    def _tell(self, function: Callable[..., None], *arguments: object) -> None:
        """From the thread to the screen; a screen that has been left hears nothing."""
        if self.is_running:
            self.call_from_thread(function, *arguments)

    def _end(self, dialog: Ask, outcome: Outcome) -> None:
        self.busy = ""
        dialog.ended(outcome.done, outcome.text)
        if not dialog.is_current:
            self.notify(outcome.text, severity="information" if outcome.done else "error", timeout=30)
        self.draw()


def _next(known: list[str], now: str, step: int) -> str:
    """The one after (or before) the present one, around the corner; the present one when there are none."""
    if not known:
        return now
    return known[(known.index(now) + step) % len(known)] if now in known else known[0]
