"""History for the workers: which stretch is asked for, where the bars lie, what the pipeline reads of them."""

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_tapes import HOUR, MINUTE, SECOND, drain_stops, ring_of
from tbot.domain.contracts import PRODUCTS
from tbot.engine.backfill import (
    LEAST_BARS,
    RELOOK_S,
    SETTLE_NS,
    Download,
    HistorySegment,
    HoleCheck,
    Request,
    announce,
    download,
    gap_request,
    start_request,
)
from tbot.gateway.codec_rest import Answer, BrokerBar
from tbot_ext.pipeline import ContractPipeline
from tbot_ext.records import BAR_DTYPE, Flag, Kind

MNQ = PRODUCTS["MNQ"]
DAY = 24 * 60 * MINUTE


# --------------------------------------------------------------------------------------------------------- requests
@pytest.mark.parametrize("offset", [0, 1, 30 * SECOND, MINUTE - 1])
def test_the_minute_of_the_subscription_is_downloaded_too(offset: int) -> None:
    """Its ticks are incomplete; the next minute comes from ticks. It is due two seconds after its end."""
    request = start_request(HOUR + offset, 5)
    assert request == Request(HOUR + MINUTE - 5 * DAY, HOUR + MINUTE)
    assert request.due_ns == HOUR + MINUTE + 2 * SECOND


@pytest.mark.parametrize("offset", [0, 1, 30 * SECOND, MINUTE - 1])
def test_after_a_gap_every_minute_since_the_last_good_one(offset: int) -> None:
    request = gap_request(HOUR + offset, HOUR - 7 * MINUTE)
    assert request == Request(HOUR - 7 * MINUTE, HOUR + MINUTE)
    assert request.due_ns == HOUR + MINUTE + SETTLE_NS


@given(st.integers(0, 2**62), st.integers(0, 30))
def test_requests_end_at_the_first_whole_minute_of_ticks(now_ns: int, days: int) -> None:
    request = start_request(now_ns, days)
    assert request.through_ns % MINUTE == request.since_ns % MINUTE == 0
    assert request.through_ns - MINUTE <= now_ns < request.through_ns
    assert request.through_ns - request.since_ns == days * DAY


# ---------------------------------------------------------------------------------------------------------- segment
def bars_from(start_ns: int, count: int, price: int = 5_000) -> np.ndarray:
    bars = np.zeros(count, BAR_DTYPE)
    bars["start_ns"] = start_ns + np.arange(count) * MINUTE
    bars["open"] = bars["close"] = price + np.arange(count) % 7
    bars["high"], bars["low"] = bars["open"] + 2, bars["open"] - 2
    bars["volume"], bars["timeframe_min"] = 10 + np.arange(count), 1
    return bars


@given(st.lists(st.integers(0, 25), max_size=8))
def test_positions_count_on_and_the_newest_bars_lie_where_they_say(sizes: list[int]) -> None:
    capacity = 10
    memory = np.zeros(capacity, BAR_DTYPE)
    segment, written, at = HistorySegment(memory), 0, 0
    for size in sizes:
        bars = bars_from(at * MINUTE, size)
        at += size
        start, count = segment.put(bars)
        assert (start, count) == (written, min(size, capacity))
        written += count
        found = [memory[(start + k) % capacity] for k in range(count)]
        assert found == [bars[size - count + k] for k in range(count)]


@settings(max_examples=40)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=12), st.integers(20, 33))
def test_a_pipeline_reads_through_the_ring_what_was_put_down(sizes: list[int], capacity: int) -> None:
    """Batches wrap around the segment's end; every batch is announced and read before the next one comes."""
    memory = np.zeros(capacity, BAR_DTYPE)
    segment = HistorySegment(memory)
    writer, reader = ring_of(64, MNQ.contract_id)
    pipeline = ContractPipeline(MNQ.contract_id, history=memory)
    at, expected = HOUR, []
    for size in sizes:
        bars = bars_from(at, size)
        at += size * MINUTE
        expected.append(bars)
        announce(writer, segment.put(bars), at, recv_ns=at + 5)
        drain_stops(pipeline, reader, 16)
        assert pipeline.live
        assert pipeline.recv_ns == at + 5
        writer.gap(at, at)
        drain_stops(pipeline, reader, 16)
        assert not pipeline.live
    whole = np.concatenate(expected)
    found = pipeline.bars(1, 1000)
    for name in ("start_ns", "open", "high", "low", "close", "volume"):
        assert found[name].tolist() == whole[name].tolist()
    assert np.all(found["flags"] & int(Flag.FROM_HISTORY))
    assert pipeline.counters["history_bars"] == len(whole)
    assert pipeline.counters["history_bad"] == pipeline.counters["history_mismatch"] == 0
    pipeline.close()


