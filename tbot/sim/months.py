"""The simulated venue's contracts: the active month of each product, earlier ones, and what is known of their prices.

A month has a key: the product's symbol while it is the active one, `MNQ.Z26` after that. Everything of an account that
belongs to a month carries its key. Ticks of the market source are those of the active month; an earlier month that is
still known goes on at the same ticks less the offset of its roll, so that what is held there has a price. [SIM]
"""

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from tbot.domain.contracts import BY_ID, BY_ROOT, Contract, contract_from_broker_id, parse_broker_id
from tbot.execution.fill_model import FillSettings, MarketState, market_of
from tbot.execution.market_state import Activity
from tbot.sim.listing import next_contract, was_listed
from tbot_ext.records import NO_PRICE, Flag, Kind

_TRADE, _QUOTE = int(Kind.TRADE), int(Kind.QUOTE)
FEW = 32  # ticks that are looked at one by one; more are worth an array operation

MORE = ("exch_ns", "size", "side", "flags", "aux")  # fields of a tick that only the fill model asks for
More = tuple[int, ...]


class Months:
    """`contracts`, `products` and `states` by key."""

    def __init__(self, contracts: Iterable[Contract], settings: FillSettings | None = None) -> None:
        self.contracts: dict[str, Contract] = {contract.product.symbol: contract for contract in contracts}
        self.products = {symbol: contract.product for symbol, contract in self.contracts.items()}
        fills = settings or FillSettings()
        self.states = {symbol: market_of(product, fills) for symbol, product in self.products.items()}
        self.inactive: set[str] = set()  # symbols whose month nobody may trade and no list shows
        self._keys = {contract.broker_id: symbol for symbol, contract in self.contracts.items()}
        # symbol -> (key, ticks by which the source's prices are above this month's), the active month first
        self._followers: dict[str, list[tuple[str, int]]] = {symbol: [(symbol, 0)] for symbol in self.contracts}

    def listed(self) -> list[Contract]:
        """The active months."""
        return [self.contracts[symbol] for symbol in self._followers if symbol not in self.inactive]

    def keys_of(self, symbol: str) -> list[str]:
        """All keys of a product, the active month's first; ValueError when the venue does not list it."""
        if symbol not in self._followers:
            raise ValueError(f"the venue does not list {symbol!r}; it lists {', '.join(self._followers)}")
        return [key for key, _ in self._followers[symbol]]

    def key_of(self, broker_id: str) -> str | None:
        """The key of a month that is or was active here."""
        return self._keys.get(broker_id)

    def find(self, broker_id: str) -> tuple[Contract, bool] | None:
        """(contract, whether it is the active month) behind an id; None when the venue does not list the product."""
        key = self._keys.get(broker_id)
        if key is not None:
            return self.contracts[key], key in self._followers and key not in self.inactive
        try:
            root, month, year = parse_broker_id(broker_id)
        except ValueError:
            return None
        product = BY_ROOT.get(root)
        if product is None or product.symbol not in self._followers or not was_listed(product, month):
            return None
        return Contract(product, broker_id, f"{product.symbol}{month}{year % 10}"), False

    def roll(self, symbol: str, offset_ticks: int, to: str | None) -> tuple[Contract, str]:
        """The next month (or the one with the id `to`) becomes active; (that month, the new key of the old one)."""
        self.keys_of(symbol)
        old = self.contracts[symbol]
        new = next_contract(old) if to is None else contract_from_broker_id(to)
        if new.product is not old.product or new.broker_id in self._keys:
            raise ValueError(
                f"{new.broker_id} cannot follow {old.broker_id}: another product, or a month that was active"
            )
        key = f"{symbol}.{old.broker_id.rpartition('.')[2]}"
        state = self.states[symbol]
        self.contracts |= {key: old, symbol: new}
        self.products[key] = old.product
        self.states |= {key: state, symbol: _shifted(state, offset_ticks)}
        self._keys |= {old.broker_id: key, new.broker_id: symbol}
        earlier = [(name, offset + offset_ticks) for name, offset in self._followers[symbol][1:]]
        self._followers[symbol] = [(symbol, 0), (key, offset_ticks), *earlier]
        self.inactive.discard(symbol)
        return new, key

    # ------------------------------------------------------------------------------------------------------ ticks
    def take(
        self, contract_id: int, kind: int, price: int, price2: int, more: More = (0, 0, 0, 0, 0)
    ) -> Iterator[tuple[str, MarketState, int | None]]:
        """Take one tick in; (key, state, price if it is a trade) of every month that it moves."""
        at_ns, size, side, flags, aux = more
        for key, offset in self._followers.get(BY_ID[contract_id].symbol, ()):
            state = self.states[key]
            if kind == _TRADE:
                state.on_trade(price - offset, at_ns, size, flags, aux, side)
                yield key, state, price - offset
            elif kind == _QUOTE and state.on_quote(_less(price, offset), _less(price2, offset), flags):
                yield key, state, None

    def skip(self, ticks: npt.NDArray[np.void]) -> None:
        """Move all months of these ticks to the newest quote and trade at once."""
        if len(ticks) <= FEW:
            columns = (ticks[name].tolist() for name in ("contract_id", "kind", "price", "price2", *MORE))
            for number, kind, price, price2, *few in zip(*columns, strict=True):
                for _ in self.take(number, kind, price, price2, tuple(few)):
                    pass
            return
        for contract_id in np.unique(ticks["contract_id"]).tolist():
            own = ticks[ticks["contract_id"] == contract_id]
            for kind, count in ((_QUOTE, 1), (_TRADE, 2)):  # a trade stands where the one before it ended (bars)
                rows = np.flatnonzero(own["kind"] == kind)
                if kind == _TRADE and len(rows) > count:
                    self._absorb(own[rows[:-count]])
                for last in own[rows[-count:]]:
                    more = tuple(int(last[name]) for name in MORE)
                    for _ in self.take(contract_id, kind, int(last["price"]), int(last["price2"]), more):
                        pass

    def _absorb(self, trades: npt.NDArray[np.void]) -> None:
        """What slippage is measured by misses no trade (MarketState.activity)."""
        for key, offset in self._followers.get(BY_ID[int(trades["contract_id"][0])].symbol, ()):
            activity = self.states[key].activity
            if activity is not None:
                sizes = np.where(trades["flags"] & Flag.SIZE_UNKNOWN, 0, trades["size"]).astype(np.int64)
                activity.absorb(trades["exch_ns"], trades["price"] - offset, sizes)


def _less(price: int, offset: int) -> int:
    return price if price == NO_PRICE else price - offset


def _shifted(state: MarketState, ticks: int) -> MarketState:
    bid, ask, last = (None if price is None else price + ticks for price in (state.bid, state.ask, state.last))
    activity = None if state.activity is None else Activity()
    return MarketState(state.spread_ticks, bid, ask, last, hourly=state.hourly, activity=activity)
