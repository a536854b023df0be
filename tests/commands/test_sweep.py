"""`tbot sweep` as a whole: planted optimum, no edge, engines that agree, kill -9 and resume, ledger, hold-out."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import toy_trials
from json_shape import same
from tbot.backtest.holdout import days_in
from tbot.backtest.sweep import TRIALS_FILE, Axis, Outcome, parse_axes
from tbot.backtest.sweep_engines import WorkersLost
from tbot.backtest.sweep_run import Search, TrialFailed
from tbot.commands import sweep_report, sweep_session
from tbot.commands.sweep import show_holdout, sweep
from tbot.commands.sweep_report import report_sweep, sweep_document
from tbot.commands.sweep_session import Request, Swept, data_of, open_holdout, sweep_data
from tbot.commands.sweep_space import plan_of, with_values
from tbot.errors import ConfigError, DataError, Halted, TbotError
from tbot.storage.trials import read_trials
from tbot.validation.sweeps import judge_sweep
from tbot_ext.records import Kind

AXES = parse_axes(["strategy.min_score=40:80:10", "strategy.max_tests=1,2"])
GRID = Search(AXES, "grid", metric="net_cents")


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_trials.rising_tape(tmp_path_factory.mktemp("tape") / "MNQ.tape")


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TBOT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="module")
def whole(tape: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swept]:
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TBOT_HOME", str(folder / "home"))
        yield sweep_data(request(tape, folder / "out"), toy_trials.toy_trial)


def request(tape: Path, out: Path, search: Search | None = GRID, **changes: Any) -> Request:
    base = Request("sweep", (tape,), search, None, engine="sequential", out=out, quiet=True)
    return replace(base, **changes)


def values(outcomes: list[Outcome]) -> list[dict[str, Any]]:
    return [asdict(outcome) for outcome in outcomes]


# ------------------------------------------------------------------------------------------------ what it finds
def test_a_grid_finds_the_planted_optimum(whole: Swept) -> None:
    judged = judge_sweep(AXES, whole.outcomes, "net_cents")
    assert len(whole.outcomes) == 10
    assert judged.best.params["strategy.min_score"] == 60
    assert judged.best.metrics["trips"] == 20
    assert judged.best.metrics["win_rate"] == 0.8  # every fifth day falls
    unreached = [one for one in whole.outcomes if one.params["strategy.min_score"] > toy_trials.RISE]
    assert {one.metrics["win_rate"] for one in unreached} == {0.0}


def test_every_trial_sees_the_news_that_were_given(tape: Path, tmp_path: Path) -> None:
    own, dollar = tmp_path / "own.csv", tmp_path / "tbot.toml"
    own.write_text("at,currency,impact,title\n2026-12-10T13:30:00Z,USD,High,CPI m/m\n")
    dollar.write_text("[dxy]\nfollow = true\n")
    with data_of(request(tape, tmp_path)) as (plain, _):
        before = np.concatenate(list(plain.stream()))
        with data_of(request(tape, tmp_path, news=(own,), config_path=dollar)) as (told, _):
            records = np.concatenate(list(told.stream()))
            assert (told.first_ns, told.last_ns) == (plain.first_ns, plain.last_ns)
            assert days_in(told.chunks()) == days_in(plain.chunks())
            assert told.data_hash != plain.data_hash
            assert any("no dollar index" in note for note in told.notes)
    facts = records["kind"] == Kind.CONTEXT
    assert 2 * len(plain.contracts) <= facts.sum()
    assert np.array_equal(records[~facts], before)


def test_optuna_finds_the_planted_optimum_and_asks_the_same_whatever_was_done_before(
    tape: Path, tmp_path: Path, own_home: Path
) -> None:
    search = Search(parse_axes(["strategy.min_score=20:90:1"]), "optuna", 24, 5, "net_cents")
    first = sweep_data(request(tape, tmp_path / "a", search), toy_trials.toy_trial)
    best = judge_sweep(search.axes, first.outcomes, "net_cents").best
    assert 52 <= int(best.params["strategy.min_score"]) <= toy_trials.RISE - 1
    file = tmp_path / "a" / TRIALS_FILE
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:14]))  # 13 of 24 trials, in the middle of a batch
    again = sweep_data(request(tape, tmp_path / "a", search, resume=True), toy_trials.toy_trial)
    assert values(again.outcomes) == values(first.outcomes)
    assert (tmp_path / "a" / "study.log").exists()


def test_V7_noise_has_a_pbo_near_a_half_and_a_verdict_that_says_no() -> None:
    axes = (Axis("strategy.min_score", tuple(range(20))),)
    judged = [judge_sweep(axes, toy_trials.noise_outcomes(20, 60, seed), "sharpe", draws=50) for seed in range(12)]
    assert 0.4 < np.mean([one.pbo.pbo for one in judged if one.pbo]) < 0.6
    for one in judged:
        assert not one.distinguishable
        assert "not distinguishable from luck" in one.luck
        assert one.verdict.finding != "evidence of an edge"


def test_V6_one_with_real_skill_among_noise_is_told_from_luck() -> None:
    axes = (Axis("strategy.min_score", tuple(range(20))),)
    outcomes = toy_trials.noise_outcomes(20, 250, 1, skill=0.5)
    judged = judge_sweep(axes, outcomes, "sharpe", draws=50)
    assert judged.best.number == 0
    assert judged.pbo is not None
    assert judged.pbo.pbo < 0.05
    assert judged.sharpe is not None
    assert judged.sharpe.dsr > 0.99
    # It has no neighbour that earns: the surface says needle, and that alone is named.
    assert judged.surface is not None
    assert judged.surface.shape == "needle"
    assert judged.luck.count(";") == 0
    assert "needle" in judged.luck


def test_V8_a_plateau_is_told_from_luck() -> None:
    """Neighbours of the best share most of its trips."""
    base = toy_trials.noise_outcomes(9, 250, 2, skill=0.8)
    best = base[0]
    shared = [
        replace(base[n], daily_cents={day: cents + n for day, cents in best.daily_cents.items()}, trips=best.trips,
                metrics=best.metrics)
        for n in range(3)
    ]  # fmt: skip
    judged = judge_sweep((Axis("strategy.min_score", tuple(range(9))),), [*shared, *base[3:]], "sharpe", draws=50)
    assert judged.surface is not None
    assert judged.surface.shape == "plateau"
    assert judged.distinguishable
    assert "is distinguishable from luck" in judged.luck


def test_V6_trials_of_other_sweeps_on_record_deflate_the_best(tape: Path, whole: Swept, tmp_path: Path) -> None:
    first = sweep_data(request(tape, tmp_path / "a"), toy_trials.toy_trial)
    assert first.rivals == []
    other = Search(parse_axes(["strategy.min_score=41:77:4"]), "grid", metric="net_cents")
    second = sweep_data(request(tape, tmp_path / "b", other), toy_trials.toy_trial)
    assert len(second.rivals) == 10
    alone, among = (
        judge_sweep(other.axes, second.outcomes, "net_cents", rivals=rivals, draws=50)
        for rivals in ([], second.rivals)
    )
    assert among.trials.trials == alone.trials.trials + 10
    assert among.sharpe is not None
    assert alone.sharpe is not None


def test_the_firms_rules_are_on_where_they_are_asked_for() -> None:
    """An account that is lost in the first week would make all later days of its trial 0."""
    with_rules, without = (plan_of(with_values({}, {}), firm=firm) for firm in (True, False))
    assert all(account.settings.rules is None for account in without.accounts)
    assert with_rules.strategy == without.strategy
    assert [one.balance_cents for one in with_rules.accounts] == [one.balance_cents for one in without.accounts]
    configured = {"accounts": [{"id": 7, "name": "PRAC", "plan": "50K", "stage": "combine"}]}
    named = plan_of(with_values(configured, {}), firm=True)
    assert named.accounts[0].settings.rules is not None
    assert plan_of(with_values(configured, {}), firm=False).accounts[0].settings.rules is None


# ------------------------------------------------------------------------------------------------ engines
@pytest.mark.parametrize("jobs", [1, 2])
def test_loky_gives_what_one_process_gives(tape: Path, whole: Swept, tmp_path: Path, jobs: int) -> None:
    found = sweep_data(request(tape, tmp_path / "out", engine="loky", jobs=jobs), toy_trials.toy_trial)
    assert values(found.outcomes) == values(whole.outcomes)
    assert found.identity == whole.identity
    assert not (tmp_path / "out" / "records.bin").exists()


# ------------------------------------------------------------------------------------------------ resuming
def test_only_what_is_missing_runs(
    tape: Path, whole: Swept, tmp_path: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = tmp_path / "trace"
    trace.mkdir()
    monkeypatch.setenv("TBOT_TOY_TRACE", str(trace))
    out = tmp_path / "out"
    sweep_data(request(tape, out), toy_trials.toy_trial)
    lines = (out / TRIALS_FILE).read_bytes().splitlines(keepends=True)
    (out / TRIALS_FILE).write_bytes(b"".join(lines[:1] + lines[4:]))
    again = sweep_data(request(tape, out, resume=True), toy_trials.traced_trial)
    assert sorted(path.name.split("-")[0] for path in trace.iterdir()) == ["0", "1", "2"]
    assert values(again.outcomes) == values(whole.outcomes)
    third = sweep_data(request(tape, out, resume=True), toy_trials.failing_trial)  # nothing is left to fail
    assert values(third.outcomes) == values(whole.outcomes)
    assert len(read_trials(own_home)) == 13


CHILD = """
import sys
from pathlib import Path
from tbot.backtest.sweep import parse_axes
from tbot.backtest.sweep_engines import WorkersLost
from tbot.backtest.sweep_run import Search
from tbot.commands.sweep_session import Request, sweep_data
import toy_trials
axes = parse_axes(["strategy.min_score=40:80:10", "strategy.max_tests=1,2"])
search = Search(axes, "grid", metric="net_cents")
request = Request("sweep", (Path(sys.argv[1]),), search, None, engine="loky", jobs=2, out=Path(sys.argv[2]), quiet=True)
if __name__ == "__main__":
    sweep_data(request, toy_trials.endless_trial)
