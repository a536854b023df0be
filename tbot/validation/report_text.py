"""The report of a backtest on the terminal (rich): from what was run to the verdict, which is always the last line.

Meaning never lies in colour alone: results carry their sign. Times stand in the display zone, sessions in Chicago.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from tbot.backtest.results import BacktestResult
from tbot.backtest.results import Table as Trips
from tbot.domain.contracts import PRODUCTS
from tbot.domain.timeframes import NAMES
from tbot.domain.trading_hours import CHICAGO
from tbot.domain.words import plural
from tbot.validation.assess import Assessment
from tbot.validation.costs import CostCurve
from tbot.validation.report_honesty import features
from tbot.validation.report_lines import EquityChart, bar_of
from tbot.validation.report_tables import AccountTables, Line, tables_of, whole
from tbot.validation.report_words import (
    SYNTHETIC_MARK,
    Extra,
    calendar_words,
    fill_words,
    held,
    moment,
    money,
    number,
    pattern_words,
    percent,
    stamp,
)

WEEKS_AT_MOST = 3  # months of a run that is told by the week
HOUR_BAR = 12  # signs
COST_BAR = 24
DEFAULT_TRADES = 20
WIDE = 100  # signs from which trades have all their columns
# As the charts of `tbot detect` name them.
SHORT_PATTERNS = {"ob": "OB", "fvg": "FVG", "ifvg": "IFVG", "breaker": "BRK", "mitigation": "MB"}


def render(
    result: BacktestResult,
    assessments: Sequence[Assessment],
    *,
    zone: ZoneInfo,
    limit: int | None = DEFAULT_TRADES,
    extra: Extra | None = None,
    verdict: bool = True,
) -> RenderableType:
    """The whole report. `limit`: how many of the newest trades are listed; None: all, 0: none. `verdict` False: without
    its last lines, for whoever prints them himself."""
    about = extra or Extra()
    parts: list[RenderableType] = [header(result, assessments, zone, about)]
    for judged in assessments:
        if len(assessments) > 1:
            parts += [Text(), Text(account_words(judged.account, about), style="bold reverse")]
        parts += account_parts(result, judged, zone, limit, about)
    parts += _notes(result)
    parts.append(Text())
    parts += verdicts(assessments) if verdict else []
    return Group(*parts)


def account_parts(
    result: BacktestResult, judged: Assessment, zone: ZoneInfo, limit: int | None, extra: Extra
) -> Iterator[RenderableType]:
    """Sections of one account."""
    tables = tables_of(result, judged.account)
    yield from _section("Summary", _summary(judged, tables))
    if len(tables.rows):
        yield from _section("Balance, and drawdown below it", equity(tables, zone))
        months = len(tables.months) > WEEKS_AT_MOST
        period = tables.months if months else tables.weeks
        yield from _section("By month" if months else "By week (from Monday)", _groups(period, ("",), tables))
        yield from _section(
            "By pattern and timeframe", _groups(named_patterns(tables.patterns), ("pattern", "frame"), tables)
        )
        yield from _section("By hour of entry (Chicago)", _hours(tables))
        yield from _section("By contract and side", _groups((*tables.contracts, *tables.sides), ("",), tables))
        yield from _section("Exits", _groups(tables.exits, ("reason", "code"), tables))
    if tables.refusals:
        yield from _section("Signals that were not taken", _refusals(tables))
    if judged.costs is not None:
        yield from _section("Net result at multiples of the costs", _costs(judged.costs))
    yield from _section("Honesty", _honesty(result, judged, extra))
    if len(tables.rows) and limit != 0:
        yield from _section(*_trades(tables, zone, limit))


def _section(title: str, body: RenderableType) -> Iterator[RenderableType]:
    yield Text()
    yield Text(title, style="bold")
    yield body


def account_words(account: int, extra: Extra) -> str:
    """`Account 1 "50K"`."""
    name = extra.accounts.get(account, "")
    return f"Account {account}" + (f' "{name}"' if name else "")


# ------------------------------------------------------------------------------------------------ header
def data_words(paths: Sequence[str]) -> list[str]:
    """Files by name, once with their folder where they share one; a path repeated six times hides which files it is."""
    folders = {str(Path(path).parent) for path in paths}
    if len(paths) < 2 or len(folders) > 1:
        return list(paths)
    names = ", ".join(Path(path).name for path in paths)
    (folder,) = folders
    return [names if folder == "." else f"{names} in {folder}"]


def header_rows(
    result: BacktestResult, assessments: Sequence[Assessment], zone: ZoneInfo, extra: Extra
) -> list[tuple[str, str]]:
    """What was run on what, by name."""
    days = f"{len(result.days)} trading day{'' if len(result.days) == 1 else 's'}"
    contracts = ", ".join(
        f"{name}{SYNTHETIC_MARK if name in result.synthetic else ''} ({result.bars.get(name, 0):,} bars)"
        for name in result.contracts
    )
    if result.synthetic:
        contracts += f"; {SYNTHETIC_MARK} ticks made from bars"
    accounts = ", ".join(
        f"{account_words(judged.account, extra)[8:]} ({result.states.get(judged.account, 'state not known')})"
        for judged in assessments
    )
    return [
        ("Data", "; ".join([*data_words(extra.data), f"{result.records:,} records, {days}"])),
        ("Span", f"{stamp(result.first_ns, zone)} to {stamp(result.last_ns, zone)}"),
        ("Contracts", contracts),
        ("Account" if len(assessments) == 1 else "Accounts", accounts),
        ("Strategy", extra.strategy),
        ("Calendar", calendar_words(result.calendar)),
        ("Fills", "; ".join(fill_words(extra.fills))),
        ("Plan, data", f"plan {result.plan_hash}, data {result.data_hash[:12]}"
         + (f", T-BOT {extra.version}" if extra.version else "")),
    ]  # fmt: skip


def header(result: BacktestResult, assessments: Sequence[Assessment], zone: ZoneInfo, extra: Extra) -> RenderableType:
    """Name and value, one a line."""
    table = _pairs()
    for name, text in header_rows(result, assessments, zone, extra):
        alarming = name == "Calendar" and result.calendar != "exact"
        table.add_row(name, Text(text, style="yellow" if alarming else ""))
    return Group(Text("T-BOT backtest", style="bold"), table)


def _pairs() -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    return table


# ------------------------------------------------------------------------------------------------ summary
def summary_cells(judged: Assessment, tables: AccountTables) -> list[tuple[str, str]]:
    """Name and value of every number of the summary."""
    told = judged.summary
    fall, enough = told.drawdown, judged.days_enough
    back = "" if not fall.depth_cents else ", recovered" if fall.recovered is not None else ", not recovered"
    return [
        ("Net result", money(told.net_cents)),
        ("Trades", f"{told.n:,}"),
        ("Gross result", money(told.gross_cents)),
        ("Won / lost / flat", f"{told.wins} / {told.losses} / {told.n - told.wins - told.losses}"),
        ("Fees, commission", money(told.costs_cents, signed=False)),
        ("Win rate", percent(told.win_rate, 1)),
        ("Balance", f"{money(tables.opening_cents, signed=False)} → {money(tables.closing_cents, signed=False)}"),
        ("Profit factor", number(told.profit_factor)),
        ("Max drawdown", f"{money(fall.depth_cents, signed=False)}{back}"),
        ("Average won", money(told.average_win_cents)),
        ("Longest drawdown", plural(fall.longest_trips, "trade")),
        ("Average lost", "–" if told.average_loss_cents is None else money(-told.average_loss_cents)),
        ("Losing streak", plural(told.losing_streak, "trade")),
        ("Expectancy", money(told.expectancy_cents)),
        ("Sharpe, a year", number(told.sharpe if enough else None)),
        ("Expectancy, ticks", number(told.expectancy_ticks, signed=True)),
        ("Sortino, a year", number(told.sortino if enough else None)),
        ("Expectancy, R", number(told.expectancy_r, signed=True)),
        ("In the market", percent(told.exposure, 1)),
        ("Days", f"{told.days}"),
    ]


def _summary(judged: Assessment, tables: AccountTables) -> Table:
    table = Table.grid(padding=(0, 2))
    for style in ("dim", "", "dim", ""):
        table.add_column(style=style, no_wrap=True)
    cells = [(name, _coloured(text)) for name, text in summary_cells(judged, tables)]
    for left, right in zip(cells[::2], cells[1::2], strict=True):
        table.add_row(*left, *right)
    return table


def _coloured(text: str) -> Text:
    style = "green" if text.startswith("+") else "red" if text.startswith("−") else ""
    return Text(text, style=style)


def equity(tables: AccountTables, zone: ZoneInfo) -> EquityChart:
    """The chart with the days of its ends."""
    times = tables.curve.at_ns
    first, last = (f"{moment(int(times[end]), zone):%Y-%m-%d}" for end in (0, -1))
    return EquityChart(tables.curve, first, last)


# ------------------------------------------------------------------------------------------------ tables
GROUP_COLUMNS = ("trades", "win %", "PF", "average", "R", "net")


def group_cells(told: Line) -> tuple[str, ...]:
    """The numbers of a group, as GROUP_COLUMNS has them."""
    return (
        f"{told.n:,}",
        percent(told.win_rate),
        number(told.profit_factor),
        money(told.average_cents),
        number(told.average_r, signed=True),
        money(told.net_cents),
    )


def _table(left: Iterable[str], right: Iterable[str]) -> Table:
    """Names at the left, which wrap where there is no room, and numbers, which do not."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    for name in left:
        table.add_column(name, overflow="fold")
    for name in right:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _groups(lines: Sequence[Line], names: tuple[str, ...], tables: AccountTables) -> Table:
    table = _table(names, GROUP_COLUMNS)
    for line in lines:
        table.add_row(*map(Text, line.label), *map(_coloured, group_cells(line)))
    if len(lines) > 1:
        table.add_row("all", *[""] * (len(names) - 1), *map(_coloured, group_cells(whole(tables.rows))), style="bold")
    return table


