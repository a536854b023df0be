"""`tbot audit levels` as a user calls it."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from bar_samples import csv_text
from level_markets import walk_days
from lively_tape import lively
from tbot.cli import root
from tbot.commands.audit_data import bar_files
from tbot.domain.contracts import PRODUCTS
from tbot.errors import ConfigError, DataError
from tbot.storage.tape import TapeWriter, tape_meta
from tbot_ext.records import Kind


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


def test_V4_a_tape_gives_the_bars_of_each_contract(tmp_path: Path) -> None:
    symbols = ("MNQ", "MES")
    tape = tmp_path / "two.tape"
    with TapeWriter(tape, tape_meta([PRODUCTS[symbol] for symbol in symbols], "test")) as writer:
        writer.write(lively(symbols, minutes=300, opened=False))
    both = list(bar_files([tape], None, None))
    assert [file.product.symbol for file in both] == list(symbols)
    assert all(290 <= len(file.minutes) <= 300 for file in both)
    (one,) = bar_files([tape], "MES", None)
    assert one.minutes.tobytes() == both[1].minutes.tobytes()
    ticks = lively(symbols, minutes=300, opened=False)
    mine = ticks[(ticks["contract_id"] == PRODUCTS["MES"].contract_id) & (ticks["kind"] == Kind.TRADE)]
    prices = mine["price"].reshape(300, 4)[: len(one.minutes)]
    assert one.minutes["open"].tolist() == prices[:, 0].tolist()
    assert one.minutes["high"].tolist() == prices.max(axis=1).tolist()
    assert one.minutes["close"].tolist() == prices[:, 3].tolist()
    with pytest.raises(DataError, match="holds no ES"):
        list(bar_files([tape], "ES", None))
    assert call(tape, "--draws", 5, "--timeframes", "1m").exception is None