def test_nothing_to_fill_is_announced_too_and_lets_the_contract_go_live() -> None:
    memory = np.zeros(8, BAR_DTYPE)
    segment = HistorySegment(memory)
    writer, reader = ring_of(64, MNQ.contract_id)
    pipeline = ContractPipeline(MNQ.contract_id, history=memory)
    writer.push(int(Kind.TRADE), HOUR + SECOND, 0, 5_000, 0, 1)
    drain_stops(pipeline, reader, 16)
    assert not pipeline.live
    announce(writer, segment.put(bars_from(HOUR, 0)), HOUR + MINUTE, 0)
    drain_stops(pipeline, reader, 16)
    assert pipeline.live
    pipeline.close()


def test_a_long_history_arrives_whole_although_in_parts() -> None:
    """More events than one call holds: the pipeline hands them out bit by bit, nothing is lost."""
    memory = np.zeros(9_000, BAR_DTYPE)
    segment = HistorySegment(memory)
    segment.put(bars_from(0, 5_000))  # so that the next one wraps
    bars = bars_from(HOUR, 7_200)
    writer, reader = ring_of(64, MNQ.contract_id)
    pipeline = ContractPipeline(MNQ.contract_id, history=memory)
    announce(writer, segment.put(bars), HOUR + 7_200 * MINUTE, 0)
    stops = drain_stops(pipeline, reader, 16)
    assert len(stops) > 1
    assert pipeline.counters["bars"][1] == pipeline.counters["history_bars"] == 7_200
    assert pipeline.bars(1, 1)["start_ns"].tolist() == [HOUR + 7_199 * MINUTE]
    pipeline.close()


# --------------------------------------------------------------------------------------------------------- download
class Rest:
    """Answers `retrieve_bars` and remembers what was asked."""

    def __init__(self, answer: Answer[list[BrokerBar]]) -> None:
        self.answer = answer
        self.asked: list[tuple[Any, ...]] = []

    def retrieve_bars(self, *request: Any) -> Answer[list[BrokerBar]]:
        self.asked.append(request)
        return self.answer


def bar(minute: int, price: str = "100.25", start_ns: int | None = None) -> BrokerBar:
    value = Decimal(price)
    return BrokerBar(HOUR + minute * MINUTE if start_ns is None else start_ns, value, value, value, value, 3)


REQUEST = Request(HOUR, HOUR + 5 * MINUTE)


def fetch(answer: Answer[list[BrokerBar]]) -> Download:
    rest = Rest(answer)
    result = download(rest, "CON.F.US.MNQ.Z26", MNQ, REQUEST)  # type: ignore[arg-type]
    assert rest.asked == [("CON.F.US.MNQ.Z26", REQUEST.since_ns, REQUEST.through_ns)]
    return result


def test_bars_inside_the_stretch_are_kept_as_ticks() -> None:
    bars, problem, dropped = fetch(Answer("accepted", [bar(k) for k in range(-2, 8)]))
    assert (problem, dropped) == ("", 0)
    assert bars["start_ns"].tolist() == [HOUR + k * MINUTE for k in range(5)]
    assert bars["close"].tolist() == [401] * 5
    assert bars["volume"].tolist() == [3] * 5


def test_no_bars_are_an_answer() -> None:
    bars, problem, dropped = fetch(Answer("accepted", []))
    assert (len(bars), problem, dropped) == (0, "", 0)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer("rejected", None, text="Contract not found."), "Contract not found."),
        (Answer("ambiguous"), "ambiguous"),
        (Answer("not_sent", None, text="budget"), "budget"),
        (Answer("accepted", None), "accepted"),
    ],
)
def test_a_failed_download_says_why(answer: Answer[list[BrokerBar]], words: str) -> None:
    assert fetch(answer) == (None, words, 0)


@pytest.mark.parametrize("bad", [bar(1, "100.26"), bar(1, start_ns=HOUR + 1)], ids=["off the tick", "off the minute"])
def test_F_DAT_07_an_impossible_bar_is_left_out_and_counted(bad: BrokerBar) -> None:
    bars, problem, dropped = fetch(Answer("accepted", [bar(0), bad, bar(2)]))
    assert bars["start_ns"].tolist() == [HOUR, HOUR + 2 * MINUTE]
    assert (problem, dropped) == ("", 1)


def test_F_DAT_07_what_the_decoder_dropped_is_counted_too() -> None:
    bars, _, dropped = fetch(Answer("accepted", [bar(0), bar(2)], dropped=3))
    assert (len(bars), dropped) == (2, 3)


# ------------------------------------------------------------------------------------------------------------ holes
def answer_of(minutes: list[int], dropped: int = 0, price: int = 5_000) -> Download:
    bars = np.concatenate([bars_from(HOUR + k * MINUTE, 1, price) for k in minutes] or [bars_from(HOUR, 0)])
    return Download(bars, "", dropped)


def always(_start_ns: int) -> bool:
    return True


