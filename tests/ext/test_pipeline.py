"""The pipeline as a fold: same records, same events, however they arrive; and what it may know at each stop."""

import collections
import itertools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_tapes import (
    HOUR,
    MINUTE,
    SECOND,
    bars_of_tape,
    drain_stops,
    feed_all,
    feed_stops,
    history_record,
    minutes_of_tape,
    push_all,
    random_tape,
    record,
    ring_of,
    state,
    without_source,
)
from tbot_ext.detector import Detector
from tbot_ext.params import Params, complete_params, default_params, params_hash
from tbot_ext.pipeline import ContractPipeline
from tbot_ext.records import BAR_DTYPE, NO_PRICE, TICK_DTYPE, EventCode, Flag, Kind

TIMEFRAMES = (1, 5, 15, 30, 60)
FAST = Params(L=2, R=2, atr_n=3, ob_min_disp_atr=0.0, max_age=60, max_zones=8)


def fresh(params: Params | None = FAST) -> ContractPipeline:
    return ContractPipeline(0, params, await_history=False)


def without_ids(events: np.ndarray) -> np.ndarray:
    copy = events.copy()
    copy["id"] = copy["parent_id"] = 0
    return copy


# ---------------------------------------------------------------- one stream, many ways


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("limit", [1, 7, 100_000])
def test_drain_equals_feed(seed: int, limit: int) -> None:
    """Events and state at every stop are the same from a ring and from an array, history and gaps included."""
    tape = random_tape(seed, 400)
    middle = len(tape) // 2
    history = minutes_of_tape(tape[:middle])
    cut = int(history["start_ns"][-1]) + MINUTE
    tape = np.concatenate(
        [
            tape[: middle + 50],
            history_record(cut, 0, len(history)),
            tape[middle + 50 : middle + 500],
            record(Kind.GAP, int(tape["exch_ns"][middle + 500])),
            tape[middle + 400 : middle + 900],
            history_record(0, 0, 0),
            tape[middle + 900 :],
        ]
    )
    fed = feed_stops(ContractPipeline(0, FAST, history=history), tape)
    writer, reader = ring_of(8192)
    push_all(writer, tape)
    assert len(fed) > 100
    assert drain_stops(ContractPipeline(0, FAST, history=history), reader, limit) == fed


@settings(max_examples=30)
@given(st.lists(st.integers(0, 1200), max_size=12), st.integers(0, 5))
def test_I22_the_cut_into_arrays_does_not_matter(cuts: list[int], seed: int) -> None:
    tape = random_tape(seed, 200)
    whole = feed_stops(fresh(), tape)
    edges = [0, *sorted(cuts), len(tape)]
    parts = fresh()
    stops = []
    for first, last in itertools.pairwise(edges):
        stops += feed_stops(parts, tape[first:last].copy())
    assert stops == whole


@pytest.mark.parametrize("seed", range(3))
def test_events_are_those_of_bars_and_detectors_put_together(seed: int) -> None:
    """Per timeframe, the pipeline gives what a Detector gives for the bars a BarBuilder makes."""
    tape = random_tape(seed, 1500)
    events = feed_all(fresh(), tape)
    bars = bars_of_tape(tape)
    for minutes in TIMEFRAMES:
        expected = Detector(minutes, FAST, bar_events=True).push_bars(bars[bars["timeframe_min"] == minutes])
        got = events[events["timeframe_min"] == minutes]
        assert without_ids(got).tobytes() == without_ids(expected).tobytes()
        place = {int(event["id"]): k for k, event in enumerate(got)}
        parents = [place[int(p)] + 1 if p >= 0 else -1 for p in got["parent_id"]]
        assert parents == expected["parent_id"].tolist()
    assert bars["timeframe_min"].tolist() == events[events["kind"] == EventCode.BAR]["timeframe_min"].tolist()


def test_ids_count_up_and_time_never_runs_back() -> None:
    events = feed_all(fresh(), random_tape(9, 2000))
    assert events["id"].tolist() == list(range(1, len(events) + 1))
    assert (np.diff(events["known_ns"]) >= 0).all()
    assert (events["origin_ns"] < events["known_ns"]).all()
    life = events[events["parent_id"] >= 0]
    assert len(life) > 100
    kinds = dict(zip(events["id"].tolist(), events["kind"].tolist(), strict=True))
    parents = {EventCode(kinds[parent]).name for parent in life["parent_id"].tolist()}
    assert parents >= {"FVG", "OB", "BREAKER", "MITIGATION_BLOCK", "CHOCH", "POOL", "LEVEL"}
    last = ("OB_BROKEN", "DEAD", "EXPIRED")
    ends = [e for e in life if EventCode(e["kind"]).name.endswith(last)]
    assert len(ends) == len({int(e["parent_id"]) for e in ends})  # a zone ends once


