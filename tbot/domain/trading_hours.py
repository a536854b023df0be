"""When the market is open, when the firm takes orders, and when this engine may hold a position.

All rules are wall-clock times of named zones (Chicago, Helsinki), so every edge is computed from zone data for its own
date and never by adding fixed offsets: for about four weeks of 2026 Helsinki is 7 and not 8 hours ahead of Chicago.
Sources: topstep-rules.md section 3, smc.md section 1 (trading day), design.md section 8 ruling 3, failure-model.md
F-TIM-04, F-TIM-05 and F-TIM-08. Times are UTC nanoseconds; "CT" is America/Chicago.

A trading day runs from 17:00 CT to 17:00 CT and is named by the date on which it ends. Inside it:

    17:00        start           entries_until   end       flat_by     16:00
    |- open -----|- trade -------|- exits only --|- flat --|- nothing -|- exchange break until 17:00
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tbot.domain.timeframes import NS_PER_MIN, NS_PER_S
from tbot.errors import ConfigError


def zone_of(name: str) -> ZoneInfo:
    """Zone data by IANA name; ConfigError where there is none (F-TIM-04: no deadline can be known without it)."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(f"there is no time-zone data for {name!r}; install it: pip install tzdata") from None


CHICAGO = zone_of("America/Chicago")

SESSION_OPEN = time(17, 0)  # CT, on the evening before
EXCHANGE_CLOSE = time(16, 0)  # CT
FIRM_CLOSE = time(15, 10)  # CT: flat, working orders cancelled, new ones refused until 17:00
# The firm's close-by time of a holiday lies this long before the early close of the index futures. Metals may trade
# longer on such a day (on 2026-02-16 until 13:30 CT); the firm's time binds them all, so they count as closed too.
EARLY_CLOSE_AFTER_NS = 15 * NS_PER_MIN
ALL_PRODUCTS = "*"

