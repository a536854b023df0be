"""V5: many tests at once, and the p-value of a Monte Carlo test.

Benjamini and Hochberg (J. R. Statist. Soc. B 57, 1995) keep the expected share of false discoveries below q for
independent or positively dependent tests; Benjamini and Yekutieli (Ann. Statist. 29, 2001) under any dependence, at
the price of a factor 1 + 1/2 + ... + 1/m. A Monte Carlo p-value is (r + 1) / (n + 1), r of n draws being at least as
extreme: the observation is one of the possible draws, so it is never 0 (Davison, Hinkley, 1997, 4.2; Phipson, Smyth,
Statist. Appl. Genet. Mol. Biol. 9, 2010).
"""

from typing import Literal

import numpy as np

from tbot.errors import DataError
from tbot.validation.trips import Bools, Floats

Rule = Literal["bh", "by"]
Tail = Literal["greater", "less", "both"]


def adjusted(p_values: Floats, rule: Rule = "bh") -> Floats:
    """Adjusted p-values, in the order given: at most q where a test is a discovery at rate q. DataError for a value
    that is no probability."""
    m = len(p_values)
    if not ((p_values >= 0) & (p_values <= 1)).all():
        raise DataError("a p-value lies outside 0 to 1; test again")
    if not m:
        return np.zeros(0)
    factor = float((1 / np.arange(1, m + 1)).sum()) if rule == "by" else 1.0
    order = np.argsort(p_values, kind="stable")
    raw = p_values[order] * m / np.arange(1, m + 1) * factor
    out = np.empty(m)
    out[order] = np.minimum(np.minimum.accumulate(raw[::-1])[::-1], 1.0)
    return out


def discoveries(p_values: Floats, q: float = 0.05, rule: Rule = "bh") -> Bools:
    """Which tests are discoveries when at most the share `q` of them may be false."""
    return np.asarray(adjusted(p_values, rule) <= q, np.bool_)


def monte_carlo_p(observed: float, draws: Floats, tail: Tail = "greater") -> float:
    """p-value of `observed` among `draws` of the null; "both" doubles the smaller tail. DataError without draws, or
    for an observation or draw that is no number."""
    n = len(draws)
    if not n or not np.isfinite(observed) or not np.isfinite(draws).all():
        raise DataError("a Monte Carlo test needs draws, all of them and the observation finite numbers")
    above = (int((draws >= observed).sum()) + 1) / (n + 1)
    below = (int((draws <= observed).sum()) + 1) / (n + 1)
    return {"greater": above, "less": below, "both": min(1.0, 2 * min(above, below))}[tail]


def percentile_of(observed: float, draws: Floats) -> float:
    """Where `observed` stands among `draws`, 0 to 100, ties counted half: the null percentile of the verdict line."""
    if not len(draws):
        raise DataError("a percentile needs draws; there are none")
    return 100 * float(np.mean(draws < observed) + np.mean(draws == observed) / 2)
