"""`tbot audit levels` as a user calls it."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from bar_samples import csv_text
from level_markets import walk_days
from tbot.cli import root
from tbot.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def bars_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("levels") / "ES_1m.csv"
    path.write_text(csv_text(walk_days(4000, np.random.default_rng(1))))
    return path


def call(*arguments: object) -> Result:
    return CliRunner().invoke(root, ["audit", "levels", *map(str, arguments)], standalone_mode=False)


def test_V4_a_random_walk_is_said_to_be_one(bars_file: Path) -> None:
    result = call(bars_file, "--draws", 50)
    assert result.exception is None
    assert result.return_value == 0
    assert "NOT DISTINGUISHABLE FROM RANDOM LEVELS" in result.stdout
    assert "ES 1m OB" in result.stdout


def test_V4_results_are_repeatable_and_do_not_depend_on_what_else_is_asked(bars_file: Path) -> None:
    def rows(*more: object) -> dict[tuple[str, str], dict[str, object]]:
        document = json.loads(call(bars_file, "--draws", 40, "--json", *more).stdout)
        assert document["schema"] == "tbot.audit.levels"
        assert document["rules"]["reward"] == 1.0
        return {(row["timeframe"], row["kind"]): row for row in document["results"]}

    everything, alone = rows(), rows("--kinds", "ob", "--timeframes", "1m")
    assert {kind for _, kind in everything} == {"OB", "FVG", "BREAKER", "MITIGATION_BLOCK"}
    assert len(alone) == 1
    ours, other = everything["1m", "OB"], alone["1m", "OB"]
    assert ours["nulls"] == other["nulls"]
    assert ours["p"] == other["p"] == other["p_adjusted"]
    assert rows("--kinds", "ob", "--timeframes", "1m", "--seed", 2)["1m", "OB"]["nulls"] != other["nulls"]


def test_V4_what_is_wrong_is_refused(bars_file: Path, tmp_path: Path) -> None:
    assert isinstance(call(bars_file, "--kinds", "swing").exception, ConfigError)
    assert isinstance(call(bars_file, "--kinds", ",").exception, ConfigError)
    quiet = tmp_path / "ES_quiet.csv"
    flat = walk_days(60, np.random.default_rng(1))
    for name in ("open", "high", "low", "close"):
        flat[name] = 80_000
    quiet.write_text(csv_text(flat))
    assert isinstance(call(quiet).exception, DataError)
