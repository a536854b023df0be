"""`tbot audit lookahead`: prefix replay, noise replay and the decay after one bar, kind by kind (V1)."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tbot.commands.options import DataFile, Symbol, Whole, Zone
from tbot.errors import ConfigError, TbotError

if TYPE_CHECKING:
    from tbot.commands.audit_data import BarFile
    from tbot.commands.user_strategy import UserStrategy
    from tbot.validation.lag import Entries, LagResult
    from tbot.validation.lookahead import Hit, LookaheadResult, Subject
    from tbot_ext.records import EventCode

HIT = TbotError.exit_code  # 1, "failed": nothing was wrong with the data or the call, the audit failed


@dataclass(frozen=True, slots=True)
class Audited:
    """One subject over one file; `lags` by kind."""

    file: str
    contract: str
    timeframe: str
    subject: str
    result: "LookaheadResult"
    lags: "dict[str, LagResult]"


@click.command("lookahead")
@click.argument("data", nargs=-1, required=True, type=DataFile())
@click.option("--detectors", default="all", show_default=True, help="Kinds, such as ob,fvg; `all`, or `none`.")
@click.option("--timeframes", default="1m,5m,15m,30m,1h", show_default=True, help="Of the detectors.")
@click.option("--signals/--no-signals", default=True, show_default=True, help="Audit the packaged strategy's signals.")
@click.option("--strategy", metavar="FILE.py:NAME", help="Audit a strategy of your own instead (docs/validation.md).")
@click.option("--compat", is_flag=True, help="Audit the functions of tbot.compat.smc instead: they do look ahead.")
@click.option("--cuts", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Cuts per series.")
@click.option("--seed", type=Whole(0), default=1, show_default=True)
@click.option("--contract", type=Symbol(), help="Symbol of the data, when the file name does not tell it.")
@click.option("--data-tz", type=Zone(), help="Time zone of stamps that do not carry one.  [default: UTC]")
@click.option("--json", "json_output", is_flag=True, help="One document on stdout.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def lookahead(data: tuple[Path, ...], json_output: bool, **options: Any) -> int:
    """Does anything said over DATA (files of 1m bars) change when later bars come?

    Each subject is run on all bars, on the bars up to a cut alone, and with noise behind the cut: what was said up to
    the cut must be the same. Exit code 1 when it is not. A delay of one bar that takes most of an edge is a warning.
    """
    chosen = _subjects_asked(options)
    audited = list(chosen(data))
    hit = any(one.result.hit for one in audited)
    if json_output:
        _print_json(audited, options, hit)
    else:
        _print(audited)
    return HIT if hit else 0


def _subjects_asked(options: dict[str, Any]) -> "Callable[[tuple[Path, ...]], Iterator[Audited]]":
    """What to audit; everything that can be wrong with the call is said here, before any data is read."""
    from tbot.analytics.kinds import parse_kinds
    from tbot.commands.audit_data import bar_files, parse_timeframes, teller
    from tbot.commands.user_strategy import load_strategy

    if options["compat"] and options["strategy"]:
        raise ConfigError("--compat and --strategy are two audits; give one of them")
    word = options["detectors"].strip().lower()
    none = word in ("none", "") or options["compat"] or options["strategy"] is not None
    kinds = None if none else parse_kinds(None if word == "all" else word)
    timeframes = parse_timeframes(options["timeframes"])
    strategy = load_strategy(options["strategy"]) if options["strategy"] else None
    if kinds is None and strategy is None and not options["compat"] and not options["signals"]:
        raise ConfigError("nothing is left to audit; leave out --detectors none or --no-signals")
    tell = teller(options["quiet"])

    def run(paths: tuple[Path, ...]) -> Iterator[Audited]:
        for file in bar_files(paths, options["contract"], options["data_tz"]):
            tell(f"{file.path.name}: {len(file.minutes)} bars of {file.product.symbol}")
            if options["compat"]:
                yield from _compat(file, options)
            elif strategy is not None:
                yield _strategy(file, strategy, options)
            else:
                for minutes in timeframes if kinds is not None else ():
                    yield _detectors(file, minutes, kinds or frozenset(), options)
                if options["signals"] and not file.product.data_only:
                    tell(f"{file.path.name}: signals at {options['cuts']} cuts")
                    yield _signals(file, None, options)

    return run


def _audit(
    file: "BarFile", timeframe_min: int, subject: "Subject", options: dict[str, Any], *, whole_noise: bool = False
) -> "LookaheadResult":
    from tbot.validation.lookahead import NOISE_BARS, audit_lookahead

    length = None if whole_noise else NOISE_BARS
    bars = file.bars(timeframe_min)
    return audit_lookahead(bars, subject, cuts=options["cuts"], seed=options["seed"], noise_bars=length)


def _audited(
    file: "BarFile", minutes: int, name: str, result: "LookaheadResult", lags: "dict[str, LagResult]"
) -> Audited:
    from tbot.domain.timeframes import NAMES

    return Audited(file.path.name, file.product.symbol, NAMES[minutes], name, result, lags)


def _detectors(file: "BarFile", minutes: int, kinds: "frozenset[EventCode]", options: dict[str, Any]) -> Audited:
    from tbot.commands.audit_subjects import detector_subject
    from tbot.strategy.settings import StrategySettings
    from tbot.validation.lag import atr_entries, lag_decay

    bars, params = file.bars(minutes), StrategySettings().detectors(file.product)[minutes]
    subject = detector_subject(params, kinds)
    result, said, lags = _audit(file, minutes, subject, options), subject(bars), {}
    for kind in sorted(set(said.kinds.tolist())):
        mine = said.of_kind(kind)
        sides = mine.rows["side"].astype("i8")
        if sides.any():
            lags[kind] = lag_decay(bars, atr_entries(bars, mine.known, sides))
    return _audited(file, minutes, "detectors", result, lags)


def _signals(file: "BarFile", strategy: "UserStrategy | None", options: dict[str, Any]) -> Audited:
    """The packaged strategy, or a user's trader."""
    from tbot.commands.audit_subjects import signal_subject
    from tbot.strategy.settings import StrategySettings
    from tbot.validation.lag import lag_decay

    subject = signal_subject(file.product, StrategySettings(), strategy)
    result, said = _audit(file, 1, subject, options), subject(file.minutes)
    lags = {"signal": lag_decay(file.minutes, signal_entries(said.known, said.rows))} if len(said.rows) else {}
    return _audited(file, 1, strategy.name if strategy else "signals", result, lags)


