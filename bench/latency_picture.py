"""The picture of tick_to_signal.py: percentile curves on logarithmic axes, floors beside them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from engine_run import Values

if TYPE_CHECKING:
    from tick_to_signal import Cell

TAILS = (50, 90, 99, 99.9, 99.99)  # percentiles that the axis names
SHOWN = {  # the hops of a signal in the first panel
    "frame > ring": "#4c78a8",
    "frame > woke": "#72b7b2",
    "woke > signal": "#54a24b",
    "tick > signal": "#000000",
    "signal > executor": "#eeca3b",
    "executor > approved": "#f58518",
    "approved > handed": "#e45756",
    "handed > request": "#b279a2",
    "signal > request": "#7f0000",
}
TOTALS = ("tick > signal", "signal > request")
FLOOR_STYLE = {
    "C futex": ("#555555", ":"),
    "C spin": ("#999999", ":"),
    "C tcp": ("#777777", "-."),
    "disk sync": ("#333333", "--"),
}


def curve(axes: Any, values: Values, label: str, **style: Any) -> None:
    """All values in order over the odds of a worse one, so that each nine of the percentile has the same width."""
    if not len(values):
        return
    ordered = np.sort(values) / 1e3
    odds = len(ordered) / np.arange(len(ordered), 0, -1)
    axes.plot(odds, np.maximum(ordered, 0.05), label=f"{label} (n {len(ordered):,})", drawstyle="steps-post", **style)


def dress(axes: Any, title: str, most: float) -> None:
    """Axes, grid and legend alike in all panels; `most`: the largest number of values of a curve."""
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
    axes.set_xscale("log")
    axes.set_yscale("log")
    ticks = [tail for tail in TAILS if 1 / (1 - tail / 100) <= most] or [50]
    axes.set_xticks([1 / (1 - tail / 100) for tail in ticks], [f"p{tail:g}" for tail in ticks])
    axes.minorticks_off()
    axes.set_xlim(1, max(2.2, most))
    axes.set_ylabel("microseconds")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}" if value < 1e4 else f"{value / 1e3:g} k")
    axes.grid(True, which="major", alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False)


def panel(axes: Any, title: str, curves: Sequence[tuple[str, Values, dict[str, Any]]]) -> None:
    """One panel with its curves, longest first drawn last."""
    for label, values, style in curves:
        curve(axes, values, label, **style)
    dress(axes, title, max((len(values) for _, values, _ in curves), default=10))


def budget(axes: Any, microseconds: float) -> None:
    """The budget of a p50 as a mark on its axis."""
    axes.plot([2], [microseconds], marker="_", markersize=22, color="#c00000", markeredgewidth=2.5, zorder=5)
    axes.annotate("budget p50", (2, microseconds), xytext=(12, -3), textcoords="offset points", fontsize=7.5,
                  color="#c00000")  # fmt: skip


def draw(path: Path, cells: Sequence["Cell"], floors: dict[str, Values]) -> None:
    """Four panels: all hops at the least load, both totals by load, wait strategies and workers, ring and floors."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, ((hops, ticks), (requests, ring)) = plt.subplots(2, 2, figsize=(18, 10.5), layout="constrained")
    first = cells[0]
    panel(hops, f"Hops of a signal at {first.name}", [
        (hop, first.values(hop), {"color": color, "linewidth": 2.4 if hop in TOTALS else 1.4})
        for hop, color in SHOWN.items()
    ])  # fmt: skip
    shades = plt.get_cmap("viridis")(np.linspace(0, 0.9, max(2, len(cells))))
    for axes, total, limit in ((ticks, TOTALS[0], 100), (requests, TOTALS[1], 2000)):
        words = "frame received to signal sent" if axes is ticks else "signal sent to HTTP request, journal synced"
        styles = [
            {"color": shade, "linestyle": "-" if cell.wait == "futex" and not cell.workers else "--"}
            for cell, shade in zip(cells, shades, strict=False)
        ]
        curves = [(cell.name, cell.values(total), style) for cell, style in zip(cells, styles, strict=True)]
        panel(axes, f"{total}: {words}", curves)
        budget(axes, limit)
    lines = [
        (name, values, {"color": FLOOR_STYLE[name][0], "linestyle": FLOOR_STYLE[name][1], "linewidth": 2})
        if name in FLOOR_STYLE
        else (name, values, {"linewidth": 1.4})
        for name, values in floors.items()
    ]
    panel(ring, "One hop through the ring, and the bare floors", lines)
    figure.suptitle("T-BOT: from tick to order request (mode sim, loopback, one machine)", fontsize=14)
    figure.savefig(path, dpi=110)
    plt.close(figure)
