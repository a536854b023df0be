"""The compiled package ships what its users need: stubs, headers, the marker for type checkers."""

import fnmatch
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMPILED = ROOT / "ext" / "tbot_ext"
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
MODULES = sorted(path.stem for path in COMPILED.glob("*.pyx"))


def source(module: str) -> str:
    return (COMPILED / f"{module}.pyx").read_text(encoding="utf-8")


def test_there_are_modules() -> None:
    assert {"records", "ring", "pipeline"} <= set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_what_python_sees_has_a_stub(module: str) -> None:
    visible = re.search(r"^(def|class|cdef class|cpdef|async def) ", source(module), re.MULTILINE)
    assert (COMPILED / f"{module}.pyi").exists() or not visible


@pytest.mark.parametrize("module", MODULES)
def test_what_other_modules_cimport_has_a_header(module: str) -> None:
    declares = re.search(r"^(cdef|cpdef) ", source(module), re.MULTILINE)
    assert (COMPILED / f"{module}.pxd").exists() or not declares


def test_no_stub_is_left_behind() -> None:
    assert {path.stem for path in COMPILED.glob("*.pyi")} <= set(MODULES)


def test_both_packages_are_marked_as_typed_and_both_inits_are_there() -> None:
    for name in ("tbot/py.typed", "ext/tbot_ext/py.typed", "ext/tbot_ext/__init__.pxd", "ext/tbot_ext/__init__.py"):
        assert (ROOT / name).is_file(), name


def test_package_data_takes_every_kept_file_along() -> None:
    """Sources and headers too: a user of the wheel may cimport from it, and the sdist must build."""
    patterns = SETTINGS["tool"]["setuptools"]["package-data"]["tbot_ext"]
    kept = [path.name for path in COMPILED.iterdir() if path.suffix in {".pyx", ".pxd", ".pyi", ".typed"}]
    assert len(kept) > 2 * len(MODULES)
    assert [name for name in kept if not any(fnmatch.fnmatch(name, pattern) for pattern in patterns)] == []


@pytest.mark.parametrize("package", SETTINGS["tool"]["setuptools"]["packages"])
def test_files_that_are_no_code_are_packaged(package: str) -> None:
    base = COMPILED if package == "tbot_ext" else ROOT / Path(*package.split("."))
    patterns = SETTINGS["tool"]["setuptools"]["package-data"].get(package, [])
    ignored = {".py", ".so", ".pyd", ".c", ".html"}
    loose = [p.name for p in base.iterdir() if p.is_file() and p.suffix not in ignored and not p.name.startswith(".")]
    assert [name for name in loose if not any(fnmatch.fnmatch(name, pattern) for pattern in patterns)] == []