_MONDAY_TO_FRIDAY = range(5)
_MAX_DAYS_CLOSED = 10  # longest stretch that `next_open_ns` searches; the exchange never closes for that long


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One trading day that differs from the weekly pattern. `close_ct` None: closed all day."""

    day: date
    products: frozenset[str]  # product symbols, or "*"
    close_ct: time | None  # the firm's close-by time
    source: str
    checked_on: date
    name: str = ""
    override: str = ""  # why a person lets it be looser than the packaged row that it replaces

    @property
    def latest(self) -> time:
        """Close-by time; 00:00 for a day without a session: the earlier, the stricter."""
        return self.close_ct or time(0, 0)

    def concerns(self, contract: str | None) -> bool:
        """Whether the row binds `contract`; None (all contracts) takes every row, which is the stricter reading."""
        return contract is None or ALL_PRODUCTS in self.products or contract in self.products


@dataclass(frozen=True, slots=True)
class SessionTable:
    """Rows, and the years whose holidays they hold completely. Plain values, which msgspec encodes as they are."""

    years: frozenset[int]
    rows: tuple[SessionRow, ...]


@dataclass(frozen=True, slots=True)
class OperatingHours:
    """When the owner wants the engine to work, and its distances from the deadlines (ruling 3)."""

    zone: str = "Europe/Helsinki"
    start: time = time(2, 0)
    end: time = time(23, 0)
    after_open_ns: int = 5 * NS_PER_MIN
    flatten_before_ns: int = 5 * NS_PER_MIN  # C_FLATTEN_BEFORE
    no_entries_before_ns: int = 10 * NS_PER_MIN


@dataclass(frozen=True, slots=True)
class Window:
    """The hours of one trading day in which a position may be held: start_ns <= now < end_ns."""

    day: date
    start_ns: int
    entries_until_ns: int  # entries while start_ns <= now < entries_until_ns
    end_ns: int  # flattening begins
    flat_by_ns: int  # the earliest deadline: everything must be flat here
    template: bool  # the year is not in the table: weekly pattern, holidays unknown


@dataclass(frozen=True, slots=True)
class TradingDay:
    """All edges of one trading day of one contract."""

    day: date
    start_ns: int  # 17:00 CT of the evening before: counters reset
    end_ns: int  # 17:00 CT
    open_ns: int  # exchange session; open_ns == close_ns when there is none
    close_ns: int
    firm_close_ns: int  # orders are taken while open_ns <= now < firm_close_ns
    window: Window | None  # None: no trading
    refusal: str  # why there is no window, as a sentence; "" when there is one


def to_ns(day: date, wall: time, zone: ZoneInfo) -> int:
    """UTC nanoseconds of a wall-clock time in a zone (the earlier one where a clock change makes it ambiguous)."""
    return int(datetime.combine(day, wall, zone).timestamp()) * NS_PER_S


def trading_day(now_ns: int) -> date:
    """The date on which the trading day of `now_ns` ends, in Chicago. On weekends it is a day without a session."""
    return _day_of_hour(now_ns // (60 * NS_PER_MIN))


@lru_cache(maxsize=1024)
def _day_of_hour(hour: int) -> date:
    """Trading days begin on a whole hour, and Chicago is whole hours away from UTC."""
    local = datetime.fromtimestamp(hour * 3600, UTC).astimezone(CHICAGO)
    return local.date() + timedelta(days=1) if local.time() >= SESSION_OPEN else local.date()


def trading_day_start_ns(now_ns: int) -> int:
    """17:00 CT at or before `now_ns` (UTC ns): where daily counters start (F-TIM-08)."""
    return to_ns(trading_day(now_ns) - timedelta(days=1), SESSION_OPEN, CHICAGO)


class SessionCalendar:
    """Answers for one table and one owner's hours. Pure; keeps the edges of the day it was last asked about.

    `template_ok`: in years outside the table use the weekly pattern (simulator, backtest, replay) instead of refusing.
    `always`: no hours at all, every trading day is open from 17:00 to 17:00 (a simulator that is open at all hours).
    Wherever `contract` is None the answer holds for every contract.
    """

    def __init__(
        self,
        table: SessionTable,
        *,
        hours: OperatingHours | None = None,
        template_ok: bool = False,
        always: bool = False,
    ) -> None:
        self.hours = hours or OperatingHours()
        self.template_ok = template_ok
        self.always = always
        self._zone = zone_of(self.hours.zone)
        self._years = table.years
        self._rows: dict[date, list[SessionRow]] = {}
        for row in table.rows:
            self._rows.setdefault(row.day, []).append(row)
        self._last: dict[str | None, TradingDay] = {}

    def covers(self, year: int) -> bool:
        """Whether the table holds all holidays of `year`."""
        return year in self._years

    def trading_day(self, now_ns: int, contract: str | None = None) -> TradingDay:
        """All edges of the trading day in which `now_ns` lies."""
        held = self._last.get(contract)
        if held is None or not held.start_ns <= now_ns < held.end_ns:
            held = self._build(trading_day(now_ns), contract)
            self._last[contract] = held
        return held

    def window(self, day: date, contract: str | None = None) -> Window | None:
        """Trading hours of one trading day; None on weekends, holidays, and in years that bind and are not covered."""
        return self._build(day, contract).window

    def is_open(self, now_ns: int, contract: str | None = None) -> bool:
        """Whether the exchange trades. In years outside the table: by the weekly pattern. Permits nothing."""
        day = self.trading_day(now_ns, contract)
        return day.open_ns <= now_ns < day.close_ns

    def orders_accepted(self, now_ns: int, contract: str | None = None) -> bool:
        """Whether the firm takes orders: 17:00 to 15:10 CT, on early closes to its close-by time."""
        day = self.trading_day(now_ns, contract)
        return day.open_ns <= now_ns < day.firm_close_ns

    def entries_allowed(self, now_ns: int, contract: str | None = None) -> bool:
        """Whether a position may be opened now, as far as time is concerned."""
        window = self.trading_day(now_ns, contract).window
        return window is not None and window.start_ns <= now_ns < window.entries_until_ns

    def entry_refusal(self, now_ns: int, contract: str | None = None) -> str:
        """Why `entries_allowed` is False, as one plain sentence; "" when it is True."""
        day = self.trading_day(now_ns, contract)
        window = day.window
        if window is None:
            return day.refusal
        if now_ns < window.start_ns:
            return f"the trading window of {day.day} opens at {self._clock(window.start_ns)}"
        if now_ns >= window.end_ns:
            return f"the trading window of {day.day} ended at {self._clock(window.end_ns)}"
        if now_ns >= window.entries_until_ns:
            return f"no entries after {self._clock(window.entries_until_ns)}: the window ends soon"
        return ""

    def flat_due(self, now_ns: int, contract: str | None = None) -> bool:
        """Whether nothing may be open: from the end of a window to the start of the next, or when none is known."""
        window = self.trading_day(now_ns, contract).window
        return window is None or not window.start_ns <= now_ns < window.end_ns

    def next_open_ns(self, now_ns: int, contract: str | None = None) -> int:
        """When the exchange trades next; `now_ns` itself when it trades. By the weekly pattern outside the table."""
        day = self.trading_day(now_ns, contract)
        for _ in range(_MAX_DAYS_CLOSED):
            if day.open_ns < day.close_ns and now_ns < day.close_ns:
                return max(now_ns, day.open_ns)
            day = self._build(day.day + timedelta(days=1), contract)
        raise ValueError(f"no session within {_MAX_DAYS_CLOSED} days after {day.day}: the session table is wrong")

    def next_window(self, now_ns: int, contract: str | None = None) -> Window | None:
        """The window that holds `now_ns` or is the next to start; None when none is known in the coming days."""
        day = self.trading_day(now_ns, contract)
        for _ in range(_MAX_DAYS_CLOSED):
            if day.window is not None and now_ns < day.window.end_ns:
                return day.window
            day = self._build(day.day + timedelta(days=1), contract)
        return None

    def _clock(self, at_ns: int) -> str:
        """A time for a sentence: in the owner's zone, Chicago beside it."""
        return _clock(at_ns, self.hours.zone)

    def _build(self, day: date, contract: str | None) -> TradingDay:
        start_ns = to_ns(day - timedelta(days=1), SESSION_OPEN, CHICAGO)
        end_ns = to_ns(day, SESSION_OPEN, CHICAGO)
        template = not self.covers(day.year)
        window: Window | None
        if self.always:
            window = Window(day, start_ns, end_ns, end_ns, end_ns, template=True)
            return TradingDay(day, start_ns, end_ns, start_ns, end_ns, end_ns, window, "")
        rows = [row for row in self._rows.get(day, ()) if row.concerns(contract)]
        closed = [row for row in rows if row.close_ct is None]
        if day.weekday() not in _MONDAY_TO_FRIDAY or closed:
            why = closed[0].name or "holiday" if closed else "weekend"
            refusal = f"the exchange is closed on {day} ({why})"
            return TradingDay(day, start_ns, end_ns, start_ns, start_ns, start_ns, None, refusal)
        firm_close_ns = to_ns(day, FIRM_CLOSE, CHICAGO)
        close_ns = to_ns(day, EXCHANGE_CLOSE, CHICAGO)
        for early in (row.close_ct for row in rows):
            assert early is not None
            firm_close_ns = min(firm_close_ns, to_ns(day, early, CHICAGO))
            close_ns = min(close_ns, to_ns(day, early, CHICAGO) + EARLY_CLOSE_AFTER_NS)
        if template and not self.template_ok:
            window, refusal = None, f"the session table does not cover {day.year}: no trading without its holidays"
        else:
            window = self._window(day, start_ns, min(firm_close_ns, close_ns), template)
            refusal = "" if window else f"the session of {day} ends before the trading window opens"
        return TradingDay(day, start_ns, end_ns, start_ns, close_ns, firm_close_ns, window, refusal)

    def _window(self, day: date, open_ns: int, close_ns: int, template: bool) -> Window | None:
        hours = self.hours
        start_ns = max(to_ns(day, hours.start, self._zone), open_ns + hours.after_open_ns)
        flat_by_ns = min(to_ns(day, hours.end, self._zone), close_ns)
        end_ns = flat_by_ns - hours.flatten_before_ns
        entries_until_ns = end_ns - hours.no_entries_before_ns
        if entries_until_ns <= start_ns:
            return None
        return Window(day, start_ns, entries_until_ns, end_ns, flat_by_ns, template)


