"""What the page shows: panels, lists and charts from one look at an engine; strangers' words stay words (F-SEC-05)."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import orjson
import pytest

from tbot.domain.contracts import PRODUCTS
from tbot.web import chart, lists, markup, panels
from tbot.web.page import Wish, one_account
from tbot.web.source import ChartData, Found, Look, Source
from web_market import FakeEngine

ZONE = ZoneInfo("Europe/Helsinki")
HOSTILE = "\x1b[31m<img src=x onerror=alert(1)>\u202e'\"&</div><script>alert(2)</script>" + "A" * 1_000_000
PANELS = {
    "header": lambda look: panels.header(look, ZONE), "banner": panels.banner, "risk": panels.risk,
    "contracts": lambda look: panels.contracts(look, "MNQ"), "positions": panels.positions, "news": panels.news,
    "latency": panels.latency, "processes": panels.processes, "summary": panels.summary, "patterns": panels.patterns,
    "signals": lambda look: lists.signals(look, ZONE), "trades": lambda look: lists.trades(look, ZONE),
    "events": lambda look: lists.events(look, ZONE),
}  # fmt: skip


def look_at(engine: FakeEngine, **changes: Any) -> Look:
    return Look(
        {**engine.status(), **changes}, True, 0.1, engine.signals(60), engine.trades(400), engine.events(120),
        [{"contract": "MNQ", "kind": "ob", "timeframe": "5m", "n": 12, "win_rate": 0.5, "expectancy_r": -0.04,
          "weight_before": 1.0, "weight_after": 1.1},
         {"contract": "MES", "kind": "fvg", "timeframe": "1h", "n": 3, "win_rate": None, "expectancy_r": None,
          "weight_before": 1.0, "weight_after": 1.0}],
    )  # fmt: skip


@pytest.fixture(scope="module")
def engine() -> FakeEngine:
    return FakeEngine(("MNQ", "MES"))


@pytest.fixture(scope="module")
def hostile() -> FakeEngine:
    return FakeEngine(("MNQ",), hostile=HOSTILE)


class Elements(HTMLParser):
    """Names of all elements and attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.words = ""
        self.open = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open += 1
        self.names |= {tag, *(name for name, _ in attrs)}

    def handle_endtag(self, tag: str) -> None:
        self.open -= 1

    def handle_data(self, data: str) -> None:
        self.words += data


# --------------------------------------------------------------------------------------------------------------- words
@pytest.mark.parametrize("name", PANELS)
def test_every_panel_is_whole_html(engine: FakeEngine, name: str) -> None:
    for look in (look_at(engine), Look(), look_at(engine, accounts={}, contracts={}, news=None, processes={})):
        found = Elements(PANELS[name](look))
        assert found.open == 0
        assert "nan" not in found.words.lower()


@pytest.mark.parametrize("name", PANELS)
def test_F_SEC_05_a_strangers_words_stay_words(hostile: FakeEngine, name: str) -> None:
    alarms = [{"code": HOSTILE, "text": HOSTILE}]
    html = PANELS[name](look_at(hostile, alarms=alarms, state="HALTED", reasons=[HOSTILE], badge=HOSTILE))
    found = Elements(html)
    assert found.open == 0
    assert not found.names & {"img", "script", "onerror"}
    assert not set("\x1b\u202e") & set(html)
    assert len(html) < 300_000


def test_F_SEC_05_a_strangers_words_stay_bounded_in_charts(hostile: FakeEngine) -> None:
    rows, trips = hostile.signals(60), hostile.trades(60)
    options = chart.content("MNQ", 1, chart_of(hostile), chart.DARK, ZONE, signals=rows, trades=trips)
    assert len(orjson.dumps(options)) < 100_000


def test_attributes_cannot_be_left(engine: FakeEngine) -> None:
    html = markup.tag("b", "x", title='"><script>', data_x="a'b", hidden=True, gone=None)
    assert html == "<b title=\"&quot;&gt;&lt;script&gt;\" data-x=\"a&#x27;b\" hidden>x</b>"


