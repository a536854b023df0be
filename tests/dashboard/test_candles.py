"""The chart: everything stands where its price and time are, in every size, also where there is nothing to draw."""

import random
import re
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from tbot.dashboard.candles import Chart, Pin, PriceLine, _Plot, draw, nice_step
from tbot.dashboard.feed_view import Line, Zone
from tbot.dashboard.rows import plain, width_of
from tbot_ext.records import BAR_DTYPE

MINUTE = 60_000_000_000
START = 1_795_156_200_000_000_000  # 2026-11-20 06:30 UTC, 08:30 in Helsinki
AXIS = 4 + 5  # of prices with four signs


def bars(*prices: tuple[int, int, int, int], minutes: int = 1) -> np.ndarray:
    """From (open, high, low, close), one after the other."""
    rows = [
        (START + place * minutes * MINUTE, *ohlc, 10 * (place + 1), 0, 1, 0, minutes)
        for place, ohlc in enumerate(prices)
    ]
    return np.array(rows, BAR_DTYPE)


def chart(found: np.ndarray, **more: Any) -> Chart:
    return Chart(found, more.pop("timeframe_min", 1), str, ZoneInfo("Europe/Helsinki"), **more)


def zone(bottom: int, top: int, origin: int = 0, **more: Any) -> Zone:
    """Of the bar with this number on."""
    values = {
        "id": 1, "kind": "OB", "name": "order block", "side": 1, "timeframe_min": 5, "known_ns": START,
        "origin_ns": START + origin * MINUTE, "score": 80.0, "state": "ACTIVE", "tests": 0,
    }  # fmt: skip
    return Zone(**(values | {"top": top, "bottom": bottom} | more))


def cells(rows: list[Any], width: int) -> list[list[tuple[str, str]]]:
    """(glyph, style) of every cell."""
    made = [[(glyph, span.style) for glyph in span.text for _ in (0,)] for row in rows for span in [*row, None] if span]
    flat = [cell for part in made for cell in part]
    assert len(flat) == width * len(rows)
    return [flat[place : place + width] for place in range(0, len(flat), width)]


def column(rows: list[Any], width: int, place: int) -> str:
    return "".join(line[place][0] for line in cells(rows, width))


RAMP = bars(*((1000 + 10 * n, 1012 + 10 * n, 998 + 10 * n, 1010 + 10 * n) for n in range(20)))


@pytest.mark.parametrize("width", [24, 40, 80, 110, 200, 400])
@pytest.mark.parametrize("height", [5, 12, 24, 60])
def test_it_fits_every_size(width: int, height: int) -> None:
    rows = draw(chart(RAMP, zones=[zone(1040, 1060)], last=1200), width, height)
    assert len(rows) == height
    assert [width_of(row) for row in rows] == [width] * height


def test_a_candle_is_body_and_wicks_in_half_rows() -> None:
    """Eleven rows from 992 to 1208, the air included: the body goes from half row 5 to half row 16."""
    rows = draw(chart(bars((1150, 1200, 1000, 1050))), 40, 12)
    assert column(rows[:-1], 40, 40 - AXIS - 3) == "││╽┃┃┃┃┃╿││"


@pytest.mark.parametrize(
    ("ohlc", "wanted", "style"),
    [
        ((1000, 1100, 1000, 1100), set("┃╻╹"), "up"),
        ((1100, 1100, 1000, 1000), set("┃╻╹"), "down"),
        ((1050, 1100, 1000, 1050), set("│╽╿╻╹╷╵┃"), "up"),  # doji: one half row of body
        ((1050, 1050, 1050, 1050), set("╻╹"), "up"),
    ],
)
def test_colour_and_glyphs_tell_the_direction(ohlc: tuple[int, int, int, int], wanted: set[str], style: str) -> None:
    found = [cell for line in cells(draw(chart(bars(ohlc)), 40, 12)[:-1], 40) for cell in line[: 40 - AXIS]]
    candle = [cell for cell in found if cell[0] in "┃│╽╿╻╹╷╵"]
    assert candle
    assert {glyph for glyph, _ in candle} <= wanted
    assert {name for _, name in candle} == {style}


