"""All commands of the command line with what a call of each needs, so that tests find new ones by themselves."""

from collections.abc import Iterator

import click

from tbot.cli import root
from tbot.commands.options import DataFile


def commands(group: click.Group = root, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """(`audit levels`, command) of every command that does something, in the order of the help."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            if command.invoke_without_command:
                yield " ".join((*path, name)), command
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


def option_names(command: click.Command) -> set[str]:
    """`--config`, `-c`, ... of a command."""
    return {name for parameter in command.params if isinstance(parameter, click.Option) for name in parameter.opts}


def file_arguments(command: click.Command) -> list[click.Argument]:
    """Its arguments that are files to read."""
    found = [parameter for parameter in command.params if isinstance(parameter, click.Argument)]
    return [one for one in found if isinstance(one.type, DataFile)]