# ------------------------------------------------------------------------------------------------------------- meaning
def test_the_state_is_the_truth_and_not_the_last_word(engine: FakeEngine) -> None:
    status = engine.status()
    cases = [
        (Look(), "NOT RUNNING"),
        (Look(status, True, 0.1), "ACTIVE"),
        (Look(status, False, 0.1), "GONE"),
        (Look(status, True, 61.0), "SILENT"),
        (Look({**status, "state": "STOPPED", "ended": True}, False, 500.0), "STOPPED"),
        (Look({**status, "state": "NOT_FLAT", "ended": True}, False, 500.0), "NOT_FLAT"),
    ]
    for look, state in cases:
        assert panels.state_of(look)[0] == state
        assert state in panels.header(look, ZONE)
    assert panels.banner(cases[1][0]) == ""
    assert "press KILL" in panels.banner(cases[2][0])


def test_meaning_is_never_carried_by_colour_alone(engine: FakeEngine) -> None:
    words = Elements(panels.positions(look_at(engine))).words
    assert "▲ long" in words
    assert "protected" in words
    assert "+$14.50" in words
    accounts = json.loads(json.dumps(engine.status()["accounts"]))
    accounts["1001"]["positions"][0]["protected"] = False
    assert "NOT PROTECTED" in Elements(panels.positions(look_at(engine, accounts=accounts))).words


def test_money_and_room_are_those_of_the_status(engine: FakeEngine) -> None:
    words = Elements(panels.header(look_at(engine), ZONE)).words
    assert ("−$187.50" in words, "+$14.50" in words, "$612.50" in words) == (True, True, True)
    words = Elements(panels.risk(look_at(engine))).words
    assert "$187.50 / $800.00" in words
    assert "$2,124.50 left" in words


def test_a_price_that_is_not_there_is_a_dash() -> None:
    assert [panels.price("MNQ", ticks) for ticks in (None, -(2**63), 100_000)] == ["–", "–", "25,000.00"]
    assert panels.price("MGC", 33_000) == "3,300.0"


def test_one_account_alone(engine: FakeEngine) -> None:
    accounts = {**engine.status()["accounts"]}
    accounts["7"] = {**accounts["1001"], "name": "OTHER", "day_pnl_cents": 5_000, "unrealised_cents": 0}
    look = one_account(look_at(engine, accounts=accounts), 7)
    assert list(look.status["accounts"]) == ["7"]
    assert (look.status["pnl_usd"], look.status["open_usd"], list(look.trades)) == (50.0, 0.0, [])
    assert one_account(look, None) is look


@pytest.mark.parametrize("said", [None, [], "x", {"symbol": "EVIL", "timeframe": 7, "theme": "<b>", "visible": "no"},
                                  {"symbol": ["MNQ"], "timeframe": "5", "narrow": 1}])  # fmt: skip
def test_a_browser_can_say_anything_and_is_not_believed(said: object) -> None:
    wish = Wish()
    with_nothing = Wish()
    wish.take(said)
    assert wish == with_nothing
    wish.take({"symbol": "ES", "timeframe": 15, "theme": "light", "visible": False, "narrow": True})
    assert wish == Wish("ES", 15, "light", False, True)


# -------------------------------------------------------------------------------------------------------------- charts
def chart_of(engine: FakeEngine, symbol: str = "MNQ", timeframe_min: int = 1) -> ChartData:
    return ChartData(
        engine.bars(symbol, timeframe_min, 180), engine.zones(symbol, timeframe_min),
        engine.lines(symbol, timeframe_min), engine.mark(symbol),
    )  # fmt: skip


def series(options: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in options["series"] if one["id"] == name)


