"""What a run over the past may not hide: holes, each choice of contracts, a changed strategy, looks at locked days."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import tbot
import toy_trials
from lively_tape import LIVELY, MINUTE, SECOND, lively
from shared_data import shared
from tbot.backtest.plan import code_hash
from tbot.backtest.sweep import parse_axes
from tbot.backtest.sweep_run import Search
from tbot.commands.backtest import backtest as command
from tbot.commands.sweep_session import Request, refuse_holes, sweep_data
from tbot.commands.user_strategy import load_strategy
from tbot.config import Config
from tbot.domain.contracts import PRODUCTS
from tbot.errors import DataError, TbotError
from tbot.risk.limits import RiskLimits
from tbot.storage.sources import open_sources
from tbot.storage.tape import TapeWriter, tape_meta
from tbot.storage.trials import Trial, looked_before, read_trials
from tbot.validation.sweeps import HOLED

CONFIG = Config(strategy=LIVELY, risk=RiskLimits(risk_per_trade_cents=80_000))
RECORDS = lively(("MNQ", "MES"), seed=5, minutes=200, opened=False)
QUIET = """
class Quiet:
    def __init__(self, product, settings):
        self.counters = {}
    def on_events(self, events, view):
        return []
"""


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TBOT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def tape(path: Path, records: np.ndarray = RECORDS) -> Path:
    with TapeWriter(path, tape_meta([PRODUCTS["MNQ"], PRODUCTS["MES"]], "test")) as writer:
        writer.write(records)
    return path


def backtest(*words: object) -> Any:
    return CliRunner().invoke(command, [*map(str, words), "--no-null", "-q"])


def test_a_hole_in_a_trade_is_told_of_chosen_contracts_too(tmp_path: Path) -> None:
    whole = tbot.backtest(tape(tmp_path / "whole.tape"), config=CONFIG)
    trip = max(whole.trips, key=lambda row: row["closed_ns"] - row["opened_ns"])
    times = RECORDS["exch_ns"]
    inside = (times > trip["opened_ns"] + MINUTE) & (times < trip["opened_ns"] + 13 * MINUTE)
    cut = tape(tmp_path / "hole.tape", RECORDS[~(inside & (RECORDS["contract_id"] == trip["contract_id"]))])
    symbol = str(trip["contract"])
    other = "MES" if symbol == "MNQ" else "MNQ"
    assert tbot.backtest(cut, config=CONFIG, contracts=[symbol]).through_holes
    assert not tbot.backtest(cut, config=CONFIG, contracts=[other]).through_holes


def test_V6_each_choice_of_contracts_is_a_trial_of_its_own(tmp_path: Path, own_home: Path) -> None:
    path = tape(tmp_path / "both.tape")
    for words in (("--contracts", "MNQ"), ("--contracts", "MES"), ("--contracts", "MES,MNQ"), ()):
        assert backtest(path, *words).exit_code == 0
    trials = read_trials(own_home)
    assert [set(trial.contracts) for trial in trials] == [{"MNQ"}, {"MES"}, {"MNQ", "MES"}, {"MNQ", "MES"}]
    assert len({trial.data_hash for trial in trials}) == 3  # naming all of them is no choice


def test_V6_V14_a_strategy_that_was_changed_is_another_trial_and_opens_no_hold_out_twice(
    tmp_path: Path, own_home: Path
) -> None:
    bars = shared("market/bars_1m/MES_1m_tsx_20260120_20260318.parquet")
    file = tmp_path / "mine.py"
    words = (bars, "--since", "2026-02-02", "--until", "2026-02-05", "--strategy", f"{file}:Quiet")
    hold = ("--holdout", "1d", "--open-holdout")
    for text, more, code in ((QUIET, (), 0), (QUIET + "# tuned\n", (), 0), (QUIET, hold, 0), (QUIET, hold, 0),
                             (QUIET + "# tuned\n", hold, 6)):  # fmt: skip
        file.write_text(text)
        done = backtest(*words, *more)
        assert code == (done.exception.exit_code if isinstance(done.exception, TbotError) else done.exit_code)
        if more and not code:
            assert "2 runs on record had looked at some of them before" in " ".join(done.output.split())
    runs = [trial for trial in read_trials(own_home) if trial.kind == "run"]
    assert len({trial.plan_hash for trial in runs}) == 2


def test_the_hash_of_a_strategy_follows_its_text_and_not_its_place(tmp_path: Path) -> None:
    hashes = []
    for folder, text in (("a", QUIET), ("b", QUIET), ("c", QUIET.replace("[]", "[ ]"))):
        (tmp_path / folder).mkdir()
        file = tmp_path / folder / "mine.py"
        file.write_text(text)
        hashes.append(code_hash(load_strategy(f"{file}:Quiet").make_trader))
    assert hashes[0] == hashes[1] != hashes[2]
    assert all(hashes)
    assert code_hash(None) == ""
    assert code_hash(dict) == ""  # built in: no text


def test_V4_V14_the_null_sees_no_bar_that_the_run_may_not_see(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same file with and without what lies behind --until: the same place among random levels."""
    from tbot.commands import audit_levels

    bars = shared("market/bars_1m/MES_1m_tsx_20260120_20260318.parquet")
    seen: list[int] = []
    kept = audit_levels.tested

    def noting(file: Any, *more: Any, **named: Any) -> Any:
        seen.extend((int(file.minutes["start_ns"][0]), int(file.minutes["start_ns"][-1])))
        return kept(file, *more[:-2], {**more[-2], "draws": 20}, more[-1])

    monkeypatch.setattr(audit_levels, "tested", noting)
    since, until = "2026-01-20T23:00", "2026-01-23T23:00"
    done = CliRunner().invoke(command, [str(bars), "--since", since, "--until", until, "--holdout", "1d",
                                     "--json"])  # fmt: skip
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)["accounts"][0]
    assert told["null_percentile"] is not None
    assert next(one for one in told["honesty"] if one["feature"] == "V14") == {
        "feature": "V14", "title": "locked hold-out", "known": True, "command": None,
        "text": "the last 1 trading days from 2026-01-23 were not looked at",
    }  # fmt: skip
    day_of_lock = int(np.datetime64("2026-01-22T23:00", "ns").astype(np.int64))
    assert seen
    assert int(np.datetime64(since, "ns").astype(np.int64)) <= min(seen) < max(seen) < day_of_lock


