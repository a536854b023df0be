"""The chart of the terminal dashboard: candles in half rows, zones shaded behind them, levels, brackets, marks, axes.

Pure: numbers in, rows of named styles out. One column a bar, drawn with box lines (`┃` body, `│` wick, and the glyphs
whose halves differ), because full blocks of neighbouring bars run into each other; zones are snapped to whole rows,
because half rows fray around candles. Prices in ticks, times UTC ns.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from tbot.dashboard.feed_view import Line, Zone
from tbot.dashboard.rows import Row, Span, fitted, merged
from tbot.domain.timeframes import NAMES

WICK, BODY = 1, 2
GLYPHS = {
    (BODY, BODY): "┃", (WICK, WICK): "│", (WICK, BODY): "╽", (BODY, WICK): "╿",
    (BODY, 0): "╹", (0, BODY): "╻", (WICK, 0): "╵", (0, WICK): "╷",
}  # fmt: skip
HOLLOW = {**GLYPHS, (BODY, BODY): "║", (BODY, 0): "║", (0, BODY): "║", (WICK, BODY): "║", (BODY, WICK): "║"}
EIGHTHS = " ▁▂▃▄▅▆▇█"
MARGIN = 2  # free columns at the right: zones and lines run on into them
LABEL_ROWS = 4  # least distance of two price labels
LABEL_COLUMNS = 11  # and of two times
TIME_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 240, 480, 720, 1440, 2880, 10080)  # minutes
VOLUME_FROM = 18  # rows of chart below which no volume is drawn


class PriceLine(NamedTuple):
    """A price that matters now: `entry`, `stop` or `target` of a position; drawn from `since_ns` on."""

    kind: str
    price: int
    since_ns: int = 0


class Pin(NamedTuple):
    """Something that happened: a signal (`taken`, `denied`) or the end of a trade (`won`, `lost`)."""

    ns: int
    kind: str
    side: int


@dataclass(frozen=True)
class Chart:
    """Everything that is drawn."""

    bars: npt.NDArray[np.void]
    timeframe_min: int
    price_text: Callable[[int], str]
    zone: ZoneInfo
    zones: Sequence[Zone] = ()
    lines: Sequence[Line] = ()
    prices: Sequence[PriceLine] = ()
    pins: Sequence[Pin] = ()
    last: int | None = None
    waiting: str = "no bars yet"
    texture: bool = False  # hatch zones instead of shading them
    hollow: bool = False  # rising candles hollow: there are no colours


@dataclass
class _Plot:
    """Where prices and bars come to lie, and the cells drawn so far."""

    chart: Chart
    width: int  # of the plot, without the axis
    height: int
    bars: npt.NDArray[np.void] = field(init=False)
    low: int = field(init=False)
    high: int = field(init=False)

    def __post_init__(self) -> None:
        self.bars = self.chart.bars[-max(1, self.width - MARGIN) :]
        self.first = self.width - MARGIN - len(self.bars)
        self.low, self.high = _range(self.chart, self.bars)
        self.glyphs = [[" "] * self.width for _ in range(self.height)]
        self.fore = [["text"] * self.width for _ in range(self.height)]
        self.back = [[""] * self.width for _ in range(self.height)]

    def half(self, price: float) -> int:
        """Half row from the top, clipped to the plot."""
        place = int((self.high - price) * 2 * self.height / (self.high - self.low))
        return min(max(place, 0), 2 * self.height - 1)

    def row(self, price: float) -> int:
        return self.half(price) // 2

    def band(self, bottom: int, top: int) -> range:
        """Rows of a price band: whole ones, at least one."""
        first = self.row(top)
        end = -(-(self.high - bottom) * self.height // (self.high - self.low))  # first row that is below it
        return range(first, max(first + 1, min(end, self.height)))

    def holds(self, price: float) -> bool:
        return self.low <= price <= self.high

    def column(self, ns: int) -> int:
        """The column of the bar that covers a time; one left of the plot when it lies before it."""
        place = int(np.searchsorted(self.bars["start_ns"], ns, side="right")) - 1
        return self.first + place if place >= 0 else -1

    def put(self, row: int, column: int, glyph: str, style: str) -> bool:
        """Draw into a cell that is free."""
        if not (0 <= row < self.height and 0 <= column < self.width) or self.glyphs[row][column] != " ":
            return False
        self.glyphs[row][column], self.fore[row][column] = glyph, style
        return True

    def rows(self) -> list[Row]:
        return [
            merged((glyph, f"{fore}/{back}" if back else fore) for glyph, fore, back in zip(*cells, strict=True))
            for cells in zip(self.glyphs, self.fore, self.back, strict=True)
        ]


def draw(chart: Chart, width: int, height: int) -> list[Row]:
    """The chart as `height` rows of `width` cells."""
    if not len(chart.bars) or width < 24 or height < 5:
        return _empty(chart.waiting, width, height)
    named = [line.price for line in chart.prices] + ([] if chart.last is None else [chart.last])
    named += [int(chart.bars["high"].max()), int(chart.bars["low"].min())]
    axis = max(len(chart.price_text(price)) for price in named) + 5
    volume = 3 if height >= VOLUME_FROM and chart.bars["volume"].any() else 0
    plot = _Plot(chart, width - axis, height - 1 - volume)
    _zones(plot)
    _candles(plot)
    _pins(plot)
    _prices(plot)
    _labels(plot)
    _lines(plot)
    labels = _price_axis(plot, axis)
    _hatch(plot)
    rows = [[*row, *label] for row, label in zip(plot.rows(), labels, strict=True)]
    rows += [fitted(row, width) for row in _volume(plot, volume)]
    rows.append(fitted(_time_axis(plot), width))
    return rows


def _empty(words: str, width: int, height: int) -> list[Row]:
    rows: list[Row] = [[Span(" " * width)] for _ in range(height)]
    if height > 0:
        rows[height // 2] = fitted([Span(words.center(width), "dim")], width)
    return rows


def _range(chart: Chart, bars: npt.NDArray[np.void]) -> tuple[int, int]:
    """Lowest and highest price shown: the bars, the last price, and a bracket that is not too far away."""
    low, high = int(bars["low"].min()), int(bars["high"].max())
    if chart.last is not None:
        low, high = min(low, chart.last), max(high, chart.last)
    reach = max(high - low, 8)
    for line in chart.prices:
        if low - reach // 2 <= line.price <= high + reach // 2:
            low, high = min(low, line.price), max(high, line.price)
    air = max(1, (high - low) // 24)
    return low - air, high + air


# ------------------------------------------------------------------------------------------------------- what is drawn
def _zones(plot: _Plot) -> None:
    """Bands from their anchor bar to the right edge; of several in a cell the narrowest: it says the most."""
    for zone in sorted(plot.chart.zones, key=lambda zone: (zone.bottom - zone.top, zone.score)):
        if zone.top < plot.low or zone.bottom > plot.high:
            continue
        name = _tint(plot, zone)
        for row in plot.band(zone.bottom, zone.top):
            back = plot.back[row]
            for column in range(max(0, plot.column(zone.origin_ns)), plot.width):
                back[column] = name


def _tint(plot: _Plot, zone: Zone) -> str:
    """Stronger zones are more intense; one that price was in is a step paler, one that fills the chart but a breath."""
    level = max(1, (1 if zone.score < 40 else 2 if zone.score < 70 else 3) - zone.tested)
    if len(plot.band(zone.bottom, zone.top)) > plot.height // 3:
        level = 0
    return f"{'demand' if zone.side > 0 else 'supply'}{level}"


def _candles(plot: _Plot) -> None:
    for column, prices in enumerate(plot.bars[["open", "high", "low", "close"]].tolist(), start=plot.first):
        begin, high, low, end = prices
        rising = end >= begin
        style = "up" if rising else "down"
        top, bottom = plot.half(max(begin, end)), plot.half(min(begin, end))
        first, last = plot.half(high), plot.half(low)
        glyphs = HOLLOW if rising and plot.chart.hollow else GLYPHS
        for row in range(first // 2, last // 2 + 1):
            upper, lower = (
                0 if not first <= half <= last else BODY if top <= half <= bottom else WICK
                for half in (2 * row, 2 * row + 1)
            )
            plot.glyphs[row][column], plot.fore[row][column] = glyphs[upper, lower], style


PINS = {
    "taken": ("▲", "▼", "!accent"), "denied": ("△", "▽", "dim"), "won": ("◆", "◆", "good"), "lost": ("◇", "◇", "bad"),
}  # fmt: skip


def _pins(plot: _Plot) -> None:
    """Signals below (long) or above (short) their bar, ends of trades on the other side of it."""
    for pin in plot.chart.pins:
        column = plot.column(pin.ns - 1)  # decided when its bar closed
        if column < 0:
            continue
        bar = plot.bars[column - plot.first]
        above, below, style = PINS[pin.kind][1], PINS[pin.kind][0], PINS[pin.kind][2]
        under = (pin.side > 0) == (pin.kind in ("taken", "denied"))
        start, step = (plot.row(bar["low"]) + 1, 1) if under else (plot.row(bar["high"]) - 1, -1)
        for row in (start, start + step):
            if plot.put(row, column, below if under else above, style):
                break


LINE_STYLES = {"entry": ("E", "white"), "stop": ("SL", "bad"), "target": ("TP", "good")}
LAST = "last"  # the newest price
LINE_ORDER = (LAST, *LINE_STYLES)  # of labels that fall into one row


def _prices(plot: _Plot) -> None:
    for line in plot.chart.prices:
        if plot.holds(line.price):
            row = plot.row(line.price)
            for column in range(max(0, plot.column(line.since_ns)), plot.width):
                plot.put(row, column, "╌", LINE_STYLES[line.kind][1])


def _labels(plot: _Plot) -> None:
    """The name of a zone inside its band, as far to the right as there is room for it."""
    for zone in sorted(plot.chart.zones, key=lambda zone: -zone.score):
        text = f" {NAMES.get(zone.timeframe_min, '')} {zone.kind} {zone.score:.0f} "
        if zone.top < plot.low or zone.bottom > plot.high:
            continue
        style, tint = "demandtext" if zone.side > 0 else "supplytext", _tint(plot, zone)
        start = max(0, plot.column(zone.origin_ns))
        rows = plot.band(zone.bottom, zone.top)
        for row, first in [(row, place) for place in range(plot.width - len(text), start - 1, -3) for row in rows]:
            columns = range(first, first + len(text))
            if all(plot.glyphs[row][column] == " " and plot.back[row][column] == tint for column in columns):
                for column, glyph in zip(columns, text, strict=True):
                    plot.glyphs[row][column] = glyph if glyph != " " else "\u00a0"  # taken: nothing else is drawn here
                    plot.fore[row][column] = style
                break


def _lines(plot: _Plot) -> None:
    """Support, resistance and pools of stops: thin, where nothing else is."""
    for line in plot.chart.lines:
        if plot.holds(line.price):
            row = plot.row(line.price)
            for column in range(plot.width):
                plot.put(row, column, "┈" if line.pool else "─", "grid" if not line.pool else "faint")


def _hatch(plot: _Plot) -> None:
    """Without tints: demand is hatched lightly, supply heavily, and nothing keeps a background."""
    if not plot.chart.texture:
        return
    for row in range(plot.height):
        for column in range(plot.width):
            back = plot.back[row][column]
            if back and plot.glyphs[row][column] == " ":
                demand = back.startswith("demand")
                plot.glyphs[row][column] = "░" if demand else "▒"
                plot.fore[row][column] = "demandtext" if demand else "supplytext"
            plot.back[row][column] = ""


# ---------------------------------------------------------------------------------------------------------------- axes
def nice_step(least: float) -> int:
    """The smallest of 1, 2, 4, 5 times a power of ten (in ticks) that is at least `least`."""
    power = 1
    while True:
        for factor in (1, 2, 4, 5):
            if factor * power >= least:
                return factor * power
        power *= 10


def _price_axis(plot: _Plot, width: int) -> list[Row]:
    """The last price as a tag, the bracket's prices, and round prices: each in the row of its line, or not at all."""
    labels = _own_rows(plot, width)
    _beyond(plot, width, labels)
    chart = plot.chart
    step = nice_step((plot.high - plot.low) * LABEL_ROWS / plot.height)
    for price in range(-(-plot.low // step) * step, plot.high + 1, step):
        row = plot.row(price)
        if row not in labels:
            labels[row] = [Span(f"{chart.price_text(price):>{width}}", "dim")]
            for column in range(plot.width % 6, plot.width, 6):
                plot.put(row, column, "·", "grid")
    return [labels.get(row, [Span(" " * width)]) for row in range(plot.height)]


def _own_rows(plot: _Plot, width: int) -> dict[int, Row]:
    """Row -> its label. Of several in a row the first of price, entry, stop, target has it, and names the next one."""
    chart = plot.chart
    found: dict[int, list[PriceLine]] = {}
    if chart.last is not None and plot.holds(chart.last):
        found[plot.row(chart.last)] = [PriceLine(LAST, chart.last)]
    for line in sorted(chart.prices, key=lambda line: LINE_ORDER.index(line.kind)):
        if plot.holds(line.price):
            found.setdefault(plot.row(line.price), []).append(line)
    tint = "down" if plot.bars[-1]["close"] < plot.bars[-1]["open"] else "up"
    labels = {}
    for row, lines in found.items():
        first, *others = lines
        tagged = first.kind == LAST
        named = others if tagged else lines
        name = LINE_STYLES[named[0].kind][0] + "+" * (len(named) > 1) if named else ""
        mark = "◂" if tagged else " "
        text = f"{mark}{name:<2} {chart.price_text(first.price)}" if name else f"{mark} {chart.price_text(first.price)}"
        labels[row] = [Span(f"{text:>{width}}", f"!black/{tint}" if tagged else LINE_STYLES[first.kind][1])]
    return labels


def _beyond(plot: _Plot, width: int, labels: dict[int, Row]) -> None:
    """Prices above or below the chart have no row: their arrows stand in the outermost free ones."""
    for line in sorted(plot.chart.prices, key=lambda line: LINE_ORDER.index(line.kind)):
        if plot.holds(line.price):
            continue
        above = line.price > plot.high
        rows = range(plot.height) if above else range(plot.height - 1, -1, -1)
        row = next((row for row in rows if row not in labels), None)
        if row is not None:
            name, style = LINE_STYLES[line.kind]
            text = f"{'↑' if above else '↓'}{name:<3}{plot.chart.price_text(line.price)}"
            labels[row] = [Span(f"{text:>{width}}", style)]


def _time_axis(plot: _Plot) -> Row:
    """Round times of the display zone; the day where one begins."""
    minutes = plot.chart.timeframe_min
    step = next((step for step in TIME_STEPS if step >= minutes * LABEL_COLUMNS), TIME_STEPS[-1])
    cells = [(" ", "dim")] * plot.width
    free, day = 0, None
    for place, start in enumerate(plot.bars["start_ns"].tolist()):
        when = datetime.fromtimestamp(start // 1_000_000_000, UTC).astimezone(plot.chart.zone)
        new_day, day = day is not None and when.date() != day, when.date()
        round_one = (when.hour * 60 + when.minute) % step == 0
        text = f"{when.day} {when:%b}" if new_day else f"{when:%H:%M}"
        column = max(0, plot.first + place - len(text) // 2)
        if not (new_day or round_one) or column < free or column + len(text) > plot.width:
            continue
        for offset, glyph in enumerate(text):
            cells[column + offset] = (glyph, "text" if new_day else "dim")
        free = column + len(text) + 2
    return merged(cells)


def _volume(plot: _Plot, height: int) -> list[Row]:
    """Contracts traded, as columns of eighths below the candles."""
    most = max(1, int(plot.bars["volume"].max()))
    bars = plot.bars[["open", "close", "volume"]].tolist()
    rows = []
    for row in range(height):
        cells = [(" ", "text")] * plot.width
        for column, (begin, end, volume) in enumerate(bars, start=plot.first):
            eighths = round(volume * height * 8 / most) - (height - 1 - row) * 8
            cells[column] = (EIGHTHS[min(8, max(0, eighths))], "volup" if end >= begin else "voldown")
        rows.append(merged(cells))
    return rows


