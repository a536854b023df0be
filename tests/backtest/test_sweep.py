"""The core of a sweep: axes, lists of trials, the folder that remembers, the locked end."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest

from small_files import files_up_to
from tbot.backtest import holdout, sweep
from tbot.backtest.sweep import (
    TRIALS_FILE,
    Axis,
    Folder,
    Identity,
    Outcome,
    fixed_trials,
    parse_axes,
    parse_axis,
    ranked,
    size_of,
)
from tbot.errors import ConfigError, DataError, Halted
from tbot.storage.trials import Trial

AXES = (Axis("strategy.min_score", (50, 60, 70)), Axis("risk.trail_percent", (0, 100)))


# ------------------------------------------------------------------------------------------------ axes
@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a.b=50:80:10", (50, 60, 70, 80)),
        ("a.b=50:75:10", (50, 60, 70)),
        ("a.b=2:4", (2, 3, 4)),
        ("a.b=0.1:0.3:0.1", (0.1, 0.2, 0.3)),
        ("a.b=0,50,100", (0, 50, 100)),
        ("a.b=true,false", (True, False)),
        ("a.b=close,wick", ("close", "wick")),
        ("a.b = 1.5", (1.5,)),
    ],
)
def test_an_axis_is_a_range_or_a_list(text: str, values: tuple[object, ...]) -> None:
    axis = parse_axis(text)
    assert axis.name == "a.b"
    assert [(type(value), value) for value in axis.values] == [(type(value), value) for value in values]


@pytest.mark.parametrize(
    "text", ["a.b", "a.b=", "min_score=1,2", "a.b=5:1:1", "a.b=1:2:0", "a.b=1:2:3:4", "a.b=x:y", "a.b=1,,2", "a.b=1,1",
             "a.b=0:1e9:1", "a.b=1:inf"],
)  # fmt: skip
def test_what_is_no_axis_is_told_in_one_sentence(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_axis(text)
    assert "\n" not in str(caught.value)


def test_an_axis_stands_there_once() -> None:
    with pytest.raises(ConfigError, match="given twice"):
        parse_axes(["a.b=1,2", "a.b=3"])


# ------------------------------------------------------------------------------------------------ trials
def test_a_grid_holds_every_point_once_and_random_draws_from_it_without_repeats() -> None:
    grid = fixed_trials(AXES, "grid", None, seed=3)
    points = [tuple(trial.params.values()) for trial in grid]
    assert points == [(50, 0), (50, 100), (60, 0), (60, 100), (70, 0), (70, 100)]
    assert len({trial.seed for trial in grid}) == size_of(AXES) == 6
    some = fixed_trials(AXES, "random", 4, seed=3)
    assert len({tuple(trial.params.values()) for trial in some}) == 4
    assert some == fixed_trials(AXES, "random", 4, seed=3) != fixed_trials(AXES, "random", 4, seed=4)
    assert sorted(tuple(t.params.values()) for t in fixed_trials(AXES, "random", 99, seed=1)) == sorted(points)


def test_random_draws_from_a_space_that_no_list_could_hold() -> None:
    wide = tuple(Axis(f"a.p{n}", tuple(range(1000))) for n in range(6))
    assert len(fixed_trials(wide, "random", 5, seed=1)) == 5
    with pytest.raises(ConfigError, match="more than"):
        fixed_trials(wide, "grid", None, seed=1)


def outcome(number: int, score: float | None = 0.1) -> Outcome:
    return Outcome(number, {"a.b": number}, 7, f"plan{number}", {"sharpe": score}, {20_000: number}, {"net_cents": [1]})


def test_the_best_comes_first_and_who_has_no_number_last() -> None:
    order = ranked([outcome(0, None), outcome(1, -1.0), outcome(2, 2.0), outcome(3, 2.0)], "sharpe")
    assert [one.number for one in order] == [2, 3, 1, 0]


# ------------------------------------------------------------------------------------------------ folder
IDENTITY = Identity("1", "grid", [["a.b", [1, 2]]], 2, 1, "data", "plan")


def test_what_is_done_is_there_again_exactly(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "out", IDENTITY, resume=False)
    done = [outcome(1, 0.1 + 0.2), outcome(0, 1e-300)]
    for one in done:
        folder.add(one)
    folder.close()
    again = Folder(tmp_path / "out", IDENTITY, resume=True)
    assert list(again) == sorted(done, key=lambda one: one.number)


def test_a_line_that_a_crash_cut_off_is_forgotten(tmp_path: Path) -> None:
    folder = Folder(tmp_path, IDENTITY, resume=False)
    folder.add(outcome(0))
    folder.add(outcome(1))
    folder.close()
    file = tmp_path / TRIALS_FILE
    data = file.read_bytes()
    for cut in range(data.rfind(b"\n", 0, -1) + 1, len(data)):
        file.write_bytes(data[:cut])
        folder = Folder(tmp_path, IDENTITY, resume=True)
        assert list(folder.done) == [0]
        folder.close()
    folder = Folder(tmp_path, IDENTITY, resume=True)
    folder.add(outcome(1))
    folder.close()
    assert file.read_bytes() == data


@pytest.mark.parametrize("more", [0, 20])
def test_F_SYS_01_a_full_disk_costs_the_trial_that_was_not_written_and_no_other(tmp_path: Path, more: int) -> None:
    """Nothing may be left in a buffer: it would fail once more, or be written twice, when the file is closed."""
    folder = Folder(tmp_path, IDENTITY, resume=False)
    folder.add(outcome(0))
    file = tmp_path / TRIALS_FILE
    before = file.read_bytes()
    with files_up_to(len(before) + more):
        with pytest.raises(DataError, match=r"cannot be written .*; make room"):
            folder.add(outcome(1))
        folder.close()
    assert len(file.read_bytes()) == len(before) + more  # torn
    assert list(folder.done) == [0]
    again = Folder(tmp_path, IDENTITY, resume=True)
    assert list(again.done) == [0]
    assert file.read_bytes() == before
    again.add(outcome(1))
    again.close()
    last = Folder(tmp_path, IDENTITY, resume=True)
    assert list(last) == [outcome(0), outcome(1)]
    last.close()


def test_F_SYS_01_a_full_disk_at_the_first_line_leaves_a_folder_to_begin_in(tmp_path: Path) -> None:
    with files_up_to(20), pytest.raises(DataError, match="cannot be written"):
        Folder(tmp_path, IDENTITY, resume=False)
    folder = Folder(tmp_path, IDENTITY, resume=False)
    folder.add(outcome(0))
    folder.close()
    assert len((tmp_path / TRIALS_FILE).read_bytes().splitlines()) == 2


def test_a_trial_that_is_not_on_the_disk_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    folder = Folder(tmp_path, IDENTITY, resume=False)
    with monkeypatch.context() as patch:
        patch.setattr(sweep.os, "fsync", fail)
        with pytest.raises(DataError, match="Input/output error"):
            folder.add(outcome(0))
    folder.close()
    assert not folder.done


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("name", ["file", "file/x"])
def test_a_file_where_the_folder_should_be(tmp_path: Path, name: str, resume: bool) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises(DataError, match=f"{name} cannot be written"):
        Folder(tmp_path / name, IDENTITY, resume=resume)
    assert (tmp_path / "file").read_text() == "kept"


def test_a_sweep_is_not_begun_over_another_one(tmp_path: Path) -> None:
    Folder(tmp_path, IDENTITY, resume=False).close()
    folder = Folder(tmp_path, IDENTITY, resume=False)  # not one trial came of the first
    folder.add(outcome(0))
    folder.close()
    with pytest.raises(ConfigError, match="--resume"):
        Folder(tmp_path, IDENTITY, resume=False)


@pytest.mark.parametrize(
    ("change", "word"),
    [({"axes": [["a.b", [1]]]}, "parameters"), ({"data_hash": "x"}, "data"), ({"seed": 2}, "seed"),
     ({"version": "2"}, "version of tbot"), ({"plan_hash": "x"}, "configuration"), ({"method": "random"}, "method")],
)  # fmt: skip
def test_another_sweep_is_not_resumed(tmp_path: Path, change: dict[str, object], word: str) -> None:
    from dataclasses import replace

    Folder(tmp_path, IDENTITY, resume=False).close()
    with pytest.raises(ConfigError, match=f"other {word}"):
        Folder(tmp_path, replace(IDENTITY, **change), resume=True)


def test_a_foreign_folder_is_not_resumed(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(ConfigError, match="no folder of a sweep"):
        Folder(tmp_path, IDENTITY, resume=True)
    (tmp_path / TRIALS_FILE).write_text('{"schema": "else"}\n')
    with pytest.raises(ConfigError, match="not what a sweep writes"):
        Folder(tmp_path, IDENTITY, resume=True)


def test_a_damaged_line_is_told(tmp_path: Path) -> None:
    folder = Folder(tmp_path, IDENTITY, resume=False)
    folder.close()
    with (tmp_path / TRIALS_FILE).open("a") as file:
        file.write("{}\n")
    with pytest.raises(DataError, match="damaged"):
        Folder(tmp_path, IDENTITY, resume=True)


# ------------------------------------------------------------------------------------------------ V14
WEEKDAYS = tuple(day for n in range(120) if (day := date(2026, 3, 2) + timedelta(n)).weekday() < 5)


@pytest.mark.parametrize(
    ("text", "last_free", "first_locked"),
    [
        ("1d", WEEKDAYS[-2], WEEKDAYS[-1]),
        ("20d", WEEKDAYS[-21], WEEKDAYS[-20]),
        ("1w", date(2026, 6, 22), date(2026, 6, 23)),  # the last day is Monday 2026-06-29
        ("1m", date(2026, 5, 29), date(2026, 6, 1)),
    ],
)
def test_V14_the_last_days_are_locked(text: str, last_free: date, first_locked: date) -> None:
    found = holdout.lock(WEEKDAYS, holdout.parse_span(text, "--holdout"))
    assert (found.free[-1], found.locked[0]) == (last_free, first_locked)
    assert (*found.free, *found.locked) == WEEKDAYS
    assert found.cut_ns == holdout.day_start_ns(first_locked)


def test_V14_a_trading_day_starts_at_17_in_chicago_the_day_before() -> None:
    # 2026-11-19 17:00 CST is 23:00 UTC; in summer time it is 22:00 UTC.
    assert holdout.day_start_ns(date(2026, 11, 20)) == 1_795_129_200_000_000_000
    assert holdout.day_start_ns(date(2026, 7, 21)) == 1_784_584_800_000_000_000


@pytest.mark.parametrize("text", ["", "0d", "5", "1y", "-3d", "1.5d"])
def test_V14_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--holdout"):
        holdout.parse_span(text, "--holdout")


def test_V14_something_must_be_left() -> None:
    for span in (f"{len(WEEKDAYS)}d", "12m"):
        with pytest.raises(DataError, match="locks all"):
            holdout.lock(WEEKDAYS, holdout.parse_span(span, "--holdout"))


def opening(plan: str, kind: str = "holdout", first_ns: int = 100, contract: str = "ES") -> Trial:
    return Trial(1, "sweep", plan, "data", (contract,), first_ns, first_ns + 50, 1, 1, kind=kind)  # type: ignore[arg-type]


ALLOWED: list[Callable[[], list[Trial]]] = [
    list,
    lambda: [opening("mine")],
    lambda: [opening("other", kind="run")],
    lambda: [opening("other", first_ns=500)],
    lambda: [opening("other", contract="NQ")],
]


@pytest.mark.parametrize("ledger", ALLOWED)
def test_V14_a_first_opening_and_the_same_again_are_allowed(ledger: Callable[[], list[Trial]]) -> None:
    holdout.may_open(ledger(), opening("mine"))


def test_V14_a_second_opening_for_another_plan_is_refused() -> None:
    with pytest.raises(Halted, match="opened on"):
        holdout.may_open([opening("mine"), opening("other", first_ns=140)], opening("mine"))
