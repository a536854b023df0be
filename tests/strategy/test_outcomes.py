"""Hypothetical brackets against a plain walk over the bars; they change nothing and see no future."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from lively_tape import LIVELY, lively
from random_bars import random_bars, ticks_of
from tbot.backtest.run import run_backtest
from tbot.backtest.source import ArraySource
from tbot.commands.past import plan_of
from tbot.config import Config
from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import Signal
from tbot.storage.replay_stream import opening
from tbot.strategy.decider import ContractDecider
from tbot.strategy.learning_settings import LearningSettings
from tbot.strategy.outcomes import HORIZON_MIN, KINDS, DayWeights, PatternWeight, pace_name
from tbot.strategy.settings import StrategySettings
from tbot_ext.outcome_book import ENDS, FATES, OUTCOME_DTYPE, STAGES
from tbot_ext.records import TICK_DTYPE, EventCode, Flag, Kind

MNQ = PRODUCTS["MNQ"]
MINUTE = 60_000_000_000
QUICK = {name: {"L": 2, "R": 2, "max_age": 60, "max_zones": 8} for name in ("1m", "5m", "15m", "30m", "1h")}
OBSERVE, ON = LearningSettings(), LearningSettings(mode="on", prior_outcomes=5.0, most=0.5)


def stream(seed: int, count: int = 1500, *, rough: bool = False) -> np.ndarray:
    """Random bars as ticks; `rough`: with gaps, and a break of a session in the middle."""
    ticks = ticks_of(random_bars(seed, count), MNQ)
    ticks = np.concatenate((opening((MNQ.contract_id,), int(ticks["exch_ns"][0])), ticks))
    if not rough:
        return ticks
    ticks["exch_ns"][len(ticks) // 2 :] += 5 * 60 * MINUTE
    parts = np.array_split(ticks, 9)
    for index in range(1, len(parts), 2):
        gap = np.zeros(2, TICK_DTYPE)
        gap["kind"], gap["contract_id"] = [Kind.GAP, Kind.HISTORY], MNQ.contract_id
        gap["exch_ns"] = parts[index]["exch_ns"][0]
        parts[index] = np.concatenate((gap, parts[index]))
    return np.concatenate(parts)


def played(
    ticks: np.ndarray, settings: StrategySettings, parts: int = 1
) -> tuple[list[Signal], np.ndarray, np.ndarray, ContractDecider]:
    """(signals, outcomes, events of entry bars, the decider), record by record."""
    decider = ContractDecider(MNQ, settings)
    signals, rows, bars = [], [np.zeros(0, OUTCOME_DTYPE)], []
    for part in np.array_split(ticks, parts):
        at = 0
        while at < len(part) or decider.pending:
            at, found = decider.feed(part, at)
            signals += found
            events = decider.pipeline.events
            mine = events[(events["kind"] == EventCode.BAR) & (events["timeframe_min"] == settings.entry_timeframe_min)]
            bars.append(mine.copy())
            rows.append(decider.outcomes())
    return signals, np.concatenate(rows), np.concatenate(bars), decider


def walked(row: np.void, bars: np.ndarray) -> tuple[str, int, int, int, int, int]:
    """(end, exit, ended_ns, against, favour, bars) by the words of outcome_book, one bar after the other."""
    side, entry, stop, target = (int(row[name]) for name in ("side", "entry", "stop", "target"))
    against = favour = 0
    last = bars[bars["known_ns"] <= row["decided_ns"]][-1]
    for count, bar in enumerate(bars[bars["known_ns"] > row["decided_ns"]], start=1):
        if bar["flags"] & Flag.SESSION_BREAK:
            return "break", int(last["level"]), int(last["known_ns"]), against, favour, count - 1
        if bar["flags"] & (Flag.INCOMPLETE | Flag.SUSPECT):
            return "unclean", entry, int(bar["known_ns"]), against, favour, count - 1
        low, high = int(bar["bottom"]), int(bar["top"])
        bad, good = (low, high) if side > 0 else (high, low)
        against, favour = max(against, (entry - bad) * side), max(favour, (good - entry) * side)
        ended = int(bar["known_ns"])
        if (bad <= stop) if side > 0 else (bad >= stop):
            gapped = good < stop if side > 0 else good > stop
            return "stop", bad if gapped else stop - side, ended, against, favour, count
        if (good > target) if side > 0 else (good < target):
            return "target", target, ended, against, favour, count
        if ended >= row["decided_ns"] + HORIZON_MIN * MINUTE:
            return "time", int(bar["level"]), ended, against, favour, count
        last = bar
    raise AssertionError("it has not ended")


@pytest.mark.parametrize(("seed", "rough", "entry"), [(1, False, 1), (2, True, 1), (3, True, 1), (4, True, 5)])
def test_outcomes_equal_brute_force_on_random_bars(seed: int, rough: bool, entry: int) -> None:
    settings = StrategySettings(min_score=30.0, max_tests=3, detector=QUICK, entry_timeframe_min=entry)
    _, rows, bars, decider = played(stream(seed, rough=rough), settings)
    assert len(rows) > 60
    for row in rows:
        told = ENDS[row["end"]], *(int(row[name]) for name in ("exit", "ended_ns", "against", "favour", "bars"))
        assert told == walked(row, bars)
        assert row["resolved_ns"] >= row["ended_ns"] >= row["decided_ns"] >= row["born_ns"]
        assert (row["entry"] - row["stop"]) * row["side"] > 0
        assert row["resolved_ns"] > row["decided_ns"]
    assert not decider.trader.unfollowed  # type: ignore[attr-defined]
    ends = {ENDS[row["end"]] for row in rows}
    assert ends >= ({"stop", "target", "break", "unclean"} if rough else {"stop", "target"}), ends


def test_every_signal_and_every_refused_setup_is_followed() -> None:
    settings = StrategySettings(min_score=40.0, max_tests=3, detector=QUICK)
    signals, rows, _, decider = played(stream(5, 2500), settings)
    triggers = rows[rows["stage"] == STAGES.index("trigger")]
    spoken = {(int(r["decided_ns"]), int(r["zone_id"])): r for r in triggers if FATES[r["fate"]] == "signal"}
    followed = [signal for signal in signals if (signal.decided_ns, signal.zone_id) in spoken]
    assert len(followed) >= len(signals) - 30  # the rest are still on their way at the end
    for signal in followed:
        row = spoken[signal.decided_ns, signal.zone_id]
        assert (row["stop"], row["target"], row["score"]) == (signal.stop, signal.target, signal.score)
        assert signal.why is not None
        assert (row["entry"], KINDS[row["kind"]]) == (signal.why.entry, signal.why.zone.kind)
        assert [round(float(part), 4) for part in row["parts"]] == [round(part, 4) for part in signal.parts.values()]
    count = {name: int((triggers["fate"] == code).sum()) for code, name in enumerate(FATES)}
    counters = decider.trader.counters
    for name in ("score_too_low", "outscored"):
        assert 0 < count[name] <= counters[name] <= count[name] + 60
    assert (triggers["score"][triggers["fate"] == FATES.index("score_too_low")] < 40).all()
    tests = rows[rows["stage"] == STAGES.index("test")]
    assert counters["tests"] * 0.8 <= len(tests) <= counters["tests"]
    assert {pace_name(row) for row in rows} <= {"unknown", "calm", "usual", "lively"}


def test_several_setups_of_one_close_share_their_weight() -> None:
    _, rows, _, _ = played(stream(5, 2500), StrategySettings(min_score=0.0, max_tests=3, detector=QUICK))
    for stage in (0, 1):
        mine = rows[rows["stage"] == stage]
        assert mine["together"].max() > 1
        for row in mine:
            same = mine[(mine["decided_ns"] == row["decided_ns"]) & (mine["side"] == row["side"])]
            assert len(same) <= row["together"]  # some may not have ended yet


def test_following_changes_no_signal_and_weights_of_one_change_none() -> None:
    ticks = stream(6)
    base = StrategySettings(min_score=30.0, max_tests=3, detector=QUICK)
    off = played(ticks, replace(base, learning=LearningSettings(mode="off")))
    observed = played(ticks, base)
    learned = played(ticks, replace(base, learning=ON))  # nobody to ask: all weights are 1
    assert off[0] == observed[0]
    assert not len(off[1])
    assert [replace(s, params_hash="") for s in learned[0]] == [replace(s, params_hash="") for s in off[0]]
    assert off[3].trader.counters == observed[3].trader.counters


def test_outcomes_do_not_depend_on_how_the_stream_is_cut_or_driven() -> None:
    settings = StrategySettings(min_score=30.0, max_tests=3, detector=QUICK)
    ticks = stream(7, rough=True)
    _, whole, _, _ = played(ticks, settings)
    _, cut, _, _ = played(ticks, settings, parts=41)
    quick = ContractDecider(MNQ, settings)
    at, rows = 0, []
    while at < len(ticks) or quick.pending:
        at, _ = quick.run(ticks, at)
        rows.append(quick.outcomes())
    assert (whole == cut).all()
    assert (whole == np.concatenate(rows)).all()


def test_a_weight_multiplies_the_score_and_is_told_with_the_signal() -> None:
    weights = DayWeights(0, "v1", (PatternWeight("fvg", 5, 1.2, 31, 0.2), PatternWeight("ob", 5, 0.8, 9, -0.2)))
    settings = StrategySettings(min_score=0.0, max_tests=3, detector=QUICK)
    plain, _, _, _ = played(stream(8), settings)
    decider = ContractDecider(MNQ, replace(settings, learning=ON), learned=lambda day_start_ns: weights)
    ticks, at, signals = stream(8), 0, []
    while at < len(ticks) or decider.pending:
        at, found = decider.run(ticks, at)
        signals += found
    both = zip(signals, plain, strict=False)
    same = list(itertools.takewhile(lambda pair: pair[0].signal_id == pair[1].signal_id, both))
    assert len(same) > 3
    for weighted, unweighted in same:  # from the first other choice on, other setups have had their trigger
        assert weighted.learned is not None
        assert weighted.learned.base == pytest.approx(unweighted.score, abs=1e-6)
    seen = set()
    for signal in signals:
        assert signal.learned is not None
        assert signal.why is not None
        weight = weights.of(signal.why.zone.kind, signal.zone_timeframe_min).weight
        assert (signal.learned.weight, signal.learned.version) == (weight, "v1")
        assert signal.score == pytest.approx(min(100.0, signal.learned.base * weight), abs=1e-4)
        seen.add(weight)
    assert seen == {1.0, 1.2, 0.8}


def learning_config() -> Config:
    return Config(strategy=replace(LIVELY, learning=ON), learning=ON)


def signals_of(ticks: np.ndarray) -> list[Signal]:
    return list(run_backtest(ArraySource((ticks,)), plan_of(learning_config())).signals)


def test_decisions_do_not_depend_on_outcomes_that_came_later() -> None:
    """Everything after t is another market: every decision up to t, weights included, is the same."""
    ticks = lively(("MNQ", "MES"), 3, 1700)
    whole = signals_of(ticks)
    moved = [signal for signal in whole if signal.learned is not None and signal.learned.weight != 1.0]
    assert len(moved) > 20
    t = moved[len(moved) // 2].decided_ns
    other = ticks.copy()
    after = np.flatnonzero(ticks["exch_ns"] > t + MINUTE)
    noise = lively(("MNQ", "MES"), 99, 1700)
    for name in ("price", "price2"):
        other[name][after] = noise[name][after]
    expected = [signal for signal in whole if signal.decided_ns <= t]
    assert [signal for signal in signals_of(other) if signal.decided_ns <= t] == expected
    assert [signal for signal in signals_of(ticks[: after[0]]) if signal.decided_ns <= t] == expected


def test_the_weights_of_a_day_rest_on_outcomes_of_earlier_days_alone() -> None:
    """Asked at every day, of both contracts, in a run as it is: nothing in the ledger's answer was known later."""
    result = run_backtest(ArraySource((lively(("MNQ", "MES"), 4, 1700),)), plan_of(learning_config()))
    first_day = min(signal.decided_ns for signal in result.signals) // (86_400 * 10**9)
    versions = {signal.learned.version if signal.learned else "" for signal in result.signals}
    assert len(versions) >= 2
    day_one = [s for s in result.signals if s.decided_ns // (86_400 * 10**9) == first_day and s.learned is not None]
    assert all(signal.decided_ns >= 23 * 3600 * 10**9 + first_day * 86_400 * 10**9 for signal in day_one), "17:00 CST"
