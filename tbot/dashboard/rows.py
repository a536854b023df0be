"""Text rows of a picture: spans with the name of a style, so that a picture can be made and compared without colours.

A style name is `[!]foreground[/background]`, `!` for bold; a theme turns it into colours (see `theme`).
"""

from collections.abc import Iterable
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size


class Span(NamedTuple):
    """Text of one style."""

    text: str
    style: str = "text"


Row = list[Span]


def width_of(row: Iterable[Span]) -> int:
    """Terminal cells that a row takes."""
    return sum(len(span.text) if span.text.isascii() else cell_len(span.text) for span in row)


def fitted(row: Iterable[Span], width: int, style: str = "text") -> Row:
    """A row of exactly `width` cells: cut with an ellipsis, or filled up with blanks of `style`."""
    row, used = list(row), 0
    total = width_of(row)
    if total <= width:
        return [*row, Span(" " * (width - total), style)] if total < width else row
    made: Row = []
    for span in row:
        size = cell_len(span.text)
        if used + size >= width:
            made.append(Span(set_cell_size(span.text, max(0, width - used - 1)) + "…", span.style))
            return made
        made.append(span)
        used += size
    return made


def on(row: Iterable[Span], background: str) -> Row:
    """The same row on another background, where it has none of its own."""
    return [span if "/" in span.style else Span(span.text, f"{span.style}/{background}") for span in row]


def spread(left: Row, right: Row, width: int, style: str = "text") -> Row:
    """Left part and right part at both ends of a row; the right one is dropped where both do not fit."""
    room = width - width_of(left)
    if width_of(right) + 1 > room:
        return fitted(left, width, style)
    return [*left, Span(" " * (room - width_of(right)), style), *right]


def beside(left: list[Row], right: list[Row], width: int, gap: int = 1) -> list[Row]:
    """Two blocks of equal height next to each other; the left one is brought to `width`."""
    return [[*fitted(one, width), Span(" " * gap), *other] for one, other in zip(left, right, strict=True)]


def plain(rows: Iterable[Row]) -> str:
    """What a reader without colours sees."""
    return "\n".join("".join(span.text for span in row).rstrip() for row in rows)


def merged(cells: Iterable[tuple[str, str]]) -> Row:
    """Cells (glyph, style) as the fewest spans."""
    row: Row = []
    text, style = "", ""
    for glyph, name in cells:
        if name != style and text:
            row.append(Span(text, style))
            text = ""
        text += glyph
        style = name
    if text:
        row.append(Span(text, style))
    return row
