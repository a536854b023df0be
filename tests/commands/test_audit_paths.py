"""`tbot audit paths` as a user calls it."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from bar_samples import csv_text
from level_markets import walk_days
from tbot.cli import root
from tbot.errors import ConfigError

STRATEGY = """
import numpy as np

def every_tenth(bars):
    return np.where(np.arange(len(bars)) % 10 == 0, 1, 0)
"""


@pytest.fixture(scope="module")
def bars_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("paths") / "ES_1m.csv"
    path.write_text(csv_text(walk_days(2800, np.random.default_rng(1))))
    return path


def call(*arguments: object) -> Result:
    return CliRunner().invoke(root, ["audit", "paths", *map(str, arguments)], standalone_mode=False)


@pytest.mark.parametrize("null", ["bootstrap", "permute", "flip"])
def test_V5_detectors_and_signals_of_a_random_walk(bars_file: Path, null: str) -> None:
    result = call(bars_file, "--null", null, "--draws", 4, "--timeframes", "1m,5m", "--json")
    assert result.exception is None, result.exception
    document = json.loads(result.stdout)
    assert (document["schema"], document["null"], document["draws"]) == ("tbot.audit.paths", null, 4)
    rules = {row["rule"] for row in document["results"]}
    assert {"1m ob", "5m fvg", "1m bos", "signals"} <= rules
    assert not any(row["better"] for row in document["results"])  # four draws can show nothing
    assert all(row["p"] <= row["p_adjusted"] for row in document["results"])


def test_V5_a_strategy_of_ones_own_and_what_so_few_draws_cannot_show(bars_file: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(STRATEGY)
    result = call(bars_file, "--draws", 5, "--strategy", f"{file}:every_tenth")
    assert result.return_value == 0
    assert "ES mine.py:every_tenth" in result.stdout
    assert "--draws 20 can" in result.stdout
    assert "NOT DISTINGUISHABLE" in result.stdout


def test_V5_what_is_wrong_is_refused(bars_file: Path) -> None:
    assert isinstance(call(bars_file, "--detectors", "swing").exception, ConfigError)
    assert isinstance(call(bars_file, "--detectors", "none", "--no-signals").exception, ConfigError)
