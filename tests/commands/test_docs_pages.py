"""The documents: links lead somewhere, every page is in the site, command lines exist, examples run."""

import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest

from command_tree import commands, option_names
from engine_runs import running
from lively_tape import lively
from tbot.commands.past import backtest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
TREE = dict(commands())
PICTURES = (".png", ".svg")
GUIDES = ("first-run.md", "going-paper.md")


@cache
def blocks(page: Path, language: str) -> list[str]:
    """Code blocks of a language, in their order."""
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [text for name, text in fences if name == language]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    for target in linked(page):
        assert target.endswith(PICTURES) or (page.parent / target).exists(), target


@pytest.mark.long
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pictures_are_there(page: Path) -> None:
    """Apart from the links: they are made by running what they show."""
    assert [target for target in linked(page) if not (page.parent / target).exists()] == []


def linked(page: Path) -> list[str]:
    """Files that a page links to or shows."""
    found = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    return [target for target in found if not target.startswith(("http://", "https://"))]


def test_every_page_is_in_the_site_and_no_other() -> None:
    text = (ROOT / "docs" / "mkdocs.yml").read_text(encoding="utf-8")
    listed = re.findall(r"- ([\w-]+\.md)$", text, re.MULTILINE)
    assert sorted(listed) == sorted(page.name for page in (ROOT / "docs").glob("*.md"))


def lines(page: Path) -> list[list[str]]:
    """Command lines of T-BOT in the shell blocks of a page, without what goes before and after."""
    found = []
    for block in [*blocks(page, "sh"), *blocks(page, "")]:
        for line in block.replace("\\\n", " ").splitlines():
            match = re.search(r"(?:^|\s)(?:\.venv/bin/)?tbot (.*)", re.split(r"\s#|&&|\|\||[|>;]", line)[0])
            if match:
                found.append(shlex.split(match[1]))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_command_lines_name_commands_and_options_that_exist(page: Path) -> None:
    for words in lines(page):
        name = next((" ".join(words[:n]) for n in (2, 1) if " ".join(words[:n]) in TREE), None)
        if name is None:
            assert words[0].startswith("-"), words
            continue
        given = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        known = option_names(TREE[name]) | {"--help", "--debug"}
        for parameter in TREE[name].params:
            if isinstance(parameter, click.Option):
                known |= set(parameter.secondary_opts)
        assert given <= known, (words, given - known)


def test_the_example_strategy_trades() -> None:
    (code,) = blocks(ROOT / "docs" / "extending.md", "python")
    space: dict[str, Any] = {}
    exec(compile(code, "breakout.py", "exec"), space)
    result = backtest(lively(("MNQ",)), strategy=space["Breakout"], contracts=["MNQ"])
    assert len(result.signals) > 3


@pytest.mark.long
@pytest.mark.parametrize("page", GUIDES)
def test_the_guides_run_from_top_to_bottom(tmp_path: Path, page: str) -> None:
    """Every `sh` block, in one folder, one after the other, as a reader would."""
    script = "set -eu\n" + "".join(blocks(ROOT / "docs" / page, "sh"))
    program = (
        "import os, subprocess, sys; os.environ['PATH'] = os.path.dirname(sys.executable) + ':' + os.environ['PATH']; "
        "sys.exit(subprocess.run(['bash', '-c', sys.argv[1]]).returncode)"
    )
    with running(tmp_path, script, program=("-c", program)) as command:
        code, out = command.finish(patience_s=420)
    assert code == 0, (out, command.stderr)
