"""Small charts of text: a line of braille dots for the balance, and what hangs below it, the drawdown.

A braille sign (U+2800 and the eight bits below) is two dots wide and four high, so a chart of w x h signs has 2w x 4h
dots. Consoles without such signs get stars.
"""

from collections.abc import Iterator

import numpy as np
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from tbot.validation.report_tables import Curve, Ints
from tbot.validation.report_words import short_money

# Bits of the dots of one sign by (row, column), from the top.
_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_BLANK = 0x2800


def at_times(curve: Curve, dots: int) -> tuple[Ints, Ints]:
    """Balance and drawdown in cents at `dots` moments spread evenly over the curve: what stood at their ends."""
    edges = np.linspace(curve.at_ns[0], curve.at_ns[-1], dots).astype(np.int64)
    edges[-1] = curve.at_ns[-1]
    ends = np.searchsorted(curve.at_ns, edges, side="right") - 1
    starts = np.concatenate([[0], ends[:-1]])
    # Why the lowest of each stretch: a drawdown that is narrower than a dot shall be seen.
    deepest = [int(curve.fall_cents[a : b + 1].min()) for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]
    return curve.balance_cents[ends], np.array(deepest, np.int64)


def braille(columns: list[tuple[int, int]], rows: int, *, ascii_only: bool = False) -> list[str]:
    """Lines of signs in which dot column i is filled from dot row a to b (0 is the top) of `columns[i] = (a, b)`."""
    signs = np.zeros((rows, (len(columns) + 1) // 2), np.int64)
    for x, (top, bottom) in enumerate(columns):
        for y in range(top, bottom + 1):
            signs[y // 4, x // 2] |= _BITS[y % 4][x % 2]
    if ascii_only:
        return ["".join("*" if sign else " " for sign in row) for row in signs.tolist()]
    return ["".join(chr(_BLANK + sign) if sign else " " for sign in row) for row in signs.tolist()]


def line_columns(values: Ints, rows: int) -> list[tuple[int, int]]:
    """A joined line through the values, the highest at the top."""
    low, high = int(values.min()), int(values.max())
    dots = 4 * rows - 1
    places = [round((high - value) * dots / (high - low)) if high > low else dots // 2 for value in values.tolist()]
    before = [places[0], *places[:-1]]
    return [(min(a, b), max(a, b)) for a, b in zip(before, places, strict=True)]


def hanging_columns(falls: Ints, rows: int) -> list[tuple[int, int]]:
    """Bars that hang from 0 at the top to each value (0 or less); nothing where there is no fall."""
    deepest = int(falls.min())
    if not deepest:
        return [(0, -1)] * len(falls)
    return [(0, max(0, round(4 * rows * fall / deepest) - 1) if fall else -1) for fall in falls.tolist()]


class EquityChart:
    """Balance above, drawdown below, as wide as the console."""

    def __init__(self, curve: Curve, first: str, last: str, rows: int = 8, fall_rows: int = 3) -> None:
        self._curve, self._dates = curve, (first, last)
        self._rows, self._fall_rows = rows, fall_rows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from self._lines(options.max_width, options.ascii_only)

    def _lines(self, width: int, ascii_only: bool) -> Iterator[Text]:
        curve = self._curve
        high, low = short_money(curve.balance_cents.max()), short_money(curve.balance_cents.min())
        deepest = short_money(int(curve.fall_cents.min()))
        room = max(map(len, (high, low, deepest, "$0")))
        signs = max(10, min(width, 150) - room - 2)
        balance, falls = at_times(curve, 2 * signs)
        flat = int(balance.min()) == int(balance.max())
        upper = braille(line_columns(balance, self._rows), self._rows, ascii_only=ascii_only)
        labels = {0: "" if flat else high, self._rows - 1: "" if flat else low, self._rows // 2: high if flat else ""}
        bar = "|" if ascii_only else "│"
        for number, text in enumerate(upper):
            yield _labelled(labels.get(number, ""), room, bar, text, "cyan")
        lower = braille(hanging_columns(falls, self._fall_rows), self._fall_rows, ascii_only=ascii_only)
        labels = {0: "$0", self._fall_rows - 1: deepest if falls.min() else ""}
        for number, text in enumerate(lower):
            yield _labelled(labels.get(number, ""), room, bar, text, "red")
        first, last = self._dates
        yield Text(" " * (room + 2) + first + last.rjust(signs - len(first)), style="dim", no_wrap=True)


def _labelled(label: str, room: int, bar: str, text: str, style: str) -> Text:
    return Text.assemble((f"{label:>{room}} {bar}", "dim"), (text, style), no_wrap=True)


def bar_of(value: float, most: float, width: int, *, ascii_only: bool = False) -> str:
    """A bar of eighths of a sign, `width` signs at `most`."""
    eighths = round(8 * width * abs(value) / most) if most else 0
    if ascii_only:
        return "#" * round(eighths / 8)
    full, rest = divmod(max(eighths, 1 if value else 0), 8)
    return "█" * full + ("▏▎▍▌▋▊▉"[rest - 1] if rest else "")
