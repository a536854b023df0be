"""`tbot profile`: where a process of the running engine spends its time, by py-spy: flame graph and top table."""

import contextlib
import errno
import json
import os
import shutil
import signal
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tbot.commands.options import Filled
from tbot.errors import NO_ROOM, ConfigError, TbotError, missing_extra, unwritable

if TYPE_CHECKING:
    from tbot.commands.flame_graph import Row
    from tbot.commands.runs import Run

PROCESSES = ("executor", "feed", "launcher", "sim")
GUARDED = ("executor", "feed")  # hold a secret, except in mode sim (design ruling 7)
PATIENCE_S = 60.0  # beyond the time asked for: reading the symbols of all libraries takes a while
NOT_ALLOWED = ("permission denied", "operation not permitted", "eperm", "failed to suspend")


class NotProfiled(TbotError):
    """The profiler did not do its work."""


@click.command()
@click.option("--worker", metavar="SYMBOL", help="The worker of this contract.  [default: of the first contract]")
@click.option("--process", type=click.Choice(PROCESSES), help="Another process than a worker.")
@click.option(
    "--for", "duration", metavar="TIME", type=Filled(), default="30s", show_default=True, help="How long to look."
)
@click.option(
    "-o", "--out", type=click.Path(file_okay=False, path_type=Path), default=Path("profiles"), show_default=True,
    help="Folder for the flame graph.",
)  # fmt: skip
@click.option("--rate", type=click.IntRange(1, 1000), default=200, show_default=True, help="Samples a second.")
@click.option("--native/--no-native", default=True, show_default="native", help="Also compiled code.")
@click.option("--idle", is_flag=True, help="Also threads that wait.")
@click.option("--top", type=click.IntRange(1, 1000), default=20, show_default=True, help="Lines of the table.")
@click.option("--mode", type=click.Choice(("live", "paper", "sim")), help="Which engine, when several of them run.")
@click.option("--json", "json_output", is_flag=True, help="One JSON document.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def profile(
    worker: str | None,
    process: str | None,
    duration: str,
    out: Path,
    rate: int,
    native: bool,
    idle: bool,
    top: int,
    mode: str | None,
    json_output: bool,
    debug: bool,
) -> int:
    """Sample a process of the running engine: a flame graph (SVG) and a table of the lines with the most samples.

    Each sample holds the process up for about a millisecond: latencies measured meanwhile are not the engine's own.
    Needs the extra `profile` (py-spy) and the right to look into the process.
    """
    from tbot.commands import flame_graph
    from tbot.commands.options import parse_duration_s
    from tbot.commands.runs import the_run

    if worker and process:
        raise click.UsageError("--worker and --process exclude each other")
    for_s = max(1, round(parse_duration_s(duration)))  # py-spy counts whole seconds
    program = find_program()
    run = the_run(mode)
    name, pid = choose(run, worker, process)
    picture = out / f"{name}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.svg"
    options = [*(["--native"] if native else []), *(["--idle"] if idle else [])]
    with _place_of(picture):
        used_s = _sample(program, run, name, pid, for_s, ["--rate", str(rate), *options], picture)
        samples, rows = flame_graph.read(picture.read_text(encoding="utf-8"))
    if json_output:
        document = {
            "schema": "tbot.profile", "version": 1, "mode": run.mode, "process": name, "pid": pid,
            "seconds": for_s, "rate": rate, "samples": samples, "cpu_share": round(used_s / for_s, 4),
            "flame_graph": str(picture), "top": [asdict(row) for row in rows[:top]],
        }  # fmt: skip
        click.echo(json.dumps(document))
        return 0
    click.echo(f"{name} of the {run.name}, process {pid}: {used_s / for_s:.1%} of a core for {for_s} s")
    for line in table(samples, rows[:top]):
        click.echo(line)
    click.echo(f"flame graph: {picture}")
    return 0


@contextlib.contextmanager
def _place_of(picture: Path) -> Iterator[None]:
    """A file there to be written, before half a minute is spent on it; none of it stays when nothing came of it."""
    try:
        picture.parent.mkdir(parents=True, exist_ok=True)
        picture.touch()
    except OSError as error:
        raise unwritable(f"the folder {picture.parent}", error) from None
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            picture.unlink()
        raise


