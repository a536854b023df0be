"""Round trips as columns: what most functions of this package take."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from tbot.backtest.results import NONE_TICKS, Table
from tbot.errors import DataError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Names = npt.NDArray[np.str_]


@dataclass(frozen=True, slots=True, eq=False)
class Trips:
    """Round trips in the order in which they ended. Money in cents, times in UTC ns.

    `day` is the trading day of the end as days since 1970-01-01. `risk_cents` is the worst case that was approved (0:
    not known), `worst_cents` the most adverse open result on the way (0 or below; 0 where it was not watched).
    DataError when columns differ in length, a trip ends before it begins or before the one in front of it, or a size or
    tick value is not positive.
    """

    net_cents: Ints
    gross_cents: Ints
    entry_ns: Ints
    exit_ns: Ints
    day: Ints
    risk_cents: Ints
    side: Ints  # +1 or -1
    size: Ints  # contracts
    tick_value_cents: Ints  # of one contract
    contract: Names
    worst_cents: Ints

    def __post_init__(self) -> None:
        for column in fields(self):
            if getattr(self, column.name).shape != self.net_cents.shape or self.net_cents.ndim != 1:
                raise DataError(f"round trips need columns of one length; {column.name} differs from net_cents")
        if (self.exit_ns < self.entry_ns).any():
            raise DataError("a round trip ends before it begins; its times are damaged")
        if (np.diff(self.exit_ns) < 0).any() or (np.diff(self.day) < 0).any():
            raise DataError("round trips must stand in the order in which they ended; sort them first")
        if (self.size <= 0).any() or (self.tick_value_cents <= 0).any():
            raise DataError("a round trip has no contracts or no tick value; it cannot be valued")

    def __len__(self) -> int:
        return len(self.net_cents)

    def select(self, mask: Bools) -> "Trips":
        """The trips where `mask` is true."""
        return Trips(*(getattr(self, column.name)[mask] for column in fields(self)))

    @property
    def net_ticks(self) -> Floats:
        """Net result per contract, in ticks."""
        return np.asarray(self.net_cents / (self.tick_value_cents * self.size), np.float64)

    @property
    def known_risk(self) -> Bools:
        """Where a result in R can be told."""
        return self.risk_cents > 0

    @property
    def net_r(self) -> Floats:
        """Net result in units of the approved risk; nan where the risk is not known."""
        risk = np.where(self.known_risk, self.risk_cents, 1)
        return np.where(self.known_risk, self.net_cents / risk, np.nan)


def trips_of(table: Table, tick_value_cents: Mapping[str, int]) -> Trips:
    """Columns of a backtest's table (TRIP_DTYPE); tick values by contract. DataError as `Trips`, or for a contract
    without a tick value."""
    order = np.argsort(table["closed_ns"], kind="stable")
    rows = table[order]
    unknown = sorted(set(rows["contract"].tolist()) - tick_value_cents.keys())
    if unknown:
        raise DataError(f"no tick value is known of {', '.join(unknown)}; only known products can be valued")
    value = np.array([tick_value_cents[name] for name in rows["contract"].tolist()], np.int64)
    size = rows["size"].astype(np.int64)
    adverse = np.where(rows["mae_ticks"] == NONE_TICKS, 0, rows["mae_ticks"]).astype(np.int64)
    return Trips(
        net_cents=rows["net_cents"].astype(np.int64),
        gross_cents=rows["gross_cents"].astype(np.int64),
        entry_ns=rows["opened_ns"].astype(np.int64),
        exit_ns=rows["closed_ns"].astype(np.int64),
        day=rows["day"].astype(np.int64),
        risk_cents=rows["risk_cents"].astype(np.int64),
        side=rows["side"].astype(np.int64),
        size=size,
        tick_value_cents=value,
        contract=rows["contract"].astype(np.str_),
        worst_cents=-adverse * value * size,
    )