@lru_cache(maxsize=256)  # the edges of a day stand in every refusal outside its window
def _clock(at_ns: int, zone: str) -> str:
    at = datetime.fromtimestamp(at_ns // NS_PER_S, UTC)
    name = zone.rpartition("/")[2].replace("_", " ")
    return f"{at.astimezone(zone_of(zone)):%H:%M} {name} ({at.astimezone(CHICAGO):%H:%M} Chicago)"


def table_of(rows: Iterable[SessionRow], years: Iterable[int]) -> SessionTable:
    """A table from loose rows; ValueError when one contract has two rows for one date."""
    kept = tuple(rows)
    seen: set[tuple[date, str]] = set()
    for row in kept:
        for product in row.products:
            if (row.day, product) in seen:
                raise ValueError(f"two session rows for {product} on {row.day}")
            seen.add((row.day, product))
    return SessionTable(frozenset(years), kept)


def with_own_rows(packaged: SessionTable, rows: Iterable[SessionRow], years: Iterable[int]) -> SessionTable:
    """The packaged table with a person's rows and years added. ValueError names the row that cannot be taken.

    A row may always be stricter than what is packaged. Where it is looser it needs a reason (`override`) and must stand
    for everything that the packaged row stands for: a holiday must not get lost by a slip of the pen.
    """
    rows, own_years = tuple(rows), frozenset(years)
    table_of(rows, own_years)  # no two rows for one contract and day among themselves
    kept = list(packaged.rows)
    for row in rows:
        for known in [known for known in kept if known.day == row.day]:
            if ALL_PRODUCTS not in row.products | known.products and not row.products & known.products:
                continue
            whole = ALL_PRODUCTS in row.products or known.products <= row.products
            if row.latest > known.latest and not row.override:
                raise ValueError(
                    f"row {row.day}: {_close(row)} is looser than the packaged {_close(known)} ({known.name}); "
                    "that needs override = true and a reason"
                )
            if row.latest > known.latest and not whole:
                raise ValueError(f"row {row.day}: name all products of the packaged row: {_names(known.products)}")
            kept.remove(known)
            left = frozenset() if whole else known.products - row.products
            if left:
                kept.append(replace(known, products=left))
    for year in sorted(own_years - packaged.years):
        if not any(row.day.year == year for row in rows):
            raise ValueError(f"year {year} is declared complete, but has no row: no year is without holidays")
    return table_of(sorted([*kept, *rows], key=lambda row: (row.day, _names(row.products))), packaged.years | own_years)


def _close(row: SessionRow) -> str:
    return f"{row.close_ct:%H:%M} Chicago" if row.close_ct else "closed"


def _names(products: frozenset[str]) -> str:
    return ", ".join(sorted(products))


def loosened(table: SessionTable) -> list[str]:
    """A sentence for every row that is looser than the packaged one, by a person's word."""
    return [f"{row.day} ({row.name or _close(row)}): {row.override}" for row in table.rows if row.override]


def table_hash(table: SessionTable) -> str:
    """Short hash of all that a table says about time; the same in every process and run."""
    rows = sorted(f"{row.day} {_names(row.products)} {row.close_ct} {row.override}" for row in table.rows)
    return hashlib.sha256("\n".join([*map(str, sorted(table.years)), *rows]).encode()).hexdigest()[:12]


def check_zone_data(year: int, own_zone: str = "Europe/Helsinki") -> None:
    """ConfigError when zone data is missing or does not know the summer times of `year` (checked at every start)."""
    zone_of(own_zone)
    for name, month, hours in _KNOWN_OFFSETS:
        if datetime(year, month, 15, tzinfo=zone_of(name)).utcoffset() != timedelta(hours=hours):
            raise ConfigError(f"the time-zone data of {name} is not right; renew it: pip install --upgrade tzdata")


_KNOWN_OFFSETS = (
    ("America/Chicago", 1, -6),
    ("America/Chicago", 7, -5),
    ("Europe/Helsinki", 1, 2),
    ("Europe/Helsinki", 7, 3),
)
