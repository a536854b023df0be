"""`tbot config`: what the settings are, where they come from, whether they are good, and new ones. A group."""

import click

from tbot.commands.lazy_group import LazyGroup

COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("tbot.commands.config_init:init", "Make a settings file: asks, explains each question, writes comments."),
    "show": ("tbot.commands.config_show:show", "Show the settings that hold; --origin tells where each comes from."),
    "validate": ("tbot.commands.config_show:validate", "Check a settings file: every problem at once, with its line."),
    "set": ("tbot.commands.config_init:set_value", "Change one value in the file; comments stay."),
    "path": ("tbot.commands.config_show:path", "Tell which settings file is read, and where one is looked for."),
    "options": ("tbot.commands.config_show:list_options", "List every option: type, default, range, meaning."),
    "schema": ("tbot.commands.config_show:schema", "Print the JSON Schema of the settings file, for editors."),
}


@click.group(cls=LazyGroup, table=COMMANDS)
def config() -> None:
    """Settings: make, check, change and explain them (docs/configuration.md lists every option)."""
