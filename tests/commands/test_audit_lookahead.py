"""`tbot audit lookahead` as a user calls it: clean detectors, hits with their place, exit codes, user strategies."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bar_samples import csv_text, walk
from shared_data import shared
from tbot.cli import root
from tbot.errors import ConfigError, DataError, TbotError

STRATEGIES = '''
import numpy as np

def momentum(bars):
    """Causal: the sign of the last five bars' move."""
    close = bars["close"]
    return np.sign(close - np.concatenate([close[:1].repeat(5), close[:-5]]))

def peeks(bars):
    """The next bar's close: what `shift(-1)` does."""
    close = bars["close"]
    return np.sign(np.append(close[1:], close[-1]) - close)

def best_days(bars):
    """Parameters fitted on all of the data, then used from its first bar on."""
    close = bars["close"]
    lengths = range(2, 30)
    fits = [np.sign(close[n:] - close[:-n])[:-1] @ np.diff(close[n:]) for n in lengths]
    n = lengths[int(np.argmax(fits))]
    return np.concatenate([np.zeros(n), np.sign(close[n:] - close[:-n])])

def raises(bars):
    return bars["no such column"]

def wrong(bars):
    return bars["close"]

def short(bars):
    return [0]

from tbot.strategy.trader import ContractTrader

class Causal(ContractTrader):
    pass

SEEN = {}

class Remembers(ContractTrader):
    """Keeps from run to run what it said, and says nothing twice."""

    def on_events(self, events, view):
        signals = [s for s in super().on_events(events, view) if s.decided_ns not in SEEN]
        SEEN.update((s.decided_ns, True) for s in signals)
        return signals

class Fails(ContractTrader):
    def on_events(self, events, view):
        raise RuntimeError("no idea")
