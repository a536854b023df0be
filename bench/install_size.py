"""How large is a core install? Sizes on disk of T-BOT and of everything that `pip install tbot` brings, by package.

Measured in this environment: the closure of the core requirements, each package's files with their byte code. Budget
(design, section 8 ruling 26): 130 MB. Run: python bench/install_size.py
"""

from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

BUDGET_MB = 130
ROOT = Path(__file__).resolve().parents[1]
INSTALLED = (".py", ".pyi", ".pyx", ".pxd", ".so", ".pyd", ".toml", ".sql", ".html", ".typed", ".pyc")


def closure(name: str = "tbot") -> dict[str, Distribution]:
    """The package and all that it needs without any extra."""
    found: dict[str, Distribution] = {}
    todo: list[tuple[str, frozenset[str]]] = [(name, frozenset())]
    while todo:
        package, extras = todo.pop()
        key = package.lower().replace("_", "-")
        if key in found:
            continue
        try:
            found[key] = distribution(package)
        except PackageNotFoundError:
            continue  # of another system
        for line in found[key].requires or []:
            needed = Requirement(line)
            marker = needed.marker
            wanted = marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras))
            if wanted:
                todo.append((needed.name, frozenset(needed.extras)))
    return found


def size_of(package: Distribution) -> int:
    """Bytes of a package's files."""
    paths = [Path(str(package.locate_file(file))) for file in package.files or []]
    return sum(path.stat().st_size for path in paths if path.is_file())


def own_size() -> int:
    """Bytes of T-BOT itself as a wheel installs it; here it may be installed in place."""
    folders = (ROOT / "tbot", ROOT / "ext" / "tbot_ext")
    files = (path for folder in folders for path in folder.rglob("*") if path.suffix in INSTALLED)
    return sum(path.stat().st_size for path in files if path.is_file())


def sizes() -> dict[str, float]:
    """MB by package, the largest first."""
    found = {name: size_of(package) / 1e6 for name, package in closure().items() if name != "tbot"}
    found["tbot"] = own_size() / 1e6
    return dict(sorted(found.items(), key=lambda item: -item[1]))


if __name__ == "__main__":
    told = sizes()
    for name, megabytes in told.items():
        print(f"{megabytes:8.1f} MB  {name}")
    print(f"{sum(told.values()):8.1f} MB  in all; budget {BUDGET_MB} MB")
