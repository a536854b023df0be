"""`tbot audit parity`: a recorded session replayed: the same decisions, and fills beside modelled ones (V13)."""

from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tbot.commands.options import SETTINGS_FILE, DataFile
from tbot.errors import ConfigError, DataError, TbotError

if TYPE_CHECKING:
    from tbot.backtest.plan import BacktestPlan
    from tbot.backtest.results import BacktestResult
    from tbot.domain.messages import RoundTrip, Signal
    from tbot.storage.journal_reader import RunInfo
    from tbot.strategy.settings import StrategySettings
    from tbot.validation.parity import FillParity, SignalParity

DIFFERS = TbotError.exit_code  # 1, "failed"
LISTED = 10
DEFAULT_BALANCE_CENTS = 5_000_000


@dataclass(frozen=True, slots=True)
class Session:
    """One run of a journal."""

    info: "RunInfo"
    signals: "tuple[Signal, ...]"
    trips: "tuple[RoundTrip, ...]"
    balances: dict[int, int]  # account -> first balance that the Desk was told, cents
    last_ns: int  # market time of the last input


@click.command("parity")
@click.option("--journal", "journal_path", type=DataFile(),
              help="Journal of the session.  [default: that of the newest run]")  # fmt: skip
@click.option("--tape", "tapes", multiple=True, type=DataFile(),
              help="Its tape; repeatable, one for each day.  [default: tapes/<day>.tape]")  # fmt: skip
@click.option("--day", metavar="DATE|yesterday", help="Only this trading day; the day of the default tape.")
@click.option("-c", "--config", "config_path", type=SETTINGS_FILE, help="Settings of that session.")
@click.option("--json", "json_output", is_flag=True, help="One document on stdout.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def parity(
    journal_path: Path | None,
    tapes: tuple[Path, ...],
    day: str | None,
    config_path: Path | None,
    json_output: bool,
    quiet: bool,
) -> int:
    """Replay the tape of a session and compare: its journaled signals must come out again; fills may differ.

    The last run of the journal is taken. Exit code 1 when a signal differs.
    """
    from tbot.commands.audit_data import teller
    from tbot.config import load
    from tbot.domain.trading_hours import trading_day
    from tbot.validation.parity import compare_signals, compare_trips

    chosen = _day(day)
    sources = tapes or (Path("tapes") / f"{chosen or _yesterday()}.tape",)
    for source in sources:
        if not source.is_file():
            raise DataError(f"there is no tape {source}; name what was recorded beside the session with --tape")
    names = ", ".join(source.name for source in sources)
    session = read_session(journal_path or _newest_journal())
    strategy = load(config_path).strategy
    teller(quiet)(f"replaying {names}")
    result = _replay(sources, session, strategy)
    _same_settings(session, strategy)
    if chosen is not None and chosen not in result.days:
        raise DataError(f"the tape holds nothing of {chosen}; its days are {', '.join(map(str, result.days))}")
    first, last = result.first_ns, min(result.last_ns, session.last_ns)

    def asked(at_ns: int) -> bool:
        return chosen is None or trading_day(at_ns) == chosen

    signals = compare_signals(
        [signal for signal in session.signals if asked(signal.decided_ns)],
        [signal for signal in result.signals if asked(signal.decided_ns)],
        first,
        last,
    )
    modelled = [int(row["closed_ns"]) for row in result.trips]
    inside = result.trips[[first <= at_ns <= last and asked(at_ns) for at_ns in modelled]]
    fills = compare_trips([t for t in session.trips if first <= t.now_ns <= last and asked(t.now_ns)], inside)
    _print_json(names, signals, fills) if json_output else _print(names, signals, fills)
    return 0 if signals.equal else DIFFERS


def read_session(path: Path) -> Session:
    """The last run of a journal. DataError when it holds none; JournalError when it cannot be read."""
    from tbot.domain.messages import AccountUpdate, RoundTrip, SignalIn
    from tbot.storage.journal import Journal
    from tbot.transport import wire

    signals, trips, balances, last_ns = list["Signal"](), list["RoundTrip"](), dict[int, int](), 0
    with Journal.open_readonly(path, wire) as journal:
        runs = journal.runs()
        if not runs:
            raise DataError(f"the journal {path} holds no run; name another with --journal")
        start, info = runs[-1]
        for step in journal.steps(after=start):
            last_ns = max(last_ns, step.item.now_ns)
            if isinstance(step.item, SignalIn):
                signals.append(step.item.signal)
            elif isinstance(step.item, AccountUpdate):
                balances.setdefault(step.item.account, step.item.balance_cents)
            trips += [output for output in step.outputs if isinstance(output, RoundTrip)]
    return Session(info, tuple(signals), tuple(trips), balances, last_ns)


def _newest_journal() -> Path:
    from tbot.commands.journal_query import newest_state

    path = newest_state() / "journal.db"
    if not path.is_file():
        raise DataError(f"there is no journal {path}; name the journal of a session with --journal")
    return path


