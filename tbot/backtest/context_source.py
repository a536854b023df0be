"""A source with news and the dollar index among its records; what they are is told by tbot.context."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from tbot.backtest.source import Source
from tbot.context.dxy import LEG_IDS, LEGS
from tbot.context.news import Calendar
from tbot.context.news_settings import NewsSettings
from tbot.context.stream import told_contracts, with_context
from tbot.domain.contracts import BY_ID
from tbot.domain.trading_hours import SessionCalendar
from tbot.storage.holes import Hole
from tbot.storage.tick_stream import Ticks
from tbot.strategy.dollar import DollarSettings


@dataclass(frozen=True)
class ContextSource:
    """`source` as a run sees it that follows the outside facts. `calendar` None: nobody told of news.

    `named`: symbols that the user named; a future of the index that is among them is traded as well.
    """

    source: Source
    dollar: DollarSettings = field(default_factory=DollarSettings)
    news: NewsSettings = field(default_factory=NewsSettings)
    calendar: Calendar | None = None
    named: tuple[str, ...] = ()

    @cached_property
    def _traded(self) -> list[int]:
        numbers = list(self.source.contracts)
        if self.named:
            return [number for number in numbers if self.source.contracts[number] in self.named]
        return told_contracts(numbers) if self.dollar.followed else numbers

    @property
    def contracts(self) -> Mapping[int, str]:
        """Those that are traded."""
        return {number: BY_ID[number].symbol for number in self._traded}

    @cached_property
    def data_hash(self) -> str:
        """That of the records, the news, and what they mean."""
        if self.calendar is None:
            return self.source.data_hash
        rows = repr((self.calendar.events, self.calendar.known, self.news)).encode()
        return f"{self.source.data_hash}:{hashlib.sha256(rows).hexdigest()[:12]}"

    @property
    def notes(self) -> tuple[str, ...]:
        """Of the source, and of facts that were asked for and are not there."""
        found = list(self.source.notes)
        if self.dollar.followed and not set(self.source.contracts) >= LEG_IDS:
            missing = [name for name in LEGS if name not in self.source.contracts.values()]
            then = "no entries" if self.dollar.filter != "off" and self.dollar.stale == "block" else "the filter is off"
            found.append(f"no dollar index: the data lacks {', '.join(missing)}; {then}")
        if self.calendar is not None:
            found += self.calendar.problems
        return tuple(found)

    def holes(self, calendar: SessionCalendar) -> list[Hole]:
        """Of the contracts that are traded, where the source knows of holes."""
        told = getattr(self.source, "holes", None)
        holes: list[Hole] = told(calendar) if callable(told) else []
        return [hole for hole in holes if hole.symbol in self.contracts.values()]

    def stream(self) -> Iterator[Ticks]:
        """The records of the traded contracts and the facts."""
        return with_context(
            self.source.stream(), self.source.contracts, self.dollar, self.news, self.calendar, self._traded
        )
