"""`tbot sim`: the gateway simulator as a program of its own."""

import os
from typing import Any

import click

from tbot.commands.options import DataFile, Filled, Real, Whole

# What the help is divided into: heading -> option names.
GROUPS: dict[str, tuple[str, ...]] = {
    "Market": ("seed", "contracts", "start", "speed", "tape", "every_quote", "hours"),
    "Accounts": (
        "users", "accounts", "start_balance", "max_loss", "daily_loss", "auto_oco", "token_life",
    ),
    "Faults": ("faults", "list_faults"),
    "Server": ("port", "batch"),
}  # fmt: skip


class GroupedCommand(click.Command):
    """A command whose help shows its options under headings."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Options by GROUPS, the rest last."""
        left = {param.name: param.get_help_record(ctx) for param in self.get_params(ctx)}
        for heading, names in GROUPS.items():
            rows = [row for name in names if (row := left.pop(name, None)) is not None]
            with formatter.section(heading):
                formatter.write_dl(rows)
        rest = [row for row in left.values() if row is not None]
        if rest:
            with formatter.section("Other"):
                formatter.write_dl(rest)


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


def list_faults(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    """Print the catalogue and end."""
    if not value or context.resilient_parsing:
        return
    from tbot.sim.fault_table import as_text

    click.echo(as_text())
    context.exit()


@click.command(cls=GroupedCommand)
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default="a free one", help="Loopback port.")
@click.option("--batch/--no-batch", default=True, show_default=True, help="Several hub records in one message.")
@click.option(
    "--seed", type=Whole(0), default=1, show_default=True, help="Seed of the synthetic market and of faults."
)
@click.option("--tape", type=DataFile(), help="Play this tape instead.")
@click.option("--speed", callback=parse_speed, default="1", show_default=True, help="Market seconds per real second.")
@click.option("--start", metavar="TIME", type=Filled(), help="Start the synthetic market at this UTC time (ISO 8601).")
@click.option("--hours", type=click.Choice(["always", "session"]), help="When orders are accepted.")
@click.option("--contracts", default="MNQ,NQ,MES,ES,MGC,GC", show_default=True, help="Symbols of the synthetic market.")
@click.option(
    "--every-quote/--paced-quotes",
    default=None,
    help="Send every quote, or the newest of each contract 50 times a second.  [default: every one of a tape]",
)
@click.option("--users", type=click.IntRange(1, 100), default=1, show_default=True, help="Users who may log in.")
@click.option("--accounts", type=click.IntRange(1, 20), default=1, show_default=True, help="Accounts of each user.")
@click.option("--start-balance", metavar="USD", type=Real(0, 1e9), help="Balance of a new account.")
@click.option("--max-loss", metavar="USD", type=Real(0.01, 1e9), help="Trailing maximum loss.")
@click.option("--daily-loss", metavar="USD", type=Real(0.01, 1e9), help="Daily loss limit of the firm.")
@click.option(
    "--auto-oco/--position-brackets",
    default=True,
    show_default=True,
    help="The accounts' bracket setting; with Position Brackets an order with a bracket is refused.",
)
@click.option(
    "--token-life", metavar="TIME", type=Filled(), help="How long a token lives: 60s, 5m, 2h.  [default: 24h]"
)
@click.option(
    "--faults", type=DataFile(), help="A fault plan: JSON, one a line."
)
@click.option(
    "--list-faults", is_flag=True, expose_value=False, is_eager=True, callback=list_faults, help="Print all faults."
)
def sim(**options: Any) -> None:
    """Run the gateway simulator on 127.0.0.1: REST and both hubs on one port, until Ctrl-C.

    The first line on stdout is a JSON document with the addresses and the credentials. User name, key and control
    token are new with every run, unless TBOT_SIM_USERNAME, TBOT_SIM_API_KEY and TBOT_SIM_CONTROL_TOKEN say otherwise.
    """
    from tbot.sim.server import main

    main(settings_from(options))


def settings_from(options: dict[str, Any]) -> dict[str, Any]:
    """Options and environment as settings of the simulator; the secrets leave the environment."""
    from tbot.commands.options import parse_duration_s, parse_symbols, parse_time_ns
    from tbot.sim.accounts import AccountRules

    names = ("port", "seed", "tape", "users", "accounts", "hours", "every_quote", "batch", "faults")
    settings = {name: options[name] for name in names}
    settings["speed"] = options["speed"] or None
    settings["start_ns"] = parse_time_ns(options["start"]) if options["start"] is not None else None
    settings["symbols"] = parse_symbols(options["contracts"])
    if options["token_life"] is not None:
        settings["token_life_s"] = parse_duration_s(options["token_life"])
    amounts = {"start_balance": "start_balance_cents", "max_loss": "max_loss_cents", "daily_loss": "daily_loss_cents"}
    money = {of: round(options[name] * 100) for name, of in amounts.items() if options[name] is not None}
    settings["rules"] = AccountRules(**money, auto_oco=options["auto_oco"])
    for variable, setting in (
        ("TBOT_SIM_USERNAME", "user_name"),
        ("TBOT_SIM_API_KEY", "api_key"),
        ("TBOT_SIM_CONTROL_TOKEN", "control_token"),
    ):
        value = os.environ.pop(variable, "")
        if value:
            settings[setting] = value
    return settings
