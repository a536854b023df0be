"""ATR and last swings against values worked out by hand."""

import pytest

from event_builder import EventBuilder
from plain_strategy.events import rows_of
from plain_strategy.structure import Swing, TimeframeState, WilderAtr
from tbot_ext.records import EventCode, Flag


def test_wilder_atr_by_hand() -> None:
    atr = WilderAtr(14)
    for _ in range(13):
        atr.push(110, 100, 105, session_break=False)
        assert atr.value is None
    atr.push(124, 120, 121, session_break=False)  # 124 - 105 = 19 counts, not 4
    assert atr.value == (13 * 10 + 19) / 14
    seed = 149 / 14
    atr.push(100, 90, 95, session_break=False)  # |90 - 121| = 31
    assert atr.value == pytest.approx((13 * seed + 31) / 14, rel=1e-15)


def test_the_gap_over_a_session_break_does_not_count() -> None:
    joined, broken = WilderAtr(14), WilderAtr(14)
    for number in range(14):
        for atr in (joined, broken):
            atr.push(110, 100, 105, session_break=number == 3 and atr is broken)
    assert joined.value == broken.value == 10  # no gap, no difference
    joined.push(210, 200, 205, session_break=False)
    broken.push(210, 200, 205, session_break=True)
    assert joined.value == pytest.approx((13 * 10 + 105) / 14)
    assert broken.value == 10


def test_the_flag_of_the_bar_event_marks_the_break() -> None:
    make = EventBuilder()
    make.quiet_bars(5, 70, 14, 110, 100)
    make.bar(75, 210, 200, 205, tf=5, flags=int(Flag.SESSION_BREAK))
    state = TimeframeState(14)
    for bar in rows_of(make.take()):
        state.on_bar(bar)
    assert state.atr.value == 10


def test_the_last_swing_of_each_kind_is_kept() -> None:
    make, state = EventBuilder(first_id=1), TimeframeState(14)
    assert (state.last_high, state.last_low) == (None, None)
    make.swing_high(0, 100)
    make.swing_low(0, 50)
    make.swing_high(0, 90)
    make.bar(1, 130, 40, 120)  # a close beyond a swing does not make it unknown
    for row in rows_of(make.take()):
        if row.kind == EventCode.BAR:
            state.on_bar(row)
        else:
            state.on_swing(row)
    assert (state.last_high, state.last_low) == (Swing(90, 3), Swing(50, 2))
