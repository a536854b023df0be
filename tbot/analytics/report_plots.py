"""The charts of the report: each is drawn on axes that are given, so page, PNG and PDF show the same pictures.

matplotlib is imported when something is drawn and never before; its pyplot never. Meaning is not in colour alone:
bars have their direction, marks their shape.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from tbot.analytics.breakdowns import GroupLine
from tbot.analytics.floor_room import FloorLine
from tbot.analytics.metrics import FEWEST_DAYS
from tbot.analytics.report import Report
from tbot.analytics.report_cells import day_name, short_day
from tbot.domain.trading_hours import CHICAGO, trading_day, trading_day_start_ns
from tbot.validation import report_pictures as page
from tbot.validation.report_words import NS_PER_S, money, short_money

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

MOST_BARS = 12  # of a chart of groups
FEWEST_BARS = 5  # lying bars are as thin as if there were so many
FEWEST_HOURS = 7  # standing bars are as thin as if there were so many
LABEL_INCHES = 0.6  # of an amount below an axis, with the space beside it
DAY_NS = 86_400 * NS_PER_S
MOST_DAYS = 31  # of the chart of days; more become a line of their sums


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours by what they mean."""

    ink: str
    dim: str
    up: str
    down: str
    line: str
    grid: str
    paper: str = "none"


ON_PAGE = Palette(page.INK, page.DIM, page.UP, page.DOWN, page.LINE, page.GRID)  # replaced by the page's own
ON_PAPER = Palette("#1b2028", "#667085", "#0b7a5f", "#c22f2c", "#1f5fa8", "#e4e7ec", "#ffffff")

Draw = Callable[["Axes", Report, Palette], None]


def equity(axes: "Axes", report: Report, colours: Palette) -> None:
    """Summed net result trade by trade, and how far it is below its highest point."""
    nets = np.array([deal.net_cents for deal in report.deals], np.int64)
    sums = np.concatenate([[0], np.cumsum(nets)]) / 100
    falls = sums - np.maximum.accumulate(sums)
    places = np.arange(len(sums))
    axes.fill_between(places, falls, 0, step="post", color=colours.down, alpha=0.28, linewidth=0, label="drawdown")
    axes.step(places, sums, where="post", color=colours.line, linewidth=1.8, label="net result")
    axes.axhline(0, color=colours.dim, linewidth=0.8)
    if len(sums) > 1:
        axes.annotate(
            short_money(100 * sums[-1]), (places[-1], sums[-1]), (5, 0), textcoords="offset points", va="center",
            color=colours.line, weight="bold", annotation_clip=False,
        )  # fmt: skip
    axes.set_xlim(0, max(1, len(nets)))
    _day_edges(axes, report, colours)
    axes.set_xlabel("trade, by trading day of its end")
    _money(axes)
    axes.grid(visible=False, axis="x")


def _day_edges(axes: "Axes", report: Report, colours: Palette) -> None:
    """Where a trading day begins: a thin line, and its name between the lines."""
    days = [deal.day for deal in report.deals]
    edges = [0] + [place for place in range(1, len(days)) if days[place] != days[place - 1]] + [len(days)]
    if len(edges) - 1 > MOST_BARS:
        return
    for edge in edges[1:-1]:
        axes.axvline(edge, color=colours.grid, linewidth=1)
    axes.set_xticks(
        [(a + b) / 2 for a, b in pairwise(edges)],
        [day_name(days[a]) for a in edges[:-1]] if days else [],
    )
    axes.tick_params(axis="x", length=0)


def days(axes: "Axes", report: Report, colours: Palette) -> None:
    """Net result of every trading day; of a long period, of every week."""
    told = [(day_name(day.day), day.net_cents) for day in report.figures.days]
    if len(told) > MOST_DAYS:
        weeks: dict[str, int] = {}
        for day in report.figures.days:
            year, week, _ = day.day.isocalendar()
            name = f"{year}-W{week:02d}"
            weeks[name] = weeks.get(name, 0) + day.net_cents
        told = list(weeks.items())
    _bars(axes, told, colours)


