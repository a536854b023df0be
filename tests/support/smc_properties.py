"""What must hold of the events of any detector on any bars (smc.md section 16), and canonical forms to compare them."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from tbot_ext.records import EVENT_DTYPE, NO_PRICE, EventCode, Source

# Kinds that may follow one another in the life of one zone, pool, level or period: kind -> what may come next.
_OB = ("OB_REFRESHED", "OB_TESTED", "OB_BROKEN", "OB_EXPIRED")
_FVG_END = ("FVG_EXPIRED",)
_LEVEL = ("LEVEL_JOINED", "LEVEL_TOUCHED", "LEVEL_BROKEN", "LEVEL_DEAD", "LEVEL_EXPIRED")
_POOL = ("POOL_JOINED", "SWEEP", "RUN", "POOL_EXPIRED")
_PERIOD = ("PERIOD_HIGH_BROKEN", "PERIOD_LOW_BROKEN")
ARROWS: dict[str, tuple[str, ...]] = {
    "OB": _OB,
    "OB_REFRESHED": _OB,
    "OB_TESTED": ("OB_TESTED", "OB_MITIGATED", "OB_BROKEN", "OB_EXPIRED"),
    "OB_MITIGATED": ("OB_BROKEN", "OB_EXPIRED"),
    "FVG": ("FVG_TOUCHED", *_FVG_END),
    "FVG_TOUCHED": ("FVG_HALF", *_FVG_END),
    "FVG_HALF": ("FVG_FILLED", *_FVG_END),
    "FVG_FILLED": ("FVG_INVERTED", *_FVG_END),
    "FVG_INVERTED": ("FVG_DEAD", *_FVG_END),
    "BREAKER": ("BREAKER_TESTED", "BREAKER_DEAD", "BREAKER_EXPIRED"),
    "BREAKER_TESTED": ("BREAKER_TESTED", "BREAKER_DEAD", "BREAKER_EXPIRED"),
    "MITIGATION_BLOCK": ("MITIGATION_TESTED", "MITIGATION_DEAD", "MITIGATION_EXPIRED"),
    "MITIGATION_TESTED": ("MITIGATION_TESTED", "MITIGATION_DEAD", "MITIGATION_EXPIRED"),
    "POOL": _POOL,
    "POOL_JOINED": _POOL,
    "RUN": ("SWEEP",),  # taken back within sweep_reclaim bars
    "LEVEL": _LEVEL,
    "LEVEL_JOINED": _LEVEL,
    "LEVEL_TOUCHED": _LEVEL,
    "LEVEL_BROKEN": _LEVEL,
    **dict.fromkeys(("DAY", "WEEK", "ASIA", "LONDON", "NEW_YORK", "OPENING_15", "OPENING_30"), _PERIOD),
    "PERIOD_HIGH_BROKEN": ("PERIOD_LOW_BROKEN",),
    "PERIOD_LOW_BROKEN": ("PERIOD_HIGH_BROKEN",),
    "SWEEP": (),
}
# Births that name where they come from: the old life is over or not their own, so they start one of their own.
BIRTHS = {
    "OB", "FVG", "BREAKER", "MITIGATION_BLOCK", "POOL", "LEVEL", "DAY", "WEEK", "ASIA", "LONDON", "NEW_YORK",
    "OPENING_15", "OPENING_30",
}  # fmt: skip
BANDS = ("OB", "FVG", "BREAKER", "MITIGATION", "OPENING_GAP")
DUPLICATE = 2048
MIRROR_KIND = {
    "SWING_HIGH": "SWING_LOW",
    "SWING_LOW": "SWING_HIGH",
    "PERIOD_HIGH_BROKEN": "PERIOD_LOW_BROKEN",
    "PERIOD_LOW_BROKEN": "PERIOD_HIGH_BROKEN",
}


def kind_name(code: int) -> str:
    return EventCode(code).name


def plain_events(events: np.ndarray) -> Iterator[dict[str, Any]]:
    """Events as plain values by field, without `parts`: several times quicker than asking numpy for each."""
    names = [name for name in EVENT_DTYPE.names or () if name != "parts"]
    for values in events[names].tolist():
        yield dict(zip(names, values, strict=True))


def check_invariants(events: np.ndarray, first_id: int = 1) -> Counter[str]:
    """Raises AssertionError for the first event that breaks a law; returns how often each kind occurred."""
    ids = events["id"]
    assert np.array_equal(ids, np.arange(first_id, first_id + len(ids))), "ids are unique and count up"
    assert (events["origin"] <= events["known"]).all()
    assert (events["origin_ns"] < events["known_ns"]).all()
    assert (np.diff(events["known"]) >= 0).all()
    assert (events["parent_id"] < ids).all()
    state: dict[int, str] = {}
    last: dict[int, dict[str, Any]] = {}
    seen: Counter[str] = Counter()
    for event in plain_events(events):
        kind = kind_name(event["kind"])
        seen[kind] += 1
        assert event["bottom"] <= event["top"], event
        if kind.startswith(BANDS):
            assert event["bottom"] < event["top"], event
        if kind in BIRTHS:
            if not event["flags"] & DUPLICATE:
                state[event["id"]] = kind
                last[event["id"]] = event
        elif event["parent_id"] >= 0 and kind != "MSS":
            parent = event["parent_id"]
            assert kind in ARROWS[state[parent]], (state[parent], event)
            state[parent] = kind
            if kind.startswith(BANDS) and kind != "FVG_INVERTED":
                birth = last[parent]
                assert (event["top"], event["bottom"]) == (birth["top"], birth["bottom"]), "a published zone is fixed"
    return seen


def _mirror_source(source: int) -> int:
    name = Source(source).name if source in Source._value2member_map_ else ""
    if name.endswith("_HIGH"):
        return int(Source[name[:-5] + "_LOW"])
    return int(Source[name[:-4] + "_HIGH"]) if name.endswith("_LOW") else source


def canonical(events: np.ndarray, mirror: bool = False, shift: int = 0) -> list[tuple[Any, ...]]:
    """Events as plain rows without ids, sorted inside a bar; a parent is named by what its own row says.

    `mirror` turns prices and sides around, `shift` takes the constant off again.
    """
    rows: dict[int, tuple[Any, ...]] = {}
    out = []
    for e, parts in zip(plain_events(events), events["parts"].tolist(), strict=True):
        kind = kind_name(e["kind"])
        top, bottom, side = e["top"] - shift, e["bottom"] - shift, e["side"]
        level = None if e["level"] == NO_PRICE else e["level"] - shift
        source, delta = e["source"], e["delta"]
        if mirror:
            kind, top, bottom, side = MIRROR_KIND.get(kind, kind), -bottom, -top, -side
            level = None if level is None else -level
            source = _mirror_source(source)
            delta = -delta
        row = (
            e["known"], kind, side, e["origin"], e["known_ns"], e["origin_ns"], top, bottom,
            level if level is not None else "", e["score"], tuple(parts), e["n"], e["flags"], e["volume"], delta,
            source,
        )  # fmt: skip
        parent = rows.get(e["parent_id"])
        rows[e["id"]] = row
        out.append((*row, parent[:9] if parent is not None else ()))
    return sorted(out, key=repr)


def raw(events: np.ndarray) -> bytes:
    assert events.dtype == EVENT_DTYPE
    return events.tobytes()


def same(left: np.ndarray, right: np.ndarray) -> bool:
    """Whether two event arrays are equal byte by byte; quick for long ones."""
    assert left.dtype == right.dtype == EVENT_DTYPE
    words = (np.ascontiguousarray(events).view(np.int64) for events in (left, right))
    return len(left) == len(right) and np.array_equal(*words)
