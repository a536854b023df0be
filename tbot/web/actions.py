"""What a person can do from the page: pause, flatten, kill. Each is the command of the same name, started and watched.

Why a process of its own: the page then does exactly what the command line does, by the one way that is tested for it,
and a kill that was begun goes on when the page, or the program behind it, ends. Trading again (`tbot resume`) is not
offered: over HTTP one can stop and flatten only (F-SEC-03).
"""

import asyncio
import contextlib
import json
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tbot.gateway.redact import redact

Verb = Literal["pause", "flatten", "kill"]
Phase = Literal["requested", "acknowledged", "done", "flat", "refused", "not_flat", "failed"]

VERBS: tuple[Verb, ...] = ("pause", "flatten", "kill")
EXIT_REFUSED, EXIT_NOT_FLAT = 6, 11
ALARM_AFTER_S = 10.0  # not flat by then: the page says so loudly
MOST_LINES = 50
MOST_JOBS = 16
_LINE_BYTES = 64 * 1024
# What `tbot flatten` and `tbot kill` print when an engine has answered for an account.
_ANSWERED = re.compile(r"^\w+ run, account \d+")


@dataclass
class Job:
    """One command under way, as it tells of itself."""

    verb: Verb
    account: int | None
    mode: str | None
    begun_s: float  # monotonic
    phase: Phase = "requested"
    acknowledged: bool = False  # an engine said that it has it
    lines: list[str] = field(default_factory=list)
    exit_code: int | None = None
    text: str = ""
    ended_s: float | None = None

    @property
    def over(self) -> bool:
        return self.exit_code is not None

    def document(self, now_s: float) -> dict[str, Any]:
        """For the page."""
        seconds = (self.ended_s or now_s) - self.begun_s
        alarming = self.phase in ("not_flat", "failed") or (
            self.verb != "pause" and not self.over and seconds > ALARM_AFTER_S
        )
        return {
            "verb": self.verb, "account": self.account, "mode": self.mode, "phase": self.phase, "over": self.over,
            "acknowledged": self.acknowledged,
            "seconds": round(seconds, 1), "lines": self.lines, "exit_code": self.exit_code, "text": self.text,
            "alarming": alarming,
        }  # fmt: skip


Spawn = Callable[[Sequence[str]], Any]  # arguments -> an asyncio process, awaited


async def spawn(arguments: Sequence[str]) -> asyncio.subprocess.Process:
    """`tbot <arguments>` in a session of its own, so that Ctrl-C in our terminal does not reach it."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tbot", *arguments,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        start_new_session=True, limit=_LINE_BYTES, env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip


class Actions:
    """Starts commands and keeps the newest ones. `options`: what every command gets, by verb."""

    def __init__(self, options: dict[Verb, tuple[str, ...]], start: Spawn = spawn) -> None:
        self._options, self._start = options, start
        self.jobs: dict[int, Job] = {}
        self._number = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, verb: Verb, account: int | None, mode: str | None) -> int:
        """Start a command; its number. What runs already for the same accounts is not started a second time."""
        for number, job in self.jobs.items():
            if not job.over and (job.verb, job.account, job.mode) == (verb, account, mode):
                return number
        self._number += 1
        job = Job(verb, account, mode, time.monotonic())
        self.jobs[self._number] = job
        for number in [number for number, old in self.jobs.items() if old.over][:-MOST_JOBS]:
            del self.jobs[number]
        arguments = [verb, "--json", *self._options.get(verb, ())]
        arguments += [] if account is None else ["--account", str(account)]
        arguments += [] if mode is None else ["--mode", mode]
        task = asyncio.get_running_loop().create_task(self._watch(job, arguments))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return self._number

    def newest(self) -> Job | None:
        """The command that was begun last."""
        return self.jobs.get(self._number)

    async def settle(self) -> None:
        """Wait until every command has ended."""
        while self._tasks:
            await asyncio.wait(list(self._tasks))

    async def _watch(self, job: Job, arguments: Sequence[str]) -> None:
        try:
            process = await self._start(arguments)
        except OSError as error:
            _end(job, 1, f"tbot {job.verb} could not be started ({error.strerror}); run it in a terminal NOW")
            return
        document, _ = await asyncio.gather(process.stdout.read(), self._listen(job, process.stderr))
        code = await process.wait()
        told: dict[str, Any] = {}
        with contextlib.suppress(ValueError):
            told = json.loads(document) if document.strip() else {}
        last = job.lines[-1].removeprefix("tbot: ") if job.lines else ""
        _end(job, code, redact(str(told.get("text") or "")) or (last if code else ""), flat=told.get("flat"))

    async def _listen(self, job: Job, stream: asyncio.StreamReader) -> None:
        while True:
            try:
                line = await stream.readline()
            except ValueError:  # longer than the limit
                continue
            if not line:
                return
            text = redact(line.decode(errors="replace").strip())
            if text:
                job.lines = [*job.lines, text][-MOST_LINES:]
            if _ANSWERED.match(text) and f": {job.verb} refused:" not in text and not job.acknowledged:
                job.acknowledged, job.phase = True, "acknowledged"


def _end(job: Job, code: int, text: str, *, flat: Any = None) -> None:
    job.ended_s, job.text = time.monotonic(), text
    if code == EXIT_NOT_FLAT:
        job.phase = "not_flat"
    elif code == EXIT_REFUSED:
        job.phase = "refused"
    elif code:
        job.phase = "failed"
    elif job.verb == "pause":
        job.phase = "done"
    else:
        # The command proves it, or nobody has: an exit code alone is no proof.
        job.phase = "flat" if flat is True else "failed"
    job.exit_code = code
