"""`run_backtest`: data and a plan in, a result out; the loop itself is `runner`, the decisions are the engine's own.

What ends without a result: a strategy that raises, data without a single bar, an account that an error halted before it
could trade. A backtest that "succeeded" on nothing is a lie.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date

import numpy as np

from tbot.backtest.plan import BacktestPlan
from tbot.backtest.record import RunRecord
from tbot.backtest.results import EQUITY_DTYPE, BacktestResult, Table, barred, trips_table
from tbot.backtest.runner import Runner, Ticks
from tbot.backtest.source import Source
from tbot.backtest.survey import Survey, utc
from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import Denial, Intent, Note, RoundTrip, StateChange
from tbot.domain.trading_hours import SessionCalendar, trading_day
from tbot.errors import DataError, Halted
from tbot.execution.desk import Desk
from tbot.execution.paper_broker import PaperAccount, PaperBroker
from tbot.execution.settings import DeskSettings
from tbot.storage.sessions import load_sessions
from tbot.strategy.settings import StrategySettings
from tbot_ext.outcome_book import OUTCOME_DTYPE

Progress = Callable[[int, int], None]  # (records done, market time in ns)
PROGRESS_S = 0.1
_EPOCH_DAY = date(1970, 1, 1)
# An account that these halted stopped by an error and not by a rule of its owner or the firm.
_ERRORS = ("RC_CONFIG", "RC_ASSERT", "RC_SECOND_ENGINE")
_FIRM = ("RC_TARGET", "RC_MAX_LOSS", "RC_DAY_PROFIT")  # rules of the firm


def run_backtest(
    source: Source, plan: BacktestPlan, *, progress: Progress | None = None, record: RunRecord | None = None
) -> BacktestResult:
    """Play all of a source under a plan. `progress` hears at most ten times a second how far it is, `record` (of a
    caller who wants more than the result) everything that the Desk hears and says.

    StrategyError when the strategy raises; DataError when the data cannot be read or makes no bar; Halted when an
    account could not trade because of an error.
    """
    symbols = tuple(source.contracts.values())
    products = {symbol: PRODUCTS[symbol] for symbol in symbols}
    calendar = SessionCalendar(load_sessions(), template_ok=plan.calendar == "template")
    accounts = tuple(account.settings for account in plan.accounts)
    settings = DeskSettings(
        accounts, plan.limits, products, calendar, plan.run_start_ms, caps=plan.caps, in_process=True
    )
    paper = [
        PaperAccount(account.settings.account, account.settings.name or "PAPER", account.balance_cents)
        for account in plan.accounts
    ]
    broker = PaperBroker(paper, products, plan.fills)
    runner = Runner(
        symbols,
        _strategy(plan),
        Desk(settings),
        broker,
        record=record or RunRecord(),
        make_trader=plan.make_trader,
        trader_name=plan.trader_name,
    )
    survey = Survey(calendar)
    runner.run(_told(survey.watch(source.stream()), progress))
    bars = {symbol: runner.minutes(product.contract_id) for symbol, product in products.items()}
    if not any(bars.values()):
        raise DataError(
            f"the data holds {survey.records} records and not one finished 1m bar; a backtest needs trades or bars "
            "of more than a minute"
        )
    _refuse_errors(runner.desk)
    return _result(source, plan, runner, survey, bars)


def _strategy(plan: BacktestPlan) -> StrategySettings:
    """A backtest that would only observe follows nothing: no decision changes, and a fifth of its time is saved."""
    learning = plan.strategy.learning
    return plan.strategy if learning.decides else replace(plan.strategy, learning=replace(learning, mode="off"))


def _told(chunks: Iterable[Ticks], progress: Progress | None) -> Iterator[Ticks]:
    """The chunks, with `progress` told about those that are done."""
    done, told_s = 0, time.monotonic()
    for chunk in chunks:
        yield chunk
        done += len(chunk)
        if progress is not None and len(chunk) and time.monotonic() - told_s >= PROGRESS_S:
            told_s = time.monotonic()
            progress(done, int(chunk["exch_ns"][-1]))


def _refuse_errors(desk: Desk) -> None:
    """Halted when an account was stopped by an error before it took a single trade."""
    accounts = desk.view()["accounts"]
    assert isinstance(accounts, dict)
    for account, view in accounts.items():
        codes = [reason["code"] for reason in view["reasons"]]
        if view["state"] == "HALTED" and not view["intents"] and any(code in _ERRORS for code in codes):
            raise Halted(f"account {account} could not trade: {view['text']}; correct it and run again")


def _result(source: Source, plan: BacktestPlan, runner: Runner, survey: Survey, bars: dict[str, int]) -> BacktestResult:
    notes = runner.notes
    intents = tuple(note for note in notes if isinstance(note, Intent))
    trips = [note for note in notes if isinstance(note, RoundTrip)]
    denials = tuple(note for note in notes if isinstance(note, Denial))
    day_of = {trip.now_ns: (trading_day(trip.now_ns) - _EPOCH_DAY).days for trip in trips}
    told = (*survey.notes(), *source.notes) if source.notes else (*survey.notes(), *survey.assumptions())
    return BacktestResult(
        contracts=tuple(bars),
        accounts=tuple(account.settings.account for account in plan.accounts),
        first_ns=survey.first_ns,
        last_ns=survey.last_ns,
        records=runner.records,
        bars=bars,
        trips=trips_table(trips, runner.signals, intents, day_of),
        equity=_equity(plan, runner.record, survey.first_ns),
        signals=tuple(runner.signals),
        intents=intents,
        denials=denials,
        states={account.settings.account: runner.desk.state(account.settings.account) for account in plan.accounts},
        open_at_end=_open_at_end(runner.desk),
        plan_hash=plan.digest(),
        data_hash=source.data_hash,
        calendar="exact" if survey.covered else "template",
        synthetic=survey.synthetic,
        notes=(*told, *_ended(plan, notes, survey.days), *_out_of_room(plan, denials, intents, survey.days)),
        days=survey.days,
        through_holes=_through_holes(trips, [*survey.gaps, *_holes(source, survey)]),
        outcomes=np.concatenate([np.zeros(0, OUTCOME_DTYPE), *runner.outcomes]),
    )


def _holes(source: Source, survey: Survey) -> Iterator[tuple[str, int, int]]:
    """(contract, from, until) of the silences that a source of files knows."""
    told = getattr(source, "holes", None)
    for hole in told(survey.calendar) if callable(told) else ():
        yield hole.symbol, hole.start_ns, hole.end_ns


def _through_holes(trips: list[RoundTrip], holes: list[tuple[str, int, int]]) -> tuple[str, ...]:
    """Trades that were open while data is missing: nobody knows whether their stop or target was reached in it."""
    found = []
    for symbol, start_ns, end_ns in holes:
        for trip in trips:
            if trip.contract == symbol and trip.opened_ns < end_ns and trip.now_ns > start_ns:
                found.append(
                    f"account {trip.account}: the {symbol} trade from {utc(trip.opened_ns)} to {utc(trip.now_ns)} was "
                    f"open while data is missing ({utc(start_ns)} to {utc(end_ns)}); its result is not known"
                )
    return tuple(found)


def _ended(plan: BacktestPlan, notes: Iterable[Note], days: tuple[date, ...]) -> Iterator[str]:
    """Accounts that were halted, or locked for good, while days were left: these are empty for that reason."""
    changes = [note for note in notes if isinstance(note, StateChange)]
    for account in plan.accounts:
        number = account.settings.account
        last = _standstill([change for change in changes if change.account == number])
        left = 0 if last is None else sum(day > trading_day(last.now_ns) for day in days)
        if last is None or not left:
            continue
        code = last.reasons[0] if last.reasons else last.state
        hint = "; without the firm's rules it goes on" if code in _FIRM else ""
        follow = "trading day that follows is" if left == 1 else "trading days that follow are"
        yield (
            f"account {number} was {last.state.lower()} at {utc(last.now_ns)}: {last.text} ({code}). It took no trade "
            f"after that, and the {left:,} {follow} empty for that reason{hint}"
        )


def _standstill(changes: Sequence[StateChange]) -> StateChange | None:
    """How the account came into the halt or lock that it never left; None: it was free at the end."""
    found = None
    for change in changes:
        if change.state not in ("HALTED", "LOCKED"):
            found = None
        elif found is None or found.state != change.state:
            found = change
    return found


def _out_of_room(
    plan: BacktestPlan, denials: tuple[Denial, ...], intents: tuple[Intent, ...], days: tuple[date, ...]
) -> Iterator[str]:
    """Accounts that the firm's loss floor took out of the run: their later days are empty for that reason."""
    for account in plan.accounts:
        number = account.settings.account
        first = barred(denials, intents, number)
        since = None if first is None else trading_day(first.now_ns)
        left = 0 if since is None else sum(day > since for day in days)
        if left:
            yield (
                f"account {number} took no trade from {since} on for want of room above the firm's loss floor: the "
                f"{left} trading days after it are empty for that reason; without the firm's rules they are played"
            )


def _equity(plan: BacktestPlan, record: RunRecord, first_ns: int) -> Table:
    """Balances account after account: the opening one, then each change."""
    rows = []
    for account in plan.accounts:
        number, balance = account.settings.account, account.balance_cents
        rows.append((number, first_ns, balance))
        for whose, at_ns, cents in record.equity:
            if whose == number and cents != balance:
                balance = cents
                rows.append((number, at_ns, cents))
    return np.array(rows, EQUITY_DTYPE)


def _open_at_end(desk: Desk) -> tuple[str, ...]:
    accounts = desk.view()["accounts"]
    assert isinstance(accounts, dict)
    return tuple(
        f"account {account}: {place['side'] * place['size']:+d} {place['contract']} was still open when the data ended"
        for account, view in accounts.items()
        for place in view["positions"]
    )
