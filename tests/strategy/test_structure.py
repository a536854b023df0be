"""ATR and unbroken swings against values worked out by hand."""

import pytest

from event_builder import EventBuilder
from tbot.strategy.events import EventRow, rows_of
from tbot.strategy.structure import TimeframeState, WilderAtr
from tbot_ext.records import Flag


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


class Stack:
    """Swings and closes of one timeframe, written short."""

    def __init__(self) -> None:
        self.state = TimeframeState(14)
        self._make = EventBuilder(first_id=1)

    def _row(self) -> EventRow:
        return rows_of(self._make.take())[0]

    def high(self, *levels: int) -> None:
        for level in levels:
            self._make.swing_high(0, level)
            self.state.on_swing_high(self._row())

    def low(self, *levels: int) -> None:
        for level in levels:
            self._make.swing_low(0, level)
            self.state.on_swing_low(self._row())

    def close(self, price: int) -> None:
        self._make.bar(1, price + 50, price - 50, price)
        self.state.on_bar(self._row())

    def levels(self) -> tuple[list[int], list[int]]:
        return [swing.level for swing in self.state.highs], [swing.level for swing in self.state.lows]


def test_a_new_swing_hides_lesser_and_equal_ones() -> None:
    stack = Stack()
    stack.high(100, 90, 80, 90)
    assert stack.levels()[0] == [100, 90]
    assert [swing.event_id for swing in stack.state.highs] == [1, 4]
    stack.low(10, 20, 30, 20)
    assert stack.levels()[1] == [10, 20]


def test_a_close_beyond_breaks_and_a_wick_or_an_equal_close_does_not() -> None:
    stack = Stack()
    stack.high(100, 90, 80)
    stack.low(10, 20, 30)
    stack.close(80)
    stack.close(30)
    assert stack.levels() == ([100, 90, 80], [10, 20, 30])
    stack.close(91)
    assert stack.levels()[0] == [100]
    stack.close(19)
    assert stack.levels()[1] == [10]
    assert stack.state.last_high is not None  # the last known swing stays known
    assert stack.state.last_high.level == 80