def test_a_doji_has_a_body_of_half_a_row() -> None:
    drawn = column(draw(chart(bars((1050, 1100, 1000, 1050))), 40, 12)[:-1], 40, 40 - AXIS - 3)
    assert sum(drawn.count(glyph) for glyph in "╽╿") == 1
    assert "┃" not in drawn


def shaded(rows: list[Any], width: int) -> list[tuple[int, int, int]]:
    """(row, first, last column) of every stretch with a background of a zone."""
    found = []
    for number, line in enumerate(cells(rows, width)):
        places = [place for place, (_, style) in enumerate(line) if "/demand" in style or "/supply" in style]
        if places:
            assert places == list(range(places[0], places[-1] + 1))
            found.append((number, places[0], places[-1]))
    return found


def test_a_zone_lies_at_its_prices_and_begins_at_its_bar() -> None:
    """17 rows from 990 to 1210, the air included (three more are volume): 1120 is in row 6, 1100 in row 8."""
    rows = draw(chart(RAMP, zones=[zone(1100, 1120, 5)]), 60, 21)
    stretches = shaded(rows, 60)
    plot = 60 - AXIS
    assert {first for _, first, _ in stretches} == {plot - 2 - 20 + 5}
    assert {last for _, _, last in stretches} == {plot - 1}
    assert [row for row, _, _ in stretches] == [6, 7, 8]


def test_a_zone_of_one_tick_is_still_a_row_and_one_out_of_sight_is_none() -> None:
    assert len(shaded(draw(chart(RAMP, zones=[zone(1100, 1101)]), 60, 24), 60)) == 1
    assert shaded(draw(chart(RAMP, zones=[zone(5000, 5100)]), 60, 24), 60) == []
    assert shaded(draw(chart(RAMP, zones=[zone(500, 600)]), 60, 24), 60) == []


def test_a_zone_from_before_the_first_bar_fills_its_rows() -> None:
    stretches = shaded(draw(chart(RAMP, zones=[zone(1100, 1120, -500)]), 60, 24), 60)
    assert {first for _, first, _ in stretches} == {0}


def test_a_narrow_zone_lies_on_a_wide_one_and_both_are_named() -> None:
    rows = draw(chart(RAMP, zones=[zone(1090, 1110, side=-1, score=90), zone(1080, 1130, timeframe_min=15)]), 60, 40)
    styles = [style for line in cells(rows, 60) for _, style in line]
    assert any("/supply3" in style for style in styles)
    assert any("/demand3" in style for style in styles)
    text = plain(rows).replace("\u00a0", " ")
    assert "5m OB 90" in text
    assert "15m OB 80" in text


@pytest.mark.parametrize(
    ("more", "tint"),
    [
        ({"score": 90.0}, "demand3"), ({"score": 50.0}, "demand2"), ({"score": 10.0}, "demand1"),
        ({"score": 90.0, "state": "TESTED"}, "demand2"), ({"score": 10.0, "state": "MITIGATED"}, "demand1"),
        ({"score": 90.0, "side": -1}, "supply3"),
    ],
)  # fmt: skip
def test_strength_and_tests_of_a_zone_are_its_tint(more: dict[str, Any], tint: str) -> None:
    rows = draw(chart(RAMP, zones=[zone(1100, 1110, **more)]), 60, 24)
    assert {style.partition("/")[2] for line in cells(rows, 60) for _, style in line if "/" in style} == {tint}


def test_without_tints_zones_are_hatched() -> None:
    rows = draw(chart(RAMP, zones=[zone(1100, 1110), zone(1160, 1170, side=-1)], texture=True, hollow=True), 60, 24)
    text = plain(rows)
    assert "░░" in text
    assert "▒▒" in text
    assert text.index("▒") < text.index("░")
    assert not any("/" in style for line in cells(rows, 60) for _, style in line)
    assert "║" in text, "rising candles are hollow"


