"""Chart options for ECharts: candles with zones, levels, signals and brackets; equity; latency. Pure.

Options come in two parts: the frame, set once, and the content, set again whenever something changed; so a chart keeps
what the reader did to it (zoom, cross-hair). Texts that end up in a chart are drawn on a canvas, never as markup.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from tbot.dashboard.view import money
from tbot.domain.contracts import PRODUCTS, Product
from tbot.domain.messages import RoundTrip
from tbot.gateway.redact import plain
from tbot.web.source import ChartData, Rows, ZoneSeen
from tbot_ext.records import BAR_DTYPE

NS_PER_S = 1_000_000_000
ROOM_RIGHT = 10  # empty places behind the newest bar, for labels
BLOCKS_SHOWN, GAPS_SHOWN = 12, 6  # of those near the prices that are shown
LINES_SHOWN = 4
LABELS_APART = 20  # so many labels fit above each other
SIGNALS_SHOWN = 30
FONT = "ui-monospace, 'SF Mono', 'Cascadia Mono', 'DejaVu Sans Mono', Menlo, monospace"

DARK: dict[str, str] = {
    "text": "#d7dee7", "muted": "#8393a5", "grid": "#1b2430", "line": "#2a3644", "card": "#121922",
    "up": "#2fbf9b", "down": "#f0616d", "accent": "#6cb6ff", "amber": "#e3b341",
    "demand": "47,191,155", "supply": "240,97,109", "gap_up": "88,166,255", "gap_down": "227,160,74",
}  # fmt: skip
LIGHT: dict[str, str] = {
    "text": "#1c2733", "muted": "#66778a", "grid": "#eaeef3", "line": "#d5dde6", "card": "#ffffff",
    "up": "#0f9d7a", "down": "#d8404d", "accent": "#1f6feb", "amber": "#9a6b00",
    "demand": "15,157,122", "supply": "216,64,77", "gap_up": "31,111,235", "gap_down": "191,115,20",
}  # fmt: skip
PALETTES = {"dark": DARK, "light": LIGHT}
LINE_WORDS = {  # (pool, side > 0)
    (False, True): "support", (False, False): "resistance", (True, True): "stops above", (True, False): "stops below",
}  # fmt: skip
LABEL_STEP_MIN = {1: 15, 5: 60, 15: 240, 30: 480, 60: 1440}


def frame(colours: Mapping[str, str], *, narrow: bool = False) -> dict[str, Any]:
    """What does not change with the data: axes, grids, zoom, cross-hair. `narrow`: fewer bars, for a phone."""
    label = {"color": colours["muted"], "fontSize": 11, "fontFamily": FONT}
    pointer = {"label": {"backgroundColor": colours["line"], "color": colours["text"], "fontFamily": FONT}}
    line = {"lineStyle": {"color": colours["grid"]}}
    no_line = {"show": False}
    x_axis = {"type": "category", "boundaryGap": True, "axisTick": no_line, "splitLine": no_line}
    y_axis = {"scale": True, "position": "right", "axisLine": no_line, "axisTick": no_line}
    return {
        "animation": False,
        "backgroundColor": "transparent",
        "textStyle": {"fontFamily": FONT},
        "axisPointer": {"link": [{"xAxisIndex": "all"}], **pointer},
        "tooltip": {
            "trigger": "axis", "axisPointer": {"type": "cross"}, ":formatter": "window.tbot.tip", "confine": True,
            "backgroundColor": colours["card"], "borderColor": colours["line"], "padding": [6, 10],
            "textStyle": {"color": colours["text"], "fontSize": 12, "fontFamily": FONT},
            ":position": "window.tbot.corner",
        },
        "grid": [
            {"left": 8, "right": 90, "top": 10, "bottom": "23%"},
            {"left": 8, "right": 90, "top": "80%", "bottom": 24},
        ],
        "xAxis": [
            {**x_axis, "gridIndex": 0, "axisLabel": no_line, "axisLine": {"lineStyle": {"color": colours["line"]}}},
            {
                **x_axis, "gridIndex": 1, "axisLine": {"lineStyle": {"color": colours["line"]}},
                "axisLabel": {**label, ":formatter": "window.tbot.hour", "hideOverlap": True},
            },
        ],
        "yAxis": [
            {**y_axis, "gridIndex": 0, "splitLine": line, "boundaryGap": ["8%", "8%"], "splitNumber": 8,
             "axisLabel": {**label, ":formatter": "window.tbot.price"}, "axisPointer": {
                 "label": {":formatter": "window.tbot.pointed"}}},
            {**y_axis, "gridIndex": 1, "splitLine": no_line, "splitNumber": 2, "axisLabel": no_line,
             "axisPointer": {"show": False}},
        ],
        "dataZoom": [
            {"type": "inside", "xAxisIndex": [0, 1], "start": 68 if narrow else 25, "end": 100, "minValueSpan": 20,
             "zoomOnMouseWheel": True, "moveOnMouseMove": True, "preventDefaultMouseMove": False},
        ],
    }  # fmt: skip


def content(
    symbol: str,
    timeframe_min: int,
    data: ChartData | None,
    colours: Mapping[str, str],
    zone: ZoneInfo,
    *,
    held: Sequence[Mapping[str, Any]] = (),
    signals: Sequence[Any] = (),
    trades: Sequence[RoundTrip] = (),
) -> dict[str, Any]:
    """What changes with the data: bars, zones, lines, signals, trades. `held`: positions of the status document."""
    product = PRODUCTS[symbol]
    bars = data.bars if data is not None else np.empty(0, BAR_DTYPE)
    tick = float(product.tick_size)
    places = _Places(bars, timeframe_min)
    names = [_stamp(ns, zone) for ns in places.starts] + [""] * ROOM_RIGHT if len(bars) else []
    marks = [] if data is None or not len(bars) else _areas(data.zones, bars, places, tick, colours)
    lines = [] if data is None or not len(bars) else _lines(data, bars, product, colours)
    lines += [line for place in held if place["contract"] == symbol for line in _bracket(place, product, colours)]
    decimals = product.decimals
    steps = [
        i for i, ns in enumerate(places.starts) if _minute_of_day(ns, zone) % LABEL_STEP_MIN[timeframe_min] == 0
    ]
    axis = {"data": names}
    labelled = {**axis, "axisLabel": {"customValues": steps}, "axisTick": {"customValues": steps}}
    candles = {
        "id": "candles", "name": symbol, "type": "candlestick", "xAxisIndex": 0, "yAxisIndex": 0,
        "data": [_candle(bar, tick, decimals) for bar in bars.tolist()] if len(bars) else [],
        "itemStyle": {"color": colours["up"], "color0": colours["down"], "borderColor": colours["up"],
                      "borderColor0": colours["down"]},
        "barMaxWidth": 11, "large": False,
        "markArea": {"silent": True, "data": marks, "animation": False},
        "markLine": {"silent": True, "symbol": "none", "data": lines, "animation": False, "precision": 6},
    }  # fmt: skip
    return {
        "xAxis": [axis, labelled],
        "series": [
            candles,
            _volume(bars, colours),
            *_arrows(signals, symbol, places, bars, tick, colours),
            _paths(trades, symbol, places, tick, colours),
        ],
    }


class _Places:
    """From market time to the place of a bar on the axis."""

    def __init__(self, bars: Rows, timeframe_min: int) -> None:
        self.starts: list[int] = bars["start_ns"].tolist() if len(bars) else []
        self._length_ns = timeframe_min * 60 * NS_PER_S

    def of(self, ns: int) -> int | None:
        """The bar that holds this moment; None when it lies before the first or behind the last bar."""
        found = int(np.searchsorted(self.starts, ns, side="right")) - 1
        if found < 0 or (found == len(self.starts) - 1 and ns >= self.starts[-1] + self._length_ns):
            return None
        return found


def _stamp(ns: int, zone: ZoneInfo) -> str:
    return f"{datetime.fromtimestamp(ns // NS_PER_S, zone):%Y-%m-%d %H:%M}"


def _minute_of_day(ns: int, zone: ZoneInfo) -> int:
    when = datetime.fromtimestamp(ns // NS_PER_S, zone)
    return when.hour * 60 + when.minute


def _candle(bar: tuple[Any, ...], tick: float, decimals: int) -> list[float]:
    """ECharts' order: open, close, lowest, highest."""
    _, first, high, low, last, *_ = bar
    return [round(ticks * tick, decimals + 1) for ticks in (first, last, low, high)]


