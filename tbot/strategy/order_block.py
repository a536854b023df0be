"""The order-block setup of smc.md section 11: price enters a zone, a trigger follows, entry, stop and target are set.

Bull case: price enters a live order block (or gap, or inverted gap) for the first time; within 12 bars of the entry
timeframe a trigger of the same side appears. The bear case is its mirror image.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from tbot.domain.contracts import Product
from tbot.domain.timeframes import NAMES
from tbot.strategy.settings import StrategySettings
from tbot.strategy.structure import Swing
from tbot.strategy.zone_book import Zone
from tbot_ext.records import EventCode

# Share of the score by kind of trigger. Sweeps of liquidity (0.7, with a CHoCH 1.0) join when their detector exists.
TRIGGER_SHARES: dict[int, float] = {EventCode.CHOCH: 0.5}
TRIGGER_NAMES: dict[int, str] = {EventCode.CHOCH: "CHoCH"}

ZONE_NAMES = {"ob": "order block", "fvg": "fair value gap", "ifvg": "inverted fair value gap"}
_ORDINALS = {1: "first", 2: "second", 3: "third"}


@dataclass(frozen=True, slots=True)
class Setup:
    """A zone that price has entered and that waits for its trigger."""

    zone: Zone
    test: int  # which test of the zone
    bar: int  # number of the entry bar that entered it
    bar_event: int  # id of that bar's event


@dataclass(frozen=True, slots=True)
class TradePlan:
    """Where a trade would start and end; prices in ticks."""

    entry: int  # adverse side of the decision quote
    stop: int
    target: int
    target_event: int  # the event whose level is the target; -1: a multiple of the risk


def stop_price(zone: Zone, atr: float, settings: StrategySettings) -> int:
    """Beyond the distal edge by max(2 ticks, 0.1 ATR of the zone's timeframe), rounded away from the entry (ticks)."""
    distance = max(float(settings.stop_min_ticks), settings.stop_atr * atr)
    if zone.side > 0:
        return math.floor(zone.distal - distance)
    return math.ceil(zone.distal + distance)


def target_price(
    side: int, entry: int, risk: int, opposing: Iterable[Swing], settings: StrategySettings
) -> tuple[int, int]:
    """(price in ticks, event id): the nearest opposing level at least min_rr risks away; none: default_rr risks.

    Levels at the same price: the oldest event is named. A multiple of the risk is rounded towards the entry.
    """
    least = settings.min_rr * risk
    far_enough = [swing for swing in opposing if (swing.level - entry) * side >= least]
    if far_enough:
        nearest = min(far_enough, key=lambda swing: ((swing.level - entry) * side, swing.event_id))
        return nearest.level, nearest.event_id
    return entry + side * math.floor(settings.default_rr * risk), -1


def plan_trade(
    zone: Zone, atr: float, entry: int, opposing: Iterable[Swing], product: Product, settings: StrategySettings
) -> TradePlan | str:
    """The trade a triggered setup would make, or the name of the rule that forbids it."""
    stop = stop_price(zone, atr, settings)
    risk = (entry - stop) * zone.side
    if risk <= 0:
        return "no_risk"  # price is already where the stop would be
    target, target_event = target_price(zone.side, entry, risk, opposing, settings)
    reward_cents = (target - entry) * zone.side * product.tick_value_cents
    if reward_cents < settings.cost_multiple * product.round_turn_cents:
        return "target_below_cost"
    return TradePlan(entry, stop, target, target_event)


def describe(setup: Setup, trigger_kind: int, trends: list[int], product: Product, settings: StrategySettings) -> str:
    """The reason of a signal in plain words. `trends` are the timeframes (minutes) that agree, longest first."""
    zone = setup.zone
    name, up_down = ("demand", "up") if zone.side > 0 else ("supply", "down")
    band = f"{product.format(zone.bottom)}-{product.format(zone.top)}"
    test = f"{_ORDINALS[setup.test]} test" if setup.test in _ORDINALS else f"test {setup.test}"
    trigger = f"{NAMES[settings.entry_timeframe_min]} {TRIGGER_NAMES[trigger_kind]} {up_down}"
    if not trends:
        agree = f"no higher trend {up_down}"
    else:
        agree = f"{' '.join(NAMES[minutes] for minutes in trends)} trend{'s' if len(trends) > 1 else ''} {up_down}"
    return f"{name} {band} ({NAMES[zone.timeframe_min]} {ZONE_NAMES[zone.kind]}, {test}) + {trigger}; {agree}"
