"""`tbot demo`: the guided tour. The engine as `tbot run` starts it, on a fast made-up market, told in plain words.

Why these numbers: in the first 16 minutes of this seed's market there are a trade that wins, two that lose and the lock
that follows two losses in a row, each about when a reader is ready for it. It says nothing about odds.
"""

import textwrap
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from tbot.commands.options import Filled
from tbot.commands.show import LastingScreen, Screen, drive, final_document
from tbot.dashboard.view import KIND_STYLE, money, short_clock
from tbot.domain.process_messages import EngineEvent
from tbot.domain.words import plural
from tbot.engine.clocks import boot_ns

if TYPE_CHECKING:
    from rich.console import Console

    from tbot.engine.supervisor import Supervisor

CONTRACTS = ("MNQ", "MES", "MGC")
SPEED, SEED, LENGTH = 30.0, 45, "45s"
MOST_ZONES = 4  # lines: there are dozens
WIDEST = 100

# Said once, under the first event of its kind.
MEANINGS = {
    "ZONE": "A zone is a price range that the market once left with force. T-BOT waits until price comes back to it.",
    "SWEEP": "A sweep: price ran through a level where stops lie, and turned back.",
    "SIGNAL": "A signal: price came back to a zone and turned there. Zone, trigger, trends and neighbours make the "
    "score; below 60 nothing is traded.",
    "INTENT": "The desk decides whether, and how much: the size follows from the distance of the stop, with at most "
    "$200 at risk. Stop and target go to the broker together with the entry.",
    "DENIAL": "The desk said no, and why. docs/faults.md explains every code in brackets.",
    "FILL": "Filled. From here on a stop at the broker protects the position, even with this machine off.",
    "ROUND": "A round trip is over. The amount is what is left after commissions and fees.",
}
LOCKED = (
    "The firm's rules and yours bind every trade. After two losses in a row nothing is opened before the next trading "
    "day; open positions keep their stops and targets."
)
NEXT = (
    ("tbot trades", "what you just saw, trade by trade; tbot signals --explain ID tells why each was given"),
    ("tbot run", "the same on a live screen, with six contracts, until Ctrl-C"),
    ("tbot config init", "settings of your own; then tbot doctor, and docs/going-paper.md"),
)


class Story(Screen):
    """Tells a run line by line. Close prints the summary: the last status is known by then."""

    def __init__(self, console: "Console", zone: ZoneInfo) -> None:
        self._console = console
        self._zone = zone
        self._width = min(console.width, WIDEST)
        self._told: set[str] = set()
        self._zones = 0
        self._started_ns = boot_ns()
        self._ready_s = 0.0
        self._state = ""
        self._last: dict[str, Any] = {}
        self._line("", f"A made-up market, {SPEED:g} times as fast as a real one: {', '.join(CONTRACTS)}.")
        self._line("", "No account, no network, nothing at risk. Ctrl-C closes what is open and ends.")
        self._line("", "Starting gateway, executor, feed and workers ...")

    def event(self, event: EngineEvent) -> None:
        kind = event.kind
        if kind in ("FEED", "ORDER"):
            return
        if kind in ("ZONE", "SWEEP"):
            self._zones += 1
            if self._zones > MOST_ZONES and kind in self._told:
                return
        if kind == "PROC":
            kind = "NOTE"
        self._line(f"{short_clock(event.now_ns, self._zone)} {kind:<7}{event.contract:<5}", event.text, kind)
        meaning = LOCKED if kind == "STATE" and "RC_CONSEC_LOSSES" in event.text else MEANINGS.get(kind)
        if meaning is not None and kind not in self._told:
            self._line(" " * 9, f"› {meaning}", "", "dim")
        if meaning is not None:
            self._told.add(kind)

    def draw(self, supervisor: "Supervisor") -> None:
        self._last = supervisor.status()
        if not self._ready_s and supervisor.ready():
            self._ready_s = (boot_ns() - self._started_ns) / 1e9
            where = f"Times are the market's, in {self._zone.key}; it is the New York open."
            self._line("", f"Ready after {self._ready_s:.1f} s. {where}")
        state = str(self._last["state"])
        if state == "STOPPING" and self._state != state:
            self._line("", "Time is up: no new trades, and what is open is closed.")
        self._state = state

    def close(self) -> None:
        """The summary and what to do next."""
        if not self._last:
            return
        self._console.print()
        if not self._last["accounts"]:
            self._line("", "It did not come to trading: the processes did not start, or this machine is too busy now.")
            self._line("", "Try again in a minute; tbot doctor looks at this machine.")
            return
        for name, text in summary(self._last):
            self._line(f"{name:<14}", text)
        self._console.print()
        self._line("", "Whether it won or lost here means nothing: the market is made up, and the time is short.")
        self._line("", "Its journal is on record, but temporary: a later run removes it.")
        self._line("", "Next:")
        for command, text in NEXT:
            self._line(f"  {command:<18}", text)

    def _line(self, head: str, text: str, kind: str = "", style: str = "") -> None:
        from rich.text import Text

        room = max(30, self._width - len(head))
        lines = textwrap.wrap(text, room, break_on_hyphens=False) or [""]
        first = Text(head[:9], style="bright_black") + Text(head[9:], style=KIND_STYLE.get(kind, ""))
        for number, line in enumerate(lines):
            start = first if number == 0 else Text(" " * len(head))
            self._console.print(start + Text(line, style=style), no_wrap=True, overflow="ignore", crop=False)


