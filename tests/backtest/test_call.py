"""tbot.backtest(...): the public function on files, bars and records."""

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

import tbot
from lively_tape import LIVELY, START, lively
from slow_driver import EveryFewBars
from tbot.backtest.results import BacktestResult
from tbot.config import Config
from tbot.context.news import week_of
from tbot.domain.contracts import PRODUCTS
from tbot.errors import ConfigError, DataError
from tbot.risk.limits import RiskLimits
from tbot.storage.tape import TapeWriter, tape_meta
from tbot.storage.trials import read_trials

CONFIG = Config(strategy=LIVELY, risk=RiskLimits(risk_per_trade_cents=80_000))
BOTH = lively(("MNQ", "MES"), seed=5, minutes=200, opened=False)


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TBOT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    path = tmp_path / "made.tape"
    with TapeWriter(path, tape_meta([PRODUCTS["MNQ"], PRODUCTS["MES"]], "test")) as writer:
        writer.write(BOTH)
    return path


def test_a_tape_its_records_and_a_list_of_it_give_the_same(tape: Path) -> None:
    of_tape = tbot.backtest(tape, config=CONFIG)
    assert isinstance(of_tape, BacktestResult)
    assert len(of_tape.trips)
    for data in (str(tape), [tape], BOTH):
        assert np.array_equal(tbot.backtest(data, config=CONFIG).trips, of_tape.trips)


def test_news_forbid_what_they_forbid_in_the_command(own_home: Path, tmp_path: Path) -> None:
    """High news every nine minutes leave no moment free; weeks that were fetched count where they are asked for."""
    times = [f"{datetime.fromtimestamp(START // 10**9 + 540 * number, UTC):%Y-%m-%dT%H:%M:%SZ}" for number in range(30)]
    own = tmp_path / "own.csv"
    own.write_text("at,currency,impact,title\n" + "".join(f"{at},USD,High,Talk {at}\n" for at in times))
    assert len(tbot.backtest(BOTH, config=CONFIG).signals)
    silent = tbot.backtest(BOTH, config=CONFIG, news=own)
    assert len(silent.signals) == 0
    rows = [{"title": f"Talk {at}", "country": "USD", "date": at, "impact": "High"} for at in times]
    week = f"week_{week_of(START)}.json"
    (own_home / "news").mkdir(parents=True)
    (own_home / "news" / week).write_text(json.dumps(rows).replace('Z", "impact', '+00:00", "impact'))
    assert len(tbot.backtest(BOTH, config=CONFIG, news="fetched").signals) == 0
    assert len(tbot.backtest(BOTH, config=CONFIG, news=["fetched", own]).signals) == 0
    with pytest.raises(DataError, match="cannot be read"):
        tbot.backtest(BOTH, config=CONFIG, news=tmp_path / "nothing.csv")


def test_it_can_be_called_before_and_after_the_package_was_imported(tape: Path) -> None:
    code = (
        "import sys, tbot\n"
        "assert 'tbot.backtest' not in sys.modules\n"
        "first = tbot.backtest(sys.argv[1])\n"
        "import tbot.backtest.run\n"
        "assert len(tbot.backtest(sys.argv[1]).signals) == len(first.signals)\n"
        "print(type(first).__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tape)], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("BacktestResult", "")


def test_bars_need_their_contract_and_say_that_their_ticks_are_made(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    rng = np.random.default_rng(4)
    close = 5_000 + np.cumsum(rng.integers(-8, 9, 300)) * 0.25
    rows = ["time,open,high,low,close,volume"]
    for number, price in enumerate(close.tolist()):
        start = np.datetime64(START // 10**9 + 60 * number, "s")
        rows.append(f"{start}Z,{price},{price + 2},{price - 2},{price + 0.5},{100 + number}")
    path.write_text("\n".join(rows))
    bars = tbot.load(path)
    result = tbot.backtest(bars, config=CONFIG, contracts="MES", strategy=EveryFewBars)
    assert result.synthetic == ("MES",)
    assert result.bars == {"MES": 300}
    assert len(result.signals) > 50
    same = tbot.backtest({name: bars[name] for name in bars.dtype.names}, config=CONFIG, contracts="MES",
                         strategy=EveryFewBars)  # fmt: skip
    assert np.array_equal(same.trips, result.trips)
    with pytest.raises(ConfigError, match="contracts="):
        tbot.backtest(bars)


def test_contracts_choose(tape: Path) -> None:
    both = tbot.backtest(tape, config=CONFIG)
    one = tbot.backtest(tape, config=CONFIG, contracts=["MES"])
    assert one.contracts == ("MES",)
    assert one.signals == tuple(signal for signal in both.signals if signal.contract == "MES")
    assert one.data_hash != both.data_hash
    with pytest.raises(DataError, match="none of NQ"):
        tbot.backtest(tape, contracts="NQ")
    with pytest.raises(ConfigError, match="no contract of the table"):
        tbot.backtest(tape, contracts="XYZ")


def test_accounts_come_from_the_configuration(tape: Path, tmp_path: Path) -> None:
    path = tmp_path / "tbot.toml"
    path.write_text(
        '[[accounts]]\nid = 7\nname = "50KTC-V2-1"\n'
        '[[accounts]]\nid = 8\nname = "PRAC-V2-2"\nplan = "50K"\nstage = "practice"\n'
    )
    result = tbot.backtest(tape, config=path)
    assert result.accounts == (7, 8)
    assert set(result.equity["balance_cents"][result.equity["at_ns"] == result.first_ns].tolist()) == {5_000_000}


def test_what_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    foreign = tmp_path / "ES_ticks.csv"
    foreign.write_text("hello\n")
    for data in (foreign, tmp_path / "missing.tape", [], BOTH[:0]):
        with pytest.raises((DataError, ConfigError)) as caught:
            tbot.backtest(data)
        assert "\n" not in str(caught.value)


def test_own_limits_of_a_configuration_bind(tape: Path) -> None:
    tight = replace(CONFIG, risk=RiskLimits(risk_per_trade_cents=1))
    assert not tbot.backtest(tape, config=tight).intents


def test_V6_a_run_from_python_is_in_the_ledger_like_any_other(tape: Path, own_home: Path) -> None:
    result = tbot.backtest(tape, config=CONFIG)
    tbot.backtest(BOTH, config=CONFIG, contracts=["MES"])
    first, second = read_trials(own_home)
    assert (first.command, first.plan_hash, first.data_hash) == ("tbot.backtest", result.plan_hash, result.data_hash)
    assert (first.trips, first.net_cents) == (len(result.trips), int(result.trips["net_cents"].sum()))
    assert sum(first.daily_cents.values()) == first.net_cents
    assert second.contracts == ("MES",)
    assert first.overlaps(second)
