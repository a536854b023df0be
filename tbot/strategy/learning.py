"""From outcomes to weights: how far past results of a pattern move its score. Pure, and the same in every mode.

A pattern is a kind of zone on one timeframe of one contract. Of its outcomes that were known before the trading day
began (`resolved_ns`), each counts 0.5 ** (age in trading dates / half life), divided by how many setups of its side
were triggered at the same close, since they share one market. With these as n, two expectations are made:

* normal, of the result in R:  mu = (sum r + k * mu_others) / (n + k)
* Beta, of winning: p = (wins + k * p_others) / (n + k), the mean of Beta(k p_others + wins, k (1 - p_others) + n -
  wins), against the share q that is needed to lose nothing; its worth in R is (p - q) * span.

What the others say is pooled step by step, each time without what is judged: of a timeframe the contract's other
timeframes, of those the same kind in other markets, and above that nothing: an expectation of 0 R. k is
`prior_outcomes`; 200 is the ratio of variances that belongs to brackets with a deviation of 1.4 R whose true
expectations differ by 0.1 R. The edge is the smaller of both expectations where they have one sign, else 0: a few large
winners move nothing unless the target is also reached more often than it must be. Then

    weight = 1 + most * tanh(slope * edge / most),   rounded to 4 digits,

which grows by `slope` for each R at first and never leaves 1 +- most. Mini and micro of one market are one market:
whichever of them has more outcomes speaks for both.

Sources: shrinkage by the ratio of variances: Efron, Morris, Scientific American 236(5), 1977; Gelman et al., Bayesian
Data Analysis, 3rd ed., sections 2.4 (Beta), 2.5 and 5.4 (normal, hierarchical). Exponential forgetting: as RiskMetrics
Technical Document, 1996, section 5.2.
"""

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from tbot.domain.contracts import PRODUCTS
from tbot.domain.timeframes import TIMEFRAMES_MIN
from tbot.domain.trading_hours import trading_day
from tbot.strategy.learning_settings import LearningSettings
from tbot.strategy.outcomes import KINDS, DayWeights, PatternWeight, Rows, counts, needed, results_r

Key = tuple[str, str, int]  # product symbol, kind, timeframe in minutes
WeightSource = Callable[[int], DayWeights]  # start of a trading day -> the weights of that day, of one contract

_NEUTRAL_SPAN = 2.5
_NEUTRAL_NEEDED = 0.4


@dataclass(slots=True)
class Sums:
    """Decayed sums over outcomes; `count` is how many they were, undecayed and undivided."""

    count: int = 0
    n: float = 0.0
    wins: float = 0.0
    r: float = 0.0
    needed: float = 0.0
    span: float = 0.0

    def add(self, other: "Sums", factor: float = 1.0) -> None:
        """Take in others, each worth `factor`."""
        self.count += other.count
        self.n += other.n * factor
        self.wins += other.wins * factor
        self.r += other.r * factor
        self.needed += other.needed * factor
        self.span += other.span * factor


@dataclass(frozen=True, slots=True)
class Belief:
    """Expectations about a pattern or a pool of patterns."""

    mu: float = 0.0  # R
    excess: float = 0.0  # share of targets reached beyond what is needed


@dataclass(frozen=True, slots=True)
class Judged:
    """One pattern, what its own outcomes say, and what is made of it."""

    symbol: str
    kind: str
    timeframe_min: int
    own: Sums
    others: Belief  # of its relatives
    posterior: Belief
    edge_r: float
    weight: float


def updated(belief: Belief, sums: Sums, k: float) -> Belief:
    """What is expected after these outcomes when `belief` was expected before."""
    total = sums.n + k
    return Belief((sums.r + k * belief.mu) / total, (sums.wins - sums.needed + k * belief.excess) / total)


def edge_of(belief: Belief, span: float) -> float:
    """The smaller of both expectations in R, 0 when they disagree."""
    by_share = belief.excess * span
    if belief.mu * by_share <= 0:
        return 0.0
    return math.copysign(min(abs(belief.mu), abs(by_share)), belief.mu)


def weight_of(edge_r: float, settings: LearningSettings) -> float:
    """See the module."""
    return round(1.0 + settings.most * math.tanh(settings.slope * edge_r / settings.most), 4)