def _areas(
    zones: Sequence[ZoneSeen], bars: Rows, places: _Places, tick: float, colours: Mapping[str, str]
) -> list[list[dict[str, Any]]]:
    """Zones as shaded bands behind the candles, from where they began to the right edge; the strongest on top.

    Blocks before gaps, what was not touched before what was: gaps are many, and a chart full of them says nothing.
    """
    low, high = int(bars["low"].min()), int(bars["high"].max())
    margin = (high - low) // 8
    near = [zone for zone in zones if zone.top >= low - margin and zone.bottom <= high + margin]
    ranked = sorted(near, key=lambda zone: (zone.tested, -zone.score))
    blocks = [zone for zone in ranked if zone.kind != "FVG"][:BLOCKS_SHOWN]
    gaps = [zone for zone in ranked if zone.kind == "FVG"][:GAPS_SHOWN]
    room = _Room((high - low) / LABELS_APART)
    low, high = low - margin, high + margin
    # What lies beyond is cut off, and the label stands in the middle of the rest.
    drawn = [(zone, room.free((min(zone.top, high) + max(zone.bottom, low)) / 2)) for zone in [*blocks, *gaps]]
    return [_area(zone, places, len(bars), tick, colours, named) for zone, named in reversed(drawn)]


class _Room:
    """Keeps labels from lying on each other: the first that asks gets its place."""

    def __init__(self, least: float) -> None:
        self._least = least
        self._taken: list[float] = []

    def free(self, at: float) -> bool:
        if any(abs(at - other) < self._least for other in self._taken):
            return False
        self._taken.append(at)
        return True


