"""The learning rule: against a slow independent calculation, on planted and absent edges, and causal whatever comes."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outcome_rows import DAY_NS, NOON_NS, REWARD, RISK, joined, outcome
from tbot.domain.contracts import PRODUCTS
from tbot.domain.trading_hours import trading_day_start_ns
from tbot.errors import ConfigError
from tbot.strategy.learning import Belief, Ledger, edge_of, table_of, weight_of
from tbot.strategy.learning_settings import LearningSettings
from tbot.strategy.outcomes import KINDS, needed, results_r

MNQ = PRODUCTS["MNQ"]
ON = LearningSettings(mode="on")
KEY = ("MNQ", "ob", 15)
START_NS = trading_day_start_ns(NOON_NS)


def ledger_of(*parts: tuple[str, np.ndarray], rule: LearningSettings = ON) -> Ledger:
    ledger = Ledger(rule)
    for symbol, rows in parts:
        ledger.add(symbol, rows)
    return ledger


def day(number: int) -> int:
    """Start of the trading day so many days after the first."""
    return START_NS + number * DAY_NS


# ------------------------------------------------------------------------------------------------- the formula itself
Told = list[tuple[str, str, int, int, bool, int]]  # contract, kind, timeframe, day, won, together
OUTCOMES = st.lists(
    st.tuples(
        st.sampled_from(["MNQ", "NQ", "MES", "MGC"]),
        st.sampled_from(["ob", "fvg"]),
        st.sampled_from([5, 15, 60]),
        st.integers(0, 12),  # day
        st.booleans(),
        st.integers(1, 3),
    ),
    min_size=1,
    max_size=60,
)


def slow_edge(
    rows: list[tuple[str, str, int, int, bool, int]], key: tuple[str, str, int], at: int
) -> tuple[float, ...]:
    """(mu, excess) by exact fractions, written from the definition and with no sums kept; decay by floats."""
    rule, k = ON, Fraction(int(ON.prior_outcomes))
    symbol, kind, minutes = key

    def told(chosen: Told) -> tuple[Fraction, Fraction, Fraction]:
        n = r = e = Fraction(0)
        for product, _, _, when, won, together in chosen:
            worth = Fraction(0.5 ** ((at - when) / rule.half_life_days)) / together
            contract = PRODUCTS[product]
            cost, tick = Fraction(contract.round_turn_cents), Fraction(contract.tick_value_cents)
            gain = REWARD * tick - cost if won else -(RISK + 1) * tick - cost
            need = ((RISK + 1) * tick + cost) / ((RISK + 1 + REWARD) * tick)
            n, r, e = n + worth, r + worth * gain / (RISK * tick), e + worth * (int(won) - need)
        return n, r, e

    def after(
        prior: tuple[Fraction, Fraction], chosen: tuple[Fraction, Fraction, Fraction]
    ) -> tuple[Fraction, Fraction]:
        n, r, e = chosen
        return (r + k * prior[0]) / (n + k), (e + k * prior[1]) / (n + k)

    known = [row for row in rows if row[3] < at and row[1] == kind]
    family = PRODUCTS[symbol].family
    pool = [Fraction(0)] * 3
    for other in sorted({PRODUCTS[row[0]].family for row in known} - {family}):
        products = sorted({row[0] for row in known if PRODUCTS[row[0]].family == other})
        best = max((told([row for row in known if row[0] == product]) for product in products), key=lambda one: one[0])
        pool = [a + b for a, b in zip(pool, best, strict=True)]
    belief = after((Fraction(0), Fraction(0)), tuple(pool))
    belief = after(belief, told([row for row in known if row[0] == symbol and row[2] != minutes]))
    belief = after(belief, told([row for row in known if row[0] == symbol and row[2] == minutes]))
    return float(belief[0]), float(belief[1])


@given(OUTCOMES, st.integers(1, 14), st.sampled_from(["MNQ", "NQ", "MES"]), st.sampled_from([5, 15, 60]))
@settings(max_examples=60, deadline=None)
def test_shrinkage_equals_a_slow_independent_calculation(rows: Told, at: int, symbol: str, minutes: int) -> None:
    rows = sorted(rows, key=lambda row: row[3])
    ledger = Ledger(ON)
    for product, kind, tf, when, won, together in rows:
        ledger.add(product, outcome(NOON_NS + when * DAY_NS, won, kind=kind, minutes=tf, together=together))
    judged = ledger.weights(day(at)).judge((symbol, "ob", minutes))
    mu, excess = slow_edge(rows, (symbol, "ob", minutes), at)
    assert judged.posterior.mu == pytest.approx(mu, abs=1e-9)
    assert judged.posterior.excess == pytest.approx(excess, abs=1e-9)


def test_the_result_of_a_bracket_is_its_share_beyond_need_times_its_span() -> None:
    rows = joined([outcome(won=True), outcome(won=False)])
    won, lost = results_r(rows, MNQ)
    share, span = (float(values[0]) for values in needed(rows, MNQ))
    for p in (0.2, share, 0.7):
        assert p * won + (1 - p) * lost == pytest.approx((p - share) * span)
    assert won == pytest.approx((80 * 50 - MNQ.round_turn_cents) / (40 * 50))
    assert lost == pytest.approx((-41 * 50 - MNQ.round_turn_cents) / (40 * 50))


def test_the_edge_is_the_smaller_of_both_and_nothing_when_they_disagree() -> None:
    assert edge_of(Belief(0.3, 0.05), 2.0) == pytest.approx(0.1)
    assert edge_of(Belief(-0.3, -0.5), 2.0) == pytest.approx(-0.3)
    assert edge_of(Belief(0.3, -0.05), 2.0) == 0.0
    assert edge_of(Belief(), 2.0) == 0.0


@given(st.floats(-50, 50))
def test_weights_stay_within_their_bounds_and_rise_with_the_edge(edge: float) -> None:
    assert 0.75 <= weight_of(edge, ON) <= 1.25
    assert weight_of(edge, ON) <= weight_of(edge + 0.01, ON)
    assert weight_of(0.0, ON) == 1.0


# ----------------------------------------------------------------------------------------------- edges, and none
def drawn(seed: int, count: int, win: float, kind: str = "ob", minutes: int = 15) -> np.ndarray:
    """Independent outcomes over as many days as it takes at ten a day."""
    rng = np.random.default_rng(seed)
    wins = rng.random(count) < win
    return joined(
        [outcome(NOON_NS + i // 10 * DAY_NS + i, bool(w), kind=kind, minutes=minutes) for i, w in enumerate(wins)]
    )


FAIR = float(needed(outcome(), MNQ)[0][0])  # share of wins that loses nothing


def weight_after(rows: np.ndarray, key: tuple[str, str, int] = KEY) -> float:
    ledger = ledger_of(("MNQ", rows))
    return ledger.weights(day(len(rows) // 10 + 1)).judge(key).weight


def test_a_planted_edge_is_found_within_150_outcomes() -> None:
    """A pattern that wins 60 % where 35 % lose nothing (+0.75 R) has a clearly higher weight in 19 of 20 histories."""
    weights = [weight_after(drawn(seed, 150, 0.60)) for seed in range(20)]
    assert sum(weight >= 1.10 for weight in weights) >= 19, weights
    lowered = [weight_after(drawn(seed, 150, 0.10)) for seed in range(20)]
    assert sum(weight <= 0.90 for weight in lowered) >= 19, lowered


def test_the_planted_pattern_and_not_another_one_is_found() -> None:
    ledger = ledger_of(
        ("MNQ", joined([drawn(1, 200, 0.60), drawn(2, 200, FAIR, "fvg"), drawn(3, 200, FAIR, "breaker")]))
    )
    weights = ledger.weights(day(21))
    best = max((weights.judge(("MNQ", kind, 15)).weight, kind) for kind in KINDS)
    assert best[1] == "ob"
    assert all(abs(weights.judge(("MNQ", kind, 15)).weight - 1) < 0.08 for kind in ("fvg", "breaker"))


def test_without_an_edge_weights_stay_near_one_in_many_histories() -> None:
    """With a deviation of 1.5 R and a prior of 200 the mean of the posterior deviates by 1.5 sqrt(n) / (n + 200), 0.053
    R at most, and 0.20 R is nearly four of them."""
    for count in (10, 60, 200, 400):
        weights = [weight_after(drawn(seed, count, FAIR)) for seed in range(40)]
        assert all(0.82 < weight < 1.18 for weight in weights)
        assert abs(np.mean(weights) - 1) < 0.03


def test_few_outcomes_move_little() -> None:
    assert weight_after(drawn(1, 5, 1.0)) < 1.06
    assert weight_after(drawn(1, 1, 1.0)) < 1.015


def test_relatives_speak_for_a_pattern_without_outcomes_and_mini_and_micro_are_one_market() -> None:
    rows = drawn(1, 300, 0.6)
    weights = ledger_of(("MES", rows)).weights(day(40))
    assert 1.0 < weights.judge(("MNQ", "ob", 60)).weight < weights.judge(("MES", "ob", 15)).weight
    twice = ledger_of(("MES", rows), ("ES", rows)).weights(day(40))
    other = twice.judge(("MNQ", "ob", 60)).posterior.mu
    assert other == pytest.approx(
        ledger_of(("ES", rows)).weights(day(40)).judge(("MNQ", "ob", 60)).posterior.mu, rel=0.1
    )


def test_old_outcomes_fade() -> None:
    ledger = ledger_of(("MNQ", drawn(1, 200, 0.6)))
    early, late = ledger.weights(day(21)).judge(KEY), ledger.weights(day(21 + 60)).judge(KEY)
    assert late.own.n == pytest.approx(early.own.n / 2, rel=1e-9)
    assert late.own.count == early.own.count == 200
    assert 1 < late.weight < early.weight


def test_what_does_not_count_teaches_nothing() -> None:
    useless = [
        outcome(stage="test", fate="untriggered"), outcome(end="unclean"), outcome(fate="target_below_cost"),
        outcome(nth=2, fate="score_too_low"),
    ]  # fmt: skip
    assert ledger_of(("MNQ", joined(useless))).weights(day(9)).version == ""
    useful = [outcome(nth=2, fate="signal"), outcome(fate="outscored"), outcome(fate="news"), outcome(end="time")]
    assert ledger_of(("MNQ", joined(useful))).weights(day(9)).outcomes == 4


# ------------------------------------------------------------------------------------------------------- causality
@given(OUTCOMES, OUTCOMES, st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_no_outcome_counts_before_the_day_after_it_was_known(rows: Told, noise: Told, at: int) -> None:
    """Whatever resolves on the day or later, its weights are the same: asked early, asked late, or cut off."""

    def filled(chosen: Told) -> Ledger:
        ledger = Ledger(ON)
        for product, kind, tf, when, won, together in chosen:
            ledger.add(product, outcome(NOON_NS + when * DAY_NS, won, kind=kind, minutes=tf, together=together))
        return ledger

    before = [row for row in rows if row[3] < at]
    later = [(*row[:3], max(row[3], at), *row[4:]) for row in noise]
    plain = filled(before).weights(day(at))
    assert filled(before + later).weights(day(at)) == plain
    assert filled(later + before).weights(day(at)).version == plain.version
    ledger = filled(before)
    assert ledger.weights(day(at)).version == plain.version
    for product, kind, tf, when, won, together in later:
        ledger.add(product, outcome(NOON_NS + when * DAY_NS, won, kind=kind, minutes=tf, together=together))
        assert ledger.weights(day(at)).version == plain.version


def test_the_last_instant_of_a_day_counts_for_the_next_and_its_first_does_not() -> None:
    edge = day(3)
    for at_ns, known in ((edge - 1, 1), (edge, 0)):
        assert ledger_of(("MNQ", outcome(at_ns))).weights(edge).outcomes == known


def test_days_that_were_passed_are_never_filled_afterwards() -> None:
    ledger = ledger_of(("MNQ", outcome(NOON_NS)))
    third = ledger.weights(day(3))
    ledger.add("MNQ", outcome(NOON_NS + DAY_NS))  # comes late: of a day before
    assert ledger.weights(day(3)) is third
    assert ledger.weights(day(2)).outcomes == 0, "nothing is claimed of a day that is not known any more"
    assert ledger.weights(day(4)).outcomes == 2


def test_a_day_of_a_contract_names_only_what_moved() -> None:
    told = ledger_of(("MNQ", drawn(1, 200, 0.6))).source("MNQ")(day(30))
    assert {one.kind for one in told.patterns} == {"ob"}
    table = table_of(told)
    assert [len(row) for row in table] == [5] * 5
    assert table[KINDS.index("fvg")] == [1.0] * 5
    assert table[0][2] == told.of("ob", 15).weight > 1


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"mode": "maybe"}, "mode"), ({"half_life_days": 0.0}, "half_life_days"), ({"prior_outcomes": 1.0}, "prior"),
        ({"most": 0.9}, "most"), ({"slope": 0.0}, "slope"), ({"half_life_days": float("nan")}, "half_life_days"),
    ],
)  # fmt: skip
def test_senseless_settings_are_refused(values: dict[str, float], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        LearningSettings(**values)  # type: ignore[arg-type]
