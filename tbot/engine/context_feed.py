"""News in a running feed: the calendar kept fresh, and what it means written into the rings by market time.

The feed is the only writer of a ring, so this is called from its loops. The stretches that hold now and next are
written when they change, and again every minute: a worker that was started anew or lapped must not wait for an edge.
"""

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tbot.context.news import Calendar
from tbot.context.news_settings import NewsSettings
from tbot.context.news_sources import cache_of, gather, own_files
from tbot.context.news_windows import NewsTeller, Told
from tbot.domain.context import LONG_AGO_NS
from tbot.domain.timeframes import NS_PER_MIN, NS_PER_S
from tbot.engine.contract_feed import ContractFeed
from tbot_ext.records import Kind

CONTEXT = int(Kind.CONTEXT)
LOOK_S = 300.0  # between two looks at the sources; a request to the public address is a matter of hours
SHOWN = 3  # news ahead in the status


class NewsFeed:
    """`home` is TBOT_HOME; `fetches`: this run asks the public address."""

    def __init__(self, settings: NewsSettings, home: Path, fetches: bool) -> None:
        self._settings = settings
        self._home = home
        self._fetches = fetches
        self._calendar: Calendar | None = None  # of the thread that reads; the loop takes it up when it looks
        self._shown: Calendar | None = None  # what the teller was made of
        self._teller: NewsTeller | None = None
        self._again_ns = 0

    @property
    def active(self) -> bool:
        """Whether this run has any source of news."""
        return self._fetches or (self._calendar is not None and bool(self._calendar.sources or self._calendar.problems))

    def refresh(self) -> str:
        """Ask and read the sources; a sentence about a request, "" without one. Reads files and the network: call it
        from a thread of its own.
        """
        cache = cache_of(self._home)
        said = cache.fetch(self._settings, time.time_ns()) if self._fetches else ""
        calendar = gather(own_files(self._settings, self._home), cache if self._fetches else None)
        if calendar != self._calendar:
            self._calendar = calendar
        return said

    def tell_again(self) -> None:
        """Somebody came anew: the next look tells everything, whether it is time or not."""
        self._again_ns = LONG_AGO_NS

    def look(self, now_ns: int, contracts: Iterable[ContractFeed]) -> None:
        """Write what is due. Until the sources were read once nothing is written."""
        calendar = self._calendar
        if calendar is None or not self.active:
            return
        feeds = {contract.product.contract_id: contract for contract in contracts}
        if self._teller is None or self._shown is not calendar:
            self._shown, self._teller = calendar, NewsTeller.of(calendar, self._settings, feeds)
            self._again_ns = now_ns
        told = self._teller.until(now_ns)
        if now_ns >= self._again_ns + NS_PER_MIN:
            self._again_ns = now_ns
            told = self._teller.again(now_ns)
        for one in told:
            write(feeds[one.contract_id], one, now_ns)

    def status(self, now_ns: int, contracts: Iterable[ContractFeed]) -> dict[str, Any] | None:
        """What the status file shows; None: this run follows no news."""
        calendar = self._shown
        if calendar is None or self._teller is None:
            return None
        age_ns = calendar.age_ns(time.time_ns())
        states = {c.symbol: self._teller.state(c.product.contract_id, now_ns) for c in contracts}
        return {
            "stale": not calendar.is_known(now_ns),
            "age_s": None if age_ns is None else age_ns // NS_PER_S,
            "problems": list(calendar.problems),
            "actions": {symbol: state.action or "none" for symbol, state in states.items()},
            "next": ahead(calendar, now_ns),
        }


def ahead(calendar: Calendar, now_ns: int) -> list[dict[str, Any]]:
    """The next news of a calendar for the status file, those of low impact left out."""
    found = [event for event in calendar.events if (event.at_ns or 0) >= now_ns and event.impact != "Low"]
    return [
        {
            "time": f"{datetime.fromtimestamp((event.at_ns or 0) // NS_PER_S, UTC):%Y-%m-%dT%H:%M:%SZ}",
            "currency": event.currency,
            "impact": event.impact,
            "title": event.title[:60],
        }
        for event in found[:SHOWN]
    ]


def write(contract: ContractFeed, told: Told, now_ns: int) -> None:
    """One fact into a contract's ring. Its own time is now: what a ring tells never lies before its last record."""
    one = told.record
    contract.writer.push(
        CONTEXT,
        now_ns,
        time.time_ns(),
        one.price,
        one.price2,
        one.size,
        int(one.key),
        one.volume,
        one.side,
        one.flags,
    )
