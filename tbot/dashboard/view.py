"""The calm live view of `tbot run`: the status document and the latest events as one rich renderable.

Pure: no clock, no I/O; everything shown comes from its arguments. Meaning is never carried by colour alone.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from tbot.domain.contracts import PRODUCTS
from tbot.domain.process_messages import EngineEvent
from tbot.domain.words import profit_factor
from tbot.gateway.redact import plain

CHICAGO = ZoneInfo("America/Chicago")
BADGE_STYLE = {"DEMO": "black on grey70", "PAPER": "white on blue", "LIVE": "white on red", "REPLAY": "black on cyan"}
STATE_STYLE = {"ACTIVE": "bold green", "STARTING": "cyan", "RECONCILING": "cyan", "STOPPING": "yellow"}
KIND_STYLE = {
    "SIGNAL": "bold cyan",
    "INTENT": "cyan",
    "DENIAL": "yellow",
    "FILL": "bold white",
    "ROUND": "bold",
    "STATE": "magenta",
    "FEED": "blue",
    "ZONE": "bright_black",
    "SWEEP": "bright_black",
    "PROC": "red",
}
PATTERN_KINDS = ("ZONE", "SWEEP")
# Long hop names in the order in which a tick becomes an order.
HOPS = (
    ("frame_ring", "frame → ring"),
    ("frame_worker", "frame → worker"),
    ("frame_signal", "frame → signal"),
    ("signal_executor", "signal → executor"),
    ("signal_request", "signal → request"),
    ("rest", "REST answer"),
)
WIDE = 110
NAME_WIDTHS = (16, 24)  # of an account on a narrow and a wide screen; the firm's names have 24 signs
EVENTS_WANTED = 8  # lines; positions are told at length when so many are left for events


def clock_text(ns: int, zone: ZoneInfo) -> str:
    """Time of day with its zone, Chicago beside it: `16:30:12 EET · 08:30:12 CST`."""
    if not ns:
        return "--:--:--"
    when = datetime.fromtimestamp(ns / 1e9, UTC)
    own, chicago = when.astimezone(zone), when.astimezone(CHICAGO)
    return f"{own:%H:%M:%S %Z} · {chicago:%H:%M:%S %Z}"


def short_clock(ns: int, zone: ZoneInfo) -> str:
    """Time of day of an event; blanks when it has none."""
    return f"{datetime.fromtimestamp(ns / 1e9, UTC).astimezone(zone):%H:%M:%S}" if ns else " " * 8


def money(usd: float) -> str:
    """`+$151.00`, `−$48.00`, `$0.00`."""
    sign = "+" if usd > 0 else "−" if usd < 0 else ""
    return f"{sign}${abs(usd):,.2f}"


def money_text(usd: float) -> Text:
    """Money with its colour; the sign says the same."""
    return Text(money(usd), style="green" if usd > 0 else "red" if usd < 0 else "")


def duration(ns: float) -> str:
    """`85 µs`, `1.2 ms`, `2.5 s`."""
    if ns < 1e6:
        return f"{ns / 1e3:.0f} µs"
    return f"{ns / 1e6:.1f} ms" if ns < 1e9 else f"{ns / 1e9:.1f} s"


def event_line(event: EngineEvent, zone: ZoneInfo) -> Text:
    """One event as a line of text."""
    line = Text(short_clock(event.now_ns, zone), style="bright_black")
    line.append(f" {event.kind:<7}", style=KIND_STYLE.get(event.kind, ""))
    line.append(f"{event.contract:<4} " if event.contract else "     ")
    line.append(event.text)
    return line


def newest(events: list[EngineEvent], room: int) -> list[EngineEvent]:
    """The last `room` events; patterns take at most half of it while there is something else to tell.

    On the hour six contracts have dozens of new zones at once: they shall not push a signal or a fill off the screen.
    """
    others = sum(event.kind not in PATTERN_KINDS for event in events)
    patterns = max(room // 2, room - others)
    shown: list[EngineEvent] = []
    for event in reversed(events):
        if len(shown) == room:
            break
        if event.kind in PATTERN_KINDS:
            patterns -= 1
            if patterns < 0:
                continue
        shown.append(event)
    return shown[::-1]


def render(
    status: Mapping[str, Any], events: Iterable[EngineEvent], zone: ZoneInfo, width: int = 120, height: int = 40
) -> RenderableType:
    """The whole view. `events` oldest first; as many of the newest are shown as there is room for."""
    several = len(status["accounts"]) > 1
    positions = _positions(status)
    latency = _latency(status, width)
    used = 9 + len(latency) + len(status["contracts"]) + (len(status["accounts"]) if several else len(positions) or 1)
    if several and height - used - len(positions) >= EVENTS_WANTED:
        used += len(positions)
    elif several:
        positions = []  # each account's line has them in short
    room = max(3, height - used)
    lines = Text("\n").join(_cut(event_line(event, zone), width - 4) for event in newest(list(events), room))
    parts: list[RenderableType] = [
        _header(status, zone, width),
        _contracts(status, width),
        _account(status, positions, width),
        *latency,
        Panel(lines, title="Events", title_align="left", border_style="bright_black", height=room + 2),
    ]
    return Group(*parts)


def _cut(text: Text, width: int) -> Text:
    text.truncate(max(10, width), overflow="ellipsis")
    return text


def _header(status: Mapping[str, Any], zone: ZoneInfo, width: int) -> RenderableType:
    badge = status["badge"]
    left = Text(f" {badge} ", style=BADGE_STYLE.get(badge, "reverse"))
    left.append(f" {clock_text(status['market_ns'], zone)}", style="bold default on default")
    if status["speed"] not in (0, 1):
        left.append(f" ×{status['speed']:g}", style="bright_black on default")
    left.append("  ", style="default on default")
    state = Text()
    state.append(status["state"], style=STATE_STYLE.get(status["state"], "bold yellow"))
    pnl = Text("  day ")
    pnl.append_text(money_text(status["pnl_usd"]))
    pnl.append("  open ")
    pnl.append_text(money_text(status["open_usd"]))
    top = Text.assemble(left, state, pnl)
    lines = [_cut(top, width)]
    reason = status["reason"]
    if reason and status["state"] != "ACTIVE":
        codes = " ".join(status["reasons"])
        lines.append(_cut(Text(f" {reason}" + (f" ({codes})" if codes else ""), style="yellow"), width))
    else:
        lines.append(Text(""))
    return Group(*lines)


def _price(symbol: str, ticks: int | None) -> str:
    return PRODUCTS[symbol].format(ticks) if ticks is not None else "-"


def _contracts(status: Mapping[str, Any], width: int) -> RenderableType:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bright_black")
    table.add_column("")
    for name in ("last", "ticks/s", "1m bars", "zones"):
        table.add_column(name, justify="right")
    if width >= WIDE:
        for name in ("5m", "15m", "30m", "1h"):
            table.add_column(name, justify="right", style="bright_black")
        table.add_column("age", justify="right")
    table.add_column("signals", justify="right")
    table.add_column("last signal")
    for symbol, contract in status["contracts"].items():
        zones = contract["zones"]
        row: list[RenderableType] = [
            Text(symbol, style="bold" if contract["live"] else "bright_black"),
            _price(symbol, contract["last_price"]),
            f"{contract['ticks_per_s']:.0f}",
            str(contract["bars"].get("1m", 0)),
            str(sum(zones.values())),
        ]
        if width >= WIDE:
            row += [str(zones.get(name, 0)) for name in ("5m", "15m", "30m", "1h")]
            age = contract["last_tick_age_s"]
            row.append("-" if age is None else f"{age:.1f} s")
        row.append(str(contract["signals"]))
        signal, trouble = contract["last_signal"], contract.get("barred") or contract.get("hole")
        if trouble:
            text = Text(trouble, style="yellow")
        elif signal:
            text = Text(f"{signal['side']} {signal['score']:.0f}", style="green" if signal["side"] == "long" else "red")
        else:
            text = Text("warming up" if not contract["live"] else "", style="bright_black")
        row.append(text)
        table.add_row(*row)
    return table


def _positions(status: Mapping[str, Any]) -> list[tuple[str, Text]]:
    """(account, line) of every position."""
    return [
        (number, _position(held)) for number, account in status["accounts"].items() for held in account["positions"]
    ]


def _position(held: Mapping[str, Any]) -> Text:
    symbol = held["contract"]
    line = Text(f" {symbol} {'long' if held['side'] > 0 else 'short'} {held['size']}", style="bold")
    entry = PRODUCTS[symbol].format(round(held["entry"])) if symbol in PRODUCTS else held["entry"]
    line.append(f" @ {entry}", style="not bold")
    for name in ("stop", "target"):
        line.append(f"  {name} {_price(symbol, held[name])}", style="not bold")
    if not held["protected"]:
        line.append("  NOT PROTECTED", style="bold red")
    line.append("  open ", style="not bold")
    line.append_text(money_text((held["unrealised_cents"] or 0) / 100))
    return line


def _account(status: Mapping[str, Any], positions: list[tuple[str, Text]], width: int) -> RenderableType:
    trips, wins = status["round_trips"], status["wins"]
    line = Text(f"\n round trips {trips}", style="")
    line.append(f"  won {wins}")
    line.append(f"  profit factor {profit_factor(status['profit_factor'], wins)}")
    line.append(f"  drawdown {money(-status['drawdown_usd']) if status['drawdown_usd'] else '$0.00'}")
    denied = sum(status["denials"].values())
    line.append(f"  taken {status['intents']}  denied {denied}")
    rows = [line]
    if len(status["accounts"]) > 1:
        for number, account in status["accounts"].items():
            rows.append(_account_line(account, NAME_WIDTHS[width >= WIDE]))
            rows += [Text("  ") + text for owner, text in positions if owner == number]
    else:
        rows += [text for _, text in positions] or [Text(" flat", style="bright_black")]
    return Group(*(_cut(row, width) for row in rows))


def _account_line(account: Mapping[str, Any], name_width: int) -> Text:
    """One of several accounts: name, state, money, what it holds or why it holds nothing."""
    name, state = plain(account["name"], 80), account["state"]
    if len(name) > name_width:
        name = f"…{name[1 - name_width :]}"  # the end tells accounts of one owner apart
    line = Text(f" {name:<{name_width}} ", style="bold")
    line.append(f"{state:<11}", style=f"not bold {STATE_STYLE.get(state, 'bold yellow')}")
    for label, cents in (("day", account["day_pnl_cents"]), ("open", account["unrealised_cents"])):
        text = money_text(cents / 100)
        line.append(f" {label} ", style="not bold bright_black")
        line.append_text(text)
        line.append(" " * max(0, 9 - len(text)))
    held = " ".join(f"{place['contract']} {place['side'] * place['size']:+d}" for place in account["positions"])
    if not all(place["protected"] for place in account["positions"]):
        line.append("NOT PROTECTED ", style="bold red")
    line.append(held or ("flat" if state == "ACTIVE" else account["text"]), style="bold" if held else "bright_black")
    return line


def _latency(status: Mapping[str, Any], width: int) -> list[Text]:
    """Median and 99th percentile of each hop, in as many lines as they need."""
    lines: list[Text] = []
    for hop, name in HOPS:
        figures = status["latency_ns"].get(hop)
        if figures:
            text = Text("  " if lines else " latency p50/p99  ", style="bright_black")
            text.append(f"{name} ")
            text.append(f"{duration(figures['p50'])}", style="default")
            text.append(f"/{duration(figures['p99'])}")
            if lines and len(lines[-1]) + len(text) <= width:
                lines[-1].append_text(text)
            else:
                lines.append(text)
    return lines or [Text(" latencies appear with the first ticks (p50/p99)", style="bright_black")]