def _area(
    zone: ZoneSeen, places: _Places, count: int, tick: float, colours: Mapping[str, str], named: bool
) -> list[dict[str, Any]]:
    gap = zone.kind == "FVG"  # one that was inverted acts as a block does
    name = ("gap_up" if zone.side > 0 else "gap_down") if gap else ("demand" if zone.side > 0 else "supply")
    colour = colours[name]
    strength = (0.05 if gap else 0.08) + (0.08 if gap else 0.14) * max(0.0, min(1.0, zone.score / 100))
    if zone.tested:
        strength *= 0.6
    begin = places.of(zone.origin_ns)
    words = f"{zone.kind} {zone.score:.0f}"
    return [
        {
            "xAxis": 0 if begin is None else begin,
            "yAxis": zone.bottom * tick,
            "itemStyle": {
                "color": f"rgba({colour},{strength:.3f})", "borderColor": f"rgba({colour},{0.3 if gap else 0.65})",
                "borderWidth": 1, "borderType": "dashed" if zone.tested else "solid",
            },
            "label": {
                "show": named, "position": "insideRight", "formatter": words, "fontSize": 10, "fontFamily": FONT,
                "color": f"rgba({colour},0.95)", "distance": 4,
            },
        },
        {"xAxis": count + ROOM_RIGHT - 1, "yAxis": zone.top * tick},
    ]  # fmt: skip


def _line(value: float, words: str, colour: str, *, style: str = "dashed", width: float = 1) -> dict[str, Any]:
    return {
        "yAxis": value,
        "lineStyle": {"color": colour, "type": style, "width": width},
        "label": {
            "show": bool(words), "position": "end", "formatter": words, "color": "#fff", "backgroundColor": colour,
            "padding": [2, 4], "borderRadius": 2, "fontSize": 11, "fontFamily": FONT, "distance": 2,
        },
    }  # fmt: skip


def _lines(data: ChartData, bars: Rows, product: Product, colours: Mapping[str, str]) -> list[dict[str, Any]]:
    """Levels near the price, and the last price."""
    tick = float(product.tick_size)
    last = int(bars["close"][-1])
    if data.mark is not None and data.mark.last is not None:
        last = data.mark.last
    span = int(bars["high"].max() - bars["low"].min())
    near = sorted(data.lines, key=lambda line: abs(line.price - last))
    room = _Room(span / LABELS_APART)
    chosen = [line for line in near if abs(line.price - last) <= span and room.free(line.price)][:LINES_SHOWN]
    found = [
        {
            "yAxis": line.price * tick,
            "lineStyle": {"color": colours["muted"], "type": "dotted" if line.pool else "solid", "opacity": 0.45},
            "label": {"show": True, "position": "insideStartTop", "color": colours["muted"], "fontSize": 10,
                      "fontFamily": FONT, "formatter": LINE_WORDS[line.pool, line.side > 0]},
        }
        for line in chosen
    ]  # fmt: skip
    rises = last >= int(bars["open"][-1])
    colour = colours["up"] if rises else colours["down"]
    return [*found, _line(last * tick, f"{product.to_price(last):,.{product.decimals}f}", colour)]


