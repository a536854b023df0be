"""The checker behind test_architecture.py: layers, bans, sizes, packages, top level; everything it knows is data.

Each check takes the root of a tree and gives a list of Problem; an empty list means that the rule holds.
"""

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Who may import whom (style.md 1.3). A part is a package or module directly below tbot/.
LAYERS: dict[str, int] = {
    "errors": 1,
    "domain": 1,
    "strategy": 2,
    "risk": 2,
    "execution": 2,
    "gateway": 3,
    "transport": 3,
    "storage": 3,
    "context": 3,
    "data": 3,  # packaged tables; no code
    "streams": 3,  # stdin, stdout and stderr of a program
    "engine": 4,
    "sim": 4,
    "backtest": 4,
    "validation": 4,  # statistics of what a backtest gave
    "analytics": 4,
    "web": 5,  # a screen that starts commands
    "dashboard": 4,
    "doctor": 4,
    "notify": 4,
    "panic": 4,  # the emergency exit: stands on gateway alone, and nothing here may need it
    "compat": 4,
    "config": 5,
    "settings": 5,
    "credentials": 5,
    "home": 5,
    "cli": 5,
    "commands": 5,
    "__main__": 5,
    "__init__": 5,  # the public functions, found lazily
}
# The Desk owns the gates; every part may raise the errors; importlib.resources reads the packaged tables by name;
# validation judges the results of backtests, and nothing of backtest knows that it is judged.
SIDEWAYS: set[tuple[str, str]] = {
    ("execution", "risk"), ("domain", "errors"), ("storage", "data"), ("validation", "backtest"),
    ("analytics", "validation"),  # a week's report counts with the statistics of a backtest's
}  # fmt: skip
TOP_LAYER = 5
COMPILED = "tbot_ext"
FIRST_COMPILED_LAYER = 2  # L1 is the standard library alone
NUMPY_LAYER = 2

# No clock, randomness, I/O, logging or threads in the deciders and below them.
PURE_LAYER = 2
BANNED_MODULES = {
    "time", "random", "secrets", "uuid", "logging", "warnings", "os", "io", "pathlib", "shutil", "tempfile", "glob",
    "socket", "select", "selectors", "ssl", "http", "urllib", "subprocess", "threading", "multiprocessing",
    "concurrent", "asyncio", "queue", "signal", "sqlite3", "mmap", "ctypes", "fcntl", "importlib", "getpass",
    "platform", "sched", "atexit",
}
BANNED_CALLS = {"open", "print", "input", "exec", "eval", "breakpoint", "__import__"}
CLOCK_METHODS = {"now", "utcnow", "today"}  # of datetime and date
NUMPY_IO = {"random", "load", "save", "savez", "loadtxt", "savetxt", "fromfile", "memmap", "genfromtxt"}
BANNED_IN_CYTHON = re.compile(
    r"^\s*(?:from|c?import)\s+(time|random|os|io|pathlib|socket|logging|threading|subprocess|asyncio|multiprocessing)\b"
)

FUNCTION_LINES = 70
FILE_LINES = 500
SIZED_FOLDERS = ("tbot", "ext", "tests", "bench")
SIZED_SUFFIXES = {".py", ".pyx", ".pxd", ".pyi", ".h"}

TOP_LEVEL = {
    "setup.py", "pyproject.toml", "tbot", "ext", "bench", "tests", "README.md", "docs", "LICENSE", "CHANGELOG.md",
}


@dataclass(frozen=True, slots=True)
class Problem:
    rule: str
    path: str  # below the root
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: [{self.rule}] {self.text}"


def python_files(root: Path) -> list[Path]:
    return sorted((root / "tbot").rglob("*.py"))


def part_of(root: Path, path: Path) -> str:
    """The package or module directly below tbot/ that `path` belongs to."""
    return path.relative_to(root / "tbot").parts[0].removesuffix(".py")


