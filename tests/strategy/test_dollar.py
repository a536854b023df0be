"""News and the dollar index before a signal: what they refuse, what they do to the score, what the signal keeps."""

from dataclasses import replace
from typing import Any

import pytest

from event_builder import view_at
from tbot.domain.context import INDEX_SCALE, ContextRecord, DollarState, MarketContext, NewsState, context_at
from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import Signal
from tbot.strategy.dollar import DollarSettings, DollarVerdict, agreement, judge, verdict
from tbot.strategy.explain import story
from tbot.strategy.settings import StrategySettings
from trader_scene import ONLY_15M, Scene

RISING = DollarState(1, 99 * INDEX_SCALE, 0, -6_000)
FALLING = replace(RISING, trend=-1)


@pytest.mark.parametrize(
    ("family", "side", "expected"),
    [("NQ", 1, -1), ("NQ", -1, 1), ("GC", 1, -1), ("6E", -1, 1), ("CL", 1, 0), ("ZB", -1, 0)],
)
def test_a_rising_dollar_speaks_against_longs_of_what_moves_against_it(family: str, side: int, expected: int) -> None:
    assert agreement(RISING, family, side, 0.0) == expected
    assert agreement(FALLING, family, side, 0.0) == -expected
    assert agreement(replace(RISING, trend=0), family, side, 0.0) == 0


def test_the_measured_correlation_decides_where_it_is_asked_for() -> None:
    with_it = replace(RISING, correlation=6_000)
    assert [agreement(state, "NQ", 1, 0.5) for state in (RISING, with_it)] == [-1, 1]
    assert [agreement(RISING, "NQ", 1, least) for least in (0.6, 0.61)] == [-1, 0]
    assert agreement(replace(RISING, correlation=None), "NQ", 1, 0.1) == 0
    assert agreement(with_it, "CL", 1, 0.5) == 1  # the table says nothing of crude


@pytest.mark.parametrize(
    ("settings", "dollar", "expected"),
    [
        ({"filter": "off"}, RISING, DollarVerdict()),
        ({"filter": "off", "stale": "block"}, None, DollarVerdict()),
        ({"filter": "require"}, RISING, DollarVerdict("against_dollar")),
        ({"filter": "require"}, FALLING, DollarVerdict()),
        ({"filter": "require"}, replace(RISING, trend=0), DollarVerdict()),
        ({"filter": "prefer", "points": 7.0}, RISING, DollarVerdict(points=-7.0)),
        ({"filter": "prefer", "points": 7.0}, FALLING, DollarVerdict(points=7.0)),
        ({"filter": "require"}, replace(RISING, stale=True), DollarVerdict()),
        ({"filter": "require", "stale": "block"}, replace(FALLING, stale=True), DollarVerdict("dollar_stale")),
        ({"filter": "prefer", "stale": "block"}, None, DollarVerdict("dollar_stale")),
        ({"filter": "prefer"}, None, DollarVerdict()),
    ],
)
def test_the_filters_word_on_a_long(settings: dict[str, Any], dollar: DollarState | None, expected: object) -> None:
    assert judge(DollarSettings(**settings), dollar, "NQ", 1) == expected


def test_news_that_block_go_before_the_dollar() -> None:
    settings = DollarSettings(filter="require")
    blocked = MarketContext(NewsState(action="block"), RISING)
    assert verdict(settings, blocked, "NQ", 1) == verdict(DollarSettings(), blocked, "CL", -1) == DollarVerdict("news")
    reduced = MarketContext(NewsState(action="reduce"), RISING)
    assert verdict(settings, reduced, "NQ", 1) == DollarVerdict("against_dollar")
    assert verdict(settings, MarketContext(), "NQ", 1) == DollarVerdict()


def signals(
    dollar: DollarState | None = None, news: NewsState | None = None, **options: Any
) -> tuple[Scene, list[Signal]]:
    scene = Scene(replace(ONLY_15M, dollar=DollarSettings(**options)))
    scene.enter()
    scene.choch()
    return scene, scene.run(context=MarketContext(news, dollar))


def test_a_trader_asks_the_filter_and_keeps_what_it_saw() -> None:
    plain = signals()[1][0]
    assert plain.context is None
    kept = signals(RISING)[1][0]
    assert (kept.context, kept.score) == (MarketContext(None, RISING), plain.score)
    scene, refused = signals(RISING, filter="require")
    assert (refused, scene.died()["against_dollar"], scene.trader.open_setups) == ([], 1, 1)
    assert signals(FALLING, filter="require")[1][0].score == plain.score
    worse, better = (signals(state, filter="prefer", points=4.0)[1][0] for state in (RISING, FALLING))
    assert (round(worse.score - plain.score, 6), round(better.score - plain.score, 6)) == (-4.0, 4.0)
    assert signals(filter="prefer", stale="block")[0].died()["dollar_stale"] == 1
    told = "\n".join(story(worse, PRODUCTS["MNQ"], str))
    assert "dollar -4.00" in told
    assert "dollar index: 99.00, rising; correlation -0.60" in told


