"""What a calendar means for a contract: windows, both clock changes, CPI, staleness, and the records that tell it."""

import gzip
from csv import DictReader
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared_data import shared
from tbot.context.news import Calendar, NewsEvent, Snapshot, merge, undated, week_ns, week_of
from tbot.context.news_files import read_file, read_files
from tbot.context.news_settings import NewsSettings
from tbot.context.news_windows import NewsTeller, timeline
from tbot.domain.context import FAR_AHEAD_NS, LONG_AGO_NS, ContextKey, MarketContext, NewsState, context_at
from tbot.domain.contracts import PRODUCTS
from tbot.errors import ConfigError

S, MIN, DAY = 10**9, 60 * 10**9, 86_400 * 10**9
NQ, EURO, YEN, GOLD = PRODUCTS["NQ"], PRODUCTS["6E"], PRODUCTS["6J"], PRODUCTS["GC"]
NEW_YORK, LONDON, HELSINKI = (ZoneInfo(name) for name in ("America/New_York", "Europe/London", "Europe/Helsinki"))


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * S


def event(at_ns: int, impact: str = "High", currency: str = "USD", title: str = "Talk") -> NewsEvent:
    return NewsEvent(at_ns, currency, impact, title, "test")  # type: ignore[arg-type]


def calendar(*events: NewsEvent) -> Calendar:
    return merge([Snapshot("test", "user", events)])


def state(line: tuple[NewsState, ...], at_ns: int) -> NewsState:
    found = [one for one in line if one.holds(at_ns)]
    assert len(found) == 1
    return found[0]


AT = ns("2026-11-25T13:30Z")


def test_a_window_holds_from_its_first_to_its_last_moment() -> None:
    line = timeline(calendar(event(AT)), NewsSettings(high_before_min=3, high_after_min=7), NQ)
    before, after = AT - 3 * MIN, AT + 7 * MIN
    actions = [state(line, at).action for at in (before - 1, before, AT, after, after + 1)]
    assert actions == ["", "block", "block", "block", ""]
    told = state(line, AT)
    assert (told.event_ns, told.impact, told.stale, told.cpi) == (AT, "High", False, False)


def local(zone: ZoneInfo, day: date, hour: int, minute: int) -> int:
    return int(datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone).timestamp()) * S


@pytest.mark.parametrize(
    ("change", "zone", "hours"),
    [
        (date(2026, 3, 8), NEW_YORK, (13, 12)),  # New York springs forward, Europe does not yet
        (date(2026, 3, 29), HELSINKI, (12, 12)),  # Europe follows: nothing moves in New York or in UTC
        (date(2026, 10, 25), HELSINKI, (12, 12)),  # Europe falls back first
        (date(2026, 11, 1), NEW_YORK, (12, 13)),
    ],
)
def test_windows_of_0830_new_york_across_both_clock_changes(
    change: date, zone: ZoneInfo, hours: tuple[int, int]
) -> None:
    friday, monday = change - timedelta(2), change + timedelta(1)
    for day, hour in zip((friday, monday), hours, strict=True):
        at = local(NEW_YORK, day, 8, 30)
        line = timeline(calendar(event(at, title="CPI m/m")), NewsSettings(), NQ)
        edges = [ns(f"{day}T{hour}:{minute}Z") for minute in (25, 35)]
        assert [state(line, edge + extra).action for edge in edges for extra in (-1, 0, 1)] == [
            "", "block", "block", "block", "block", "",
        ]  # fmt: skip
        assert state(line, edges[0]).cpi
    shift = datetime(friday.year, friday.month, friday.day, 12, tzinfo=zone).utcoffset()
    assert shift != datetime(monday.year, monday.month, monday.day, 12, tzinfo=zone).utcoffset()


def test_a_window_across_the_very_hour_that_is_lost_or_doubled() -> None:
    """02:00 New York on 8 March and 01:30 on 1 November: minutes are minutes of UTC."""
    for text in ("2026-03-08T01:58:00-05:00", "2026-11-01T01:30:00-04:00", "2026-11-01T01:30:00-05:00"):
        at = ns(text)
        line = timeline(calendar(event(at)), NewsSettings(high_before_min=60, high_after_min=60), NQ)
        assert [one.until_ns - one.from_ns for one in line if one.action == "block"] == [120 * MIN + 1]