def _replay(sources: tuple[Path, ...], session: Session, strategy: "StrategySettings") -> "BacktestResult":
    from tbot.backtest.run import run_backtest
    from tbot.storage.sources import open_sources

    with open_sources(sources) as source:
        return run_backtest(source, _plan(session, strategy))


def _plan(session: Session, strategy: "StrategySettings") -> "BacktestPlan":
    """What the Desk of that run was told, and the fill rules of backtests and replays."""
    from tbot.backtest.plan import AccountPlan, BacktestPlan
    from tbot.engine.desk_record import DeskRecord
    from tbot.execution.fill_model import BACKTEST_FILLS

    desk = DeskRecord.decode(session.info.desk)
    accounts = tuple(
        AccountPlan(account, session.balances.get(account.account, DEFAULT_BALANCE_CENTS)) for account in desk.accounts
    )
    return BacktestPlan(accounts, strategy, desk.limits, BACKTEST_FILLS, caps=desk.caps, run_start_ms=desk.run_start_ms)


def _same_settings(session: Session, strategy: "StrategySettings") -> None:
    """ConfigError when the journal's signals were made with other options."""
    from tbot.domain.contracts import PRODUCTS

    for signal in session.signals:
        if signal.params_hash != strategy.digest(PRODUCTS[signal.contract]):
            raise ConfigError(
                f"the journal's signals were made with other settings of the strategy (hash {signal.params_hash}); "
                "give those of that session with --config"
            )


def _day(text: str | None) -> date | None:
    if text is None:
        return None
    if text.lower() == "yesterday":
        return _yesterday()
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"day {text!r} is no date; write it like 2026-11-20, or yesterday") from None


def _yesterday() -> date:
    """The trading day before the present one; weekends have none."""
    import time

    from tbot.domain.trading_hours import trading_day

    day = trading_day(time.time_ns()) - timedelta(days=1)
    while day.weekday() >= 5:
        day -= timedelta(days=1)
    return day


# ---------------------------------------------------------------- output
def _print(names: str, signals: "SignalParity", fills: "FillParity") -> None:
    from tbot.commands.journal_query import iso

    click.echo(
        f"{names}: {signals.identical} of {max(signals.journaled, signals.replayed)} signals identical "
        f"({signals.journaled} journaled, {signals.replayed} replayed, {signals.outside} outside what both cover)"
    )
    for row in signals.differences[:LISTED]:
        click.echo(f"  DIFFERS {row.contract} {iso(row.decided_ns)} {row.signal_id}: {row.what}")
    if len(signals.differences) > LISTED:
        click.echo(f"  and {len(signals.differences) - LISTED} more; --json has all of them")
    if fills.pairs:
        mean = fills.mean
        click.echo(
            f"{len(fills.pairs)} trades beside their models, ticks a contract (+ is worse than modelled): entry "
            f"{mean('entry_ticks'):+.2f}, exit {mean('exit_ticks'):+.2f}; entry slippage {mean('slippage_real'):+.2f} "
            f"realised, {mean('slippage_modelled'):+.2f} modelled"
        )
        real, modelled = (sum(getattr(pair, name) for pair in fills.pairs) for name in
                          ("net_real_cents", "net_modelled_cents"))  # fmt: skip
        click.echo(f"  net {real / 100:+,.2f} USD realised, {modelled / 100:+,.2f} USD modelled")
    else:
        click.echo("no trade of the session has a model beside it")
    for name, ids in (("realised only", fills.only_real), ("modelled only", fills.only_modelled)):
        if ids:
            click.echo(f"  {len(ids)} trades {name}: {', '.join(ids[:LISTED])}{' ...' if len(ids) > LISTED else ''}")
    for name, hop in fills.latency.items():
        click.echo(
            f"  {name}: p50 {hop.p50_ms:.2f} ms, p90 {hop.p90_ms:.2f}, most {hop.max_ms:.2f} ({hop.count} trades)"
        )
    click.echo("decisions are identical" if signals.equal else "DECISIONS DIFFER")


def _print_json(names: str, signals: "SignalParity", fills: "FillParity") -> None:
    import orjson

    from tbot.commands.journal_query import iso

    rows = [asdict(row) | {"decided": iso(row.decided_ns)} for row in signals.differences]
    for row in rows:
        del row["decided_ns"]
    document: dict[str, Any] = {
        "schema": "tbot.audit.parity", "version": 1, "tape": names, "equal": signals.equal,
        "signals": asdict(signals) | {"differences": rows},
        "fills": {
            "pairs": [asdict(pair) for pair in fills.pairs], "only_real": fills.only_real,
            "only_modelled": fills.only_modelled,
            "latency": {name: asdict(hop) for name, hop in fills.latency.items()},
        },
    }  # fmt: skip
    click.echo(orjson.dumps(document).decode())
