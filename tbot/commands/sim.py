"""`tbot sim`: the gateway simulator as a program of its own."""

from pathlib import Path

import click


def parse_speed(_context: click.Context, _parameter: click.Parameter, value: str) -> float:
    """A positive number, or `max` (0)."""
    if value == "max":
        return 0.0
    try:
        speed = float(value)
    except ValueError:
        raise click.BadParameter("give a positive number or `max`") from None
    if not 0 < speed <= 1000:
        raise click.BadParameter("give a number above 0 and up to 1000, or `max`")
    return speed


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default="a free one", help="Loopback port.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the synthetic market.")
@click.option("--tape", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Play this tape instead.")
@click.option("--speed", callback=parse_speed, default="1", show_default=True, help="Market seconds per real second.")
@click.option("--start", metavar="TIME", help="Start the synthetic market at this UTC time (ISO 8601).")
@click.option("--accounts", type=click.IntRange(1, 20), default=1, show_default=True, help="Accounts of the user.")
@click.option("--hours", type=click.Choice(["always", "session"]), help="When orders are accepted.")
@click.option("--contracts", default="MNQ,NQ,MES,ES,MGC,GC", show_default=True, help="Symbols of the synthetic market.")
@click.option(
    "--every-quote/--paced-quotes",
    default=None,
    help="Send every quote, or the newest of each contract 50 times a second.  [default: every one of a tape]",
)
def sim(
    port: int,
    seed: int,
    tape: Path | None,
    speed: float,
    start: str | None,
    accounts: int,
    hours: str | None,
    contracts: str,
    every_quote: bool | None,
) -> None:
    """Run the gateway simulator on 127.0.0.1: REST and both hubs on one port, until Ctrl-C.

    The first line on stdout is a JSON document with the addresses and the credentials.
    """
    from tbot.commands.options import parse_symbols, parse_time_ns
    from tbot.sim.server import main

    main(
        {
            "port": port,
            "seed": seed,
            "tape": tape,
            "speed": speed or None,
            "start_ns": parse_time_ns(start) if start else None,
            "accounts": accounts,
            "hours": hours,
            "symbols": parse_symbols(contracts),
            "every_quote": every_quote,
        }
    )
