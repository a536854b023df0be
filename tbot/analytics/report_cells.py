"""Words and numbers of the report, the same on the page, in the pictures and on the terminal."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from tbot.analytics.breakdowns import GroupLine
from tbot.analytics.execution_quality import LATENCIES, Quality
from tbot.analytics.metrics import DayResult, Figures, Ratio
from tbot.analytics.pattern_table import Row
from tbot.analytics.report import Report
from tbot.analytics.round_trips import WEEKDAYS, Deal, pattern
from tbot.domain.timeframes import NAMES
from tbot.domain.trading_hours import CHICAGO, trading_day
from tbot.domain.words import plural
from tbot.strategy.words import ZONE_NAMES
from tbot.validation.report_words import NS_PER_S, held, money, number, percent

NA = "n/a"
MINUS = "−"


@dataclass(frozen=True, slots=True)
class Card:
    """A figure and its name. `note`: what stands small beside it; `sign` colours it, and its text has the sign too."""

    name: str
    text: str
    note: str = ""
    sign: int = 0


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table: the first `words` columns and the last `tail` ones are words, the others numbers. `total`: whether the
    last row is a sum."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int = 1
    total: bool = False
    note: str = ""
    tail: int = 0

    def is_number(self, place: int) -> bool:
        """Whether a column holds numbers, which stand to the right."""
        return self.words <= place < len(self.columns) - self.tail


# ------------------------------------------------------------------------------------------------ numbers
def cents(value: Fraction | int | None, *, signed: bool = True) -> str:
    return NA if value is None else money(round(value), signed=signed)


def ratio(value: Fraction | float | None, places: int = 2, *, signed: bool = False) -> str:
    return NA if value is None else number(float(value), places, signed=signed)


def share(value: Fraction | float | None, places: int = 0) -> str:
    return NA if value is None else percent(float(value), places)


def sign_of(value: float | Fraction | None) -> int:
    return 0 if not value else 1 if value > 0 else -1


def duration(ns: int | None) -> str:
    return NA if ns is None else held(ns)


def of_a_year(value: Ratio) -> tuple[str, str]:
    """(number, interval or why there is none)."""
    if value.value is None:
        return NA, value.why
    if value.low is None or value.high is None:
        return number(value.value, signed=True), ""
    return (
        number(value.value, signed=True),
        f"90 %: {number(value.low, signed=True)} to {number(value.high, signed=True)}",
    )


def short_day(day: date) -> str:
    """20 Nov: a day in a chart or a table, where the year is known."""
    return f"{day:%-d %b}"


def day_name(day: date) -> str:
    """Fri 20 Nov."""
    return f"{WEEKDAYS[day.weekday()]} {short_day(day)}"


# ------------------------------------------------------------------------------------------------ head
def title(report: Report) -> str:
    """T-BOT report · PAPER · week 47 of 2026."""
    period = report.period
    if period.week:
        year, week = period.week.split("-W")
        return f"Week {int(week)} of {year}"
    if period.first == period.last:
        return f"{WEEKDAYS[period.first.weekday()]} {period.first:%-d %B %Y}"
    return f"{period.first:%-d %B %Y} to {period.last:%-d %B %Y}"


def dates(report: Report) -> str:
    """Mon 16 Nov – Fri 20 Nov 2026: weekends are left out of a week."""
    first, last = report.period.first, report.period.last
    if report.period.week and not any(day.day.weekday() > 4 for day in report.figures.days):
        last = first + timedelta(days=4)
    return f"{day_name(first)} – {day_name(last)} {last.year}"


def no_trade(report: Report) -> str:
    """What there is to say of a period in which no round trip ended."""
    period, told = report.period, report.quality
    when = f"in {title(report).lower()}" if period.week else f"from {title(report)}"
    if not period.week and period.first == period.last:
        when = f"on {title(report)}"
    words = f"No trade was made {when}."
    if report.broker.fills:
        words = f"No round trip ended {when}: {plural(report.broker.fills, 'trade')} closed none."
    days = len(report.figures.days)
    if not days:
        return f"{words} The engine did not run on a trading day of it."
    return f"{words} The engine ran on {plural(days, 'trading day')} of it and gave {plural(told.signals, 'signal')}."


def account_names(report: Report) -> str:
    """Names of the accounts; their numbers where they have none."""
    names = [name or str(account) for account, name in sorted(report.accounts.items())]
    return ", ".join(names) or "no account"


def badge_words(report: Report) -> str:
    """What the badge means."""
    return {
        "DEMO": "a simulator of ours: nothing here is real money",
        "PAPER": "paper account: nothing here is real money",
        "REPLAY": "a tape: nothing here is real money",
        "LIVE": "orders went to the firm's account",
    }.get(report.badge, "")


def provenance(report: Report) -> str:
    """What the figures were made with and of."""
    return (
        f"code {', '.join(report.builds) or NA} · configuration {', '.join(report.config_hashes) or NA} · "
        f"journal {report.data_hash}"
    )


# ------------------------------------------------------------------------------------------------ cards
def main_cards(report: Report) -> list[Card]:
    """The four that a trader looks for first."""
    told = report.figures
    if not told.n:
        return _idle_cards(report)
    return [
        Card("Net P&L", cents(told.net_cents), f"gross {cents(told.gross_cents)}, costs "
             f"{cents(told.costs_cents, signed=False)}", sign_of(told.net_cents)),
        Card("Trade win %", share(told.win_rate), f"{told.wins} W | {told.losses} L"
             + (f" | {told.even} even" if told.even else "")),
        Card("Profit factor", _profit_factor(told), f"won {cents(told.won_cents, signed=False)}, lost "
             f"{cents(told.lost_cents, signed=False)}"),
        Card("Max drawdown", cents(-told.fall.depth_cents), _fall_words(told), sign_of(-told.fall.depth_cents)),
    ]  # fmt: skip


def _idle_cards(report: Report) -> list[Card]:
    """Without a trade no ratio is defined: what there is instead of a wall of n/a."""
    told = report.quality
    return [
        Card("Net P&L", cents(0), "no round trip ended"),
        Card("Trading days", f"{len(report.figures.days)}", "on which the engine ran"),
        Card("Signals", f"{told.signals:,}", f"{told.taken} taken, {told.signals - told.taken} not"),
        Card("Starts of the engine", f"{told.starts}"),
    ]


def _profit_factor(told: Figures) -> str:
    if told.profit_factor is None and told.won_cents:
        return "∞"
    return ratio(told.profit_factor)


def _fall_words(told: Figures) -> str:
    if not told.fall.depth_cents:
        return "never below its highest point" if told.n else ""
    return f"{plural(told.fall.trips, 'trade')}, {'recovered' if told.fall.recovered else 'not yet recovered'}"


def cards(report: Report) -> list[Card]:
    """All others: the venue's first, then ours."""
    told, quality = report.figures, report.quality
    if not told.n:
        return _room_cards(report)
    losing = None if told.average_loss_cents is None else -told.average_loss_cents
    found = [
        Card("Avg win / avg loss", ratio(told.win_loss_ratio), f"{cents(told.average_win_cents)} / {cents(losing)}"),
        Card("Day win %", share(told.day_win_rate), f"{sum(day.net_cents > 0 for day in told.traded_days)} of "
             f"{plural(len(told.traded_days), 'day')} with a trade"),
        Card("Best day % of profit", share(told.best_day_share), told.not_defined.get("best_day_share", "")),
        Card("Trades / lots", f"{told.n:,} / {told.lots:,}", f"{told.longs} long | {told.n - told.longs} short"),
        Card("Avg duration", duration(told.held_ns), f"won {duration(told.held_won_ns)}, lost "
             f"{duration(told.held_lost_ns)}"),
        Card("Best trade", cents(told.best_cents), "", sign_of(told.best_cents)),
        Card("Worst trade", cents(told.worst_cents), "", sign_of(told.worst_cents)),
        *_day_cards(told.traded_days),
        Card("Expectancy", cents(told.expectancy_cents), _expected_r(told), sign_of(told.expectancy_cents)),
        Card("Fees", cents(told.costs_cents, signed=False), f"{cents(told.fees_cents, signed=False)} fees, "
             f"{cents(told.commission_cents, signed=False)} comm."),
        Card("Slippage", slippage(told.slippage_ticks), f"{cents(-told.slippage_cents)} against the signals' prices"),
        Card("Streaks", f"{told.winning_streak} won / {told.losing_streak} lost", "longest in a row"),
        Card("MAE / MFE", f"{_tight(told.mae_cents, -1)} / {_tight(told.mfe_cents, 1)}", "average of a trade"),
        Card("Signals", f"{quality.signals:,}", f"{quality.taken} taken, {quality.signals - quality.taken} not"),
    ]  # fmt: skip
    return [*found, *_room_cards(report)]


