"""`tbot replay`: a tape through the real processes, with paper orders."""

from pathlib import Path

import click

from tbot.commands.sim import parse_speed


@click.command()
@click.argument("tape", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-c", "--config", "config_path", type=click.Path(path_type=Path), help="TOML file with settings.")
@click.option("--speed", callback=parse_speed, default="max", show_default=True, help="Market seconds per real second.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Keep journal and status here.")
@click.option("--json", "json_output", is_flag=True, help="No screen; one JSON document at the end.")
@click.option("-q", "--quiet", is_flag=True, help="No screen.")
@click.option("--tz", default="Europe/Helsinki", show_default=True, help="Time zone of the screen.")
@click.option("--keep-bars", type=click.Path(file_okay=False, path_type=Path), help="Write 1m bars here at the end.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def replay(
    tape: Path,
    config_path: Path | None,
    speed: float,
    out: Path | None,
    json_output: bool,
    quiet: bool,
    tz: str,
    keep_bars: Path | None,
    debug: bool,
) -> int:
    """Play TAPE through the real processes. At speed `max` in lock-step: nothing is lost, the result is repeatable."""
    from dataclasses import replace

    from tbot.commands import launch
    from tbot.commands.options import parse_zone
    from tbot.commands.show import LastingScreen, choose_screen, drive
    from tbot.config import load
    from tbot.domain.clock import MarketClock
    from tbot.domain.contracts import BY_ID
    from tbot.engine.clocks import NS_PER_S, boot_ns
    from tbot.engine.supervisor import Supervisor
    from tbot.storage.replay_stream import contract_ids, first_ns
    from tbot.storage.tape import TapeReader

    zone = parse_zone(tz)
    config = load(config_path)
    with TapeReader(tape) as reader:
        symbols = tuple(BY_ID[contract_id].symbol for contract_id in contract_ids(reader))
        start_ns = first_ns(reader)
    settings = launch.base_settings(
        config, "replay", state_dir=out, symbols=symbols, tape=tape.resolve(), speed=speed, template_hours=True
    )
    settings = replace(settings, keep_bars=keep_bars.resolve() if keep_bars else None)
    if speed:
        # Market time stands still at the first tick until the processes are up: three seconds on a small machine.
        clock = MarketClock(start_ns - int(3 * NS_PER_S * speed), boot_ns(), speed)
        settings = replace(settings, clock=clock)
    screen = LastingScreen(choose_screen(json_output, quiet, zone))
    supervisor = Supervisor(settings, launch.engine_specs(settings, None), screen.event)
    return drive(supervisor, screen, None, json_output, lambda: None)
