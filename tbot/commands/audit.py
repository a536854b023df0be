"""`tbot audit`: is what the backtest says honest? A group; its commands are loaded when they are called."""

import click

from tbot.commands.lazy_group import LazyGroup

COMMANDS: dict[str, tuple[str, str]] = {
    "lookahead": ("tbot.commands.audit_lookahead:lookahead", "Does anything change what it said when later bars come?"),
    "levels": ("tbot.commands.audit_levels:levels", "Do zones hold better than bands put anywhere?"),
    "paths": ("tbot.commands.audit_paths:paths", "Is more earned on the real prices than on null paths?"),
    "parity": ("tbot.commands.audit_parity:parity", "Does a recorded session, replayed, decide the same?"),
}


@click.group(cls=LazyGroup, table=COMMANDS)
def audit() -> None:
    """Honest questions to detectors, signals and strategies (docs/validation.md tells how to read the answers)."""
