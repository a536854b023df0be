"""`tbot patterns`: the table, the reasons, the decisions of a person, and the evidence."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from json_shape import same
from lively_tape import LIVELY_DETECTOR, lively
from outcome_rows import DAY_NS, NOON_NS, joined, outcome
from tbot.cli import root
from tbot.domain.messages import RoundTrip
from tbot.domain.trading_hours import trading_day_start_ns
from tbot.engine.state_dir import lock_state
from tbot.storage.pattern_store import FILE_NAME, PatternReader, PatternStore, session_name
from tbot.storage.tape import TapeWriter, tape_meta
from tbot.strategy.learning import Ledger
from tbot.strategy.learning_settings import LearningSettings
from tbot.strategy.trader import signal_name

ROWS = joined(
    [outcome(NOON_NS + n // 8 * DAY_NS + n, n % 10 < 6, zone_id=n) for n in range(80)]
    + [
        outcome(NOON_NS + n // 8 * DAY_NS + n, n % 10 < 1, kind="fvg", minutes=5, side=-1, zone_id=500 + n)
        for n in range(40)
    ]
    + [outcome(NOON_NS + n, fate="score_too_low", zone_id=700 + n, kind="ob", minutes=60) for n in range(3)]
    + [outcome(NOON_NS + n, stage="test", fate="untriggered", zone_id=800 + n) for n in range(5)]
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder whose weights in force are those of an earlier day."""
    monkeypatch.setenv("TBOT_HOME", str(tmp_path / "home"))
    state = tmp_path / "state"
    state.mkdir()
    ledger = Ledger(LearningSettings())
    ledger.add("MNQ", ROWS)
    with PatternStore(state / FILE_NAME) as store:
        store.add("MNQ", ROWS)
        store.add_version(ledger.weights(trading_day_start_ns(NOON_NS + 4 * DAY_NS)), ("MNQ",))
        signal_id = signal_name("MNQ", int(ROWS["decided_ns"][0]), int(ROWS["zone_id"][0]), 1)
        trip = RoundTrip(NOON_NS, 7, "MNQ", 1, 2, NOON_NS - 5, 10, 12, 4_000, 200, 44, "target", signal_id, 0)
        store.add_trades([trip], [])
    return state


