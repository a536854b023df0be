"""Facts among the records of a stream: where they stand and who hears them; cuts and the future change nothing."""

import random
from dataclasses import replace
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dollar_quotes import NS_PER_MIN, NS_PER_S, START_NS, minute_quotes, quote, record
from tbot.backtest.context_source import ContextSource
from tbot.backtest.source import ArraySource
from tbot.context.dxy import LEG_IDS, DollarIndex
from tbot.context.news import Calendar, NewsEvent, Snapshot, merge
from tbot.context.news_settings import NewsSettings
from tbot.context.stream import GRACE_NS, with_context
from tbot.domain.context import ContextKey, ContextRecord, DollarState, NewsState
from tbot.domain.contracts import PRODUCTS
from tbot.storage.tick_stream import is_ordered
from tbot.strategy.decider import ContractDecider
from tbot.strategy.dollar import DollarSettings
from tbot.strategy.settings import StrategySettings
from tbot_ext.records import Kind

NQ = PRODUCTS["NQ"]
FOLLOW = DollarSettings(follow=True, correlation_minutes=10, trend_min=5, trend_fast=2, trend_slow=4)
AT = START_NS + 20 * NS_PER_MIN
EVENTS = (NewsEvent(AT, "USD", "High", "CPI m/m", "x"), NewsEvent(AT + 8 * NS_PER_MIN, "USD", "Medium", "Talk", "x"))
NEWS = merge([Snapshot("x", "user", EVENTS)])
IDS = (NQ.contract_id, *LEG_IDS)


def market(minutes: int = 40, seed: int = 3) -> np.ndarray:
    chance = random.Random(seed)
    rows = [minute_quotes([1 - 0.0002 * number + chance.uniform(-1, 1) * 1e-4 for number in range(minutes)])]
    for number in range(minutes):
        for place in (0, 20, 40):
            at = START_NS + number * NS_PER_MIN + place * NS_PER_S
            rows.append(quote("NQ", at, 25_000 + chance.randint(-40, 40)))
            rows.append(record(Kind.TRADE, "NQ", at + 1, price=100_000 + chance.randint(-9, 9), size=1, side=1))
    ticks = np.concatenate(rows)
    return ticks[np.lexsort((ticks["contract_id"], ticks["exch_ns"]))]


def told(out: np.ndarray, key: int) -> list[tuple[int, ContextRecord]]:
    rows = out[(out["kind"] == Kind.CONTEXT) & (out["aux"] == key)]
    names = ("side", "price", "price2", "size", "volume", "flags")
    return [(int(row["exch_ns"]), ContextRecord(key, *(int(row[name]) for name in names))) for row in rows]


def whole(ticks: np.ndarray, calendar: Calendar | None = NEWS, dollar: DollarSettings = FOLLOW) -> np.ndarray:
    return np.concatenate(list(with_context([ticks], IDS, dollar, NewsSettings(), calendar)))


def test_each_minute_of_the_index_is_told_a_quarter_of_a_second_after_its_end() -> None:
    ticks = market()
    out = whole(ticks)
    assert is_ordered(out[["exch_ns", "contract_id", "seq"]]) or np.all(np.diff(out["exch_ns"]) >= 0)
    found = told(out, ContextKey.DOLLAR)
    states = [DollarState.of(one) for _, one in found]
    assert [at for at, _ in found] == [state.minute_ns + GRACE_NS for state in states]
    expected = DollarIndex(FOLLOW, [NQ.contract_id]).push(ticks)
    assert states == [close.of(NQ.contract_id) for close in expected][: len(states)]
    assert len(states) == 39
    assert states[-1].trend == 1
    assert states[-1].correlation is not None


def test_futures_of_the_index_go_no_further_and_all_else_stays_as_it_was() -> None:
    ticks = market()
    out = whole(ticks)
    assert set(out["contract_id"].tolist()) == {NQ.contract_id}
    assert np.array_equal(out[out["kind"] != Kind.CONTEXT], ticks[ticks["contract_id"] == NQ.contract_id])
    alone = np.concatenate(list(with_context([ticks], IDS, DollarSettings(), NewsSettings(), None)))
    assert set(alone["contract_id"].tolist()) == {NQ.contract_id}
    only = ticks[ticks["contract_id"] != NQ.contract_id]
    futures = np.concatenate(list(with_context([only], LEG_IDS, FOLLOW, NewsSettings(), None)))
    assert set(futures["contract_id"].tolist()) == set(LEG_IDS)  # nobody else is there: they are what is traded


@settings(max_examples=30)
@given(st.lists(st.integers(1, 430), max_size=10))
def test_the_result_does_not_depend_on_where_the_stream_is_cut(cuts: list[int]) -> None:
    ticks = market()
    edges = sorted({0, len(ticks), *(cut for cut in cuts if cut < len(ticks))})
    chunks = [ticks[start:end] for start, end in pairwise(edges)]
    parts = list(with_context(chunks, IDS, FOLLOW, NewsSettings(), NEWS))
    assert np.array_equal(np.concatenate(parts), whole(ticks))


