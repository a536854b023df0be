"""Labels on a chart that do not cover each other: placed where there is room, moved a little, or left out."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Box = tuple[float, float, float, float]  # left, bottom, right, top in pixels

_SIZE = 8.0  # points
_HALO = "#131a23"  # around letters, so that they can be read on candles
_WIDTH, _HEIGHT = 0.62, 1.25  # of a character, in sizes; a little more than the font needs
_STEP = 12.0  # pixels between neighbouring labels at the right edge


@dataclass
class _Right:
    x: float
    price: float
    text: str
    colour: str


class Labels:
    """Knows where text stands on one axes; its limits must be set before."""

    def __init__(self, axes: "Axes") -> None:
        self._axes = axes
        self._taken: list[Box] = []
        self._right: list[_Right] = []
        self._scale = axes.figure.dpi / 72.0  # pixels a point

    def beside(
        self, x: float, price: float, text: str, colour: str, side: int, *, bold: bool = False, rows: int = 3
    ) -> bool:
        """Centred over (side +1) or under (-1) a point, in the first free of some rows. False when there is no room."""
        px, py = self._axes.transData.transform((x, price))
        width, height = self._extent(text)
        for row in range(rows):
            shift = side * (3 * self._scale + row * height)
            bottom = py + shift if side > 0 else py + shift - height
            if self._claim((px - width / 2, bottom, px + width / 2, bottom + height)):
                self._write(px, bottom + height / 2, text, colour, "center", bold=bold)
                return True
        return False

    def inside(self, left: float, right: float, price: float, text: str, colour: str, opacity: float) -> bool:
        """At the left end of a band, if it is wide enough."""
        px, py = self._axes.transData.transform((left, price))
        limit, _ = self._axes.transData.transform((right, price))
        width, height = self._extent(text)
        box = (px, py - height / 2, px + width, py + height / 2)
        if px + width > limit or not self._claim(box):
            return False
        self._write(px, py, text, colour, "left", opacity=max(opacity, 0.7))
        return True

    def right(self, x: float, price: float, text: str, colour: str) -> None:
        """At the right edge; drawn by `finish`, which knows all of them."""
        self._right.append(_Right(x, price, text, colour))

    def finish(self) -> None:
        """Write the labels of the right edge, spread so that all can be read, each with a thread to its price."""
        places = self._joined()
        pixels = [float(self._axes.transData.transform((label.x, label.price))[1]) for label in places]
        low, high = self._axes.bbox.y0 + 8, self._axes.bbox.y1 - 8
        moved = spread(pixels, _STEP * self._scale * 72 / 100, low, high)
        for label, old, new in zip(places, pixels, moved, strict=True):
            px = float(self._axes.transData.transform((label.x, label.price))[0])
            gap = 14 if abs(new - old) > 1 else 2
            if gap > 2:
                ends = self._axes.transData.inverted().transform([(px, old), (px + gap - 2, new)])
                self._axes.plot(ends[:, 0], ends[:, 1], color=label.colour, linewidth=0.6, alpha=0.7, zorder=6)
            self._write(px + gap, new, label.text, label.colour, "left")

    def _joined(self) -> list[_Right]:
        """By price; labels of one price share a line."""
        joined: list[_Right] = []
        for label in sorted(self._right, key=lambda label: label.price):  # of one price in the order they came
            if joined and joined[-1].price == label.price:
                joined[-1] = _Right(label.x, label.price, f"{joined[-1].text} · {label.text}", joined[-1].colour)
            else:
                joined.append(label)
        return joined

    def _extent(self, text: str) -> tuple[float, float]:
        size = _SIZE * self._scale
        return len(text) * _WIDTH * size, _HEIGHT * size

    def _claim(self, box: Box) -> bool:
        edge = self._axes.bbox
        if box[0] < edge.x0 or box[2] > edge.x1 or box[1] < edge.y0 or box[3] > edge.y1:
            return False
        if any(_overlap(box, other) for other in self._taken):
            return False
        self._taken.append(box)
        return True

    def _write(
        self, px: float, py: float, text: str, colour: str, ha: str, *, bold: bool = False, opacity: float = 1.0
    ) -> None:
        x, y = self._axes.transData.inverted().transform((px, py))
        from matplotlib.patheffects import withStroke

        weight = "bold" if bold else "normal"
        written = self._axes.text(
            x, y, text, color=colour, fontsize=_SIZE, ha=ha, va="center_baseline", fontweight=weight, alpha=opacity,
            zorder=8, parse_math=False, clip_on=True,
        )  # fmt: skip
        written.set_path_effects([withStroke(linewidth=2.2, foreground=_HALO)])


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def spread(places: list[float], step: float, low: float, high: float) -> list[float]:
    """Rising places moved apart to at least `step` as little as possible; inside low..high while there is room."""
    groups: list[list[float]] = []  # [sum of (place - k * step), count]
    for place in places:
        groups.append([place, 1.0])
        while len(groups) > 1 and groups[-1][0] / groups[-1][1] < _end(groups[-2], step):
            total, count = groups.pop()
            before = groups[-1]
            before[0] += total - before[1] * step * count
            before[1] += count
    out: list[float] = []
    for total, count in groups:
        start = total / count
        start = max(low, min(start, high - (count - 1) * step))
        out += [start + k * step for k in range(int(count))]
    for k in range(1, len(out)):
        out[k] = max(out[k], out[k - 1] + step)
    return out


def _end(group: list[float], step: float) -> float:
    return group[0] / group[1] + group[1] * step
