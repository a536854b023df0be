"""`tbot news`: what comes, for whom, what happens then, and how far the calendar can be trusted."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from json_shape import same
from shared_data import shared
from tbot.cli import root
from tbot.config import load
from tbot.context.news_sources import fetches
from tbot.errors import ConfigError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TBOT_HOME", str(tmp_path))
    return tmp_path


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(root, ["news", *map(str, arguments)], catch_exceptions=False)


def told(*arguments: Any) -> dict[str, Any]:
    result = run("--json", *arguments)
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


OWN = "at,currency,impact,title\n{}\n"


def test_without_any_calendar_it_says_so_and_what_holds(home: Path) -> None:
    document = told()
    same(document)
    assert (document["schema"], document["stale"], document["age_s"], document["events"]) == (
        "tbot.news",
        True,
        None,
        [],
    )
    assert document["contracts"]["MNQ"]["action"] == "warn"
    text = run().stdout
    assert "STALE: there is no calendar" in text
    assert 'stale = "warn"' in text


def test_rows_of_the_owner_with_window_and_contracts(home: Path) -> None:
    rows = ["2026-12-10T13:30:00Z,USD,High,CPI m/m", "2026-12-10T12:00:00Z,EUR,High,Rate", "2026-12-11,ALL,Low,Summit"]
    (home / "news.csv").write_text(OWN.format("\n".join(rows)))
    document = told("--at", "2026-12-10T11:57:00Z", "--contracts", "MNQ,6E")
    first, second = document["events"]
    assert (first["title"], first["contracts"], first["in_s"], first["cpi"]) == ("Rate", ["6E"], 180, False)
    assert (second["title"], second["contracts"], second["cpi"]) == ("CPI m/m", ["MNQ", "6E"], True)
    assert (second["from"], second["until"]) == ("2026-12-10T13:25:00Z", "2026-12-10T13:35:00Z")
    assert {name: row["action"] for name, row in document["contracts"].items()} == {"MNQ": "none", "6E": "block"}
    assert [row["day"] for row in document["untimed"]] == ["2026-12-11"]
    text = run("--at", "2026-12-10T11:57:00Z", "--contracts", "MNQ", "--tz", "America/Chicago").stdout
    assert "Thu 10 Dec 07:30" in text
    assert "block          07:25-07:35  MNQ  CPI limits" in text
    assert "none of these contracts" in text


def test_settings_change_what_happens(home: Path) -> None:
    config = home / "tbot.toml"
    config.write_text(
        '[news]\nhigh = "reduce"\nhigh_before_min = 15\nreduce_percent = 30\nfiles = ["own.toml"]\n'
        '[news.affects]\nUSD = ["MGC"]\n[engine]\ncontracts = ["MNQ", "MGC"]\n'
    )
    (home / "own.toml").write_text('[[event]]\nat = 2026-12-10T13:30:00Z\ntitle = "FOMC Statement"\n')
    settings = load(config).news
    assert settings.files == ("own.toml",)
    document = told("--config", config, "--file", home / "own.toml", "--at", "2026-12-10T13:20:00Z")
    assert {name: (row["action"], row["percent"]) for name, row in document["contracts"].items()} == {
        "MNQ": ("none", 100), "MGC": ("reduce", 30),
    }  # fmt: skip
    assert "cannot be read" in document["problems"][0]  # own.toml lies elsewhere than the command runs
    assert "problem: the news file own.toml" in run("--config", config, "--at", "2026-12-10T13:20:00Z").stdout


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ('[news]\nhigh = "stop"', "high must be one of"),
        ("[news]\nhigh_before_min = 5.5", "news.high_before_min: must be a whole number"),
        ('[news]\nfiles = "x"', "news.files: must be a list of texts"),
        ("[news]\nwhen = 1", "news.when is not an option"),
        ('[dxy]\nfilter = "on"', "filter must be one of"),
        ("[dxy]\npoints = true", "dxy.points: must be a number"),
    ],
)
def test_wrong_settings_are_named(home: Path, text: str, match: str) -> None:
    path = home / "tbot.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=match):
        load(path)


@pytest.mark.shared_data
def test_a_real_week_and_its_age(home: Path) -> None:
    week = shared("market/calendar/ff_calendar_thisweek_2026-08-12T19-34.json")
    document = told("--file", week, "--at", "2026-08-12T12:26:00Z", "--next", 100, "--impact", "high")
    assert [row["title"] for row in document["events"][:4]] == ["Core CPI m/m", "Core CPI y/y", "CPI m/m", "CPI y/y"]
    assert {row["impact"] for row in document["events"]} == {"High"}
    assert document["contracts"]["MNQ"] == {
        "action": "block", "percent": 100, "cpi": True, "stale": document["contracts"]["MNQ"]["stale"],
        "until": "2026-08-12T12:35:00Z",
    }  # fmt: skip
    assert document["sources"][0]["events"] == 74


@pytest.mark.parametrize("text", ["<html></html>", "[]", ""])
def test_a_file_that_is_none_is_a_problem_and_no_failure(home: Path, text: str) -> None:
    (home / "week.json").write_text(text)
    document = told("--file", home / "week.json")
    assert (document["stale"], len(document["problems"])) == (True, 1)


def test_who_asks_the_public_address(home: Path) -> None:
    settings = load(None).news
    assert [mode for mode in ("sim", "paper", "live", "replay", "backtest") if fetches(settings, mode)] == [
        "paper",
        "live",
    ]