@dataclass(frozen=True)
class Weights:
    """What is believed at the start of a trading day, of all contracts."""

    day: int  # trading date, as date.toordinal tells it
    day_start_ns: int
    settings: LearningSettings
    sums: Mapping[Key, Sums] = field(default_factory=dict)

    @property
    def outcomes(self) -> int:
        """Known before the day."""
        return sum(sums.count for sums in self.sums.values())

    @cached_property
    def version(self) -> str:
        """Names these weights: equal names, equal weights. "" when nothing has been learned."""
        rows = [
            (one.symbol, one.kind, one.timeframe_min, one.own.count, one.weight)
            for one in map(self.judge, sorted(self.sums))
        ]
        return hashlib.blake2b(repr(rows).encode(), digest_size=4).hexdigest() if rows else ""

    def judge(self, key: Key) -> Judged:
        """One pattern, whether or not it has outcomes of its own."""
        symbol, kind, timeframe_min = key
        k, own = self.settings.prior_outcomes, self.sums.get(key, Sums())
        belief = updated(Belief(), self._elsewhere(symbol, kind), k)
        siblings = Sums()
        for minutes in TIMEFRAMES_MIN:
            if minutes != timeframe_min and (symbol, kind, minutes) in self.sums:
                siblings.add(self.sums[symbol, kind, minutes])
        belief = updated(belief, siblings, k)
        after = updated(belief, own, k)
        total = own.n + k
        span = (own.span + k * _NEUTRAL_SPAN) / total
        edge = edge_of(after, span)
        return Judged(symbol, kind, timeframe_min, own, belief, after, edge, weight_of(edge, self.settings))

    @cached_property
    def _markets(self) -> dict[str, dict[str, Sums]]:
        """Of each kind all timeframes of each market, told by its product with the most outcomes."""
        by_product: dict[tuple[str, str], Sums] = {}
        for (product, kind, _), sums in sorted(self.sums.items()):
            by_product.setdefault((kind, product), Sums()).add(sums)
        chosen: dict[str, dict[str, Sums]] = {}
        for (kind, product), sums in by_product.items():  # in order of their names
            known = chosen.setdefault(kind, {}).get(_family(product))
            if known is None or sums.n > known.n:
                chosen[kind][_family(product)] = sums
        return chosen

    def _elsewhere(self, symbol: str, kind: str) -> Sums:
        """The same kind in other markets."""
        pooled = Sums()
        for family, sums in sorted(self._markets.get(kind, {}).items()):
            if family != _family(symbol):
                pooled.add(sums)
        return pooled

    def of(self, symbol: str) -> DayWeights:
        """As one contract's strategy takes them."""
        if not self.sums:
            return DayWeights(self.day_start_ns, "")
        judged = (self.judge((symbol, kind, minutes)) for kind in KINDS for minutes in TIMEFRAMES_MIN)
        patterns = tuple(
            PatternWeight(one.kind, one.timeframe_min, one.weight, one.own.count, round(one.edge_r, 4))
            for one in judged
            if one.weight != 1.0
        )
        return DayWeights(self.day_start_ns, self.version, patterns)


class Ledger:
    """Outcomes of all contracts in order of their trading days, as sums; gives the weights of each day. Bounded.

    Weights of a day rest on the outcomes that were resolved on earlier trading days and on no other, in whatever order
    days are asked for and outcomes come in: those of a day that has not been closed wait apart.
    """

    _KEPT_DAYS = 4

    def __init__(self, settings: LearningSettings) -> None:
        self._settings = settings
        self._cells: dict[Key, Sums] = {}  # decayed to the day `_at`
        self._at = 0
        self._waiting: dict[int, dict[Key, Sums]] = {}  # by day, of days not before `_at`
        self._given: dict[int, Weights] = {}
        self.added = 0

    def add(self, symbol: str, rows: Rows) -> None:
        """Take in outcomes of one contract, in order of their resolution; those that count are kept."""
        rows = rows[counts(rows)]
        if not len(rows):
            return
        product = PRODUCTS[symbol]
        result, (share, span) = results_r(rows, product), needed(rows, product)
        for index, row in enumerate(rows.tolist()):
            named = dict(zip(rows.dtype.names or (), row, strict=True))
            day = trading_day(named["resolved_ns"]).toordinal()
            worth = 1.0 / max(1, named["together"])
            one = Sums(1, worth, worth * (result[index] > 0), worth * float(result[index]))
            one.needed, one.span = worth * float(share[index]), worth * float(span[index])
            self._put(max(day, self._at), (symbol, KINDS[named["kind"]], named["timeframe_min"]), one)
        self.added += len(rows)

    def _put(self, day: int, key: Key, sums: Sums) -> None:
        self._waiting.setdefault(day, {}).setdefault(key, Sums()).add(sums)

    def weights(self, day_start_ns: int) -> Weights:
        """Of the trading day that begins then. Days go forward; of an earlier day than the last only the newest few
        are still known, and of others nothing is."""
        day = trading_day(day_start_ns).toordinal()
        if day in self._given:
            return self._given[day]
        if day < self._at:
            return Weights(day, day_start_ns, self._settings)
        for earlier in sorted(one for one in self._waiting if one < day):
            self._decay_to(earlier)
            for key, sums in self._waiting.pop(earlier).items():
                self._cells.setdefault(key, Sums()).add(sums)
        self._decay_to(day)
        given = Weights(day, day_start_ns, self._settings, {key: replace(sums) for key, sums in self._cells.items()})
        self._given[day] = given
        for old in sorted(self._given)[: -self._KEPT_DAYS]:
            del self._given[old]
        return given

    def _decay_to(self, day: int) -> None:
        if self._at and day > self._at:
            factor = 0.5 ** ((day - self._at) / self._settings.half_life_days)
            for key, sums in self._cells.items():
                faded = Sums(sums.count)
                faded.add(replace(sums, count=0), factor)
                self._cells[key] = faded
        self._at = max(self._at, day)

    def source(self, symbol: str) -> WeightSource:
        """For the strategy of one contract."""
        return lambda day_start_ns: self.weights(day_start_ns).of(symbol)


def table_of(day: DayWeights) -> list[list[float]]:
    """By kind, then by timeframe, as the compiled part takes them."""
    return [[day.of(kind, minutes).weight for minutes in TIMEFRAMES_MIN] for kind in KINDS]


def _family(symbol: str) -> str:
    return PRODUCTS[symbol].family if symbol in PRODUCTS else symbol