def _bracket(place: Mapping[str, Any], product: Product, colours: Mapping[str, str]) -> list[dict[str, Any]]:
    """Entry, stop and target of an open position, with what they are worth."""
    found = []
    tick, entry, size = float(product.tick_size), place["entry"], place["size"]
    side = "long" if place["side"] > 0 else "short"
    for name, ticks, colour in (
        ("stop", place["stop"], colours["down"]),
        ("target", place["target"], colours["up"]),
    ):
        if ticks is not None:
            worth = place["side"] * (ticks - entry) * size * product.tick_value_cents / 100
            found.append(_line(ticks * tick, f"{name} {money(round(worth))[:-3]}", colour, style="solid"))
    found.append(_line(entry * tick, f"{side} {size}", colours["accent"], style="solid"))
    return found


def _volume(bars: Rows, colours: Mapping[str, str]) -> dict[str, Any]:
    rows = []
    for volume, first, last in zip(bars["volume"], bars["open"], bars["close"], strict=True) if len(bars) else ():
        colour = colours["up"] if last >= first else colours["down"]
        rows.append({"value": int(volume), "itemStyle": {"color": colour, "opacity": 0.45}})
    return {
        "id": "volume", "name": "volume", "type": "bar", "xAxisIndex": 1, "yAxisIndex": 1, "data": rows,
        "barMaxWidth": 11,
    }  # fmt: skip


