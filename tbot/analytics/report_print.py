"""The report on paper: a PDF (A4, landscape) and its first page as a PNG for messages. matplotlib alone draws both."""

import io
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from tbot.analytics import broker_words
from tbot.analytics import report_cells as cells
from tbot.analytics import report_plots as plots
from tbot.analytics.metrics import DEFINITIONS
from tbot.analytics.report import Report
from tbot.analytics.report_cells import Card, Sheet
from tbot.analytics.report_page import CHARTS, FLOORS, ROLLING, months, sheets, to_date_title
from tbot.analytics.report_plots import ON_PAPER as PAPER
from tbot.validation.report_pictures import figure_class

if TYPE_CHECKING:
    from matplotlib.figure import Figure

A4 = (11.69, 8.27)  # inches
LEFT, RIGHT, TOP, BOTTOM = 0.5, 11.19, 7.87, 0.45
DPI = 120
LINE = 0.195  # of a table, inches
FEWEST_ROWS = 6  # of a table that goes on on another page
MOST_ROWS = int((TOP - BOTTOM - 0.5) / LINE) - 2  # of a table in a column
KEPT_WHOLE = 12  # a table of so many rows is not cut
TABLE_GAP, COLUMN_GAP = 0.22, 0.4
CHART_HEIGHT = 2.75  # with its title and what stands below it
WORDS_WIDE, WORDS_LINE, WORDS_GAP = 96, 0.155, 0.06  # of the definitions: signs, inches, inches
BADGE_COLOURS = {"DEMO": "#5b6472", "PAPER": "#1f5fa8", "LIVE": "#b3261e"}
_SETTINGS: Any = {
    "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "font.size": 8, "text.color": PAPER.ink,
    "axes.labelcolor": PAPER.ink, "axes.edgecolor": PAPER.dim, "xtick.color": PAPER.dim, "ytick.color": PAPER.dim,
    "axes.grid": True, "grid.color": PAPER.grid, "grid.linewidth": 0.6, "axes.spines.top": False,
    "axes.spines.right": False, "axes.axisbelow": True, "axes.titlesize": 9, "axes.titleweight": "bold",
    "axes.titlelocation": "left", "axes.titlepad": 8, "pdf.fonttype": 42, "axes.labelsize": 7.5,
    "xtick.labelsize": 7.5, "ytick.labelsize": 7.5,
}  # fmt: skip


def png(report: Report) -> bytes:
    """The first page. ConfigError where matplotlib is not installed."""
    out = io.BytesIO()
    with _drawing():
        _first_page(report).savefig(out, format="png", dpi=DPI, metadata={"Software": None})
    return out.getvalue()


def pdf(report: Report, zone: ZoneInfo) -> bytes:
    """All pages. ConfigError where matplotlib is not installed."""
    figure_class()
    from matplotlib.backends.backend_pdf import PdfPages

    out = io.BytesIO()
    with _drawing(), PdfPages(out, metadata={"Title": f"T-BOT {report.badge} {cells.title(report)}"}) as pages:
        pages.savefig(_first_page(report))
        for number, page in enumerate(_tables(report, zone), start=2):
            page.text(RIGHT, 0.2, f"T-BOT {report.badge} · {cells.title(report)} · page {number}", size=6.5,
                      color=PAPER.dim, ha="right")  # fmt: skip
            pages.savefig(page.figure)
    return out.getvalue()


def _drawing() -> Any:
    figure_class()
    import matplotlib

    return matplotlib.rc_context(_SETTINGS)


