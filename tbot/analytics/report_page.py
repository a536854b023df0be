"""The report as one page of HTML that needs nothing else: no scripts, no files, no network.

Charts are inline SVG. It needs matplotlib and jinja2 (extra `report`).
"""

from calendar import Calendar
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib.resources import files
from zoneinfo import ZoneInfo

from tbot.analytics import broker_words
from tbot.analytics import report_cells as cells
from tbot.analytics import report_plots as plots
from tbot.analytics.breakdowns import DIMENSIONS
from tbot.analytics.metrics import DEFINITIONS, DayResult
from tbot.analytics.report import Report
from tbot.analytics.report_cells import Sheet
from tbot.domain.trading_hours import CHICAGO
from tbot.domain.words import plural
from tbot.validation.report_html import fill, style
from tbot.validation.report_pictures import figure_class
from tbot.validation.report_words import NS_PER_S, money

MOST_TRADES = 1_000  # on a page; the JSON document has all
MOST_MONTHS = 3
# Hundreds of the pixels that they take on a wide screen.
WIDE, NARROW, HALF, FULL = (7.94, 3.5), (3.78, 3.5), (5.3, 2.8), (10.8, 2.6)


@dataclass(frozen=True, slots=True)
class Chart:
    """An SVG; `svg` is Markup, everything else on the page is escaped."""

    title: str
    svg: object


@dataclass(frozen=True, slots=True)
class MonthDay:
    """A field of the month calendar; `number` 0: not of this month."""

    number: int
    text: str = ""
    trades: str = ""
    tone: str = ""  # up, down, even or ""
    inside: bool = False  # of the period


@dataclass(frozen=True, slots=True)
class Month:
    name: str
    weeks: tuple[tuple[MonthDay, ...], ...]
    total: str


def page(report: Report, *, zone: ZoneInfo, written_ns: int) -> str:
    """The page. ConfigError where matplotlib or jinja2 are not installed."""
    figure_class()
    traded = bool(report.deals)
    written = datetime.fromtimestamp(written_ns // NS_PER_S, UTC)
    values = {
        "style": style(),
        "own_style": _own_style(),
        "badge": report.badge,
        "badge_words": cells.badge_words(report),
        "title": cells.title(report),
        "dates": cells.dates(report),
        "accounts": cells.account_names(report),
        "provenance": cells.provenance(report),
        "zones": f"times {zone.key}, Chicago in brackets; written {written.astimezone(zone):%Y-%m-%d %H:%M %Z} "
        f"({written.astimezone(CHICAGO):%H:%M %Z})",
        "broker": broker_words.broker_line(report.broker),
        "broker_mark": broker_words.broker_mark(report.broker),
        "no_trade": cells.no_trade(report),
        "main_cards": cells.main_cards(report),
        "cards": cells.cards(report),
        "to_date": cells.to_date_cards(report) if report.to_date.n else [],
        "to_date_title": to_date_title(report),
        "falls": cells.falls_sheet(report, zone),
        "traded": traded,
        "top": charts(report, (("Net result, and drawdown below it", plots.equity),), WIDE)
        + charts(report, (("By trading day", plots.days),), NARROW) if traded else [],
        "charts": charts(report, CHARTS, HALF) if traded else [],
        "over_time": over_time(report),
        "months": months(report),
        "sheets": sheets(report),
        "patterns": cells.pattern_sheet(report),
        "operations": (cells.execution_sheet(report), cells.latency_sheet(report.quality)),
        "differences": broker_words.difference_sheet(report.broker, zone) if report.broker.differences else None,
        "denials": cells.denial_sheet(report.quality),
        "trades": cells.trade_sheet(report, zone, MOST_TRADES) if traded else None,
        "not_valued": report.out_of_table,
        "definitions": DEFINITIONS,
    }  # fmt: skip
    return fill(files("tbot.analytics").joinpath("report.html").read_text(encoding="utf-8"), values)


CHARTS: tuple[tuple[str, plots.Draw], ...] = (
    ("By hour of entry (Chicago)", plots.hours),
    ("By pattern", plots.patterns),
    ("Worst and best on the way", plots.excursions),
    ("Results of single trades", plots.distribution),
)


FLOORS = ("Room above the loss floor", plots.floors)
ROLLING = ("Sharpe ratio of each 20 trading days", plots.rolling)


def over_time(report: Report) -> list[Chart]:
    """What goes beyond single trades: side by side, or the one that there is in full width."""
    drawn = (*((FLOORS,) if report.floors else ()), *((ROLLING,) if report.rolling else ()))
    return charts(report, drawn, HALF if len(drawn) > 1 else FULL)


def _own_style() -> object:
    from markupsafe import Markup

    return Markup(files("tbot.analytics").joinpath("report.css").read_text(encoding="utf-8"))


def charts(report: Report, drawn: tuple[tuple[str, plots.Draw], ...], size: tuple[float, float]) -> list[Chart]:
    """Charts of one size."""
    from markupsafe import Markup

    # Our own drawing: numbers, dates, and names of patterns and contracts that come from our own tables.
    return [Chart(title, Markup(plots.picture(draw, report, size))) for title, draw in drawn]


def to_date_title(report: Report) -> str:
    """What the figures of everything so far are of."""
    told = report.to_date
    since = f"Since {report.since:%-d %b %Y}" if report.since else "So far"
    return f"{since}: {plural(told.n, 'trade')}, {plural(len(told.days), 'trading day')}"


def sheets(report: Report) -> list[Sheet]:
    """Tables that stand beside each other."""
    found = [cells.day_sheet(report)] if report.deals else []
    for dimension in DIMENSIONS:
        lines = report.groups[dimension.key]
        if not lines or (dimension.key == "account" and len(report.accounts) < 2):
            continue
        names = {str(number): name or str(number) for number, name in report.accounts.items()}
        rows = tuple(
            (names.get(line.label, line.label) if dimension.key == "account" else line.label, *cells.group_cells(line))
            for line in lines
        )
        found.append(Sheet(dimension.title, ("", *cells.GROUP_COLUMNS), rows))
    return found


# ------------------------------------------------------------------------------------------------ months
def months(report: Report) -> list[Month]:
    """Calendars of the months that the period touches, the newest `MOST_MONTHS`; days before it are of the journal."""
    results = {day.day: day for day in report.to_date.days}
    first, last = report.period.first, report.period.last
    wanted = sorted({(day.year, day.month) for day in report.period.days() if day in results or day == last})
    wanted = wanted or [(first.year, first.month)]
    return [_month(year, month, results, report) for year, month in wanted[-MOST_MONTHS:]]


def _month(year: int, month: int, results: dict[date, DayResult], report: Report) -> Month:
    weeks = []
    total = 0
    for week in Calendar().monthdatescalendar(year, month):
        row = []
        for day in week[:5] if not any(one.weekday() > 4 and one in results for one in week) else week:
            told = results.get(day)
            inside = report.period.first <= day <= report.period.last
            if day.month != month:
                row.append(MonthDay(0))
            elif told is None or not told.n:
                row.append(MonthDay(day.day, "", "no trade" if told else "", "", inside))
            else:
                total += told.net_cents
                tone = "up" if told.net_cents > 0 else "down" if told.net_cents < 0 else "even"
                row.append(MonthDay(day.day, money(told.net_cents), plural(told.n, "trade"), tone, inside))
        if any(day.number for day in row):
            weeks.append(tuple(row))
    return Month(f"{date(year, month, 1):%B %Y}", tuple(weeks), money(total))


