"""Static levels: period values and round numbers (smc.md section 8), by rule and against the slow reference."""

import random
from typing import Any

import numpy as np
import pytest

import ref_levels
import ref_smc
from level_driver_build import driver
from smc_cases import bar_array, bars_of, mirrored, random_bars
from tbot_ext.detector import Detector
from tbot_ext.params import Params
from tbot_ext.records import EventCode, Source

P = Params(atr_n=1, sr_tol_ticks=1, sr_tol_atr=0.0)
Ended = list[tuple[int, ref_levels.Period]]


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return driver(tmp_path_factory.mktemp("level_driver"))


def play(driven: Any, bars: list[ref_smc.B], ended: Ended) -> np.ndarray:
    """All events; the k-th period of `ended` has the event id 1000 + k."""
    parts = []
    for t, bar in enumerate(bar_array(bars)):
        periods = [
            (1000 + k, x.kind, x.high, x.low, x.close, x.high_bar, x.low_bar, x.high_volume, x.low_volume)
            for k, (at, x) in enumerate(ended)
            if at == t
        ]
        parts.append(driven.push(np.frombuffer(bar.tobytes(), np.uint8), periods))
    return np.concatenate(parts)


def rows_of(events: np.ndarray) -> list[tuple[Any, ...]]:
    return [
        (
            int(e["known"]), EventCode(e["kind"]).name, int(e["side"]), int(e["origin"]), int(e["top"]),
            int(e["bottom"]), int(e["level"]), float(e["score"]), tuple(e["parts"].tolist()), int(e["n"]),
            int(e["source"]), int(e["volume"]), int(e["parent_id"]),
        )
        for e in events
    ]  # fmt: skip


def expected(bars: list[ref_smc.B], p: Params, ended: Ended) -> list[tuple[Any, ...]]:
    atrs, vmeds = ref_smc.atr_values(bars, p.atr_n), ref_smc.volume_means(bars)
    for k, (_, period) in enumerate(ended):
        period.event = 1000 + k
    rows: list[tuple[Any, ...]] = []
    born: dict[int, int] = {}
    for place, e in enumerate(ref_levels.level_events(bars, p, [], atrs, vmeds, ended), 1):
        assert isinstance(e, ref_levels.LevelEv)
        if e.born is not None:
            born[id(e.born)] = place
        parent = -1 if e.zone is None else e.zone if isinstance(e.zone, int) else born[id(e.zone)]
        parts = tuple(float(np.float32(x)) for x in (*e.parts, 0.0))
        rows.append(
            (
                e.t, e.kind, e.side, e.origin, e.top, e.bottom, e.level, e.score, parts, e.n, e.source, e.volume,
                parent,
            )
        )  # fmt: skip
    return rows


def some_periods(seed: int, bars: list[ref_smc.B]) -> Ended:
    """Periods near price, of all kinds, with values below, above and exactly at it."""
    rng = random.Random(seed)
    ended: Ended = []
    for t in range(1, len(bars)):
        for kind in range(EventCode.DAY, EventCode.OPENING_30 + 1):
            if rng.random() < 0.03:
                near = [rng.choice((bars[t].c, bars[t - 1].c)) + rng.randint(-6, 6) for _ in range(3)]
                low, close, high = sorted(near)
                bar = [rng.choice((-1, rng.randint(0, t))) for _ in range(2)]
                ended.append((t, ref_levels.Period(kind, high, low, close, bar[0], bar[1], rng.randint(0, 9), 3)))
    return ended


# ---------------------------------------------------------------- periods

DAY = ref_levels.Period(EventCode.DAY, 30, 11, 20, 1, 0, 7, 4)
BARS = bars_of((20, 21, 19, 20, 2), (20, 22, 18, 19, 3), (19, 21, 19, 20, 5), (20, 22, 19, 21, 4))


def test_a_day_gives_high_low_mid_and_close(drive: Any) -> None:
    events = play(drive(P), BARS, [(2, DAY)])
    names = ["known", "kind", "side", "level", "bottom", "top", "n", "origin", "volume", "source", "parent_id"]
    level = int(EventCode.LEVEL)
    # the mid 20.5 lies at 20, where the close is: half a tick up, and one tick around that; the close 20 is where the
    # newest bar closed, which came from 19
    assert events[names].tolist() == [
        (2, level, -1, 30, 29, 31, 2, 1, 7, Source.DAY_HIGH, 1000),
        (2, level, 1, 11, 10, 12, 2, 0, 4, Source.DAY_LOW, 1000),
        (2, level, -1, 20, 20, 21, 2, 2, 5, Source.DAY_MID, 1000),
        (2, level, -1, 20, 19, 21, 2, 2, 5, Source.DAY_CLOSE, 1000),
    ]


@pytest.mark.parametrize(("close", "level", "band"), [(20, 20, (20, 21)), (21, 21, (20, 21)), (30, 21, (20, 21))])
def test_a_mid_between_two_ticks_lies_on_the_side_of_the_close(
    drive: Any, close: int, level: int, band: tuple[int, int]
) -> None:
    for ticks in (0, 1):  # a band of no ticks would be empty there
        day = ref_levels.Period(EventCode.DAY, 30, 11, close)
        events = play(drive(P.replace(sr_tol_ticks=ticks)), BARS, [(2, day)])
        (mid,) = events[events["source"] == Source.DAY_MID]
        assert (int(mid["level"]), (int(mid["bottom"]), int(mid["top"]))) == (level, band)


