"""Rows of the comparison, and the one table that they make. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

PERCENTILES = (10, 50, 90)
HEAD = ("work", "peer", "its figure", "ours", "ratio", "outputs equal", "memory MB, its : ours",
        "import s, its : ours")  # fmt: skip


@dataclass
class Row:
    """One piece of work done by both sides; `reason` instead of figures when it could not run."""

    work: str
    peer: str  # name and version
    data: str = ""  # on what
    unit: str = ""  # tick, bar, message
    shape: Literal["time", "rate"] = "time"  # as CPU time of a unit, or units in a CPU second
    theirs: list[float] = field(default_factory=list)  # CPU seconds of one unit, of each round
    ours: list[float] = field(default_factory=list)
    equal: str = ""
    memory_mb: tuple[float, float] = (0.0, 0.0)
    import_s: tuple[float, float] = (0.0, 0.0)
    notes: dict[str, Any] = field(default_factory=dict)
    reason: str = ""

    @property
    def ratio(self) -> float:
        """How many times the peer's CPU time ours is shorter."""
        return percentile(self.theirs, 50) / percentile(self.ours, 50)

    def document(self) -> dict[str, Any]:
        """For the JSON file."""
        found = vars(self).copy()
        if not self.reason:
            found["ratio"] = self.ratio
            for side in ("theirs", "ours"):
                values = getattr(self, side)
                found[f"{side}_percentiles"] = {f"p{p}": percentile(values, p) for p in PERCENTILES}
        return found


def percentile(values: Sequence[float], percent: float) -> float:
    """Between the sorted values, linearly; of few rounds p10 and p90 are near the ends."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def figure(row: Row, values: Sequence[float]) -> str:
    """The median as a time or a rate, with the span from p10 to p90."""
    low, middle, high = (percentile(values, p) for p in PERCENTILES)
    if row.shape == "rate":
        return f"{1 / middle:,.0f} {row.unit}s/s ({1 / high:,.0f} to {1 / low:,.0f})"
    scale, name = next(
        (scale, name) for scale, name in ((1.0, "s"), (1e3, "ms"), (1e6, "µs"), (1e9, "ns"))
        if middle * scale >= 1 or name == "ns"
    )  # fmt: skip
    low, middle, high = (number(value * scale) for value in (low, middle, high))  # type: ignore[assignment]
    return f"{middle} {name} a {row.unit} ({low} to {high})"


def number(value: float) -> str:
    """Three digits that mean something."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def cells(row: Row) -> tuple[str, ...]:
    """One line of the table."""
    if row.reason:
        return row.work, row.peer, "not run: " + " ".join(row.reason.split()), "", "", "", "", ""
    extra = "; ".join(f"{name}: {value}" for name, value in row.notes.items())
    memory, imports = (f"{a:.{digits}f} : {b:.{digits}f}" for (a, b), digits in ((row.memory_mb, 0),
                                                                                (row.import_s, 2)))  # fmt: skip
    theirs = figure(row, row.theirs) + (f"; {extra}" if extra else "")
    work = f"{row.work}; {row.data}" if row.data else row.work
    return work, row.peer, theirs, figure(row, row.ours), number(row.ratio), row.equal, memory, imports


def render(rows: Sequence[Row]) -> str:
    """Markdown, its columns padded so that a terminal shows it, too."""
    lines = [HEAD, *(tuple(cell.replace("|", "/") for cell in cells(row)) for row in rows)]
    widths = [max(len(line[k]) for line in lines if line is lines[0] or line[3]) for k in range(len(HEAD))]
    text = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
            for line in lines]  # fmt: skip
    text.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(text)
