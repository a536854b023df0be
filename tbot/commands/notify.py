"""`tbot notify test`: does a message reach its owner?

`--json`: one document `tbot.notify` version 1 with `source` (the place of the addresses; "" none), `not_understood`
(how many addresses) and `services` (`service`, its kind, and `taken`). Addresses are never shown.
"""

from pathlib import Path

import click

from tbot.commands.gateway import config_option
from tbot.errors import ConfigError

FOUND_FAILURE = 10


@click.group()
def notify() -> None:
    """Messages about signals, fills, locks, faults and reports to your phone or mail."""


@notify.command()
@config_option
@click.option("--json", "json_output", is_flag=True, help="One JSON document.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def test(config_path: Path | None, json_output: bool, debug: bool) -> int:
    """Send one message to every address now. Exit code 10 when one did not take it."""
    import orjson

    from tbot.commands.notify_addresses import FILE_NAME, NAME, find
    from tbot.config import home, load
    from tbot.notify.mail import Letter
    from tbot.notify.sender import services

    settings = load(config_path).notify
    found = find(settings, home())
    if not found.urls:
        raise ConfigError(
            f"no address to send to; set {NAME}, or write addresses into {home() / FILE_NAME} (mode 0600), one a line"
        )
    made, unknown = services(found.urls)
    letter = Letter("T-BOT: a test", (f"Messages of these kinds come here: {', '.join(settings.kinds) or 'none'}.",))
    rows = []
    for service in made:
        try:
            taken = service.send(letter)
        except Exception:  # of a plug-in; its text may hold the address
            taken = False
        rows.append({"service": service.name, "taken": taken})
        if not json_output:
            word = "sent" if taken else "NOT taken; check the address, and whether the service can be reached from here"
            click.echo(f"{service.name}: {word}")
    if json_output:
        told = {"source": found.source, "not_understood": unknown, "services": rows}
        click.echo(orjson.dumps({"schema": "tbot.notify", "version": 1, **told}).decode())
    else:
        click.echo(f"addresses from {found.source}: {len(made)} understood, {unknown} not")
    return 0 if rows and not unknown and all(row["taken"] for row in rows) else FOUND_FAILURE