@pytest.mark.parametrize("timeframe_min", [1, 5, 15, 30, 60])
def test_candles_and_zones_are_the_engines(engine: FakeEngine, timeframe_min: int) -> None:
    data = chart_of(engine, "MNQ", timeframe_min)
    options = chart.content("MNQ", timeframe_min, data, chart.DARK, ZONE)
    candles = series(options, "candles")
    tick = float(PRODUCTS["MNQ"].tick_size)
    expected = [[row[name] * tick for name in ("open", "close", "low", "high")] for row in data.bars]
    assert np.allclose(candles["data"], expected)
    bands = {(begin["yAxis"], end["yAxis"]) for begin, end in candles["markArea"]["data"]}
    assert bands <= {(zone.bottom * tick, zone.top * tick) for zone in data.zones}
    assert bool(bands) is bool(data.zones)
    places = len(options["xAxis"][0]["data"])
    assert places == len(data.bars) + chart.ROOM_RIGHT
    for begin, end in candles["markArea"]["data"]:
        assert 0 <= begin["xAxis"] < end["xAxis"] < places


def test_a_zone_begins_at_its_own_bar(engine: FakeEngine) -> None:
    data = chart_of(engine)
    starts = data.bars["start_ns"].tolist()
    options = chart.content("MNQ", 1, data, chart.DARK, ZONE)
    begins = {(begin["yAxis"], end["yAxis"]): begin["xAxis"] for begin, end in
              series(options, "candles")["markArea"]["data"]}  # fmt: skip
    tick = float(PRODUCTS["MNQ"].tick_size)
    found = 0
    for zone in data.zones:
        at = begins.get((zone.bottom * tick, zone.top * tick))
        if at is not None and zone.origin_ns in starts:
            assert at == starts.index(zone.origin_ns)
            found += 1
    assert found > 0


def test_an_open_position_shows_its_bracket_with_what_it_is_worth(engine: FakeEngine) -> None:
    held = [place for account in engine.status()["accounts"].values() for place in account["positions"]]
    options = chart.content("MNQ", 1, chart_of(engine), chart.DARK, ZONE, held=held)
    words = [line["label"]["formatter"] for line in series(options, "candles")["markLine"]["data"]]
    # 33.5 ticks against, 84.5 in favour, of 50 cents, twice
    assert {"stop −$34", "target +$84", "long 2"} <= set(words)
    other = chart.content("MES", 1, chart_of(engine, "MES"), chart.DARK, ZONE, held=held)
    assert "long 2" not in [line["label"]["formatter"] for line in series(other, "candles")["markLine"]["data"]]


def test_signals_stand_at_the_bar_that_decided(engine: FakeEngine) -> None:
    data = chart_of(engine)
    rows = [row for row in engine.signals(60) if row.contract == "MNQ"]
    options = chart.content("MNQ", 1, data, chart.DARK, ZONE, signals=rows, trades=engine.trades(60))
    starts = data.bars["start_ns"].tolist()
    marks = [*series(options, "longs")["data"], *series(options, "shorts")["data"]]
    decided = {row.decided_ns for row in rows}
    assert marks
    for mark in marks:
        assert starts[mark["value"][0]] + 60 * 10**9 in decided
    assert series(options, "paths")["data"]


def test_a_chart_without_data_is_empty_and_sound() -> None:
    for data in (None, ChartData(chart_of(FakeEngine(("MNQ",))).bars[:0])):
        options = chart.content("MNQ", 5, data, chart.LIGHT, ZONE)
        assert series(options, "candles")["data"] == []
        assert orjson.dumps(options)
    assert chart.equity((), chart.DARK, ZONE)["title"]["text"] == "no round trip yet"
    assert chart.latency((), chart.DARK)["title"]["text"] == "no order yet"


def test_equity_is_the_sum_of_the_round_trips(engine: FakeEngine) -> None:
    trades = engine.trades(50)
    points = chart.equity(trades, chart.DARK, ZONE)["series"][0]["data"]
    assert len(points) == len(trades) + 1
    assert round(points[-1] * 100) == sum(trip.net_cents for trip in trades)
    assert sum(chart.latency(trades, chart.DARK)["series"][0]["data"]) == len(trades)


