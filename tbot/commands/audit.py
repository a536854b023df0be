"""`tbot audit`: is what the backtest says honest? A group; its commands are loaded when they are called."""

import importlib

import click

COMMANDS: dict[str, tuple[str, str]] = {
    "lookahead": ("tbot.commands.audit_lookahead:lookahead", "Does anything change what it said when later bars come?"),
    "levels": ("tbot.commands.audit_levels:levels", "Do zones hold better than bands put anywhere?"),
    "paths": ("tbot.commands.audit_paths:paths", "Is more earned on the real prices than on null paths?"),
    "parity": ("tbot.commands.audit_parity:parity", "Does a recorded session, replayed, decide the same?"),
}


class AuditGroup(click.Group):
    """Knows its commands by name, as the root does."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=AuditGroup)
def audit() -> None:
    """Honest questions to detectors, signals and strategies (docs/validation.md tells how to read the answers)."""
