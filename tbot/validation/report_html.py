"""The report of a backtest as one page of HTML that needs nothing else: no scripts, no files, no network.

The verdict stands at the top and at the end. It needs matplotlib and jinja2 (extra `report`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from zoneinfo import ZoneInfo

from tbot.backtest.results import BacktestResult
from tbot.errors import missing_extra
from tbot.validation import report_pictures as pictures
from tbot.validation.account import AccountOdds
from tbot.validation.assess import Assessment, ScoreQuality
from tbot.validation.regimes import Group, Regimes
from tbot.validation.report_honesty import Feature, failure_words, features
from tbot.validation.report_tables import AccountTables, Line, tables_of, whole
from tbot.validation.report_text import (
    GROUP_COLUMNS,
    account_words,
    group_cells,
    header_rows,
    named_patterns,
    summary_cells,
    trade_cells,
)
from tbot.validation.report_words import (
    MONEY,
    PLAIN,
    SHARE,
    SIGNED,
    Extra,
    between,
    money,
    number,
    pattern_words,
    percent,
)

MOST_TRADES = 1_000  # of an account on a page; trades.csv has all


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table: the first `words` columns are words, the others numbers."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int = 1


@dataclass(frozen=True, slots=True)
class Picture:
    """An SVG; `svg` is Markup, everything else on the page is escaped."""

    title: str
    svg: object


@dataclass(frozen=True, slots=True)
class AccountPage:
    """What the page says of one account."""

    name: str
    cells: list[tuple[str, str]]
    equity: object  # Markup, or "" without trips
    pictures: tuple[Picture, ...]
    tables: tuple[Sheet, ...]
    honesty: tuple[Feature, ...]
    long: tuple[Sheet, ...]  # tables that may go over pages


def page(
    result: BacktestResult, assessments: Sequence[Assessment], *, zone: ZoneInfo, extra: Extra | None = None
) -> str:
    """The page. ConfigError where matplotlib or jinja2 are not installed."""
    about = extra or Extra()
    several = len(assessments) > 1
    values = {
        "style": style(),
        "title": f"T-BOT backtest {', '.join(result.contracts)}, plan {result.plan_hash}",
        "verdicts": [
            (f"Account {judged.account}: " if several else "") + judged.verdict.line for judged in assessments
        ],
        "header": header_rows(result, assessments, zone, about),
        "template": result.calendar != "exact",
        "accounts": [_account(result, judged, zone, about) for judged in assessments],
        "notes": (*result.open_at_end, *result.notes),
    }
    return fill(files("tbot.validation").joinpath("report.html").read_text(encoding="utf-8"), values)


def fill(template: str, values: Mapping[str, object]) -> str:
    """A page from its template, in which `page` has the values. ConfigError where jinja2 is not installed."""
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError:
        raise missing_extra("the HTML report", "jinja2", "report") from None
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["tone"] = tone
    return environment.from_string(template).render(page=values)


def style() -> object:
    """The sheet of styles that all pages share, as Markup. ConfigError where jinja2 is not installed."""
    try:
        from markupsafe import Markup
    except ImportError:
        raise missing_extra("the HTML report", "jinja2", "report") from None
    return Markup(files("tbot.validation").joinpath("report.css").read_text(encoding="utf-8"))


def tone(text: str) -> str:
    """CSS class of a number that carries its sign; none for one with an interval, which tells more than a colour."""
    if "(" in text:
        return ""
    return "up" if text.startswith("+") else "down" if text.startswith("−") else ""


def _account(result: BacktestResult, judged: Assessment, zone: ZoneInfo, extra: Extra) -> AccountPage:
    from markupsafe import Markup

    tables = tables_of(result, judged.account)
    pictures.figure_class()
    traded = len(tables.rows) > 0
    return AccountPage(
        name=account_words(judged.account, extra),
        cells=summary_cells(judged, tables),
        # Our own drawing: numbers and fixed words alone.
        equity=Markup(pictures.equity(tables.curve, zone)) if traded else "",
        pictures=_pictures(judged, tables) if traded else (),
        tables=_tables(tables) if traded else (),
        honesty=features(result, judged, extra),
        long=_long(judged, tables, zone),
    )


def _pictures(judged: Assessment, tables: AccountTables) -> tuple[Picture, ...]:
    from markupsafe import Markup

    drawn = [
        ("Net result at multiples of the costs", judged.costs and pictures.costs(judged.costs)),
        ("By hour of entry (Chicago)", pictures.hours(tables.by_hour)),
        ("Worst and best on the way", pictures.excursions(tables.rows)),
        ("Score against outcome", judged.scores and pictures.calibration(judged.scores.reliability)),
    ]
    return tuple(Picture(title, Markup(svg)) for title, svg in drawn if svg)


def _tables(tables: AccountTables) -> tuple[Sheet, ...]:
    return (
        _groups("By month", ("month",), tables.months, tables),
        _groups("By week (from Monday)", ("week",), tables.weeks, tables),
        _groups("By pattern and timeframe", ("pattern", "frame"), named_patterns(tables.patterns), tables),
        _groups("By hour of entry (Chicago)", ("hour",), tables.by_hour, tables),
        _groups("By contract", ("contract",), tables.contracts, tables),
        _groups("By side", ("side",), tables.sides, tables),
        _groups("Exits", ("reason", "code"), tables.exits, tables),
    )


def _groups(title: str, names: tuple[str, ...], lines: Sequence[Line], tables: AccountTables) -> Sheet:
    rows = [(*line.label, *group_cells(line)) for line in lines]
    if len(lines) > 1:
        rows.append(("all", *[""] * (len(names) - 1), *group_cells(whole(tables.rows))))
    return Sheet(title, (*names, *GROUP_COLUMNS), tuple(rows), len(names))


def _long(judged: Assessment, tables: AccountTables, zone: ZoneInfo) -> tuple[Sheet, ...]:
    found = []
    if tables.refusals:
        rows = tuple((one.reason, one.text, f"{one.n:,}") for one in tables.refusals)
        found.append(Sheet("Signals that were not taken", ("reason", "the newest", "signals"), rows, 2))
    if judged.odds is not None:
        found.append(_odds(judged.odds))
    if judged.scores is not None:
        found.append(_components(judged.scores))
    if judged.regimes is not None:
        found.append(_regimes(judged.regimes))
    if len(tables.rows):
        found.append(_trades(tables, zone))
    return tuple(found)


def _odds(odds: AccountOdds) -> Sheet:
    rows = [("passes", between(odds.passed, SHARE))]
    if odds.days_to_pass is not None:
        rows.append(("days to pass, median", between(odds.days_to_pass, PLAIN)))
    rows += [(f"fails by {failure_words(name)}", between(share, SHARE)) for name, share in odds.failures.items()]
    rows.append(("target reached, but the best day too large", between(odds.withheld, SHARE)))
    if odds.fees_cents.estimate or odds.value_cents.estimate:
        rows += [
            ("value of an attempt", between(odds.value_cents, MONEY)),
            ("fees of an attempt", money(odds.fees_cents.estimate, signed=False)),
            ("fees for each pass", money(odds.fees_per_pass_cents, signed=False)),
        ]
    title = f"Odds of a Combine ({odds.attempts:,} attempts of up to {odds.horizon_days} days)"
    return Sheet(title, ("", ""), tuple(rows), 2)


def _components(quality: ScoreQuality) -> Sheet:
    rows = tuple(
        (one.name, "adds nothing" if one.adds_nothing else "helps", between(one.auc_loss, SIGNED),
         between(one.brier_loss, SIGNED))
        for one in quality.components.components
    )  # fmt: skip
    return Sheet("The score without one of its components", ("left out", "", "AUC lost", "Brier lost"), rows, 2)


def _regimes(regimes: Regimes) -> Sheet:
    rows = tuple(
        (group.dimension, _label(group), "yes" if group.stands_out else "", f"{group.n:,}", f"{group.days:,}",
         between(group.expectancy, SIGNED), number(group.p_value, 3), number(group.adjusted_p, 3))
        for group in regimes.groups
    )  # fmt: skip
    columns = ("regime", "", "stands out", "trades", "days", "net ticks a trade and contract", "p", "p adjusted")
    return Sheet(f"Regimes (false discoveries kept to {percent(regimes.q)})", columns, rows, 3)


def _label(group: Group) -> str:
    return pattern_words(group.label) if group.dimension == "pattern" else group.label


def _trades(tables: AccountTables, zone: ZoneInfo) -> Sheet:
    shown = trade_cells(tables.rows[-MOST_TRADES:], zone)
    of = "all" if len(shown) == len(tables.rows) else "the last"
    title = f"Trades, {of} {len(shown):,} of {len(tables.rows):,}"
    columns = tuple(shown[0])
    return Sheet(title, columns, tuple(tuple(cells.values()) for cells in shown), columns.index("in"))
