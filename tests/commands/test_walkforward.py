"""`tbot walkforward`: from options to the report, its files and its refusals."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import toy_trials
from json_shape import same
from tbot.commands import sweep_session
from tbot.commands.walkforward import walkforward
from tbot.errors import TbotError
from tbot.storage.trials import read_trials

VARIED = ("--param", "strategy.min_score=50,60,80", "--metric", "net", "--engine", "sequential", "-q")


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_trials.rising_tape(tmp_path_factory.mktemp("tape") / "MNQ.tape")


@pytest.fixture(autouse=True)
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TBOT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(sweep_session.sweep_data, "__defaults__", (toy_trials.toy_trial,))


def invoke(tape: Path, out: Path, *options: str) -> Result:
    done = CliRunner().invoke(walkforward, [str(tape), *VARIED, *options, "--out", str(out)], catch_exceptions=False)
    assert done.exit_code == 0
    return done


def test_V7_rolling_windows_find_what_was_planted(tape: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    document = json.loads(invoke(tape, out, "--train", "8d", "--test", "4d", "--json").stdout)
    same(document)
    assert document["schema"] == "tbot.walkforward"
    assert [window["params"] for window in document["windows"]] == [{"strategy.min_score": 60}] * 3
    assert [window["test"]["days"] for window in document["windows"]] == [4, 4, 4]
    assert document["parameter_changes"] == {"strategy.min_score": 0}
    told = document["out_of_sample"]
    assert (told["days"], told["trades"]) == (12, 12)
    assert told["net_cents"] == sum(window["net_cents"] for window in document["windows"]) > 0
    equity = (out / "equity.csv").read_text().splitlines()
    assert equity[0] == "day,net_cents,equity_cents"
    assert len(equity) == 13
    assert int(equity[-1].split(",")[2]) == told["net_cents"]
    drift = (out / "windows.csv").read_text().splitlines()
    assert drift[0] == (
        "train_first,train_last,test_first,test_last,groups,trial,strategy.min_score,in_sample,out_of_sample,trades,"
        "net_cents"
    )
    assert len(drift) == 4
    assert json.loads((out / "walkforward.json").read_text()) == document
    assert [trial.command for trial in read_trials(tmp_path / "home")] == ["walkforward"] * 3


def test_V7_the_same_trials_serve_another_scheme(tape: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    invoke(tape, out, "--train", "8d")
    more = ("--scheme", "cpcv", "--groups", "5", "--test-groups", "2", "--embargo", "1d", "--resume")
    text = invoke(tape, out, *more).stdout
    assert "10 windows, cpcv, by net_cents" in text
    assert "4 paths: net" in text
    assert text.splitlines()[-2].startswith("What was best in the past")
    assert text.splitlines()[-1].startswith("VERDICT (PROVISIONAL")
    assert len(read_trials(tmp_path / "home")) == 3


def test_V14_the_locked_days_are_in_no_window(tape: Path, tmp_path: Path) -> None:
    document = json.loads(invoke(tape, tmp_path / "out", "--train", "8d", "--holdout", "5d", "--json").stdout)
    assert document["holdout"]["days"] == 5
    assert document["windows"][-1]["test"]["last"] < document["holdout"]["first"]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--train", "4w"), "counts trading days"),
        (("--train", "x"), "not understood"),
        (("--embargo", "19d"), "do not fit"),
        (("--train", "30d"), "leave none to test"),
        (("--scheme", "cpcv", "--groups", "12"), "too few"),
        (("--holdout", "1d", "--open-holdout"), "one value"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_sentence(
    tape: Path, tmp_path: Path, options: tuple[str, ...], text: str
) -> None:
    done = CliRunner().invoke(walkforward, [str(tape), *VARIED, *options, "--out", str(tmp_path / "out")])
    assert isinstance(done.exception, TbotError), done.output
    assert text in str(done.exception)
    assert "\n" not in str(done.exception)
    assert not (tmp_path / "out").exists()  # told before anything ran


def test_V14_the_hold_out_is_opened_from_the_command_line_and_refused_the_second_time(
    tape: Path, tmp_path: Path
) -> None:
    def opened(score: int, *more: str) -> Result:
        words = [str(tape), "--param", f"strategy.min_score={score}", "--holdout", "5d", "--open-holdout", *more]
        return CliRunner().invoke(walkforward, words)

    first = opened(60)
    assert first.exit_code == 0, first.output
    assert "hold-out of 5 trading days, 2026-11-16 to 2026-11-20, opened and logged" in first.output
    assert first.output.splitlines()[-1].startswith("VERDICT")
    document = json.loads(opened(60, "--json").stdout)
    same(document)
    assert document["schema"] == "tbot.holdout"
    assert document["params"] == {"strategy.min_score": 60}
    refused = opened(70)
    assert isinstance(refused.exception, TbotError)
    assert refused.exception.exit_code == 6
    assert "opened on" in str(refused.exception)
    assert [trial.kind for trial in read_trials(tmp_path / "home")] == ["holdout", "holdout"]