def test_the_longest_timeframe_comes_first() -> None:
    tape = np.concatenate([record(Kind.TRADE, HOUR + 59 * MINUTE, 5), record(Kind.CLOCK, HOUR + 60 * MINUTE)])
    events = feed_all(fresh(), tape)
    assert events["timeframe_min"].tolist() == [60, 30, 15, 5, 1]
    assert (events["kind"] == EventCode.BAR).all()


def test_a_bar_event_comes_before_what_its_bar_did() -> None:
    events = feed_all(fresh(), random_tape(2, 800))
    newest: dict[int, int] = {}
    for event in events:
        minutes = int(event["timeframe_min"])
        if event["kind"] == EventCode.BAR:
            assert int(event["known"]) == newest.get(minutes, -1) + 1
            newest[minutes] = int(event["known"])
        assert int(event["known"]) == newest[minutes]


# ---------------------------------------------------------------- causality


@pytest.mark.parametrize("seed", range(3))
def test_a_prefix_gives_a_prefix(seed: int) -> None:
    tape = random_tape(seed, 250)
    whole = feed_all(fresh(), tape)
    for n in range(0, len(tape), 97):
        part = feed_all(fresh(), tape[:n])
        assert part.tobytes() == whole[: len(part)].tobytes()


@pytest.mark.parametrize("seed", range(3))
def test_the_future_has_no_influence(seed: int) -> None:
    tape = random_tape(seed, 400)
    cut = len(tape) // 2
    noise = tape.copy()
    noise["price"][cut:] = np.random.default_rng(seed + 100).integers(-9999, 9999, len(tape) - cut)
    before = len(feed_all(fresh(), tape[:cut]))
    assert before > 100
    ours, theirs = feed_all(fresh(), tape), feed_all(fresh(), noise)
    assert ours[:before].tobytes() == theirs[:before].tobytes()
    assert ours.tobytes() != theirs.tobytes()


def test_mirrored_prices_give_mirrored_events() -> None:
    tape = random_tape(5, 1500)
    mirror = tape.copy()
    mirror["price"] = -tape["price"]
    swap = {EventCode.SWING_HIGH: EventCode.SWING_LOW, EventCode.PERIOD_HIGH_BROKEN: EventCode.PERIOD_LOW_BROKEN}
    swap |= {low: high for high, low in swap.items()}

    def key(event: np.void, side: int) -> tuple[object, ...]:
        top, bottom, level = int(event["top"]), int(event["bottom"]), int(event["level"])
        kind = EventCode(event["kind"])
        if side < 0:
            top, bottom, level = -bottom, -top, -level if level != NO_PRICE else level
            kind = swap.get(kind, kind)
        return (
            int(event["known_ns"]), int(event["timeframe_min"]), kind.name, side * int(event["side"]), top, bottom,
            level, float(event["score"]), int(event["origin"]), int(event["n"]), int(event["flags"]),
        )  # fmt: skip

    ours = sorted(key(event, 1) for event in feed_all(fresh(), tape))
    assert sorted(key(event, -1) for event in feed_all(fresh(), mirror)) == ours


def test_shifted_and_scaled_prices_give_the_same_events() -> None:
    tape = random_tape(6, 800)
    shifted, scaled = tape.copy(), tape.copy()
    shifted["price"] += 12_345
    scaled["price"] *= 4
    ours = feed_all(fresh(), tape)
    names = ["kind", "side", "origin", "known", "n", "score", "parent_id", "flags"]
    assert feed_all(fresh(), shifted)[names].tolist() == ours[names].tolist()
    scale = feed_all(fresh(FAST.replace(fvg_min_ticks=4, eq_tol_ticks=8, sr_tol_ticks=8)), scaled)
    assert scale[names].tolist() == ours[names].tolist()


# ---------------------------------------------------------------- what it knows when it stops


def test_it_stops_after_each_record_that_gave_events_with_the_state_of_that_record() -> None:
    tape = np.concatenate(
        [
            record(Kind.QUOTE, HOUR, 99, price2=101),
            record(Kind.TRADE, HOUR + SECOND, 100),
            record(Kind.TRADE, HOUR + MINUTE, 102),
            record(Kind.QUOTE, HOUR + MINUTE + SECOND, 200, price2=201),
        ]
    )
    p = fresh()
    assert (p.bid, p.ask, p.last_price, p.quote_seq, p.ring_seq) == (NO_PRICE, NO_PRICE, NO_PRICE, -1, -1)
    assert p.feed(tape) == 3
    assert len(p.events) == 1
    assert state(p) == (HOUR + MINUTE, 102, HOUR + MINUTE, 99, 101, HOUR, 0, 2, True, False)
    assert p.feed(tape, 3) == 4
    assert len(p.events) == 0
    assert state(p) == (HOUR + MINUTE + SECOND, 102, HOUR + MINUTE, 200, 201, HOUR + MINUTE + SECOND, 3, 3, True, False)


