"""Each of the fifteen validation features has a test on data with a known answer, and a command or a report section.

`V7` in the name of a test function (or of a parametrised case) means that it is about V7, so `pytest -k V7_` finds it.
"""

import re
from functools import cache

import click
import pytest

from named_tests import named_tests
from report_cases import judged, result_of, trip
from tbot.cli import root
from tbot.validation.report_honesty import ASK, features
from tbot.validation.report_words import Extra

# What each one is, and where it is asked for: a command, or a section of a backtest's report.
FEATURES = {
    "V1": ("look-ahead audit", "tbot audit lookahead"),
    "V2": ("event time", "report"),
    "V3": ("costs", "report"),
    "V4": ("random levels", "tbot audit levels"),
    "V5": ("price-path nulls", "tbot audit paths"),
    "V6": ("trials", "report"),
    "V7": ("overfitting", "tbot walkforward"),
    "V8": ("parameter surface", "tbot sweep"),
    "V9": ("errors by day", "report"),
    "V10": ("odds of a Combine", "report"),
    "V11": ("score", "report"),
    "V12": ("regimes", "report"),
    "V13": ("parity", "tbot audit parity"),
    "V14": ("locked hold-out", "tbot backtest --holdout"),
    "V15": ("verdict", "report"),
}


@cache
def carried() -> frozenset[str]:
    """Identifiers that stand in the names of tests as whole words."""
    return frozenset(found for name in named_tests() for found in re.findall(r"(?<![A-Za-z0-9])V\d+(?![0-9])", name))


@pytest.mark.parametrize("identifier", FEATURES)
def test_every_feature_is_carried_by_a_test(identifier: str) -> None:
    assert identifier in carried(), f"no test function has {identifier} in its name"


def test_the_list_is_whole_and_the_check_sees_what_is_missing() -> None:
    assert list(FEATURES) == [f"V{number}" for number in range(1, 16)]
    assert not carried() & {"V0", "V16", "V150"}


def test_the_report_has_a_line_for_each_feature_and_the_verdict_is_the_fifteenth() -> None:
    result = result_of(*(trip(2_000 if day % 2 else -900, day) for day in range(20)), days=28)
    (told,) = judged(result)
    lines = {one.key: one for one in features(result, told, Extra())}
    assert [(key, one.title) for key, one in lines.items()] == [
        (key, title) for key, (title, _) in FEATURES.items() if key != "V15"
    ]
    assert told.verdict.line.startswith("VERDICT")
    for key, (_, where) in FEATURES.items():
        if where != "report":
            assert key in ASK, f"{key} has no number in a plain backtest, and no line that names a command"


@pytest.mark.parametrize("where", [where for _, where in FEATURES.values() if where != "report"])
def test_every_command_of_the_list_is_there(where: str) -> None:
    _, *words = where.split()
    command: click.Command = root
    while words and not words[0].startswith("--"):
        assert isinstance(command, click.Group), where
        found = command.get_command(click.Context(command), words.pop(0))
        assert found is not None, where
        command = found
    assert all(any(option in one.opts for one in command.params) for option in words), where