def _room_cards(report: Report) -> list[Card]:
    """How near the period came to the limits; of several accounts the nearest one."""
    limits, found = report.limits, []
    if limits.least_room_cents is not None:
        when = f", {WEEKDAYS[limits.day.weekday()]}" if limits.day else ""
        found.append(Card("Least room to daily limit", _room(limits.least_room_cents),
                          f"of {cents(limits.daily_loss_cents, signed=False)}{when}{_whose(report, limits.account)}",
                          min(0, sign_of(limits.least_room_cents))))  # fmt: skip
    if report.floors:
        near = min(report.floors, key=lambda line: line.least.room_cents)
        day = WEEKDAYS[trading_day(near.least.at_ns).weekday()]
        found.append(Card("Least room to loss floor", _room(near.least.room_cents),
                          f"floor {cents(near.least.floor_cents, signed=False)}, {day}{_whose(report, near.account)}",
                          min(0, sign_of(near.least.room_cents))))  # fmt: skip
    return found


def _room(value: int) -> str:
    """Below nothing it has its sign."""
    return cents(value, signed=value < 0)


def _whose(report: Report, account: int | None) -> str:
    """, 1002: where there are several."""
    return f", {account}" if account is not None and len(report.accounts) > 1 else ""


def _expected_r(told: Figures) -> str:
    """Beside the expectancy in dollars."""
    if not told.n:
        return ""
    if told.expectancy_r is None:
        return f"a trade; R: {told.not_defined['expectancy_r']}"
    return f"{ratio(told.expectancy_r, signed=True)} R a trade"


