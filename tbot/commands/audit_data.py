"""Files of bars for the audits: 1m bars, the contract they are of, and the timeframes made of them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt

from tbot.analytics import bar_tables as tables
from tbot.domain.contracts import PRODUCTS, Product
from tbot.domain.timeframes import NAMES
from tbot.errors import ConfigError, DataError
from tbot.storage.foreign_columns import product_of
from tbot_ext.bars import join_minutes

Bars = npt.NDArray[np.void]


@dataclass(frozen=True, slots=True)
class BarFile:
    """1m bars of one contract."""

    path: Path
    product: Product
    minutes: Bars

    def bars(self, timeframe_min: int) -> Bars:
        """Bars of a timeframe, put together as the engine does it live."""
        return self.minutes if timeframe_min == 1 else join_minutes(self.minutes, timeframe_min)


def bar_files(paths: Iterable[Path], contract: str | None, data_tz: str | None) -> Iterator[BarFile]:
    """Each file in turn. DataError for one that holds no 1m bars of a known contract."""
    for path in paths:
        product = product_of(path, PRODUCTS, contract)
        columns = tables.file_columns(path)
        minutes = tables.bars_of(path, columns, product.tick_size, 1, data_tz)
        if len(minutes) < 2:
            raise DataError(f"{path} holds {len(minutes)} bars; an audit needs some hundreds of 1m bars")
        yield BarFile(path, product, minutes)


def parse_timeframes(text: str) -> tuple[int, ...]:
    """`1m,5m` as minutes, each once; ConfigError names what is none."""
    chosen = tuple(dict.fromkeys(tables.parse_timeframe(word) for word in text.split(",") if word.strip()))
    if not chosen:
        raise ConfigError(f"no timeframe was named; choose from {', '.join(NAMES.values())}")
    return chosen


def teller(quiet: bool) -> Callable[[str], None]:
    """Says on stderr what is being done; silent when asked to be."""

    def tell(text: str) -> None:
        if not quiet:
            click.echo(f"tbot: {text}", err=True)

    return tell
