"""`tbot.backtest(...)`: a backtest from Python, on files, bars or tick records."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tbot.analytics.bar_signals import bar_records
from tbot.analytics.bar_tables import bars_of, table_columns
from tbot.backtest.context_source import ContextSource
from tbot.backtest.plan import AccountPlan, BacktestPlan, TraderFactory, code_hash
from tbot.backtest.results import BacktestResult
from tbot.backtest.run import Progress, run_backtest
from tbot.backtest.source import ArraySource, Source
from tbot.commands.launch import announced_caps, past_plans
from tbot.config import Config, load
from tbot.context.news import Calendar
from tbot.context.news_sources import past_calendar
from tbot.domain.contracts import BY_ID, PRODUCTS
from tbot.domain.timeframes import bar_start_ns
from tbot.domain.trading_hours import SessionCalendar
from tbot.errors import ConfigError, DataError
from tbot.execution.settings import AccountSettings
from tbot.home import home
from tbot.storage.holes import Hole
from tbot.storage.replay_stream import opening
from tbot.storage.sources import open_sources
from tbot.storage.tick_stream import Ticks, lockstep_stream, merge_order
from tbot.storage.trials import Trial, append_trials
from tbot_ext.records import BAR_DTYPE, TICK_DTYPE, Kind

_GIVEN = Path("the bars given")


@dataclass(frozen=True)
class Chosen:
    """Some contracts of a source."""

    source: Source
    contracts: Mapping[int, str]

    @property
    def data_hash(self) -> str:
        """That of the whole source, with the contracts chosen."""
        return f"{self.source.data_hash}:{','.join(self.contracts.values())}"

    @property
    def notes(self) -> tuple[str, ...]:
        return self.source.notes

    def holes(self, calendar: SessionCalendar) -> list[Hole]:
        """Holes of the chosen contracts, where the source knows of holes."""
        told = getattr(self.source, "holes", None)
        found: list[Hole] = told(calendar) if callable(told) else []
        return [hole for hole in found if hole.symbol in self.contracts.values()]

    def stream(self) -> Iterator[Ticks]:
        for chunk in self.source.stream():
            yield chunk[np.isin(chunk["contract_id"], list(self.contracts))]


def backtest(
    data: Any,
    *,
    config: Config | str | Path | None = None,
    strategy: TraderFactory | None = None,
    contracts: str | Sequence[str] | None = None,
    accounts: Sequence[AccountPlan] | None = None,
    calendar: Literal["template", "exact"] = "template",
    news: str | Path | Sequence[str | Path] = (),
    progress: Progress | None = None,
) -> BacktestResult:
    """Play past data through the engine's own decisions. `config`: a file or a Config; None: what is built in.

    `data`: path or paths of tapes, ticks or 1m bars (Parquet, CSV, DBN); 1m bars as `tbot.load` gives them, a mapping
    or table of such columns, then with their contract's symbol as `contracts`; or an array of tick records. `contracts`
    of files: only these. `strategy` makes another strategy than the packaged one for each contract. `accounts` None:
    those of the configuration, else one fresh 50K Combine. `news`: files for the rules of [news], or "fetched" for all
    that were; the dollar index is followed where [dxy] says so and the data holds its five futures. Every run is
    remembered in the ledger of trials, as those of `tbot backtest` are. Raises TbotError when there is no honest
    result.
    """
    settings = config if isinstance(config, Config) else load(Path(config)) if config else Config()
    wanted = (contracts,) if isinstance(contracts, str) else tuple(contracts or ())
    unknown = [name for name in wanted if name not in PRODUCTS]
    if unknown:
        raise ConfigError(f"{unknown[0]!r} is no contract of the table; write its product, like MNQ")
    plan = plan_of(settings, strategy=strategy, accounts=accounts, calendar=calendar)
    told = past_calendar((news,) if isinstance(news, str | Path) else news, home())
    if isinstance(data, str | Path) or (isinstance(data, list | tuple) and _are_paths(data)):
        paths = [Path(data)] if isinstance(data, str | Path) else [Path(one) for one in data]
        with open_sources(paths, contract=wanted[0] if len(wanted) == 1 else None) as source:
            result = run_backtest(_chosen(source, wanted, settings, told), plan, progress=progress)
    else:
        result = run_backtest(_given(data, wanted, settings, told), plan, progress=progress)
    append_trials(home(), [_trial(result)])  # before anybody sees it
    return result


def first_account(result: BacktestResult) -> tuple[int, dict[int, int]]:
    """Trips and daily results (cents, by trading day) of the first account."""
    rows = result.trips[result.trips["account"] == result.accounts[0]]
    daily: dict[int, int] = {}
    for day, cents in zip(rows["day"].tolist(), rows["net_cents"].tolist(), strict=True):
        daily[day] = daily.get(day, 0) + cents
    return len(rows), daily


def _trial(result: BacktestResult) -> Trial:
    """V6 from Python: a loop over settings in a notebook is as much of a search as `tbot sweep`."""
    trips, daily = first_account(result)
    return Trial(
        at_ns=time.time_ns(),
        command="tbot.backtest",
        plan_hash=result.plan_hash,
        data_hash=result.data_hash,
        contracts=result.contracts,
        first_ns=result.first_ns,
        last_ns=result.last_ns,
        trips=trips,
        net_cents=sum(daily.values()),
        daily_cents=daily,
    )


def plan_of(
    config: Config,
    *,
    strategy: TraderFactory | None = None,
    trader_name: str = "",
    accounts: Sequence[AccountPlan] | None = None,
    calendar: Literal["template", "exact"] = "template",
) -> BacktestPlan:
    """The plan of a configuration. `trader_name` "": the name that the strategy bears."""
    name = trader_name or getattr(strategy, "__qualname__", type(strategy).__qualname__)
    return BacktestPlan(
        accounts=tuple(accounts) if accounts is not None else configured_accounts(config),
        strategy=config.strategy,
        limits=config.risk,
        fills=config.past_fills(),
        caps=announced_caps(config),
        make_trader=strategy,
        trader_name="" if strategy is None else name,
        trader_code=code_hash(strategy),
        calendar=calendar,
    )


def configured_accounts(config: Config) -> tuple[AccountPlan, ...]:
    """The accounts of a replay of this configuration, each with the balance that its rules start from."""
    plans = []
    for plan in past_plans(config):
        settings = AccountSettings(
            plan.account, plan.name, limits=plan.limits, contracts=plan.contracts, rules=plan.rules
        )
        plans.append(AccountPlan(settings) if plan.rules is None else AccountPlan(settings, plan.rules.start_cents))
    return tuple(plans)


def _are_paths(data: Sequence[Any]) -> bool:
    return bool(data) and all(isinstance(one, str | Path) for one in data)


def _chosen(source: Source, wanted: tuple[str, ...], config: Config, news: Calendar | None) -> Source:
    followed = news is not None or config.dxy.followed
    if followed and (not wanted or set(wanted) & set(source.contracts.values())):
        return ContextSource(source, config.dxy, config.news, news, wanted)
    if not wanted or set(source.contracts.values()) <= set(wanted):
        return source
    kept = {number: symbol for number, symbol in source.contracts.items() if symbol in wanted}
    if not kept:
        raise DataError(f"the data holds {', '.join(source.contracts.values())} and none of {', '.join(wanted)}")
    return Chosen(source, kept)


def _given(data: Any, wanted: tuple[str, ...], config: Config, news: Calendar | None) -> Source:
    """Data that is in memory: tick records, or bars of one contract."""
    if isinstance(data, np.ndarray) and data.dtype == TICK_DTYPE:
        return _chosen(_ticks(data), wanted, config, news)
    if len(wanted) != 1:
        raise ConfigError("bars do not say whose they are: name their contract, like contracts='MES'")
    product = PRODUCTS[wanted[0]]
    if isinstance(data, np.ndarray) and data.dtype == BAR_DTYPE:
        bars = data
    else:
        bars = bars_of(_GIVEN, table_columns(data, _GIVEN, product.tick_size), product.tick_size, 1)
    return _chosen(ArraySource(tuple(bar_records(bars, product))), wanted, config, news)


def _ticks(ticks: Ticks) -> Source:
    """Records of a market as a stream; those that are one already (they begin with HISTORY) stay as they are."""
    if not len(ticks):
        raise DataError("there is no record in the array given")
    if ticks["kind"][0] == Kind.HISTORY:
        return ArraySource((ticks,))
    ordered = merge_order(ticks)
    numbers = np.unique(ordered["contract_id"]).tolist()
    missing = [number for number in numbers if number not in BY_ID]
    if missing:
        raise DataError(f"contract id {missing[0]} of the records is none of the table")
    quoted = set(np.unique(ordered["contract_id"][ordered["kind"] == Kind.QUOTE]).tolist())
    spreads = {number: BY_ID[number].spread_ticks for number in numbers if number not in quoted}
    first = opening(numbers, bar_start_ns(int(ordered["exch_ns"][0]), 1))
    return ArraySource((first, *lockstep_stream([ordered], spreads)))