def starts(bars: np.ndarray | None) -> list[int]:
    assert bars is not None
    return [(int(start) - HOUR) // MINUTE for start in bars["start_ns"]]


HOUR_LONG = Request(HOUR, HOUR + 60 * MINUTE)


def test_F_DAT_07_a_whole_answer_is_taken_at_once() -> None:
    check = HoleCheck(HOUR_LONG, lead=True)
    assert starts(check.add(answer_of(list(range(60))), (), always)) == list(range(60))


def test_F_DAT_07_a_minute_missing_in_two_answers_was_quiet() -> None:
    check = HoleCheck(HOUR_LONG, lead=True)
    quiet = [k for k in range(60) if k not in (7, 8)]
    assert check.add(answer_of(quiet), (), always) is None
    assert starts(check.add(answer_of(quiet), (), always)) == quiet
    assert check.missing == {HOUR + 7 * MINUTE, HOUR + 8 * MINUTE}


def test_F_DAT_07_answers_with_different_holes_make_one_whole_set() -> None:
    check = HoleCheck(HOUR_LONG, lead=True)
    assert check.add(answer_of([k for k in range(60) if k != 7], price=1), (), always) is None
    bars = check.add(answer_of([k for k in range(60) if k != 30], price=5_000), (), always)
    assert starts(bars) == list(range(60))
    assert bars is not None
    assert bars["open"][30] < 100  # known from the first answer only
    assert all(bars["open"][k] >= 5_000 for k in range(60) if k != 30)  # else the newest answer counts


def test_F_DAT_07_a_missing_minute_of_which_ticks_were_seen_is_a_hole() -> None:
    check = HoleCheck(HOUR_LONG, lead=True)
    holed = answer_of([k for k in range(60) if k != 20])
    seen = {HOUR + 20 * MINUTE, HOUR + 21 * MINUTE}
    pauses = []
    for _ in range(len(RELOOK_S) + 1):
        assert not check.stubborn
        assert check.add(holed, seen, always) is None
        pauses.append(check.pause_s)
    assert pauses == [*RELOOK_S, 60.0]
    assert check.stubborn
    assert starts(check.behind_hole()) == list(range(21, 60))
    assert starts(check.add(answer_of(list(range(60))), seen, always)) == list(range(60))  # history was mended


def test_F_DAT_07_an_unreadable_bar_makes_every_missing_minute_a_hole() -> None:
    check = HoleCheck(HOUR_LONG, lead=True)
    for _ in range(10):
        assert check.add(answer_of([k for k in range(60) if k not in (3, 40)], dropped=1), (), always) is None
    assert check.unresolved == {HOUR + 3 * MINUTE, HOUR + 40 * MINUTE}
    assert check.behind_hole() is None  # 19 bars are no history
    assert LEAST_BARS > 19


def test_F_DAT_07_an_unreadable_bar_that_is_missed_nowhere_does_no_harm() -> None:
    check = HoleCheck(HOUR_LONG, lead=True)
    assert starts(check.add(answer_of(list(range(60)), dropped=2), (), always)) == list(range(60))


def test_where_history_begins_is_no_hole_but_where_a_gap_begins_is() -> None:
    late = answer_of(list(range(10, 60)))
    assert starts(HoleCheck(HOUR_LONG, lead=False).add(late, (), always)) == list(range(10, 60))
    assert HoleCheck(HOUR_LONG, lead=True).add(late, (), always) is None


def test_an_answer_that_ends_too_early_is_asked_for_again() -> None:
    """History that lags: the newest minutes are not there yet."""
    check = HoleCheck(HOUR_LONG, lead=True)
    assert check.add(answer_of(list(range(58))), (), always) is None
    assert starts(check.add(answer_of(list(range(60))), (), always)) == list(range(60))


def test_closed_minutes_are_not_missed() -> None:
    def in_session(start_ns: int) -> bool:
        return start_ns < HOUR + 30 * MINUTE

    check = HoleCheck(HOUR_LONG, lead=True)
    assert starts(check.add(answer_of(list(range(30))), (), in_session)) == list(range(30))


@given(
    st.lists(st.tuples(st.sets(st.integers(0, 59)), st.integers(0, 2)), min_size=1, max_size=9),
    st.sets(st.integers(0, 59)),
)
def test_F_DAT_07_no_set_is_called_whole_that_misses_a_minute_known_to_have_traded(
    answers: list[tuple[set[int], int]], seen: set[int]
) -> None:
    check = HoleCheck(HOUR_LONG, lead=True)
    known: set[int] = set()
    for minutes, dropped in answers:
        known |= minutes
        seen_ns = {HOUR + k * MINUTE for k in seen}
        bars = check.add(answer_of(sorted(minutes), dropped), seen_ns, always)
        if bars is not None:
            assert set(starts(bars)) == known
            assert seen <= known
            assert known == set(range(60)) or (not dropped and check.looks > 1)
        behind = check.behind_hole()
        if behind is not None:
            first = starts(behind)[0]
            assert all(k in known or k not in seen for k in range(first, 60))