# ------------------------------------------------------------------------------------------------ first page
@dataclass(slots=True)
class Sketch:
    """A page that is measured in inches from its lower left corner."""

    figure: "Figure"

    @classmethod
    def blank(cls) -> "Sketch":
        return cls(figure_class()(figsize=A4, facecolor="white"))

    def text(self, x: float, y: float, words: str, **how: Any) -> None:
        # parse_math: a dollar sign is money here, never a formula.
        self.figure.text(x / A4[0], y / A4[1], words, parse_math=False, **how)

    def axes(self, left: float, bottom: float, width: float, height: float) -> Any:
        return self.figure.add_axes((left / A4[0], bottom / A4[1], width / A4[0], height / A4[1]))

    def line(self, x: float, y: float, width: float, *, strong: bool = False) -> None:
        from matplotlib.lines import Line2D

        self.figure.add_artist(Line2D(
            [x / A4[0], (x + width) / A4[0]], [y / A4[1]] * 2, color=PAPER.dim if strong else PAPER.grid,
            linewidth=0.8 if strong else 0.5,
        ))  # fmt: skip

    def box(self, x: float, y: float, width: float, height: float, colour: str, edge: str = "none") -> None:
        from matplotlib.patches import FancyBboxPatch

        self.figure.add_artist(FancyBboxPatch(
            (x / A4[0], y / A4[1]), width / A4[0], height / A4[1], boxstyle="round,pad=0,rounding_size=0.004",
            facecolor=colour, edgecolor=edge, linewidth=0.9, zorder=0, mutation_aspect=A4[0] / A4[1],
        ))  # fmt: skip


def _first_page(report: Report) -> "Figure":
    sketch = Sketch.blank()
    _head(sketch, report)
    _cards(sketch, cells.main_cards(report), 6.43, 0.78, 4, big=True)
    chosen = [card for card in cells.cards(report) if card.name in _ON_PAGE_1]
    _cards(sketch, chosen, 5.87, 0.47, 5)
    if not report.deals:
        sketch.text(LEFT, 5.45, cells.no_trade(report), size=10, va="center")
        width = (RIGHT - LEFT - 0.4) / 2
        _calendar(sketch, report, LEFT, 5.0, width)
        _to_date(sketch, report, LEFT + width + 0.4, 5.0)
        return sketch.figure
    _chart(sketch, "Net result, and drawdown below it", plots.equity, report, (0.95, 3.42, 6.4, 1.5))
    _chart(sketch, "By trading day", plots.days, report, (8.55, 3.42, 2.55, 1.5))
    width = (RIGHT - LEFT) / 4
    lefts = (0.5, 1.5, 0.62, 0.5)  # room for the labels of each
    for place, ((title, draw), room) in enumerate(zip(CHARTS, lefts, strict=True)):
        spot = (LEFT + place * width + room, 0.75, width - room - 0.12, 1.85)
        _chart(sketch, title, draw, report, spot)
    return sketch.figure


_ON_PAGE_1 = (
    "Avg win / avg loss", "Day win %", "Best day % of profit", "Trades / lots", "Expectancy", "Fees", "Slippage",
    "Signals", "Least room to daily limit", "Least room to loss floor",
)  # fmt: skip


def _head(sketch: Sketch, report: Report) -> None:
    sketch.box(LEFT, 7.62, 0.78, 0.27, BADGE_COLOURS.get(report.badge, "#5b6472"))
    sketch.text(LEFT + 0.39, 7.755, report.badge, size=8.5, weight="bold", color="white", ha="center", va="center")
    sketch.text(LEFT + 0.92, 7.755, cells.title(report), size=16, weight="bold", va="center")
    names = cells.account_names(report) if len(report.accounts) < 3 else f"{len(report.accounts)} accounts"
    whose = f"{names} · {cells.dates(report)}"
    sketch.text(RIGHT, 7.76, whose, size=8.5, ha="right", va="center")
    sketch.text(RIGHT, 7.58, cells.provenance(report), size=6.2, color=PAPER.dim, ha="right", va="center")
    check = report.broker
    mark = broker_words.broker_mark(check)
    colour = {"✓": PAPER.up, "≠": PAPER.down}.get(mark, PAPER.dim)
    words = f"{mark} {broker_words.broker_line(check)} · {cells.badge_words(report)}"
    sketch.text(LEFT, 7.4, words, size=7.5, color=colour, va="center")


