"""Dialogs of the terminal dashboard: help, and the question before a command together with its truthful progress."""

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

HELP = """\
[b]T-BOT dashboard[/b]   it only looks; leaving it leaves the engine running

 [b]1[/b]–[b]5[/b]     timeframe: 1m, 5m, 15m, 30m, 1h
 [b]c[/b] [b]C[/b]     next, previous contract
 [b]a[/b]       next account
 [b]z[/b]       zones: order blocks and breakers, + gaps, + levels, none
 [b]v[/b] [b]V[/b]     next, previous panel (narrow screens)

 [b]p[/b] [b]r[/b]     pause entries, resume
 [b]X[/b]       flatten: close what is T-BOT's, then pause
 [b]K[/b]       kill: close everything, lock until the next trading day
 [b]q[/b]       leave

 ▲ ▼ a signal that was traded   △ ▽ one that was denied
 ◆ ◇ end of a trade: won, lost  ╌ entry, stop, target
 shaded or hatched: demand below, supply above; paler once tested"""

WORDS = {
    "pause": ("Pause entries?", "No new trades; open positions keep their stops and targets.", ""),
    "resume": ("Resume entries?", "T-BOT may trade again.", ""),
    "flatten": (
        "Flatten?", "Cancels T-BOT's orders, closes its positions, then stays paused until resume.", "FLATTEN",
    ),
    "kill": (
        "KILL: close everything and lock?",
        "Also closes what you opened by hand. Locked until the next trading day (17:00 Chicago); no way back before.",
        "KILL",
    ),
}  # fmt: skip


class Help(ModalScreen[None]):
    """The keys. Any of them closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,question_mark,h,q,enter,space", "dismiss")]
    DEFAULT_CSS = """
    Help { align: center middle; }
    Help > Static { width: 76; max-width: 100%; height: auto; max-height: 100%; padding: 0 2; border: round $primary; }
    """

    def compose(self) -> ComposeResult:
        yield Static(HELP)


class Ask(ModalScreen[None]):
    """Asks whether a command is meant, then shows what is said while it is carried out.

    Never says more than it was told: `flat` stands here only when it came as a proven end.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "close"), Binding("enter", "confirm")]
    DEFAULT_CSS = """
    Ask { align: center middle; }
    Ask > Vertical { width: 72; max-width: 100%; height: auto; max-height: 100%; padding: 0 2; border: round $warning; }
    Ask.kill > Vertical { border: heavy $error; }
    Ask Static { width: 100%; height: auto; }
    Ask #title { text-style: bold; }
    Ask Input { height: 3; }
    """

    def __init__(self, verb: str, account: str, on_yes: Callable[["Ask"], None]) -> None:
        super().__init__(classes=verb)
        self.verb = verb
        self._account = account
        self._on_yes = on_yes
        self._lines: list[str] = []
        self.state = "asking"  # asking, running, done, failed
        self._mistyped = False

    def compose(self) -> ComposeResult:
        title, words, typed = WORDS[self.verb]
        whose = f"Account {self._account}." if self._account else "All accounts of this run."
        with Vertical():
            yield Static(title, id="title", markup=False)
            yield Static(f"{words} {whose}", markup=False)
            if typed:
                yield Input(placeholder=f"type {typed}", max_length=16)
            yield Static(self._keys(), id="keys", markup=False)
            yield Static("", id="lines", markup=False)

    def _keys(self) -> str:
        if self.state == "asking":
            typed = WORDS[self.verb][2]
            if not typed:
                return "Enter: yes · Esc: leave it"
            if self._mistyped:
                return f"nothing is done: the word is {typed}, in capitals; type it and press Enter · Esc: leave it"
            return f"type {typed} and press Enter · Esc: leave it"
        if self.state == "running":
            return "asked … Esc hides this; it goes on"
        return "Esc closes"

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if event.value.strip() == WORDS[self.verb][2]:
            self._go()
        else:
            self._mistyped = True
            self._show()

    def action_confirm(self) -> None:
        if not WORDS[self.verb][2]:
            self._go()

    def _go(self) -> None:
        if self.state != "asking":
            return
        self.state = "running"
        for field in self.query(Input):
            field.remove()
        self._show()
        self._on_yes(self)

    def action_close(self) -> None:
        self.dismiss()

    def said(self, words: str) -> None:
        """A sentence of whoever carries it out."""
        self._lines.append(words)
        self._show()

    def ended(self, done: bool, text: str) -> None:
        """The end, as far as it is known."""
        self.state = "done" if done else "failed"
        self._lines.append(f"{'✓' if done else '✗'} {text}")
        self._show()

    def _show(self) -> None:
        if not self.is_current:  # closed: it is not there any more
            return
        self.query_one("#keys", Static).update(self._keys())
        self.query_one("#lines", Static).update("\n".join(self._lines[-12:]))
        self.set_class(self.state == "failed", "kill")