def _tight(value: Fraction | None, sign: int) -> str:
    return NA if value is None else cents(sign * value)


def _day_cards(days: Sequence[DayResult]) -> list[Card]:
    if not days:
        return []
    active = max(days, key=lambda day: (day.n, day.day))
    best, worst = max(days, key=lambda day: day.net_cents), min(days, key=lambda day: day.net_cents)
    return [
        Card("Most active day", WEEKDAYS[active.day.weekday()], plural(active.n, "trade")),
        Card("Most profitable day", WEEKDAYS[best.day.weekday()], cents(best.net_cents)),
        Card("Least profitable day", WEEKDAYS[worst.day.weekday()], cents(worst.net_cents)),
    ]


def to_date_cards(report: Report) -> list[Card]:
    """Everything so far. Sharpe, Sortino and Calmar stand here: of a week alone they would say nothing."""
    told = report.to_date
    found = [
        Card("Net P&L", cents(told.net_cents), f"costs {cents(told.costs_cents, signed=False)}",
             sign_of(told.net_cents)),
        Card("Trade win %", share(told.win_rate), f"{told.wins} W | {told.losses} L"),
        Card("Profit factor", _profit_factor(told)),
        Card("Expectancy", cents(told.expectancy_cents), f"{ratio(told.expectancy_r, signed=True)} R",
             sign_of(told.expectancy_cents)),
        Card("Max drawdown", cents(-told.fall.depth_cents), _fall_words(told), sign_of(-told.fall.depth_cents)),
        Card("Day win %", share(told.day_win_rate), f"{plural(len(told.traded_days), 'day')} with a trade"),
    ]  # fmt: skip
    for name, value in (("Sharpe", told.sharpe), ("Sortino", told.sortino), ("Calmar", told.calmar)):
        text, note = of_a_year(value)
        found.append(Card(f"{name}, a year", text, note, sign_of(value.value)))
    if report.rolling:
        last = report.rolling[-1]
        found.append(Card("Sharpe, last 20 days", ratio(last.value, signed=True), f"to {short_day(last.day)}",
                          sign_of(last.value)))  # fmt: skip
    else:
        found.append(Card("Sharpe, last 20 days", NA, told.not_defined.get("sharpe", "")))
    return found


# ------------------------------------------------------------------------------------------------ tables
GROUP_COLUMNS = ("trades", "net", "average", "win %", "95 %", "PF", "R")


def group_cells(line: GroupLine) -> tuple[str, ...]:
    """Numbers of a group's line."""
    factor = "∞" if line.profit_factor is None and line.won_cents else ratio(line.profit_factor)
    return (
        f"{line.n:,}", cents(line.net_cents), cents(line.average_cents), share(line.win_rate),
        f"{100 * line.win_low:.0f} to {100 * line.win_high:.0f}", factor, ratio(line.r, signed=True),
    )  # fmt: skip


