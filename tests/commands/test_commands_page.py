"""docs/commands.md is the command line; JSON documents keep their keys; --json and completion."""

import ast
import inspect
from functools import cache
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import commands_page
from command_tree import commands, option_names
from tbot.cli import COMMANDS, root
from tbot.commands.lazy_group import LazyGroup

TREE = dict(commands())
AGAIN = "make it anew: PYTHONPATH=tests/support python tests/support/commands_page.py"


def test_the_page_is_the_command_line() -> None:
    assert commands_page.PAGE.read_text(encoding="utf-8") == commands_page.page(), AGAIN


def test_json_documents_have_the_keys_they_had() -> None:
    """A key that went or changed its meaning needs another version of the schema; then make the snapshot anew."""
    assert commands_page.SNAPSHOT.read_text(encoding="utf-8") == commands_page.snapshot(), AGAIN


@pytest.mark.parametrize("name", sorted(name for name, command in TREE.items() if "--json" in option_names(command)))
def test_every_command_with_json_writes_a_document_with_schema_and_version(name: str) -> None:
    """Its module, or one that this imports from the same package, holds a schema of `documents`."""
    callback = TREE[name].callback
    assert callback is not None
    near = [Path(inspect.unwrap(callback).__code__.co_filename)]
    for _ in range(3):  # steps of imports
        if any(holds_document(path) for path in near):
            return
        near = [target for path in near for target in imported(path)]
    raise AssertionError(f"{name} --json: no document with a schema")


@cache
def holds_document(path: Path) -> bool:
    return '"schema": ' in path.read_text(encoding="utf-8")


@cache
def imported(path: Path) -> tuple[Path, ...]:
    """Modules of ours that a module imports."""
    found: list[Path] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tbot."):
            base = commands_page.ROOT / (node.module or "").replace(".", "/")
            found += [base.with_suffix(".py"), *(base / f"{alias.name}.py" for alias in node.names)]
    return tuple(path for path in found if path.exists())


def test_the_help_of_the_root_and_of_each_command_agree() -> None:
    """The root tells about a command without importing it: the lines must not drift from what the command says."""
    context = click.Context(root)
    for name in COMMANDS:
        command = root.get_command(context, name)
        assert command is not None
        assert command.name == name
        assert command.help, name


def test_completion_knows_commands_and_options_and_imports_no_command_for_names() -> None:
    context = click.Context(root)
    assert isinstance(root, LazyGroup)
    names = [item.value for item in root.shell_complete(context, "con")]
    assert names == ["config"]
    environment = {"_TBOT_COMPLETE": "bash_complete", "COMP_WORDS": "tbot run --confirm", "COMP_CWORD": "2"}
    done = CliRunner().invoke(root, prog_name="tbot", env=environment)
    assert done.stdout.split() == ["plain,--confirm-live"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str) -> None:
    done = CliRunner().invoke(root, ["completion", shell], standalone_mode=False)
    assert "_TBOT_COMPLETE" in done.stdout


def test_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "")
    import os

    CliRunner().invoke(root, ["--no-color", "config", "schema"], standalone_mode=False)
    assert os.environ["NO_COLOR"] == "1"
