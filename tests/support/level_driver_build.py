"""Builds `level_driver.pyx` against the installed .pxd files, and loads it."""

import importlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tbot_ext

SETUP = """
import sys
from Cython.Build import cythonize
from setuptools import Extension, setup
flags = ["-O1", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off"]
modules = cythonize([Extension("level_driver", ["level_driver.pyx"], extra_compile_args=flags)],
                    include_path=[sys.argv[1]], quiet=True)
setup(script_args=["-q", "build_ext", "--inplace"], ext_modules=modules)
"""


def driver(directory: Path) -> Any:
    """The class Driver, compiled in `directory`; skips the test where there is no Cython or no compiler."""
    pytest.importorskip("Cython")
    pytest.importorskip("setuptools")
    if shutil.which("cc") is None and shutil.which("gcc") is None:
        pytest.skip("no C compiler to build a client of the .pxd files with")
    shutil.copy(Path(__file__).with_name("level_driver.pyx"), directory)
    package = Path(str(tbot_ext.__file__)).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", SETUP, str(package)], cwd=directory, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    sys.path.insert(0, str(directory))
    return importlib.import_module("level_driver").Driver