def test_functions_in_charts_are_the_pages_own(engine: FakeEngine) -> None:
    """A text that begins with ":" is run by the browser: none of them may hold anything but a name of ours."""
    held = [place for account in engine.status()["accounts"].values() for place in account["positions"]]
    content = chart.content("MNQ", 1, chart_of(engine), chart.DARK, ZONE, held=held, signals=engine.signals(60))
    assert not list(_functions(content))
    whole = [chart.frame(chart.DARK), chart.equity(engine.trades(9), chart.DARK, ZONE), chart.latency((), chart.DARK)]
    for text in _functions(whole):
        assert re.fullmatch(r"window\.tbot\.\w+", text)


def _functions(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        for key, value in part.items():
            if key.startswith(":"):
                yield value
            yield from _functions(value)
    elif isinstance(part, list):
        for value in part:
            yield from _functions(value)


# -------------------------------------------------------------------------------------------------------------- source
class Clock:
    """A monotonic clock that stands still until it is moved."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 1000.0
        monkeypatch.setattr("tbot.web.source.time.monotonic", lambda: self.now_s)


class Counted(FakeEngine):
    """Counts how often it was looked at."""

    looks = 0

    def refresh(self, *symbols: str) -> None:
        super().refresh(*symbols)
        self.looks += 1


def test_two_browsers_see_one_look_and_nobody_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, engine = Clock(monkeypatch), Counted(("MNQ",))
    opened: list[Any] = []
    source = Source(lambda: Found("a", lambda: True, lambda: opened.append(1) or engine))
    assert source.look() is source.look()
    assert engine.looks == 1
    clock.now_s += 0.5
    source.look()
    assert (engine.looks, len(opened)) == (2, 1)
    source.idle()
    assert not engine.closed
    clock.now_s += 16
    source.idle()
    assert engine.closed
    assert source.chart("MNQ", 1) is None


def test_another_run_is_found_and_the_old_one_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    first, second = FakeEngine(("MNQ",)), FakeEngine(("MES",))
    found: list[Found | None] = [None]
    source = Source(lambda: found[0])
    assert source.look().status == {}
    for engine, key, symbol in ((first, "a", "MNQ"), (second, "b", "MES")):
        found[0] = Found(key, lambda: True, lambda engine=engine: engine)
        clock.now_s += 2
        assert list(source.look().status["contracts"]) == [symbol]
        assert source.chart(symbol, 1) is not None
    assert (first.closed, second.closed) == (True, False)
    found[0] = None
    clock.now_s += 2
    assert source.look().status == {}
    assert second.closed


def test_an_engine_that_died_is_not_shown_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, engine, alive = Clock(monkeypatch), FakeEngine(("MNQ",)), [True]
    source = Source(lambda: Found("a", lambda: alive[0], lambda: engine))
    assert source.look().alive
    alive[0] = False
    clock.now_s += 1
    assert not source.look().alive
    alive[0] = True
    engine.changes["ended"] = True
    clock.now_s += 1
    assert not source.look().alive


def test_an_engine_that_is_gone_has_no_rate(engine: FakeEngine) -> None:
    living, gone = look_at(engine), replace(look_at(engine), alive=False)
    chips = lambda look: panels.contracts(look, "MNQ")  # noqa: E731
    for panel, rate in ((panels.processes, r"\d/s|>ok<"), (chips, "ticks a second")):
        assert re.search(rate, str(panel(living)))
        assert not re.search(rate, str(panel(gone)))


def test_a_pattern_tells_the_weight_in_force_and_where_it_would_go(engine: FakeEngine) -> None:
    words = Elements(panels.patterns(look_at(engine))).words
    assert "1.00 → 1.10" in words
    assert words.count("→") == 1
