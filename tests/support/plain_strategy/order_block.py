"""Entry, stop and target of a triggered setup: smc.md section 11. The bear case is the mirror image of the bull case.

The entry is the adverse side of the decision quote. The target is the nearest opposing pool or level of any timeframe
and source (for a long: pools above highs, resistances) that lies far enough.
"""

import math
from dataclasses import dataclass

from plain_strategy.liquidity import LiquidityBook, Place
from plain_strategy.zone_book import Zone
from tbot.domain.contracts import Product
from tbot.strategy.settings import StrategySettings


@dataclass(frozen=True, slots=True)
class TradePlan:
    """Where a trade would start and end; prices in ticks."""

    entry: int  # adverse side of the decision quote
    stop: int
    target: int
    place: Place | None  # what the target is; None: a multiple of the risk


def stop_price(zone: Zone, atr: float, settings: StrategySettings) -> int:
    """Beyond the distal edge by max(2 ticks, 0.1 ATR of the zone's timeframe), rounded away from the entry (ticks)."""
    distance = max(float(settings.stop_min_ticks), settings.stop_atr * atr)
    if zone.side > 0:
        return math.floor(zone.distal - distance)
    return math.ceil(zone.distal + distance)


def target_price(
    side: int, entry: int, risk: int, liquidity: LiquidityBook, settings: StrategySettings
) -> tuple[int, Place | None]:
    """The target in ticks and the pool or level that it is; a multiple of the risk is rounded towards the entry."""
    place = liquidity.ahead(side, entry, math.ceil(settings.min_rr * risk - 1e-6))  # 1.1 * 50 is above 55 in binary
    if place is not None:
        return place.level, place
    return entry + side * math.floor(settings.default_rr * risk), None


def plan_trade(
    zone: Zone, atr: float, entry: int, liquidity: LiquidityBook, product: Product, settings: StrategySettings
) -> TradePlan | str:
    """The trade a triggered setup would make, or the name of the rule that forbids it."""
    stop = stop_price(zone, atr, settings)
    risk = (entry - stop) * zone.side
    if risk <= 0:
        return "no_risk"  # price is already where the stop would be
    target, place = target_price(zone.side, entry, risk, liquidity, settings)
    reward_cents = (target - entry) * zone.side * product.tick_value_cents
    if reward_cents < settings.cost_multiple * product.round_turn_cents:
        return "target_below_cost"
    return TradePlan(entry, stop, target, place)
