"""`tbot report` as a person meets it: what is written, what is said, what is refused, and what is never imported."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from json_shape import same
from report_week import Trade, a_week, write_week
from tbot.commands.report import report
from tbot.engine.temporary_state import fresh_state
from tbot.errors import ConfigError, DataError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TBOT_HOME", str(tmp_path))
    folder = tmp_path / "paper"
    folder.mkdir()
    (folder / "status.json").write_text("{}")
    write_week(folder / "journal.db", a_week(n=12), mode="paper")
    return tmp_path


def call(*arguments: str) -> Result:
    return CliRunner().invoke(report, arguments, standalone_mode=False, catch_exceptions=False)


def test_the_document_on_stdout_writes_nothing(home: Path) -> None:
    told = json.loads(call("--json").output)
    same(told)
    assert (told["schema"], told["version"], told["badge"], told["week"]) == ("tbot.report", 1, "PAPER", "2026-W47")
    assert told["figures"]["trades"] == 12
    assert not (home / "paper" / "reports").exists()


def test_a_report_of_an_account_that_is_not_in_the_journal_is_refused(home: Path) -> None:
    with pytest.raises(click.UsageError, match="account 5 is not in this journal, whose runs traded 1001 "):
        call("--json", "--account", "5")
    assert json.loads(call("--json", "--account", "1001").output)["figures"]["trades"] == 12


def test_chosen_forms_go_where_they_are_wanted(home: Path) -> None:
    out = home / "mine"
    done = call("--week", "2026-W47", "--format", "json,html", "--out", str(out))
    names = sorted(path.name for path in out.iterdir())
    assert names == ["tbot-report-paper-2026-W47.html", "tbot-report-paper-2026-W47.json"]
    lines = done.output.splitlines()
    assert lines[0] == "PAPER · Week 47 of 2026 · SIM-1001 · Mon 16 Nov – Fri 20 Nov 2026"
    assert lines[-2:] == [f"written {out / name}" for name in names]
    assert any(line.startswith("Equal to the cent to the broker's trades in the journal") for line in lines)
    assert (out / names[0]).stat().st_mode & 0o077 == 0


def test_files_that_a_later_run_removes_are_told(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = fresh_state("sim")
    write_week(folder / "journal.db", a_week(n=3), mode="demo")
    words = "temporary: a later run removes it; --out DIR keeps it"
    state = ("--state-dir", str(folder), "--format", "json")
    assert call(*state).output.splitlines()[-1] == words
    assert words not in call(*state, "--out", str(home / "mine")).output
    assert words not in call("--format", "json").output  # a state that stays


def test_all_forms_by_default_beside_the_journal(home: Path) -> None:
    call()
    made = sorted((home / "paper" / "reports").iterdir())
    assert [path.suffix for path in made] == [".html", ".json", ".pdf", ".png"]
    heads = {path.suffix: path.read_bytes()[:8] for path in made}
    assert heads[".pdf"].startswith(b"%PDF-")
    assert heads[".png"] == b"\x89PNG\r\n\x1a\n"
    assert heads[".html"] == b"<!doctyp"


def test_days_instead_of_a_week(home: Path) -> None:
    told = json.loads(call("--json", "--from", "2026-11-17", "--to", "2026-11-18").output)
    assert (told["week"], told["first_day"], told["last_day"]) == (None, "2026-11-17", "2026-11-18")
    assert {row["day"] for row in told["trades"]} == {"2026-11-17", "2026-11-18"}
    to_the_end = json.loads(call("--json", "--from", "2026-11-17").output)
    assert to_the_end["last_day"] == "2026-11-20"


def test_differences_are_listed_by_id(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    write_week(folder / "journal.db", [Trade("2026-11-17T15:00:00", 5)], broker_error=3)
    done = call("--state-dir", str(folder), "--format", "json")
    assert "1 difference from the broker's trades in the journal" in done.output
    [one] = json.loads(call("--state-dir", str(folder), "--json").output)["broker"]["differences"]
    assert one["kind"] == "gross"
    assert one["trade_ids"] == [3, 4]
    assert round(100 * (one["broker_usd"] - one["ours_usd"])) == 3


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        (("--week", "47"), ConfigError, "write it like 2026-W47"),
        (("--week", "2026-W60"), ConfigError, "2026 has no week 60"),
        (("--from", "Monday"), ConfigError, "write it like 2026-11-16"),
        (("--from", "2026-11-18", "--to", "2026-11-17"), ConfigError, "before that"),
        (("--format", "doc"), ConfigError, "'doc' is not known"),
        (("--format", ""), ConfigError, "not known"),
        (("--tz", "Mars"), ConfigError, "time zone 'Mars'"),
        (("--week", "2027-W01"), DataError, "name an earlier week"),
        (("--week", "2026-W47", "--from", "2026-11-17"), click.UsageError, "exclude each other"),
    ],
)
def test_bad_requests_get_one_sentence(
    home: Path, arguments: tuple[str, ...], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        call(*arguments)


def test_without_a_journal_it_says_so(home: Path) -> None:
    (home / "empty").mkdir()
    with pytest.raises(DataError, match="there is no journal in"):
        call("--state-dir", str(home / "empty"))


def test_a_folder_that_cannot_be_written_is_told(home: Path) -> None:
    (home / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        call("--out", str(home / "file" / "deep"), "--format", "json")


@pytest.mark.parametrize("module", ["matplotlib", "jinja2", "markupsafe"])
@pytest.mark.parametrize("form", ["html", "pdf", "png", "json"])
def test_missing_extras_are_one_sentence_with_the_command(
    home: Path, module: str, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    needed = form == "html" or (form != "json" and module == "matplotlib")
    if needed:
        with pytest.raises(ConfigError, match=r"pip install 'tbot\[report\]'"):
            call("--format", form)
        assert not list((home / "paper" / "reports").glob("*"))
    else:
        assert "written" in call("--format", form).output


def test_without_the_extra_the_figures_are_shown_all_the_same(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody asked for a page: what can be made is made, and the rest is told."""
    monkeypatch.setattr(sys.modules["tbot.commands.report"], "lacking", lambda: ["matplotlib"])
    said = call()
    assert "Net P&L" in said.stdout
    assert "only JSON was made" in said.stderr
    assert [path.suffix for path in (home / "paper" / "reports").iterdir()] == [".json"]