def test_sessions_and_opening_ranges_give_high_and_low_alone(drive: Any) -> None:
    for kind in range(EventCode.ASIA, EventCode.OPENING_30 + 1):
        events = play(drive(P), BARS, [(2, ref_levels.Period(kind, 30, 10, 20))])
        assert events["source"].tolist() == [10 * kind + 1, 10 * kind + 2]


def test_the_next_period_of_the_kind_replaces_the_values(drive: Any) -> None:
    later = ref_levels.Period(EventCode.DAY, 40, 10, 21)
    week = ref_levels.Period(EventCode.WEEK, 50, 5, 21)
    driven = drive(P)
    events = play(driven, BARS, [(1, week), (2, DAY), (3, later)])
    last = events[events["known"] == 3]
    ended = last[last["kind"] == EventCode.LEVEL_EXPIRED]
    assert ended["source"].tolist() == [Source.DAY_HIGH, Source.DAY_LOW, Source.DAY_MID, Source.DAY_CLOSE]
    born = events[(events["known"] == 2) & (events["kind"] == EventCode.LEVEL)]
    assert ended["parent_id"].tolist() == born["id"].tolist()
    assert last[last["kind"] == EventCode.LEVEL]["level"].tolist() == [40, 10, 25, 21]
    assert driven.levels()["level"].tolist() == [5, 10, 21, 21, 25, 27, 40, 50]


def test_they_are_touched_and_broken_and_die_like_others(drive: Any) -> None:
    bars = bars_of(
        (20, 21, 19, 20), (20, 29, 20, 21), (21, 32, 21, 32), (30, 31, 20, 20), (32, 32, 32, 32), (9, 9, 9, 9)
    )
    asia = ref_levels.Period(EventCode.ASIA, 30, 0, 20)
    events = play(drive(P), bars, [(0, asia)])
    assert [
        (int(e["known"]), EventCode(e["kind"]).name, int(e["side"]), int(e["n"]))
        for e in events
        if e["source"] == Source.ASIA_HIGH
    ] == [
        (0, "LEVEL", -1, 2), (1, "LEVEL_TOUCHED", -1, 3), (2, "LEVEL_BROKEN", 1, 3), (3, "LEVEL_BROKEN", -1, 3),
        (4, "LEVEL_DEAD", 1, 3),
    ]  # fmt: skip


def test_none_are_made_while_the_atr_is_undefined(drive: Any) -> None:
    assert len(play(drive(P.replace(atr_n=4)), BARS, [(2, DAY)])) == 0
    assert len(play(drive(P.replace(atr_n=3)), BARS, [(2, DAY)])) >= 4


def test_a_mid_or_close_on_which_every_close_lies_has_no_role_until_one_is_off_it(drive: Any) -> None:
    bars = bars_of((20, 21, 19, 20), (20, 22, 18, 20), (20, 23, 20, 22), (22, 22, 20, 21), (21, 24, 21, 24))
    day = ref_levels.Period(EventCode.DAY, 23, 17, 20)
    for seen, sign in ((bars, 1), (mirrored(bars), -1)):
        values = day if sign > 0 else ref_levels.Period(EventCode.DAY, -17, -23, -20)
        events = play(drive(P), seen, [(1, values)])
        got = [(int(e["known"]), int(e["side"])) for e in events if e["source"] == Source.DAY_CLOSE]
        assert got[0] == (1, 0)
        driven = drive(P)
        first = play(driven, seen[:3], [(1, values)])  # bar 2 closes off it: the role is decided, without an event
        assert first["source"].tolist().count(Source.DAY_CLOSE) == 1
        close = [level for level in driven.levels() if level["source"] == Source.DAY_CLOSE]
        assert [int(level["side"]) for level in close] == [sign]


@pytest.mark.parametrize("seed", range(60))
def test_equals_the_reference(drive: Any, seed: int) -> None:
    rng = random.Random(seed)
    bars = random_bars(seed + 40, 200, step=2 + seed % 4)
    params = Params(
        atr_n=rng.choice((1, 3)), max_age=rng.choice((4, 20, 500)), max_zones=rng.choice((1, 64)),
        sr_tol_ticks=rng.choice((0, 1, 2)), sr_tol_atr=rng.choice((0.0, 0.25, 1.3)), round_step=rng.choice((0, 5)),
    )  # fmt: skip
    ended = some_periods(seed, bars)
    assert rows_of(play(drive(params), bars, ended)) == expected(bars, params, ended)


