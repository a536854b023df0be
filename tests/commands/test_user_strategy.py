"""FILE.py:NAME: what is found, and one sentence for everything that is wrong."""

from pathlib import Path

import pytest

from tbot.commands.user_strategy import load_strategy
from tbot.errors import ConfigError

GOOD = """
from dataclasses import dataclass
import helper_of_mine

@dataclass
class MyTrader:
    product: object
    settings: object

    def on_events(self, events, view):
        return []

def factory(product, settings, extra=3):
    return MyTrader(product, settings)

def held(bars, length=20):
    return helper_of_mine.zeros(bars)

NUMBER = 7

def five(a, b, c, d, e):
    return a

def named(bars, *, must):
    return bars
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "helper_of_mine.py").write_text("def zeros(bars):\n    return [0] * len(bars)\n")
    path = tmp_path / "mine.py"
    path.write_text(GOOD)
    return path


def refused(spec: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_strategy(spec)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_class_or_function_of_two_is_a_trader_and_of_one_takes_bars(file: Path) -> None:
    for name in ("MyTrader", "factory"):
        found = load_strategy(f"{file}:{name}")
        assert (found.kind, found.name, found.path) == ("trader", f"mine.py:{name}", file)
        assert found.make_trader("ES", None).product == "ES"
    found = load_strategy(f"{file}:held")
    assert found.kind == "bars"
    assert found.call([1, 2, 3]) == [0, 0, 0]
    with pytest.raises(ConfigError, match="whole bars and cannot be run bar by bar"):
        _ = found.make_trader


def test_each_load_runs_the_file_anew(file: Path) -> None:
    assert load_strategy(f"{file}:held").call is not load_strategy(f"{file}:held").call


@pytest.mark.parametrize("name", ["five", "named"])
def test_other_arguments_are_refused(file: Path, name: str) -> None:
    assert "must take (product, settings)" in refused(f"{file}:{name}")


def test_what_is_wrong_is_named(file: Path, tmp_path: Path) -> None:
    assert "there is no strategy file" in refused(f"{tmp_path / 'none.py'}:x")
    assert "has no Missing" in refused(f"{file}:Missing")
    assert "NUMBER of" in refused(f"{file}:NUMBER")
    assert "of type int" in refused(f"{file}:NUMBER")
    for spec in ("mine.py", ":x", f"{file}:", f"{file}:a b", "", f"{tmp_path}:x", f"{tmp_path / 'notes.txt'}:x"):
        assert "strategy" in refused(spec)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import no_such_module_at_all", "ModuleNotFoundError"),
        ("x = 1\nraise ValueError('two\\nlines')", "ValueError: two lines (line 2)"),
        ("def f(:\n", "SyntaxError"),
        ("import sys\nsys.exit(3)", "ends the program"),
        ("\x00", "could not be imported"),
    ],
)
def test_a_file_that_raises_is_refused_with_its_line(tmp_path: Path, code: str, says: str) -> None:
    path = tmp_path / "broken.py"
    path.write_text(code)
    text = refused(f"{path}:x")
    assert says in text
    assert str(path) in text