def named_patterns(lines: Sequence[Line]) -> list[Line]:
    """Patterns by their names instead of their codes."""
    return [replace(line, label=(pattern_words(line.label[0]), *line.label[1:])) for line in lines]


def _hours(tables: AccountTables) -> Table:
    table = _table(("hour",), ("trades", "win %", "average", "net"))
    table.add_column("", no_wrap=True)
    most = max(abs(line.net_cents) for line in tables.by_hour)
    for line in tables.by_hour:
        net = _coloured(money(line.net_cents))
        bar = Text(bar_of(line.net_cents, most, HOUR_BAR), style=net.style)
        table.add_row(f"{line.label[0]}:00", f"{line.n:,}", percent(line.win_rate), _coloured(
            money(line.average_cents)), net, bar)  # fmt: skip
    return table


def _refusals(tables: AccountTables) -> Table:
    table = _table((), ())
    table.add_column("reason", no_wrap=True)
    table.add_column("signals", justify="right", no_wrap=True)
    table.add_column("the newest")
    for one in tables.refusals:
        table.add_row(Text(one.reason), f"{one.n:,}", Text(one.text))
    return table


def _costs(curve: CostCurve) -> Table:
    table = _table(("costs",), ("net",))
    table.add_column("", no_wrap=True)
    most = max(map(abs, curve.nets_cents))
    for multiple, net in zip(curve.multiples, curve.nets_cents, strict=True):
        if multiple % 0.5:
            continue
        told = _coloured(money(net))
        mark = " ← this run" if multiple == 1 else ""
        table.add_row(
            f"{multiple:.1f} x", told, Text(bar_of(net, most, COST_BAR), style=told.style).append(mark, "dim")
        )
    return table