def day_sheet(report: Report) -> Sheet:
    rows = [
        (day_name(day.day), f"{day.n:,}", f"{day.lots:,}", str(day.wins),
         str(day.losses), cents(day.net_cents))
        for day in report.figures.days
    ]  # fmt: skip
    told = report.figures
    rows.append(("all", f"{told.n:,}", f"{told.lots:,}", str(told.wins), str(told.losses), cents(told.net_cents)))
    return Sheet("By trading day", ("day", "trades", "lots", "won", "lost", "net"), tuple(rows), total=True)


def falls_sheet(report: Report, zone: ZoneInfo) -> Sheet:
    """The worst drawdowns of everything so far."""
    rows = tuple(
        (_moment(one.from_ns, zone) or "the start", _moment(one.until_ns, zone) or "not yet recovered",
         f"{one.trips:,}", cents(-one.depth_cents))
        for one in report.falls
    )  # fmt: skip
    return Sheet("Worst drawdowns", ("from", "recovered", "trades", "depth"), rows, words=2)


def _moment(at_ns: int | None, zone: ZoneInfo) -> str:
    """20 Nov 16:33, in the display zone."""
    return "" if at_ns is None else f"{datetime.fromtimestamp(at_ns // NS_PER_S, UTC).astimezone(zone):%-d %b %H:%M}"


def latency_sheet(quality: Quality) -> Sheet:
    rows = tuple(
        (LATENCIES.get(one.hop, one.hop.replace("_", " ")), f"{one.n:,}", _ms(one.p50_ns), _ms(one.p99_ns),
         _ms(one.worst_ns))
        for one in quality.latencies
    )  # fmt: skip
    note = "" if rows else "No entry of the period has its times on record."
    return Sheet("Where an entry's time went", ("from → to", "entries", "median", "p99", "worst"), rows, note=note)


def _ms(ns: int) -> str:
    return f"{ns / 1e6:,.2f} ms" if ns < 100_000_000 else f"{ns / 1e6:,.0f} ms"


def slippage(ticks: int) -> str:
    """A sign would be read as money's: fewer ticks paid are more money."""
    return "none" if not ticks else f"{plural(abs(ticks), 'tick')} {'worse' if ticks > 0 else 'better'}"


def execution_sheet(report: Report) -> Sheet:
    told = report.quality
    per = told.slippage_ticks / told.slippage_contracts if told.slippage_contracts else None
    rows = [
        ("Entry orders sent", f"{told.entries:,}", f"{told.filled_entries:,} filled, {told.rejected} rejected, "
         f"{told.not_sent} not sent, {told.ambiguous} without an answer"),
        ("Contracts ordered", f"{told.entry_contracts:,}", f"{told.filled_contracts:,} filled: "
         f"{share(told.fill_ratio)}"),
        ("Slippage of entries", slippage(told.slippage_ticks),
         f"{ratio(per, signed=True)} a contract; {told.slippage_worse} trades worse than decided, "
         f"{told.slippage_equal} as decided, {told.slippage_better} better"),
        ("Starts of the engine", f"{told.starts}", ""),
        ("Locks, halts, flattenings", f"{sum(n for _, n in told.halts)}", _listed(told.halts)),
        ("Data not whole", f"{sum(n for _, n in told.gaps)}", _listed(told.gaps)),
        ("Pauses of the machine or line", f"{sum(n for _, n in told.conditions)}", _listed(told.conditions)),
    ]  # fmt: skip
    return Sheet("Orders and operations", ("", "", ""), tuple(rows), words=3)


def pattern_sheet(report: Report) -> Sheet:
    """What was learned: every triggered setup that came to its end, traded or not, and its weight."""
    title, told = "Patterns, traded or not, and what was learned of them", report.patterns
    columns = ("pattern", "n", "new", "win %", "95 %", "PF", "R", "weight", "why")
    if told is None:
        note = "No outcomes of patterns were kept, or they cannot be read ([learning] mode, tbot patterns)."
        return Sheet(title, columns, (), note=note)
    shown = [row for row in told.rows if row.n]
    note = {
        "on": "Learning is on: weights decide.",
        "observe": "Learning observes: outcomes are kept, and no weight decides anything.",
        "off": "Learning is off.",
    }[told.mode]
    note += " The weights are frozen." if told.frozen else ""
    note += "" if shown else " No triggered setup has come to an end yet."
    return Sheet(title, columns, tuple(_pattern(row, frozen=told.frozen) for row in shown), note=note, tail=1)


