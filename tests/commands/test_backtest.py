"""`tbot backtest` as a user calls it: report, document, files, ledger and hold-out, and one sentence for every error.

The market is made (tests/support/golden_market.py), the strategies are a file (tests/support/backtest_strategies.py).
"""

import hashlib
import json
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import backtest_strategies
import tbot as package
from backtest_command import LIVELY, MOMENTUM, STRATEGIES, backtest, done, feature, golden_csv, process, refused
from bar_samples import csv_text
from json_shape import same
from level_markets import walk_days
from lively_tape import lively
from tbot.commands import audit_data, audit_levels
from tbot.commands.audit_data import BarFile
from tbot.domain.contracts import PRODUCTS
from tbot.errors import DataError
from tbot.storage.tape import TapeWriter, tape_meta
from tbot.storage.trials import read_trials
from tbot.validation.report_files import NAMES


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2026-08-03 (a Monday) to 2026-08-11, two hours a day from 08:30 in Chicago on."""
    return golden_csv(tmp_path_factory.mktemp("market") / "MNQ_1m.csv")


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three days of a random walk on which the packaged strategy finds zones, in a year without a session table."""
    path = tmp_path_factory.mktemp("walk") / "ES_1m.csv"
    path.write_text(csv_text(walk_days(4_000, np.random.default_rng(1))))
    return path


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TBOT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


# ------------------------------------------------------------------------------------------------ report, JSON
def test_V15_it_ends_with_the_verdict_and_with_0(market: Path) -> None:
    told = done(market, *MOMENTUM)
    assert told.err == ""
    assert told.verdict.endswith("x its costs.") or "without costs" in told.verdict
    assert told.verdict == done(market, *MOMENTUM, "--json").document["verdicts"][0]
    assert "T-BOT backtest" in told.out
    assert "backtest_strategies.py:Momentum" in told.out


def test_the_document_holds_the_numbers_of_the_run(market: Path, own_home: Path) -> None:
    document = done(market, *MOMENTUM, "--json").document
    same(document)
    assert (document["schema"], document["version"]) == ("tbot.backtest", 1)
    result = package.backtest(market, strategy=backtest_strategies.Momentum)
    account = document["accounts"][0]
    assert len(result.trips) > 10
    assert [trade["net_usd"] for trade in account["trades"]] == (result.trips["net_cents"] / 100).tolist()
    assert account["summary"]["trades"] == document["accounts"][0]["verdict"]["trades"] == len(result.trips)
    assert account["summary"]["net_usd"] == int(result.trips["net_cents"].sum()) / 100
    assert account["closing_balance_usd"] == 50_000 + account["summary"]["net_usd"]
    assert document["signals"] == len(result.signals)
    assert document["data_hash"] == result.data_hash
    assert document["trading_days"] == [day.isoformat() for day in result.days]
    trial = read_trials(own_home)[0]  # the call from Python left one of its own
    assert (trial.trips, trial.net_cents) == (len(result.trips), int(result.trips["net_cents"].sum()))
    assert trial.plan_hash == document["plan_hash"]
    assert sum(trial.daily_cents.values()) == trial.net_cents


def test_a_run_without_a_trade_says_so(market: Path, own_home: Path) -> None:
    told = done(market, "--strategy", f"{STRATEGIES}:Silent")
    assert told.verdict == "VERDICT (PROVISIONAL: fewer than 200 trades): no trades, so nothing can be said."
    assert [trial.trips for trial in read_trials(own_home)] == [0]


@pytest.mark.parametrize(("limit", "words"), [(3, "Trades, the last 3 of"), (0, None)])
def test_as_many_trades_as_asked(market: Path, limit: int, words: str | None) -> None:
    told = done(market, *MOMENTUM, "--trades", limit)
    assert words in told.out if words else "Trades, " not in told.out


def test_equal_runs_write_equal_bytes(market: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        done(market, *MOMENTUM, "--out", tmp_path / name, "--json")
    first, second = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("a", "b"))
    assert set(first) == set(second)
    assert [name for name in first if first[name] != second[name]] == []
    other = done(market, *MOMENTUM, "--json", "--seed", 2).document
    again = json.loads(first["report.json"])
    assert other["accounts"][0]["trades"] == again["accounts"][0]["trades"]
    assert other["plan_hash"] == again["plan_hash"]


