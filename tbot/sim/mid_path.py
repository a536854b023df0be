"""The middle price behind the synthetic market: second by second for each underlying, hour after hour.

Three factors (index, gold, fx) move in one-minute steps: correlated noise, a few drifts that last from minutes to
hours (impulse, pullback), a slow pull back to where the price has been, runs beyond recent extremes that mostly fail,
and rare jumps. Each family adds its own small part. Within the minute the path is filled in by seconds: the busier a
second, the more it moves. Activity is a slow level (minutes to days) times fast bursts. Recipe and numbers:
market-microstructure.md sections 2, 4, 6 and 8.

Everything is drawn from generators that are keyed by (seed, hour, group), so a path is the same whoever asks for it,
in whatever steps and for whatever other contracts.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np

from tbot.domain.timeframes import NS_PER_MIN
from tbot.sim.profiles import FAMILIES, GROUP_CORRELATION, GROUPS, LEAD, Family, Floats, gap_ticks, sigma_curve

NS_PER_HOUR = 60 * NS_PER_MIN
NEW_YORK = ZoneInfo("America/New_York")
_COMMON_KEY, _GROUP_KEY, _FAMILY_KEY = 1, 2, 3  # what a generator is for

# Slow level of activity: log volume per minute, sd 0.7, autocorrelation 0.66, 0.55, 0.35, 0.2 at 1, 5, 30, 120 min.
_LEVEL_SHARES = (0.30, 0.22, 0.23, 0.25)  # of the variance
_LEVEL_MINUTES = (0.0, 6.0, 45.0, 360.0)
_LEVEL_SD = 0.7
_DAY_SD, _DAY_MEMORY = 0.25, 0.4
SIGMA_ON_LEVEL = 0.55  # log spread per log volume; makes |moves| cluster and tails heavy
RATE_ON_LEVEL = 0.8  # log message rate per log volume
_LEVEL_VARIANCE = _LEVEL_SD**2 + _DAY_SD**2

# Fast bursts: mean 1 per second. Six-second blocks and single seconds together give the shape 0.3 of section 2. Half of
# a second's activity is common to the group, half the contract's own: two gammas of one scale add up to a gamma.
_BLOCK_S, _BLOCK_SHAPE, _HALF_SHAPE = 6, 2.5, 0.425
_EXTREME = {"index": (0.001, 6.0, 2.6), "gold": (0.001, 8.0, 1.75), "fx": (0.001, 6.0, 2.6)}  # chance, size, index
_LIMIT = 60.0
_COMMON_LIMIT = 24.0  # with its block; six contracts together shall have about 1,000 prints in their busiest second

# Drifts, in standard deviations of a minute: how strong, and how many minutes they last on average. Weak ones: with
# them the variance of 5, 15 and 60 minute moves is 1.0 to 1.1 times that of independent minutes (measured 0.95 to 1.1).
_DRIFTS = ((0.10, 4.0), (0.06, 16.0), (0.03, 60.0))
_PULL = 0.003  # part of the way back to the average of the last hours, per minute
_PULL_MINUTES = 240.0
_WICK = 1.15  # seconds wander more than minutes: mean range over mean body of 1m bars 1.9 to 2.0, as measured
_RUN_NEAR, _RUN_CHANCE = 1.2, 0.3  # within this many standard deviations of an extreme a run happens this often
_JUMP_CHANCE = 0.0003
_TRIM = 0.94  # takes back what drifts, runs and jumps add to the noise
_RELEASES = {8: (30, 0.35), 10: (0, 0.25), 14: (0, 0.2)}  # New York hour: minute, chance of an economic release


@dataclass(slots=True)
class Hour:
    """One open hour: activity and middle prices (ticks), by second."""

    start_ns: int
    ny_minute: int  # minute of the New York day at its start
    new_session: bool  # the first hour after a pause: session volume starts at 0
    level: dict[str, Floats]  # by group: log level of each minute, mean such that exp(level) has mean 1
    block: dict[str, Floats]  # by group: (60, 60) activity of the few seconds around each second, mean 1
    burst: dict[str, Floats]  # by group: (60, 60) what comes to each second in common, mean 1; see `half_burst`
    mid: dict[str, Floats]  # by family: (60, 61) middle price at the 61 second marks of each minute


class _Factor:
    """State of one group's factor between hours, its path kept in ticks of the lead family."""

    def __init__(self, group: str) -> None:
        self.group = group
        self.levels = [0.0] * len(_LEVEL_SHARES)
        self.directions = [0.0] * len(_DRIFTS)
        self.price = 0.0
        self.average = 0.0
        self.recent: deque[float] = deque(maxlen=45)
        self.run_left = 0
        self.run_push = 0.0

    def new_levels(self, noise: Floats, bumps: Floats) -> Floats:
        """Log levels of sixty minutes (without the day's), an autoregression per time scale."""
        out = np.empty(len(noise))
        memory = [0.0 if minutes == 0 else float(np.exp(-1 / minutes)) for minutes in _LEVEL_MINUTES]
        spread = [_LEVEL_SD * (share * (1 - m * m)) ** 0.5 for share, m in zip(_LEVEL_SHARES, memory, strict=True)]
        levels = self.levels
        for minute, (row, bump) in enumerate(zip(noise.tolist(), bumps.tolist(), strict=True)):
            for k in range(len(levels)):
                levels[k] = memory[k] * levels[k] + spread[k] * row[k]
            levels[1] += bump
            out[minute] = sum(levels)
        return out

    def moves(self, noise: Floats, uniform: Floats, sigma: Floats, jumps: Floats) -> Floats:
        """Moves of sixty minutes in standard deviations; remembers the path."""
        out = np.empty(len(noise))
        variance_left = (1 - sum(strength**2 for strength, _ in _DRIFTS)) ** 0.5
        rows = zip(noise.tolist(), uniform.tolist(), sigma.tolist(), jumps.tolist(), strict=True)
        for minute, (z, u, spread, jump) in enumerate(rows):
            move = variance_left * z + self._drift(u) + jump
            move -= _PULL * (self.price - self.average) / spread
            move += self._run(u[-2], u[-1], spread)
            out[minute] = move
            self.price += move * spread
            self.average += (self.price - self.average) / _PULL_MINUTES
            self.recent.append(self.price)
        return out

    def _drift(self, u: list[float]) -> float:
        """Sum of the drifts; each one ends by chance and then turns, rests, or sets out again."""
        total = 0.0
        for k, (strength, minutes) in enumerate(_DRIFTS):
            if u[k] < 1 / minutes:
                fresh = u[k] * minutes  # uniform again
                self.directions[k] = 1.0 if fresh < 0.4 else (-1.0 if fresh < 0.8 else 0.0)
            total += strength * self.directions[k]
        return total

    def _run(self, chance: float, size: float, spread: float) -> float:
        """A push beyond the extreme of the last 45 minutes when it is near; two minutes take it back, or carry on."""
        if self.run_left:
            self.run_left -= 1
            return self.run_push
        if len(self.recent) < 20 or chance > _RUN_CHANCE:
            return 0.0
        above, below = max(self.recent) - self.price, self.price - min(self.recent)
        side, distance = (1, above) if above < below else (-1, below)
        if not 0 < distance < _RUN_NEAR * spread:
            return 0.0
        push = distance / spread + 0.2 + 0.4 * size
        self.run_left = 2
        fails = chance < 0.65 * _RUN_CHANCE
        self.run_push = side * (-0.55 if fails else 0.35) * push
        return side * 0.6 * push

    def shift(self, ticks: float) -> None:
        """A gap over a pause: the path and all that is remembered of it stay where they were, the price moves on."""
        self.price += ticks
        self.recent.clear()
        self.run_left = 0


