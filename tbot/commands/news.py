"""`tbot news`: what is scheduled next, which contracts it concerns, what T-BOT does then, and how old the calendar is.

`--json`: one document `tbot.news` version 1 with `at, stale, age_s` (null: no source says), `policy` (the [news]
section's actions), `sources` (`name, kind, events, as_of, age_s`), `problems`, `contracts` (by symbol: `action,
percent, cpi, stale, until` now), `events` (timed, soonest first: `time, in_s, currency, impact, title, forecast,
previous, cpi, contracts, action, from, until, source`) and `untimed` (`day, currency, impact, title, source`). Times
are UTC.
"""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tbot.commands.gateway import config_option
from tbot.commands.options import DataFile, Filled, Whole
from tbot.commands.words import show

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from tbot.context.news import Calendar, NewsEvent
    from tbot.context.news_settings import NewsSettings

_S = 1_000_000_000


@click.command()
@config_option
@click.option("--next", "wanted", type=Whole(min=1), default=12, show_default=True, help="How many events.")
@click.option(
    "--impact", type=click.Choice(["high", "medium", "low"]), default="medium", show_default=True, help="At least."
)
@click.option("--contracts", help="Of these contracts, for example MNQ,ES; default: those of the settings.")
@click.option("--file", "files", type=DataFile(), multiple=True, help="This file, too.")
@click.option("--fetch", is_flag=True, help="Ask the public calendar now, if the last request is long enough ago.")
@click.option("--at", "at", metavar="TIME", type=Filled(), help="As if it were this time (ISO 8601).")
@click.option("--tz", default="Europe/Helsinki", show_default=True, help="Time zone of the table.")
@click.option("--json", "json_output", is_flag=True, help="One JSON document.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def news(
    config_path: Path | None,
    wanted: int,
    impact: str,
    contracts: str | None,
    files: tuple[Path, ...],
    fetch: bool,
    at: str | None,
    tz: str,
    json_output: bool,
    debug: bool,
) -> int:
    """List scheduled news: when, what, which contracts, and what happens to entries then."""
    import orjson

    from tbot.commands.options import parse_symbols, parse_time_ns, parse_zone
    from tbot.config import load
    from tbot.context.news_sources import cache_of, gather, own_files
    from tbot.home import home

    config, zone = load(config_path), parse_zone(tz)
    settings, cache = config.news, cache_of(home())
    if fetch and (said := cache.fetch(settings, time.time_ns())):
        click.echo(said, err=True)
    now_ns = parse_time_ns(at) if at is not None else time.time_ns()
    calendar = gather([*own_files(settings, home()), *files], cache)
    symbols = parse_symbols(contracts) if contracts else config.engine.contracts
    told = document(calendar, settings, symbols, now_ns, impact.capitalize(), wanted)
    if json_output:
        click.echo(orjson.dumps(told).decode())
        return 0
    show(lines(told, zone))
    return 0


def document(
    calendar: "Calendar", settings: "NewsSettings", symbols: tuple[str, ...], now_ns: int, least: str, wanted: int
) -> dict[str, Any]:
    """Everything, as `--json` tells it."""
    from tbot.context.news_windows import NewsTeller
    from tbot.domain.contracts import PRODUCTS

    teller = NewsTeller.of(calendar, settings, [PRODUCTS[symbol].contract_id for symbol in symbols])
    states = {symbol: teller.state(PRODUCTS[symbol].contract_id, now_ns) for symbol in symbols}
    shown = [event for event in calendar.events if _counts(event, least) and _until_ns(event, settings) >= now_ns]
    age_ns = calendar.age_ns(now_ns)
    return {
        "schema": "tbot.news",
        "version": 1,
        "at": _iso(now_ns),
        "stale": not calendar.is_known(now_ns),
        "age_s": None if age_ns is None else age_ns // _S,
        "policy": {
            "high": settings.high,
            "medium": settings.medium,
            "low": settings.low,
            "reduce_percent": settings.reduce_percent,
            "cpi": settings.cpi,
            "stale": settings.stale,
            "fetch": settings.fetch,
        },
        "sources": [
            {
                "name": source.name,
                "kind": source.kind,
                "events": len(source.events),
                "as_of": None if source.as_of_ns is None else _iso(source.as_of_ns),
                "age_s": None if source.as_of_ns is None else (now_ns - source.as_of_ns) // _S,
            }
            for source in calendar.sources
        ],
        "problems": list(calendar.problems),
        "contracts": {
            symbol: {
                "action": state.action or "none",
                "percent": state.percent,
                "cpi": state.cpi,
                "stale": state.stale,
                "until": _iso(state.until_ns) if state.until_ns < 1 << 62 else None,
            }
            for symbol, state in states.items()
        },
        "events": [_event_row(event, settings, symbols, now_ns) for event in shown[:wanted]],
        "untimed": [
            {
                "day": None if event.day is None else event.day.isoformat(),
                "currency": event.currency,
                "impact": event.impact,
                "title": event.title,
                "source": event.source,
            }
            for event in calendar.untimed
            if event.day is None or event.day.toordinal() >= _today(now_ns)
        ],
    }


