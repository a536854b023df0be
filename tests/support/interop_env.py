"""Environments of third-party programs: made by the test run, kept in a cache folder, never mixed with ours.

An environment is built under a name of its own and renamed when it is whole, so an interrupted run leaves nothing that
looks finished. Its name says what is in it and for which interpreter, so a second run finds it at once.
"""

import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import platformdirs
import pytest

# The Python clients, by the name of their test module: what to install, and the Python it needs if not ours.
CLIENTS: dict[str, tuple[str, tuple[int, int] | None]] = {
    "project_x_py": ("project-x-py==4.4.1", (3, 12)),
    "topstep_sdk": ("topstep-sdk==0.1.4", (3, 12)),
    "projectx_sdk": ("projectx-sdk==0.2.39", None),
    "topstep_client": ("topstep-client-py==0.1.1", None),
    "pysignalr": ("pysignalr>=1.3,<1.4", None),
    "signalrcore": ("signalrcore>=1.0,<1.1", None),
    "smartmoneyconcepts": ("smartmoneyconcepts==0.0.27", None),
    "backtesting": ("backtesting==0.6.6", None),
    "empyrical": ("empyrical-reloaded==0.7.1", None),
}
BUILD_LIMIT_S = 240
PROBE_LIMIT_S = 20
_announced: dict[str, threading.Event] = {}  # clients whose environment is made in the background: it is done
_BUILD = re.compile(r"\.build-(\d+)-")


def cache_root() -> Path:
    """Where environments are kept: TBOT_INTEROP_CACHE, else the user's cache folder."""
    chosen = os.environ.get("TBOT_INTEROP_CACHE")
    return Path(chosen) if chosen else platformdirs.user_cache_path("tbot-tests") / "interop"


def client_python(name: str) -> Path:
    """The interpreter with one of CLIENTS. Skips when that needs a newer Python than there is."""
    requirement, minimum = CLIENTS[name]
    python = None if minimum is None else newer_python(minimum)
    if name in _announced:
        _announced[name].wait(BUILD_LIMIT_S)
    return python_env(requirement, python=python)


def prepare(names: list[str]) -> threading.Thread:
    """Make these clients' environments one after the other while tests run; whatever fails is left to the tests."""
    _announced.update({name: threading.Event() for name in names})

    def work() -> None:
        for name in names:
            requirement, minimum = CLIENTS[name]
            python = None if minimum is None else find_python(minimum)
            try:
                if minimum is None or python is not None:
                    python_env(requirement, python=python)
            except (AssertionError, OSError, subprocess.SubprocessError):
                pass  # the test asks again and says what is wrong
            finally:
                _announced[name].set()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def python_env(*requirements: str, python: Path | None = None) -> Path:
    """The interpreter of an environment with these packages; `python`: whose, default the one that runs the tests."""
    base = Path(sys.executable) if python is None else python
    version = _version(base)
    assert version is not None, f"{base} does not run"
    text = json.dumps([sorted(requirements), version, str(base.resolve())])
    name = f"python{version[0]}.{version[1]}-{_slug(requirements)}-{_digest(text)}"

    def build(folder: Path) -> None:
        _run(str(base), "-m", "venv", str(folder))
        pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input")
        _run(str(folder / "bin" / "python"), *pip, *requirements)

    folder = cached(name, build, lambda folder: _version(folder / "bin" / "python") == version)
    return folder / "bin" / "python"


def node_env(*requirements: str) -> tuple[Path, Path]:
    """(node, folder whose node_modules has these packages). Without node: skipped, but a failure where CI is set."""
    node = find_node()
    if node is None:
        if os.environ.get("CI"):
            pytest.fail("node (18 or newer) and npm are needed for the official JavaScript client")
        pytest.skip("no node (18 or newer) with npm on PATH")

    def build(folder: Path) -> None:
        folder.mkdir()
        (folder / "package.json").write_text('{"private": true}\n')
        quiet = ("--silent", "--no-audit", "--no-fund", "--no-update-notifier")
        _run("npm", "install", *quiet, *requirements, cwd=folder)

    version = _output(str(node), "--version")
    name = f"node{version.lstrip('v').split('.')[0]}-{_slug(requirements)}-{_digest(json.dumps([*requirements]))}"
    return node, cached(name, build, lambda folder: (folder / "node_modules").is_dir())


