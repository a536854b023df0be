"""One work from its environment to its rows. Whatever fails is a row with its reason, never the end of the run."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from sides import Side, SideFailed, import_seconds
from table import Row
from works import Peer, Prepared, Work

import interop_env

INSTALL_LIMIT_S = 900  # a first installation of the larger ones on a slow line
ROUNDS, QUICK_ROUNDS = 7, 2
LONG_S, ENDLESS_S = 4.0, 30.0  # a first run beyond these: three rounds, one round
Say = Callable[[str], None]


def environment(peer: Peer) -> tuple[Path | None, str]:
    """(its interpreter, "") or (None, why not)."""
    interop_env.BUILD_LIMIT_S = INSTALL_LIMIT_S
    base = None
    if peer.python is not None:
        base = interop_env.find_python(peer.python)
        if base is None:
            return None, f"needs Python {peer.python[0]}.{peer.python[1]} or newer, and there is none on this machine"
    try:
        return interop_env.python_env(*peer.requirements, python=base), ""
    except (AssertionError, OSError, subprocess.SubprocessError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        told = [line for line in lines if line.startswith("ERROR")] or lines[:1]
        return None, f"its installation failed: {told[-1][:200]}"


def version_of(python: Path, package: str) -> str:
    """The installed version, and the Python it runs on."""
    code = "import sys, importlib.metadata as m; print(m.version(sys.argv[1]), 'on Python', *sys.version_info[:2])"
    done = subprocess.run([str(python), "-c", code, package], capture_output=True, text=True, check=False, timeout=60)
    version, _, python_version = done.stdout.strip().rpartition(" on Python ")
    return f"{version} on Python {python_version.replace(' ', '.')}" if version else "?"


def rounds_for(first_s: float, quick: bool) -> int:
    """How often to measure what took so long the first time."""
    if first_s > ENDLESS_S:
        return 1
    return QUICK_ROUNDS if quick else 3 if first_s > LONG_S else ROUNDS


def compare(work: Work, quick: bool, say: Say) -> list[Row]:
    """The rows of one work."""
    what = work.pairs[0][0] if len(work.pairs) == 1 else work.name
    say("environment")
    python, reason = environment(work.peer)
    if python is None:
        return [Row(what, work.peer.package, reason=reason)]
    peer = f"{work.peer.package} {version_of(python, work.peer.package)}"
    folder = Path(tempfile.mkdtemp(prefix="tbot-peers-"))
    try:
        say("data")
        return _measured(work, peer, python, work.prepare(folder, quick), folder, quick, say)
    except (SideFailed, RuntimeError, OSError, subprocess.SubprocessError) as error:
        return [Row(what, peer, reason=str(error) or type(error).__name__)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _measured(work: Work, peer: str, python: Path, data: Prepared, folder: Path, quick: bool, say: Say) -> list[Row]:
    say("imports")
    own = Path(sys.executable)
    imports = import_seconds(python, work.peer.modules), import_seconds(own, work.our_modules)
    say(f"both sides start on {data.source}")
    rows = []
    with (
        Side(work.peer.package, python, work.script, data.theirs | {"side": "theirs"}, folder) as theirs,
        Side("ours", own, work.our_script, data.ours | {"side": "ours"}, folder) as ours,
    ):
        for what, their_name, our_name in work.pairs:
            if our_name not in ours.measures:
                rows.append(Row(what, peer, reason="our side needs an extra that is not installed here"))
                continue
            say(f"{what}: check")
            answer, output = theirs.check(their_name)
            our_answer, our_output = ours.check(our_name)
            told = (data.equals or {}).get((their_name, our_name), data.equal)(output, our_output)
            row = Row(what, peer, data.source, work.unit, work.shape)
            row.equal, row.import_s, row.notes = told, imports, answer["notes"]
            count = rounds_for(answer["cpu_s"], quick)
            for number in range(1, count + 1):  # one and the other: what disturbs the machine disturbs both
                say(f"{what}: round {number} of {count}")
                row.theirs.append(theirs.round(their_name) / answer["units"])
                row.ours.append(ours.round(our_name) / our_answer["units"])
            rows.append(row)
        memory = theirs.end(), ours.end()
    for row in rows:
        row.memory_mb = memory
    return rows