def run(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(root, ["patterns", "--state-dir", str(folder), *arguments], catch_exceptions=False)


def told(folder: Path, *arguments: str) -> dict[str, Any]:
    result = run(folder, "--json", *arguments)
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def test_the_document_tells_what_the_rows_say(folder: Path) -> None:
    document = told(folder)
    same(document)
    assert (document["schema"], document["version"], document["mode"]) == ("tbot.patterns", 1, "observe")
    assert document["totals"] == {"outcomes": 128, "triggered": 123, "counted": 123, "traded": 1}
    first, second, third = document["patterns"]
    assert (first["kind"], first["timeframe"], first["n"], first["won"]) == ("ob", "15m", 80, 48)
    assert first["win_rate"] == 0.6
    assert (first["win_low"], first["win_high"]) == pytest.approx((0.4904, 0.7004), abs=2e-4)  # Wilson by hand
    mean = (48 * (80 * 50 - 122) + 32 * (-41 * 50 - 122)) / (80 * 40 * 50)
    assert first["expectancy_r"] == pytest.approx(mean)
    assert 1 < first["weight_before"] < first["weight_after"] <= 1.25
    assert first["fates"] == {"signal": 80}
    assert first["untriggered"] == {"n": 5, "expectancy_r": pytest.approx((80 * 50 - 122) / 2000)}
    assert first["traded"] == {"n": 1, "net_usd": 37.56}
    assert second["weight_after"] < 1
    assert third["fates"] == {"score_too_low": 3}
    assert document["in_force"]["outcomes"] < document["learned"]["outcomes"] == 123


def test_the_table_and_the_reasons_in_words(folder: Path) -> None:
    text = run(folder).stdout
    assert "learning observe (outcomes are kept, no decision changes); weights " in text
    line = next(line for line in text.splitlines() if "15m order block" in line)
    assert "60 %" in line
    assert "49-70 %" in line
    assert "+37.56" in line
    assert all(len(line) <= 110 for line in text.splitlines()[1:])
    reasons = run(folder, "--explain").stdout
    assert "MNQ 15m order block: weight 1." in reasons
    assert "lose nothing" in reasons
    assert "weigh as 200 outcomes" in reasons
    assert f"by session: {session_name(NOON_NS)[0]}" in reasons
    assert "entered at once, without a trigger: 5" in reasons


@pytest.mark.parametrize(
    ("options", "patterns"),
    [(("--kind", "fvg"), 1), (("--timeframe", "1h"), 1), (("--contract", "MES"), 0), (("--contract", "MNQ"), 3)],
)
def test_filters(folder: Path, options: tuple[str, ...], patterns: int) -> None:
    assert len(told(folder, *options)["patterns"]) == patterns
    assert run(folder, *options).exit_code == 0


def test_freeze_unfreeze_reset(folder: Path) -> None:
    assert run(folder, "freeze").exit_code == 0
    frozen = told(folder)
    assert frozen["frozen"]
    assert all(row["weight_after"] == row["weight_before"] for row in frozen["patterns"])
    assert run(folder, "unfreeze").exit_code == 0
    assert not told(folder)["frozen"]
    assert CliRunner().invoke(root, ["patterns", "--state-dir", str(folder), "reset"], input="n\n").exit_code != 0
    assert told(folder)["patterns"]
    assert run(folder, "reset", "--yes").exit_code == 0
    document = told(folder)
    assert (document["patterns"], document["learned"]["outcomes"], document["totals"]["outcomes"]) == ([], 0, 128)
    assert "no triggered setup has come to an end yet" in run(folder).stdout


def test_marks_are_refused_while_an_engine_writes(folder: Path) -> None:
    with lock_state(folder):
        result = CliRunner().invoke(root, ["patterns", "--state-dir", str(folder), "freeze"])
    assert "another engine runs" in str(result.exception)
    with PatternReader(folder / FILE_NAME) as reader:
        assert not reader.marks().frozen


def test_without_a_database_it_is_one_sentence(tmp_path: Path) -> None:
    for arguments in ([], ["freeze"], ["--explain"]):
        result = CliRunner().invoke(root, ["patterns", "--state-dir", str(tmp_path), *arguments])
        assert "there is no pattern database" in str(result.exception)
    assert not list(tmp_path.glob("*.db"))


LEARNS = f"""
[strategy]
min_score = 45.0
max_tests = 3
{LIVELY_DETECTOR}
[learning]
prior_outcomes = 20.0
"""


def test_evidence_plays_the_data_twice_and_does_not_praise_chance(folder: Path, tmp_path: Path) -> None:
    """A market without memory of three days: nothing can be learned, and too few days would not show it if it could."""
    tape, config = tmp_path / "lively.tape", tmp_path / "learns.toml"
    from tbot.domain.contracts import PRODUCTS

    with TapeWriter(tape, tape_meta([PRODUCTS["MNQ"]], "test")) as writer:
        writer.write(lively(("MNQ",), minutes=3000, opened=False))
    config.write_text(LEARNS)
    arguments = ["patterns", "-c", str(config), "evidence", str(tape)]
    result = CliRunner().invoke(root, [*arguments, "--json"], catch_exceptions=False)
    document = json.loads(result.stdout)
    same(document)
    assert document["schema"] == "tbot.patterns.evidence"
    assert document["plan_off"] != document["plan_on"]
    assert document["raised"]["n"] + document["lowered"]["n"] > 50
    assert document["verdict"].startswith("nothing is shown: ")
    assert document == json.loads(CliRunner().invoke(root, [*arguments, "--json"]).stdout), "seeded"
    text = CliRunner().invoke(root, arguments, catch_exceptions=False).stdout
    assert text.splitlines()[-1] == f"verdict: {document['verdict']}"
    ledger = (tmp_path / "home" / "trials.jsonl").read_text()
    assert ledger.count('"command":"tbot.backtest"') == 6, "every look counts"


@pytest.mark.parametrize(("n", "words"), [(1, "1 outcome,"), (2, "2 outcomes,")])
def test_the_head_counts_in_words(folder: Path, n: int, words: str) -> None:
    (folder / FILE_NAME).unlink()
    with PatternStore(folder / FILE_NAME) as store:
        store.add("MNQ", ROWS[:n])
    text = run(folder).output
    assert f"\n{words} {n} of triggered setups, {n} that count{'s' if n == 1 else ''}; 0 real round trips\n" in text
