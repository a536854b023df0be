"""From a calendar to what it means for one contract, as stretches of time without a gap: pure.

Windows are minutes of UTC around a UTC moment, so a change of clocks, here or there, moves none of them. Both ends of a
window belong to it, as in the firm's rule for CPI releases (topstep-rules.md 2.6). Where windows overlap, the harder
action holds, then the higher impact, then the earlier news.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

from tbot.context.news import Calendar
from tbot.context.news_settings import NewsSettings
from tbot.domain.context import ACTIONS, FAR_AHEAD_NS, IMPACTS, LONG_AGO_NS, ContextRecord, NewsState
from tbot.domain.contracts import BY_ID, Product
from tbot.domain.timeframes import NS_PER_MIN
from tbot.risk.caps import CPI_AROUND_NS


def windows_of(calendar: Calendar, settings: NewsSettings, product: Product) -> list[NewsState]:
    """Every window of the product by itself: news, CPI releases, and times of which nobody knows."""
    found = []
    for event in calendar.events:
        if event.at_ns is None or not settings.concerns(event.currency, product):
            continue
        action = settings.action(event.impact)
        if action:
            before, after = (minutes * NS_PER_MIN for minutes in settings.minutes(event.impact))
            percent = settings.reduce_percent if action == "reduce" else 100
            found.append(
                NewsState(event.at_ns - before, event.at_ns + after + 1, action, percent, event.at_ns, event.impact)
            )
        if settings.cpi and event.is_cpi:
            around = event.at_ns - CPI_AROUND_NS, event.at_ns + CPI_AROUND_NS + 1
            found.append(NewsState(*around, event_ns=event.at_ns, impact=event.impact, cpi=True))
    percent = settings.reduce_percent if settings.stale == "reduce" else 100
    edges = [LONG_AGO_NS, *(edge for span in calendar.known for edge in span), FAR_AHEAD_NS]
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        found.append(NewsState(start, end, settings.stale, percent, stale=True))
    return [window for window in found if window.from_ns < window.until_ns]


def timeline(calendar: Calendar, settings: NewsSettings, product: Product) -> tuple[NewsState, ...]:
    """Stretches from LONG_AGO_NS to FAR_AHEAD_NS, each ending where the next begins, no two neighbours alike."""
    windows = sorted(windows_of(calendar, settings, product), key=lambda window: window.from_ns)
    edges = sorted({LONG_AGO_NS, FAR_AHEAD_NS, *(edge for w in windows for edge in (w.from_ns, w.until_ns))})
    percent = settings.reduce_percent if settings.stale == "reduce" else 100
    found: list[NewsState] = []
    open_now: list[NewsState] = []
    coming = 0
    for start, end in pairwise(edges):
        open_now = [window for window in open_now if window.until_ns > start]
        while coming < len(windows) and windows[coming].from_ns <= start:
            open_now.append(windows[coming])
            coming += 1
        state = replace(_joined(open_now, start, end), later=settings.stale, later_percent=percent)
        if found and replace(found[-1], from_ns=0, until_ns=0) == replace(state, from_ns=0, until_ns=0):
            found[-1] = replace(found[-1], until_ns=end)
        else:
            found.append(state)
    return tuple(found)


def _joined(windows: Iterable[NewsState], start_ns: int, end_ns: int) -> NewsState:
    windows = tuple(windows)
    if not windows:
        return NewsState(start_ns, end_ns)
    worst = max(windows, key=lambda w: (ACTIONS.index(w.action), IMPACTS.index(w.impact), w.event_ns != 0, -w.event_ns))
    return NewsState(
        start_ns,
        end_ns,
        worst.action,
        min(window.percent for window in windows) if worst.action == "reduce" else 100,
        worst.event_ns,
        worst.impact,
        any(window.cpi for window in windows),
        any(window.stale for window in windows),
    )


@dataclass(frozen=True, slots=True)
class Told:
    """A record for one contract, and the market time from which it may be there."""

    at_ns: int
    contract_id: int
    record: ContextRecord


class NewsTeller:
    """The stretches of several contracts as records, in order of time: always the present one and the next."""

    def __init__(self, timelines: Mapping[int, tuple[NewsState, ...]]) -> None:
        self._timelines = dict(timelines)
        self._next: dict[int, int] = {}  # of each contract the number of the stretch that has not been told

    @classmethod
    def of(cls, calendar: Calendar, settings: NewsSettings, contracts: Iterable[int]) -> "NewsTeller":
        """For contracts by id."""
        return cls({number: timeline(calendar, settings, BY_ID[number]) for number in sorted(contracts)})

    def until(self, now_ns: int) -> list[Told]:
        """What is to be told when market time reaches `now_ns`: at first two stretches each, then one at each edge."""
        found = [told for number in self._timelines for told in self._due(number, now_ns)]
        return sorted(found, key=lambda told: (told.at_ns, told.contract_id, told.record.price))

    def _due(self, number: int, now_ns: int) -> list[Told]:
        line, found = self._timelines[number], []
        if number not in self._next:
            first = self._place(number, now_ns)
            found += [
                Told(now_ns, number, line[place].record(place)) for place in range(first, min(first + 2, len(line)))
            ]
            self._next[number] = first + 2
        while self._next[number] < len(line) and line[self._next[number] - 1].from_ns <= now_ns:
            place = self._next[number]
            found.append(Told(line[place - 1].from_ns, number, line[place].record(place)))
            self._next[number] += 1
        return found

    def _place(self, number: int, now_ns: int) -> int:
        return next(place for place, state in enumerate(self._timelines[number]) if state.holds(now_ns))

    def state(self, number: int, now_ns: int) -> NewsState:
        """What holds for a contract."""
        return self._timelines[number][self._place(number, now_ns)]

    def again(self, now_ns: int) -> list[Told]:
        """Both stretches of each contract once more: whoever missed them hears them again."""
        found = []
        for number, line in self._timelines.items():
            first = self._place(number, now_ns)
            pair = range(first, min(first + 2, len(line)))
            found += [Told(now_ns, number, line[place].record(place)) for place in pair]
        return found