def _honesty(result: BacktestResult, judged: Assessment, extra: Extra) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for one in features(result, judged, extra):
        table.add_row(one.key, one.title, Text(("" if one.known else "– ") + one.line, "" if one.known else "dim"))
    return table


# ------------------------------------------------------------------------------------------------ trades
class _ByWidth:
    """A table that is made for the width it gets."""

    def __init__(self, make: Callable[[int], RenderableType]) -> None:
        self._make = make

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self._make(options.max_width)


def _trades(tables: AccountTables, zone: ZoneInfo, limit: int | None) -> tuple[str, RenderableType]:
    rows = tables.rows if limit is None else tables.rows[-limit:]
    title = f"Trades, {'all' if len(rows) == len(tables.rows) else 'the last'} {len(rows)} of {len(tables.rows)}"

    def make(width: int) -> Table:
        wide = width >= WIDE
        listed = trade_cells(rows, zone)
        shown = [name for name in listed[0] if wide or name not in ("Chicago", "held")]
        table = _table(shown[: shown.index("in")], shown[shown.index("in") :])
        for name in ("opened", "trade"):
            next(column for column in table.columns if str(column.header).startswith(name)).no_wrap = True
        for cells in listed:
            table.add_row(*(_coloured(cells[name]) if name in ("R", "net") else Text(cells[name]) for name in shown))
        return table

    return title, _ByWidth(make)