_ORDER = {"Low": 1, "Medium": 2, "High": 3}


def _counts(event: "NewsEvent", least: str) -> bool:
    return _ORDER.get(event.impact, 0) >= _ORDER[least]


def _until_ns(event: "NewsEvent", settings: "NewsSettings") -> int:
    return (event.at_ns or 0) + settings.minutes(event.impact)[1] * 60 * _S


def _today(now_ns: int) -> int:
    return datetime.fromtimestamp(now_ns // _S, UTC).toordinal() - 1  # a day may still go on somewhere


def _event_row(event: "NewsEvent", settings: "NewsSettings", symbols: tuple[str, ...], now_ns: int) -> dict[str, Any]:
    from tbot.domain.contracts import PRODUCTS

    at_ns = event.at_ns or 0
    before, after = settings.minutes(event.impact)
    action = settings.action(event.impact)
    return {
        "time": _iso(at_ns),
        "in_s": (at_ns - now_ns) // _S,
        "currency": event.currency,
        "impact": event.impact,
        "title": event.title,
        "forecast": event.forecast,
        "previous": event.previous,
        "cpi": event.is_cpi and settings.cpi,
        "contracts": [symbol for symbol in symbols if settings.concerns(event.currency, PRODUCTS[symbol])],
        "action": action or "none",
        "from": _iso(at_ns - before * 60 * _S) if action else None,
        "until": _iso(at_ns + after * 60 * _S) if action else None,
        "source": event.source,
    }


def _iso(at_ns: int) -> str:
    return f"{datetime.fromtimestamp(at_ns // _S, UTC):%Y-%m-%dT%H:%M:%SZ}"


def lines(told: dict[str, Any], zone: "ZoneInfo") -> list[str]:
    """The document for a person."""
    from tbot.gateway.redact import plain

    text = []
    for row in told["events"]:
        action = {"none": "", "reduce": f"reduce to {told['policy']['reduce_percent']} %"}.get(
            row["action"], row["action"]
        )
        window = f"{_clock(row['from'], zone)}-{_clock(row['until'], zone)}" if action else ""
        concerned = ",".join(row["contracts"]) or "none of these contracts"
        cpi = "  CPI limits" if row["cpi"] and row["contracts"] else ""
        when = f"{_moment(row['time'], zone)}  {_distance(row['in_s']):>9}"
        what = f"{plain(row['currency'], 5):<4} {row['impact']:<6}  {plain(row['title'], 40):<40}"
        text.append(f"{when}  {what}  {action:<14} {window:<11}  {concerned}{cpi}".rstrip())
    if not told["events"]:
        text.append("no news ahead in the calendar")
    for row in told["untimed"]:
        day = row["day"] or "day unknown"
        text.append(f"{day}  no time   {plain(row['currency'], 5):<4} {row['impact']:<6}  {plain(row['title'], 40)}")
    text += [
        f"source: {plain(row['name'], 120)}, {row['events']} events, {_age(row['age_s'])}" for row in told["sources"]
    ]
    text += [f"problem: {plain(problem, 300)}" for problem in told["problems"]]
    if told["stale"]:
        why = "there is no calendar" if not told["sources"] else "no source speaks about this time any more"
        text.append(f'STALE: {why}; [news] stale = "{told["policy"]["stale"]}" holds; tbot news --fetch asks for one')
    return text


def _moment(iso: str, zone: "ZoneInfo") -> str:
    return f"{datetime.fromisoformat(iso).astimezone(zone):%a %d %b %H:%M}"


def _clock(iso: str, zone: "ZoneInfo") -> str:
    return f"{datetime.fromisoformat(iso).astimezone(zone):%H:%M}"


def _distance(seconds: int) -> str:
    if seconds < 0:
        return f"{-seconds // 60} min ago"
    if seconds < 3600:
        return f"in {seconds // 60} min"
    return f"in {seconds // 3600} h" if seconds < 48 * 3600 else f"in {seconds // 86_400} days"


def _age(seconds: int | None) -> str:
    if seconds is None:
        return "age unknown"
    return f"{seconds // 3600} h old" if seconds < 48 * 3600 else f"{seconds // 86_400} days old"
