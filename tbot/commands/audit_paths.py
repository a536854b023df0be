"""`tbot audit paths`: detectors, signals and strategies on the real path of prices and on null paths (V5)."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tbot.commands.options import DataFile, Real, Symbol, Whole, Zone
from tbot.errors import ConfigError

if TYPE_CHECKING:
    from tbot.commands.audit_data import BarFile
    from tbot.commands.user_strategy import UserStrategy
    from tbot.validation.path_null import Earned, PathsResult, Rules
    from tbot.validation.paths import Bars

NULLS = ("bootstrap", "permute", "flip")
DETECTORS = "ob,fvg,breaker,mitigation,bos,choch,sweep"
_SINGLE = ("bos", "choch", "sweep")


@click.command("paths")
@click.argument("data", nargs=-1, required=True, type=DataFile())
@click.option("--null", type=click.Choice(NULLS), default="bootstrap", show_default=True, help="How paths are made.")
@click.option("--draws", type=click.IntRange(1, 1_000_000), default=200, show_default=True, help="Null paths.")
@click.option("--mean-block", type=Real(1), help="Bars that stay together.  [default: 60; flip: 1]")
@click.option("--unit", type=click.Choice(["ticks", "log"]), default="ticks", show_default=True, help="Of the moves.")
@click.option("--detectors", default=DETECTORS, show_default=True, help="Kinds that are traded; or `none`.")
@click.option("--timeframes", default="1m,5m,15m,30m,1h", show_default=True, help="Of the detectors.")
@click.option("--signals/--no-signals", default=True, show_default=True, help="The packaged strategy's signals, too.")
@click.option("--strategy", metavar="FILE.py:NAME", help="Test a strategy of your own instead.")
@click.option("--seed", type=Whole(0), default=1, show_default=True)
@click.option("--contract", type=Symbol(), help="Symbol of the data, when the file name does not tell it.")
@click.option("--data-tz", type=Zone(), help="Time zone of stamps that do not carry one.  [default: UTC]")
@click.option("--json", "json_output", is_flag=True, help="One document on stdout.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def paths(data: tuple[Path, ...], json_output: bool, quiet: bool, **options: Any) -> int:
    """Is more earned on the real prices of DATA (files of 1m bars) than on paths on which nothing can be earned?

    Trades are plain brackets without account rules, sizes or costs, not the Desk's. The exit code is 0, whatever the
    answer.
    """
    import numpy as np

    from tbot.commands.audit_data import bar_files, parse_timeframes, teller
    from tbot.commands.user_strategy import load_strategy
    from tbot.validation.path_null import path_null

    kinds, timeframes = _kinds(options["detectors"]), parse_timeframes(options["timeframes"])
    strategy = load_strategy(options["strategy"]) if options["strategy"] else None
    if not kinds and strategy is None and not options["signals"]:
        raise ConfigError("nothing is left to test; leave out --detectors none or --no-signals")
    block = options["mean_block"] or (1.0 if options["null"] == "flip" else 60.0)
    tell, found = teller(quiet), list[tuple[str, "PathsResult"]]()
    for file in bar_files(data, options["contract"], options["data_tz"]):
        rules = _rules(file, kinds, timeframes, strategy, options["signals"])
        tell(f"{file.path.name}: {options['draws']} null paths of {len(file.minutes)} bars")

        def progress(done: int, total: int, name: str = file.path.name) -> None:
            if done * 10 // total > (done - 1) * 10 // total:
                tell(f"{name}: {done} of {total} paths")

        rng = np.random.default_rng([options["seed"], file.product.contract_id])
        result = path_null(
            file.minutes, rules, options["null"], draws=options["draws"], rng=rng, mean_block=block,
            unit=options["unit"], progress=progress,
        )  # fmt: skip
        found.append((file.product.symbol, result))
    tests = _adjusted_together(found)
    _print_json(tests, options) if json_output else _print(tests, options)
    return 0


def _adjusted_together(found: "list[tuple[str, PathsResult]]") -> list[dict[str, Any]]:
    """Rows of all contracts, with p-values adjusted over all of them."""
    import numpy as np

    from tbot.validation.multiple import adjusted
    from tbot.validation.path_null import RATE

    rows = [{"contract": symbol, **asdict(test)} for symbol, result in found for test in result.tests]
    for row, p in zip(rows, adjusted(np.array([row["p"] for row in rows])).tolist(), strict=True):
        row["p_adjusted"], row["better"] = p, p <= RATE
    return rows


def _kinds(text: str) -> tuple[str, ...]:
    words = tuple(dict.fromkeys(word.strip().lower() for word in text.split(",") if word.strip()))
    if words in ((), ("none",)):
        return ()
    known = DETECTORS.split(",")
    unknown = [word for word in words if word not in known]
    if unknown:
        raise ConfigError(f"{unknown[0]!r} is no detector that is traded here; known are {DETECTORS}, or none")
    return words


def _rules(
    file: "BarFile", kinds: tuple[str, ...], timeframes: tuple[int, ...], strategy: "UserStrategy | None", signals: bool
) -> "Rules":
    """All that is tested over 1m bars, by name."""

    def run(minutes: "Bars") -> "Mapping[str, Earned]":
        earned: dict[str, Earned] = {}
        if strategy is not None:
            return {strategy.name: _strategy(file, minutes, strategy)}
        for timeframe in timeframes if kinds else ():
            earned |= _detectors(file, minutes, timeframe, kinds)
        if signals and not file.product.data_only:
            earned["signals"] = _signals(file, minutes, None)
        return earned

    return run


def _detectors(file: "BarFile", minutes: "Bars", timeframe: int, kinds: tuple[str, ...]) -> "dict[str, Earned]":
    """Zones at their first touch, single events at the next open with a stop and a target one ATR away."""
    from tbot.commands.audit_levels import ZONE_KINDS, zones_of
    from tbot.domain.timeframes import NAMES
    from tbot.strategy.settings import StrategySettings
    from tbot.validation.lag import atr_entries, outcomes
    from tbot.validation.levels_null import Market, ZoneRules
    from tbot.validation.path_null import Earned
    from tbot_ext.bars import join_minutes
    from tbot_ext.detector import Detector
    from tbot_ext.records import EventCode

    bars = minutes if timeframe == 1 else join_minutes(minutes, timeframe)
    events = Detector(timeframe, StrategySettings().detectors(file.product)[timeframe]).push_bars(bars)
    market, found = Market.of(bars), {}
    for kind in kinds:
        name = f"{NAMES[timeframe]} {kind}"
        if kind in _SINGLE:
            mine = events[events["kind"] == int(EventCode[kind.upper()])]
            found[name] = _earned(outcomes(bars, atr_entries(bars, mine["known"] + 1, mine["side"].astype("i8"))))
        else:
            traded = market.trade(zones_of(events, EventCode[ZONE_KINDS[kind]]), ZoneRules())
            found[name] = Earned(traded.trades, traded.expectancy_r)
    return found


def _signals(file: "BarFile", minutes: "Bars", strategy: "UserStrategy | None") -> "Earned":
    """Signals entered at the next open, with the distances that they have from their decision quotes."""
    from tbot.commands.audit_lookahead import signal_entries
    from tbot.commands.audit_subjects import signal_subject
    from tbot.strategy.settings import StrategySettings
    from tbot.validation.lag import outcomes

    said = signal_subject(file.product, StrategySettings(), strategy)(minutes)
    return _earned(outcomes(minutes, signal_entries(said.known, said.rows)))


def _strategy(file: "BarFile", minutes: "Bars", strategy: "UserStrategy") -> "Earned":
    from tbot.commands.audit_subjects import bars_subject
    from tbot.validation.lag import atr_entries, outcomes

    if strategy.kind == "trader":
        return _signals(file, minutes, strategy)
    said = bars_subject(strategy, file.product.tick_size)(minutes)
    return _earned(outcomes(minutes, atr_entries(minutes, said.known, said.rows["signal"])))


def _earned(results: Any) -> "Earned":
    import numpy as np

    from tbot.validation.path_null import Earned

    made = results[np.isfinite(results)]
    return Earned(len(made), float(made.mean()) if len(made) else 0.0)


# ---------------------------------------------------------------- output
def _print(rows: list[dict[str, Any]], options: dict[str, Any]) -> None:
    click.echo(f"{'rule':28}{'trades':>7}{'R':>8}{'null R':>9}{'percentile':>12}{'p':>8}{'adjusted':>10}")
    for row in rows:
        word = "BETTER" if row["better"] else "not distinguishable"
        click.echo(
            f"{row['contract'] + ' ' + row['rule']:28}{row['trades']:7d}{row['expectancy_r']:+8.3f}"
            f"{row['draw_expectancy_r']:+9.3f}{row['percentile']:12.1f}{row['p']:8.4f}{row['p_adjusted']:10.3f}  {word}"
        )
    least = 1 / (options["draws"] + 1)
    click.echo(
        f"null {options['null']}, {options['draws']} paths; brackets without costs; least possible p {least:.4f}"
    )
    if least * len(rows) > 0.05:
        click.echo(f"note: so few paths cannot show a single finding among {len(rows)} tests; "
                   f"--draws {20 * len(rows)} can")  # fmt: skip
    better = [f"{row['contract']} {row['rule']}" for row in rows if row["better"]]
    if better:
        click.echo(f"better than null paths (at most 5 % of such findings are false): {', '.join(better)}")
    else:
        click.echo("NOT DISTINGUISHABLE FROM NULL PATHS: none of these earns more than on prices without any order")


def _print_json(rows: list[dict[str, Any]], options: dict[str, Any]) -> None:
    import orjson

    document = {
        "schema": "tbot.audit.paths", "version": 1, "seed": options["seed"], "null": options["null"],
        "draws": options["draws"], "results": rows,
    }  # fmt: skip
    click.echo(orjson.dumps(document).decode())
