"""Where history meets live ticks: holding, stitching, gaps, back-fill and laps (smc.md section 1, start-up)."""

import numpy as np
import pytest

from pipeline_tapes import (
    HOUR,
    MINUTE,
    SECOND,
    drain_stops,
    feed_all,
    feed_stops,
    history_record,
    minutes_of_tape,
    push_all,
    random_tape,
    record,
    ring_of,
    without_source,
)
from tbot_ext.params import Params
from tbot_ext.pipeline import ContractPipeline
from tbot_ext.records import BAR_DTYPE, NO_PRICE, EventCode, Flag, Kind

FAST = Params(L=2, R=2, atr_n=3, ob_min_disp_atr=0.0)
WARM = Flag.WARMUP | Flag.FROM_HISTORY


def trades(*minutes: float, price: int = 100) -> np.ndarray:
    return np.concatenate([record(Kind.TRADE, HOUR + int(m * MINUTE), price + k) for k, m in enumerate(minutes)])


def minute_bars(*rows: tuple[int, int]) -> np.ndarray:
    """One-print bars: (minute, price)."""
    return np.array([(HOUR + m * MINUTE, p, p, p, p, 1, 0, 1, 0, 1) for m, p in rows], BAR_DTYPE)


def ones(events: np.ndarray) -> list[tuple[int, int, int]]:
    """(minute, close, flags) of the 1m bar events."""
    chosen = events[(events["kind"] == EventCode.BAR) & (events["timeframe_min"] == 1)]
    return [(int(e["origin_ns"] - HOUR) // MINUTE, int(e["level"]), int(e["flags"])) for e in chosen]


# ---------------------------------------------------------------- start-up


def test_finished_minutes_are_held_until_history_comes() -> None:
    p = ContractPipeline(0, FAST, history=minute_bars((8, 8), (9, 9), (10, 10)))
    # subscribed inside minute 10: its tick version is incomplete, the download replaces it
    before = feed_all(p, np.concatenate([trades(10.5, 11, 12, 12.5)]))
    assert (len(before), p.live, p.counters["held"]) == (0, False, 2)
    events = feed_all(p, history_record(HOUR + 11 * MINUTE, 0, 3))
    assert ones(events) == [(8, 8, WARM), (9, 9, WARM), (10, 10, WARM), (11, 101, 0)]
    assert p.live
    assert (p.counters["covered"], p.counters["history_bars"], p.counters["held"]) == (1, 3, 0)
    assert ones(feed_all(p, trades(13))) == [(12, 103, 0)]


def test_the_first_minute_is_incomplete_when_no_history_covers_it() -> None:
    p = ContractPipeline(0, FAST)
    feed_all(p, trades(10.5, 11, 12))
    assert ones(feed_all(p, history_record(0, 0, 0))) == [(10, 100, Flag.INCOMPLETE), (11, 101, 0)]


def test_the_first_minute_is_complete_when_history_reached_it_before_the_first_print() -> None:
    p = ContractPipeline(0, FAST, history=minute_bars((9, 9), (10, 10)))
    events = feed_all(p, np.concatenate([history_record(HOUR + 11 * MINUTE, 0, 2), trades(11.5, 12)]))
    assert ones(events)[-1] == (11, 100, 0)


def test_an_open_minute_that_history_covers_is_dropped_when_it_closes() -> None:
    p = ContractPipeline(0, FAST, history=minute_bars((10, 77)))
    events = feed_all(p, np.concatenate([trades(10.5), history_record(HOUR + 11 * MINUTE, 0, 1), trades(11, 12)]))
    assert ones(events) == [(10, 77, WARM), (11, 100, 0)]


def test_a_minute_that_history_covers_but_does_not_have_is_dropped() -> None:
    p = ContractPipeline(0, FAST, history=minute_bars((8, 8)))
    script = [trades(9.5, 10.5), history_record(HOUR + 11 * MINUTE, 0, 1), trades(11, 12)]
    assert ones(feed_all(p, np.concatenate(script))) == [(8, 8, WARM), (11, 100, 0)]
    assert p.counters["covered"] == 2


def test_history_beyond_what_it_claims_to_cover_is_not_used() -> None:
    p = ContractPipeline(0, FAST, history=minute_bars((9, 1), (10, 2), (11, 3)))
    events = feed_all(p, np.concatenate([trades(10, 11), history_record(HOUR + 10 * MINUTE, 0, 3), trades(12)]))
    assert ones(events) == [(9, 1, WARM), (10, 100, Flag.INCOMPLETE), (11, 101, 0)]


def test_events_of_warm_up_are_flagged_and_live_ones_are_not() -> None:
    tape = random_tape(4, 600, gaps=False)
    minutes = minutes_of_tape(tape)
    through = int(minutes["start_ns"][300])
    live = tape[tape["exch_ns"] >= through]
    events = feed_all(
        ContractPipeline(0, FAST, history=minutes), np.concatenate([history_record(through, 0, 300), live])
    )
    flagged = (events["flags"] & Flag.WARMUP) > 0
    assert (flagged == (events["known_ns"] <= through)).all()
    assert 100 < flagged.sum() < len(events) - 100


def test_a_long_history_comes_in_parts_and_loses_nothing() -> None:
    tape = random_tape(1, 9000, gaps=False)
    minutes = minutes_of_tape(tape)
    p = ContractPipeline(0, FAST, history=minutes)
    assert p.feed(history_record(2**62, 0, len(minutes))) == 1
    assert p.pending
    assert not p.live
    assert len(p.events) > 8000
    parts = [p.events.copy()]
    while p.pending:
        assert p.feed(trades(0)[:0]) == 0
        parts.append(p.events.copy())
    assert p.live
    assert len(parts) > 2
    whole = np.concatenate(parts)
    assert whole["id"].tolist() == list(range(1, len(whole) + 1))
    writer, reader = ring_of(16)
    push_all(writer, history_record(2**62, 0, len(minutes)))
    again = ContractPipeline(0, FAST, history=minutes)
    stops = drain_stops(again, reader, 1)
    assert b"".join(events for events, _ in stops) == whole.tobytes()
    live = feed_all(ContractPipeline(0, FAST, await_history=False), tape)
    assert without_source(whole).tobytes() == without_source(live[: len(whole)]).tobytes()


def test_a_history_that_ends_an_array_is_continued_by_the_next_call() -> None:
    tape = random_tape(1, 9000, gaps=False)
    minutes = minutes_of_tape(tape)
    p = ContractPipeline(0, FAST, history=minutes)
    p.feed(history_record(int(minutes["start_ns"][-1]), 0, len(minutes)))
    n = len(p.events)
    late = tape[tape["exch_ns"] >= minutes["start_ns"][-1]]
    rest = feed_all(p, late)
    assert int(rest["id"][0]) == n + 1
    assert p.counters["records"] == 1 + len(late)


def test_held_minutes_are_bounded_and_the_oldest_go() -> None:
    p = ContractPipeline(0, FAST)
    feed_all(p, np.concatenate([record(Kind.TRADE, HOUR + m * MINUTE, m) for m in range(2100)]))
    assert (p.counters["held"], p.counters["held_dropped"]) == (2048, 2099 - 2048)
    events = feed_all(p, history_record(0, 0, 0))
    assert [row[0] for row in ones(events)] == list(range(51, 2099))


def test_a_stream_without_history_is_live_from_the_first_record() -> None:
    p = ContractPipeline(0, FAST, await_history=False)
    assert p.live
    assert ones(feed_all(p, trades(0.5, 1))) == [(0, 100, 0)]


# ---------------------------------------------------------------- overlap


def test_overlapping_minutes_are_compared() -> None:
    ticks = np.concatenate([record(Kind.TRADE, HOUR + m * MINUTE, 100, size=200) for m in range(10, 16)])
    bars = minute_bars(*((m, 100) for m in range(9, 15)))
    bars["volume"] = 200
    bars["volume"][2] = 202  # minute 11: within 1 %
    bars["volume"][3] = 203  # minute 12: more
    bars["high"][4] = 101  # minute 13
    p = ContractPipeline(0, FAST, history=bars)
    events = feed_all(p, np.concatenate([ticks, history_record(HOUR + 15 * MINUTE, 0, 6)]))
    assert len(ones(events)) == 6
    # minute 10 is incomplete: not compared
    assert (p.counters["history_overlap"], p.counters["history_mismatch"]) == (4, 2)


def test_history_that_is_already_known_is_compared_and_skipped() -> None:
    p = ContractPipeline(0, FAST, await_history=True, history=minute_bars((9, 9), (10, 10), (11, 11), (12, 99)))
    feed_all(p, np.concatenate([history_record(HOUR + 11 * MINUTE, 0, 2), trades(11, 12, price=11)]))
    events = feed_all(
        p, np.concatenate([record(Kind.GAP, HOUR + 12 * MINUTE), history_record(HOUR + 13 * MINUTE, 0, 4)])
    )
    assert ones(events) == [(12, 99, WARM)]
    # 9 and 10 came from history itself, 11 from ticks; 12 is not finished
    assert p.counters["history_overlap"] == 3
    assert p.counters["history_mismatch"] == 0


@pytest.mark.parametrize(
    "change",
    [
        {"high": 5}, {"low": 50}, {"volume": -1}, {"timeframe_min": 5}, {"start_ns": HOUR + 9 * MINUTE + 1},
        {"high": 2**40 + 1}, {"low": -(2**40) - 1}, {"volume": 2**40 + 1}, {"delta": 2**40 + 1},
    ],
)  # fmt: skip
def test_impossible_history_bars_are_left_out_and_counted(change: dict[str, int]) -> None:
    bars = minute_bars((8, 10), (9, 10), (10, 10))
    for name, value in change.items():
        bars[name][1] = value
    p = ContractPipeline(0, FAST, history=bars)
    events = feed_all(p, history_record(HOUR + 11 * MINUTE, 0, 3))
    assert [row[0] for row in ones(events)] == [8, 10]
    assert p.counters["history_bad"] == 1


def test_history_positions_wrap_around_the_segment() -> None:
    bars = minute_bars((12, 12), (13, 13), (10, 10), (11, 11))
    p = ContractPipeline(0, FAST, history=bars)
    events = feed_all(p, history_record(HOUR + 14 * MINUTE, 4 * 1000 + 2, 4))
    assert [row[0] for row in ones(events)] == [10, 11, 12, 13]


@pytest.mark.parametrize(("first", "count"), [(0, 3), (-1, 1)])
def test_a_history_record_that_cannot_be_true_raises(first: int, count: int) -> None:
    p = ContractPipeline(0, FAST, history=minute_bars((1, 1), (2, 2)))
    with pytest.raises(ValueError, match="HISTORY record"):
        p.feed(history_record(HOUR + 9 * MINUTE, first, count))
    with pytest.raises(ValueError, match="HISTORY record"):
        ContractPipeline(0, FAST).feed(history_record(HOUR, 0, 1))


def test_an_empty_history_may_leave_its_position_open() -> None:
    p = ContractPipeline(0, FAST)
    p.feed(history_record(HOUR, NO_PRICE, 0))
    assert p.live


def test_closing_lets_go_of_the_segment() -> None:
    memory = bytearray(minute_bars((1, 1), (2, 2)).tobytes())
    p = ContractPipeline(0, FAST, history=np.frombuffer(memory, BAR_DTYPE))
    with pytest.raises(BufferError):
        memory.clear()
    p.close()
    memory.clear()
    with pytest.raises(ValueError, match="HISTORY record"):
        p.feed(history_record(HOUR, 0, 1))


def test_a_finished_array_is_let_go() -> None:
    memory = bytearray(trades(1, 2, 3).tobytes())
    p = ContractPipeline(0, FAST, await_history=False)
    feed_all(p, np.frombuffer(memory, trades(1).dtype))
    memory.clear()


# ---------------------------------------------------------------- gaps


def live_pipeline(history: np.ndarray | None = None) -> ContractPipeline:
    """Live, with minutes 10 and 11 published and minute 12 open."""
    p = ContractPipeline(0, FAST, history=history)
    feed_all(p, np.concatenate([history_record(HOUR, 0, 0), trades(10, 11, 12)]))
    assert p.live
    return p


def test_after_a_gap_minutes_are_held_and_history_fills_it() -> None:
    p = live_pipeline(minute_bars((11, 101), (12, 12), (13, 13), (14, 14)))
    held = feed_all(p, np.concatenate([record(Kind.GAP, HOUR + 14 * MINUTE + SECOND), trades(14.5, 15, 16)]))
    assert (len(held), p.live) == (0, False)
    events = feed_all(p, history_record(HOUR + 15 * MINUTE, 0, 4))
    assert ones(events) == [(12, 12, WARM), (13, 13, WARM), (14, 14, WARM), (15, 101, 0)]
    assert p.live
    five = events[(events["kind"] == EventCode.BAR) & (events["timeframe_min"] == 5)]
    assert [int(e["level"]) for e in five] == [14]


def test_a_gap_with_nothing_to_fill_lets_the_minutes_go_on_as_incomplete() -> None:
    p = live_pipeline()
    events = feed_all(
        p,
        np.concatenate([record(Kind.GAP, HOUR + 12 * MINUTE + SECOND), trades(12.5, 13, 14), history_record(0, 0, 0)]),
    )
    assert ones(events) == [(12, 100, Flag.INCOMPLETE), (13, 101, 0)]


def test_a_gap_makes_the_quote_unknown_until_the_next() -> None:
    p = live_pipeline()
    quote = record(Kind.QUOTE, HOUR + 12 * MINUTE, 99, price2=101)
    p.feed(np.concatenate([quote, record(Kind.GAP, HOUR + 12 * MINUTE + SECOND)]))
    assert (p.bid, p.ask) == (NO_PRICE, NO_PRICE)
    p.feed(quote)
    assert (p.bid, p.ask) == (99, 101)


def test_prints_that_are_not_newer_than_the_last_before_the_gap_are_dropped() -> None:
    p = live_pipeline()
    replay = trades(11.5, 12, 12.0001, price=500)
    feed_all(p, np.concatenate([record(Kind.GAP, HOUR + 12 * MINUTE + SECOND), replay]))
    assert p.counters["replayed"] == 2
    partial = p.partial(1)
    assert partial is not None
    assert (int(partial["trades"]), int(partial["close"])) == (2, 502)
    assert p.counters["late_ticks"] == 0


def test_without_awaiting_history_a_gap_only_marks() -> None:
    p = ContractPipeline(0, FAST, await_history=False)
    events = feed_all(p, np.concatenate([trades(10), record(Kind.GAP, HOUR + 11 * MINUTE), trades(11.5, 12, 13)]))
    assert ones(events) == [(10, 100, Flag.INCOMPLETE), (11, 100, Flag.INCOMPLETE), (12, 101, 0)]
    assert p.live


def test_history_while_live_fills_what_ticks_did_not_show() -> None:
    p = live_pipeline(minute_bars((10, 10), (11, 11), (12, 12)))
    events = feed_all(p, np.concatenate([history_record(HOUR + 13 * MINUTE, 0, 3), trades(13, 14)]))
    assert ones(events) == [(12, 12, WARM), (13, 100, 0)]
    assert p.live


def test_being_lapped_is_a_gap_without_a_replay() -> None:
    writer, reader = ring_of(16)
    p = ContractPipeline(0, FAST)
    push_all(writer, np.concatenate([history_record(HOUR, 0, 0), trades(10, 11)]))
    drain_stops(p, reader, 100)
    assert p.live
    push_all(writer, trades(*(11 + k / 100 for k in range(40)), price=300))
    assert drain_stops(p, reader, 100) == []
    assert (p.counters["laps"], p.counters["gaps"], p.live) == (1, 1, False)
    assert p.counters["replayed"] == 0
    partial = p.partial(1)
    assert partial is not None
    assert partial["flags"] & Flag.INCOMPLETE
    push_all(writer, np.concatenate([trades(12), history_record(HOUR, 0, 0)]))
    ((events, _),) = drain_stops(p, reader, 100)
    assert len(events) == 128  # the held minute 11
    assert p.live


def test_two_gaps_before_the_history_of_the_first_are_filled_together() -> None:
    p = live_pipeline(minute_bars((12, 12), (13, 13), (14, 14), (15, 15)))
    script = np.concatenate(
        [
            record(Kind.GAP, HOUR + 13 * MINUTE),
            trades(13.5, 14),
            record(Kind.GAP, HOUR + 15 * MINUTE),
            trades(15.5, 16, 17),
            history_record(HOUR + 16 * MINUTE, 0, 4),
        ]
    )
    (stop,) = feed_stops(p, script)
    events = np.frombuffer(stop[0], p.events.dtype)
    assert ones(events) == [(12, 12, WARM), (13, 13, WARM), (14, 14, WARM), (15, 15, WARM), (16, 101, 0)]
