"""Reads py-spy's flame graph: which function had how many samples, itself and with all that it called.

One sampling gives both the picture and the table: the picture holds its own figures (py-spy draws with inferno, which
writes position and width of each box in samples as `fg:x` and `fg:w`, and the depth as `y`).
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from xml.etree import ElementTree

from tbot.errors import DataError

_INFERNO = "{http://github.com/jonhoo/inferno}"
_SVG = "{http://www.w3.org/2000/svg}"
_TITLE = re.compile(r"^(?P<frame>.*) \([\d,]+ samples, [\d.]+%\)$", re.DOTALL)
_FRAME = re.compile(r"^(?P<function>.*) \((?P<where>[^()]*)\)$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Box:
    """One box of the picture: a frame below its caller. `depth` grows with each call; x and width in samples."""

    frame: str
    depth: float
    x: int
    width: int


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a function: samples in it itself, and in it with all that it called."""

    function: str
    where: str  # file and line, or the library of a native function; "" when nothing is known
    own: int
    total: int


def read(text: str) -> tuple[int, list[Row]]:
    """(samples in all, rows with the most samples of their own first). DataError when it is no picture of py-spy's."""
    try:
        found = ElementTree.fromstring(text)
        boxes = list(_boxes(found))
    except (ElementTree.ParseError, ValueError, TypeError) as error:
        raise DataError(f"this is no flame graph of py-spy's ({error}); profile again") from None
    return _count(boxes)


def _boxes(svg: ElementTree.Element) -> Iterator[Box]:
    for group in svg.iter(f"{_SVG}g"):
        title, shape = group.find(f"{_SVG}title"), group.find(f"{_SVG}rect")
        if title is None or shape is None:
            continue
        parsed = _TITLE.match(title.text or "")
        if parsed is not None:
            numbers = shape.get(f"{_INFERNO}x"), shape.get(f"{_INFERNO}w"), shape.get("y")
            yield Box(parsed["frame"], float(numbers[2]), int(numbers[0]), int(numbers[1]))  # type: ignore[arg-type]


def _count(boxes: Iterable[Box]) -> tuple[int, list[Row]]:
    """A function that calls itself counts once in its total."""
    own: Counter[str] = Counter()
    total: Counter[str] = Counter()
    samples = 0
    above: list[Box] = []
    for box in sorted(boxes, key=lambda box: (box.x, box.depth)):
        while above and not (above[-1].depth < box.depth and box.x < above[-1].x + above[-1].width):
            above.pop()
        own[box.frame] += box.width
        if above:
            own[above[-1].frame] -= box.width
        else:
            samples += box.width
        if all(caller.frame != box.frame for caller in above):
            total[box.frame] += box.width
        above.append(box)
    rows = [_row(frame, own[frame], total[frame]) for frame in total if frame != "all"]
    return samples, sorted(rows, key=lambda row: (-row.own, -row.total, row.function))


def _row(frame: str, own: int, total: int) -> Row:
    parsed = _FRAME.match(frame)
    return Row(parsed["function"], parsed["where"], own, total) if parsed else Row(frame, "", own, total)