def hours(axes: "Axes", report: Report, colours: Palette) -> None:
    """Net result by hour of entry: every hour from the first to the last, so that a gap is seen."""
    lines = {int(line.label): line for line in report.groups["hour"]}
    if not lines:
        return _nothing(axes, colours)
    span = range(min(lines), max(lines) + 1)
    nets = [lines[hour].net_cents / 100 if hour in lines else 0.0 for hour in span]
    axes.bar(list(span), nets, color=_signs(nets, colours), width=0.72)
    axes.axhline(0, color=colours.dim, linewidth=0.8)
    room = max(0.6, (FEWEST_HOURS - len(span)) / 2)  # one bar is a bar, not a wall
    axes.set_xlim(span[0] - room, span[-1] + room)
    step = 1 if len(span) <= 12 else 2
    named = [hour for hour in span if (hour - span[0]) % step == 0]
    axes.set_xticks(named, [f"{hour:02d}" for hour in named])  # as in the tables
    _money(axes)
    axes.grid(visible=False, axis="x")
    return None


def patterns(axes: "Axes", report: Report, colours: Palette) -> None:
    """Net result by pattern."""
    _group_bars(axes, report.groups["pattern"], colours)


def contracts(axes: "Axes", report: Report, colours: Palette) -> None:
    _group_bars(axes, report.groups["contract"], colours)


def held(axes: "Axes", report: Report, colours: Palette) -> None:
    _bars(axes, [(line.label, line.net_cents) for line in report.groups["held"]], colours)


def _group_bars(axes: "Axes", lines: Sequence[GroupLine], colours: Palette) -> None:
    """The groups with the most trades, the best on top."""
    most = sorted(lines, key=lambda line: -line.n)[:MOST_BARS]
    _bars(axes, [(line.label, line.net_cents) for line in sorted(most, key=lambda line: -line.net_cents)], colours)


def _bars(axes: "Axes", told: Sequence[tuple[str, int]], colours: Palette) -> None:
    """Lying bars, the first on top, each with its amount."""
    if not told:
        return _nothing(axes, colours)
    nets = [amount / 100 for _, amount in told]
    places = list(range(len(told)))
    axes.barh(places, nets, color=_signs(nets, colours), height=0.66)
    axes.set_yticks(places, [name for name, _ in told])
    middle, half = (len(told) - 1) / 2, max(len(told), FEWEST_BARS) / 2
    axes.set_ylim(middle + half, middle - half)  # the first on top
    axes.axvline(0, color=colours.dim, linewidth=0.8)
    widest = max(map(abs, nets)) or 1.0
    for place, net in zip(places, nets, strict=True):
        # A loss has its amount on the free side of the axis, where no name stands.
        axes.annotate(
            short_money(100 * net), (max(0.0, net), place), (4, 0), textcoords="offset points", ha="left", va="center",
            color=colours.dim, fontsize="small",
        )  # fmt: skip
    low, high = min(0.0, *nets), max(0.0, *nets)
    axes.set_xlim(low - 0.04 * widest, high + 0.3 * (high - low or 1.0))
    _dollars(axes.xaxis, _beside(axes, 4))
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    return None


def excursions(axes: "Axes", report: Report, colours: Palette) -> None:
    """How far trades went against and for their trader, in dollars."""
    watched = [deal for deal in report.deals if deal.trip.mae_ticks is not None and deal.trip.mfe_ticks is not None]
    if not watched:
        return _nothing(axes, colours, "no price on the way was watched")
    for won, colour, mark, name in ((True, colours.up, "^", "won"), (False, colours.down, "v", "lost or even")):
        mine = [deal for deal in watched if (deal.net_cents > 0) == won]
        axes.plot(
            [-deal.ticks_cents(deal.trip.mae_ticks or 0) / 100 for deal in mine],
            [deal.ticks_cents(deal.trip.mfe_ticks or 0) / 100 for deal in mine],
            mark, color=colour, markersize=5, alpha=0.7, markeredgewidth=0, label=name,
        )  # fmt: skip
    axes.set_xlabel("worst on the way (MAE)")
    axes.set_ylabel("best on the way (MFE)")
    _dollars(axes.xaxis, _beside(axes, 5))
    _dollars(axes.yaxis, 5)
    axes.legend(frameon=False, labelcolor=colours.ink, fontsize="small", loc="best", handletextpad=0.2)
    return None


