"""Costs to the cent, settings that make no sense, and the hash that names a parameter set."""

from dataclasses import fields, replace

import pytest

from event_builder import EventBuilder, view_at
from plain_strategy.confluence import confluence_share, mtf_share, weighted_score
from plain_strategy.events import rows_of
from plain_strategy.liquidity import LiquidityBook
from plain_strategy.order_block import TradePlan, plan_trade
from plain_strategy.zone_book import Zone
from tbot.domain.contracts import PRODUCTS
from tbot.errors import ConfigError
from tbot.strategy.confluence import MTF_WEIGHTS, SCORE_WEIGHTS
from tbot.strategy.decider import ContractDecider
from tbot.strategy.dollar import DollarSettings
from tbot.strategy.learning_settings import LearningSettings
from tbot.strategy.settings import StrategySettings
from tbot.strategy.trader import ContractTrader
from tbot_ext.params import default_params, params_hash

MNQ = PRODUCTS["MNQ"]


@pytest.mark.parametrize(("fees_cents", "outcome"), [(25, "plan"), (26, "target_below_cost")])
def test_a_target_worth_exactly_four_round_trips_is_enough(fees_cents: int, outcome: str) -> None:
    """Risk 4, target 8 ticks of 50 cents = 400 cents = 4 * 2 * (25 + 25)."""
    product = replace(PRODUCTS["MNQ"], fees_cents=fees_cents, commission_cents=25)
    make = EventBuilder()
    make.order_block(0, 15, 1, 1000, 1010, 50.0)
    zone = Zone(rows_of(make.take())[0], "ob", 1, 50.0, 1)
    plan = plan_trade(zone, 40.0, 1000, LiquidityBook(), product, StrategySettings())
    if outcome == "plan":
        assert plan == TradePlan(1000, 996, 1008, None)
    else:
        assert plan == outcome


def test_shares_and_weights() -> None:
    assert sum(MTF_WEIGHTS.values()) == pytest.approx(1.0)
    assert sum(SCORE_WEIGHTS.values()) == pytest.approx(1.0)
    assert mtf_share({60: 1, 30: -1, 15: 1, 5: 0, 1: 1}, 1) == pytest.approx(0.6)
    assert mtf_share({60: 1, 30: -1, 15: 1, 5: 0, 1: 1}, -1) == 0.25
    assert mtf_share({}, 1) == 0
    assert [confluence_share(count, 3) for count in range(5)] == [0, 1 / 3, 2 / 3, 1, 1]
    assert weighted_score(dict.fromkeys(SCORE_WEIGHTS, 1.0)) == 100
    assert weighted_score(dict.fromkeys(SCORE_WEIGHTS, 0.6)) == 60  # as floats the sum is 59.99999999999999


@pytest.mark.parametrize(
    "wrong",
    [
        {"entry_timeframe_min": 3},
        {"zone_timeframes_min": ()},
        {"zone_timeframes_min": (1, 5)},
        {"entry_timeframe_min": 15, "zone_timeframes_min": (5,)},
        {"min_score": 101.0},
        {"max_tests": 0},
        {"trigger_bars": -1},
        {"min_rr": 0.0},
        {"min_rr": 3.0},
        {"confluence_full": 0},
        {"cost_multiple": -1},
        {"detector": {"2h": {}}},
        {"detector": {"1h": {"L": 0}}},
        {"detector": {"1h": {"lookback": 3}}},
        {"round_step_points": {"MNQ": 0.3}},  # no whole number of ticks
        {"round_step_points": {"MNQ": -1}},
        {"round_step_points": {"MNQ": "many"}},
        {"round_step_points": {"MNQ": float("nan")}},
        {"round_step_points": {"MNQ": 1e12}},
        {"round_step_points": {"MNQ": True}},
        {"round_step_points": {"MNQ": [1]}},
        {"round_step_points": {"XYZ": 5}},
    ],
)
def test_settings_without_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="strategy: "):
        StrategySettings(**wrong)  # type: ignore[arg-type]


def test_the_hash_names_the_whole_parameter_set() -> None:
    base = StrategySettings()
    other = {
        "entry_timeframe_min": 5, "zone_timeframes_min": (5, 15), "min_score": 61.0, "max_tests": 2, "trigger_bars": 11,
        "min_rr": 1.6, "default_rr": 2.5, "stop_atr": 0.2, "stop_min_ticks": 3, "confluence_atr": 0.3,
        "confluence_full": 4, "cost_multiple": 5, "detector": {"1h": {"L": 4}}, "round_step_points": {"MNQ": 50},
        "dollar": DollarSettings(filter="prefer"), "learning": LearningSettings(mode="on"),
    }  # fmt: skip
    assert set(other) == {field.name for field in fields(base)}
    digests = {base.digest(MNQ)} | {replace(base, **{k: v}).digest(MNQ) for k, v in other.items()}
    assert len(digests) == 1 + len(other)
    assert StrategySettings().digest(MNQ) == base.digest(MNQ)
    assert base.digest(MNQ) != base.digest(PRODUCTS["MES"]) != base.digest()


@pytest.mark.parametrize(
    ("symbol", "changes", "ticks"),
    [
        ("MNQ", {}, 400),  # 100 points of 4 ticks
        ("NQ", {}, 400),
        ("ES", {}, 100),  # 25 points of 4
        ("MES", {}, 100),
        ("GC", {}, 100),  # 10 points of 10
        ("MGC", {}, 100),
        ("CL", {}, 0),
        ("MNQ", {"MNQ": 0}, 0),
        ("MNQ", {"MNQ": 50, "CL": 1}, 200),
        ("CL", {"MNQ": 50, "CL": 0.5}, 50),
        ("6J", {"6J": "0.00005"}, 100),
    ],
)
def test_round_numbers_in_ticks(symbol: str, changes: dict[str, object], ticks: int) -> None:
    settings = StrategySettings(round_step_points=changes)
    assert settings.round_step_ticks(PRODUCTS[symbol]) == ticks
    assert {params.round_step for params in settings.detectors(PRODUCTS[symbol]).values()} == {ticks}
    assert {params.round_step for params in settings.detectors().values()} == {0}


def test_what_the_detectors_are_told_wins_over_the_products_step() -> None:
    params = StrategySettings(detector={"1m": {"round_step": 0}}).detectors(MNQ)
    assert (params[1].round_step, params[5].round_step) == (0, 400)


def test_the_decider_gives_the_pipeline_its_products_step() -> None:
    for symbol, step in (("MNQ", 400), ("MGC", 100), ("CL", 0)):
        decider = ContractDecider(PRODUCTS[symbol], StrategySettings())
        expected = {minutes: params.replace(round_step=step) for minutes, params in default_params().items()}
        assert decider.pipeline.params_hash() == params_hash(expected)


def test_detector_parameters_reach_the_detectors_and_the_atr() -> None:
    settings = StrategySettings(detector={"15m": {"atr_n": 3, "L": 2}})
    params = settings.detectors()
    assert (params[15].atr_n, params[15].L, params[15].R) == (3, 2, 5)
    assert (params[60].L, params[60].R, params[5].L) == (3, 3, 5)
    make = EventBuilder()
    make.quiet_bars(15, 0, 3, 140, 100)
    trader = ContractTrader(PRODUCTS["MNQ"], settings)
    trader.on_events(make.take(), view_at(0, 1, 2))
    assert trader.state()["frames"][15][0] == 40