"""


@pytest.mark.long
def test_kill_9_leaves_no_workers_and_resume_runs_the_rest(tape: Path, whole: Swept, tmp_path: Path) -> None:
    out, trace, script = tmp_path / "out", tmp_path / "trace", tmp_path / "child.py"
    trace.mkdir()
    script.write_text(CHILD)
    support = Path(toy_trials.__file__).parent
    env = {**os.environ, "TBOT_TOY_TRACE": str(trace), "PYTHONPATH": str(support)}
    child = subprocess.Popen([sys.executable, str(script), str(tape), str(out)], env=env)
    try:
        _eventually(lambda: len(list(trace.iterdir())) == 5)  # three are done, two never end
        _eventually(lambda: (out / TRIALS_FILE).read_bytes().count(b"\n") == 4)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    workers = {int(path.name.split("-")[1]) for path in trace.iterdir()}
    _eventually(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
    again = sweep_data(request(tape, out, resume=True), toy_trials.toy_trial)
    assert values(again.outcomes) == values(whole.outcomes)


def _eventually(true: Any, seconds: float = 90) -> None:
    until = time.monotonic() + seconds
    while not _said(true):
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.05)


def _said(true: Any) -> bool:
    try:
        return bool(true())
    except FileNotFoundError:
        return False


def test_a_trial_that_fails_ends_the_sweep_and_keeps_what_was_done(tape: Path, tmp_path: Path, own_home: Path) -> None:
    with pytest.raises(TrialFailed) as caught:
        sweep_data(request(tape, tmp_path / "out"), toy_trials.failing_trial)
    assert "trial 2 (strategy.min_score = 50, strategy.max_tests = 1) failed: ZeroDivisionError" in str(caught.value)
    assert (tmp_path / "out" / TRIALS_FILE).read_bytes().count(b"\n") == 3
    assert len(read_trials(own_home)) == 2


def test_a_worker_that_dies_ends_the_sweep_in_one_sentence(tape: Path, tmp_path: Path) -> None:
    with pytest.raises(WorkersLost, match="--resume") as caught:
        sweep_data(request(tape, tmp_path / "out", engine="loky", jobs=2), toy_trials.dying_trial)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out" / "records.bin").exists()


def test_optuna_does_not_run_the_same_values_twice(
    tape: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = tmp_path / "trace"
    trace.mkdir()
    monkeypatch.setenv("TBOT_TOY_TRACE", str(trace))
    search = Search(parse_axes(["strategy.min_score=50,60"]), "optuna", 17, 1, "net_cents")
    found = sweep_data(request(tape, tmp_path / "out", search), toy_trials.traced_trial)
    assert len(found.outcomes) == 17
    assert len(list(trace.iterdir())) <= 8  # one batch at the most
    assert len(judge_sweep(search.axes, found.outcomes, "net_cents", draws=50).order) == 2


def test_other_data_is_not_resumed(tape: Path, tmp_path: Path) -> None:
    sweep_data(request(tape, tmp_path / "out"), toy_trials.toy_trial)
    other = toy_trials.rising_tape(tmp_path / "MNQ.tape", days=18)
    with pytest.raises(ConfigError, match="other data"):
        sweep_data(request(other, tmp_path / "out", resume=True), toy_trials.toy_trial)


# ------------------------------------------------------------------------------------------------ V6, V14
def test_V6_every_trial_goes_to_the_ledger(tape: Path, tmp_path: Path, own_home: Path) -> None:
    found = sweep_data(request(tape, tmp_path / "out"), toy_trials.toy_trial)
    ledger = read_trials(own_home)
    assert [dict(trial.params) for trial in ledger] == [dict(one.params) for one in found.outcomes]
    assert [trial.net_cents for trial in ledger] == [one.metrics["net_cents"] for one in found.outcomes]
    assert {(trial.command, trial.kind) for trial in ledger} == {("sweep", "run")}


def test_V14_the_locked_days_are_not_seen_and_opened_once(tape: Path, whole: Swept, tmp_path: Path) -> None:
    found = sweep_data(request(tape, tmp_path / "out", holdout="5d"), toy_trials.toy_trial)
    days = sorted(whole.outcomes[0].daily_cents)
    assert sorted(found.outcomes[0].daily_cents) == days[:-5]
    assert found.lock is not None
    assert len(found.lock.locked) == 5
    opening = request(tape, tmp_path, None, holdout="5d")
    opened = open_holdout(opening, {"strategy.min_score": 60})
    assert opened.trial.kind == "holdout"
    assert opened.trial.first_ns >= opened.lock.cut_ns
    assert opened.seen == 0
    again = open_holdout(opening, {"strategy.min_score": 60})
    assert again.trial.net_cents == opened.trial.net_cents
    for other in (replace(opening, holdout="3d"), opening):
        with pytest.raises(Halted, match="opened on"):
            open_holdout(other, {"strategy.min_score": 70})


def test_V14_runs_that_saw_the_locked_days_are_counted(tape: Path, tmp_path: Path) -> None:
    sweep_data(request(tape, tmp_path / "free", holdout="5d"), toy_trials.toy_trial)
    sweep_data(request(tape, tmp_path / "all"), toy_trials.toy_trial)
    opened = open_holdout(request(tape, tmp_path, None, holdout="5d"), {"strategy.min_score": 60})
    assert opened.seen == 10


@pytest.mark.parametrize(("seen", "words"), [(1, "1 run on record looked"), (2, "2 runs on record looked")])
def test_V14_the_runs_that_saw_the_locked_days_are_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], seen: int, words: str
) -> None:
    opened = SimpleNamespace(
        lock=SimpleNamespace(locked=["2026-11-19", "2026-11-20"]),
        trial=SimpleNamespace(trips=1, net_cents=100),
        seen=seen,
        assessment=SimpleNamespace(verdict=SimpleNamespace(line="VERDICT")),
    )
    monkeypatch.setattr(sweep_session, "open_holdout", lambda request, values: opened)
    assert show_holdout(request(Path("x"), Path("y")), {}, json_output=False) == 0
    assert f"\n{words} at these days before" in capsys.readouterr().out


# ------------------------------------------------------------------------------------------------ the report
def test_report_and_files(whole: Swept, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    here = replace(whole, out=tmp_path)
    assert report_sweep(here, json_output=False) == 0
    text = capsys.readouterr().out
    for part in ("10 trials by net_cents", "trials on record over this data: 10", "luck alone", "surface:", "VERDICT"):
        assert part in text
    assert text.splitlines()[-1].startswith("VERDICT (PROVISIONAL")
    rows = (tmp_path / "sweep.csv").read_text().splitlines()
    assert len(rows) == 11
    assert rows[0].startswith("number,strategy.min_score,strategy.max_tests,expectancy_r")
    assert (tmp_path / "surface.png").read_bytes().startswith(b"\x89PNG")
    document = json.loads((tmp_path / "sweep.json").read_text())
    assert document["best"]["params"]["strategy.min_score"] == 60
    assert report_sweep(here, json_output=True) == 0
    assert json.loads(capsys.readouterr().out) == document
    assert set(document) == set(sweep_document(here, judge_sweep(AXES, whole.outcomes, "net_cents")))


def invoke(*arguments: str) -> TbotError:
    done = CliRunner().invoke(sweep, arguments)
    assert isinstance(done.exception, TbotError), done.output
    assert "\n" not in str(done.exception)
    return done.exception


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ((), "nothing to vary"),
        (("--param", "strategy.min_scor=1,2"), "strategy.min_scor is not an option"),
        (("--param", "strategy.min_score=50:300:50"), "between 0 and 100"),
        (("--param", "strategy.min_rr=1,5"), "min_rr"),
        (("--param", "engine.workers=1,2"), "only options of"),
        (("--param", "fills.market_slippage_ticks=-1"), "cannot be negative"),
        (("--param", "strategy.detector.1m.Q=1"), "Q"),
        (("--param", "risk.trail_percent=0,50", "--trials", "3"), "use --trials with"),
        (("--param", "risk.trail_percent=0,50", "--method", "random"), "--trials N"),
        (("--param", "risk.trail_percent=0,50", "--address", "tcp://127.0.0.1:9"), "--address names a cluster"),
        (("--param", "risk.trail_percent=0,50", "--open-holdout"), "one value"),
        (("--open-holdout",), "give --holdout"),
        (("--param", "risk.trail_percent=0,50", "--holdout", "99d"), "locks all"),
    ],
)
def test_what_cannot_be_used_is_told_before_anything_runs(
    tape: Path, tmp_path: Path, options: tuple[str, ...], text: str
) -> None:
    error = invoke(str(tape), *options, "--out", str(tmp_path / "out"), "-q")
    assert text in str(error)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("module", "options", "extra"),
    [
        ("joblib", (), "tbot[sweep]"),
        ("optuna", ("--method", "optuna"), "tbot[sweep]"),
        ("distributed", ("--engine", "dask"), "tbot[dask]"),
        ("ray", ("--engine", "ray"), "tbot[ray]"),
    ],
)
def test_a_missing_package_is_told_with_the_line_that_installs_it(
    tape: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, options: tuple[str, ...], extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    out = tmp_path / "out"
    error = invoke(str(tape), "--param", "risk.trail_percent=0,50", *options, "--out", str(out), "-q")
    assert f"pip install '{extra}'" in str(error)
    assert not out.exists()


def test_from_the_command_line_to_the_document(tape: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_session.sweep_data, "__defaults__", (toy_trials.toy_trial,))
    out = tmp_path / "out"
    arguments = [str(tape), "--param", "strategy.min_score=50,60", "--metric", "net", "--engine", "sequential"]
    more = ["--json", "--out", str(out), "--holdout", "2d"]
    done = CliRunner().invoke(sweep, [*arguments, *more], catch_exceptions=False)
    assert done.exit_code == 0
    document = json.loads(done.stdout)
    same(document)
    assert document["schema"] == "tbot.sweep"
    assert document["best"]["params"] == {"strategy.min_score": 60}
    assert document["holdout"]["days"] == 2
    assert "2 of 2 trials" in done.stderr


def test_a_half_file_of_a_report_that_cannot_be_removed_hides_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    (tmp_path / "trials.csv").mkdir()
    with pytest.raises(DataError, match="cannot be written"):
        sweep_report.write(tmp_path / "trials.csv", b"text")


@pytest.mark.parametrize("out", ["file", "file/x"])
def test_a_file_where_the_folder_should_be_is_one_sentence(tape: Path, tmp_path: Path, out: str) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises(DataError, match=f"{out} cannot be written"):
        sweep_data(request(tape, tmp_path / out), toy_trials.toy_trial)
    assert (tmp_path / "file").read_text() == "kept"
