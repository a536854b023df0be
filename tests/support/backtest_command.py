"""`tbot backtest` as tests call it, and data made for it: bars of the golden market as a file."""

import contextlib
import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import backtest_strategies
from golden_market import day_starts, golden_bars
from tbot.cli import run

DAYS = 7
STRATEGIES = Path(backtest_strategies.__file__)
MOMENTUM = ("--strategy", f"{STRATEGIES}:Momentum", "--no-null")
LIVELY = "[strategy]\nmin_score = 0.0\nmax_tests = 3\n[risk]\nrisk_per_trade_cents = 80000\n"


def golden_csv(path: Path, *, days: int = DAYS, year: int = 2026, without: tuple[int, int, int] = (0, 0, 0)) -> Path:
    """The first days of the golden market in quarters of a point; `without`: of this day no minute from..before."""
    lines = ["time,open,high,low,close,volume"]
    for number, (start, day) in enumerate(zip(day_starts()[:days], golden_bars(), strict=False)):
        for minute, (*prices, volume) in enumerate(day):
            if number == without[0] and without[1] <= minute < without[2]:
                continue
            at = datetime.fromtimestamp(start // 10**9 + 60 * minute, UTC).replace(year=year)
            lines.append(",".join([f"{at:%Y-%m-%dT%H:%M:%SZ}", *(f"{price / 4:.2f}" for price in prices), str(volume)]))
    path.write_text("\n".join(lines) + "\n")
    return path


@dataclass(frozen=True)
class Told:
    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """What stands on stderr, which must be one sentence."""
        assert self.err.startswith("tbot: "), self.err
        assert self.err.count("\n") == 1, self.err
        assert self.err.endswith("\n")
        assert "Traceback" not in self.err
        return self.err[6:-1]

    @property
    def verdict(self) -> str:
        """The last line of the report."""
        last = self.out.splitlines()[-1]
        assert last.startswith("VERDICT")
        return last

    @property
    def document(self) -> Any:
        assert self.out.count("\n") == 1
        return json.loads(self.out)


def backtest(*arguments: object) -> Told:
    """The real command line, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
        run(["backtest", *map(str, arguments)])
    assert isinstance(ended.value.code, int)
    return Told(ended.value.code, out.getvalue(), err.getvalue())


def done(*arguments: object) -> Told:
    told = backtest(*arguments)
    assert told.code == 0, told.err
    return told


def refused(code: int, *arguments: object) -> str:
    """The one sentence of a command that showed nothing."""
    told = backtest(*arguments)
    assert (told.code, told.out) == (code, ""), told
    return told.sentence


def feature(document: Any, key: str) -> Any:
    return next(one for one in document["accounts"][0]["honesty"] if one["feature"] == key)


def process(home: Path, *arguments: object) -> Told:
    done = subprocess.run(
        [sys.executable, "-m", "tbot", "backtest", *map(str, arguments)], capture_output=True, text=True, timeout=120,
        check=False, env={**os.environ, "TBOT_HOME": str(home)},
    )  # fmt: skip
    return Told(done.returncode, done.stdout, done.stderr)
