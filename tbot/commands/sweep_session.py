"""What `tbot sweep` and `tbot walkforward` share: options to data, trials and ledger."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import click

from tbot import __version__
from tbot.backtest.context_source import ContextSource
from tbot.backtest.holdout import Lock, days_in, lock, may_open, parse_span
from tbot.backtest.run import run_backtest
from tbot.backtest.sweep import Folder, Identity, Outcome, Params, parse_axes
from tbot.backtest.sweep_data import FILE_NAME, remove, write_stream
from tbot.backtest.sweep_engines import Engine, Work, pool
from tbot.backtest.sweep_run import Search, run_search
from tbot.commands.sweep_space import check_points, document_of, plan_of, planner, with_values
from tbot.commands.sweep_work import backtest_trial
from tbot.context.news_sources import past_calendar
from tbot.errors import ConfigError, DataError
from tbot.home import home
from tbot.storage.sources import Source as Files
from tbot.storage.sources import open_sources
from tbot.storage.tick_stream import Ticks
from tbot.storage.trials import Trial, append_trials, looked_before, open_ledger, rivals
from tbot.streams import is_terminal
from tbot.validation.assess import Assessment, assess
from tbot.validation.sweeps import HOLED

_FIRM_OFF = "the firm's account rules are left out, so that every trial sees all days; limits and costs of ours hold"
_FIRM_ON = "the firm's account rules are on: a trial trades no more once its account is lost, and its later days are 0"
LINE_S = 30.0  # between two lines of progress without a terminal


@dataclass(frozen=True)
class Request:
    """The options of a sweep, as far as every kind of it has them."""

    command: str
    paths: tuple[Path, ...]
    search: Search | None  # None: one plan, nothing is searched
    config_path: Path | None
    engine: Engine = "loky"
    address: str | None = None
    jobs: int | None = None
    out: Path | None = None
    resume: bool = False
    contract: str | None = None
    zone: str | None = None
    holdout: str | None = None
    quiet: bool = False
    firm: bool = False
    news: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Told(ContextSource):
    """Files with news and the dollar index among their records."""

    @property
    def first_ns(self) -> int:
        return self._files.first_ns

    @property
    def last_ns(self) -> int:
        return self._files.last_ns

    def chunks(self) -> Iterator[Ticks]:
        """As of the files: for the days that they hold."""
        return self._files.chunks()

    @property
    def _files(self) -> Files:
        assert isinstance(self.source, Files)
        return self.source


Source = Files | Told


@dataclass(frozen=True)
class Swept:
    """A sweep that is done."""

    request: Request
    search: Search
    out: Path
    outcomes: list[Outcome]
    identity: Identity
    contracts: tuple[str, ...]
    notes: tuple[str, ...]
    rivals: list[Trial]
    lock: Lock | None


def sweep_data(
    request: Request, work: Work = backtest_trial, *, check: Callable[[Sequence[date]], object] | None = None
) -> Swept:
    """Run what is not done yet. `work` is what a trial does (another one in tests); `check` hears the trading days of
    the data first and may raise."""
    search = request.search
    assert search is not None
    document = document_of(request.config_path)
    check_points(document, search.axes)
    ledger = open_ledger(home())  # one that cannot be read or written is told of now
    with data_of(request) as (source, locked):
        if check is not None:
            check(days_in(source.chunks()) if locked is None else locked.free)
        identity = Identity(
            version=__version__,
            method=search.method,
            axes=[[axis.name, list(axis.values)] for axis in search.axes],
            trials=search.count,
            seed=search.seed,
            data_hash=source.data_hash,
            plan_hash=plan_of(with_values(document, {}), firm=request.firm).digest(),
            metric=search.metric if search.method == "optuna" else "",
        )
        out = request.out or Path(f"{request.command}-{identity.digest()}")
        folder = Folder(out, identity, resume=request.resume)
        before = {(trial.plan_hash, trial.data_hash) for trial in ledger}
        resumed = set(folder.done)
        try:
            outcomes = _run(request, search, source, folder, planner(document, firm=request.firm), work)
        finally:
            folder.close()
            _remember(request.command, source, [
                outcome for outcome in folder
                if outcome.number not in resumed or (outcome.plan_hash, source.data_hash) not in before
            ])  # fmt: skip
        own = {outcome.plan_hash for outcome in outcomes}
        others = [
            trial for trial in rivals(ledger, _trial(request.command, source, outcomes[0]))
            if not (trial.data_hash == source.data_hash and trial.plan_hash in own)
        ]  # fmt: skip
        contracts = tuple(source.contracts.values())
        notes = (*source.notes, _FIRM_ON if request.firm else _FIRM_OFF)
        return Swept(request, search, out, outcomes, identity, contracts, notes, others, locked)


def refuse_holes(swept: Swept) -> None:
    """DataError, behind the report, when trades of a trial were open while data is missing."""
    holed = [outcome for outcome in swept.outcomes if outcome.metrics.get(HOLED)]
    if holed:
        raise DataError(
            f"in {len(holed)} of {len(swept.outcomes)} trials trades were open while data is missing (first in trial "
            f"{holed[0].number}); what they made is not known: complete the data, or cut that stretch out of it"
        )


def _run(
    request: Request, search: Search, source: Source, folder: Folder, plan: Callable[[Params], Any], work: Work
) -> list[Outcome]:
    if len(folder.done) == search.count:
        return list(folder)
    shipment = write_stream(source, folder.path / FILE_NAME)
    try:
        with (
            pool(request.engine, shipment, jobs=request.jobs, address=request.address) as workers,
            progress(request) as told,
        ):
            return run_search(search, plan, work, folder, workers, told)
    finally:
        remove(shipment)


@contextlib.contextmanager
def data_of(request: Request) -> Iterator[tuple[Source, Lock | None]]:
    """The sources, without their locked end."""
    with open_sources(request.paths, request.contract, request.zone) as whole:
        if request.holdout is None:
            yield with_facts(request, whole), None
            return
        locked = lock(days_in(whole.chunks()), parse_span(request.holdout, "--holdout"))
    with open_sources(request.paths, request.contract, request.zone, until_ns=locked.cut_ns) as free:
        yield with_facts(request, free), locked


def with_facts(request: Request, source: Files) -> Source:
    """The sources with the outside facts that the settings and `--news` ask for: the same ones for every trial."""
    config = with_values(document_of(request.config_path), {})
    calendar = past_calendar(request.news, home())
    if calendar is None and not config.dxy.followed:
        return source
    return Told(source, config.dxy, config.news, calendar)


@dataclass(frozen=True)
class Opened:
    """What a locked hold-out said."""

    lock: Lock
    trial: Trial
    assessment: Assessment
    seen: int  # runs on record that looked at these days without opening them: it was no hold-out for those


def open_holdout(request: Request, params: Params) -> Opened:
    """V14: run one plan over the locked end, once, and log it. Halted when it was opened for another plan."""
    if request.holdout is None:
        raise ConfigError("which part is locked? give --holdout with --open-holdout, as it was given before")
    config = with_values(document_of(request.config_path), params)
    plan = plan_of(config, firm=request.firm)
    ledger = open_ledger(home())
    with open_sources(request.paths, request.contract, request.zone) as whole:
        locked = lock(days_in(whole.chunks()), parse_span(request.holdout, "--holdout"))
    with open_sources(request.paths, request.contract, request.zone, since_ns=locked.cut_ns) as files:
        source = with_facts(request, files)
        blank = Outcome(0, params, 0, plan.digest(), {}, {})
        may_open(ledger, _trial(request.command, source, blank, kind="holdout"))
        result = run_backtest(source, plan)
        if result.through_holes:  # nothing of it was seen, so nothing was opened
            raise DataError(f"{result.through_holes[0]}; complete the data: the hold-out stays locked")
        told = assess(result)
        own = result.trips["account"] == told.account
        net: dict[int, int] = {}
        for day, cents in zip(result.trips["day"][own].tolist(), result.trips["net_cents"][own].tolist(), strict=True):
            net[day] = net.get(day, 0) + cents
        outcome = Outcome(0, params, 0, result.plan_hash, {"trips": float(own.sum())}, net)
        trial = _trial(request.command, source, outcome, kind="holdout")
        append_trials(home(), [trial])  # before anybody sees it
        return Opened(locked, trial, told, looked_before(ledger, trial))


def _trial(command: str, source: Source, outcome: Outcome, kind: Any = "run") -> Trial:
    return Trial(
        at_ns=time.time_ns(),
        command=command,
        plan_hash=outcome.plan_hash,
        data_hash=source.data_hash,
        contracts=tuple(source.contracts.values()),
        first_ns=source.first_ns,
        last_ns=source.last_ns,
        trips=int(outcome.metrics.get("trips") or 0),
        net_cents=sum(outcome.daily_cents.values()),
        daily_cents=outcome.daily_cents,
        params=outcome.params,
        kind=kind,
    )


def _remember(command: str, source: Source, outcomes: Sequence[Outcome]) -> None:
    """V6: every trial goes to the ledger, also those of a sweep that was broken off."""
    if outcomes:
        append_trials(home(), [_trial(command, source, outcome) for outcome in outcomes])


def axes_of(params: Sequence[str], *, opening: bool) -> tuple[Any, Params]:
    """(axes, values of a single plan); ConfigError where a hold-out would be opened for several."""
    axes = parse_axes(params)
    if opening and any(len(axis.values) > 1 for axis in axes):
        raise ConfigError("a hold-out is opened for one plan; give each --param one value")
    return axes, {axis.name: axis.values[0] for axis in axes} if opening else {}


# ------------------------------------------------------------------------------------------------ progress
@contextlib.contextmanager
def progress(request: Request) -> Iterator[Callable[[Outcome | None, int, int], None]]:
    """A bar with rate and time left on a terminal, otherwise a line now and then, on stderr."""
    if request.quiet:
        yield lambda outcome, done, total: None
    elif is_terminal(sys.stderr):
        with _bar() as told:
            yield told
    else:
        yield _Lines()


class _Lines:
    """A line each tenth of the trials, and at least every LINE_S."""

    def __init__(self) -> None:
        self._begun = self._last = time.monotonic()
        self._first = 0

    def __call__(self, outcome: Outcome | None, done: int, total: int) -> None:
        now = time.monotonic()
        if outcome is None:
            self._first = done
            click.echo(f"{total} trials, {done} of them done", err=True)
        elif done % max(1, total // 10) == 0 or now - self._last >= LINE_S or done == total:
            self._last = now
            rate = (done - self._first) / max(1e-9, now - self._begun)
            click.echo(f"{done} of {total} trials, {rate:.2f} a second, {(total - done) / rate:.0f} s left", err=True)


@contextlib.contextmanager
def _bar() -> Iterator[Callable[[Outcome | None, int, int], None]]:
    from rich import progress as rich
    from rich.console import Console

    columns = (
        rich.TextColumn("trials"), rich.BarColumn(), rich.MofNCompleteColumn(), rich.TextColumn("{task.fields[rate]}"),
        rich.TimeElapsedColumn(), rich.TimeRemainingColumn(),
    )  # fmt: skip
    with rich.Progress(*columns, console=Console(stderr=True)) as shown:
        bar = shown.add_task("trials", total=None, rate="")
        begun, first = time.monotonic(), 0

        def told(outcome: Outcome | None, done: int, total: int) -> None:
            nonlocal first
            if outcome is None:
                first = done
            rate = (done - first) / max(1e-9, time.monotonic() - begun)
            shown.update(bar, total=total, completed=done, rate=f"{rate:.2f}/s")

        yield told