def test_events_are_a_read_only_view() -> None:
    p = fresh()
    p.feed(np.concatenate([record(Kind.TRADE, HOUR, 5), record(Kind.CLOCK, HOUR + MINUTE)]))
    with pytest.raises(ValueError, match="read-only"):
        p.events["id"] = 0


def test_an_old_print_moves_neither_time_nor_last_price() -> None:
    p = fresh()
    p.feed(np.concatenate([record(Kind.TRADE, HOUR + 9 * SECOND, 100), record(Kind.TRADE, HOUR + 3 * SECOND, 50)]))
    assert (p.now_ns, p.last_price) == (HOUR + 9 * SECOND, 100)
    p.feed(record(Kind.TRADE, HOUR + 10 * SECOND, 7, size=0))
    assert p.last_price == 100


def test_display_shows_bars_partial_zones_and_levels() -> None:
    p = fresh()
    tape = random_tape(3, 1200)
    events = feed_all(p, tape)
    made = bars_of_tape(tape)
    for minutes in TIMEFRAMES:
        mine = made[made["timeframe_min"] == minutes]
        assert p.bars(minutes, 5).tobytes() == mine[-5:].tobytes()
        assert len(p.bars(minutes, 0)) == 0
        assert len(p.bars(minutes, 5000)) == min(len(mine), 1024)
        partial = p.partial(minutes)
        assert partial is not None
        assert partial["flags"] & Flag.PARTIAL
        assert int(partial["start_ns"]) == int(tape["exch_ns"].max()) // (minutes * MINUTE) * (minutes * MINUTE)
        zones = p.zones(minutes)
        kinds = (EventCode.OB, EventCode.FVG, EventCode.BREAKER, EventCode.MITIGATION_BLOCK)
        births = events[np.isin(events["kind"], kinds) & (events["timeframe_min"] == minutes)]
        births = births[births["flags"] & Flag.DUPLICATE == 0]
        ended = {
            int(e["parent_id"]) for e in events if EventCode(e["kind"]).name.endswith(("BROKEN", "DEAD", "EXPIRED"))
        }
        assert set(zones["id"].tolist()) == set(births["id"].tolist()) - ended
        assert p.trend(minutes) in (-1, 0, 1)
        highs, lows = p.unbroken_swings(minutes, 1), p.unbroken_swings(minutes, -1)
        assert (np.diff(highs) < 0).all()
        assert (np.diff(lows) > 0).all()
    assert p.atr(1) > 0
    with pytest.raises(ValueError, match="timeframe 2"):
        p.zones(2)


# ---------------------------------------------------------------- edges of section 12


def test_missing_minutes_are_skipped_and_bars_counted_not_minutes() -> None:
    p = fresh()
    events = feed_all(p, np.concatenate([record(Kind.TRADE, HOUR + m * MINUTE, 5) for m in (0, 1, 9, 10)]))
    ones = events[events["timeframe_min"] == 1]
    assert ones["known"].tolist() == [0, 1, 2]


def test_a_feed_without_volume_divides_by_nothing() -> None:
    rows = []
    for k in range(60):
        rows.append(record(Kind.TRADE, HOUR + k * MINUTE, 100 + 7 * k, size=1))
        rows.append(record(Kind.TRADE, HOUR + k * MINUTE + SECOND, 104 + 7 * k, size=1))
    bars = minutes_of_tape(np.concatenate(rows))
    bars["volume"] = 0
    events = feed_all(ContractPipeline(0, FAST, history=bars), history_record(2**62, 0, len(bars)))
    gaps = events[events["kind"] == EventCode.FVG]
    assert len(gaps) > 10
    assert set(gaps["parts"][:, 1].tolist()) == {0.5}


def test_an_outlier_print_is_counted_and_kept() -> None:
    rows = [record(Kind.TRADE, HOUR + k * MINUTE + s * SECOND, 100 + s) for k in range(30) for s in (0, 1)]
    p = fresh()
    tail = [record(Kind.TRADE, HOUR + 30 * MINUTE, 1000), record(Kind.TRADE, HOUR + 30 * MINUTE + 1, 100)]
    feed_all(p, np.concatenate([*rows, *tail, record(Kind.CLOCK, HOUR + 31 * MINUTE)]))
    assert p.counters["outliers"] == 1
    assert int(p.bars(1, 1)["high"][0]) == 1000