def _arrows(
    signals: Sequence[Any], symbol: str, places: _Places, bars: Rows, tick: float, colours: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Signals: an arrow below the bar for long, above it for short; hollow when no account took it."""
    found: dict[int, list[dict[str, Any]]] = {1: [], -1: []}
    for row in [row for row in signals if row.contract == symbol][:SIGNALS_SHOWN]:
        at = places.of(row.decided_ns - 1)
        if at is None:
            continue
        way = 1 if row.side > 0 else -1
        taken = not row.outcome.startswith("denied") and bool(row.outcome)
        colour = colours["up"] if way > 0 else colours["down"]
        edge = int(bars["low"][at]) if way > 0 else int(bars["high"][at])
        found[way].append(
            {
                "value": [at, edge * tick], "symbolOffset": [0, 14 * way], "symbolRotate": 0 if way > 0 else 180,
                "itemStyle": {"color": colour if taken else "transparent", "borderColor": colour, "borderWidth": 1.5},
                "name": plain(f"{'long' if way > 0 else 'short'} {row.score:.0f} {row.outcome}", 60),
            }
        )  # fmt: skip
    common = {"type": "scatter", "symbol": "triangle", "symbolSize": 10, "xAxisIndex": 0, "yAxisIndex": 0, "z": 5}
    return [
        {**common, "id": "longs", "name": "long signal", "data": found[1]},
        {**common, "id": "shorts", "name": "short signal", "data": found[-1]},
    ]


def _paths(
    trades: Sequence[RoundTrip], symbol: str, places: _Places, tick: float, colours: Mapping[str, str]
) -> dict[str, Any]:
    """Round trips: a line from entry to exit."""
    rows = []
    for trip in trades:
        begin, end = places.of(trip.opened_ns), places.of(trip.now_ns)
        if trip.contract != symbol or begin is None or end is None or not trip.size:
            continue
        entry, last = (total / trip.size * tick for total in (trip.entry_price_size, trip.exit_price_size))
        colour = colours["up"] if trip.net_cents > 0 else colours["down"]
        rows.append({"coords": [[begin, entry], [end, last]], "lineStyle": {"color": colour}})
    return {
        "id": "paths", "name": "trades", "type": "lines", "coordinateSystem": "cartesian2d", "data": rows, "z": 6,
        "symbol": ["circle", "circle"], "symbolSize": 6, "lineStyle": {"width": 1.6, "type": "dotted", "opacity": 1},
    }  # fmt: skip


def equity(trades: Sequence[RoundTrip], colours: Mapping[str, str], zone: ZoneInfo) -> dict[str, Any]:
    """Net result after each round trip (newest first in `trades`), summed; whole chart."""
    total, points, names = 0, [0.0], [""]
    for trip in reversed(trades):
        total += trip.net_cents
        points.append(total / 100)
        names.append(_stamp(trip.now_ns, zone))
    colour = colours["up"] if total >= 0 else colours["down"]
    rgb = colours["demand"] if total >= 0 else colours["supply"]
    shade = {"type": "linear", "x": 0, "y": 0, "x2": 0, "y2": 1, "colorStops": [
        {"offset": 0, "color": f"rgba({rgb},.30)"}, {"offset": 1, "color": f"rgba({rgb},.02)"}]}  # fmt: skip
    small = {"color": colours["muted"], "fontSize": 10, "fontFamily": FONT}
    return {
        "animation": False, "grid": {"left": 8, "right": 52, "top": 8, "bottom": 8},
        "tooltip": {"trigger": "axis", "confine": True, ":formatter": "window.tbot.equityTip",
                    "backgroundColor": colours["card"], "borderColor": colours["line"], "padding": [4, 8],
                    "textStyle": {"color": colours["text"], "fontSize": 11, "fontFamily": FONT}},
        "title": _words("" if trades else "no round trip yet", colours),
        "xAxis": {"type": "category", "data": names, "show": False, "boundaryGap": False},
        "yAxis": {
            "type": "value", "position": "right", "scale": True, "splitNumber": 3,
            "axisLabel": {**small, ":formatter": "window.tbot.dollars", "show": bool(trades)},
            "splitLine": {"lineStyle": {"color": colours["grid"]}},
        },
        "series": [{"id": "equity", "type": "line", "data": points, "showSymbol": False, "step": "end",
                    "lineStyle": {"width": 1.6, "color": colour}, "itemStyle": {"color": colour},
                    "areaStyle": {"color": shade, "origin": 0}}],
    }  # fmt: skip


def _words(text: str, colours: Mapping[str, str]) -> dict[str, Any]:
    """In the middle of a chart that has nothing to show."""
    style = {"color": colours["muted"], "fontSize": 12, "fontWeight": "normal", "fontFamily": "system-ui, sans-serif"}
    return {"text": text, "left": "center", "top": "middle", "textStyle": style}


BOUNDS_US = (10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000)


def latency(trades: Sequence[RoundTrip], colours: Mapping[str, str]) -> dict[str, Any]:
    """Histogram of the time from the exchange's frame to the order's request, one count a round trip; whole chart."""
    counts = [0] * (len(BOUNDS_US) + 1)
    for trip in trades:
        begin, end = trip.stamps.frame_recv_boot_ns, trip.request_boot_ns
        if begin and end >= begin:
            counts[int(np.searchsorted(BOUNDS_US, (end - begin) / 1000, side="right"))] += 1
    names = [_micro(bound) for bound in BOUNDS_US] + [f">{_micro(BOUNDS_US[-1])}"]
    small = {"color": colours["muted"], "fontSize": 10, "fontFamily": FONT}
    no = {"show": False}
    return {
        "animation": False, "grid": {"left": 8, "right": 8, "top": 8, "bottom": 22},
        "tooltip": {"trigger": "axis", "confine": True, "backgroundColor": colours["card"],
                    "borderColor": colours["line"], "padding": [4, 8], ":formatter": "window.tbot.latencyTip",
                    "textStyle": {"color": colours["text"], "fontSize": 11, "fontFamily": FONT}},
        "xAxis": {"type": "category", "data": names, "axisTick": no, "axisLabel": {**small, "interval": 2},
                  "axisLine": {"lineStyle": {"color": colours["line"]}}},
        "title": _words("" if any(counts) else "no order yet", colours),
        "yAxis": {"type": "value", "show": False, "minInterval": 1},
        "series": [{"id": "latency", "type": "bar", "data": counts, "barCategoryGap": "12%",
                    "itemStyle": {"color": colours["accent"], "opacity": 0.85, "borderRadius": [2, 2, 0, 0]}}],
    }  # fmt: skip


def _micro(us: int) -> str:
    return f"{us} µs" if us < 1000 else f"{us // 1000} ms"
