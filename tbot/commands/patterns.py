"""`tbot patterns`: what became of every pattern, traded or not, and the weights that were learned from it.

Read from `patterns.db` of a state folder, also while the engine runs. `--json`: one document `tbot.patterns` version 1
with `state_dir, mode, frozen`, `in_force` (null or `version, day, outcomes`: the weights a run uses), `learned`
(`version, outcomes`: what all outcomes so far would give on the next trading day), `totals` (`outcomes, triggered,
counted, traded`) and `patterns`. Each has `contract, kind, timeframe`, `n, won, win_rate, win_low, win_high` (Wilson,
95 %), `needed` (share of wins that loses nothing), `expectancy_r` (after costs, in units of the distance to the stop),
`effective_n` (after decay), `others_r` (what its relatives expect), `edge_r, weight_before, weight_after, why`, `fates`
(how often a triggered setup was a signal, or why not), `untriggered` (`n, expectancy_r` of entries at once, without
waiting for a trigger) and `traded` (`n, net_usd` of round trips that really happened).
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tbot.commands.gateway import config_option
from tbot.commands.options import DataFile, StateFolder, Whole
from tbot.domain.words import plural

if TYPE_CHECKING:
    from tbot.analytics.pattern_table import Row, Table

KINDS = ("ob", "fvg", "ifvg", "breaker", "mitigation")
_state_dir = click.option(
    "--state-dir", type=StateFolder(), help="Of another run."
)


@click.group(invoke_without_command=True)
@config_option
@_state_dir
@click.option("--contract", help="Only these contracts, for example MNQ,ES.")
@click.option("--kind", type=click.Choice(KINDS), help="Only this kind of zone.")
@click.option("--timeframe", type=click.Choice(["5m", "15m", "30m", "1h"]), help="Only zones of this timeframe.")
@click.option("--explain", is_flag=True, help="Step by step how each weight came about.")
@click.option("--json", "json_output", is_flag=True, help="One JSON document.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.pass_context
def patterns(
    ctx: click.Context,
    config_path: Path | None,
    state_dir: Path | None,
    contract: str | None,
    kind: str | None,
    timeframe: str | None,
    explain: bool,
    json_output: bool,
    debug: bool,
) -> int:
    """Show how each pattern did, traded or not, and what learning makes of it."""
    if ctx.invoked_subcommand is not None:
        ctx.obj = (config_path, state_dir, json_output)
        return 0
    from tbot.analytics.pattern_table import Wanted, table
    from tbot.commands.options import parse_symbols
    from tbot.config import load

    symbols = parse_symbols(contract) if contract else None
    folder = _folder(state_dir)
    told = table(folder, load(config_path).learning, Wanted(symbols, kind, timeframe))
    if json_output:
        import orjson

        click.echo(orjson.dumps(document(folder, told)).decode())
        return 0
    for line in explained(told) if explain else listed(folder, told):
        click.echo(line)
    return 0


def _folder(state_dir: Path | None) -> Path:
    from tbot.commands.journal_query import newest_state

    return state_dir or newest_state()


def _mark(ctx: click.Context, what: str) -> None:
    """Write a decision; Halted while an engine runs, because it alone writes then."""
    from tbot.engine.state_dir import lock_state
    from tbot.storage.pattern_store import FILE_NAME, PatternReader, PatternStore

    folder = _folder(ctx.obj[1])
    PatternReader(folder / FILE_NAME).close()  # one that is not there is not made for a mark
    with lock_state(folder), PatternStore(folder / FILE_NAME) as store:
        store.mark(what, time.time_ns())


@patterns.command()
@click.pass_context
def freeze(ctx: click.Context) -> int:
    """Keep the weights as they are, whatever comes; outcomes are still collected."""
    _mark(ctx, "freeze")
    click.echo("frozen: the weights in force stay; tbot patterns unfreeze lets them move again")
    return 0


@patterns.command()
@click.pass_context
def unfreeze(ctx: click.Context) -> int:
    """Let the weights move again, by everything that was collected meanwhile."""
    _mark(ctx, "unfreeze")
    click.echo("not frozen: the next trading day has the weights that all outcomes give")
    return 0


@patterns.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def reset(ctx: click.Context, yes: bool) -> int:
    """Learn anew: what was collected so far stays on record but teaches nothing any more."""
    if not yes:
        click.confirm("Forget what was learned from all outcomes so far?", abort=True)
    _mark(ctx, "reset")
    click.echo("reset: all weights are 1 until new outcomes come in")
    return 0


@patterns.command()
@click.argument("data", nargs=-1, required=True, type=DataFile())
@click.option("--contracts", metavar="LIST", help="Only these contracts of the data, e.g. MNQ,ES.")
@click.option("--seed", type=Whole(min=0), default=1, show_default=True, help="Of the intervals.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_context
def evidence(ctx: click.Context, data: tuple[Path, ...], contracts: str | None, seed: int, as_json: bool) -> int:
    """Play DATA with learning and without it, and say what learning added out of sample.

    Both runs go into the ledger of trials. Document: `tbot.patterns.evidence` version 1.
    """
    import orjson

    from tbot.commands.options import parse_symbols
    from tbot.commands.pattern_evidence import evidence_document, evidence_lines, gathered
    from tbot.config import load

    config_path, _, group_json = ctx.obj
    symbols = parse_symbols(contracts) if contracts else ()
    found = gathered(list(data), load(config_path), symbols, seed)
    if as_json or group_json:
        click.echo(orjson.dumps(evidence_document(found)).decode())
        return 0
    for line in evidence_lines(found):
        click.echo(line)
    return 0


# ---------------------------------------------------------------------------------------------------------- as data
def document(folder: Path, told: "Table") -> dict[str, Any]:
    """Everything, as `--json` tells it."""
    version = told.in_force
    return {
        "schema": "tbot.patterns",
        "version": 1,
        "state_dir": str(folder),
        "mode": told.mode,
        "frozen": told.frozen,
        "in_force": version and {"version": version.name, "day": version.day.isoformat(), "outcomes": version.outcomes},
        "learned": {"version": told.learned.version, "outcomes": told.learned.outcomes},
        "totals": told.totals,
        "patterns": [_row(one) for one in told.rows],
    }


def _row(one: "Row") -> dict[str, Any]:
    from tbot.domain.timeframes import NAMES

    share, judged = one.share, one.judged
    return {
        "contract": judged.symbol,
        "kind": judged.kind,
        "timeframe": NAMES[judged.timeframe_min],
        "n": one.n,
        "won": one.won,
        "win_rate": share.estimate if one.n else None,
        "win_low": share.low,
        "win_high": share.high,
        "needed": one.needed,
        "expectancy_r": one.expectancy_r,
        "effective_n": round(judged.own.n, 3),
        "others_r": round(judged.others.mu, 4),
        "edge_r": round(judged.edge_r, 4),
        "weight_before": one.before,
        "weight_after": one.after,
        "why": one.why,
        "fates": one.fates,
        "untriggered": {"n": one.untriggered, "expectancy_r": one.untriggered_r},
        "traded": {"n": one.traded, "net_usd": one.net_cents / 100},
    }


# --------------------------------------------------------------------------------------------------------- in words
def listed(folder: Path, told: "Table") -> list[str]:
    """One line a pattern, the contracts in order, the most outcomes first."""
    from tbot.domain.timeframes import NAMES
    from tbot.strategy.words import ZONE_NAMES

    lines = [f"patterns of {folder}", *_head(told), ""]
    if not told.rows:
        return [*lines, "no triggered setup has come to an end yet"]
    lines.append(
        f"{'contract':<8} {'pattern':<27} {'n':>5} {'won':>5} {'95 %':>9} {'needed':>6} {'exp. R':>7} {'weight':>16} "
        f"{'traded':>6} {'net USD':>9}"
    )
    for one in told.rows:
        judged = one.judged
        name = f"{NAMES[judged.timeframe_min]} {ZONE_NAMES[judged.kind]}"
        between = f"{100 * one.share.low:.0f}-{100 * one.share.high:.0f} %" if one.n else ""
        rate = f"{100 * one.won / one.n:.0f} %" if one.n else ""
        needed = f"{100 * one.needed:.0f} %" if one.needed is not None else ""
        result = f"{one.expectancy_r:+.2f}" if one.expectancy_r is not None else ""
        net = f"{one.net_cents / 100:+,.2f}" if one.traded else ""
        lines.append(
            f"{judged.symbol:<8} {name:<27} {one.n:>5} {rate:>5} {between:>9} {needed:>6} {result:>7} "
            f"{f'{one.before:.3f} -> {one.after:.3f}':>16} {one.traded or '':>6} {net:>9}".rstrip()
        )
    lines += [
        "",
        "n: triggered setups with a known end, traded or not; exp. R: mean result after costs, stop distance = 1;",
        "weight: in force -> what all outcomes so far would give; tbot patterns --explain tells why",
    ]
    return lines


def _head(told: "Table") -> list[str]:
    totals = told.totals
    effect = {"on": "weights decide", "observe": "outcomes are kept, no decision changes", "off": "nothing is kept"}
    return [
        f"learning {told.mode} ({effect[told.mode]}){', frozen' if told.frozen else ''}; "
        + (
            f"weights {told.in_force.name} since {told.in_force.day}, from {plural(told.in_force.outcomes, 'outcome')}"
            if told.in_force
            else "no weights yet: all are 1"
        ),
        f"{plural(totals['outcomes'], 'outcome')}, {totals['triggered']:,} of triggered setups, "
        f"{totals['counted']:,} that {'counts' if totals['counted'] == 1 else 'count'}; "
        f"{plural(totals['traded'], 'real round trip')}",
    ]


def explained(told: "Table") -> list[str]:
    """A paragraph for each pattern."""
    from tbot.domain.timeframes import NAMES
    from tbot.strategy.words import ZONE_NAMES

    lines = _head(told)
    for one in told.rows:
        judged = one.judged
        name = f"{judged.symbol} {NAMES[judged.timeframe_min]} {ZONE_NAMES[judged.kind]}"
        lines += ["", f"{name}: weight {one.before:.4g} -> {one.after:.4g}", f"  {one.why}"]
        fates = ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in one.fates.items())
        lines.append(f"  triggered setups: {fates}")
        for title, split in one.splits.items():
            told_split = "; ".join(f"{key} {n} at {mean:+.2f} R" for key, (n, mean) in split.items())
            lines.append(f"  by {title}: {told_split}")
        if one.untriggered_r is not None:
            lines.append(
                f"  entered at once, without a trigger: {one.untriggered} at {one.untriggered_r:+.2f} R (teaches "
                "nothing)"
            )
        if one.traded:
            lines.append(f"  really traded: {plural(one.traded, 'round trip')}, {one.net_cents / 100:+,.2f} USD net")
    return lines if told.rows else [*lines, "", "no triggered setup has come to an end yet"]