def test_a_bracket_is_drawn_from_its_entry_on_and_named_on_the_axis() -> None:
    since = START + 10 * MINUTE
    prices = [PriceLine("entry", 1100, since), PriceLine("stop", 1040, since), PriceLine("target", 1180, since)]
    rows = draw(chart(RAMP, prices=prices, last=1200), 60, 30)
    lines = plain(rows).splitlines()
    for name, price in (("TP", 1180), ("E", 1100), ("SL", 1040)):
        line = next(line for line in lines if line.split()[-2:] == [name, str(price)])
        assert line.index("╌") >= 60 - AXIS - 2 - 20 + 10
    order = [line.split()[-2] for line in lines if line.split()[-2:-1] in (["TP"], ["E"], ["SL"])]
    assert order == ["TP", "E", "SL"]


def test_a_target_far_away_does_not_flatten_the_chart() -> None:
    prices = [PriceLine("entry", 1100), PriceLine("target", 9000), PriceLine("stop", -5000)]
    text = plain(draw(chart(RAMP, prices=prices, last=1200), 60, 24))
    assert "↑TP 9000" in text.splitlines()[1], "beside the tag of the last price, which is the highest"
    assert "↓SL -5000" in text
    assert text.count("┃") > 10


@pytest.mark.parametrize(
    ("prices", "label"),
    [
        ([PriceLine("entry", 1201)], "◂E  1200"),
        ([PriceLine("stop", 1202)], "◂SL 1200"),
        ([PriceLine("target", 1202), PriceLine("entry", 1201)], "◂E+ 1200"),
        ([PriceLine("target", 1099), PriceLine("stop", 1098)], "SL+ 1098"),
        ([PriceLine("stop", 1099), PriceLine("entry", 1098)], "E+ 1098"),
    ],
)
def test_of_prices_in_one_row_the_first_has_the_label_and_names_the_next(prices: list[PriceLine], label: str) -> None:
    rows = draw(chart(RAMP, prices=prices, last=1200), 60, 24)
    assert label in plain(rows)
    assert sum(bool(name.strip("◂")) for _, name, _ in named_rows(rows)) == 1


def named_rows(rows: list[Any]) -> list[tuple[int, str, str]]:
    """(row, what stands before the price, price) of the axis labels that have a name."""
    found = []
    for number, line in enumerate(plain(rows).splitlines()):
        label = re.search(r"([◂↑↓]?)((?:E|SL|TP)?\+?) *(-?\d+)$", line)
        if label and (label[1] or label[2]):
            found.append((number, label[1] + label[2], label[3]))
    return found


@pytest.mark.parametrize("height", [8, 14, 24, 60])
def test_every_label_stands_in_the_row_of_its_line(height: int) -> None:
    """Any prices of bracket and market, also three that meet: a label is where its line is, or it is not there."""
    rng = random.Random(height)
    for _ in range(150):
        near = rng.choice([3, 12, 60, 400])
        middle = rng.randint(1000, 1200)
        last = middle + rng.randint(-near, near)
        prices = [PriceLine(kind, middle + rng.randint(-near, near)) for kind in ("target", "stop", "entry")]
        shown = chart(RAMP, prices=prices, last=last)
        plot = _Plot(shown, 60 - AXIS, height - 1 - (3 if height >= 18 else 0))
        inside = {plot.row(line.price) for line in (*prices, PriceLine("last", last)) if plot.holds(line.price)}
        labels = named_rows(draw(shown, 60, height))
        assert {row for row, name, _ in labels if name[0] not in "↑↓"} == inside
        for row, name, price in labels:
            if name[0] in "↑↓":
                assert not plot.holds(int(price))
                continue
            assert row == plot.row(int(price))
            here = [line for line in prices if plot.row(line.price) == row and plot.holds(line.price)]
            first = last if plot.row(last) == row else min(here, key=lambda line: "est".index(line.kind[0])).price
            assert int(price) == first
        assert any(row == plot.row(last) and name.startswith("◂") for row, name, _ in labels)


