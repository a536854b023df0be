"""What `tbot backtest` does between its options and its words: data, plan, run, judgement, ledger, files."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click
import numpy as np

from tbot import __version__
from tbot.backtest.context_source import ContextSource
from tbot.backtest.holdout import Lock, days_in, lock, may_open, parse_span
from tbot.backtest.plan import AccountPlan, BacktestPlan
from tbot.backtest.results import BacktestResult, Table
from tbot.backtest.run import Progress, run_backtest
from tbot.backtest.source import Source
from tbot.commands.account_choice import with_accounts
from tbot.commands.options import parse_symbols, parse_time_ns
from tbot.commands.past import Chosen, configured_accounts, first_account, plan_of
from tbot.commands.user_strategy import load_strategy
from tbot.config import Config, load
from tbot.context.news import Calendar, high_impact_ns
from tbot.context.news_sources import past_calendar
from tbot.domain.trading_hours import CHICAGO, trading_day
from tbot.domain.words import plural
from tbot.errors import ConfigError, DataError
from tbot.home import home
from tbot.risk.firm import FirmRules
from tbot.storage.firm_rules import load_rules
from tbot.storage.sources import Source as Sources
from tbot.storage.sources import open_sources
from tbot.storage.trials import Trial, append_trials, looked_before, open_ledger, rivals
from tbot.strategy.settings import StrategySettings
from tbot.streams import is_terminal
from tbot.validation.assess import Assessment, assess
from tbot.validation.report_files import check_target, write
from tbot.validation.report_words import Extra

LINE_S = 10.0  # between two lines of progress without a terminal


@dataclass(frozen=True)
class Question:
    """The options of a backtest."""

    paths: tuple[Path, ...]
    config_path: Path | None = None
    accounts: tuple[int, ...] = ()  # of the [[accounts]] of the settings; (): all
    contracts: str = ""
    contract: str | None = None
    data_tz: str | None = None
    since: str | None = None
    until: str | None = None
    strategy: str | None = None
    firm: str = "50K"
    exact_calendar: bool = False
    holdout: str | None = None
    open_holdout: bool = False
    null: bool = True
    news: tuple[Path, ...] = ()
    seed: int = 1
    out: Path | None = None
    force: bool = False
    quiet: bool = False
    zone: ZoneInfo = CHICAGO


@dataclass(frozen=True)
class Answer:
    """What came of it."""

    result: BacktestResult
    assessments: tuple[Assessment, ...]
    extra: Extra
    files: tuple[Path, ...]


def answer(question: Question) -> Answer:
    """Run and judge. Everything that can be refused is refused before the first record is played."""
    config = with_accounts(load(question.config_path), question.accounts)
    rules = None if question.firm == "none" else load_rules("combine", question.firm, trading_day(time.time_ns()))
    plan = _plan(question, config, rules)
    ledger = open_ledger(home())
    news = past_calendar(question.news, home())
    if question.out is not None:
        check_target(question.out, force=question.force)
    with _data(question) as (source, locked):
        chosen = _chosen(question, config, source, news)
        span = source.first_ns, source.last_ns
        blank = _trial(question, chosen, span, plan, 0, {})
        if question.open_holdout:
            may_open(ledger, blank)
        with _progress(question, source) as told:
            result = run_backtest(chosen, plan, progress=told)
        holdout = _locked_words(question, locked, looked_before(ledger, blank))
        notes = _more_notes(question, config, holdout, result.calendar)
        result = replace(result, notes=(*result.notes, *notes, *result.through_holes))
        own = _trial(question, chosen, span, plan, *first_account(result))
        append_trials(home(), [own])  # before anybody sees it (V6, V14)
        extra = _extra(question, config, plan, holdout)
        assessments = _assessments(question, result, chosen, plan, rules, rivals(ledger, own), news)
    files: Sequence[Path] = ()
    if question.out is not None:
        text = "" if question.config_path is None else question.config_path.read_text(encoding="utf-8-sig")
        files = write(question.out, result, assessments, text, zone=question.zone, extra=extra, force=question.force)
    return Answer(result, assessments, extra, tuple(files))


# ------------------------------------------------------------------------------------------------ data and plan
def _plan(question: Question, config: Config, rules: FirmRules | None) -> BacktestPlan:
    """The plan: accounts of the configuration as they are, else one of ours under the rules that were asked for."""
    own = load_strategy(question.strategy) if question.strategy else None
    accounts = configured_accounts(config)
    if not config.accounts:
        settings = replace(accounts[0].settings, rules=rules)
        accounts = (AccountPlan(settings) if rules is None else AccountPlan(settings, rules.start_cents),)
    return plan_of(
        config,
        strategy=None if own is None else own.make_trader,
        trader_name="" if own is None else own.identity,
        accounts=accounts,
        calendar="exact" if question.exact_calendar else "template",
    )


@contextlib.contextmanager
def _data(question: Question) -> Iterator[tuple[Sources, Lock | None]]:
    """The part of the sources that this run may see."""
    since = None if question.since is None else parse_time_ns(question.since)
    until = None if question.until is None else parse_time_ns(question.until)
    if question.open_holdout and question.holdout is None:
        raise ConfigError("which part is locked? give --holdout with --open-holdout, as it was given before")
    with open_sources(question.paths, question.contract, question.data_tz, since, until) as whole:
        if question.holdout is None:
            yield whole, None
            return
        locked = lock(days_in(whole.chunks()), parse_span(question.holdout, "--holdout"))
    if question.open_holdout:
        since = locked.cut_ns if since is None else max(since, locked.cut_ns)
    else:
        until = locked.cut_ns if until is None else min(until, locked.cut_ns)
    with open_sources(question.paths, question.contract, question.data_tz, since, until) as part:
        yield part, locked


def _chosen(question: Question, config: Config, source: Sources, news: Calendar | None) -> Source:
    wanted = parse_symbols(question.contracts) if question.contracts else ()
    followed = news is not None or config.dxy.followed
    if not wanted:
        plain = ContextSource(source, config.dxy, config.news, news)
        return plain if followed else source
    kept = {number: symbol for number, symbol in source.contracts.items() if symbol in wanted}
    missing = [symbol for symbol in wanted if symbol not in kept.values()]
    if missing:
        raise DataError(f"the data holds {', '.join(source.contracts.values())} and no {missing[0]}; name other files")
    if followed:
        return ContextSource(source, config.dxy, config.news, news, wanted)
    return source if len(kept) == len(source.contracts) else Chosen(source, kept)


def _more_notes(question: Question, config: Config, holdout: str, calendar: str) -> Iterator[str]:
    if question.exact_calendar and calendar != "exact":
        yield "--exact-calendar: nothing was entered in years that the session table does not cover"
    if not config.accounts and question.firm != "none":
        yield (
            f"the account is a fresh {question.firm} Combine of ours, under the firm's rules as they are today; "
            "--firm none plays without them"
        )
    if holdout:
        yield f"hold-out: {holdout}"


def _locked_words(question: Question, locked: Lock | None, seen: int) -> str:
    """V14: what was locked or opened; `seen` runs on record had looked at it before."""
    if locked is None:
        return ""
    if not question.open_holdout:
        return f"the last {len(locked.locked)} trading days from {locked.locked[0]} were not looked at"
    told = f"opened, this run saw the locked {len(locked.locked)} trading days from {locked.locked[0]} alone"
    if not seen:
        return told
    return f"{told}; {plural(seen, 'run')} on record had looked at some of them before: for those it was none"


def _extra(question: Question, config: Config, plan: BacktestPlan, holdout: str) -> Extra:
    return Extra(
        data=tuple(str(path) for path in question.paths),
        fills=plan.fills,
        accounts={one.settings.account: one.settings.name or "PAPER" for one in plan.accounts},
        version=__version__,
        seed=question.seed,
        strategy=plan.trader_name or "smc",
        holdout=holdout,
        more={"config_hash": config.digest(), "firm": question.firm, "holdout": question.holdout or ""},
    )


# ------------------------------------------------------------------------------------------------ judgement
def _assessments(
    question: Question,
    result: BacktestResult,
    source: Source,
    plan: BacktestPlan,
    rules: FirmRules | None,
    others: Sequence[Trial],
    news: Calendar | None,
) -> tuple[Assessment, ...]:
    percentile, missing = _null_percentile(question, result, source, plan)
    # Whoever runs without the firm's rules asks for the strategy; what a Combine would have made of it still counts.
    combine = rules or load_rules("combine", "50K", trading_day(time.time_ns()))
    return tuple(
        assess(
            result,
            account=one.settings.account,
            rules=one.settings.rules if one.settings.rules and one.settings.rules.target_cents else combine,
            rivals=others,
            null_percentile=percentile,
            news_ns=() if news is None else high_impact_ns(news),
            null_missing=missing,
            seed=question.seed,
        )
        for one in plan.accounts
    )


def _null_percentile(
    question: Question, result: BacktestResult, source: Source, plan: BacktestPlan
) -> tuple[float | None, str]:
    """V4 of the zones that the first account traded, weighted by its trades; None with the reason where it cannot be
    told.

    Of each contract, timeframe and kind the least percentile of its three nulls, as `tbot audit levels` tells them. The
    mean of several is stricter than any combined test: to be above 95 nearly all of them must be. The bars are those of
    the run, made of its very stream: what it may not see (--until, a hold-out) must not speak in its verdict either.
    """
    from tbot.commands.audit_levels import ZONE_KINDS

    if not question.null:
        return None, "not asked for (--no-null)"
    rows = result.trips[result.trips["account"] == plan.accounts[0].settings.account]
    rows = rows[np.isin(rows["zone_kind"], list(ZONE_KINDS))]
    if not len(rows):
        return None, "no trade came from a zone"
    try:
        values = list(_percentiles(question, rows, source, plan.strategy))
    except DataError as error:
        return None, str(error)
    return (float(np.mean(values)), "") if values else (None, "no zone of these bars was touched often enough")


def _percentiles(question: Question, rows: Table, source: Source, settings: StrategySettings) -> Iterator[float]:
    """The percentile of the zones behind each trade, as far as it is known."""
    from tbot.commands.audit_data import source_bars
    from tbot.commands.audit_levels import ZONE_KINDS, tested
    from tbot.validation.levels_null import ZoneRules
    from tbot_ext.records import EventCode

    options = {"seed": question.seed, "draws": 1000}
    for file in source_bars(source, question.paths[0], np.unique(rows["contract"]).tolist()):
        own = rows[rows["contract"] == file.product.symbol]
        places = list(zip(own["zone_timeframe_min"].tolist(), own["zone_kind"].tolist(), strict=True))
        for minutes, kind in sorted(set(places)):
            for told in tested(file, minutes, (EventCode[ZONE_KINDS[kind]],), ZoneRules(), options, settings):
                yield from [told.percentile] * places.count((minutes, kind))


def _trial(
    question: Question, source: Source, span: tuple[int, int], plan: BacktestPlan, trips: int, daily: dict[int, int]
) -> Trial:
    """The run as the ledger knows it: only the contracts that were played, so that others of a file are other data."""
    return Trial(
        at_ns=time.time_ns(),
        command="backtest",
        plan_hash=plan.digest(),
        data_hash=source.data_hash,
        contracts=tuple(source.contracts.values()),
        first_ns=span[0],
        last_ns=span[1],
        trips=trips,
        net_cents=sum(daily.values()),
        daily_cents=daily,
        kind="holdout" if question.open_holdout else "run",
    )


# ------------------------------------------------------------------------------------------------ progress
@contextlib.contextmanager
def _progress(question: Question, source: Sources) -> Iterator[Progress | None]:
    """How far in market time, with rate and time left, on stderr."""
    if question.quiet:
        yield None
    elif is_terminal(sys.stderr):
        with _bar(source) as told:
            yield told
    else:
        yield _lines(source)


def _lines(source: Sources) -> Progress:
    begun = last = time.monotonic()

    def told(records: int, now_ns: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= LINE_S:
            last = now
            share = _share(source, now_ns)
            left = (now - begun) * (1 - share) / share if share else 0.0
            rate = records / (now - begun)
            click.echo(f"{100 * share:.0f} %, {rate:,.0f} records a second, {left:.0f} s left", err=True)

    return told


def _share(source: Sources, now_ns: int) -> float:
    span = source.last_ns - source.first_ns
    return min(1.0, max(0.0, (now_ns - source.first_ns) / span)) if span else 1.0


@contextlib.contextmanager
def _bar(source: Sources) -> Iterator[Callable[[int, int], None]]:
    from rich import progress as rich
    from rich.console import Console

    columns: tuple[Any, ...] = (
        rich.TextColumn("{task.fields[day]}"), rich.BarColumn(), rich.TaskProgressColumn(),
        rich.TextColumn("{task.fields[rate]}"), rich.TimeElapsedColumn(), rich.TimeRemainingColumn(),
    )  # fmt: skip
    with rich.Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        bar = shown.add_task("backtest", total=1.0, day="", rate="")
        begun = time.monotonic()

        def told(records: int, now_ns: int) -> None:
            rate = records / max(1e-9, time.monotonic() - begun)
            day = trading_day(now_ns).isoformat()
            shown.update(bar, completed=_share(source, now_ns), day=day, rate=f"{rate:,.0f} records/s")

        yield told
