"""The score of a signal and its components. Formulas: smc.md section 11; every component lies between 0 and 1."""

from collections.abc import Mapping

from tbot.strategy.confluence import MTF_WEIGHTS, SCORE_WEIGHTS


def mtf_share(trends: Mapping[int, int], side: int) -> float:
    """Weight of the timeframes (by minutes) whose trend has this side."""
    return sum(weight for minutes, weight in MTF_WEIGHTS.items() if trends.get(minutes) == side)


def confluence_share(neighbours: int, full: int) -> float:
    """`full` live zones, levels and pools of the same side close by give 1."""
    return min(1.0, neighbours / full)


def location_share(side: int, price: int, high: int | None, low: int | None) -> float:
    """1 when `price` lies in the cheaper half of the leg between the last 1h swings (for a short: the dearer half).

    0 without both swings, or when the last high does not lie above the last low: then there is no leg to halve.
    """
    if high is None or low is None or high <= low:
        return 0.0
    above_middle = 2 * price - (high + low)
    return 1.0 if above_middle * side <= 0 else 0.0


def weighted_score(parts: Mapping[str, float]) -> float:
    """0..100. Rounded far below any meaning, so that a sum such as 59.99999999 is not taken for less than 60."""
    return round(100.0 * sum(weight * parts[name] for name, weight in SCORE_WEIGHTS.items()), 6)
