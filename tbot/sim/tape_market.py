"""A recorded tape as a market: its trades and quotes in order of exchange time, none before it and none after.

A contract without quotes on the tape gets derived ones (design ruling 20), by the same code as the backtest. Records of
other kinds (gaps, clocks, history marks of a recording) do not go out: the consumer makes its own.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tbot.domain.contracts import BY_ID, Product
from tbot.domain.timeframes import NS_PER_MIN
from tbot.errors import DataError
from tbot.storage.tape import TapeReader
from tbot.storage.tick_stream import QuoteDeriver
from tbot_ext.records import BAR_DTYPE, TICK_DTYPE, Kind

Ticks = npt.NDArray[np.void]


class TapeMarket:
    """MarketSource over a tape. Memory stays flat for a tape in merge order."""

    def __init__(self, path: Path, symbols: tuple[str, ...] = ()) -> None:
        """Opens the tape; `symbols` limits it to these products (empty: all on it). DataError when nothing is left."""
        self._reader = TapeReader(path)
        # Which contract month the tape names, if it does: ESM8 stands for ES.
        self.names = {contract_id: name for contract_id, name in self._reader.contracts.items() if contract_id in BY_ID}
        wanted = {i for i in self.names if not symbols or BY_ID[i].symbol in symbols}
        first_ns, last_ns, quoted, present = _scan(self._reader, wanted)
        if not present:
            raise DataError(f"The tape {path} holds no trades of {', '.join(symbols) or 'a known product'}.")
        self.contracts: list[Product] = [BY_ID[contract_id] for contract_id in sorted(present)]
        self.first_ns = first_ns
        self.start_ns = first_ns - first_ns % NS_PER_MIN
        self.end_ns: int | None = last_ns
        self.derived = sorted(BY_ID[contract_id].symbol for contract_id in present - quoted)
        deriver = QuoteDeriver({contract_id: BY_ID[contract_id].spread_ticks for contract_id in present - quoted})
        self._chunks = self._play(present, deriver)
        self._chunk: Ticks = np.zeros(0, TICK_DTYPE)

    def advance(self, to_ns: int) -> Ticks:
        """All trades and quotes with exch_ns <= to_ns since the last call, in merge order."""
        parts: list[Ticks] = []
        while True:
            count = int(np.searchsorted(self._chunk["exch_ns"], to_ns, side="right"))
            parts.append(self._chunk[:count])
            self._chunk = self._chunk[count:]
            if len(self._chunk):
                break
            following = next(self._chunks, None)
            if following is None:
                break
            self._chunk = following
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def history(self, symbol: str, from_ns: int, to_ns: int) -> npt.NDArray[np.void]:
        """Nothing: a tape has no bars before its first tick (played minutes are the simulator's own)."""
        return np.zeros(0, BAR_DTYPE)

    def _play(self, wanted: set[int], deriver: QuoteDeriver) -> Iterator[Ticks]:
        for chunk in self._reader.chunks():
            kept = chunk[_plays(chunk, wanted)]
            if len(kept):
                yield deriver.push(kept)


def _plays(ticks: Ticks, contract_ids: set[int]) -> npt.NDArray[np.bool_]:
    """Which records go out: trades with a size and quotes of the wanted contracts."""
    trades = (ticks["kind"] == Kind.TRADE) & (ticks["size"] > 0)
    kinds = trades | (ticks["kind"] == Kind.QUOTE)
    mine: npt.NDArray[np.bool_] = kinds & np.isin(ticks["contract_id"], sorted(contract_ids))
    return mine


def _scan(reader: TapeReader, wanted: set[int]) -> tuple[int, int, set[int], set[int]]:
    """(first ns, last ns, contracts with quotes, contracts with trades) of what will go out; every block is checked."""
    first_ns, last_ns = 2**62, 0
    quoted: set[int] = set()
    present: set[int] = set()
    for block in reader.blocks():
        kept = block[_plays(block, wanted)]
        if not len(kept):
            continue
        first_ns = min(first_ns, int(kept["exch_ns"].min()))
        last_ns = max(last_ns, int(kept["exch_ns"].max()))
        for contract_id in np.unique(kept["contract_id"]).tolist():
            kinds = kept["kind"][kept["contract_id"] == contract_id]
            if np.any(kinds == Kind.QUOTE):
                quoted.add(contract_id)
            if np.any(kinds == Kind.TRADE):
                present.add(contract_id)
    return first_ns, last_ns, quoted, present
