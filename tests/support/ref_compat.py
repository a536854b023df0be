"""Slow, obvious reference for smc.md section 14: plain loops over lists, both sides written out.

Takes and gives dicts of arrays as `tbot.compat.smc` does. Prices must not be missing. Where the library walks with
state from bar to bar, this says what a row is.
"""

import bisect
from typing import Any

import numpy as np

NAN = float("nan")
Bars = dict[str, Any]


def _lists(bars: Bars) -> tuple[list[float], ...]:
    return tuple([float(x) for x in bars[name]] for name in ("open", "high", "low", "close"))


def _single(x: float) -> float:
    return float(np.float32(x))


def _table(names: tuple[str, ...], types: tuple[str, ...], rows: list[list[float]]) -> Bars:
    return {name: np.array([row[k] for row in rows], types[k]) for k, name in enumerate(names)}


def _swings(swings: Bars) -> list[tuple[int, float, float]]:
    pairs = zip(swings["HighLow"], swings["Level"], strict=True)
    return [(i, float(kind), float(level)) for i, (kind, level) in enumerate(pairs) if kind == kind]


def fvg(bars: Bars, join_consecutive: bool = False) -> Bars:
    o, h, low, c = _lists(bars)
    n = len(o)
    rows = [[NAN] * 4 for _ in range(n)]
    for i in range(1, n - 1):
        if h[i - 1] < low[i + 1] and c[i] > o[i]:
            rows[i][:3] = [1, low[i + 1], h[i - 1]]
        if low[i - 1] > h[i + 1] and c[i] < o[i]:
            rows[i][:3] = [-1, low[i - 1], h[i + 1]]
    if join_consecutive:
        i = 0
        while i < n:
            end = i
            while end + 1 < n and rows[end + 1][0] == rows[i][0]:
                end += 1
            run = rows[i : end + 1]
            joined = [run[0][0], max(row[1] for row in run), min(row[2] for row in run), NAN]
            rows[i : end + 1] = [[NAN] * 4 for _ in run[1:]] + [joined]
            i = end + 1
    for i in range(n):
        kind, top, bottom, _ = rows[i]
        if kind == 1:
            rows[i][3] = next((j for j in range(i + 2, n) if low[j] <= top), 0)
        if kind == -1:
            rows[i][3] = next((j for j in range(i + 2, n) if h[j] >= bottom), 0)
    return _table(("FVG", "Top", "Bottom", "MitigatedIndex"), ("f8",) * 4, rows)


def swing_highs_lows(bars: Bars, swing_length: int = 50) -> Bars:
    _, h, low, _ = _lists(bars)
    n, s = len(h), swing_length
    found: list[tuple[int, int]] = []
    for i in range(2 * s - 1, n - s):
        window = range(i - s + 1, i + s + 1)
        if h[i] == max(h[j] for j in window):
            found.append((i, 1))
        elif low[i] == min(low[j] for j in window):
            found.append((i, -1))
    kept: list[tuple[int, int]] = []
    while found:
        kind = found[0][1]
        run = [i for i, k in found[: next((x for x, (_, k) in enumerate(found) if k != kind), len(found))] if k == kind]
        found = found[len(run) :]
        kept.append((max(run, key=lambda i: (h[i], -i)) if kind == 1 else min(run, key=lambda i: (low[i], i)), kind))
    if kept:
        kept = [(0, -kept[0][1]), *kept, (n - 1, -kept[-1][1])]
    rows = [[NAN, NAN] for _ in range(n)]
    for i, kind in kept:
        rows[i] = [kind, h[i] if kind == 1 else low[i]]
    return _table(("HighLow", "Level"), ("f8",) * 2, rows)


def bos_choch(bars: Bars, swing_highs_lows: Bars, close_break: bool = True) -> Bars:
    _, h, low, c = _lists(bars)
    n = len(h)
    up, down = (c, c) if close_break else (h, low)
    order = _swings(swing_highs_lows)
    found: dict[int, tuple[str, int, float]] = {}
    for first, second, third, fourth in zip(order, order[1:], order[2:], order[3:], strict=False):
        kinds = [first[1], second[1], third[1], fourth[1]]
        a, b, d, e = first[2], second[2], third[2], fourth[2]
        if kinds == [-1, 1, -1, 1]:
            if a < d < b < e:
                found[second[0]] = ("BOS", 1, _single(b))
            if e > b > a > d:
                found[second[0]] = ("CHOCH", 1, _single(b))
        if kinds == [1, -1, 1, -1]:
            if a > d > b > e:
                found[second[0]] = ("BOS", -1, _single(b))
            if e < b < a < d:
                found[second[0]] = ("CHOCH", -1, _single(b))
    broken: dict[int, int] = {}
    for i, (_, side, level) in found.items():
        beyond = [j for j in range(i + 2, n) if (up[j] > level if side == 1 else down[j] < level)]
        if beyond:
            broken[i] = beyond[0]
    alive = dict.fromkeys(broken)
    for i in sorted(broken):
        for k in [k for k in alive if k < i and broken[k] >= broken[i]]:
            del alive[k]
    rows = [[NAN] * 4 for _ in range(n)]
    for i, j in broken.items():
        rows[i][3] = j
    for i in alive:
        name, side, level = found[i]
        rows[i][0 if name == "BOS" else 1] = side
        rows[i][2] = level if level != 0 else NAN
    return _table(("BOS", "CHOCH", "Level", "BrokenIndex"), ("f8", "f8", "f4", "f8"), rows)


