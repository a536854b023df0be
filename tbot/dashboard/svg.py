"""A frame as an SVG picture of a terminal: what `tbot dashboard --screenshot` writes."""

import io
import re
from collections.abc import Sequence

from rich.console import Console
from rich.segment import Segment, Segments
from rich.terminal_theme import TerminalTheme

from tbot.dashboard.rows import Row
from tbot.dashboard.theme import Theme


def svg(rows: Sequence[Row], theme: Theme, width: int, title: str) -> str:
    """The rows as a picture; the same rows give the same bytes. Who opens it asks nobody for a font."""
    console = Console(
        width=width, height=len(rows), record=True, file=io.StringIO(), force_terminal=True, color_system="truecolor",
        legacy_windows=False,
    )  # fmt: skip
    for row in rows:
        spans = [Segment(span.text, theme.style(span.style)) for span in row]
        console.print(Segments([*spans, Segment.line()]), end="")
    back, fore = _rgb(theme.colours.get("base", "")), _rgb(theme.colours.get("text", ""))
    grey = [(c, c, c) for c in (0, 205, 205, 205, 205, 205, 205, 229)]
    drawn = console.export_svg(
        title=title, theme=TerminalTheme(back or (15, 20, 25), fore or (215, 221, 229), grey, grey), unique_id="tbot"
    )
    return re.sub(r"\s*@font-face \{[^}]*\}", "", drawn)


def _rgb(colour: str) -> tuple[int, int, int] | None:
    return (int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)) if colour.startswith("#") else None