def find_program() -> str:
    """py-spy of this environment, or of the path; ConfigError without it."""
    program = shutil.which("py-spy", path=sysconfig.get_path("scripts")) or shutil.which("py-spy")
    if program is None:
        raise missing_extra("a profile", "py-spy", "profile")
    return program


def choose(run: "Run", worker: str | None, process: str | None) -> tuple[str, int]:
    """Name and pid of the process that is meant; ConfigError when the run has none such."""
    if process == "launcher":
        return process, run.pid
    status = run.status()
    told, contracts = status.get("processes"), status.get("contracts")
    processes: dict[str, Any] = told if isinstance(told, dict) else {}
    name = process or worker_of(worker, list(contracts) if isinstance(contracts, dict) else [], processes)
    pid = processes[name].get("pid") if isinstance(processes.get(name), dict) else None
    if not isinstance(pid, int) or pid <= 0:
        there = ", ".join(sorted(processes)) or "it has not said which it has; try again in a moment"
        raise ConfigError(f"the {run.name} has no process {name} now; there are: launcher, {there}")
    return name, pid


def worker_of(symbol: str | None, symbols: list[str], processes: dict[str, Any]) -> str:
    """The process of a contract (None: of the first one): its own, or one that several contracts share."""
    chosen = symbol.upper() if symbol else next(iter(symbols), "")
    own = f"worker-{chosen}"
    if own in processes:
        return own
    if chosen not in symbols:
        raise ConfigError(f"this run has no contract {chosen}; it has {', '.join(symbols) or 'told of none yet'}")
    count = sum(name.startswith("worker-") for name in processes)  # the contracts were dealt out in turn
    return f"worker-{symbols.index(chosen) % max(1, count)}"


def _sample(
    program: str, run: "Run", name: str, pid: int, for_s: int, options: list[str], picture: Path
) -> float:
    """Let py-spy look for so long; processor time (s) that the process used meanwhile."""
    import psutil

    command = [program, "record", "--pid", str(pid), "--duration", str(for_s), *options, "--output", str(picture)]
    try:
        watched = psutil.Process(pid)
        before = watched.cpu_times()
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=for_s + PATIENCE_S)
        after = watched.cpu_times()
    except psutil.NoSuchProcess:
        raise NotProfiled(f"{name} (process {pid}) ended meanwhile; see tbot status, then profile again") from None
    except subprocess.TimeoutExpired:
        raise NotProfiled(
            f"py-spy did not come to its end within {for_s + PATIENCE_S:g} s; try --no-native or a lower --rate"
        ) from None
    if done.returncode != 0:
        full = [number for number in NO_ROOM if f"(os error {number})" in done.stderr]
        if full or done.returncode == -signal.SIGXFSZ:
            number = full[0] if full else errno.EFBIG
            raise unwritable(f"the folder {picture.parent}", OSError(number, os.strerror(number)))
        raise NotProfiled(why_not(run.mode, name, done.stderr))
    return float(after.user + after.system - before.user - before.system)


def why_not(mode: str, name: str, said: str) -> str:
    """What py-spy's last words mean for a person."""
    if not any(word in said.lower() for word in NOT_ALLOWED):
        words = [line.strip() for line in said.splitlines() if line.strip()]
        error = next((line for line in words if line.lower().startswith("error")), words[-1] if words else "no word")
        return f"py-spy could not profile {name} ({error}); see that it runs (tbot status), then try again"
    if name in GUARDED and mode != "sim":
        return (
            f"{name} holds a login and lets nobody look into it in mode {mode}; profile it in a demo run (tbot run), "
            "or a worker with --worker"
        )
    return (
        f"this system does not let one process look into another (ptrace), so {name} cannot be profiled; run the "
        "command as root, or allow it until the next start with sysctl kernel.yama.ptrace_scope=0"
    )


def table(samples: int, rows: "list[Row]") -> list[str]:
    """The rows in words, for a person; a note when the process did nothing."""
    if not samples:
        return ["no samples: it waited all the time; look for longer, or with --idle"]
    lines = [f"{'own':>7}{'total':>8}  function  ({samples} samples)"]
    for row in rows:
        where = f"  {row.where}" if row.where else ""
        lines.append(f"{row.own / samples:>7.1%}{row.total / samples:>8.1%}  {row.function}{where}")
    return lines
