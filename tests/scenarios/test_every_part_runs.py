"""`tbot run` with everything that a trader may switch on: learning, dollar index, news and the report in its status.

Replay and backtest with the same parts: tests/parity/test_every_part.py; several accounts: test_two_accounts.py.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine_runs import assert_nothing_left, running, until

NEWS = """
[[event]]
at = 2026-11-20T20:00:00Z
currency = "USD"
title = "Minutes"
"""
SETTINGS = """
[learning]
mode = "on"
[dxy]
filter = "prefer"
[news]
high = "reduce"
files = ["{news}"]
"""
SHOWN: dict[str, Callable[[dict[str, Any]], bool]] = {
    "learning": lambda told: (told["mode"], told["problem"]) == ("on", ""),
    "dxy": lambda told: told["index"] is not None and told["filter"] == "prefer" and not told["problem"],
    "news": lambda told: [event["title"] for event in told["next"]] == ["Minutes"] and set(told["actions"]) == {"MNQ"},
    "accounts": lambda told: len(told) == 1,
    "report": lambda told: told["weekly"] is True,
}


@pytest.mark.long
@pytest.mark.timeout(400)
def test_a_run_shows_every_part_in_its_status(tmp_path: Path) -> None:
    news, settings = tmp_path / "own_news.toml", tmp_path / "tbot.toml"
    news.write_text(NEWS)
    settings.write_text(SETTINGS.format(news=news))
    arguments = ("run", "--config", str(settings), "--contracts", "MNQ", "--json")
    with running(tmp_path / "run", *arguments) as engine:
        engine.await_state("ACTIVE", 180)

        def shown() -> set[str]:
            status = engine.status()
            return {name for name, holds in SHOWN.items() if status.get(name) and holds(status[name])}

        until(lambda: shown() == set(SHOWN), "every part", 180, lambda: {name: engine.status()[name] for name in SHOWN})
        told = subprocess.run(
            [sys.executable, "-m", "tbot", "status", "--json"], capture_output=True, text=True, check=True,
            env={"TBOT_HOME": str(engine.home), "PATH": ""}, cwd=engine.home, timeout=60,
        )  # fmt: skip
        document = json.loads(told.stdout)
        assert {name for name, holds in SHOWN.items() if holds(document[name])} == set(SHOWN)
        run_dir = engine.run_dir()
        engine.interrupt()
        code, _ = engine.finish()
        assert code == 0, engine.stderr
        assert_nothing_left(engine, run_dir)
