"""Tables of numbers for the synthetic market, by family and by contract; measured values with their source.

Everything is relative to New York local time, because that is what the day of these markets follows. Measured on real
recordings (market-microstructure.md, sections in brackets); what was not measured says "assumed".
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

HOURS = (18, 19, 20, 21, 22, 23, *range(17))  # column order of the volume tables; 17 is the daily pause
RTH_MINUTES = (9 * 60 + 30, 16 * 60)  # regular trading hours of the cash market, minutes of the New York day

# [5] share of a day's volume by New York hour, %
_VOLUME: dict[str, tuple[float, ...]] = {
    "NQ": (
        *(1.5, 1.3, 1.6, 1.3, 1.0, 0.7, 0.7, 1.0, 1.1, 1.6, 1.7, 1.5),
        *(1.5, 2.1, 3.2, 14.1, 15.7, 11.0, 8.6, 7.5, 7.2, 10.8, 3.5),
    ),
    "MNQ": (
        *(1.9, 1.7, 2.1, 1.6, 1.3, 1.0, 0.9, 1.2, 1.3, 1.9, 2.0, 1.7),
        *(1.7, 2.3, 3.5, 13.8, 16.6, 11.2, 8.4, 7.3, 6.7, 7.9, 2.4),
    ),
    "ES": (
        *(1.1, 0.8, 1.0, 0.9, 0.7, 0.5, 0.4, 0.6, 0.7, 1.2, 1.4, 1.2),
        *(1.2, 1.9, 2.7, 12.5, 15.8, 11.7, 9.1, 8.0, 8.0, 14.7, 3.8),
    ),
    "MES": (
        *(1.9, 1.4, 1.7, 1.4, 1.1, 0.8, 0.7, 0.9, 0.9, 1.6, 1.9, 1.6),
        *(1.7, 2.3, 3.3, 12.7, 16.6, 11.8, 9.2, 7.7, 7.2, 9.4, 2.3),
    ),
    "GC": (
        *(3.3, 2.8, 4.3, 3.8, 2.5, 1.6, 2.2, 2.9, 3.6, 3.9, 4.0, 3.5),
        *(3.5, 4.0, 7.0, 9.4, 10.2, 7.6, 5.3, 5.5, 3.5, 3.7, 2.0),
    ),
    "MGC": (
        *(4.2, 4.0, 5.9, 5.1, 3.6, 2.4, 2.8, 3.5, 3.6, 3.5, 3.4, 2.8),
        *(2.9, 3.5, 5.9, 8.2, 9.0, 6.8, 5.0, 4.5, 3.7, 3.7, 2.0),
    ),
    "6E": (
        *(2.0, 1.4, 2.1, 2.0, 1.2, 0.8, 0.7, 1.4, 2.8, 4.4, 5.0, 4.7),
        *(4.3, 6.5, 8.2, 8.9, 10.4, 8.9, 6.4, 5.0, 6.1, 4.5, 2.1),
    ),
}

# [4] standard deviation of one-minute moves in ticks by New York hour; hours between are interpolated
_SIGMA_HOURS = (18, 20, 22, 24, 26, 27, 28, 30, 32, 33, 34, 35, 36, 37, 38, 39, 40)
_SIGMA: dict[str, tuple[float, ...]] = {
    "NQ": (31, 32, 22, 19, 23, 30, 31, 27, 40, 67, 71, 50, 46, 41, 39, 42, 35),
    "ES": (7.8, 6.7, 4.6, 3.7, 4.9, 6.5, 6.9, 6.3, 8.9, 13, 15, 11, 10, 9.1, 8.8, 9.8, 8.1),
    "GC": (8.7, 8.4, 7.7, 5.6, 7.9, 8.2, 7.4, 7.1, 12, 13, 13, 9.5, 8.9, 7.4, 6.6, 6.5, 6.2),
    "6E": (2.8, 2.5, 2.1, 1.4, 2.6, 3.4, 3.3, 2.8, 3.8, 4.2, 4.5, 3.7, 3.3, 3.0, 3.1, 3.0, 3.1),
}

# [5] NQ contracts per minute by half hour of the regular session (at its middle), and around it
_RTH_SHAPE = (
    *((540, 330), (569, 650), (570, 2050), (585, 2050), (615, 1647), (645, 1324), (675, 1087), (705, 966)),
    *((735, 814), (765, 781), (795, 727), (825, 702), (855, 664), (885, 694), (915, 761), (945, 1030)),
    *((958, 1400), (962, 700), (975, 370), (1005, 163), (1019, 150)),
)
# [5] single minutes: value relative to the minutes around them
_INDEX_EDGES = dict(
    (
        *((569, 1.45), (570, 2.9), (571, 1.85), (572, 1.6), (573, 1.5), (574, 1.4), (575, 1.35), (576, 1.2)),
        *((510, 2.9), (511, 2.0), (512, 1.5), (959, 7.0), (960, 3.8), (961, 1.8), (1080, 4.3), (1081, 2.0)),
    )
)
_OTHER_EDGES = {510: 2.0, 511: 1.6, 512: 1.3, 570: 1.6, 571: 1.3, 600: 1.5, 601: 1.2, 810: 1.5, 1080: 3.0, 1081: 1.6}

SIGMA_ON_VOLUME = 0.35  # exponent of volume for the spread within an hour [4: log volume and log range 0.75-0.85]
RATE_EXPONENTS = (0.92, 0.80)  # [5 says 0.8] below and above the mean, so that the load levels of [1] come out
_NORMAL_50, _NORMAL_90 = 0.67449, 1.64485  # percentiles of the absolute value of a standard normal
SIZE_LIMIT = 500  # contracts in one print [3: 49 to 500]


@dataclass(frozen=True, slots=True)
class Family:
    """One underlying: mini and micro share its middle price."""

    name: str
    group: str  # the factor it follows: index, gold, fx
    loading: float  # [6] correlation with the factor, per minute
    price: float  # ticks, around which a run begins
    sigma_of: str  # row of the table of standard deviations
    sigma_scale: float
    daily_gap: tuple[float, float]  # [5] median and 90th percentile of |open - last close| over the daily pause
    weekend_gap: tuple[float, float]  # over the weekend; the percentile is assumed but for gold


@dataclass(frozen=True, slots=True)
class Profile:
    """How one contract trades."""

    symbol: str
    family: str
    rate: float  # [1] prints a second, mean over `rate_hours`
    rate_hours: str  # rth or day
    volume_of: str  # row of the volume table
    cluster: float  # [2] prints with one time stamp, mean
    size: tuple[float, float, float]  # [3] share of size 1; Pareto index of the rest; scale of the rest (contracts)
    spread_day: tuple[float, ...]  # [3] probability of 1, 2, 3, ... ticks
    spread_night: tuple[float, ...]
    spread_turn: float  # chance that a look at the book draws the spread anew; assumed
    hold: float  # ticks the middle price may stray from the middle of the book before the book follows
    noise: float  # ticks of noise of the middle price at each look; assumed, gives the price-step table of [3]
    persistence: float  # chance that an aggressor repeats the last one's side; gives the sign correlation of [3]
    lean: float  # how much a middle price above the book's middle makes a buyer likely, per tick; assumed


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family("NQ", "index", 0.979, 100_800, "NQ", 1.0, (30, 93), (400, 970)),
        Family("ES", "index", 0.979, 27_600, "ES", 1.0, (6, 26), (90, 230)),
        Family("GC", "gold", 1.0, 33_500, "GC", 1.0, (3, 14), (15, 97)),
        Family("6E", "fx", 1.0, 23_300, "6E", 1.0, (4, 8), (21, 50)),
        Family("6J", "fx", 0.71, 13_200, "6E", 1.7 / 3.9, (2, 4), (10, 24)),
        Family("6B", "fx", 0.86, 13_350, "6E", 2.5 / 3.9, (2.5, 5.5), (14, 33)),
        Family("6C", "fx", 0.58, 14_500, "6E", 1.8 / 3.9, (2, 4), (10, 24)),
        Family("6S", "fx", 0.79, 25_000, "6E", 4.5 / 3.9, (4, 9), (24, 58)),
    )
}
GROUPS: tuple[str, ...] = ("index", "gold", "fx")
# Correlation of the factors' noise, in the order of GROUPS. Measured per minute [6]: index-gold 0.40, index-6E 0.62,
# gold-6E 0.43; what each group has of its own (level, drift, runs) takes about a sixth of the noise's away.
GROUP_CORRELATION: tuple[tuple[float, ...], ...] = ((1.0, 0.48, 0.74), (0.48, 1.0, 0.52), (0.74, 0.52, 1.0))
LEAD: dict[str, str] = {"index": "NQ", "gold": "GC", "fx": "6E"}  # the family in whose ticks a factor's path is kept

_FREE_DAY, _FREE_NIGHT = (0.42, 0.43, 0.15), (0.08, 0.34, 0.28, 0.16, 0.09, 0.05)  # NQ: implied and assumed, [3]
_ES_DAY, _ES_NIGHT = (0.998, 0.002), (0.94, 0.055, 0.004, 0.001)
_GC_DAY, _GC_NIGHT = (0.61, 0.35, 0.04), (0.54, 0.39, 0.07)
_FX = (0.93, 0.07)

PROFILES: dict[str, Profile] = {
    profile.symbol: profile
    for profile in (
        Profile(
            "MNQ", "NQ", 15, "rth", "MNQ", 1.25, (0.52, 2.1, 3.2), _FREE_DAY, _FREE_NIGHT, 0.25, 0.4, 0.9, 0.25, 0.2
        ),
        Profile("NQ", "NQ", 15, "rth", "NQ", 1.2, (0.80, 2.5, 1.6), _FREE_DAY, _FREE_NIGHT, 0.25, 0.4, 0.7, 0.25, 0.2),
        Profile("MES", "ES", 16, "rth", "MES", 1.45, (0.55, 2.1, 3.0), _ES_DAY, _ES_NIGHT, 0.06, 0.8, 0.1, 0.12, 0.5),
        Profile("ES", "ES", 14, "rth", "ES", 1.45, (0.55, 1.9, 3.8), _ES_DAY, _ES_NIGHT, 0.06, 0.8, 0.1, 0.12, 0.5),
        Profile("MGC", "GC", 3, "day", "MGC", 1.45, (0.70, 1.9, 1.8), _GC_DAY, _GC_NIGHT, 0.15, 0.65, 0.3, 0.2, 0.3),
        Profile("GC", "GC", 2, "day", "GC", 1.45, (0.83, 1.8, 1.3), _GC_DAY, _GC_NIGHT, 0.15, 0.65, 0.3, 0.2, 0.3),
        Profile("6E", "6E", 1.3, "rth", "6E", 1.3, (0.70, 2.2, 1.8), _FX, _FX, 0.1, 0.8, 0.1, 0.2, 0.5),
        Profile("6J", "6J", 0.8, "rth", "6E", 1.3, (0.70, 2.2, 1.8), _FX, _FX, 0.1, 0.8, 0.1, 0.2, 0.5),
        Profile("6B", "6B", 0.6, "rth", "6E", 1.3, (0.70, 2.2, 1.8), _FX, _FX, 0.1, 0.8, 0.1, 0.2, 0.5),
        Profile("6C", "6C", 0.6, "rth", "6E", 1.3, (0.70, 2.2, 1.8), _FX, _FX, 0.1, 0.8, 0.1, 0.2, 0.5),
        Profile("6S", "6S", 0.2, "rth", "6E", 1.3, (0.70, 2.2, 1.8), _FX, _FX, 0.1, 0.8, 0.1, 0.2, 0.5),
    )
}


def _by_clock_hour(row: tuple[float, ...]) -> Floats:
    """A row of the volume table as 24 values by hour of the New York clock; the pause gets what 16 h has."""
    values = np.zeros(24)
    values[list(HOURS)] = row
    values[17] = values[16]
    return values


def volume_curve(row: str) -> Floats:
    """Share of the day's volume by minute of the New York day, 1440 values; the hours sum to the table's."""
    hourly = _by_clock_hour(_VOLUME[row]) / 100
    if row in ("NQ", "MNQ", "ES", "MES"):
        edges = _INDEX_EDGES
        minutes, values = zip(*_RTH_SHAPE, strict=True)
        inside = np.interp(np.arange(1440), minutes, values)
    else:
        edges = _OTHER_EDGES
        inside = np.ones(1440)
    centre = np.arange(24) * 60 + 30
    smooth = np.interp(np.arange(1440), centre, hourly, period=1440)
    curve = np.where((np.arange(1440) >= 540) & (np.arange(1440) < 1020), inside, smooth)
    for minute, factor in edges.items():
        curve[minute] *= factor
    by_hour = curve.reshape(24, 60)
    scaled: Floats = (by_hour / by_hour.sum(axis=1, keepdims=True) * hourly[:, None]).ravel()
    return scaled


def rate_curve(profile: Profile) -> Floats:
    """Mean prints a second by minute of the New York day, 1440 values."""
    volume = volume_curve(profile.volume_of)
    first, last = RTH_MINUTES if profile.rate_hours == "rth" else (0, 1440)
    relative = volume / volume[first:last].mean()
    below, above = RATE_EXPONENTS
    curve = np.where(relative < 1, relative**below, relative**above)
    scaled: Floats = curve * (profile.rate / curve[first:last].mean())
    return scaled


def sigma_curve(family: Family) -> Floats:
    """Standard deviation of one-minute moves in ticks by minute of the New York day, 1440 values."""
    hours = np.array(_SIGMA_HOURS) % 24
    hourly = np.interp(np.arange(24), hours, _SIGMA[family.sigma_of], period=24) * family.sigma_scale
    volume = volume_curve(family.sigma_of).reshape(24, 60)
    within = (volume / volume.mean(axis=1, keepdims=True)) ** SIGMA_ON_VOLUME
    within /= np.sqrt((within**2).mean(axis=1, keepdims=True))
    scaled: Floats = (hourly[:, None] * within).ravel()
    return scaled


def gap_ticks(noise: float, typical: tuple[float, float]) -> float:
    """A gap of the given median and 90th percentile (of its absolute value) from a standard normal value.

    A power of the normal: gaps have heavier tails than one, and such that both measured numbers come out.
    """
    median, high = typical
    power = np.log(high / median) / np.log(_NORMAL_90 / _NORMAL_50)
    return float(np.copysign(median * (abs(noise) / _NORMAL_50) ** power, noise))


def draw_sizes(profile: Profile, uniform: Floats) -> npt.NDArray[np.int32]:
    """Print sizes (contracts) from uniforms in [0, 1): mass at 1, a Pareto tail, extra mass at round lots [3]."""
    ones, index, scale = profile.size
    rest = (uniform - ones) / (1 - ones)
    tail = 1 + scale * ((1 - np.clip(rest, 0, 0.99999)) ** (-1 / index) - 0.6)
    sizes: npt.NDArray[Any] = np.where(rest < 0, 1, np.clip(tail, 2, SIZE_LIMIT)).astype(np.int32)
    for lot in (5, 10, 20, 25, 50, 100):
        near = (sizes >= lot - max(1, lot // 10)) & (sizes <= lot + max(1, lot // 10)) & (sizes % 2 == lot % 2)
        sizes[near] = lot
    return sizes


def mean_size(profile: Profile) -> float:
    """Mean print size in contracts, as drawn."""
    return float(draw_sizes(profile, (np.arange(100_000) + 0.5) / 100_000).mean())