def distribution(axes: "Axes", report: Report, colours: Palette) -> None:
    """How many trades ended with how much: bins of round width that never mix gains and losses."""
    nets = np.array([deal.net_cents for deal in report.deals]) / 100
    if not len(nets):
        return _nothing(axes, colours)
    width = _round_width(float(np.abs(nets).max()))
    low, high = np.floor(min(0.0, nets.min()) / width), np.ceil(max(0.0, nets.max()) / width)
    edges = width * np.arange(low, high + 1 + (high == low))
    counts, _ = np.histogram(nets, edges)
    middles = edges[:-1] + width / 2
    axes.bar(middles, counts, width=0.9 * width, color=_signs(middles.tolist(), colours), alpha=0.85)
    axes.axvline(0, color=colours.dim, linewidth=0.8)
    mean = float(nets.mean())
    axes.axvline(mean, color=colours.line, linewidth=1.2, linestyle="--", label=f"average {short_money(100 * mean)}")
    axes.legend(frameon=False, labelcolor=colours.ink, fontsize="small", loc="best")
    axes.set_ylabel("trades")
    axes.yaxis.set_major_locator(_few(5, whole=True))
    _dollars(axes.xaxis, _beside(axes, 5))
    axes.grid(visible=False, axis="x")
    return None


# ------------------------------------------------------------------------------------------------ over time
def floors(axes: "Axes", report: Report, colours: Palette) -> None:
    """Room of each account above its loss floor; below the dashed line it is flattened and locked."""
    spots = [point.at_ns for line in report.floors for point in line.points]
    if not spots:
        return _nothing(axes, colours, "no account with rules of the firm")
    days = {trading_day(at) for at in spots}
    ran = {day.day for day in report.figures.days}
    shown = sorted({day for day in days if day.weekday() < 5} | ran) or sorted(days)
    styles = ("-", "--", ":", "-.")
    for number, line in enumerate(report.floors):
        xs, rooms = _steps(line, shown)
        # The last room stands with the name: at the ends of the lines amounts would cover each other.
        name = f"{report.accounts.get(line.account) or line.account}  {short_money(100 * rooms[-1])}"
        axes.step(xs, rooms, where="post", color=colours.line if number % 2 == 0 else colours.up, linewidth=1.6,
                  linestyle=styles[number // 2 % 4], label=name)  # fmt: skip
    lock = max(line.lock_cents for line in report.floors) / 100
    axes.axhline(lock, color=colours.down, linewidth=1, linestyle="--", label=f"locked at {short_money(100 * lock)}")
    axes.axhline(0, color=colours.down, linewidth=1.4)
    low = min([0.0, *(point.room_cents / 100 for line in report.floors for point in line.points)])
    axes.set_ylim(bottom=low, top=axes.get_ylim()[1] * 1.3)  # room for the names
    _time_axis(axes, shown, spots, colours)
    _money(axes)
    axes.grid(visible=False, axis="x")
    axes.legend(frameon=False, labelcolor=colours.ink, fontsize="small", loc="upper left", ncols=2)
    return None


def _steps(line: FloorLine, shown: Sequence[date]) -> tuple[list[float], list[float]]:
    """Places in trading days, and dollars."""
    return [_place(point.at_ns, shown) for point in line.points], [point.room_cents / 100 for point in line.points]


def _place(at_ns: int, shown: Sequence[date]) -> float:
    """Number of the trading day, and how much of it was over; what is of no day that is shown stands between two."""
    day = trading_day(at_ns)
    return bisect_left(shown, day) + ((at_ns - trading_day_start_ns(at_ns)) / DAY_NS if day in shown else 0)


def _time_axis(axes: "Axes", shown: Sequence[date], spots: Sequence[int], colours: Palette) -> None:
    """Trading days; hours of Chicago where all is of one day."""
    if len(shown) == 1:
        hours = range(min(spots) // (3600 * NS_PER_S), max(spots) // (3600 * NS_PER_S) + 2)
        step = max(1, -(-len(hours) // 8))
        ticks = [hour * 3600 * NS_PER_S for hour in hours if trading_day(hour * 3600 * NS_PER_S) == shown[0]][::step]
        names = [f"{datetime.fromtimestamp(at // NS_PER_S, UTC).astimezone(CHICAGO):%H:%M}" for at in ticks]
        axes.set_xticks([_place(at, shown) for at in ticks], names)
        axes.set_xlabel(f"Chicago, {day_name(shown[0])}")
        return
    step = max(1, -(-len(shown) // MOST_BARS))
    for edge in range(1, len(shown)):
        axes.axvline(edge, color=colours.grid, linewidth=1 if step == 1 else 0)
    places = range(0, len(shown), step)
    names = [day_name(shown[at]) for at in places]
    axes.set_xticks([at + 0.5 for at in places], names)
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(0, len(shown))


def rolling(axes: "Axes", report: Report, colours: Palette) -> None:
    """The Sharpe ratio of each 20 trading days in a row."""
    told = [one for one in report.rolling if one.value is not None]
    if not told:
        return _nothing(axes, colours, f"{len(report.to_date.days)} trading days, {FEWEST_DAYS} are needed")
    days = [one.day for one in report.rolling]
    places = [days.index(one.day) for one in told]
    axes.plot(places, [one.value or 0.0 for one in told], "o-" if len(told) < 8 else "-", color=colours.line,
              linewidth=1.6, markersize=4)  # fmt: skip
    axes.axhline(0, color=colours.dim, linewidth=0.8)
    ticks = range(0, len(days), max(1, -(-len(days) // 6)))
    axes.set_xticks(list(ticks), [short_day(days[at]) for at in ticks])
    axes.set_xlabel("last of 20 trading days")
    axes.yaxis.set_major_locator(_few(5))
    axes.grid(visible=False, axis="x")
    return None


def _round_width(most: float) -> float:
    """A width of 1, 2 or 5 times a power of ten that makes about ten bins of `most`."""
    rough = max(most, 1.0) / 9
    power = 10.0 ** np.floor(np.log10(rough))
    return float(next(step * power for step in (1, 2, 5, 10) if step * power >= rough))


# ------------------------------------------------------------------------------------------------ help
def _signs(values: Sequence[float], colours: Palette) -> list[str]:
    return [colours.up if value >= 0 else colours.down for value in values]


def _nothing(axes: "Axes", colours: Palette, text: str = "no trades") -> None:
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", color=colours.dim, transform=axes.transAxes)


def _money(axes: "Axes") -> None:
    _dollars(axes.yaxis, 6)


def _dollars(axis: "Axis", most: int) -> None:
    """At most so many amounts: whole dollars, and cents where two labels would read the same without them."""

    def label(value: float, _: float) -> str:
        whole = all(abs(place - round(place)) < 1e-6 for place in axis.get_majorticklocs())
        return short_money(100 * value) if whole else money(100 * value, signed=False)

    axis.set_major_locator(_few(most))
    axis.set_major_formatter(label)


def _beside(axes: "Axes", most: int) -> int:
    """Spaces between amounts that have room beside each other, at most so many."""
    inches = axes.get_window_extent().width / axes.figure.dpi
    return max(1, min(most, int(inches / LABEL_INCHES)))


def _few(most: int, *, whole: bool = False) -> Any:
    """At most so many labels."""
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(most, integer=whole, steps=[1, 2, 2.5, 5, 10] if not whole else [1, 2, 5, 10])


def picture(draw: Draw, report: Report, size: tuple[float, float]) -> str:
    """One chart as SVG text in the page's own colours."""

    def on(figure: "Figure") -> None:
        draw(figure.subplots(), report, ON_PAGE)

    return page.svg(size, on)
