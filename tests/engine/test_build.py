"""The mark of a program's files: equal for equal files, another one after any change of them."""

import os
from pathlib import Path

import pytest

from tbot.engine import build


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small program in place of ours."""
    root = tmp_path / "tbot"
    (root / "engine").mkdir(parents=True)
    (root / "data").mkdir()
    for name in ("engine/build.py", "data/sessions.toml", "data/notes.txt"):
        (root / name).write_text("one")
    monkeypatch.setattr(build, "__file__", str(root / "engine" / "build.py"))
    return root


def mark() -> str:
    build.files_mark.cache_clear()
    return build.files_mark()


@pytest.fixture(autouse=True)
def _restored() -> object:
    yield
    build.files_mark.cache_clear()


@pytest.mark.parametrize("name", ["engine/build.py", "data/sessions.toml", "engine/new.py"])
def test_F_CFG_04_every_change_of_a_file_shows(tree: Path, name: str) -> None:
    before = mark()
    assert mark() == before
    (tree / name).write_text("other words")
    assert mark() != before


def test_F_CFG_04_a_file_of_the_same_length_shows_by_its_time(tree: Path) -> None:
    before = mark()
    os.utime(tree / "engine" / "build.py", (1, 1))
    assert mark() != before


def test_what_is_no_part_of_the_program_does_not_count(tree: Path) -> None:
    before = mark()
    (tree / "data" / "notes.txt").write_text("other words")
    assert mark() == before
    assert build.build_id("1.2") == f"1.2+{before}"
