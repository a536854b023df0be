"""The pages about learning, accounts, news and the dollar, messages and reports: their examples run as they stand."""

import http.server
import os
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from lively_tape import lively
from outcome_rows import NOON_NS, joined, outcome
from tbot.cli import root
from tbot.domain.contracts import PRODUCTS
from tbot.storage.pattern_store import FILE_NAME, PatternStore
from tbot.storage.tape import TapeWriter, tape_meta

DOCS = Path(__file__).resolve().parents[2] / "docs"
SETTINGS = ("accounts.md", "patterns.md", "report.md")


def blocks(page: str, language: str) -> list[str]:
    """Code blocks of a language, in their order."""
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    found = [text for name, text in fences if name == language]
    assert found, f"{page} has no {language}"
    return found


def shell(folder: Path, script: str, told: str = "", patience_s: float = 120) -> str:
    """What a reader's shell says in `folder`, with the programs of this environment first and at `.venv/bin`."""
    programs = Path(sys.executable).parent
    (folder / ".venv").mkdir(exist_ok=True)
    (folder / ".venv" / "bin").symlink_to(programs)
    clean = {name: text for name, text in os.environ.items() if not name.startswith("TBOT_")}
    own = {"TBOT_HOME": str(folder / "home"), "PATH": f"{programs}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", f"set -eu\n{script}"], cwd=folder, input=told, capture_output=True, text=True, check=False,
        env={**clean, **own}, timeout=patience_s,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout, done.stderr)
    return done.stdout


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A home with the newest run's state, in which outcomes were kept."""
    folder = tmp_path / "home" / "paper"
    folder.mkdir(parents=True)
    (folder / "status.json").write_text("{}")
    rows = joined([outcome(NOON_NS + n, n % 2 > 0, zone_id=n) for n in range(6)])
    with PatternStore(folder / FILE_NAME) as store:
        store.add("MNQ", rows)
    return folder


@pytest.mark.parametrize("page", SETTINGS)
def test_settings_of_the_pages_are_settings(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TBOT_HOME", str(tmp_path))
    for text in blocks(page, "toml"):
        file = tmp_path / "tbot.toml"
        file.write_text(text)
        done = CliRunner().invoke(root, ["config", "validate", str(file)], standalone_mode=False)
        assert done.exception is None, (text, done.exception)


def test_the_rows_of_news_are_news(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TBOT_HOME", str(tmp_path))
    (text,) = blocks("context.md", "toml")
    (tmp_path / "news.toml").write_text(text)
    (row,) = tomllib.loads(text)["event"]
    done = CliRunner().invoke(root, ["news", "--at", "2026-12-10T13:00:00Z"], catch_exceptions=False)
    assert row["title"] in done.output


def test_the_page_about_learning_runs(state: Path, tmp_path: Path) -> None:
    for symbol in ("MGC", "MNQ"):
        tape = tmp_path / f"{symbol}.tape"
        with TapeWriter(tape, tape_meta([PRODUCTS[symbol]], "test")) as writer:
            writer.write(lively((symbol,), minutes=240))
        as_parquet(tape, tmp_path / f"{symbol}.parquet")
    said = shell(tmp_path, "".join(blocks("learning.md", "sh")), told="y\n")
    assert "MNQ      15m order block" in said
    assert "frozen: the weights in force stay" in said
    assert "reset: all weights are 1" in said
    assert "verdict: nothing is shown" in said


def as_parquet(tape: Path, out: Path) -> None:
    done = CliRunner().invoke(root, ["record", "export", str(tape), "--out", str(out)], catch_exceptions=False)
    assert done.exit_code == 0, done.output


class Taker(http.server.BaseHTTPRequestHandler):
    """A service that takes every message."""

    taken: list[bytes]

    def do_POST(self) -> None:
        self.taken.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the screen."""


@pytest.fixture
def taker() -> Iterator[tuple[int, list[bytes]]]:
    """(port, what was taken)."""
    taken: list[bytes] = []
    handler = type("Handler", (Taker,), {"taken": taken})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1], taken
        server.shutdown()


def test_the_page_about_messages_runs(tmp_path: Path, taker: tuple[int, list[bytes]]) -> None:
    port, taken = taker
    (script,) = blocks("notify.md", "sh")
    assert script.count(":8080/") == 1
    shell(tmp_path, script.replace(":8080/", f":{port}/"))  # a port that is free here
    assert len(taken) == 1
    assert b"T-BOT" in taken[0]


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_page_about_reports_runs(tmp_path: Path) -> None:
    said = shell(tmp_path, "".join(blocks("report.md", "sh")), patience_s=500)
    written = [Path(line.removeprefix("written ")) for line in said.splitlines() if line.startswith("written ")]
    assert [path.suffix for path in written] == [".html", ".pdf", ".png", ".json"]
    assert all(path.stat().st_size > 1_000 for path in written)
    assert "Equal to the cent to" in said
    (code,) = blocks("report.md", "python")
    (tmp_path / "state").symlink_to(written[0].parent.parent)
    week = written[0].stem.rpartition("demo-")[2]
    assert code.count("2026-W47") == 1
    done = subprocess.run(
        [sys.executable, "-c", code.replace("2026-W47", week)], cwd=tmp_path, capture_output=True, text=True,
        check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert sorted(path.suffix for path in (tmp_path / "out").iterdir()) == [".json", ".png"]