# ------------------------------------------------------------------------------------------------ files
def test_out_holds_what_its_hashes_say(market: Path, tmp_path: Path) -> None:
    config = tmp_path / "tbot.toml"
    config.write_text("[risk]\nconsecutive_losses = 1\n")
    out = tmp_path / "new" / "out"
    told = done(market, *MOMENTUM, "-c", config, "--out", out)
    assert told.err.splitlines() == [f"wrote {out / name}" for name in NAMES if (out / name).exists()]
    found = {path.name for path in out.iterdir()}
    assert found >= {"trades.csv", "equity.csv", "signals.jsonl", "denials.csv", "report.json", "config.toml"}
    assert found <= set(NAMES)
    hashes = json.loads((out / "hashes.json").read_text())
    assert hashes["files"] == {
        name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in found - {"hashes.json"}
    }
    document = json.loads((out / "report.json").read_text())
    assert document["verdicts"] == [told.verdict]
    assert len((out / "trades.csv").read_text().splitlines()) == 1 + document["accounts"][0]["summary"]["trades"]
    assert (out / "config.toml").read_text() == config.read_text()


def test_a_folder_that_is_not_empty_is_refused_before_anything_runs(
    market: Path, tmp_path: Path, own_home: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "report.json").write_text("old")
    (out / "notes.txt").write_text("mine")
    assert "is not empty" in refused(3, market, *MOMENTUM, "--out", out)
    for path in (out / "notes.txt", out / "notes.txt" / "a" / "b"):
        assert "is a file; name a folder" in refused(3, market, *MOMENTUM, "--out", path)
    assert not read_trials(own_home)
    done(market, *MOMENTUM, "--out", out, "--force")
    assert (out / "notes.txt").read_text() == "mine"
    assert json.loads((out / "report.json").read_text())["schema"] == "tbot.backtest"


# ------------------------------------------------------------------------------------------------ ledger
def test_V6_every_run_leaves_one_line_and_counts_against_the_next(market: Path, own_home: Path) -> None:
    first = done(market, *MOMENTUM, "--json").document
    assert first["accounts"][0]["trials"]["trials"] == 1
    assert done(market, *MOMENTUM, "--json").document == first  # the same once more is no further trial
    other = done(market, "--strategy", f"{STRATEGIES}:Wider", "--json").document
    assert other["accounts"][0]["trials"]["trials"] == 2
    assert "2 trials on record" in feature(other, "V6")["text"]
    assert [trial.command for trial in read_trials(own_home)] == ["backtest"] * 3


def test_V6_a_strategy_that_was_rewritten_under_its_name_is_another_trial(
    market: Path, tmp_path: Path, own_home: Path
) -> None:
    mine = tmp_path / "mine.py"
    shutil.copy(STRATEGIES, mine)
    done(market, "--strategy", f"{mine}:Momentum")
    mine.write_text(mine.read_text().replace("stop_ticks, target_ticks = 10, 12", "stop_ticks, target_ticks = 12, 12"))
    assert done(market, "--strategy", f"{mine}:Momentum", "--json").document["accounts"][0]["trials"]["trials"] == 2
    assert len({trial.plan_hash for trial in read_trials(own_home)}) == 2


