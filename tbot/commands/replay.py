"""`tbot replay`: a tape through the real processes, with paper orders; or a run's journal, decided again."""

from pathlib import Path

import click

from tbot.commands.account_choice import with_accounts
from tbot.commands.options import SETTINGS_FILE, DataFile, Filled, Number, Whole
from tbot.commands.sim import parse_speed
from tbot.errors import ConfigError


@click.command()
@click.argument("tape", required=False, type=DataFile())
@click.option(
    "--journal",
    "where",
    metavar="PATH",
    is_flag=False,
    flag_value="newest",
    help="Decide a run again from its journal: a file, a state folder, live, paper, sim, or (alone) the newest run.",
)
@click.option("--run", "run_id", type=Number(), help="With --journal: not the newest run but this one.")
@click.option("--kind", help="With --journal: only rows of this class, for example Fill.")
@click.option(
    "--account",
    "accounts",
    type=Number(),
    multiple=True,
    metavar="ID",
    help="Only this account of the settings; repeatable. With --journal: only its rows.",
)
@click.option(
    "--since", metavar="TIME", type=Filled(), help="With --journal: only rows not before this market time, ISO 8601."
)
@click.option("--last", type=Whole(min=1), help="With --journal: only so many rows.")
@click.option("-c", "--config", "config_path", type=SETTINGS_FILE, help="TOML file with settings.")
@click.option("--speed", callback=parse_speed, default="max", show_default=True, help="Market seconds per real second.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Keep journal and status here: a new folder."
)
@click.option("--json", "json_output", is_flag=True, help="No screen; one JSON document at the end.")
@click.option("-q", "--quiet", is_flag=True, help="No screen.")
@click.option("--tz", default="Europe/Helsinki", show_default=True, help="Time zone of the screen.")
@click.option("--keep-bars", type=click.Path(file_okay=False, path_type=Path), help="Write 1m bars here at the end.")
@click.option(
    "--news",
    "news_files",
    multiple=True,
    type=DataFile("fetched"),
    metavar="FILE",
    help="News for the [news] rules: .json, .ics, .toml, .csv, or fetched (all that were); repeatable.",
)
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def replay(
    tape: Path | None,
    where: str | None,
    run_id: int | None,
    kind: str | None,
    accounts: tuple[int, ...],
    since: str | None,
    last: int | None,
    config_path: Path | None,
    speed: float,
    out: Path | None,
    json_output: bool,
    quiet: bool,
    tz: str,
    keep_bars: Path | None,
    news_files: tuple[Path, ...],
    debug: bool,
) -> int:
    """Play TAPE through the real processes. At speed `max` in lock-step: nothing is lost, the result is repeatable.

    With --journal instead of TAPE: show what the engine decided, and prove that it would decide so again.
    """
    if where is not None:
        if tape is not None:
            raise click.UsageError("a TAPE is played, a --journal is decided again: name one of them")
        if len(accounts) > 1:
            raise click.UsageError("the rows of a --journal are those of all accounts or of one: give --account once")
        account = accounts[0] if accounts else None
        return _journal(where, run_id, kind, account, since, last, tz=tz, json_output=json_output)
    if tape is None:
        raise click.UsageError("name a TAPE to play, or --journal to decide a run again")
    if (run_id, kind, since, last) != (None,) * 4:
        raise click.UsageError("--run, --kind, --since and --last choose rows of a --journal")
    from dataclasses import replace

    from tbot.commands import launch
    from tbot.commands.options import parse_zone, usable_folder
    from tbot.commands.show import LastingScreen, choose_screen, drive
    from tbot.config import load
    from tbot.context.news_sources import past_calendar
    from tbot.context.stream import told_contracts
    from tbot.domain.clock import MarketClock
    from tbot.domain.contracts import BY_ID
    from tbot.engine.clocks import NS_PER_S, boot_ns
    from tbot.engine.supervisor import Supervisor
    from tbot.home import home
    from tbot.storage.replay_stream import contract_ids, first_ns
    from tbot.storage.tape import TapeReader

    zone = parse_zone(tz)
    config = with_accounts(load(config_path), accounts)
    _refuse_used(out)
    with TapeReader(tape) as reader:
        numbers = contract_ids(reader)
        traded = told_contracts(numbers) if config.dxy.followed else numbers
        symbols = tuple(BY_ID[contract_id].symbol for contract_id in traded)
        start_ns = first_ns(reader)
    settings = launch.base_settings(
        config, "replay", state_dir=out, symbols=symbols, tape=tape.resolve(), speed=speed, template_hours=True
    )
    settings = replace(settings, calendar=past_calendar(news_files, home()))
    settings = replace(settings, keep_bars=usable_folder(keep_bars))
    if speed:
        # Market time stands still at the first tick until the processes are up: three seconds on a small machine.
        clock = MarketClock(start_ns - int(3 * NS_PER_S * speed), boot_ns(), speed)
        settings = replace(settings, clock=clock)
    screen = LastingScreen(choose_screen(json_output, quiet, zone))
    supervisor = Supervisor(settings, launch.engine_specs(settings, None), screen.event)
    return drive(supervisor, screen, None, json_output, lambda: None)


def _refuse_used(out: Path | None) -> None:
    """ConfigError for a folder with a run's record: a replay would go on from its money, locks and weights."""
    for name in ("journal.db", "patterns.db"):
        if out is not None and (out / name).exists():
            raise ConfigError(f"{out} has the record of another run ({name}); a replay begins anew: give another --out")


def _journal(
    where: str,
    run_id: int | None,
    kind: str | None,
    account: int | None,
    since: str | None,
    last: int | None,
    *,
    tz: str,
    json_output: bool,
) -> int:
    from tbot.commands.journal import known_kind
    from tbot.commands.options import parse_time_ns, parse_zone
    from tbot.commands.replay_journal import Wanted, replay_the_journal

    since_ns = None if since is None else parse_time_ns(since)
    wanted = Wanted(where, run_id, known_kind(kind), account, since_ns, last)
    return replay_the_journal(wanted, json_output=json_output, zone=parse_zone(tz))
