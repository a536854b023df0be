"""The ledger of trials grows, counts, and shows what was done to it (V6, V14)."""

import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from tbot.errors import DataError
from tbot.storage.trials import FILE_NAME, Trial, append_trials, opened_before, read_trials, rivals

DAY = 86_400_000_000_000
MINE = Trial(1, "backtest", "plan-a", "data-a", ("MNQ", "ES"), 10 * DAY, 20 * DAY, 3, -1250, {19: -500, 20: -750})


def test_V6_what_is_appended_is_read_again(tmp_path: Path) -> None:
    others = [replace(MINE, plan_hash="plan-b", params={"min_score": 50.0, "tf": [5, 15]}), replace(MINE, at_ns=2)]
    assert read_trials(tmp_path) == []
    append_trials(tmp_path / "new", [MINE])
    append_trials(tmp_path / "new", others)
    assert read_trials(tmp_path / "new") == [MINE, *others]
    assert (tmp_path / "new" / FILE_NAME).stat().st_mode & 0o777 == 0o600


def test_V6_rivals_are_distinct_trials_on_common_data(tmp_path: Path) -> None:
    again = replace(MINE, at_ns=5)
    tuned = replace(MINE, plan_hash="plan-b", net_cents=7)
    tuned_again = replace(tuned, at_ns=9)
    elsewhere = replace(MINE, plan_hash="plan-c", contracts=("MGC",))
    later = replace(MINE, plan_hash="plan-d", first_ns=21 * DAY, last_ns=30 * DAY)
    touching = replace(MINE, plan_hash="plan-e", data_hash="data-b", first_ns=20 * DAY, last_ns=30 * DAY)
    ledger = [again, tuned, elsewhere, tuned_again, later, touching]
    assert rivals(ledger, MINE) == [tuned_again, touching]


def test_V14_a_hold_out_is_opened_once() -> None:
    opening = replace(MINE, kind="holdout")
    assert opened_before([MINE], opening) is None, "a run on the rest opens nothing"
    assert opened_before([opening], replace(opening, at_ns=7)) is None, "the same look again is no new look"
    assert opened_before([opening], replace(opening, plan_hash="plan-b")) == opening
    assert opened_before([opening], replace(opening, contracts=("GC",), plan_hash="plan-b")) is None


@pytest.mark.parametrize("line", [0, 1, 2])
@pytest.mark.parametrize("how", ["change", "remove", "swap"])
def test_V6_what_was_done_to_the_ledger_shows(tmp_path: Path, line: int, how: str) -> None:
    append_trials(tmp_path, [replace(MINE, at_ns=number, net_cents=-1000 - number) for number in range(4)])
    path = tmp_path / FILE_NAME
    lines = path.read_bytes().splitlines(keepends=True)
    if how == "change":
        lines[line] = lines[line].replace(b'"net_cents":-1', b'"net_cents":-2')
    elif how == "remove":
        del lines[line]
    else:
        lines[line], lines[line + 1] = lines[line + 1], lines[line]
    path.write_bytes(b"".join(lines))
    with pytest.raises(DataError, match=f"line {line + 1} or one before it was changed or taken out"):
        read_trials(tmp_path)


def test_V6_a_line_that_a_crash_cut_off_is_dropped_and_written_over(tmp_path: Path) -> None:
    append_trials(tmp_path, [MINE, replace(MINE, at_ns=2)])
    path = tmp_path / FILE_NAME
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    assert read_trials(tmp_path) == [MINE]
    append_trials(tmp_path, [replace(MINE, at_ns=3)])
    assert [trial.at_ns for trial in read_trials(tmp_path)] == [1, 3]


def test_V6_many_writers_lose_nothing(tmp_path: Path) -> None:
    def write(number: int) -> None:
        for step in range(10):
            append_trials(tmp_path, [replace(MINE, at_ns=100 * number + step)])

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(trial.at_ns for trial in read_trials(tmp_path)) == sorted(
        100 * n + s for n in range(4) for s in range(10)
    )


def test_V6_a_foreign_or_unwritable_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("hello\n")
    for act in (lambda: append_trials(tmp_path, [MINE]), lambda: read_trials(tmp_path)):
        with pytest.raises(DataError, match="move it aside"):
            act()
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        append_trials(in_the_way, [MINE])
    os.makedirs(tmp_path / "other" / FILE_NAME)
    with pytest.raises(DataError, match="cannot be"):
        read_trials(tmp_path / "other")


def test_V6_V14_mini_and_micro_of_one_underlying_are_one_market() -> None:
    """Tried on MNQ, opened on NQ: the same prices."""
    micro, mini = replace(MINE, contracts=("MNQ", "XX")), replace(MINE, plan_hash="other", contracts=("NQ",))
    assert micro.overlaps(mini)
    assert mini.overlaps(micro)
    assert rivals([micro], mini) == [micro]
    assert opened_before([replace(micro, kind="holdout")], mini) is not None
    assert not micro.overlaps(replace(mini, contracts=("ES",)))
    assert micro.overlaps(replace(mini, contracts=("XX",)))  # a contract that this version does not know