def _pattern(row: Row, *, frozen: bool) -> tuple[str, ...]:
    judged = row.judged
    factor = "∞" if row.profit_factor is None and row.won_r else ratio(row.profit_factor)
    return (
        f"{judged.symbol} {ZONE_NAMES[judged.kind]} {NAMES[judged.timeframe_min]}", f"{row.n:,}", f"{row.recent.n:,}",
        share(row.share.estimate), f"{100 * row.share.low:.0f} to {100 * row.share.high:.0f}", factor,
        ratio(row.expectancy_r, signed=True), f"{row.before:.3f} → {row.after:.3f}", _why(row, frozen=frozen),
    )  # fmt: skip


def _why(row: Row, *, frozen: bool) -> str:
    """Why a weight changed, or did not, in a few words; tbot patterns --explain has all of it."""
    new = "nothing new"
    if row.recent.n:
        new = f"new: {row.recent.won} of {row.recent.n} won, {ratio(row.recent.mean_r, signed=True)} R each"
    if frozen:
        return f"{new}; frozen"
    if row.before == row.after:
        return f"{new}; unchanged"
    return f"{new}; edge now {number(row.judged.edge_r, 3, signed=True)} R"


def _listed(counted: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{name} {n}×" for name, n in counted)


def denial_sheet(quality: Quality) -> Sheet:
    rows = tuple((one.reason, one.text, f"{one.n:,}") for one in quality.denials)
    note = "" if rows else "No signal of the period was refused."
    return Sheet("Signals that were not taken, by reason", ("reason", "the newest", "times"), rows, 2, note=note)


# ------------------------------------------------------------------------------------------------ trades
def clock(ns: int, zone: ZoneInfo) -> str:
    """Fri 16:33 (08:33): the display zone, and Chicago in brackets."""
    at = datetime.fromtimestamp(ns // NS_PER_S, UTC)
    return f"{at.astimezone(zone):%a %H:%M} ({at.astimezone(CHICAGO):%H:%M})"


def trade_sheet(report: Report, zone: ZoneInfo, most: int | None = None) -> Sheet:
    """Every trade, or the last `most`."""
    shown = report.deals if most is None else report.deals[-most:]
    of = "" if len(shown) == len(report.deals) else f", the last {len(shown):,} of {len(report.deals):,}"
    long = (report.period.last - report.period.first).days > 6
    rows = tuple(_trade(deal, zone, long) for deal in shown)
    columns = ("in", "out", "", "qty", "net", "R", "entry", "left at", "stop", "target", "costs", "exit", "pattern",
               "zone")  # fmt: skip
    if len(report.accounts) < 2:
        return Sheet(f"Every trade{of}", columns, rows, 3, tail=3)
    whose = [str(deal.trip.account) for deal in shown]
    rows = tuple((*row[:2], account, *row[2:]) for account, row in zip(whose, rows, strict=True))
    return Sheet(f"Every trade{of}", (*columns[:2], "account", *columns[2:]), rows, 4, tail=3)


def _trade(deal: Deal, zone: ZoneInfo, long: bool) -> tuple[str, ...]:
    trip, product, signal = deal.trip, deal.product, deal.signal
    out = datetime.fromtimestamp(trip.now_ns // NS_PER_S, UTC).astimezone(zone)
    into = clock(trip.opened_ns, zone)
    if long:
        into = f"{datetime.fromtimestamp(trip.opened_ns // NS_PER_S, UTC).astimezone(zone):%-d %b} {into}"
    show: Callable[[int], str] = product.format
    return (
        into, f"{out:%H:%M}", f"{trip.contract} {'long' if trip.side > 0 else 'short'}", str(trip.size),
        cents(trip.net_cents), ratio(deal.r, signed=True),
        _price(trip.entry_price_size, deal), _price(trip.exit_price_size, deal),
        show(signal.stop) if signal else "–", show(signal.target) if signal else "–",
        cents(deal.costs_cents, signed=False), _exit(deal), pattern(deal), str(signal.zone_id) if signal else "–",
    )  # fmt: skip


def _exit(deal: Deal) -> str:
    return deal.trip.exit_code or deal.trip.exit_reason


def _price(price_size: int, deal: Deal) -> str:
    """An average price, with one more digit where it lies between two ticks."""
    product, size = deal.product, deal.trip.size
    if price_size % size == 0:
        return product.format(price_size // size)
    return f"{price_size * float(product.tick_size) / size:.{product.decimals + 1}f}"