@pytest.mark.parametrize("seed", range(20))
def test_mirrored_prices_and_periods_give_mirrored_levels(drive: Any, seed: int) -> None:
    bars = random_bars(seed, 200, step=2 + seed % 4)
    ended = some_periods(seed, bars)
    params = P.replace(sr_tol_atr=0.3 * (seed % 3), round_step=5 * (seed % 2), max_age=20)
    turned = [
        (t, ref_levels.Period(x.kind, -x.low, -x.high, -x.close, x.low_bar, x.high_bar, x.low_volume, x.high_volume))
        for t, x in ended
    ]

    def said(events: np.ndarray, sign: int) -> list[tuple[Any, ...]]:
        rows = []
        for t, kind, side, origin, top, bottom, level, score, parts, n, source, volume, _ in rows_of(events):
            part = source % 10 if source > 1 else 0
            if sign < 0:
                side, top, bottom, level = -side, -bottom, -top, -level  # noqa: PLW2901
                part = {1: 2, 2: 1}.get(part, part)
            rows.append((t, kind, side, origin, top, bottom, level, score, parts, n, source // 10, part, volume))
        return sorted(rows)

    ours = said(play(drive(params), bars, ended), 1)
    assert len(ours) > 100
    assert said(play(drive(params), mirrored(bars), turned), -1) == ours


# ---------------------------------------------------------------- round numbers

ROUND = P.replace(round_step=10)


def rounds(*closes: int, params: Params = ROUND) -> list[tuple[int, str, int, int]]:
    """(bar, what, level, side) for bars that go straight from close to close."""
    opens = (closes[0], *closes[:-1])
    rows = [(o, max(o, c) + (t == 0), min(o, c), c) for t, (o, c) in enumerate(zip(opens, closes, strict=True))]
    events = Detector(1, params).push_bars(bar_array(bars_of(*rows)))
    return [
        (int(e["known"]), EventCode(e["kind"]).name.removeprefix("LEVEL").removeprefix("_") or "NEW", int(e["level"]),
         int(e["side"]))
        for e in events if e["source"] == Source.ROUND
    ]  # fmt: skip


def test_the_pair_around_the_first_close_between_two_multiples() -> None:
    assert rounds(24) == [(0, "NEW", 20, 1), (0, "NEW", 30, -1)]
    assert rounds(-24) == [(0, "NEW", -30, 1), (0, "NEW", -20, -1)]
    assert rounds(20) == []
    assert rounds(20, 30, 31)[:2] == [(2, "NEW", 30, 1), (2, "NEW", 40, -1)]
    assert rounds(24, params=P) == []


def test_a_close_beyond_moves_the_pair_and_what_stays_keeps_its_level() -> None:
    assert rounds(24, 30)[2:] == []  # closes on the level, which is no touch
    assert rounds(24, 31)[2:] == [(1, "EXPIRED", 20, 1), (1, "NEW", 40, -1)]
    got = rounds(24, 32)[2:]
    assert got == [(1, "BROKEN", 30, 1), (1, "EXPIRED", 20, 1), (1, "NEW", 40, -1)]
    assert [row for row in rounds(24, 32, 28)[5:] if row[2] == 30] == [(2, "BROKEN", 30, -1)]


def test_a_close_on_a_far_multiple_moves_to_the_pair_it_came_through() -> None:
    up = rounds(24, 50)
    assert [row[1:3] for row in up[2:]] == [("BROKEN", 30), ("EXPIRED", 20), ("EXPIRED", 30), ("NEW", 40), ("NEW", 50)]
    down = rounds(24, 0)
    assert sorted(row[2] for row in down if row[1] == "NEW") == [0, 10, 20, 30]
    assert [row[2:] for row in down if row[1] == "NEW"][2:] == [(0, 1), (10, -1)]
    assert [row[2:] for row in up if row[1] == "NEW"][2:] == [(40, 1), (50, -1)]


def test_a_dead_multiple_comes_back_only_with_a_new_pair() -> None:
    crossing = (24, 36, 24, 36)
    got = [row[:2] for row in rounds(*crossing) if row[2] == 30]
    assert got == [(0, "NEW"), (1, "BROKEN"), (2, "BROKEN"), (3, "DEAD")]
    assert [row[:2] for row in rounds(*crossing, 24, 36) if row[2] == 30] == got
    assert [row[:2] for row in rounds(*crossing, 45, 36) if row[2] == 30] == [*got, (5, "NEW")]


def test_nothing_moves_without_an_atr() -> None:
    assert rounds(24, 25, 26, params=ROUND.replace(atr_n=3))[0][0] == 2


def test_a_shift_drops_the_pair_silently_and_moves_the_rest(drive: Any) -> None:
    driven = drive(ROUND)
    play(driven, BARS[:3], [(2, DAY)])
    assert set(driven.levels()["source"].tolist()) > {Source.ROUND}
    driven.shift(7)
    after = driven.levels()
    assert after["level"].tolist() == [18, 27, 27, 37]
    assert Source.ROUND not in after["source"].tolist()
    (bar,) = bar_array(bars_of((27, 37, 26, 28)), start=2_000_000_000_000_000_000)
    events = driven.push(np.frombuffer(bar.tobytes(), np.uint8))
    kinds = {(EventCode(e["kind"]).name, int(e["level"])) for e in events}
    assert ("LEVEL_TOUCHED", 37) in kinds
    assert {level for kind, level in kinds if kind == "LEVEL"} == {20, 30}
