"""What the audits read: 1m bars of files and tapes, the contract they are of, and the timeframes made of them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt

from tbot.analytics import bar_tables as tables
from tbot.backtest.source import Source
from tbot.domain.contracts import BY_ID, PRODUCTS, Product
from tbot.domain.timeframes import NAMES
from tbot.errors import ConfigError, DataError
from tbot.storage.foreign_columns import product_of
from tbot.storage.sources import is_tape, open_sources
from tbot_ext.bars import BarBuilder, join_minutes, mark_session_breaks

Bars = npt.NDArray[np.void]
LEAST_BARS = 2


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
    """Each file in turn, of a tape each contract. DataError for one that holds no 1m bars of a known contract."""
    for path in paths:
        if is_tape(path):
            yield from _of_tape(path, contract)
            continue
        product = product_of(path, PRODUCTS, contract)
        columns = tables.file_columns(path)
        minutes = tables.bars_of(path, columns, product.tick_size, 1, data_tz)
        yield BarFile(path, product, _enough(path, minutes))


def _of_tape(path: Path, contract: str | None) -> Iterator[BarFile]:
    """1m bars of a tape's ticks, as the engine builds them; `contract`: of this one only."""
    with open_sources([path]) as source:
        symbols = [symbol for symbol in source.contracts.values() if contract in (None, symbol)]
        if not symbols:
            held = ", ".join(source.contracts.values())
            raise DataError(f"{path} holds no {contract}, but {held}; give one of these with --contract")
        yield from source_bars(source, path, symbols)


def source_bars(source: Source, path: Path, symbols: Iterable[str]) -> Iterator[BarFile]:
    """1m bars of some contracts of a source, as the engine builds them; `path` names it in errors."""
    builders = {PRODUCTS[symbol].contract_id: BarBuilder() for symbol in symbols}
    parts: dict[int, list[Bars]] = {number: [] for number in builders}
    for chunk in source.stream():
        for number, builder in builders.items():
            bars = builder.push_ticks(chunk[chunk["contract_id"] == number])
            parts[number].append(bars[bars["timeframe_min"] == 1])
    for number, found in parts.items():
        yield BarFile(path, BY_ID[number], _enough(path, mark_session_breaks(np.concatenate(found))))


def _enough(path: Path, minutes: Bars) -> Bars:
    if len(minutes) < LEAST_BARS:
        raise DataError(f"{path} holds {len(minutes)} bars; an audit needs some hundreds of 1m bars")
    return minutes


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