def test_V4_the_null_takes_bars_of_a_second_too(tmp_path: Path) -> None:
    """Its bars are made of what was played, whatever files that came from."""
    bars = shared("market/bars_1s/NQ_1s_tsx_20260316_20260316.parquet")
    config = tmp_path / "lively.toml"
    config.write_text("[strategy]\nmin_score = 0.0\nmax_tests = 3\n")
    done = CliRunner().invoke(command, [str(bars), "-c", str(config), "--firm", "none", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)["accounts"][0]
    assert told["summary"]["trades"] >= 1
    assert 0 <= told["null_percentile"] <= 100


def test_V14_only_plain_runs_over_the_same_data_count_as_looks() -> None:
    mine = Trial(2, "backtest", "p", "d", ("ES",), 100, 200, 0, 0, kind="holdout")
    run = dataclasses.replace(mine, kind="run")
    later = dataclasses.replace(run, first_ns=201, last_ns=300)
    assert looked_before([run, mine, later, dataclasses.replace(run, contracts=("NQ",))], mine) == 1


def test_trades_of_a_sweep_that_were_open_in_a_hole_are_no_success(tmp_path: Path) -> None:
    """One day in twenty stands still for twelve minutes while Buyer holds; each trial tells of it."""
    whole = toy_trials.rising_tape(tmp_path / "MNQ.tape")
    with open_sources([whole]) as source:
        records = np.concatenate(list(source.chunks()))
    day = records["exch_ns"] // (24 * 60 * MINUTE)
    late = (day == day[-1]) & (records["exch_ns"] > records["exch_ns"][day == day[-1]][0] + 80 * SECOND)
    records["exch_ns"][late] += 12 * MINUTE
    holed = tmp_path / "holed_MNQ.tape"
    with TapeWriter(holed, tape_meta([PRODUCTS["MNQ"]], "test")) as writer:
        writer.write(records)
    search = Search(parse_axes(["strategy.min_score=50,60"]), "grid", metric="net_cents")
    told = []
    for path in (whole, holed):
        request = Request("sweep", (path,), search, None, engine="sequential", out=tmp_path / path.stem, quiet=True)
        swept = sweep_data(request, toy_trials.toy_trial)
        told.append([outcome.metrics[HOLED] for outcome in swept.outcomes])
        if path == whole:
            refuse_holes(swept)
    assert told == [[0.0, 0.0], [1.0, 1.0]]
    with pytest.raises(DataError, match=r"in 2 of 2 trials trades were open .* \(first in trial 0\)"):
        refuse_holes(swept)


def test_V6_a_ledger_that_cannot_be_written_is_told_of_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tbot.commands import backtest_session

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("it was run all the same")

    monkeypatch.setenv("TBOT_HOME", "/proc/tbot")  # a place where nobody can write, whatever his rights
    monkeypatch.setattr(backtest_session, "run_backtest", never)
    done = backtest(tape(tmp_path / "both.tape"))
    assert isinstance(done.exception, DataError)
    assert "cannot be written" in str(done.exception)