def test_in_the_background_it_leaves_word(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lowered: list[int] = []
    monkeypatch.setattr(os, "nice", lowered.append)
    out = home / "paper" / "reports"
    done = call("--background", "--week", "2026-W47", "--out", str(out), "--format", "json")
    assert (done.return_value, done.output, lowered) == (0, "", [19])
    told = json.loads((out / "last.json").read_text())
    assert told["paths"] == [str(out / "tbot-report-paper-2026-W47.json")]
    assert (told["label"], told["failure"]) == ("2026-W47", "")
    whole = json.loads(call("--json").output)
    assert told["net_usd"] == whole["figures"]["net_usd"]


def test_in_the_background_a_failure_is_word_too(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "nice", lambda _: 0)
    out = home / "paper" / "reports"
    done = call("--background", "--week", "2027-W10", "--out", str(out))
    assert done.return_value == 9
    told = json.loads((out / "last.json").read_text())
    assert (told["paths"], told["label"]) == ([], "2027-W10")
    assert "name an earlier week" in told["failure"]


def test_in_the_background_a_week_in_which_nothing_ran_is_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "nice", lambda _: 0)
    out = home / "paper" / "reports"
    assert call("--background", "--week", "2026-W40", "--out", str(out)).return_value == 0
    assert not out.exists()


def test_core_commands_import_nothing_of_it() -> None:
    """matplotlib and jinja2 come when something is drawn, and never with the command itself."""
    code = (
        "import sys, tbot.cli, tbot.commands.report, tbot.engine.supervisor, tbot.engine.weekly\n"
        "print([name for name in ('matplotlib', 'jinja2', 'tbot.analytics.report') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_trader_reads_it_on_the_terminal(home: Path) -> None:
    lines = call("--format", "json").output.splitlines()
    names = [line.strip().split("  ")[0] for line in lines[1:] if line.startswith("  ")]
    assert names[:4] == ["Net P&L", "Trade win %", "Profit factor", "Max drawdown"]
    assert "Least room to daily limit" in names
    assert not any("nan" in line.lower().split() or "inf" in line.lower().split() for line in lines)