def summary(status: dict[str, Any]) -> list[tuple[str, str]]:
    """What the run came to: (name, words)."""
    contracts = status["contracts"].values()
    ticks = sum(contract["ticks"] for contract in contracts)
    bars = sum(contract["bars"].get("1m", 0) for contract in contracts)
    zones = sum(sum(contract["zones"].values()) for contract in contracts)
    signals = sum(contract["signals"] for contract in contracts)
    denied = ", ".join(f"{code} {count}" for code, count in sorted(status["denials"].items()))
    rows = [
        ("market", f"{ticks:,} ticks, {bars:,} one-minute bars, {zones:,} zones alive"),
        ("signals", f"{signals} given, {status['intents']} traded, {sum(status['denials'].values())} refused"
         + (f" ({denied})" if denied else "")),
        ("trades", f"{plural(status['round_trips'], 'round trip')}, {status['wins']} of them won, "
         f"{money(status['pnl_usd'])} after costs"),
    ]  # fmt: skip
    hop = status["latency_ns"].get("frame_signal")
    if hop:
        rows.append(("speed", f"{hop['p50'] / 1e6:.2f} ms from a price at the socket to a signal (median here, now)"))
    rows.append(("state", f"{status['state']} {status['reason']}".strip()))
    return rows


@click.command()
@click.option(
    "--for", "duration", default=LENGTH, show_default=True, metavar="TIME", type=Filled(), help="Length from ready."
)
@click.option("--tz", default="Europe/Helsinki", show_default=True, help="Time zone of the times.")
@click.option("--json", "json_output", is_flag=True, help="No words; one JSON document at the end.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def demo(duration: str, tz: str, json_output: bool, debug: bool) -> int:
    """Watch T-BOT work for 45 seconds, and be told what happens and why.

    A made-up market, real processes, paper money. Needs no account, no network and no settings, and reads none.
    """
    from rich.console import Console

    from tbot.commands.options import parse_duration_s, parse_zone
    from tbot.engine.supervisor import Supervisor

    zone, for_s = parse_zone(tz), parse_duration_s(duration)
    settings, specs, listener = _plan()
    screen = LastingScreen(Screen() if json_output else Story(Console(highlight=False), zone))
    supervisor = Supervisor(settings, specs, screen.event)
    code = drive(supervisor, screen, for_s, False, listener.close)
    if json_output:
        import orjson

        document = {**final_document(supervisor.status()), "schema": "tbot.demo", "version": 1}
        click.echo(orjson.dumps(document, option=orjson.OPT_NON_STR_KEYS).decode())
    return code


def _plan() -> Any:
    from tbot.commands import launch
    from tbot.commands.options import parse_time_ns
    from tbot.config import Config, EngineConfig

    config = Config(engine=EngineConfig(contracts=CONTRACTS))
    spec, url, credentials, listener = launch.embedded_gateway(
        CONTRACTS, SPEED, SEED, parse_time_ns(launch.DEMO_START), config.engine.history_days
    )
    gateway = launch.gateway_settings(url, "", "", simulated=True, embedded=True)
    settings = launch.base_settings(
        config, "sim", state_dir=None, symbols=CONTRACTS, accounts=(), gateway=gateway, template_hours=True
    )
    return settings, [spec, *launch.engine_specs(settings, credentials)], listener
