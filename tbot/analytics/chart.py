"""Pictures of what the detectors found: candles with the marks a trader would draw (matplotlib, never its pyplot).

The horizontal axis counts bars, so that halts and weekends take no room; its labels are local times. A mark begins at
the close at which it became known; a dotted outline leads back to the candle it was drawn from.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np

from tbot.analytics.bar_tables import BadArgument
from tbot.analytics.chart_labels import Labels
from tbot.analytics.detect import Found
from tbot.analytics.event_files import decimals_of
from tbot.analytics.marks import PERIOD_NAMES, Band, Line, Marks, Point, marks_of, most_relevant
from tbot.domain.timeframes import NAMES, NS_PER_MIN, NS_PER_S
from tbot.errors import ConfigError, missing_extra
from tbot_ext.params import default_params
from tbot_ext.records import EventCode, Flag

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# By suffix; no dates: the same input shall give the same bytes.
_METADATA: dict[str, dict[str, Any]] = {
    ".png": {"Software": "T-BOT"}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None},
}  # fmt: skip
SUFFIXES = tuple(_METADATA)
CHICAGO = ZoneInfo("America/Chicago")
INK, DIM, FAINT, PAPER, PANEL = "#d1d4dc", "#8b93a3", "#242a36", "#0f141b", "#131a23"
UP, DOWN = "#26a69a", "#ef5350"
# demand, supply; opacity; hatch
_LOOKS: dict[str, tuple[str, str, float, str]] = {
    "OB": ("#26a69a", "#ef5350", 0.26, ""),
    "FVG": ("#4c9be8", "#f0a040", 0.20, ""),
    "IFVG": ("#4c9be8", "#f0a040", 0.08, "..."),
    "BREAKER": ("#26a69a", "#ef5350", 0.09, "///"),
    "MITIGATION": ("#26a69a", "#ef5350", 0.09, "\\\\\\"),
    "LEVEL": ("#9aa4b8", "#9aa4b8", 0.16, ""),
}
_NAMES = {"MITIGATION": "MB", "BREAKER": "BRK", "LEVEL": "S/R", "CHOCH": "CHoCH"}
# Of a kind: living ones (the nearest) and past ones (the best); more would hide the candles.
_MOST = {"OB": (5, 3), "FVG": (3, 2), "BREAKER": (2, 1), "MITIGATION": (1, 0), "IFVG": (2, 1), "LEVEL": (3, 0)}
_POOLS = 6
_RIGHT = 0.13  # room for labels, as a share of the bars
_PICTURE = (16.0, 9.0, 100)  # inches and dots per inch: 1600 x 900


@dataclass(frozen=True, slots=True)
class MarkedTrade:
    """A signal to draw: UTC ns of its decision and of its end (None: still open), side, and prices."""

    time_ns: int
    side: int
    entry: float
    stop: float
    target: float
    label: str = ""
    end_ns: int | None = None


@dataclass(frozen=True, slots=True)
class _Sheet:
    """What the parts of a drawing share."""

    axes: "Axes"
    found: Found
    first: int  # number of the leftmost bar
    labels: Labels

    def x(self, bar: float) -> float:
        return bar - self.first

    def price(self, ticks: int) -> float:
        return float(self.found.tick * ticks)

    @property
    def right(self) -> float:
        return self.x(len(self.found.bars)) - 0.5

    def text(self, ticks: int) -> str:
        return f"{self.found.tick * ticks:,.{decimals_of(self.found.tick)}f}".replace(",", " ")


def check_target(path: Path) -> None:
    """ConfigError when a picture cannot be written as asked, before any work is done."""
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"{path.name}: pictures are written as {', '.join(SUFFIXES)}")
    _figure_class()


def _figure_class() -> "type[Figure]":
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise missing_extra("a picture", "matplotlib", "report") from None
    return Figure


def save_chart(found: Found, path: Path, **options: Any) -> None:
    """Draw (`draw_chart` with these options) and write a PNG, SVG or PDF; the same input gives the same bytes."""
    check_target(path)
    from matplotlib import rc_context

    with rc_context({"svg.hashsalt": "tbot", "svg.fonttype": "none", "hatch.linewidth": 0.5}):
        metadata: dict[str, Any] = dict(_METADATA[path.suffix.lower()])
        figure = draw_chart(found, **options)
        figure.savefig(path, dpi=_PICTURE[2], facecolor=PAPER, metadata=metadata)


def draw_chart(
    found: Found,
    *,
    name: str = "",
    kinds: Collection[EventCode] | None = None,
    zone: ZoneInfo | None = None,
    last: int = 150,
    trades: Sequence[MarkedTrade] = (),
) -> "Figure":
    """The last bars with their marks. `kinds`: only these; `zone`: of the time labels, default Europe/Helsinki."""
    if not len(found.bars):
        raise BadArgument("there are no bars to draw")
    count = len(found.bars)
    first = max(0, count - last)
    marks = marks_of(found.events, kinds if kinds is not None else tuple(EventCode), first, count - 1)
    figure = _figure_class()(figsize=_PICTURE[:2], dpi=_PICTURE[2], facecolor=PAPER)
    axes = figure.add_axes((0.012, 0.175, 0.928, 0.755))
    volumes = figure.add_axes((0.012, 0.075, 0.928, 0.095), sharex=axes)
    bars = found.bars[first:]
    low, high = float(found.tick * int(bars["low"].min())), float(found.tick * int(bars["high"].max()))
    room = max(high - low, float(found.tick) * 4) * 0.07
    axes.set_xlim(-1.0, len(bars) * (1 + _RIGHT) + 2)
    axes.set_ylim(low - room, high + room)
    _style(axes)
    _style(volumes)
    sheet = _Sheet(axes, found, first, Labels(axes))
    _time_axis(sheet, volumes, zone or ZoneInfo("Europe/Helsinki"))
    _candles(sheet)
    _volume(sheet, volumes)
    _draw_marks(sheet, marks)
    _draw_trades(sheet, trades)
    sheet.labels.finish()
    _last_price(sheet)
    _title(figure, found, name, bars, zone or ZoneInfo("Europe/Helsinki"))
    return figure


# ---------------------------------------------------------------- the sheet
def _style(axes: "Axes") -> None:
    axes.set_facecolor(PANEL)
    axes.yaxis.tick_right()
    axes.tick_params(colors=INK, labelsize=9, length=0, pad=6)
    axes.grid(True, color=FAINT, linewidth=0.7)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_color("#2a3240")
    axes.ticklabel_format(axis="y", style="plain", useOffset=False)


def _candles(sheet: _Sheet) -> None:
    from matplotlib.collections import LineCollection, PolyCollection

    bars = sheet.found.bars[sheet.first :]
    tick = float(sheet.found.tick)
    opens, highs, lows, closes = (bars[name] * tick for name in ("open", "high", "low", "close"))
    x = np.arange(len(bars), dtype=float)
    colours = [UP if up else DOWN for up in closes >= opens]
    wicks = [((k, low), (k, high)) for k, low, high in zip(x, lows, highs, strict=True)]
    width = 0.36
    flat = 0.0012 * (highs.max() - lows.min())  # a doji is a dash, not nothing
    bottoms = np.minimum(opens, closes)
    tops = np.maximum(np.maximum(opens, closes), bottoms + flat)
    bodies = [
        ((k - width, b), (k + width, b), (k + width, t), (k - width, t))
        for k, b, t in zip(x, bottoms, tops, strict=True)
    ]
    sheet.axes.add_collection(LineCollection(wicks, colors=colours, linewidths=1.0, zorder=3, gid="wicks"))
    sheet.axes.add_collection(PolyCollection(bodies, facecolors=colours, edgecolors="none", zorder=4, gid="bodies"))


def _volume(sheet: _Sheet, axes: "Axes") -> None:
    bars = sheet.found.bars[sheet.first :]
    colours = [UP if up else DOWN for up in bars["close"] >= bars["open"]]
    axes.bar(np.arange(len(bars)), bars["volume"], width=0.72, color=colours, alpha=0.55)
    top = max(int(bars["volume"].max()), 1)
    axes.set_ylim(0, top * 1.1)
    axes.set_yticks([top])
    axes.set_yticklabels([f"{top / 1000:.1f}K" if top >= 1000 else str(top)])
    axes.text(0.004, 0.9, "Volume", transform=axes.transAxes, color=DIM, fontsize=8, va="top")


def _time_axis(sheet: _Sheet, volumes: "Axes", zone: ZoneInfo) -> None:
    """Local times of round bars, Chicago below; a line where trading paused, the date where the day changes."""
    bars = sheet.found.bars[sheet.first :]
    times = [datetime.fromtimestamp(int(ns) // NS_PER_S, zone) for ns in bars["start_ns"]]
    step = _label_step(len(bars), sheet.found.timeframe_min)
    places, texts, seen, day = [], [], -1e9, None
    for k, time in enumerate(times):
        wanted = (time.hour * 60 + time.minute) % step == 0 or bars["flags"][k] & int(Flag.SESSION_BREAK)
        if not wanted or k < len(bars) / 40 or k - seen < len(bars) / 16:
            continue
        head = (
            f"{time:%H:%M}"
            if time.date() == day
            else f"{time:%a %d %b %H:%M}"
            if step >= 1440
            else f"{time:%d %b %H:%M}"
        )
        chicago = time.astimezone(CHICAGO)
        places.append(k)
        texts.append(f"{head}\n{chicago:%H:%M} CT")
        seen, day = k, time.date()
    volumes.set_xticks(places)
    volumes.set_xticklabels(texts, fontsize=9, linespacing=1.35)
    sheet.axes.tick_params(labelbottom=False)
    for place in np.flatnonzero(bars["flags"] & int(Flag.SESSION_BREAK)):
        for axes in (sheet.axes, volumes):
            axes.axvline(float(place) - 0.5, color="#4a5568", linewidth=0.9, linestyle=(0, (1, 3)), zorder=1)


def _label_step(bars: int, timeframe_min: int) -> int:
    """Minutes between time labels: at most sixteen of them."""
    steps = (5, 10, 15, 30, 60, 120, 180, 240, 360, 720, 1440)
    return next((step for step in steps if step * 16 >= bars * timeframe_min), 1440)


def _last_price(sheet: _Sheet) -> None:
    bar = sheet.found.bars[-1]
    price = sheet.price(int(bar["close"]))
    colour = UP if bar["close"] >= bar["open"] else DOWN
    sheet.axes.axhline(price, color=colour, linewidth=0.8, linestyle=(0, (1, 2)), zorder=2)
    sheet.axes.annotate(
        sheet.text(int(bar["close"])),
        (1.0, price),
        xycoords=("axes fraction", "data"),
        xytext=(3, 0),
        textcoords="offset points",
        va="center",
        color="white",
        fontsize=9,
        fontweight="bold",
        bbox={"boxstyle": "square,pad=0.25", "facecolor": colour, "edgecolor": "none"},
        annotation_clip=False,
        zorder=9,
    )
    places = decimals_of(sheet.found.tick)
    sheet.axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.{places}f}".replace(",", " "))


def _title(figure: "Figure", found: Found, name: str, bars: Any, zone: ZoneInfo) -> None:
    begin, end = (int(bars["start_ns"][0]), int(bars["start_ns"][-1]) + found.timeframe_min * NS_PER_MIN)
    times = [datetime.fromtimestamp(ns // NS_PER_S, zone) for ns in (begin, end)]
    span = f"{times[0]:%a %d %b %Y %H:%M} to {times[1]:%a %d %b %H:%M} {times[1]:%Z} ({zone.key})"
    defaults = default_params()[found.timeframe_min].as_dict()
    changed = [f"{key}={value}" for key, value in found.params.as_dict().items() if value != defaults[key]]
    figure.text(0.012, 0.966, f"{name}  ·  {NAMES[found.timeframe_min]}".strip(" ·"), color="white", fontsize=14,
                fontweight="bold", va="center", parse_math=False)  # fmt: skip
    figure.text(0.94, 0.974, f"{len(bars)} bars, {span}", color=DIM, fontsize=9, va="center", ha="right")
    figure.text(0.94, 0.95, f"parameters: {', '.join(changed) or 'default'} · each mark begins when it became known",
                color=DIM, fontsize=9, va="center", ha="right", parse_math=False)  # fmt: skip


# ---------------------------------------------------------------- marks
def _draw_marks(sheet: _Sheet, marks: Marks) -> None:
    price = int(sheet.found.bars["close"][-1])
    low, high = sheet.axes.get_ylim()
    inside = [band for band in marks.bands if sheet.price(band.top) >= low and sheet.price(band.bottom) <= high]
    for line in marks.lines:
        if line.kind in ("BOS", "CHOCH", "MSS"):
            _draw_break(sheet, line)
    for band in most_relevant(inside, price, _MOST):
        _draw_band(sheet, band)
    _draw_points(sheet, marks.points)
    _draw_pools(sheet, [line for line in marks.lines if line.kind == "POOL"], price)
    _draw_periods(sheet, [line for line in marks.lines if line.kind in PERIOD_NAMES])


def _draw_band(sheet: _Sheet, band: Band) -> None:
    from matplotlib.patches import Rectangle

    demand, supply, opacity, hatch = _LOOKS[band.kind]
    colour = demand if band.side > 0 else supply
    left = max(sheet.x(band.known + 0.5), -1.0)
    right = sheet.right + 2 if band.end is None else max(sheet.x(band.end + 0.5), left + 0.4)
    bottom, height = sheet.price(band.bottom), sheet.price(band.top) - sheet.price(band.bottom)
    faded = 1.0 if band.end is None else 0.45
    box = Rectangle((left, bottom), right - left, height, zorder=2, gid=f"band:{band.kind}:{band.id}")
    box.set_facecolor((*_rgb(colour), opacity * faded))
    box.set_edgecolor((*_rgb(colour), (0.32 if hatch else 0.8) * faded))
    box.set_linewidth(0.9 if band.kind != "LEVEL" else 0.0)
    box.set_linestyle("-" if band.state == "active" else (0, (4, 2)))
    if hatch:
        box.set_hatch(hatch)
    sheet.axes.add_patch(box)
    if band.origin < band.known and band.kind != "LEVEL" and sheet.x(band.known) > 0:
        start = max(sheet.x(band.origin - 0.5), -1.0)
        lead = Rectangle((start, bottom), left - start, height, zorder=2, gid=f"lead:{band.kind}:{band.id}")
        lead.set_facecolor("none")
        lead.set_edgecolor((*_rgb(colour), 0.5 * faded))
        lead.set_linestyle((0, (1, 2)))
        lead.set_linewidth(0.9)
        sheet.axes.add_patch(lead)
    _label_band(sheet, band, left, right, colour, faded)


def _label_band(sheet: _Sheet, band: Band, left: float, right: float, colour: str, faded: float) -> None:
    """Living zones are named at the right edge, past ones inside if there is room."""
    sign = "+" if band.side > 0 else "−"
    score = f" {band.score:.0f}" if band.kind == "OB" else ""
    if band.kind == "LEVEL":
        text = f"{'S' if band.side > 0 else 'R'} ×{max(band.n, 2)}"
    else:
        state = "" if band.state in ("active", "inverted") else f" {band.state}"
        text = f"{sign}{_NAMES.get(band.kind, band.kind)}{score}{state}"
    middle = (sheet.price(band.top) + sheet.price(band.bottom)) / 2
    if band.end is None:
        sheet.labels.right(sheet.right + 2.4, middle, text, colour)
    else:
        sheet.labels.inside(left + 0.3, right, middle, text, colour, faded)


def _rgb(colour: str) -> tuple[float, float, float]:
    return int(colour[1:3], 16) / 255, int(colour[3:5], 16) / 255, int(colour[5:7], 16) / 255


def _draw_break(sheet: _Sheet, line: Line) -> None:
    colour = UP if line.side > 0 else DOWN
    left, right, price = max(sheet.x(line.origin), -1.0), sheet.x(line.known), sheet.price(line.price)
    strong = line.kind != "BOS"
    sheet.axes.plot(
        [left, right],
        [price, price],
        color=colour,
        linewidth=1.3 if strong else 1.0,
        linestyle="-" if strong else (0, (4, 2)),
        alpha=0.95 if strong else 0.75,
        zorder=5,
        gid=f"break:{line.kind}:{line.id}",
    )
    name = _NAMES.get(line.kind, line.kind)
    sheet.labels.beside((left + right) / 2, price, name, colour, line.side, bold=strong)


def _draw_points(sheet: _Sheet, points: Sequence[Point]) -> None:
    """Swings as small triangles off the wick, sweeps as a cross on the end of theirs; those of one bar together."""
    for side, kind, marker in ((1, "SWING_HIGH", "v"), (-1, "SWING_LOW", "^")):
        found = [point for point in points if point.kind == kind]
        if found:
            x = [sheet.x(point.bar) for point in found]
            y = [sheet.price(point.price) for point in found]
            low, high = sheet.axes.get_ylim()
            y = [value + side * 0.011 * (high - low) for value in y]
            sheet.axes.scatter(x, y, s=16, marker=marker, color="#b8c0d0", linewidths=0, zorder=5, gid=kind)
    sweeps: dict[tuple[int, int], list[int]] = {}
    for point in points:
        if point.kind == "SWEEP":
            path = sheet.found.bars["low" if point.side > 0 else "high"][max(point.bar, 0) : point.known + 1]
            bar = max(point.bar, 0) + int(path.argmin() if point.side > 0 else path.argmax())
            sweeps.setdefault((bar, point.side), []).append(point.price)
    for (bar, side), prices in sorted(sweeps.items()):
        count, price = len(prices), sheet.price(min(prices) if side > 0 else max(prices))
        colour = UP if side > 0 else DOWN
        gid = f"sweep:{bar}:{side}"
        sheet.axes.scatter([sheet.x(bar)], [price], s=46, marker="x", color=colour, linewidths=1.8, zorder=7, gid=gid)
        sheet.labels.beside(sheet.x(bar), price, "sweep" + (f" ×{count}" if count > 1 else ""), colour, -side, rows=2)


def _draw_pools(sheet: _Sheet, pools: Sequence[Line], price: int) -> None:
    """Pools of several highs or lows, nearest first; those that were taken end at the bar that took them."""
    low, high = sheet.axes.get_ylim()
    visible = [pool for pool in pools if low <= sheet.price(pool.price) <= high and pool.n >= 2]
    for pool in sorted(visible, key=lambda p: (p.end is not None, abs(p.price - price), p.id))[:_POOLS]:
        left = max(sheet.x(pool.known + 0.5), -1.0)
        right = sheet.right + 2 if pool.end is None else sheet.x(pool.end)
        y, colour = sheet.price(pool.price), "#c9a0ff"
        style: Any = (0, (1, 1.6))
        sheet.axes.plot([left, right], [y, y], color=colour, linewidth=1.3, linestyle=style, zorder=5,
                        alpha=1.0 if pool.end is None else 0.55, gid=f"pool:{pool.id}")  # fmt: skip
        text = f"{'BSL' if pool.side > 0 else 'SSL'} ×{pool.n}"
        if pool.end is None:
            sheet.labels.right(sheet.right + 2.4, y, text, colour)
        else:
            sheet.labels.beside(left + 1.5, y, text, colour, pool.side)


def _draw_periods(sheet: _Sheet, lines: Sequence[Line]) -> None:
    """Levels in force, with their names; of those that are over only days and weeks that fill much of the picture."""
    low, high = sheet.axes.get_ylim()
    half_hours = {line.price for line in lines if line.kind.startswith("OR30") and line.end is None}
    for line in lines:
        left = max(sheet.x(line.known + 0.5), -1.0)
        right = sheet.right + 2 if line.end is None else sheet.x(line.end + 0.5)
        past = line.end is not None and (not line.kind.startswith("P") or right - left < sheet.right / 4)
        twice = line.kind.startswith("OR15") and line.price in half_hours
        if past or twice or not low <= sheet.price(line.price) <= high:
            continue
        y, colour = sheet.price(line.price), "#e6c86e" if line.kind.startswith("P") else "#7fb0c8"
        sheet.axes.plot([left, right], [y, y], color=colour, linewidth=1.0, linestyle=(0, (6, 3)), zorder=2,
                        alpha=0.9 if line.end is None else 0.35, gid=f"period:{line.kind}:{line.id}")  # fmt: skip
        if line.end is None:
            sheet.labels.right(sheet.right + 2.4, y, line.kind, colour)
        else:
            sheet.labels.inside(left + 1, right, y, f"old {line.kind}", colour, 0.6)


def _draw_trades(sheet: _Sheet, trades: Sequence[MarkedTrade]) -> None:
    """Those decided in the picture; thin, because what led to them matters as much."""
    from matplotlib.patches import Rectangle

    starts = sheet.found.bars["start_ns"]
    for number, trade in enumerate(trades):
        left = sheet.x(float(np.searchsorted(starts, trade.time_ns, side="left"))) - 0.5
        right = sheet.right + 2
        if trade.end_ns is not None:
            right = sheet.x(float(np.searchsorted(starts, trade.end_ns, side="left"))) - 0.5
        if left < 0 or left > sheet.right + 1:
            continue
        right = max(right, left + 0.5)
        for part, price, colour in (("target", trade.target, UP), ("stop", trade.stop, DOWN)):
            box = Rectangle((left, min(trade.entry, price)), right - left, abs(price - trade.entry), zorder=2.5)
            box.set_facecolor((*_rgb(colour), 0.09))
            box.set_edgecolor((*_rgb(colour), 0.3))
            box.set_linewidth(0.6)
            box.set_gid(f"trade:{part}:{number}")
            sheet.axes.add_patch(box)
            sheet.axes.plot([left, right], [price] * 2, color=colour, linewidth=1.3, zorder=5)
        sheet.axes.plot([left, right], [trade.entry] * 2, color="white", linewidth=1.1, zorder=5)
        arrow = "▲" if trade.side > 0 else "▼"
        sheet.labels.beside(left + 0.5, trade.entry, f"{arrow} {trade.label}".strip(), "white", -trade.side, bold=True)
