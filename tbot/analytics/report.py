"""The weekly report as a value: everything that its page, its pictures and its JSON document show, counted once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from tbot.analytics.breakdowns import GroupLine, breakdowns
from tbot.analytics.broker_check import BrokerCheck, compare
from tbot.analytics.execution_quality import Quality, quality
from tbot.analytics.floor_room import FloorLine, floor_lines
from tbot.analytics.journal_records import Records, RunSpan, Told
from tbot.analytics.metrics import Fall, Figures, Rolled, falls, figures, rolling_sharpe
from tbot.analytics.pattern_table import Table
from tbot.analytics.period import Period
from tbot.analytics.round_trips import Deal, deals
from tbot.domain.trading_hours import SessionCalendar, trading_day
from tbot.errors import DataError
from tbot.storage.sessions import load_sessions

BADGES = {"sim": "DEMO", "paper": "PAPER", "live": "LIVE", "replay": "REPLAY"}


@dataclass(frozen=True, slots=True)
class Limits:
    """How near the period came to the daily loss limit of the run; cents of closed results, None: not known."""

    daily_loss_cents: int | None  # the limit, positive
    least_room_cents: int | None  # of any day: limit plus the lowest point of that day's summed result
    day: date | None  # on which that was
    account: int | None = None  # whose


@dataclass(frozen=True, slots=True)
class Report:
    """One report. `deals` in order of their ends."""

    period: Period
    mode: str
    accounts: dict[int, str]  # id -> name, of those the report is about
    builds: tuple[str, ...]  # of the runs in the period, newest last
    config_hashes: tuple[str, ...]
    data_hash: str
    deals: tuple[Deal, ...]
    figures: Figures
    to_date: Figures  # of the whole journal up to the end of the period
    since: date | None  # first trading day of `to_date`
    groups: dict[str, list[GroupLine]]
    quality: Quality
    broker: BrokerCheck
    limits: Limits
    floors: tuple[FloorLine, ...]
    rolling: tuple[Rolled, ...]  # of everything up to the end of the period
    falls: tuple[Fall, ...]  # of the same, the deepest first
    patterns: Table | None  # None: no pattern database, or none that can be read
    out_of_table: int  # round trips in contracts that nobody here can value

    @property
    def badge(self) -> str:
        return BADGES.get(self.mode, self.mode.upper())


def build(
    records: Records,
    period: Period,
    *,
    broker: Sequence[Told] | None = None,
    source: str = "",
    patterns: Table | None = None,
) -> Report:
    """Count everything. `broker`: trades that the broker itself was asked for (`source` says where); None: those that
    the journal holds. `patterns`: what was learned of them."""
    mine = deals(records, lambda trip: period.holds(trip.now_ns))
    told = records.fills if broker is None else broker
    where = source or "the broker's trades in the journal"
    mine, check = compare(mine, told, period, where, None if broker is None else records.fills)
    everything = deals(records, lambda trip: not period.holds(trip.now_ns)) + mine
    everything.sort(key=lambda deal: (deal.trip.now_ns, deal.trip.opened_ns, deal.trip.account, deal.trip.contract))
    runs = [run for run in records.runs if run.last_ns >= period.from_ns]
    before = sorted({deal.day for deal in everything})
    all_days = run_days(records.runs, _days_of(records.runs, period))
    days = [day for day in all_days if period.first <= day <= period.last]
    to_date = figures(everything, all_days)
    return Report(
        period=period,
        mode=records.mode,
        accounts=records.names,
        builds=tuple(dict.fromkeys(run.info.build for run in runs)),
        config_hashes=tuple(dict.fromkeys(run.info.config_hash for run in runs)),
        data_hash=records.head,
        deals=tuple(mine),
        figures=figures(mine, days),
        to_date=to_date,
        since=before[0] if before else None,
        groups=breakdowns(mine),
        quality=quality(records, mine, period),
        broker=check,
        limits=least_room(mine, records.daily_loss_cents),
        floors=floor_lines(records, period),
        rolling=tuple(rolling_sharpe(to_date.days)),
        falls=tuple(falls(everything)),
        patterns=patterns,
        out_of_table=sum(period.holds(trip.now_ns) for trip in records.trips) - len(mine),
    )


def _days_of(runs: Sequence[RunSpan], period: Period) -> list[date]:
    """Every date from the first run to the end of the period."""
    first = min([trading_day(run.info.started_ns) for run in runs if run.info.started_ns > 0] + [period.first])
    return Period(first, period.last).days()


def run_days(runs: Sequence[RunSpan], days: Sequence[date]) -> list[date]:
    """Trading days with a session on which the engine ran: they count in daily ratios with or without a trade."""
    calendar = SessionCalendar(load_sessions(), template_ok=True)
    found = []
    for day in days:
        window = calendar.window(day)
        if window is not None and any(
            run.info.started_ns < window.end_ns and run.last_ns >= window.start_ns for run in runs
        ):
            found.append(day)
    return found


def least_room(deals: Sequence[Deal], limits: Mapping[int, int]) -> Limits:
    """How near the closed results of any account and day came to its daily loss limit."""
    lowest: dict[tuple[int, date], int] = {}
    running: dict[tuple[int, date], int] = {}
    for deal in deals:
        key = (deal.trip.account, deal.day)
        running[key] = running.get(key, 0) + deal.net_cents
        lowest[key] = min(lowest.get(key, 0), running[key])
    rooms = {key: limits[key[0]] + low for key, low in lowest.items() if key[0] in limits}
    if not rooms:
        return Limits(min(limits.values(), default=None), min(limits.values(), default=None), None)
    key = min(rooms, key=lambda one: (rooms[one], one))
    return Limits(limits[key[0]], rooms[key], key[1], key[0])


def check_period(period: Period, newest_ns: int) -> None:
    """DataError for a period that lies behind everything that the journal tells."""
    if newest_ns and period.from_ns > newest_ns:
        raise DataError(
            f"the journal ends on trading day {trading_day(newest_ns)}, before {period.label} begins; name an earlier "
            "week"
        )