def test_signals_stand_at_their_bars() -> None:
    pins = [
        Pin(START + 6 * MINUTE, "taken", 1), Pin(START + 9 * MINUTE, "denied", -1), Pin(START + 15 * MINUTE, "won", 1),
        Pin(START - 99 * MINUTE, "taken", 1),
    ]  # fmt: skip
    rows = cells(draw(chart(RAMP, pins=pins), 60, 40), 60)
    drawn = [(glyph, row, col) for row, line in enumerate(rows) for col, (glyph, _) in enumerate(line)]
    place = {glyph: (row, col) for glyph, row, col in drawn if glyph in "▲▽◆"}
    first = 60 - AXIS - 2 - 20
    assert {glyph: col - first for glyph, (_, col) in place.items()} == {"▲": 5, "▽": 8, "◆": 14}
    candle = [row for row, line in enumerate(rows) if line[first + 5][0] in "┃│╽╿╻╹╷╵"]
    assert place["▲"][0] == candle[-1] + 1
    assert sum(line[col][0] == "▲" for line in rows for col in range(60)) == 1


def test_levels_and_pools_are_thin_lines_behind_everything() -> None:
    rows = draw(chart(RAMP, lines=[Line(1100, 1, False, 3), Line(1150, 1, True, 2), Line(9999, 1, False, 1)]), 60, 40)
    text = plain(rows)
    assert sum("──" in line for line in text.splitlines()) == 1
    assert sum("┈┈" in line for line in text.splitlines()) == 1


@pytest.mark.parametrize(
    "found",
    [
        bars((1000, 1000, 1000, 1000)),
        bars((1000, 1001, 1000, 1001)),
        bars(*[(1000, 1000, 1000, 1000)] * 500),
        bars((1, 2**39, 0, 2**38), (2**38, 2**39, 1, 5)),
        bars((-50, 50, -100, 0)),  # prices below zero happen
        RAMP[:1],
        RAMP[:2],
    ],
    ids=["a tick", "one tick high", "dead market", "huge", "below zero", "one bar", "two bars"],
)
@pytest.mark.parametrize("last", [None, 1000, -(10**9)])
def test_extremes(found: np.ndarray, last: int | None) -> None:
    for width, height in ((80, 14), (110, 30)):
        rows = draw(chart(found, last=last, zones=[zone(990, 1010)]), width, height)
        assert [width_of(row) for row in rows] == [width] * height
        assert any(glyph in plain(rows) for glyph in "┃│╻╹╽╿╷╵")


@pytest.mark.parametrize(("width", "height"), [(80, 14), (10, 3), (80, 1), (5, 20), (0, 0)])
def test_without_bars_it_says_so(width: int, height: int) -> None:
    rows = draw(chart(np.empty(0, BAR_DTYPE), waiting="waiting for bars of MNQ 1m"), width, height)
    assert [width_of(row) for row in rows] == [width] * height
    if width == 80:
        assert "waiting for bars of MNQ 1m" in plain(rows)


def test_times_are_the_display_zones_and_a_new_day_has_its_date() -> None:
    many = bars(*[(1000, 1010, 990, 1005)] * 100, minutes=15)
    line = plain(draw(chart(many, timeframe_min=15), 140, 24)).splitlines()[-1]
    assert "09:00" in line or "12:00" in line
    assert "21 Nov" in line
    column_of_day = line.index("21 Nov")
    first = 140 - AXIS - 2 - 100
    midnight = (START + 15 * 60 * MINUTE + 30 * MINUTE - START) // (15 * MINUTE)  # 15 h 30 min after 08:30
    assert abs(column_of_day + 3 - (first + midnight)) <= 1


def test_volume_is_drawn_where_there_is_room() -> None:
    tall, low = plain(draw(chart(RAMP), 60, 30)), plain(draw(chart(RAMP), 60, 12))
    assert "█" in tall
    assert "█" not in low
    last = tall.splitlines()[-2]
    assert last.index("▁") < last.rindex("█")


@pytest.mark.parametrize(("least", "step"), [(0.1, 1), (1, 1), (1.1, 2), (3, 4), (4.5, 5), (6, 10), (101, 200)])
def test_labels_stand_at_round_prices(least: float, step: int) -> None:
    assert nice_step(least) == step
