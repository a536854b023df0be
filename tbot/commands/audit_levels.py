"""`tbot audit levels`: zones against random bands of equal height, age and distance (V4)."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tbot.commands.options import DataFile, Real, Symbol, Whole, Zone
from tbot.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tbot.commands.audit_data import BarFile
    from tbot.strategy.settings import StrategySettings
    from tbot.validation.levels_null import LevelsResult, ZoneRules, Zones
    from tbot_ext.records import EventCode

ZONE_KINDS = {"ob": "OB", "fvg": "FVG", "breaker": "BREAKER", "mitigation": "MITIGATION_BLOCK"}


@click.command("levels")
@click.argument("data", nargs=-1, required=True, type=DataFile())
@click.option("--kinds", default=",".join(ZONE_KINDS), show_default=True, help="Kinds of zones.")
@click.option("--timeframes", default="1m,5m,15m,30m,1h", show_default=True)
@click.option("--draws", type=click.IntRange(1, 1_000_000), default=1000, show_default=True, help="Draws of each null.")
@click.option("--reward", type=Real(0.1, 100), default=1.0, show_default=True, help="Target in R.")
@click.option("--buffer-ticks", type=click.IntRange(1, 10_000), default=2, show_default=True, help="Stop beyond it.")
@click.option("--cost-ticks", type=Real(0), default=0.0, show_default=True, help="Of a round trip.")
@click.option("--seed", type=Whole(0), default=1, show_default=True)
@click.option("--contract", type=Symbol(), help="Symbol of the data, when the file name does not tell it.")
@click.option("--data-tz", type=Zone(), help="Time zone of stamps that do not carry one.  [default: UTC]")
@click.option("--json", "json_output", is_flag=True, help="One document on stdout.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def levels(data: tuple[Path, ...], json_output: bool, quiet: bool, **options: Any) -> int:
    """Do the zones of DATA (files of 1m bars) hold better than bands put anywhere?

    Each zone is bought or sold at its first touch; so is the same band elsewhere, --draws times in three ways. "Not
    distinguishable from random levels" is an answer, and no failure: the exit code is 0.
    """
    from tbot.commands.audit_data import bar_files, parse_timeframes, teller
    from tbot.domain.timeframes import NAMES
    from tbot.validation.levels_null import ZoneRules, with_adjusted

    kinds, timeframes = parse_zone_kinds(options["kinds"]), parse_timeframes(options["timeframes"])
    rules = ZoneRules(options["reward"], options["buffer_ticks"], cost_ticks=options["cost_ticks"])
    tell, results = teller(quiet), list["LevelsResult"]()
    for file in bar_files(data, options["contract"], options["data_tz"]):
        for minutes in timeframes:
            tell(f"{file.path.name}: {options['draws']} draws for the {NAMES[minutes]} zones")
            results += tested(file, minutes, kinds, rules, options, None)
    if not results:
        raise DataError("no zone of these kinds was ever touched; give more data, or other --kinds or --timeframes")
    done = with_adjusted(results)
    _print_json(done, rules, options) if json_output else _print(done, rules)
    return 0


def parse_zone_kinds(text: str) -> "tuple[EventCode, ...]":
    """`ob,fvg` as the kinds of births; ConfigError names what is no zone."""
    from tbot_ext.records import EventCode

    words = [word.strip().lower() for word in text.split(",") if word.strip()]
    unknown = [word for word in words if word not in ZONE_KINDS]
    if unknown or not words:
        raise ConfigError(f"{unknown[0] if unknown else text!r} is no kind of zone; known are {', '.join(ZONE_KINDS)}")
    return tuple(EventCode[ZONE_KINDS[word]] for word in dict.fromkeys(words))


def zones_of(events: Any, kind: "EventCode") -> "Zones":
    """Births of a kind, without those that another zone stands for."""
    import numpy as np

    from tbot.validation.levels_null import Zones
    from tbot_ext.records import Flag

    born = events[(events["kind"] == int(kind)) & ((events["flags"] & int(Flag.DUPLICATE)) == 0)]
    known, top, bottom, side = (born[name].astype(np.int64) for name in ("known", "top", "bottom", "side"))
    return Zones(known, top, bottom, side)


def tested(
    file: "BarFile",
    minutes: int,
    kinds: "Sequence[EventCode]",
    rules: "ZoneRules",
    options: dict[str, Any],
    settings: "StrategySettings | None",
) -> "list[LevelsResult]":
    """Each kind of zone of one timeframe against its nulls, found as `settings` (None: the packaged ones) find it."""
    import numpy as np

    from tbot.domain.timeframes import NAMES
    from tbot.strategy.settings import StrategySettings
    from tbot.validation.levels_null import levels_null
    from tbot_ext.detector import Detector

    bars = file.bars(minutes)
    events = Detector(minutes, (settings or StrategySettings()).detectors(file.product)[minutes]).push_bars(bars)
    found = []
    for kind in kinds:
        # Of its own for each test: what else is asked for changes no result.
        rng = np.random.default_rng([options["seed"], file.product.contract_id, minutes, int(kind)])
        result = levels_null(
            bars, zones_of(events, kind), rng=rng, rules=rules, draws=options["draws"], contract=file.product.symbol,
            timeframe=NAMES[minutes], kind=kind.name,
        )  # fmt: skip
        if result is not None:
            found.append(result)
    return found


# ---------------------------------------------------------------- output
def level_lines(results: "Sequence[LevelsResult]") -> list[str]:
    """The table of the report."""
    head = f"{'zones':26}{'trades':>7}{'hit':>7}{'R':>8}   percentile of R: jitter shuffle mirror      p  adjusted"
    lines = [head]
    for row in results:
        name = f"{row.contract} {row.timeframe} {row.kind}"
        places = "".join(f"{test.percentile_r:8.1f}" for test in row.nulls)
        adjusted = "" if row.p_adjusted is None else f"{row.p_adjusted:10.3f}"
        lines.append(
            f"{name:26}{row.traded.trades:7d}{row.traded.hit_rate:7.1%}{row.traded.expectancy_r:+8.3f}"
            f"{'':16}{places}{row.p:9.4f}{adjusted}  {'BETTER' if row.better else 'not distinguishable'}"
        )
    return lines


def _print(results: "Sequence[LevelsResult]", rules: "ZoneRules") -> None:
    for line in level_lines(results):
        click.echo(line)
    better = [row for row in results if row.better]
    click.echo(
        f"first touch decides; stop {rules.buffer_ticks} ticks beyond the zone, target {rules.reward:g} R, costs "
        f"{rules.cost_ticks:g} ticks; {results[0].nulls[0].draws} draws; p is the largest of the three nulls"
    )
    if better:
        names = ", ".join(f"{row.contract} {row.timeframe} {row.kind}" for row in better)
        click.echo(f"better than random levels (at most 5 % of such findings are false): {names}")
    else:
        click.echo("NOT DISTINGUISHABLE FROM RANDOM LEVELS: none of these zones holds better than bands put anywhere")


def _print_json(results: "Sequence[LevelsResult]", rules: "ZoneRules", options: dict[str, Any]) -> None:
    import orjson

    rows = [asdict(row) | {"better": row.better, "percentile": row.percentile, "verdict": row.verdict}
            for row in results]  # fmt: skip
    document = {
        "schema": "tbot.audit.levels", "version": 1, "seed": options["seed"], "rules": asdict(rules), "results": rows,
    }  # fmt: skip
    click.echo(orjson.dumps(document).decode())
