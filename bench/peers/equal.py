"""Whether both sides gave the same, and if not, what differs, exactly. Pure."""

from typing import Any

import numpy as np
from windows import WINDOW

Columns = dict[str, Any]
TIME_SLACK_NS = 1_000  # a fill may stand at the quote before its print or at the print


def columns_equal(theirs: Columns, ours: Columns) -> str:
    """ "yes", or the first column that differs; NaN is equal to NaN."""
    if set(theirs) != set(ours):
        return f"no: columns {sorted(set(theirs) ^ set(ours))} on one side only"
    for name in ours:
        a, b = np.asarray(theirs[name]), np.asarray(ours[name])
        if a.shape != b.shape:
            return f"no: {name} has {len(a)} rows, ours {len(b)}"
        same = a == b
        if a.dtype.kind == "f" or b.dtype.kind == "f":
            same |= np.isnan(a) & np.isnan(b)
        if not np.all(same):
            at = tuple(int(index[0]) for index in np.nonzero(~same))
            wrong = int(np.count_nonzero(~same))
            return f"no: {name} differs in {wrong} of {same.size} values, first at {at}: {a[at]}, ours {b[at]}"
    return "yes"


def bars_equal(theirs: Columns, ours: Columns) -> str:
    """Five frames of bars."""
    told = columns_equal(theirs, ours)
    count = sum(len(ours[name]) for name in ours if name.endswith("start_ns"))
    return f"yes, {count} bars" if told == "yes" else told


def trades_equal(theirs: Columns, ours: Columns) -> str:
    """Trades: sides and prices exactly, times (where both know them) within TIME_SLACK_NS."""
    a, b = (list(zip(*(side[name].tolist() for name in ("side", "entry", "exit")), strict=True))
            for side in (theirs, ours))  # fmt: skip
    if not b:
        return "no: our side made no trade, so nothing is compared"
    shared = sum(x == y for x, y in zip(a, b, strict=False))
    if a != b:
        first = next((k for k, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
        one, other = (str(rows[first]) if first < len(rows) else "none" for rows in (a, b))
        return f"no: {len(a)} trades, ours {len(b)}, {shared} the same in order; trade {first}: {one}, ours {other}"
    for name in ("opened_ns", "closed_ns"):
        if name in theirs and name in ours:
            apart = int(np.abs(theirs[name] - ours[name]).max())
            if apart > TIME_SLACK_NS:
                return f"no: {len(a)} trades with equal prices, but {name} is up to {apart / 1e9:.3f} s apart"
    return f"yes, {len(a)} trades"


def delivered(theirs: Columns, ours: Columns, count: int) -> str:
    """Of so many quotes: how many arrived at all."""
    got, own = len(theirs["bid"]), len(ours["bid"])
    lost, own_lost = ((count - n) / count for n in (got, own))
    if not lost and not own_lost:
        return f"{columns_equal(theirs, ours)}: all {count:,} quotes"
    return f"no: {lost:.1%} of {count:,} quotes lost, ours {own_lost:.1%}"


def gaps_of_windows(found: Columns) -> set[tuple[int, int, int, int]]:
    """(place from the end of the data, side, top, bottom) of the gap that each window's newest bar confirmed."""
    flags, top, bottom = (found[f"fvg|{name}"][:, WINDOW - 2] for name in ("FVG", "Top", "Bottom"))
    return {
        (int(k) - len(flags), int(flags[k]), round(top[k] * 4), round(bottom[k] * 4))
        for k in np.flatnonzero(~np.isnan(flags))
    }  # fmt: skip


def stream_against_windows(theirs: Columns, ours: Columns, n: int) -> str:
    """Detectors against the library: other definitions, so only the gaps of single bars can be compared."""
    lib = gaps_of_windows(theirs)
    own = {
        (bar + 1 - n, side, top, bottom)
        for bar, side, top, bottom in zip(*(ours[name].tolist() for name in ("bar", "side", "top", "bottom")),
                                          strict=True)
    }  # fmt: skip
    return (
        f"gaps: {len(lib)}, ours {len(own)}, {len(lib & own)} the same; all else differs by definition (theirs looks "
        "ahead and repaints)"
    )