@pytest.mark.parametrize(
    ("context", "options"),
    [
        (MarketContext(NewsState(action="block")), {}),
        (MarketContext(None, RISING), {"filter": "require"}),
        (MarketContext(None, RISING), {"filter": "prefer", "points": 20.0}),
        (MarketContext(), {"filter": "prefer", "stale": "block"}),
    ],
)
def test_a_setup_that_the_facts_forbid_is_not_spent(context: MarketContext, options: dict[str, Any]) -> None:
    """It keeps its trigger and waits for the next one, as after any other refusal."""
    scene = Scene(replace(ONLY_15M, dollar=DollarSettings(**options)))
    scene.enter()
    first = scene.choch()
    assert scene.run(context=context) == []
    scene.make.mss(4, 1, parent=first)
    (found,) = scene.run(4, context=MarketContext(None, FALLING))
    plain = Scene()
    plain.enter()
    before = plain.choch()
    plain.trader.on_events(plain.make.take(), view_at(3, 100_058, 100_060, live=False))  # the moment forbids it
    plain.make.mss(4, 1, parent=before)
    (expected,) = plain.run(4)
    assert (found.why.triggers, found.stop, found.target) == (
        expected.why.triggers, expected.stop, expected.target
    )  # fmt: skip
    assert scene.trader.counters["signals"] == 1


def test_points_raise_a_score_over_the_least_one_and_lower_it_under_it() -> None:
    plain = signals()[1][0].score
    above = replace(ONLY_15M, min_score=plain + 3, dollar=DollarSettings(filter="prefer", points=5.0))
    for dollar, count, why in ((FALLING, 1, ""), (RISING, 0, "score_too_low"), (None, 0, "score_too_low")):
        scene = Scene(above)
        scene.enter()
        scene.choch()
        assert len(scene.run(context=MarketContext(None, dollar))) == count
        assert not why or scene.died()[why] == 1
    assert not {"against_dollar", "dollar_stale"} & scene.died().keys()


@pytest.mark.parametrize(("action", "fires"), [("", True), ("warn", True), ("reduce", True), ("block", False)])
def test_a_trader_is_silent_while_news_block(action: str, fires: bool) -> None:
    news = NewsState(action=action, event_ns=5, impact="High")
    scene, found = signals(news=news)
    assert bool(found) == fires
    assert scene.died().get("news", 0) == (not fires)
    if fires:
        assert found[0].context == MarketContext(news)
        assert "news: High-impact news at 5" in "\n".join(story(found[0], PRODUCTS["MNQ"], str))


def test_a_filter_that_is_off_is_no_other_strategy() -> None:
    assert StrategySettings().digest() == StrategySettings(dollar=DollarSettings(follow=True)).digest()
    assert StrategySettings().digest() != StrategySettings(dollar=DollarSettings(filter="prefer")).digest()


def test_facts_that_stop_coming_are_stale() -> None:
    old = context_at(601, RISING, (NewsState(0, 600),), 600)
    assert old == MarketContext(NewsState(stale=True), replace(RISING, stale=True))
    assert context_at(600, RISING, (NewsState(0, 601),), 600) == MarketContext(NewsState(0, 601), RISING)
    assert context_at(600, None, (), 600) == MarketContext()


def test_when_nobody_tells_news_any_more_the_policy_holds_that_was_told_last() -> None:
    """The feed has died behind the second stretch that it told."""
    first, second = NewsState(0, 600, later="block"), NewsState(600, 700, later="reduce", later_percent=25)
    told = tuple(NewsState.of(one.record(number)) for number, one in enumerate((second, first)))
    assert context_at(650, None, told, 9).news == second
    gone = context_at(700, None, told, 9).news
    assert gone is not None
    assert (gone.action, gone.percent, gone.stale) == ("reduce", 25, True)
    blocked = context_at(600, None, (first,), 9)
    assert verdict(DollarSettings(), blocked, "NQ", 1) == DollarVerdict("news")


def test_a_state_comes_back_from_its_record() -> None:
    for state in (RISING, replace(FALLING, correlation=None, stale=True)):
        assert DollarState.of(state.record()) == state
    assert isinstance(RISING.record(), ContextRecord)
