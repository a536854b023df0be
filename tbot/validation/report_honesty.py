"""The honesty section of a report: each feature V1 to V14 in one line, with its number, or why it has none.

V15 is the verdict line itself. What is not there names the command that gives it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from tbot.backtest.results import BacktestResult
from tbot.validation.assess import FEWEST_FOR_PBO, FEWEST_FOR_SCORES, Assessment
from tbot.validation.report_words import FALL, MONEY, SHARE, SIGNED, Extra, between, money, number, percent

# The command that gives what a plain backtest does not have.
ASK = {
    "V1": "tbot audit lookahead",
    "V4": "tbot audit levels",
    "V5": "tbot audit paths",
    "V7": "tbot sweep or tbot walkforward",
    "V8": "tbot sweep",
    "V10": "tbot backtest with a Combine's rules",
    "V13": "tbot audit parity",
    "V14": "tbot backtest or tbot sweep --holdout",
}
_LONGEST = 4  # names in a list


@dataclass(frozen=True, slots=True)
class Feature:
    """One line. `known` False: the text says why, and `ask` how to get it."""

    key: str  # V1 ... V14
    title: str
    known: bool
    text: str
    ask: str = ""

    @property
    def line(self) -> str:
        """Text, with the command where there is nothing yet."""
        return f"{self.text}; ask: {self.ask}" if self.ask and not self.known else self.text


def features(result: BacktestResult, judged: Assessment, extra: Extra) -> tuple[Feature, ...]:
    """All of them, in order."""
    return tuple(_features(result, judged, extra))


def _features(result: BacktestResult, judged: Assessment, extra: Extra) -> Iterator[Feature]:
    yield _missing("V1", "look-ahead audit", "not part of a backtest")
    kind = "bars" if result.synthetic else "ticks"
    touched = "both touched is a stop" if extra.fills.intrabar == "pessimistic" else "order inside bars invented"
    yield Feature("V2", "event time", True, f"decided at bar closes, filled on later {kind}; {touched}")
    yield _costs(judged)
    yield _null(judged)
    yield _missing("V5", "price-path nulls", "not part of a backtest")
    yield from _trials(judged)
    yield _missing("V8", "parameter surface", "one set of parameters has no neighbours")
    yield _spread(judged)
    yield _account(judged)
    yield _scores(judged)
    yield _regimes(judged)
    yield _missing("V13", "parity", "what was recorded live is compared by a replay of it")
    if extra.holdout:
        yield Feature("V14", "locked hold-out", True, extra.holdout)
    else:
        yield _missing("V14", "locked hold-out", "all of the data was looked at")


def _missing(key: str, title: str, why: str) -> Feature:
    return Feature(key, title, False, why, ASK[key])


def _costs(judged: Assessment) -> Feature:
    curve = judged.costs
    if curve is None:
        return Feature("V3", "costs", False, "no trades, so no costs")
    if curve.dies_at == 0:
        end = "loses even without costs"
    elif math.isinf(curve.dies_at):
        end = "bears any costs"
    else:
        end = f"nothing is left at {curve.dies_at:.2f} x"
    parts = ", ".join(f"{name} {money(cents, signed=False)}" for name, cents in curve.parts_cents)
    return Feature("V3", "costs", True, f"{money(curve.costs_cents, signed=False)} ({parts}); {end}")


def _null(judged: Assessment) -> Feature:
    percentile = judged.verdict.null_percentile
    if percentile is None:
        return _missing("V4", "random levels", judged.null_missing or "the zones were not set against random ones")
    told = "" if percentile >= 95 else " (not distinguishable from random levels)"
    return Feature("V4", "random levels", True, f"above {math.floor(percentile)} % of random levels{told}")


def _trials(judged: Assessment) -> Iterator[Feature]:
    tried, sharpe = judged.trials, judged.sharpe
    word = "trial" if tried.trials == 1 else "trials"
    count = f"{tried.trials} {word} on record over these data, {max(1.0, tried.cautious):.1f} effective"
    if not judged.days_enough or sharpe is None:
        yield Feature("V6", "trials", True, f"{count}; too few days with results for a Sharpe ratio")
    else:
        length = f"{math.ceil(sharpe.min_track_record):,} days" if math.isfinite(sharpe.min_track_record) else ""
        needed = f"needs {length}, has {sharpe.moments.n}" if length else "no number of such days would do"
        yield Feature(
            "V6",
            "trials",
            True,
            f"{count}; probabilistic Sharpe {number(sharpe.psr)}, deflated {number(sharpe.dsr)}; "
            f"track record: {needed}",
        )
    if judged.pbo is None:
        least = f"needs {FEWEST_FOR_PBO[0]} differing trials over {FEWEST_FOR_PBO[1]} days"
        yield _missing("V7", "overfitting", f"PBO not known: it {least}")
    else:
        word = " (more likely than not)" if judged.pbo >= 0.5 else ""
        yield Feature("V7", "overfitting", True, f"probability of backtest overfitting {percent(judged.pbo)}{word}")


def _spread(judged: Assessment) -> Feature:
    if judged.expectancy_cents is None:
        return Feature("V9", "errors by day", False, "no trades")
    told = f"{between(judged.expectancy_cents, MONEY)} a trade, {between(judged.expectancy_ticks, SIGNED)} ticks"
    return Feature("V9", "errors by day", True, f"{told}; drawdown {between(judged.drawdown_cents, FALL)}")


def _account(judged: Assessment) -> Feature:
    odds = judged.odds
    if odds is None:
        return _missing("V10", "odds of a Combine", judged.odds_missing)
    told = f"passes {between(odds.passed, SHARE)}"
    if odds.days_to_pass is not None:
        told += f", median {odds.days_to_pass.estimate:.0f} days"
    worst = max(odds.failures.items(), key=lambda entry: entry[1].estimate)
    if worst[1].estimate > 0:
        told += f"; fails most by {failure_words(worst[0])} ({percent(worst[1].estimate)})"
    if odds.value_cents.estimate or odds.fees_cents.estimate:
        told += f"; worth {between(odds.value_cents, MONEY)} an attempt"
    return Feature("V10", "odds of a Combine", True, told)


def failure_words(name: str) -> str:
    """Why an attempt failed, in words."""
    return {
        "max_loss": "maximum loss",
        "no_room": "no room above the floor",
        "daily_limit": "daily limit",
        "consistency": "consistency",
        "timeout": "time",
    }.get(name, name)


def _scores(judged: Assessment) -> Feature:
    quality = judged.scores
    if quality is None:
        return Feature("V11", "score", False, f"fewer than {FEWEST_FOR_SCORES} trades that came from a signal")
    told = f"Brier {number(quality.reliability.brier, 3)}, skill {number(quality.reliability.skill, signed=True)}, "
    told += f"rank correlation {number(quality.monotonicity.rho, signed=True)} (p {quality.monotonicity.p_value:.2f})"
    idle = quality.components.adding_nothing
    if idle:
        told += f"; adds nothing: {_list(idle)}"
    return Feature("V11", "score", True, told)


def _regimes(judged: Assessment) -> Feature:
    regimes = judged.regimes
    if regimes is None:
        return Feature("V12", "regimes", False, "no trades")
    tested = sum(group.p_value is not None for group in regimes.groups)
    found = [
        f"{group.dimension} {group.label} ({number(group.expectancy.estimate, 1, signed=True)} ticks)"
        for group in regimes.standing_out
    ]
    told = f"{len(regimes.groups)} groups, {tested} with days enough for a test; stands out: "
    return Feature("V12", "regimes", True, told + (_list(found) if found else "none"))


def _list(names: tuple[str, ...] | list[str]) -> str:
    rest = len(names) - _LONGEST
    return ", ".join(names[:_LONGEST]) + (f" and {rest} more" if rest > 0 else "")
