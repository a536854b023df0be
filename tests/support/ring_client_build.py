"""Builds `ring_client.pyx` against the installed .pxd files, and loads it where it was built."""

import importlib
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import tbot_ext

SETUP = """
import sys
from Cython.Build import cythonize
from setuptools import Extension, setup
client = Extension("ring_client", ["ring_client.pyx"], extra_compile_args=["-O2", "-Wall", "-Wextra", "-Werror"])
modules = cythonize([client], include_path=[sys.argv[1]], quiet=True)
setup(script_args=["-q", "build_ext", "--inplace"], ext_modules=modules)
"""


def build(directory: Path) -> Path:
    """Compile the client in `directory`; skips the test where there is no Cython or no compiler."""
    pytest.importorskip("Cython")
    pytest.importorskip("setuptools")
    if shutil.which("cc") is None and shutil.which("gcc") is None:
        pytest.skip("no C compiler to build a client of the .pxd files with")
    shutil.copy(Path(__file__).with_name("ring_client.pyx"), directory)
    package = Path(str(tbot_ext.__file__)).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", SETUP, str(package)], cwd=directory, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return directory


def load(directory: Path) -> Any:
    """The client built in `directory`, in this process."""
    if str(directory) not in sys.path:
        sys.path.insert(0, str(directory))
    module: ModuleType = importlib.import_module("ring_client")
    return module
