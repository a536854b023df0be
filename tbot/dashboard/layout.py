"""Where everything lies on a screen of any size: one function from a frame to exactly `height` rows of `width` cells.

From 110 columns on there is a side column with all panels; below, one panel at a time takes the lower part.
"""

from collections.abc import Callable

from tbot.dashboard import panels
from tbot.dashboard.candles import draw
from tbot.dashboard.rows import Row, Span, fitted, on
from tbot.dashboard.shown import Shown
from tbot.dashboard.theme import Theme

WIDE = 110
SIDE = 45
NARROW_PANELS = ("Events", "Signals", *(name for name, _, _ in panels.PANELS))
FOOTER = (
    ("?", "help"), ("1-5", "timeframe"), ("c", "contract"), ("a", "account"), ("z", "zones"), ("p", "pause"),
    ("r", "resume"), ("X", "flatten"), ("K", "KILL"), ("q", "quit"),
)  # fmt: skip


def compose(shown: Shown, theme: Theme, width: int, height: int) -> list[Row]:
    """The whole screen."""
    top = [on(row, "panel") for row in panels.header(shown, width)]
    foot = [footer(width)]
    room = height - len(top) - len(foot)
    if room < 3:
        blank: list[Row] = [[]] * max(0, room)
        return [fitted(row, width) for row in (*top, *blank, *foot)[:height]]
    body = _wide(shown, theme, width, room) if width >= WIDE else _narrow(shown, theme, width, room)
    return [fitted(row, width) for row in (*top, *body, *foot)]


def chart_columns(width: int) -> int:
    """How many bars a screen can show."""
    return max(20, width - (SIDE + 1 if width >= WIDE else 0))


def footer(width: int) -> Row:
    """Keys and what they do; of those that do not fit the last ones but `quit` are left out."""
    row: Row = []
    for key, words in FOOTER:
        row += [Span(f" {key} ", "!warn/panel"), Span(f"{words} ", "text/panel")]
    if width < 100:
        keep = ("?", "1-5", "c", "v", "p", "X", "K", "q")
        short = {"1-5": "time", "c": "contract", "v": "panel"}
        named = dict(FOOTER) | {"v": "panel"}
        row = []
        for key in keep:
            row += [Span(f" {key} ", "!warn/panel"), Span(f"{short.get(key, named[key])} ", "text/panel")]
    return fitted(row, width, "text/panel")


def _wide(shown: Shown, theme: Theme, width: int, height: int) -> list[Row]:
    left = width - SIDE - 1
    lists = max(4, min(14, height // 3))
    signal_rows = max(1, lists // 2 - 1)
    event_rows = lists - signal_rows - 2
    chart = height - lists
    rows = draw(shown.chart(texture=theme.texture, hollow=theme.hollow), left, chart)
    rows += [panels.title("Signals", left), *_filled(panels.signals(shown, left, signal_rows), left, signal_rows)]
    rows += [panels.title("Events", left), *_filled(panels.events(shown, left, event_rows), left, event_rows)]
    side = side_column(shown, SIDE, height)
    return [[*fitted(one, left), Span(" "), *other] for one, other in zip(rows, side, strict=True)]


def side_column(shown: Shown, width: int, height: int) -> list[Row]:
    """All panels under each other; from the last one on they are shortened, then left out, when there is no room."""
    made = [(name, function(shown, width), most) for name, function, most in panels.PANELS]
    sizes = [min(len(rows), most) for _, rows, most in made]
    spare = height - sum(size + 1 for size in sizes)
    for place in reversed(range(len(sizes))):
        given = min(sizes[place] - 1, max(0, -spare))
        sizes[place] -= given
        spare += given
    while spare < 0:
        spare += sizes.pop() + 1
    made = made[: len(sizes)]
    rows: list[Row] = []
    for (name, content, _), size in zip(made, sizes, strict=True):
        hidden = len(content) - size
        rows.append(panels.title(name, width, f"+{hidden}" if hidden > 0 else ""))
        rows += content[:size]
        if spare > 0 and name != made[-1][0]:
            rows.append([])
            spare -= 1
    return [fitted(row, width) for row in (rows + [[]] * height)[:height]]


def _narrow(shown: Shown, theme: Theme, width: int, height: int) -> list[Row]:
    lower = max(3, min(12, height // 3))
    rows = draw(shown.chart(texture=theme.texture, hollow=theme.hollow), width, height - lower)
    name = NARROW_PANELS[shown.choice.panel % len(NARROW_PANELS)]
    lists: dict[str, Callable[[Shown, int, int], list[Row]]] = {"Events": panels.events, "Signals": panels.signals}
    if name in lists:
        content = lists[name](shown, width, lower - 1)
    else:
        content = next(function for known, function, _ in panels.PANELS if known == name)(shown, width)
    hidden = len(content) - (lower - 1)
    heading = panels.title(name, width, f"+{hidden} more" if hidden > 0 else "")
    return [*rows, heading, *_filled(content, width, lower - 1)]


def _filled(rows: list[Row], width: int, height: int) -> list[Row]:
    blank: list[Row] = [[Span(" " * width)]]
    return [fitted(row, width) for row in (rows + blank * height)[:height]]
