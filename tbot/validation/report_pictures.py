"""Pictures of a report as SVG text for a page of HTML (matplotlib, never its pyplot).

Colours are those of the page: each is drawn in a colour of its own that is then replaced by the page's CSS variable, so
one picture suits light and dark. Equal results give equal bytes.
"""

import io
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np

from tbot.backtest.results import NONE_TICKS, Table
from tbot.errors import missing_extra
from tbot.validation.calibration import Reliability
from tbot.validation.costs import CostCurve
from tbot.validation.report_lines import at_times
from tbot.validation.report_tables import Curve, Line
from tbot.validation.report_words import NS_PER_S, short_money

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Drawn colour -> CSS variable. The values themselves are never seen.
INK, DIM, UP, DOWN, LINE, GRID = "#010203", "#010204", "#010205", "#010206", "#010207", "#010208"
_VARIABLES = {INK: "ink", DIM: "dim", UP: "up", DOWN: "down", LINE: "line", GRID: "grid"}
_NOT_WANTED = re.compile(
    r"<\?xml.*?\?>|<!DOCTYPE.*?>|<!--.*?-->|<metadata>.*?</metadata>|<style.*?</style>|<title>.*?</title>"
    r'| id="[A-Za-z]\w*_\d+"',
    re.DOTALL,
)
MOST_POINTS = 2_000  # of a picture: more make the page heavy and show nothing
WIDE, HALF = (9.6, 4.2), (4.7, 3.2)  # inches


def figure_class() -> "type[Figure]":
    """matplotlib's Figure; ConfigError where it is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise missing_extra("the HTML report", "matplotlib", "report") from None
    return Figure


def equity(curve: Curve, zone: ZoneInfo) -> str:
    """Balance, and drawdown below it."""

    def draw(figure: "Figure") -> None:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        at_ns, balance, fall = curve.at_ns, curve.balance_cents / 100, curve.fall_cents / 100
        if len(at_ns) > MOST_POINTS:
            at_ns = np.linspace(at_ns[0], at_ns[-1], MOST_POINTS).astype(np.int64)
            values, falls = at_times(curve, MOST_POINTS)
            balance, fall = values / 100, falls / 100
        times = [datetime.fromtimestamp(at // NS_PER_S, UTC).astimezone(zone) for at in at_ns.tolist()]
        upper.step(times, balance, where="post", color=LINE, linewidth=1.4)
        upper.axhline(balance[0], color=DIM, linewidth=0.7, linestyle=":")
        lower.fill_between(times, fall, 0, step="post", color=DOWN, alpha=0.45, linewidth=0)
        _money_axis(upper, "balance")
        _money_axis(lower, "drawdown")
        _dates(lower, zone)

    return svg(WIDE, draw)


def costs(curve: CostCurve) -> str:
    """Net result over multiples of the costs."""

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        nets = np.array(curve.nets_cents) / 100
        axes.plot(curve.multiples, nets, color=LINE, linewidth=1.6)
        axes.axhline(0, color=DIM, linewidth=0.8)
        axes.plot([1], [curve.net_cents / 100], "o", color=INK, markersize=5)
        axes.annotate("this run", (1, curve.net_cents / 100), (6, 6), textcoords="offset points", color=INK)
        if 0 < curve.dies_at <= curve.multiples[-1]:
            axes.axvline(curve.dies_at, color=DOWN, linewidth=1, linestyle="--")
        axes.set_xlabel("multiple of the costs")
        _money_axis(axes, "net result")

    return svg(HALF, draw)


def hours(lines: Sequence[Line]) -> str:
    """Net result by hour of entry."""

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        nets = [line.net_cents / 100 for line in lines]
        axes.bar([line.label[0] for line in lines], nets, color=[UP if net > 0 else DOWN for net in nets], width=0.7)
        axes.axhline(0, color=DIM, linewidth=0.8)
        axes.set_xlabel("hour of entry, Chicago")
        _money_axis(axes, "net result")

    return svg(HALF, draw)


def excursions(rows: Table) -> str | None:
    """How far trips went against and for their trader; None where that was not watched."""
    watched = rows[(rows["mae_ticks"] != NONE_TICKS) & (rows["mfe_ticks"] != NONE_TICKS)]
    if not len(watched):
        return None
    seen = watched[-MOST_POINTS:]
    which = f" (the last {MOST_POINTS:,} trades)" if len(watched) > MOST_POINTS else ""

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        won = seen["net_cents"] > 0
        for mask, colour, mark, name in ((won, UP, "^", "won"), (~won, DOWN, "v", "lost or flat")):
            axes.plot(seen["mae_ticks"][mask], seen["mfe_ticks"][mask], mark, color=colour, markersize=4,
                      alpha=0.6, markeredgewidth=0, label=name)  # fmt: skip
        axes.set_xlabel("worst on the way (MAE), ticks" + which)
        axes.set_ylabel("best on the way (MFE), ticks")
        axes.legend(frameon=False, labelcolor=INK, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)

    return svg(HALF, draw)


def calibration(table: Reliability) -> str:
    """What the score promised against what came."""

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=DIM, linewidth=0.8, linestyle=":")
        told = [one.probability for one in table.bins]
        seen = [one.hit_rate.estimate for one in table.bins]
        spans = [
            [one.hit_rate.estimate - one.hit_rate.low for one in table.bins],
            [one.hit_rate.high - one.hit_rate.estimate for one in table.bins],
        ]
        axes.errorbar(told, seen, np.maximum(spans, 0), fmt="o", color=LINE, ecolor=DIM, markersize=5, linewidth=1)
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="probability that the score tells", ylabel="share that won")

    return svg(HALF, draw)


def svg(size: tuple[float, float], draw: Callable[["Figure"], None]) -> str:
    """What `draw` puts on a figure of so many inches, drawn in the colours above."""
    import matplotlib

    figure = figure_class()(figsize=size, layout="constrained")
    settings: Any = {
        "svg.fonttype": "none", "svg.hashsalt": "tbot", "font.family": "sans-serif", "font.size": 9,
        "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": DIM, "xtick.color": DIM, "ytick.color": DIM,
        "axes.grid": True, "grid.color": GRID, "grid.linewidth": 0.6, "axes.spines.top": False,
        "axes.spines.right": False, "axes.axisbelow": True,
    }  # fmt: skip
    with matplotlib.rc_context(settings):
        draw(figure)
        out = io.StringIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = _NOT_WANTED.sub("", out.getvalue())
    for colour, name in _VARIABLES.items():
        text = text.replace(colour, f"var(--{name})")
    return text.strip()


def _money_axis(axes: "Axes", label: str) -> None:
    axes.set_ylabel(label)
    axes.yaxis.set_major_formatter(lambda value, _: short_money(100 * value))


def _dates(axes: "Axes", zone: ZoneInfo) -> None:
    from matplotlib import dates

    untyped: Any = dates
    locator = untyped.AutoDateLocator(tz=zone, minticks=3, maxticks=9)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(untyped.ConciseDateFormatter(locator, tz=zone))
