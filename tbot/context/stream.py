"""The facts among the records of a stream: how backtest and replay get what a live feed writes into its rings.

A pure wrapper: records in merge order in, the same records and CONTEXT records out, at the exchange times at which a
feed that is never late would have written them. What it does not make itself it leaves as it was recorded, so the tape
of a session tells again what was told then. The result does not depend on where the stream was cut.
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from tbot.context.dxy import LEG_IDS, DollarIndex
from tbot.context.news import Calendar
from tbot.context.news_settings import NewsSettings
from tbot.context.news_windows import NewsTeller, Told
from tbot.domain.context import ContextKey
from tbot.strategy.dollar import DollarSettings
from tbot_ext.records import TICK_DTYPE, Kind

Ticks = npt.NDArray[np.void]

# A minute is told this long after its end, as a quiet bar is closed (smc.md section 1).
GRACE_NS = 250_000_000
_DOLLAR, _NEWS = (ContextKey.DOLLAR,), (ContextKey.NEWS_EVEN, ContextKey.NEWS_ODD)


class ContextStream:
    """Puts the facts for some contracts into a stream of these and others.

    `told`: ids of the contracts that hear them. `dollar` None: the index is not made; `news` None: there is no
    calendar. `hidden`: contracts that serve the index alone, whose own records go no further.
    """

    def __init__(
        self,
        told: Iterable[int],
        *,
        dollar: DollarIndex | None = None,
        news: NewsTeller | None = None,
        hidden: Iterable[int] = (),
    ) -> None:
        self._told = sorted(told)
        self._dollar = dollar
        self._news = news
        self._hidden = np.array(sorted(hidden), np.int64)
        self._made = (*(_DOLLAR if dollar is not None else ()), *(_NEWS if news is not None else ()))
        self._waiting: list[Told] = []  # by time; not due yet
        self._begun = False

    def push(self, ticks: Ticks) -> Ticks:
        """The next records in merge order, with what is to be told up to the newest of them."""
        if not len(ticks):
            return ticks
        horizon = int(ticks["exch_ns"][-1])
        if not self._begun:
            # One tick of the clock later: what opens a stream (see replay_stream) stays in front of everything.
            self._begun = True
            if self._news is not None:
                self._waiting += self._news.until(int(ticks["exch_ns"][0]) + 1)
        if self._dollar is not None:
            for close in self._dollar.push(ticks):
                at_ns = close.end_ns + GRACE_NS
                self._waiting += [Told(at_ns, number, close.of(number).record()) for number in self._told]
        if self._news is not None:
            self._waiting += self._news.until(horizon)
        self._waiting.sort(key=lambda told: (told.at_ns, told.contract_id, told.record.key))
        due = [told for told in self._waiting if told.at_ns <= horizon]
        self._waiting = self._waiting[len(due) :]
        return _inserted(self._passed(ticks), context_ticks(due))

    def _passed(self, ticks: Ticks) -> Ticks:
        """The records that go further: not those of hidden contracts, nor recorded facts that are made anew."""
        dropped = np.isin(ticks["contract_id"], self._hidden) if len(self._hidden) else np.zeros(len(ticks), bool)
        if self._made:
            dropped |= (ticks["kind"] == Kind.CONTEXT) & np.isin(ticks["aux"], self._made)
        return np.asarray(ticks[~dropped]) if np.any(dropped) else ticks


def context_ticks(told: Iterable[Told]) -> Ticks:
    """As records of a stream."""
    told = list(told)
    out = np.zeros(len(told), TICK_DTYPE)
    for row, one in zip(out, told, strict=True):
        record = one.record
        row["exch_ns"] = row["recv_ns"] = one.at_ns
        row["kind"], row["contract_id"], row["aux"] = Kind.CONTEXT, one.contract_id, record.key
        row["side"], row["price"], row["price2"] = record.side, record.price, record.price2
        row["size"], row["volume"], row["flags"] = record.size, record.volume, record.flags
    return out


def _inserted(ticks: Ticks, facts: Ticks) -> Ticks:
    """Each fact before the records of its instant."""
    if not len(facts):
        return ticks
    before = np.searchsorted(ticks["exch_ns"], facts["exch_ns"], side="left")
    out = np.empty(len(ticks) + len(facts), TICK_DTYPE)
    out[before + np.arange(len(facts))] = facts
    edges = [0, *before.tolist(), len(ticks)]
    for number, (start, end) in enumerate(pairwise(edges)):
        if start < end:
            out[start + number : end + number] = ticks[start:end]
    return out


def with_context(
    chunks: Iterable[Ticks],
    contracts: Iterable[int],
    dollar: DollarSettings,
    news: NewsSettings,
    calendar: Calendar | None,
    traded: Iterable[int] | None = None,
) -> Iterator[Ticks]:
    """A stream of these contracts with the facts that its settings ask for.

    The index is made where it is followed and all of its futures are there. `calendar` None: no news. `traded`: who
    hears them, None: all but the futures of the index; the others go no further.
    """
    numbers = sorted(contracts)
    told = told_contracts(numbers) if traded is None else sorted(set(numbers) & set(traded))
    makes = dollar.followed and set(numbers) >= LEG_IDS
    stream = ContextStream(
        told,
        dollar=DollarIndex(dollar, told) if makes else None,
        news=None if calendar is None else NewsTeller.of(calendar, news, told),
        hidden=set(numbers) - set(told),
    )
    for chunk in chunks:
        out = stream.push(chunk)
        if len(out):
            yield out


def told_contracts(contracts: Iterable[int]) -> list[int]:
    """Contracts of a source that are traded: the futures of the index serve it alone where all of them are there beside
    others.
    """
    numbers: set[Any] = set(contracts)
    others = numbers - LEG_IDS
    return sorted(others if numbers >= LEG_IDS and others else numbers)
