"""Many seeds: several processes find what one does, and a file of results is taken up again only with the same code."""

import json
from pathlib import Path

import pytest

from dst import campaign
from dst.campaign import Order, Outcome, Results, code_mark

PLAN = '{"id": "a", "name": "person.pause", "at": 6}'


def played(monkeypatch: pytest.MonkeyPatch, seeds: range, path: Path, mark: str = "1") -> tuple[list[int], list[str]]:
    """(seeds that were played, what was told); every third seed fails."""
    asked: list[int] = []

    def play(seed: int, _order: Order) -> Outcome:
        asked.append(seed)
        return Outcome(seed, [["I3", "naked"]] * (seed % 3 == 0), f"seed {seed}\n" if seed % 3 == 0 else "")

    monkeypatch.setattr(campaign, "play", play)
    told: list[str] = []
    bad = campaign.campaign(seeds, Order(), 1, Results(path, Order(), lambda: mark), told.append)
    assert bad == sum(seed % 3 == 0 for seed in seeds)
    return asked, told


def test_what_is_in_the_file_is_told_again_and_not_played_again(monkeypatch, tmp_path):
    path = tmp_path / "results"
    assert played(monkeypatch, range(1, 5), path)[0] == [1, 2, 3, 4]
    asked, told = played(monkeypatch, range(1, 8), path)
    assert asked == [5, 6, 7]
    assert told[:2] == ["seed 3", "seed 6"]
    assert told[2].startswith("7 seeds, 2 with violations (I3: 2), ")
    assert told[2].endswith(f"4 known from {path}")


def test_a_line_that_was_cut_off_is_played_again(monkeypatch, tmp_path):
    path = tmp_path / "results"
    played(monkeypatch, range(1, 5), path)
    path.write_bytes(path.read_bytes()[:-9])
    assert played(monkeypatch, range(1, 5), path)[0] == [4]
    assert [json.loads(line).get("seed") for line in path.read_text().splitlines()] == [None, 1, 2, 3, 4]


def test_results_of_other_code_or_of_something_else_are_refused(monkeypatch, tmp_path):
    path = tmp_path / "results"
    played(monkeypatch, range(1, 2), path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="other code"):
        Results(path, Order(), lambda: "2")
    with pytest.raises(ValueError, match="other options"):
        Results(path, Order(mutant="x"), lambda: "1")
    assert path.read_bytes() == before


def test_the_mark_of_the_code_changes_with_any_source(tmp_path):
    for name in campaign.CODE:
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "tbot" / "a.py").write_text("1")
    first = code_mark(tmp_path)
    assert code_mark(tmp_path) == first
    (tmp_path / "tbot" / "a.py").write_text("2")
    second = code_mark(tmp_path)
    (tmp_path / "tests/support" / "b.py").write_text("")
    assert len({first, second, code_mark(tmp_path)}) == 3


def test_two_processes_tell_the_same_in_the_same_order():
    order = Order(plan=PLAN, verbose=True)
    alone = [campaign.play(seed, order) for seed in (2, 1)]
    assert list(campaign.outcomes((2, 1), order, 2)) == alone
    assert all("person.pause" in outcome.report for outcome in alone)


def test_what_the_simulation_stumbles_over_is_a_finding():
    outcome = campaign.play(1, Order(plan="no json"))
    assert [invariant for invariant, _ in outcome.violations] == ["ERROR"]
    assert "Traceback" in outcome.report
