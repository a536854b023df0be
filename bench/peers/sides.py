"""One side of a comparison as a process: commands go in, JSON lines come out (see protocol.py)."""

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LIMIT_S = 300.0  # of one command


class SideFailed(Exception):
    """A side ended or was too slow; the text is one line of why."""


def clean_environment(python: Path) -> dict[str, str]:
    """Ours without what would leak into another environment; the checkout on the path of our own interpreter."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TBOT_"))}
    if python == Path(sys.executable):
        kept["PYTHONPATH"] = os.pathsep.join(str(ROOT / part) for part in (".", "ext", "tests/support"))
    kept["SMC_CREDIT"] = "0"  # smartmoneyconcepts greets on import otherwise
    return kept


class Side:
    """A script in its interpreter, started with its job. `name` is told in errors."""

    def __init__(self, name: str, python: Path, script: str, job: dict[str, Any], folder: Path) -> None:
        self.name = name
        self._errors = (folder / f"{job['side']}.stderr").open("w+")
        self._process = subprocess.Popen(
            [str(python), "-W", "ignore", str(HERE / script), json.dumps(job | {"folder": str(folder)})],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True,
            env=clean_environment(python), cwd=folder,
        )  # fmt: skip
        try:
            self.measures: list[str] = self._read()["ready"]
        except SideFailed:
            self.close()
            raise

    def check(self, measure: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """(answer, outputs) of the first run."""
        answer = self._ask(f"check {measure}")
        with np.load(answer["out"]) as file:
            return answer, {name: file[name] for name in file.files}

    def round(self, measure: str) -> float:
        """CPU seconds of one more run."""
        return float(self._ask(f"round {measure}")["cpu_s"])

    def end(self) -> float:
        """Let it go; its peak memory in MB."""
        peak = float(self._ask("end")["peak_mb"])
        self.close()
        return peak

    def close(self) -> None:
        """Gone, whatever it was doing."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None and not stream.closed:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

    def _ask(self, command: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(command + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it ended: reading tells why
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        watch = threading.Timer(LIMIT_S, self._process.kill)
        watch.start()
        try:
            line = self._process.stdout.readline()
        finally:
            watch.cancel()
        if not line:
            raise SideFailed(f"{self.name} ended with {self._process.wait()}: {self._last_words()}")
        document = json.loads(line)
        assert isinstance(document, dict)
        return document

    def _last_words(self) -> str:
        self._errors.flush()
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors.read().splitlines() if line.strip()]
        raised = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b", line)] or lines
        return raised[-1][:300] if raised else "without a word"

    def __enter__(self) -> "Side":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def import_seconds(python: Path, modules: str, rounds: int = 3) -> float:
    """CPU seconds of importing these modules (comma-separated) in a fresh interpreter, the middle of several."""
    code = f"import time; a = time.process_time(); import {modules}; print(time.process_time() - a)"
    found = []
    for _ in range(rounds):
        done = subprocess.run(
            [str(python), "-W", "ignore", "-c", code], env=clean_environment(python), capture_output=True, text=True,
            check=False, timeout=120,
        )  # fmt: skip
        if done.returncode:
            last = done.stderr.strip().splitlines() or ["without a word"]
            raise SideFailed(f"import {modules} failed: {last[-1][:200]}")
        found.append(float(done.stdout.strip().splitlines()[-1]))
    return sorted(found)[len(found) // 2]