@settings(max_examples=20)
@given(st.integers(1, 39))
def test_nothing_that_comes_later_changes_what_was_told(minute: int) -> None:
    border = START_NS + minute * NS_PER_MIN
    one, two = market(), market(seed=8)
    both = np.concatenate((one[one["exch_ns"] < border], two[two["exch_ns"] >= border]))
    out, other = whole(one), whole(both)
    assert np.array_equal(out[out["exch_ns"] < border], other[other["exch_ns"] < border])


def views(out: np.ndarray, strategy: StrategySettings | None = None) -> list[tuple[int, object]]:
    """Market time and facts at each event of the compiled pipeline, as a trader sees them."""
    seen: list[tuple[int, object]] = []

    class Watcher:
        def __init__(self) -> None:
            self.counters: dict[str, int] = {}

        def on_events(self, events: np.ndarray, view: object) -> list[object]:
            seen.append((view.now_ns, view.context))  # type: ignore[attr-defined]
            return []

    start = record(Kind.HISTORY, "NQ", START_NS)
    decider = ContractDecider(NQ, strategy or StrategySettings(dollar=FOLLOW), make_trader=lambda *_: Watcher())  # type: ignore[arg-type,return-value]
    ticks, at = np.concatenate((start, out)), 0
    while at < len(ticks) or decider.pending:
        at, _ = decider.feed(ticks, at)
    return seen


def test_a_trader_sees_the_facts_of_its_own_stream_at_every_event() -> None:
    seen = views(whole(market()))
    assert len(seen) >= 39
    for now_ns, context in seen:
        window = abs(now_ns - AT) <= 5 * NS_PER_MIN
        talk = abs(now_ns - AT - 8 * NS_PER_MIN) <= 5 * NS_PER_MIN
        assert context.news.action == ("block" if window else "warn" if talk else "")  # type: ignore[attr-defined]
        assert context.news.cpi == window  # type: ignore[attr-defined]
        dollar = context.dollar  # type: ignore[attr-defined]
        # Of a bar that the first trade of a minute closes the index is a minute old.
        assert dollar is None or now_ns - dollar.minute_ns <= 2 * NS_PER_MIN
    assert any(context.dollar is not None and context.dollar.trend == 1 for _, context in seen)  # type: ignore[attr-defined]


def test_an_index_that_stops_coming_is_stale_to_the_trader() -> None:
    out = whole(market())
    cut = out[(out["kind"] != Kind.CONTEXT) | (out["aux"] != ContextKey.DOLLAR) | (out["exch_ns"] < AT)]
    stale = [context.dollar.stale for now, context in views(cut) if context.dollar]  # type: ignore[attr-defined]
    assert (stale[0], stale[-1]) == (False, True)


def test_facts_that_were_recorded_stay_unless_they_are_made_anew() -> None:
    ticks = market()
    recorded = whole(ticks)
    again = np.concatenate(list(with_context([recorded], [NQ.contract_id], FOLLOW, NewsSettings(), None)))
    assert np.array_equal(again, recorded)
    quiet = np.concatenate(list(with_context([recorded], [NQ.contract_id], FOLLOW, NewsSettings(high="off"), NEWS)))
    assert {NewsState.of(one).action for _, one in told(quiet, ContextKey.NEWS_ODD)} <= {"", "warn"}
    assert told(quiet, ContextKey.DOLLAR) == told(recorded, ContextKey.DOLLAR)


def test_a_record_that_no_version_knows_is_news_that_nobody_knows() -> None:
    out = whole(market())
    rows = (out["kind"] == Kind.CONTEXT) & (out["aux"] == ContextKey.NEWS_EVEN)
    out["side"][rows] = 9
    assert any(context.news.stale for _, context in views(out))  # type: ignore[attr-defined]
    foreign = np.concatenate((record(Kind.CONTEXT, "NQ", START_NS, aux=7), record(Kind.CONTEXT, "NQ", START_NS, aux=-1),
                              record(Kind.CONTEXT, "NQ", START_NS, aux=1000), market()))  # fmt: skip
    assert views(foreign[foreign["contract_id"] == NQ.contract_id])


def test_a_source_tells_what_is_missing_and_hashes_what_counts() -> None:
    source = ArraySource((market(),))
    followed = ContextSource(source, FOLLOW, NewsSettings(), NEWS)
    assert list(followed.contracts.values()) == ["NQ"]
    assert followed.notes == ()
    assert len(ContextSource(source, DollarSettings()).contracts) == 6  # nobody follows the index: all are traded
    named = ContextSource(source, FOLLOW, NewsSettings(), NEWS, named=("NQ", "6E"))
    assert list(named.contracts.values()) == ["NQ", "6E"]
    rows = market()
    lacking = ArraySource((rows[rows["contract_id"] != PRODUCTS["6S"].contract_id],))
    assert "lacks 6S; the filter is off" in ContextSource(lacking, FOLLOW).notes[0]
    strict = replace(FOLLOW, filter="require", stale="block")
    assert "lacks 6S; no entries" in ContextSource(lacking, strict).notes[0]
    quiet = ContextSource(source, FOLLOW, NewsSettings(high="off"), NEWS)
    hashes = {one.data_hash for one in (followed, ContextSource(source, FOLLOW), quiet)}
    assert len(hashes) == 3
    assert followed.data_hash == ContextSource(source, FOLLOW, NewsSettings(), NEWS).data_hash