def test_records_of_other_contracts_and_slow_facts_are_passed_over() -> None:
    p = ContractPipeline(4, FAST, await_history=False)
    tape = random_tape(1, 60)
    tape["contract_id"] = 4
    others = tape.copy()
    others["contract_id"] = 5
    others["price"] += 500
    mixed = np.empty(2 * len(tape), TICK_DTYPE)
    mixed[::2], mixed[1::2] = tape, others
    context = record(Kind.CONTEXT, HOUR, 1, contract_id=4)
    events = feed_all(p, np.concatenate([context, mixed]))
    assert p.counters["foreign"] == len(others)
    assert events.tobytes() == feed_all(ContractPipeline(4, FAST, await_history=False), tape).tobytes()


def test_counters_account_for_every_record() -> None:
    tape = random_tape(8, 500)
    p = fresh()
    events = feed_all(p, tape)
    c = p.counters
    kinds = collections.Counter(tape["kind"].tolist())
    assert c["records"] == len(tape)
    assert c["quotes"] == kinds[Kind.QUOTE]
    assert c["trades"] + c["late_ticks"] + c["zero_size"] == kinds[Kind.TRADE]
    assert c["late_ticks"] > 0
    assert c["out_of_order"] > 0
    bars = collections.Counter(events[events["kind"] == EventCode.BAR]["timeframe_min"].tolist())
    assert c["bars"] == {minutes: bars[minutes] for minutes in TIMEFRAMES}


# ---------------------------------------------------------------- parameters


def test_one_params_serves_all_timeframes_and_a_dict_replaces_defaults() -> None:
    assert default_params()[60] == Params(L=3, R=3)
    assert complete_params(FAST) == dict.fromkeys(TIMEFRAMES, FAST)
    assert complete_params({5: FAST}) == {**default_params(), 5: FAST}
    for wrong in ({7: FAST}, {5: 3}):
        with pytest.raises(ValueError, match=r"timeframe"):
            complete_params(wrong)  # type: ignore[arg-type]


def test_the_hash_names_every_parameter() -> None:
    base = Params()
    changed = {
        "L": 4, "R": 4, "break_mode": "wick", "break_buffer": 1, "atr_n": 13, "fvg_min_ticks": 2, "fvg_min_atr": 0.1,
        "fvg_need_body": False, "ob_pick": "extreme", "ob_search": 4, "ob_zone": "body", "ob_min_disp_atr": 0.9,
        "ob_max_height_atr": 3.0, "zone_break": "wick", "max_age": 499, "max_zones": 63,
        "eq_tol_atr": 0.2, "eq_tol_ticks": 1, "sr_tol_atr": 0.2, "sr_tol_ticks": 1, "sweep_reclaim": 2,
        "round_step": 50, "sessions": (*base.sessions[:2], ("America/New_York", "09:30", "16:15")),
    }  # fmt: skip
    assert set(changed) == set(base.as_dict())
    hashes = {base.params_hash(), *(base.replace(**{name: value}).params_hash() for name, value in changed.items())}
    assert len(hashes) == len(changed) + 1
    assert params_hash() == ContractPipeline(0).params_hash()
    assert params_hash({5: base.replace(L=4)}) != params_hash()


def test_the_hash_is_the_same_in_another_process() -> None:
    code = "from tbot_ext.params import params_hash; print(params_hash())"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == params_hash()


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="contract_id"):
        ContractPipeline(70_000)
    with pytest.raises(ValueError, match="BAR_DTYPE"):
        ContractPipeline(0, history=np.zeros(3, TICK_DTYPE))
    with pytest.raises(ValueError, match="TICK_DTYPE"):
        fresh().feed(np.zeros(3, BAR_DTYPE))
    with pytest.raises(ValueError, match=r"start must lie in 0\.\.3"):
        fresh().feed(np.zeros(3, TICK_DTYPE), 4)
    with pytest.raises(TypeError):
        fresh().drain(None, 5)  # type: ignore[arg-type]


def test_warm_up_and_live_equals_live_all_along() -> None:
    """History up to a minute, ticks from then on: the same events but for the flags that tell the source."""
    tape = random_tape(12, 900)
    tape = tape[np.argsort(tape["exch_ns"], kind="stable")]  # a source of history has no late prints
    minutes = minutes_of_tape(tape)
    for cut in (1, 137, 400, 700):
        through = int(minutes["start_ns"][cut])
        ticks = np.concatenate([history_record(through, 0, cut), tape[tape["exch_ns"] >= through]])
        stitched = feed_all(ContractPipeline(0, FAST, history=minutes), ticks)
        live = feed_all(fresh(), tape)
        assert without_source(stitched).tobytes() == without_source(live).tobytes()
        warm = (stitched["flags"] & Flag.WARMUP) > 0
        ones = stitched["timeframe_min"] == 1
        assert (warm[ones] == (stitched["known_ns"][ones] <= through)).all()
        assert not warm[stitched["known_ns"] > through + 60 * MINUTE].any()