'''


@pytest.fixture(scope="module")
def bars_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bars") / "ES_1m.csv"
    path.write_text(csv_text(walk(1500, seed=3, pause_at=900)))
    return path


@pytest.fixture(scope="module")
def strategies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("strategies") / "mine.py"
    path.write_text(STRATEGIES)
    return path


def call(*arguments: object) -> Result:
    return CliRunner().invoke(root, ["audit", "lookahead", *map(str, arguments)], standalone_mode=False)


def document(*arguments: object) -> tuple[int, dict[str, Any]]:
    result = call(*arguments, "--json")
    assert result.exception is None, result.exception
    return result.return_value, json.loads(result.stdout)


def refusal(*arguments: object) -> TbotError:
    result = call(*arguments)
    assert isinstance(result.exception, TbotError), (result.output, result.exception)
    assert "\n" not in str(result.exception)
    return result.exception


def test_V1_detectors_and_signals_are_clean(bars_file: Path) -> None:
    code, found = document(bars_file, "--cuts", 6)
    assert code == 0
    assert not found["hit"]
    assert [(row["timeframe"], row["subject"]) for row in found["results"]] == [
        *((name, "detectors") for name in ("1m", "5m", "15m", "30m", "1h")), ("1m", "signals"),
    ]  # fmt: skip
    kinds = {kind["kind"]: kind for kind in found["results"][0]["kinds"]}
    assert kinds["OB"]["said"] > 0
    assert kinds["OB"]["lag"]["entries"] > 0
    assert all(kind["first"] is None for kind in kinds.values())


def test_V1_kinds_and_timeframes_can_be_chosen(bars_file: Path) -> None:
    _, found = document(bars_file, "--cuts", 3, "--detectors", "fvg", "--timeframes", "5m", "--no-signals")
    (row,) = found["results"]
    assert {kind["kind"].split("_")[0] for kind in row["kinds"]} == {"FVG"}
    _, found = document(bars_file, "--cuts", 2, "--detectors", "none")
    assert [row["subject"] for row in found["results"]] == ["signals"]


def test_V1_the_compat_functions_look_ahead_and_previous_high_low_does_not(bars_file: Path) -> None:
    """Known answer: all that use swings or later bars rewrite the past; a previous day's extremes do not."""
    code, found = document(bars_file, "--compat", "--cuts", 10)
    assert code == 1
    assert {row["subject"]: row["hit"] for row in found["results"]} == {
        "smc.fvg": True, "smc.swing_highs_lows": True, "smc.bos_choch": True, "smc.ob": True, "smc.liquidity": True,
        "smc.previous_high_low": False,
    }  # fmt: skip
    result = call(bars_file, "--compat", "--cuts", 10)
    assert result.return_value == 1
    assert "HIT smc.swing_highs_lows" in result.output
    assert "first at bar" in result.output
    assert "LOOK-AHEAD in 5 of 6 audits" in result.output


@pytest.mark.parametrize(("name", "code"), [("momentum", 0), ("peeks", 1), ("best_days", 1)])
def test_V1_functions_over_whole_bars(bars_file: Path, strategies: Path, name: str, code: int) -> None:
    got, found = document(bars_file, "--strategy", f"{strategies}:{name}", "--cuts", 10)
    assert got == code
    (row,) = found["results"]
    assert row["hit"] == bool(code)
    assert row["subject"] == f"mine.py:{name}"
    assert row["kinds"][0]["said"] > 50


def test_V1_the_peeking_function_lives_one_bar(bars_file: Path, strategies: Path) -> None:
    result = call(bars_file, "--strategy", f"{strategies}:peeks")
    assert "HIT signal" in result.output
    assert "the edge lives in one bar" in result.output


@pytest.mark.shared_data
def test_V1_real_bars_have_no_hits_and_many_statements(tmp_path: Path) -> None:
    file = tmp_path / "GC.csv"
    file.write_bytes(shared("smc/GC_201312_1m_20131008.csv").read_bytes())
    code, found = document(file, "--cuts", 4)
    assert code == 0
    assert sum(kind["said"] for row in found["results"] for kind in row["kinds"]) > 1000


@pytest.mark.shared_data
def test_V1_traders_of_ones_own(strategies: Path, tmp_path: Path) -> None:
    """The packaged trader under another name is clean; one that remembers earlier runs is not."""
    source = shared("smc/ES_201312_1m_20131006_09.csv")
    file = tmp_path / "ES.csv"
    file.write_bytes(source.read_bytes())
    code, found = document(file, "--strategy", f"{strategies}:Causal", "--cuts", 4)
    assert code == 0
    assert found["results"][0]["kinds"][0]["said"] > 0
    code, found = document(file, "--strategy", f"{strategies}:Remembers", "--cuts", 4)
    assert code == 1
    assert found["results"][0]["kinds"][0]["first"]["check"] == "repeat"


def test_V1_a_strategy_that_raises_or_gives_nonsense_is_an_error_and_no_verdict(
    bars_file: Path, strategies: Path
) -> None:
    for name, says in (
        ("raises", "no such column"), ("wrong", "give -1, 0 or +1"), ("short", "of shape (1,)"), ("Fails", "no idea"),
    ):  # fmt: skip
        error = refusal(bars_file, "--strategy", f"{strategies}:{name}")
        assert says in str(error)
        assert error.exit_code == 1


def test_V1_wrong_calls_are_refused_before_data_is_read(bars_file: Path, strategies: Path, tmp_path: Path) -> None:
    empty = tmp_path / "ES.csv"
    empty.write_text("")
    assert isinstance(refusal(empty, "--strategy", f"{strategies}:nothing"), ConfigError)
    assert isinstance(refusal(bars_file, "--compat", "--strategy", f"{strategies}:peeks"), ConfigError)
    assert isinstance(refusal(bars_file, "--detectors", "none", "--no-signals"), ConfigError)
    assert isinstance(refusal(bars_file, "--detectors", "unheard-of"), ConfigError)
    assert isinstance(refusal(bars_file, "--timeframes", "7m"), ConfigError)
    assert isinstance(refusal(empty), DataError)
    foreign = tmp_path / "NQ.csv"
    foreign.write_text("a,b\n1,2\n")
    assert isinstance(refusal(foreign), DataError)