def test_a_week_of_new_york_has_167_or_169_hours_where_its_clocks_change() -> None:
    hours = {text: (lambda span: (span[1] - span[0]) // (60 * MIN))(week_ns(date.fromisoformat(text))) for text in (
        "2026-03-01", "2026-03-08", "2026-10-25", "2026-11-01", "2026-11-08",
    )}  # fmt: skip
    assert hours == {"2026-03-01": 168, "2026-03-08": 167, "2026-10-25": 168, "2026-11-01": 169, "2026-11-08": 168}
    assert week_of(ns("2026-11-01T03:59Z")) == date(2026, 10, 25)
    assert week_of(ns("2026-11-01T04:00Z")) == date(2026, 11, 1)


@pytest.mark.shared_data
def test_payrolls_and_cpi_of_2026_are_at_0830_new_york_in_both_seasons() -> None:
    """By the day of the historical list (its clock times are off by an hour in summer)."""
    with gzip.open(shared("market/calendar/high_impact_events_2020_2026.csv.gz"), "rt") as file:
        rows = [row for row in DictReader(file) if row["event"] == "Core CPI m/m" and row["currency"] == "USD"]
    days = [date.fromisoformat(row["date_et_approx"]) for row in rows]
    assert len(days) > 60
    events = [event(local(NEW_YORK, day, 8, 30), title="Core CPI m/m") for day in days]
    line = timeline(calendar(*events), NewsSettings(), NQ)
    hours = {datetime.fromtimestamp(one.event_ns // S, UTC).hour for one in line if one.cpi}
    assert hours == {12, 13}
    assert sum(one.cpi for one in line) == len(set(days))


def test_currencies_move_their_contracts_and_the_dollar_all_of_them() -> None:
    news = calendar(
        event(AT, currency="EUR"),
        event(AT + DAY),
        event(AT + 2 * DAY, currency="ALL"),
        event(AT + 3 * DAY, currency="XYZ"),
    )
    blocked = {
        product.symbol: [
            number for number in range(4) if state(timeline(news, NewsSettings(), product), AT + number * DAY).action
        ]
        for product in (NQ, EURO, YEN, GOLD, PRODUCTS["M6E"])
    }
    assert blocked == {"NQ": [1, 2], "6E": [0, 1, 2], "6J": [1, 2], "GC": [1, 2], "M6E": [0, 1, 2]}
    own = NewsSettings(affects={"EUR": ["NQ"], "USD": [], "XYZ": ["*"]})
    assert [number for number in range(4) if state(timeline(news, own, NQ), AT + number * DAY).action] == [0, 2, 3]


def test_of_overlapping_windows_the_harder_action_holds() -> None:
    settings = NewsSettings(medium="reduce", medium_before_min=30, medium_after_min=30, reduce_percent=40, low="warn")
    line = timeline(calendar(event(AT, "Medium"), event(AT + 10 * MIN), event(AT + 12 * MIN, "Low")), settings, NQ)
    told = [(one.action, one.percent, (one.from_ns - AT) // MIN) for one in line if one.action and not one.stale]
    assert told == [("reduce", 40, -30), ("block", 100, 5), ("reduce", 40, 15)]


def test_cpi_limits_hold_five_minutes_around_whatever_the_news_windows_say() -> None:
    settings = NewsSettings(high="off", high_before_min=0)
    line = timeline(calendar(event(AT, "High", title="CPI y/y")), settings, NQ)
    cpi = [one for one in line if one.cpi]
    assert [(one.from_ns, one.until_ns, one.action) for one in cpi] == [(AT - 5 * MIN, AT + 5 * MIN + 1, "")]
    assert not any(one.cpi for one in timeline(calendar(event(AT, title="CPI y/y")), replace(settings, cpi=False), NQ))
    assert not any(one.cpi for one in timeline(calendar(event(AT, title="CPI m/m", currency="CAD")), settings, NQ))


@pytest.mark.parametrize("title", ["CPI m/m", "Core CPI y/y", "core cpi m/m", "Consumer Price Index for May 2026"])
def test_what_is_a_cpi_release(title: str) -> None:
    assert event(AT, title=title).is_cpi
    assert not event(AT, title=title, currency="GBP").is_cpi
    assert not event(AT, title="Cleveland CPI m/m").is_cpi


@pytest.mark.parametrize("policy", ["warn", "reduce", "block"])
def test_a_week_old_export_is_stale_by_the_policy(policy: str) -> None:
    made = ns("2026-08-09T04:43Z")
    rows = [event(ns("2026-08-10T12:30Z")), event(ns("2026-08-14T14:00Z"))]
    old = merge([Snapshot("week", "export", tuple(rows), as_of_ns=made, order_ns=made)])
    line = timeline(old, NewsSettings(stale=policy), NQ)
    fresh, stale = state(line, made + 7 * DAY - 1), state(line, made + 7 * DAY)
    assert (fresh.action, fresh.stale) == ("", False)
    assert (stale.action, stale.stale, stale.percent) == (policy, True, 50 if policy == "reduce" else 100)
    assert state(line, ns("2026-08-14T14:00Z")).action == "block"
    assert (old.is_known(made + 7 * DAY), old.age_ns(made + DAY)) == (False, DAY)


def test_without_any_source_nothing_is_known() -> None:
    line = timeline(Calendar(problems=("broken",)), NewsSettings(stale="block"), NQ)
    assert line == (NewsState(LONG_AGO_NS, FAR_AHEAD_NS, "block", stale=True, later="block"),)


def test_of_past_data_only_the_weeks_that_were_given_are_known() -> None:
    rows = (event(ns("2026-08-10T12:30Z")), event(ns("2026-08-14T14:00Z")))
    past = merge([undated(Snapshot("week", "export", rows, as_of_ns=1))])
    assert past.known == ((ns("2026-08-09T04:00Z"), ns("2026-08-16T04:00Z")),)


def test_own_rows_speak_from_the_week_of_the_first_to_a_week_after_the_last() -> None:
    known = calendar(event(ns("2026-08-12T12:30Z")), event(ns("2026-12-10T13:30Z"))).known
    assert known == ((ns("2026-08-09T04:00Z"), ns("2026-12-20T05:00Z")),)


@pytest.mark.shared_data
def test_real_weeks_in_order_of_time_without_a_gap() -> None:
    paths = sorted(shared("market/calendar").glob("ff_calendar_thisweek_2026-*.json"))
    whole = read_files(paths)
    line = timeline(whole, NewsSettings(), NQ)
    assert whole.known == ((ns("2026-07-26T04:00Z"), ns("2026-08-16T04:00Z")),)
    cpi = [one for one in line if one.cpi]
    assert [datetime.fromtimestamp(one.event_ns // S, UTC).isoformat() for one in cpi] == ["2026-08-12T12:30:00+00:00"]
    dated = read_file(paths[0])
    assert dated.as_of_ns is not None  # of a file that is read for a run of today its age counts


EVENTS = st.builds(
    event,
    st.integers(0, 300).map(lambda number: AT + number * MIN),
    st.sampled_from(["Low", "Medium", "High", "Holiday"]),
    st.sampled_from(["USD", "EUR"]),
    st.sampled_from(["Talk", "CPI m/m"]),
)
SETTINGS = st.builds(
    NewsSettings,
    high=st.sampled_from(["block", "reduce"]),
    medium=st.sampled_from(["off", "warn", "block"]),
    low=st.sampled_from(["off", "reduce"]),
    high_before_min=st.integers(0, 20),
    medium_after_min=st.integers(0, 20),
    reduce_percent=st.integers(1, 100),
)


@given(st.lists(EVENTS, max_size=8), SETTINGS)
def test_a_timeline_has_no_gap_and_says_at_each_minute_what_the_windows_say(
    events: list[NewsEvent], settings: NewsSettings
) -> None:
    news = calendar(*events)
    line = timeline(news, settings, NQ)
    assert (line[0].from_ns, line[-1].until_ns) == (LONG_AGO_NS, FAR_AHEAD_NS)
    assert all(one.until_ns == two.from_ns for one, two in pairwise(line))
    order = ["", "warn", "reduce", "block"]
    for number in range(-25, 330):
        at = AT + number * MIN
        found = [""] if news.is_known(at) else ["warn"]
        cpi = False
        for one in news.events:
            if one.currency != "USD" or one.impact == "Holiday":
                continue
            action = {"High": settings.high, "Medium": settings.medium, "Low": settings.low}[one.impact]
            before, after = settings.minutes(one.impact)
            if action != "off" and one.at_ns - before * MIN <= at <= one.at_ns + after * MIN:
                found.append(action)
            cpi |= one.is_cpi and abs(one.at_ns - at) <= 5 * MIN
        told = state(line, at)
        assert (told.action, told.cpi) == (max(found, key=order.index), cpi)


@given(st.lists(EVENTS, max_size=8), SETTINGS, st.lists(st.integers(0, 400), min_size=1, max_size=20))
def test_the_two_newest_records_tell_the_truth_at_every_moment(
    events: list[NewsEvent], settings: NewsSettings, looks: list[int]
) -> None:
    """However seldom the teller is asked, as long as it was asked since the present stretch began or the one before."""
    news = calendar(*events)
    line = timeline(news, settings, NQ)
    teller = NewsTeller.of(news, settings, [NQ.contract_id])
    slots: dict[int, NewsState] = {}
    for number in sorted(looks):
        at = AT + number * MIN // 2
        for told in teller.until(at):
            assert told.at_ns <= at
            slots[told.record.key] = NewsState.of(told.record)
        assert context_at(at, None, tuple(slots.values()), MIN) == MarketContext(state(line, at))
        assert teller.state(NQ.contract_id, at) == state(line, at)
        following = next((one for one in line if one.from_ns > at), None)
        if following is not None:  # it was told before it began: an edge needs no writer that wakes in time
            assert context_at(following.from_ns, None, tuple(slots.values()), MIN).news == following
        fresh = {told.record.key: NewsState.of(told.record) for told in teller.again(at)}
        assert state(tuple(fresh.values()), at) == state(line, at)


def test_records_come_at_their_edges_in_order() -> None:
    news = calendar(event(AT), event(AT + 60 * MIN))
    teller = NewsTeller.of(news, NewsSettings(), [NQ.contract_id, GOLD.contract_id])
    first = teller.until(AT - 30 * MIN)
    assert [told.contract_id for told in first] == [NQ.contract_id] * 2 + [GOLD.contract_id] * 2
    assert {told.record.key for told in first} == {ContextKey.NEWS_EVEN, ContextKey.NEWS_ODD}
    assert teller.until(AT - 6 * MIN) == []
    edges = [(told.at_ns - AT) // MIN for told in teller.until(AT + 90 * MIN) if told.contract_id == 2]
    assert edges == [-5, 5, 55, 65]


def test_a_record_of_a_later_version_is_refused() -> None:
    good = NewsState(1, 2, "block", 100, 3, "High", True, True, "reduce", 30)
    assert NewsState.of(good.record(7)) == good
    assert NewsState.of(replace(good.record(7), flags=15)) == replace(good, later="", later_percent=100)  # an older one
    assert good.record(7).key == ContextKey.NEWS_ODD
    for bad in ({"side": 4}, {"flags": 101 << 6}, {"side": -1}):
        with pytest.raises(ValueError, match="no news record"):
            NewsState.of(replace(good.record(1), **bad))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [
        {"fetch": "yes"}, {"url": "ftp://x"}, {"fetch_hours": 1.0}, {"high": "stop"}, {"medium_before_min": -1},
        {"low_after_min": 241}, {"reduce_percent": 0}, {"stale": "off"}, {"affects": {"EUR": "6E"}},
        {"affects": {"EUR": ["XX"]}},
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        NewsSettings(**wrong)