def newer_python(minimum: tuple[int, int]) -> Path:
    """An interpreter of at least this version that really runs and can make environments; skips without one."""
    found = find_python(minimum)
    if found is None:
        pytest.skip(f"no Python {minimum[0]}.{minimum[1]} or newer on PATH or in pyenv's versions folder")
    return found


@functools.cache
def find_python(minimum: tuple[int, int], highest_minor: int = 14) -> Path | None:
    """The lowest interpreter from `minimum` on that runs and has venv and pip, or None."""
    for candidate in _pythons(minimum, highest_minor):
        version = _version(candidate)
        if version is not None and version >= minimum and _runs(candidate, "import venv, ensurepip, ssl"):
            return candidate
    return None


def find_node(least_major: int = 18) -> Path | None:
    """node, when it runs, is new enough, and npm stands beside it."""
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        return None
    match = re.fullmatch(r"v(\d+)\..*", _output(node, "--version"))
    return Path(node) if match and int(match[1]) >= least_major else None


def _pythons(minimum: tuple[int, int], highest_minor: int) -> Iterator[Path]:
    if sys.version_info >= minimum:
        yield Path(sys.executable)
    roots = [os.environ.get("PYENV_ROOT"), _output("pyenv", "root"), str(Path.home() / ".pyenv")]
    folders = [Path(root) / "versions" for root in dict.fromkeys(roots) if root]
    for minor in range(minimum[1], highest_minor + 1):
        name = f"python{minimum[0]}.{minor}"
        on_path = shutil.which(name)
        if on_path:
            yield Path(on_path)
        for folder in folders:
            yield from sorted(folder.glob(f"{minimum[0]}.{minor}*/bin/{name}"), reverse=True)


def _version(python: Path) -> tuple[int, int] | None:
    """(major, minor) as the interpreter itself says it; None when it does not run (a shim without its version)."""
    text = _output(str(python), "-c", "import sys; print(*sys.version_info[:2])")
    parts = text.split()
    return (int(parts[0]), int(parts[1])) if len(parts) == 2 and all(part.isdigit() for part in parts) else None


def _runs(python: Path, code: str) -> bool:
    return _output(str(python), "-c", f"{code}; print('ok')") == "ok"


def _output(*command: str) -> str:
    """Stripped stdout of a short command; "" when it cannot run or fails."""
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=PROBE_LIMIT_S)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def cached(name: str, build: Callable[[Path], None], usable: Callable[[Path], bool]) -> Path:
    """The folder of this name in the cache, made by `build` when it is not there or not `usable` any more."""
    root = cache_root()
    root.mkdir(parents=True, exist_ok=True)
    target = root / name
    if target.is_dir():
        if usable(target):
            return target
        _discard(target)
    _sweep(root)
    folder = Path(tempfile.mkdtemp(prefix=f".build-{os.getpid()}-", dir=root)) / name
    try:
        build(folder)
        try:
            folder.rename(target)  # the name is taken only by something whole
        except OSError:
            if not usable(target):  # else another run was quicker
                raise
    finally:
        shutil.rmtree(folder.parent, ignore_errors=True)
    return target


def _discard(target: Path) -> None:
    """Out of the way first, so that nobody meets half of it."""
    grave = Path(tempfile.mkdtemp(prefix=f".build-{os.getpid()}-", dir=target.parent))
    target.rename(grave / "old")
    shutil.rmtree(grave, ignore_errors=True)


def _sweep(root: Path) -> None:
    """Remove what runs left that ended while building."""
    for folder in root.glob(".build-*"):
        match = _BUILD.match(folder.name)
        if match and not Path(f"/proc/{match[1]}").exists() and Path("/proc/self").exists():
            shutil.rmtree(folder, ignore_errors=True)


def _run(*command: str, cwd: Path | None = None) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TBOT_"))}
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=BUILD_LIMIT_S, cwd=cwd, env=clean
    )
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")


def _slug(requirements: tuple[str, ...]) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", requirements[0]).strip("-")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