def imports(path: Path, root: Path) -> Iterator[tuple[int, str, bool]]:
    """(line, absolute dotted name, whether at module level) of everything `path` imports, inside functions too.

    `from a import b` gives a.b: b may be a module. Relative imports are resolved; importlib with a constant counts.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inner = {
        id(n) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef | ast.AsyncFunctionDef) for n in ast.walk(f)
    }
    # What only type checkers see is not imported when the module is loaded.
    inner |= {
        id(n)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and isinstance(branch.test, ast.Name) and branch.test.id == "TYPE_CHECKING"
        for statement in branch.body
        for n in ast.walk(statement)
    }
    package = path.relative_to(root).with_suffix("").parts[:-1]
    for node in ast.walk(tree):
        at_top = id(node) not in inner
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, at_top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, [base, node.module or ""]))
            yield from ((node.lineno, f"{module}.{alias.name}", at_top) for alias in node.names)
        elif isinstance(node, ast.Call) and _called(node) in {"import_module", "__import__"} and node.args:
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield node.lineno, first.value, at_top


def _called(node: ast.Call) -> str:
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def check_layers(root: Path) -> list[Problem]:
    """Imports go downwards only, never sideways but for SIDEWAYS; nobody imports the top layer."""
    problems = []
    for path in python_files(root):
        source, name = part_of(root, path), str(path.relative_to(root))
        if source not in LAYERS:
            problems.append(Problem("layers", name, 1, f"tbot/{source} stands in no layer"))
            continue
        for line, target, at_top in imports(path, root):
            if text := _layer_fault(source, target, at_top):
                problems.append(Problem("layers", name, line, text))
    for path in sorted((root / "ext").rglob("*.p*")):
        if path.suffix in {".py", ".pyx", ".pxd", ".pyi"}:
            for line, text in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
                if re.match(r"\s*(from|c?import)\s+tbot(\.|\s|$)", text):
                    problems.append(Problem("layers", str(path.relative_to(root)), line, "compiled code imports tbot"))
    return problems


def _layer_fault(source: str, target: str, at_top: bool) -> str:
    """What is wrong with part `source` importing the dotted name `target`; empty when nothing is."""
    layer, first = LAYERS[source], target.split(".")[0]
    if first == COMPILED:
        return "" if layer >= FIRST_COMPILED_LAYER else f"{source} imports compiled code"
    if first == "numpy":
        return "" if layer >= NUMPY_LAYER else f"{source} imports numpy"
    if first != "tbot":
        pure = layer <= PURE_LAYER and first not in _standard_library()
        return f"{source} (layer {layer}) imports the third-party {first}" if pure else ""
    parts = target.split(".")
    if len(parts) == 1 or parts[1] not in LAYERS:
        # A name of tbot/__init__ itself. It must not load the upper layers into everything that imports a lower one.
        return "" if layer >= TOP_LAYER else f"{source} imports the public surface ({target})"
    other = parts[1]
    if source == "__init__" and at_top:
        return f"tbot/__init__ imports tbot.{other} when it is loaded; do it lazily"
    if other == source or (source, other) in SIDEWAYS:
        return ""
    if layer == TOP_LAYER:
        return ""
    if LAYERS[other] >= layer:
        return f"{source} (layer {layer}) imports {other} (layer {LAYERS[other]})"
    return ""


def _standard_library() -> frozenset[str]:
    import sys

    return sys.stdlib_module_names


def check_purity(root: Path) -> list[Problem]:
    """Below layer 3: no clock, randomness, I/O, logging, threads (BANNED_…)."""
    problems = []
    for path in python_files(root):
        name = str(path.relative_to(root))
        if LAYERS.get(part_of(root, path), TOP_LAYER) > PURE_LAYER:
            continue
        for line, target, _ in imports(path, root):
            if target.split(".")[0] in BANNED_MODULES:
                problems.append(Problem("purity", name, line, f"imports {target}"))
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if text := _impure(node):
                problems.append(Problem("purity", name, node.lineno, text))  # type: ignore[attr-defined]
    for path in sorted((root / "ext").rglob("*.pyx")):
        for line, text in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if BANNED_IN_CYTHON.match(text) or re.search(r"(?<![\w.])open\(", text):
                problems.append(Problem("purity", str(path.relative_to(root)), line, text.strip()))
    return problems


def _impure(node: ast.AST) -> str:
    if isinstance(node, ast.Name) and node.id in BANNED_CALLS and isinstance(node.ctx, ast.Load):
        return f"uses {node.id}"
    if isinstance(node, ast.Attribute):
        owner = ast.unparse(node.value).split(".")[-1]
        if node.attr in CLOCK_METHODS and owner in {"datetime", "date", "dt"}:
            return f"reads the clock by {owner}.{node.attr}"
        if node.attr in NUMPY_IO and owner in {"np", "numpy"}:
            return f"uses numpy.{node.attr}"
        if node.attr in {"tofile", "read_text", "write_text", "read_bytes", "write_bytes"}:
            return f"does I/O by .{node.attr}"
    return ""


def check_sizes(root: Path) -> list[Problem]:
    """Functions of at most FUNCTION_LINES lines, files of at most FILE_LINES."""
    problems = []
    for folder in SIZED_FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix not in SIZED_SUFFIXES or "build" in path.relative_to(root).parts:
                continue
            name, lines = str(path.relative_to(root)), path.read_text(encoding="utf-8").splitlines()
            if len(lines) > FILE_LINES:
                problems.append(Problem("sizes", name, 1, f"file of {len(lines)} lines"))
            for line, function, length in functions(path, lines):
                if length > FUNCTION_LINES:
                    problems.append(Problem("sizes", name, line, f"function {function} of {length} lines"))
    return problems


def functions(path: Path, lines: list[str]) -> Iterator[tuple[int, str, int]]:
    """(first line, name, number of lines) of every function."""
    if path.suffix == ".py":
        for node in ast.walk(ast.parse("\n".join(lines))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node.lineno, node.name, (node.end_lineno or node.lineno) - node.lineno + 1
    elif path.suffix in {".pyx", ".pxd"}:
        yield from _cython_functions(lines)


_CYTHON_FUNCTION = re.compile(
    r"(\s*)(?:async\s+def|def|cp?def(?!\s+(?:class|struct|enum|extern|union|packed)\b))\s[^=#]*?(\w+)\s*\("
)


def _cython_functions(lines: list[str]) -> Iterator[tuple[int, str, int]]:
    """By indentation: a function ends before the next line that is not deeper, closing brackets of its head aside."""
    for start, text in enumerate(lines):
        found = _CYTHON_FUNCTION.match(text)
        if found is None:
            continue
        indent, last = len(found[1].expandtabs()), start
        for place in range(start + 1, len(lines)):
            line = lines[place].expandtabs()
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            if len(line) - len(line.lstrip()) <= indent and not line.lstrip().startswith(")"):
                break
            last = place
        yield start + 1, found[2], last - start + 1


def check_packages(root: Path) -> list[Problem]:
    """pyproject names exactly the packages on disk; each has an __init__.py that says what it is."""
    problems = []
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    named = set(settings["tool"]["setuptools"]["packages"])
    found = set()
    for base, top in ((root, "tbot"), (root / "ext", "tbot_ext")):
        for folder in [base / top, *(p for p in (base / top).rglob("*") if p.is_dir() and p.name != "__pycache__")]:
            package = ".".join(folder.relative_to(base).parts)
            if not any(child.is_file() for child in folder.iterdir()):
                continue
            found.add(package)
            start = folder / "__init__.py"
            if not start.exists() or not ast.get_docstring(ast.parse(start.read_text(encoding="utf-8"))):
                problems.append(Problem("packages", str(start.relative_to(root)), 1, "no docstring says what it is"))
    problems += [Problem("packages", "pyproject.toml", 1, f"{name} is not on disk") for name in sorted(named - found)]
    problems += [Problem("packages", "pyproject.toml", 1, f"{name} is not listed") for name in sorted(found - named)]
    return problems


def check_top_level(root: Path) -> list[Problem]:
    """Nothing at the top but TOP_LEVEL and dot-files."""
    names = {name.split("/")[0] for name in kept_files(root)}
    return [
        Problem("top level", name, 1, "does not belong at the top of the project")
        for name in sorted(names)
        if name not in TOP_LEVEL and not name.startswith(".")
    ]


def kept_files(root: Path) -> list[str]:
    """What git keeps or would keep (ignored build products left out); without git, everything at the top."""
    if (root / ".git").exists():
        command = ["git", "-C", str(root), "ls-files", "--cached", "--others", "--exclude-standard"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [path.name for path in root.iterdir()]


CHECKS = (check_layers, check_purity, check_sizes, check_packages, check_top_level)