def test_V6_a_run_that_cannot_be_remembered_does_not_count(
    market: Path, tmp_path: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    monkeypatch.setenv("TBOT_HOME", "/proc/tbot")  # a place where nobody can write, whatever his rights
    assert "a run that leaves no trace there does not count" in refused(9, market, *MOMENTUM, "--out", out)
    (own_home / "trials.jsonl").mkdir(parents=True)
    monkeypatch.setenv("TBOT_HOME", str(own_home))
    assert "trials.jsonl cannot be" in refused(9, market, *MOMENTUM, "--out", out)
    assert not out.exists()


def test_V6_a_ledger_that_was_changed_is_noticed(market: Path, own_home: Path) -> None:
    done(market, *MOMENTUM)
    ledger = own_home / "trials.jsonl"
    ledger.write_text(ledger.read_text().replace('"trips":', '"trips":9'))
    assert "is damaged" in refused(9, market, *MOMENTUM)


# ------------------------------------------------------------------------------------------------ which data
def test_contracts_choose_among_the_data(market: Path, tmp_path: Path, own_home: Path) -> None:
    both = [market, shutil.copy(market, tmp_path / "MES_1m.csv")]
    one = done(*both, *MOMENTUM, "--contracts", "mes", "--json").document
    assert [entry["contract"] for entry in one["contracts"]] == ["MES"]
    assert {trade["contract"] for trade in one["accounts"][0]["trades"]} == {"MES"}
    other = done(*both, *MOMENTUM, "--contracts", "MNQ", "--json").document
    all_of_it = done(*both, *MOMENTUM, "--json").document
    assert [entry["contract"] for entry in all_of_it["contracts"]] == ["MNQ", "MES"]
    ledger = read_trials(own_home)
    assert [trial.contracts for trial in ledger] == [("MES",), ("MNQ",), ("MNQ", "MES")]
    assert len({trial.data_hash for trial in ledger}) == 3  # V6: none of them is taken for another
    assert one["data_hash"] != other["data_hash"]
    assert "holds MNQ and no NQ" in refused(9, market, *MOMENTUM, "--contracts", "NQ")
    assert "unknown contract 'XYZ'" in refused(3, market, *MOMENTUM, "--contracts", "XYZ")


def test_since_and_until_leave_out_the_rest(market: Path) -> None:
    document = done(
        market, *MOMENTUM, "--since", "2026-08-04T14:00Z", "--until", "2026-08-06", "--json"
    ).document  # fmt: skip
    assert document["trading_days"] == ["2026-08-04", "2026-08-05"]
    opened = [trade["opened"] for trade in document["accounts"][0]["trades"]]
    assert opened
    assert min(opened) >= "2026-08-04T14:00"
    assert max(opened) < "2026-08-06"
    assert "no record of that time" in refused(9, market, *MOMENTUM, "--since", "2027-01-01")
    assert "not ISO 8601" in refused(3, market, *MOMENTUM, "--until", "yesterday")


# ------------------------------------------------------------------------------------------------ hold-out
def test_V14_locked_days_are_not_looked_at(market: Path) -> None:
    document = done(market, *MOMENTUM, "--holdout", "2d", "--json").document
    assert document["trading_days"] == [f"2026-08-0{day}" for day in (3, 4, 5, 6, 7)]
    assert "hold-out: the last 2 trading days from 2026-08-10 were not looked at" in document["notes"]
    assert feature(document, "V14")["known"]
    assert "were not looked at" in feature(document, "V14")["text"]
    whole = done(market, *MOMENTUM, "--json").document
    assert not feature(whole, "V14")["known"]
    cut = [trade for trade in whole["accounts"][0]["trades"] if trade["day"] < "2026-08-10"]
    assert document["accounts"][0]["trades"] == cut


def test_V14_the_null_of_the_zones_does_not_see_the_locked_days(
    walk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "tbot.toml"
    config.write_text(LIVELY)
    seen: list[int] = []
    real = audit_levels.tested

    def watched(file: Any, *more: Any) -> Any:
        seen.append(int(file.minutes["start_ns"][-1]))
        return real(file, *more)

    monkeypatch.setattr(audit_levels, "tested", watched)
    document = done(walk, "-c", config, "--holdout", "1d", "--json").document
    assert document["accounts"][0]["null_percentile"] is not None
    locked = next(note for note in document["notes"] if note.startswith("hold-out"))
    cut = datetime.fromisoformat(f"{locked.split(' from ')[1][:10]}T00:00Z").timestamp()
    assert seen
    assert max(seen) < cut * 10**9


def test_V14_the_hold_out_is_opened_for_one_plan(market: Path, tmp_path: Path, own_home: Path) -> None:
    mine = tmp_path / "mine.py"
    shutil.copy(STRATEGIES, mine)
    opening = (market, "--strategy", f"{mine}:Momentum", "--holdout", "2d", "--open-holdout")
    first = done(*opening, "--json").document
    assert first["trading_days"] == ["2026-08-10", "2026-08-11"]
    assert "saw the locked 2 trading days from 2026-08-10 alone" in feature(first, "V14")["text"]
    assert done(*opening, "--json").document == first  # what was seen is shown again
    other = ("--strategy", f"{STRATEGIES}:Wider", "--holdout", "2d", "--open-holdout")
    assert "was opened on" in refused(6, market, *other)
    assert "was opened on" in refused(6, *opening, "--firm", "none")
    mine.write_text(mine.read_text().replace("= 10, 12", "= 12, 12"))
    assert "was opened on" in refused(6, *opening)  # the same name, but another strategy
    assert "give --holdout" in refused(3, market, *MOMENTUM, "--open-holdout")
    assert [trial.kind for trial in read_trials(own_home)] == ["holdout"] * 2


def test_V14_another_contract_of_the_same_files_is_a_second_look(market: Path, tmp_path: Path) -> None:
    both = [market, shutil.copy(market, tmp_path / "MES_1m.csv")]
    opening = (*both, *MOMENTUM, "--holdout", "2d", "--open-holdout")
    done(*opening, "--contracts", "MNQ")
    assert "was opened on" in refused(6, *opening)


# ------------------------------------------------------------------------------------------------ strategies
@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("Raises", 1, "at 2026-08-03T13:39:00Z of market time (ValueError: no idea at all)"),
        ("Quits", 1, "SystemExit"),
        ("FailsAtItsStart", 1, "at its start for MNQ (FileNotFoundError: weights.bin)"),
        ("Words", 1, "it gave a str where a Signal belongs"),
        ("Nothing", 1, "'NoneType' object is not iterable"),
        ("Elsewhere", 1, "it gave a signal of ES"),
        ("Fractions", 1, "it gave a signal of MNQ with side"),
        ("NoTrader", 1, "has no attribute 'on_events'"),
        ("whole_bars", 3, "cannot be run bar by bar"),
        ("NUMBER", 3, "cannot be called"),
        ("Missing", 3, "has no Missing"),
    ],
)
def test_a_strategy_that_fails_never_succeeds(market: Path, own_home: Path, name: str, code: int, words: str) -> None:
    assert words in refused(code, market, "--strategy", f"{STRATEGIES}:{name}")
    assert not read_trials(own_home)  # nothing of it counts