def signal_entries(known: Any, rows: Any) -> "Entries":
    """Brackets at the distances that the signals have from their decision quotes."""
    import numpy as np

    from tbot.validation.lag import Entries

    entry = np.where(rows["side"] > 0, rows["ask"], rows["bid"])
    return Entries(known, rows["side"], np.abs(entry - rows["stop"]), np.abs(rows["target"] - entry))


def _strategy(file: "BarFile", strategy: "UserStrategy", options: dict[str, Any]) -> Audited:
    if strategy.kind == "trader":
        return _signals(file, strategy, options)
    from tbot.commands.audit_subjects import bars_subject
    from tbot.validation.lag import atr_entries, lag_decay

    subject = bars_subject(strategy, file.product.tick_size)
    result, said = _audit(file, 1, subject, options, whole_noise=True), subject(file.minutes)
    lag = lag_decay(file.minutes, atr_entries(file.minutes, said.known, said.rows["signal"]))
    return _audited(file, 1, strategy.name, result, {"signal": lag})


def _compat(file: "BarFile", options: dict[str, Any]) -> Iterator[Audited]:
    from tbot.commands.audit_subjects import compat_subjects

    for name, subject in compat_subjects(file.product.tick_size).items():
        yield _audited(file, 1, name, _audit(file, 1, subject, options, whole_noise=True), {})


# ---------------------------------------------------------------- output
def _print(audited: list[Audited]) -> None:
    for one in audited:
        result = one.result
        said = sum(kind.said for kind in result.kinds)
        where = f"{one.file} {one.timeframe} {one.subject}"
        click.echo(f"{where}: {result.bars} bars, {said} statements, {result.cuts} cuts: {_verdict(result)}")
        if said and result.noise_told < 0.5:
            click.echo(f"  note: noise changed what was said later at {result.noise_told:.0%} of the cuts only; "
                       "give more data or --cuts for the noise test to mean something")  # fmt: skip
        for kind in result.kinds:
            if kind.first is not None:
                click.echo(
                    f"  HIT {kind.kind}: {kind.differing} of {2 * result.cuts + 1} replays; {hit_words(kind.first)}"
                )
        for name, lag in one.lags.items():
            if lag.warning:
                click.echo(
                    f"  warning {name}: one bar later {lag.r_later:+.2f} R is left of {lag.r_now:+.2f} R "
                    f"({lag.entries} entries, t {lag.t_now:.1f}): the edge lives in one bar"
                )
    hits = [one for one in audited if one.result.hit]
    click.echo("no look-ahead found" if not hits else f"LOOK-AHEAD in {len(hits)} of {len(audited)} audits")


def _verdict(result: "LookaheadResult") -> str:
    if result.hit:
        return "LOOKS AHEAD"
    return "clean" if any(kind.said for kind in result.kinds) else "nothing said, nothing proved"


def hit_words(hit: "Hit") -> str:
    """The first difference as a sentence part."""
    from tbot.analytics.bar_tables import utc_text

    check = {"prefix": "data up to", "noise": "noise behind", "repeat": "again up to"}[hit.check]
    return f"first at bar {hit.known} ({utc_text(hit.known_ns)}), {check} bar {hit.bars}: {hit.what}"


def _print_json(audited: list[Audited], options: dict[str, Any], hit: bool) -> None:
    import orjson

    from tbot.analytics.bar_tables import utc_text

    rows = []
    for one in audited:
        kinds = []
        for kind in one.result.kinds:
            row = asdict(kind)
            if row["first"] is not None:
                row["first"]["cut"] = utc_text(row["first"].pop("cut_ns"))
                row["first"]["time"] = utc_text(row["first"].pop("known_ns"))
            lag = one.lags.get(kind.kind)
            kinds.append(row | {"lag": None if lag is None else asdict(lag)})
        rows.append(
            {
                "file": one.file, "contract": one.contract, "timeframe": one.timeframe, "subject": one.subject,
                "bars": one.result.bars, "cuts": one.result.cuts, "noise_told": one.result.noise_told,
                "hit": one.result.hit, "kinds": kinds,
            }
        )  # fmt: skip
    document = {"schema": "tbot.audit.lookahead", "version": 1, "seed": options["seed"], "hit": hit, "results": rows}
    click.echo(orjson.dumps(document).decode())
