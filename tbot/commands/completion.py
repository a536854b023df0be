"""`tbot completion`: the script that lets a shell complete commands and options."""

import click

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> int:
    """Print the completion script of a shell.

    bash: put `eval "$(tbot completion bash)"` into ~/.bashrc; zsh: the same with zsh into ~/.zshrc; fish:
    `tbot completion fish > ~/.config/fish/completions/tbot.fish`.
    """
    from click.shell_completion import get_completion_class

    from tbot.cli import root

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(root, {}, "tbot", "_TBOT_COMPLETE").source())
    return 0