def trade_cells(rows: Trips, zone: ZoneInfo) -> list[dict[str, str]]:
    """Trades, by column. The zone's abbreviation stands once, or in every row where the clock changes on the way."""
    names = {f"{moment(at, zone):%Z}" for at in rows["opened_ns"].tolist()}
    if len(names) == 1:
        return [{f"opened {next(iter(names))}": _opened(row, zone, ""), **_trade_cells(row)} for row in rows]
    return [{"opened": _opened(row, zone, " %Z"), **_trade_cells(row)} for row in rows]


def _opened(row: np.void, zone: ZoneInfo, suffix: str) -> str:
    return moment(int(row["opened_ns"]), zone).strftime("%m-%d %H:%M" + suffix)


def _trade_cells(row: np.void) -> dict[str, str]:
    product, size = PRODUCTS[str(row["contract"])], int(row["size"])
    risk, opened = int(row["risk_cents"]), int(row["opened_ns"])
    kind, minutes = str(row["zone_kind"]), int(row["zone_timeframe_min"])
    return {
        "Chicago": f"{moment(opened, CHICAGO):%H:%M}",
        "trade": f"{'+' if row['side'] > 0 else '−'}{size} {product.symbol}",
        "pattern": f"{SHORT_PATTERNS.get(kind, kind)} {NAMES.get(minutes, '')}".strip(),
        "in": product.format(round(int(row["entry_price_size"]) / size)),
        "out": product.format(round(int(row["exit_price_size"]) / size)),
        "held": held(int(row["closed_ns"]) - opened),
        "exit": str(row["exit_reason"]),
        "R": number(int(row["net_cents"]) / risk, 1, signed=True) if risk > 0 else "–",
        "net": money(int(row["net_cents"])),
    }


def _notes(result: BacktestResult) -> Iterator[RenderableType]:
    notes = (*result.open_at_end, *result.notes)
    if notes:
        yield from _section("Notes", Group(*(Text(f"• {note}") for note in notes)))


def verdicts(assessments: Sequence[Assessment]) -> list[Text]:
    """The last lines: one an account."""
    several = len(assessments) > 1
    return [
        Text((f"Account {judged.account}: " if several else "") + judged.verdict.line, style="bold")
        for judged in assessments
    ]
