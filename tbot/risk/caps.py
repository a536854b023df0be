"""Largest positions for a stretch of time: what the firm announces by e-mail, and the minutes around CPI (TR5).

The gateway shows neither (topstep-rules.md 2.6), so the owner writes them down; `storage/limits_override.py` reads the
file. Ten micros count as one mini here too: what a cap leaves for a product is lessened by the whole exposure in its
underlying, minis and micros together.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from tbot.domain.contracts import Product
from tbot.domain.timeframes import NS_PER_MIN
from tbot.errors import ConfigError
from tbot.risk.firm import FirmRules

EVERY_PRODUCT = "*"
CPI_AROUND_NS = 5 * NS_PER_MIN  # before and after a release, both ends included


@dataclass(frozen=True, slots=True)
class Cap:
    """At most `most` contracts of a product while from_ns <= now <= to_ns. ConfigError when it makes no sense.

    `cpi`: the minutes around a CPI release; how many contracts of which product is then the firm's rule
    (FirmRules.cpi_limits), and `product` and `most` say nothing.
    """

    product: str  # symbol, or "*"
    most: int
    from_ns: int  # UTC ns
    to_ns: int
    source: str
    cpi: bool = False

    def __post_init__(self) -> None:
        if type(self.most) is not int or not 0 <= self.most <= 1_000:
            raise ConfigError(f"the cap of {self.product} is {self.most!r}; allowed: a whole number 0 to 1000")
        if self.from_ns >= self.to_ns:
            raise ConfigError(f"the cap of {self.product} ends before it begins")

    def holds(self, now_ns: int) -> bool:
        """Whether it is in force."""
        return self.from_ns <= now_ns <= self.to_ns


def cpi_cap(at_ns: int, source: str) -> Cap:
    """The minutes around a CPI release at `at_ns`."""
    return Cap(EVERY_PRODUCT, 0, at_ns - CPI_AROUND_NS, at_ns + CPI_AROUND_NS, source, cpi=True)


def most_contracts(
    product: Product, now_ns: int, caps: Iterable[Cap], rules: FirmRules | None
) -> tuple[int, str] | None:
    """(fewest contracts that anything in force allows of a product, who says so); None: nothing is in force for it."""
    found: list[tuple[int, str]] = []
    if rules is not None:
        found += [(most, "the firm's limit") for name, most in rules.product_limits if name == product.symbol]
    for cap in caps:
        if not cap.holds(now_ns):
            continue
        if not cap.cpi:
            if cap.product in (product.symbol, EVERY_PRODUCT):
                found.append((cap.most, cap.source))
        elif rules is not None:
            found += [(most, "CPI release") for name, most in rules.cpi_limits if name == product.symbol]
    return min(found, default=None)