def ob(bars: Bars, swing_highs_lows: Bars, close_mitigation: bool = False) -> Bars:
    o, h, low, c = _lists(bars)
    v = [float(x) for x in bars["volume"]]
    n = len(h)
    floor = [min(x, y) for x, y in zip(o, c, strict=True)] if close_mitigation else low
    ceiling = [max(x, y) for x, y in zip(o, c, strict=True)] if close_mitigation else h
    blocks: dict[int, list[float]] = {}  # row: side, top, bottom, volume, mitigated, percentage
    broken: set[int] = set()
    for side in (1, -1):
        swings = [i for i, kind in enumerate(swing_highs_lows["HighLow"]) if kind == side]
        used: set[int] = set()
        alive: list[int] = []
        for t in range(n):
            for k in list(alive):
                _, top, bottom, _, _, _ = blocks[k]
                if k in broken:
                    if h[t] > top if side == 1 else low[t] < bottom:
                        del blocks[k]
                        alive.remove(k)
                elif floor[t] < bottom if side == 1 else ceiling[t] > top:
                    broken.add(k)
                    blocks[k][4] = t - 1 if side == 1 else t
            place = bisect.bisect_left(swings, t)
            swing = swings[place - 1] if place else None
            if swing is None or swing in used or not (c[t] > h[swing] if side == 1 else c[t] < low[swing]):
                continue
            used.add(swing)
            between = range(swing + 1, t)
            k, top, bottom = t - 1, h[t - 1], low[t - 1]
            if side == 1 and not between:
                top, bottom = bottom, top
            elif side == 1:
                k = min(between, key=lambda i: (low[i], -i))
            elif between:
                k = max(between, key=lambda i: (h[i], i))
            if between:
                top, bottom = h[k], low[k]
            newer, oldest = _single(v[t] + v[t - 1]), _single(v[t - 2] if t >= 2 else 0.0)
            least, most = min(newer, oldest), max(newer, oldest)
            share = float(np.float32(least) / np.float32(most) * np.float32(100)) if most else 100.0
            total = v[t] + v[t - 1] + (v[t - 2] if t >= 2 else 0.0)
            left = blocks[k][4] if k in blocks else 0
            blocks[k] = [side, _single(top), _single(bottom), _single(total), left, share]
            alive.append(k)
    rows = [blocks.get(i, [NAN] * 6) for i in range(n)]
    names = ("OB", "Top", "Bottom", "OBVolume", "MitigatedIndex", "Percentage")
    return _table(names, ("f8", "f4", "f4", "f4", "f8", "f4"), rows)


def liquidity(bars: Bars, swing_highs_lows: Bars, range_percent: float = 0.01) -> Bars:
    _, h, low, _ = _lists(bars)
    n = len(h)
    rows = [[NAN] * 4 for _ in range(n)]
    tolerance = (max(h) - min(low)) * range_percent if n else 0.0
    for side in (1, -1):
        waiting = [(i, level) for i, kind, level in _swings(swing_highs_lows) if kind == side]
        while waiting:
            first, level = waiting.pop(0)
            under, over = level - tolerance, level + tolerance
            if side == 1:
                swept = next((j for j in range(first + 1, n) if h[j] >= over), 0)
            else:
                swept = next((j for j in range(first + 1, n) if low[j] <= under), 0)
            group = [(i, x) for i, x in waiting if (not swept or i < swept) and under <= x <= over]
            waiting = [item for item in waiting if item not in group]
            if group:
                total = level
                for _, x in group:
                    total += x
                rows[first] = [side, total / (len(group) + 1), group[-1][0], swept]
    return _table(("Liquidity", "Level", "End", "Swept"), ("f4",) * 4, rows)


def previous_high_low(bars: Bars, labels: list[int]) -> Bars:
    """`labels`: of each bar's period, in the units of `bars["time"]`, made by hand or by simple means in the test."""
    _, h, low, _ = _lists(bars)
    times = [int(x) for x in bars["time"].astype(np.int64)]
    names = sorted(set(labels))
    rows: list[list[float]] = []
    last, since = -1, 0
    for i, time in enumerate(times):
        before = [name for name in names if name < time]
        if len(before) != last:
            last, since = len(before), i
        if len(before) < 2:
            rows.append([NAN, NAN, 0, 0])
            continue
        members = [j for j in range(len(times)) if labels[j] == before[-2]]
        high, floor = _single(max(h[j] for j in members)), _single(min(low[j] for j in members))
        rows.append([high, floor, max(h[since : i + 1]) > high, min(low[since : i + 1]) < floor])
    return _table(("PreviousHigh", "PreviousLow", "BrokenHigh", "BrokenLow"), ("f4", "f4", "i4", "i4"), rows)
