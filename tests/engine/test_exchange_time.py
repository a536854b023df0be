"""The exchange's time as measured by Date headers, and the age of a quote that rests on it (F-NET-05, I7)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbot.domain.clock import BrokerDate, MarketClock
from tbot.engine import desk_setup
from tbot.engine.clocks import SimulatedClock, WallClock
from tbot.engine.desk_setup import real_age
from tbot.engine.exchange_time import ExchangeTime

S = 1_000_000_000
NOON = 1_795_185_000 * S


def answer(asked_ns: int, there_ns: int, boot_ns: int, offset_ns: int) -> BrokerDate:
    """What a gateway stamps at boot time `there_ns` when its time is boot time plus an offset."""
    return BrokerDate((there_ns + offset_ns) // S * S, boot_ns, asked_ns)


@given(
    st.integers(0, 10 * S),
    st.lists(st.tuples(st.integers(1, 60 * S), st.integers(0, 4 * S), st.integers(0, 4 * S)), min_size=1, max_size=30),
)
def test_F_NET_05_a_quote_is_never_taken_for_younger_than_it_is(offset_ns, ways):
    time, boot, widest = ExchangeTime(), 1000 * S, 10**18
    for pause_ns, there_ns, back_ns in ways:
        asked = boot + pause_ns
        boot = asked + there_ns + back_ns
        time.heard(answer(asked, asked + there_ns, boot, NOON + offset_ns))
        over_ns = time.latest(boot, 0) - (boot + NOON + offset_ns)
        assert 0 <= over_ns <= S + there_ns + back_ns
        assert over_ns <= widest + (pause_ns + there_ns + back_ns) // 10_000 + 1  # an answer more never makes it worse
        widest = over_ns


def test_many_answers_make_it_exact():
    time, boot = ExchangeTime(), 1000 * S
    for number in range(200):
        boot = 1000 * S + number * 1_370_000_000
        time.heard(answer(boot - 20_000_000, boot - 10_000_000, boot, NOON))
    assert 0 <= time.latest(boot, 0) - (boot + NOON) < S // 20


@pytest.mark.parametrize("moved_s", [30, 3, -3, -30])
def test_F_TIM_01_when_the_gateways_clock_was_moved_its_newest_words_count(moved_s):
    time = ExchangeTime()
    for number in range(5):
        boot = (1000 + number) * S
        time.heard(answer(boot, boot, boot, NOON))
    for boot in (1010 * S, 1040 * S):
        time.heard(answer(boot, boot, boot, NOON + moved_s * S))
        if moved_s > 0 or boot > 1010 * S:
            assert 0 <= time.latest(boot, 0) - (boot + NOON + moved_s * S) <= S


@pytest.mark.parametrize("pause_s", [1, 2, 30])
def test_F_NET_05_answers_that_are_not_of_now_make_no_quote_younger(pause_s):
    """A proxy gives out what it has stored, time and again with one stamp; the gateway speaks in between or not."""
    for between in (True, False):
        time, boot = ExchangeTime(), 1000 * S
        time.heard(answer(boot, boot, boot, NOON))
        stored = NOON + boot - 9 * S
        for _ in range(5):
            boot += pause_s * S
            time.heard(BrokerDate(stored, boot, boot))
            assert time.latest(boot, 0) >= boot + NOON
            if between:
                boot += pause_s * S
                time.heard(answer(boot, boot, boot, NOON))
                assert boot + NOON <= time.latest(boot, 0) <= boot + NOON + 2 * S


def test_the_same_answer_again_says_nothing_new():
    time = ExchangeTime()
    date = answer(1000 * S, 1000 * S, 1000 * S, NOON + S // 3)
    for _ in range(3):
        time.heard(date)
    assert time.measured
    assert time.latest(1001 * S, 0) == NOON + 1002 * S


def test_nothing_measured_yet_our_clock_may_be_slow():
    time = ExchangeTime()
    time.heard(None)
    assert not time.measured
    assert time.latest(1000 * S, NOON) == NOON + 2 * S  # C_SKEW_MAX


@pytest.mark.parametrize("off_s", [-1.9, -1.0, 0.0, 1.9])
def test_I7_F_NET_05_a_late_price_is_too_old_whatever_our_clock_says(monkeypatch, off_s):
    """A clock that is 1.9 s slow once made a price of four seconds look two seconds old, and it was traded on."""
    own = NOON + int(off_s * S)
    monkeypatch.setattr(desk_setup, "boot_ns", lambda: 1000 * S)
    monkeypatch.setattr(desk_setup.time, "time_ns", lambda: own)
    exchange = ExchangeTime()
    age = real_age(WallClock(lambda: own, lambda: 1000 * S), exchange)
    for made_s in (-3.1, -4.0, -5.0):
        assert age(own, NOON + int(made_s * S), own) > 3 * S  # nothing is measured yet: the doubt counts
    exchange.heard(BrokerDate(NOON - S, 1000 * S, 1000 * S))  # noon at the latest
    assert age(own, NOON - int(3.1 * S), own) > 3 * S
    assert age(own, NOON - int(2.9 * S), own) <= 3 * S
    assert age(own, NOON + S, own) == 0  # a stamp of the future is no age


def test_F_NET_05_a_simulated_market_has_no_other_clock(monkeypatch):
    monkeypatch.setattr(desk_setup.time, "time_ns", lambda: NOON)
    age = real_age(SimulatedClock(MarketClock(NOON, 0, 20.0)), ExchangeTime())
    assert age(NOON, NOON - 80 * S, NOON) == 4 * S
    assert age(NOON, NOON - 80 * S, NOON - 5 * S) == 5 * S  # since its receipt