@pytest.mark.parametrize("code", ["import no_such_module_at_all", "def f(:", "raise ValueError('two\\nlines')"])
def test_a_strategy_that_cannot_be_imported(market: Path, tmp_path: Path, code: str) -> None:
    path = tmp_path / "broken.py"
    path.write_text(code)
    assert "could not be imported" in refused(3, market, "--strategy", f"{path}:Mine")


# ------------------------------------------------------------------------------------------------ bad data
@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("MNQ_1m.csv", b"", "is empty"),
        ("MNQ_1m.csv", b"time,open,high,low,close,volume\n", "has no rows"),
        ("MNQ_1m.csv", b"name,age\nAda,36\n", "neither ticks nor bars"),
        ("MNQ_1m.csv", b"\x89PNG\r\n\x1a\n\xff\xfe" * 99, "is not readable as CSV"),
        ("MNQ_1m.csv", b"time,open,high,low,close,volume\n2026-08-03T13:30:00Z,5,4,6,5,1\n", "MNQ_1m.csv"),
        ("MNQ_1m.csv", b"time,open,high,low,close,volume\nsoon,5,6,4,5,1\n", "MNQ_1m.csv"),
        ("MNQ_1m.parquet", b"PAR1 or so", "is not a readable Parquet file"),
        ("MNQ.tape", b"not a tape" * 9, "is not a tape"),
        ("MNQ.tape", b"", "MNQ.tape"),
        ("prices.csv", b"time,open,high,low,close,volume\n2026-08-03T13:30:00Z,5,6,4,5,1\n", "give --contract"),
    ],
)  # fmt: skip
def test_data_that_cannot_be_used_is_one_sentence(
    tmp_path: Path, own_home: Path, name: str, content: bytes, words: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert words in refused(9, path)
    assert not read_trials(own_home)


def test_a_directory_no_file_a_foreign_contract_and_the_same_twice(market: Path, tmp_path: Path) -> None:
    assert "it is a folder" in refused(9, tmp_path)
    assert "No such file" in refused(9, tmp_path / "MNQ_none.csv")
    assert "unknown contract 'XYZ'" in refused(3, market, "--contract", "XYZ")
    assert "overlap" in refused(9, market, market)
    assert "locks all 7 trading days" in refused(9, market, "--holdout", "7d")
    assert "not understood" in refused(3, market, "--holdout", "soon")
    assert "not known" in refused(3, market, "--tz", "Mars/Base")


def test_a_trade_through_a_hole_has_no_known_result(tmp_path: Path, own_home: Path) -> None:
    """A signal at minute 9, stop and target far away, and half an hour without data from minute 12 on."""
    path = golden_csv(tmp_path / "MNQ_1m.csv", days=1, without=(0, 12, 42))
    patient = ("--strategy", f"{STRATEGIES}:Patient")
    told = backtest(path, *patient, "--out", tmp_path / "out")
    assert told.code == 9
    assert told.verdict  # the report comes first, and ends as every report
    *wrote, sentence = told.err.splitlines()
    assert all(line.startswith("wrote ") for line in wrote)
    assert sentence.startswith("tbot: account 1: the MNQ trade from 2026-08-03 13:39:")
    assert "open while data is missing (2026-08-03 13:42:00Z to 2026-08-03 14:12:00Z)" in sentence
    assert "leave that stretch out with --since and --until" in sentence
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert any("its result is not known" in note for note in report["notes"])
    as_json = backtest(path, *patient, "--json")
    assert as_json.code == 9
    assert "its result is not known" in as_json.sentence
    assert as_json.document["verdicts"] == [told.verdict]
    assert len(read_trials(own_home)) == 2
    assert done(path, *patient, "--until", "2026-08-03T13:42Z").verdict


# ------------------------------------------------------------------------------------------------ accounts
@pytest.mark.parametrize(("firm", "opening"), [("none", 50_000), ("50K", 50_000), ("100K", 100_000)])
def test_V10_the_account_has_the_rules_that_were_asked_for(market: Path, firm: str, opening: int) -> None:
    document = done(market, *MOMENTUM, "--firm", firm, "--json").document
    account = document["accounts"][0]
    assert account["opening_balance_usd"] == opening
    assert (f"a fresh {firm} Combine" in " ".join(document["notes"])) is (firm != "none")
    assert account["odds"]["passed"]["estimate"] == 0.0  # what a Combine would make of it is told in every case
    assert document["run"]["firm"] == firm


def test_accounts_of_the_configuration_win_and_each_has_its_verdict(market: Path, tmp_path: Path) -> None:
    config = tmp_path / "tbot.toml"
    config.write_text(
        '[[accounts]]\nid = 7\nname = "50KTC-V2-1"\n'
        '[[accounts]]\nid = 8\nname = "PRAC-V2-2"\nplan = "100K"\nstage = "practice"\n'
    )
    told = done(market, *MOMENTUM, "-c", config, "--firm", "150K")
    *_, first, second = told.out.splitlines()
    assert first.startswith("Account 7: VERDICT")
    assert second.startswith("Account 8: VERDICT")
    document = done(market, *MOMENTUM, "-c", config, "--firm", "150K", "--json").document
    assert [(one["account"], one["name"]) for one in document["accounts"]] == [(7, "50KTC-V2-1"), (8, "PRAC-V2-2")]
    assert document["accounts"][0]["opening_balance_usd"] == 50_000
    assert not any("fresh 150K" in note for note in document["notes"])


def test_a_configuration_with_a_mistake_is_refused(market: Path, tmp_path: Path) -> None:
    config = tmp_path / "tbot.toml"
    config.write_text("[risk")
    assert "is not valid TOML" in refused(3, market, "-c", config)
    assert "could not be read" in refused(3, market, "-c", tmp_path / "none.toml")


def test_an_exact_calendar_enters_nothing_in_years_it_does_not_cover(tmp_path: Path, market: Path) -> None:
    old = golden_csv(tmp_path / "MNQ_1m.csv", days=3, year=2022)
    usual = done(old, *MOMENTUM, "--json").document
    assert (usual["calendar"], usual["accounts"][0]["summary"]["trades"] > 0) == ("template", True)
    exact = done(old, *MOMENTUM, "--exact-calendar", "--json").document
    assert exact["accounts"][0]["summary"]["trades"] == 0
    assert {one["reason"] for one in exact["accounts"][0]["denials"]} == {"RC_WINDOW"}
    assert any(note.startswith("--exact-calendar: nothing was entered") for note in exact["notes"])
    covered = done(market, *MOMENTUM, "--exact-calendar", "--json").document
    assert (covered["calendar"], covered["accounts"][0]["summary"]["trades"] > 0) == ("exact", True)
    assert not any("--exact-calendar" in note for note in covered["notes"])


# ------------------------------------------------------------------------------------------------ V4
def test_V4_order_blocks_of_bars_are_placed_among_random_levels(walk: Path, tmp_path: Path) -> None:
    config = tmp_path / "tbot.toml"
    config.write_text(LIVELY)
    document = done(walk, "-c", config, "--json").document
    percentile = document["accounts"][0]["null_percentile"]
    assert 0 <= percentile < 95  # a walk has no levels
    assert document["accounts"][0]["verdict"]["finding"] == "no evidence of an edge"
    assert f"null percentile {int(percentile)} (not distinguishable from random levels)" in document["verdicts"][0]
    assert feature(document, "V4")["text"].startswith(f"above {int(percentile)} % of random levels (not disting")
    without = done(walk, "-c", config, "--no-null", "--json").document
    assert without["accounts"][0]["null_percentile"] is None
    assert "--no-null" in feature(without, "V4")["text"]


def test_V4_bars_that_the_null_cannot_read_cost_the_percentile_and_not_the_report(
    walk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "tbot.toml"
    config.write_text(LIVELY)

    def unreadable(*_: object) -> list[BarFile]:
        raise DataError("these bars are of 10 s")

    monkeypatch.setattr(audit_data, "source_bars", unreadable)
    document = done(walk, "-c", config, "--json").document
    assert document["accounts"][0]["summary"]["trades"] > 0
    assert feature(document, "V4")["text"] == "these bars are of 10 s"


def test_V4_ticks_without_a_trade_at_a_zone_have_no_percentile_and_say_why(tmp_path: Path) -> None:
    tape = tmp_path / "made.tape"
    with TapeWriter(tape, tape_meta([PRODUCTS["MNQ"]], "test")) as writer:
        writer.write(lively(("MNQ",), seed=5, minutes=200, opened=False))
    document = done(tape, "--json").document
    assert document["contracts"][0]["synthetic"] is False
    told = feature(document, "V4")
    assert (told["known"], told["command"]) == (False, "tbot audit levels")
    assert "no trade came from a zone" in told["text"]


def test_V4_trades_that_come_from_no_zone_have_nothing_to_compare(market: Path) -> None:
    document = done(market, "--strategy", f"{STRATEGIES}:Momentum", "--json").document
    assert "no trade came from a zone" in feature(document, "V4")["text"]


# ------------------------------------------------------------------------------------------------ processes
def test_a_process_ends_with_the_same_words_and_codes(market: Path, tmp_path: Path, own_home: Path) -> None:
    here = done(market, *MOMENTUM)
    there = process(tmp_path / "other", market, *MOMENTUM)
    assert (there.code, there.err) == (0, "")
    assert there.out == here.out
    assert len(read_trials(tmp_path / "other")) == 1
    failed = process(tmp_path / "other", market, "--strategy", f"{STRATEGIES}:Quits")
    assert (failed.code, failed.out) == (1, "")
    assert "SystemExit" in failed.sentence


def test_V12_trades_near_news_are_told_apart_and_a_file_that_is_none_is_refused(market: Path, tmp_path: Path) -> None:
    document = done(market, *MOMENTUM, "--json").document
    first = document["accounts"][0]["trades"][0]
    week = tmp_path / "week.json"
    event = {"title": "Payrolls", "country": "USD", "date": first["opened"].replace("Z", "+00:00"), "impact": "High"}
    week.write_text(json.dumps([event]))
    denied = done(market, *MOMENTUM, "--news", week, "--json").document["accounts"][0]["denials"]
    assert "NEWS" in {row["reason"] for row in denied}
    watching = tmp_path / "tbot.toml"
    watching.write_text('[news]\nhigh = "warn"\n')
    asked = (*MOMENTUM, "--news", week, "--config", watching, "--json")
    told = done(market, *asked).document["accounts"][0]["regimes"]["groups"]
    assert [group["trades"] for group in told if (group["dimension"], group["label"]) == ("news", "window")] == [1]
    week.write_text("<html>")
    assert "is no news file" in refused(9, market, *MOMENTUM, "--news", week)