class MidPath:
    """Yields open hours one after the other, from a first hour on, for ever."""

    def __init__(
        self,
        seed: int,
        families: Iterable[str],
        first_hour: int,
        *,
        is_open: Callable[[int], bool] | None = None,
        volatility: float = 1.0,
    ) -> None:
        """Hours count since the UTC epoch; `is_open` tells which ones there are (None: all). `volatility` scales moves.

        `first_hour` is the earliest that may be yielded.
        """
        self._seed = seed
        self._families = [FAMILIES[name] for name in families]
        self._groups = sorted({family.group for family in self._families}, key=GROUPS.index)
        self._next = first_hour
        self._is_open = is_open
        self._volatility = volatility
        self._cholesky = np.linalg.cholesky(np.array(GROUP_CORRELATION))
        self._factors = {group: _Factor(group) for group in self._groups}
        lead = {LEAD[group] for group in self._groups}
        self._sigma = {name: sigma_curve(FAMILIES[name]) for name in lead | {family.name for family in self._families}}
        self._end = {
            family.name: family.price * float(np.exp(0.02 * self._generator(0, _FAMILY_KEY, k).standard_normal()))
            for k, family in self._numbered()
        }
        self._day_level = 0.0
        self._closed_hours = 0

    def _numbered(self) -> list[tuple[int, Family]]:
        order = list(FAMILIES)
        return [(order.index(family.name), family) for family in self._families]

    def _generator(self, hour: int, purpose: int, number: int = 0) -> np.random.Generator:
        return np.random.default_rng([self._seed, hour, purpose, number])

    def next_hour(self) -> Hour:
        """The next open hour."""
        while self._is_open is not None and not self._is_open(self._next):
            self._closed_hours += 1
            self._next += 1
        hour, self._next = self._next, self._next + 1
        local = datetime.fromtimestamp(hour * 3600, UTC).astimezone(NEW_YORK)
        new_session = self._closed_hours > 0 or (self._is_open is None and local.hour == 18)
        common = self._generator(hour, _COMMON_KEY)
        noise = common.standard_normal((60, len(GROUPS))) @ self._cholesky.T
        day_noise, gap_noise = common.standard_normal(), common.standard_normal(len(GROUPS)) @ self._cholesky.T
        if new_session:
            self._day_level = _DAY_MEMORY * self._day_level + _DAY_SD * (1 - _DAY_MEMORY**2) ** 0.5 * day_noise
        bumps, jumps = self._events(common, local.hour)
        levels = common.standard_normal((60, len(_LEVEL_SHARES)))
        out = Hour(hour * NS_PER_HOUR, local.hour * 60, new_session, {}, {}, {}, {})
        for group in self._groups:
            number = GROUPS.index(group)
            if self._closed_hours:
                self._gap(group, float(gap_noise[number]), weekend=self._closed_hours > 24)
            self._fill_group(out, group, noise[:, number], levels, (bumps, jumps))
        self._closed_hours = 0
        return out

    @staticmethod
    def _events(common: np.random.Generator, ny_hour: int) -> tuple[Floats, Floats]:
        """Rises of the level and jumps (standard deviations) of releases and of rare surprises, by minute."""
        bumps, jumps = np.zeros(60), np.zeros(60)
        surprise = common.random(60) < _JUMP_CHANCE
        side, size, chance = common.choice((-1.0, 1.0), 60), common.exponential(1.0, 60), common.random()
        jumps[surprise] = (side * (3.5 + 1.5 * size))[surprise]
        bumps[surprise] = 1.0
        minute, likely = _RELEASES.get(ny_hour, (0, 0.0))
        if chance < likely:
            jumps[minute] += side[minute] * (1.0 + size[minute])
            bumps[minute] += 1.2
        return bumps, jumps

    def _gap(self, group: str, noise: float, *, weekend: bool) -> None:
        def gap(family: Family) -> float:
            return gap_ticks(noise, family.weekend_gap if weekend else family.daily_gap) * self._volatility

        for family in self._families:
            if family.group == group:
                self._end[family.name] += gap(family)
        self._factors[group].shift(gap(FAMILIES[LEAD[group]]))

    def _fill_group(self, hour: Hour, group: str, noise: Floats, levels: Floats, events: tuple[Floats, Floats]) -> None:
        bumps, jumps = events
        factor = self._factors[group]
        own = self._generator(hour.start_ns // NS_PER_HOUR, _GROUP_KEY, GROUPS.index(group))
        levels = (levels + own.standard_normal(levels.shape)) / 2**0.5  # half of it is common to all groups
        level = factor.new_levels(levels, bumps) + self._day_level
        spread = np.exp(SIGMA_ON_LEVEL * level - SIGMA_ON_LEVEL**2 * _LEVEL_VARIANCE) * _TRIM * self._volatility
        minutes = slice(hour.ny_minute, hour.ny_minute + 60)
        moves = factor.moves(
            noise, own.random((60, len(_DRIFTS) + 2)), self._sigma[LEAD[group]][minutes] * spread, jumps
        )
        blocks = own.standard_gamma(_BLOCK_SHAPE, (60, 60 // _BLOCK_S)) / _BLOCK_SHAPE
        block = np.repeat(blocks, _BLOCK_S, axis=1)
        burst = np.minimum(half_burst(own, group, (60, 60)), _COMMON_LIMIT / block)
        share = 0.45 + 0.55 * np.minimum(block * burst, 12.0)
        share /= share.sum(axis=1, keepdims=True)
        common = own.standard_normal((60, 60))
        hour.level[group] = level - _LEVEL_VARIANCE / 2
        hour.block[group] = block
        hour.burst[group] = burst
        for number, family in self._numbered():
            if family.group != group:
                continue
            private = self._generator(hour.start_ns // NS_PER_HOUR, _FAMILY_KEY, number)
            sigma = self._sigma[family.name][minutes] * spread
            rest = (1 - family.loading**2) ** 0.5
            step = sigma * (family.loading * moves + rest * private.standard_normal(60))
            fill = (common * 0.98 + private.standard_normal((60, 60)) * 0.2) if rest else common
            hour.mid[family.name] = self._by_second(family.name, step, sigma, share, fill)

    def _by_second(self, family: str, step: Floats, sigma: Floats, share: Floats, noise: Floats) -> Floats:
        """Paths through the minutes' ends: a bridge whose seconds move by their share of the minute's variance."""
        walked = np.cumsum(noise * np.sqrt(share), axis=1)
        passed = np.cumsum(share, axis=1)
        bridge = walked - passed * walked[:, -1:]
        ends = self._end[family] + np.cumsum(step)
        starts = ends - step
        path = np.empty((60, 61))
        path[:, 0] = starts
        path[:, 1:] = starts[:, None] + passed * step[:, None] + (_WICK * sigma)[:, None] * bridge
        self._end[family] = float(ends[-1])
        return path


def _gamma_quantiles(shape: float, count: int) -> Floats:
    """Gamma quantiles at the middles of `count` equal shares, scaled to mean 1; drawing from them is fast.

    With y = x**shape the density becomes exp(-y**(1 / shape)), which is smooth at zero and easily summed up.
    """
    y = np.linspace(0, 40**shape, 20_001)
    density = np.exp(-(y ** (1 / shape)))
    distribution = np.concatenate(([0.0], np.cumsum((density[1:] + density[:-1]) / 2)))
    middles = (np.arange(count) + 0.5) / count
    values = np.interp(middles, distribution / distribution[-1], y) ** (1 / shape)
    scaled: Floats = values / values.mean()
    return scaled


_HALF_QUANTILES = _gamma_quantiles(_HALF_SHAPE, 4096)


def half_burst(generator: np.random.Generator, group: str, shape: tuple[int, ...]) -> Floats:
    """One half of the activity of single seconds, mean about 1, with rare extremes.

    A second's activity is its block times the mean of the group's half and the contract's own half.
    """
    burst: Floats = _HALF_QUANTILES[generator.integers(0, len(_HALF_QUANTILES), shape, np.uint16)]
    chance, size, index = _EXTREME[group]
    extreme = generator.integers(0, burst.size, generator.binomial(burst.size, chance))
    burst.ravel()[extreme] += np.minimum(2 * size * (1 + generator.pareto(index, len(extreme))), _LIMIT)
    return burst


def is_open_hour(hour: int) -> bool:
    """True when the exchange's weekly template is open in this hour since the UTC epoch (no holidays).

    Sunday 18:00 to Friday 17:00 New York without 17:00-18:00 of every day.
    """
    local = datetime.fromtimestamp(hour * 3600, UTC).astimezone(NEW_YORK)
    weekday = local.weekday()  # Monday 0
    if local.hour == 17 or weekday == 5:
        return False
    return not (weekday == 6 and local.hour < 18) and not (weekday == 4 and local.hour > 17)


def open_hours_before(hour: int, count: int, is_open: Callable[[int], bool] | None = is_open_hour) -> int:
    """The hour since the epoch from which `count` open hours lead up to `hour`; `is_open` None: all are."""
    if is_open is None:
        return hour - count
    while count > 0:
        hour -= 1
        count -= is_open(hour)
    return hour