def _cards(
    sketch: Sketch, shown: Sequence[Card], bottom: float, height: float, columns: int, *, big: bool = False
) -> None:
    gap = 0.1
    width = (RIGHT - LEFT - gap * (columns - 1)) / columns
    for place, card in enumerate(shown):
        x = LEFT + (place % columns) * (width + gap)
        y = bottom - (place // columns) * (height + gap)
        sketch.box(x, y, width, height, "#f5f6f8")
        colour = PAPER.up if card.sign > 0 else PAPER.down if card.sign < 0 else PAPER.ink
        # How far name and note stand from the edges, and how large name, text and note are written.
        room, low, small, large, tiny = (0.14, 0.11, 6.8, 16, 6.6) if big else (0.1, 0.085, 6, 9.5, 5.4)
        sketch.text(x + 0.1, y + height - room, card.name, size=small, color=PAPER.dim, va="center")
        sketch.text(x + 0.1, y + height * 0.48, card.text, size=large, weight="bold", color=colour, va="center")
        note = _fit(card.note, width - 0.15, tiny)
        sketch.text(x + 0.1, y + low, note, size=tiny, color=PAPER.dim, va="center")


def _fit(words: str, width: float, size: float) -> str:
    """Cut where it would run out of its box; a sign is about 0.56 of its size wide."""
    most = max(4, int(width * 72 / (0.56 * size)))
    return words if len(words) <= most else words[: most - 1].rstrip(" ,") + "…"


def _chart(
    sketch: Sketch, title: str, draw: plots.Draw, report: Report, spot: tuple[float, float, float, float]
) -> None:
    axes = sketch.axes(*spot)
    sketch.text(spot[0] - 0.38, spot[1] + spot[3] + 0.12, title, size=8.5, weight="bold")
    draw(axes, report, PAPER)


# ------------------------------------------------------------------------------------------------ further pages
Place = tuple[Sketch, float]  # a page that is begun, and how far down (inches from below) it is used


def _tables(report: Report, zone: ZoneInfo) -> Iterator[Sketch]:
    """Everything else, page after page; each part goes on where the one before it ended."""
    place = yield from _two_columns(report, zone)
    place = yield from _over_time(report, place)
    shown = [
        cells.pattern_sheet(report), cells.execution_sheet(report), cells.latency_sheet(report.quality),
        cells.denial_sheet(report.quality), *([cells.trade_sheet(report, zone)] if report.deals else []),
    ]  # fmt: skip
    if report.broker.differences:
        shown.insert(1, broker_words.difference_sheet(report.broker, zone))
    place = yield from _full_width(shown, place)
    yield from _words(place)


def _two_columns(report: Report, zone: ZoneInfo) -> Generator[Sketch, None, Place]:
    """Month and groups, two columns a page."""
    sketch = Sketch.blank()
    width = (RIGHT - LEFT - COLUMN_GAP) / 2
    lefts = (LEFT, LEFT + width + COLUMN_GAP)
    ends = [TOP, TOP]
    waiting = [*([cells.falls_sheet(report, zone)] if report.falls else []), *sheets(report)]
    if report.deals:  # else both stand on the first page
        ends[0] = _calendar(sketch, report, LEFT, TOP, width)
        ends[0] = _to_date(sketch, report, LEFT, ends[0])
        for column, left in enumerate(lefts):
            while waiting and ends[column] - _height(waiting[0]) >= BOTTOM:
                ends[column] = _column_table(sketch, waiting.pop(0), left, ends[column], width)
    while waiting:
        if min(ends) < TOP:
            yield sketch
            sketch, ends = Sketch.blank(), [TOP, TOP]
        for column, count in enumerate(_split([_height(sheet) for sheet in waiting])):
            for sheet in waiting[:count]:
                ends[column] = _column_table(sketch, sheet, lefts[column], ends[column], width)
            waiting = waiting[count:]
    return sketch, min(ends)


def _height(sheet: Sheet) -> float:
    """Of a table with the space below it."""
    return 0.3 + LINE * (min(len(sheet.rows), MOST_ROWS) + bool(sheet.note) + 0.5) + TABLE_GAP


def _column_table(sketch: Sketch, sheet: Sheet, x: float, y: float, width: float) -> float:
    return _table(sketch, sheet, sheet.rows[:MOST_ROWS], x, y, width) - TABLE_GAP


def _split(heights: Sequence[float]) -> tuple[int, int]:
    """How many go into the left column of a page and how many into the right one: as even as can be."""
    room, count = TOP - BOTTOM, len(heights)
    even = min(range(1, count + 1), key=lambda at: max(sum(heights[:at]), sum(heights[at:])))
    if max(sum(heights[:even]), sum(heights[even:])) <= room:
        return even, count - even
    first = max(at for at in range(count + 1) if at < 2 or sum(heights[:at]) <= room)
    return first, max(at for at in range(count - first + 1) if sum(heights[first : first + at]) <= room)


def _calendar(sketch: Sketch, report: Report, x: float, y: float, width: float) -> float:
    """The newest month of the period; returns where it ends."""
    shown = months(report)
    return _month(sketch, shown[-1], x, y, width) if shown else y


def _to_date(sketch: Sketch, report: Report, x: float, y: float) -> float:
    """Everything so far, a line a figure; returns where it ends."""
    if not report.to_date.n:
        return y
    sketch.text(x, y - 0.12, to_date_title(report), size=8.5, weight="bold", va="center")
    for card in cells.to_date_cards(report):
        y -= LINE
        note = f" ({card.note})" if card.note else ""
        sketch.text(x, y - 0.14, f"{card.name}: {card.text}{note}", size=7, va="center")
    return y - 0.4


def _over_time(report: Report, place: Place) -> Generator[Sketch, None, Place]:
    """Room above the floor and the rolling ratio, side by side."""
    drawn = [*([FLOORS] if report.floors else []), *([ROLLING] if report.rolling else [])]
    if not drawn:
        return place
    sketch, y = place
    if y - CHART_HEIGHT < BOTTOM:
        yield sketch
        sketch, y = Sketch.blank(), TOP
    width = (RIGHT - LEFT) / len(drawn)
    for number, (title, draw) in enumerate(drawn):
        _chart(sketch, title, draw, report, (LEFT + number * width + 0.55, y - 2.2, width - 1.1, 1.9))
    return sketch, y - CHART_HEIGHT


def _full_width(shown: Sequence[Sheet], place: Place) -> Generator[Sketch, None, Place]:
    """Tables below each other."""
    sketch, y = place
    width = RIGHT - LEFT
    for one in shown:
        sheet, rows = one, list(one.rows)
        together = len(rows) if len(rows) <= KEPT_WHOLE else FEWEST_ROWS
        if y < TOP and y - 0.3 - LINE * (together + 1) < BOTTOM:
            yield sketch
            sketch, y = Sketch.blank(), TOP
        while True:
            room = max(1, int((y - BOTTOM - 0.3) / LINE) - 1)
            if FEWEST_ROWS < room < len(rows) < room + FEWEST_ROWS:
                room = len(rows) - FEWEST_ROWS
            y = _table(sketch, sheet, rows[:room], LEFT, y, width) - 0.25
            rows = rows[room:]
            if not rows:
                break
            sheet = replace(one, title=f"{one.title}, continued")
            yield sketch
            sketch, y = Sketch.blank(), TOP
    return sketch, y


def _widths(sheet: Sheet, width: float) -> tuple[list[float], float]:
    """(widths of the columns by their longest text, of one sign)."""
    longest = [
        max([len(name), *(min(60, len(row[place])) for row in sheet.rows)]) + 1.5
        for place, name in enumerate(sheet.columns)
    ]
    unit = min(0.098, width / sum(longest))
    return [unit * signs for signs in longest], unit


def _table(
    sketch: Sketch, sheet: Sheet, rows: Sequence[tuple[str, ...]], x: float, y: float, width: float
) -> float:
    """Draw it with its upper edge at y; returns where it ends."""
    sketch.text(x, y - 0.1, sheet.title, size=8.5, weight="bold", va="center")
    y -= 0.3
    widths, unit = _widths(sheet, width)
    size = min(7.0, 72 * unit / 0.58)
    if sheet.note and not rows:
        sketch.text(x, y, sheet.note, size=7, color=PAPER.dim, va="center")
        return y - LINE
    used = max(sum(widths), min(width, 2.0))
    _row(sketch, sheet, sheet.columns, x, y, widths, size, head=True)
    sketch.line(x, y - LINE / 2, used, strong=True)
    for place, row in enumerate(rows):
        y -= LINE
        last = sheet.total and place == len(sheet.rows) - 1
        _row(sketch, sheet, row, x, y, widths, size, bold=last)
        sketch.line(x, y - LINE / 2, used)
    if sheet.note and rows[-1:] == list(sheet.rows[-1:]):
        y -= LINE
        sketch.text(x, y, sheet.note, size=6.5, color=PAPER.dim, va="center")
    return y - LINE / 2


def _row(
    sketch: Sketch, sheet: Sheet, row: Sequence[str], x: float, y: float, widths: Sequence[float], size: float, *,
    head: bool = False, bold: bool = False,
) -> None:  # fmt: skip
    for place, (cell, wide) in enumerate(zip(row, widths, strict=True)):
        right = sheet.is_number(place)
        colour = PAPER.dim if head else PAPER.ink
        if right and not head:
            colour = PAPER.up if cell.startswith("+") else PAPER.down if cell.startswith("−") else PAPER.ink
        sketch.text(
            x + wide - 0.1 if right else x, y, _fit(cell, wide, size), size=size, color=colour, va="center",
            ha="right" if right else "left", weight="bold" if bold else "normal",
        )  # fmt: skip
        x += wide


def _month(sketch: Sketch, month: Any, x: float, y: float, width: float) -> float:
    """The calendar of a month; returns where it ends."""
    sketch.text(x, y - 0.1, f"{month.name}   {month.total}", size=8.5, weight="bold", va="center")
    y -= 0.32
    columns = len(month.weeks[0]) if month.weeks else 5
    wide, high = width / columns, 0.46
    for place, name in enumerate(("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[:columns]):
        sketch.text(x + place * wide + 0.05, y, name, size=6.5, color=PAPER.dim, va="center")
    y -= 0.12
    tints = {"up": "#dceee9", "down": "#f7e0df", "even": "#f5f6f8", "": "#f5f6f8"}
    for week in month.weeks:
        y -= high
        for place, day in enumerate(week):
            if not day.number:
                continue
            left = x + place * wide
            edge = PAPER.line if day.inside else "none"
            sketch.box(left, y + 0.03, wide - 0.06, high - 0.06, tints[day.tone], edge)
            sketch.text(left + 0.06, y + high - 0.12, str(day.number), size=5.5, color=PAPER.dim, va="center")
            colour = {"up": PAPER.up, "down": PAPER.down}.get(day.tone, PAPER.ink)
            sketch.text(left + 0.06, y + 0.14, day.text, size=7, weight="bold", color=colour, va="center")
            spot = (left + wide - 0.12, y + high - 0.12)
            sketch.text(*spot, day.trades, size=5.2, color=PAPER.dim, va="center", ha="right")
    return y - 0.2


def _words(place: Place) -> Iterator[Sketch]:
    """Definitions in two columns, on the page that is begun if there is room for them."""
    from textwrap import wrap

    sketch, y = place
    told = [(name.replace("_", " "), wrap(words, WORDS_WIDE)) for name, words in DEFINITIONS.items()]
    heights = [WORDS_LINE * len(lines) + WORDS_GAP for _, lines in told]
    first, second = _split(heights)
    if y - 0.45 - max(sum(heights[:first]), sum(heights[first:])) < BOTTOM:
        yield sketch
        sketch, y = Sketch.blank(), TOP
    sketch.text(LEFT, y - 0.1, "What the words mean", size=8.5, weight="bold", va="center")
    width = (RIGHT - LEFT - COLUMN_GAP) / 2
    for x, part in ((LEFT, told[:first]), (LEFT + width + COLUMN_GAP, told[first : first + second])):
        line = y - 0.4
        for name, lines in part:
            sketch.text(x, line, name, size=6.5, weight="bold", va="center")
            for words in lines:
                sketch.text(x + 1.1, line, words, size=6.5, va="center")
                line -= WORDS_LINE
            line -= WORDS_GAP
    yield sketch
