"""The checker of the architecture can fail: a small sound tree, and every kind of violation planted in it."""

import subprocess
from pathlib import Path

import pytest

import architecture

SOUND = {
    "pyproject.toml": '[tool.setuptools]\npackages = ["tbot", "tbot.domain", "tbot.execution", "tbot.risk",'
    ' "tbot.engine", "tbot.sim", "tbot.storage", "tbot.gateway", "tbot_ext"]\n',
    "tbot/__init__.py": '"""Public."""\n\ndef __getattr__(name):\n    from tbot.engine import run\n    return run\n',
    "tbot/__main__.py": "from tbot.cli import main\n",
    "tbot/cli.py": "import tbot\nfrom tbot.engine import run\nfrom tbot import config\n",
    "tbot/config.py": "from tbot.domain import clock\nfrom tbot.risk import gate\n",
    "tbot/errors.py": "class TbotError(Exception): ...\n",
    "tbot/domain/__init__.py": '"""Nouns."""\n',
    "tbot/domain/clock.py": "import datetime\nfrom tbot.errors import TbotError\nfrom . import other\n",
    "tbot/domain/other.py": "from dataclasses import dataclass\n",
    "tbot/risk/__init__.py": '"""Whether."""\n',
    "tbot/risk/gate.py": "import numpy as np\nfrom tbot_ext.records import Kind\nfrom tbot.domain.clock import x\n",
    "tbot/execution/__init__.py": '"""How."""\n',
    "tbot/execution/desk.py": "from tbot.risk.gate import x\nfrom ..domain import clock\n",
    "tbot/storage/__init__.py": '"""Disk."""\n',
    "tbot/storage/journal.py": "import os, time, sqlite3, numpy\nfrom tbot.domain import clock\n",
    "tbot/gateway/__init__.py": '"""Broker."""\n',
    "tbot/gateway/rest.py": "import requests\nfrom tbot.execution.desk import x\n",
    "tbot/engine/__init__.py": '"""Processes."""\n',
    "tbot/engine/run.py": "from tbot.gateway import rest\nfrom tbot.storage import journal\nTARGET = 'tbot.sim'\n",
    "tbot/sim/__init__.py": '"""Market."""\n',
    "tbot/sim/server.py": "def main():\n    from tbot.storage.journal import x\n    return x\n",
    "ext/tbot_ext/__init__.py": '"""Compiled."""\n',
    "ext/tbot_ext/ring.pyx": "cimport cython\nfrom libc.math cimport sqrt\n\ncdef class Ring:\n    cdef int n\n",
    "tests/test_x.py": "def test_x():\n    pass\n",
    "README.md": "# x\n",
    ".gitignore": "build/\n",
}
LONG_BODY = "".join(f"    x{number} = {number}\n" for number in range(70))
LONG_FILE = "x = 1\n" * 501


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in SOUND.items():
        plant(tmp_path, name, text)
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    return tmp_path


def plant(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def problems(root: Path) -> set[tuple[str, str]]:
    return {(found.rule, found.path) for check in architecture.CHECKS for found in check(root)}


def test_a_sound_tree_has_no_problem(tree: Path) -> None:
    assert problems(tree) == set()


LAYERS = {
    "upwards": ("tbot/domain/new.py", "import tbot.risk.gate\n"),
    "upwards from L2": ("tbot/risk/new.py", "from tbot.storage import journal\n"),
    "upwards from L3": ("tbot/gateway/new.py", "from tbot.engine import run\n"),
    "as a name of the root": ("tbot/risk/new.py", "from tbot import storage\n"),
    "relative": ("tbot/domain/new.py", "from ..risk import gate\n"),
    "relative with a bare dot": ("tbot/domain/new.py", "from .. import risk\n"),
    "in a function": ("tbot/domain/new.py", "def f():\n    from tbot.risk import gate\n    return gate\n"),
    "for types only": (
        "tbot/domain/new.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from tbot.risk import gate\n",
    ),
    "by importlib": ("tbot/engine/new.py", "import importlib\nx = importlib.import_module('tbot.sim.server')\n"),
    "the exception backwards": ("tbot/risk/new.py", "from tbot.execution import desk\n"),
    "sideways in L3": ("tbot/gateway/new.py", "from tbot.storage import journal\n"),
    "sideways in L4": ("tbot/engine/new.py", "from tbot.sim import server\n"),
    "settings": ("tbot/engine/new.py", "from tbot.config import x\n"),
    "commands": ("tbot/sim/new.py", "from tbot import cli\n"),
    "public surface": ("tbot/engine/new.py", "from tbot import detect\n"),
    "numpy in the domain": ("tbot/domain/new.py", "import numpy\n"),
    "compiled code in the domain": ("tbot/domain/new.py", "from tbot_ext.records import Kind\n"),
    "third party in the domain": ("tbot/domain/new.py", "import msgspec\n"),
    "third party in L2": ("tbot/execution/new.py", "import requests\n"),
    "eager public surface": ("tbot/__init__.py", '"""Public."""\nfrom tbot.engine import run\n'),
    "unknown module": ("tbot/helpers.py", "x = 1\n"),
    "compiled upwards": ("ext/tbot_ext/new.pyx", "from tbot.domain import clock\n"),
    "compiled cimport upwards": ("ext/tbot_ext/new.pxd", "    cimport tbot.domain\n"),
}
PURITY = {
    name: ("tbot/risk/new.py", text)
    for name, text in {
        "time": "import time\n",
        "time in a function": "def f():\n    from time import monotonic\n    return monotonic()\n",
        "random": "from random import random\n",
        "logging": "import logging\n",
        "socket": "import socket\n",
        "os": "import os.path\n",
        "pathlib": "from pathlib import Path\n",
        "subprocess": "import subprocess\n",
        "threading": "import threading\n",
        "open": "def f(p):\n    with open(p) as g:\n        return g\n",
        "open by another name": "reader = open\n",
        "print": "def f():\n    print(1)\n",
        "now": "from datetime import datetime\nx = datetime.now()\n",
        "now of the module": "import datetime\nx = datetime.datetime.now(datetime.UTC)\n",
        "now by alias": "import datetime as dt\nx = dt.datetime.utcnow()\n",
        "today": "from datetime import date\nx = date.today\n",
        "numpy random": "import numpy as np\nx = np.random.default_rng()\n",
        "numpy file": "import numpy as np\nx = np.fromfile('x')\n",
        "numpy to file": "def f(x):\n    x.tofile('x')\n",
    }.items()
} | {
    "in L1": ("tbot/domain/new.py", "import time\n"),
    "in the errors": ("tbot/errors.py", "import logging\n"),
    "in Cython": ("ext/tbot_ext/new.pyx", "import time\n"),
    "cimport in Cython": ("ext/tbot_ext/new.pyx", "def f():\n    from random import random\n"),
    "open in Cython": ("ext/tbot_ext/new.pyx", "def f(p):\n    return open(p)\n"),
}
SIZES = {
    "function": ("tbot/engine/new.py", "def f():\n" + LONG_BODY),
    "async method": (
        "tbot/engine/new.py",
        "class A:\n    async def f(self):\n" + LONG_BODY.replace("    x", "        x"),
    ),
    "nested": ("tbot/engine/new.py", "if True:\n    def f():\n" + LONG_BODY.replace("    x", "        x")),
    "test": ("tests/test_new.py", "def test_f():\n" + LONG_BODY),
    "def in Cython": ("ext/tbot_ext/new.pyx", "def f():\n" + LONG_BODY + "\nx = 1\n"),
    "cdef": ("ext/tbot_ext/new.pyx", "cdef inline int f(int a) noexcept nogil:\n" + LONG_BODY),
    "cdef with a long head": ("ext/tbot_ext/new.pyx", "cdef int f(\n    int a,\n) except -1:\n" + LONG_BODY),
    "cpdef method": (
        "ext/tbot_ext/new.pyx",
        "cdef class A:\n    cpdef f(self):\n" + LONG_BODY.replace("    x", "        x"),
    ),
    "file": ("tbot/engine/new.py", LONG_FILE),
    "Cython file": ("ext/tbot_ext/new.pyx", LONG_FILE),
    "declarations": ("ext/tbot_ext/new.pxd", "# x\n" * 501),
    "header": ("ext/include/new.h", "// x\n" * 501),
    "test file": ("tests/test_new.py", LONG_FILE),
    "bench": ("bench/bench_new.py", LONG_FILE),
}


@pytest.mark.parametrize(
    ("rule", "planted"),
    [
        *[pytest.param("layers", planted, id=f"layers-{name}") for name, planted in LAYERS.items()],
        *[pytest.param("purity", planted, id=f"purity-{name}") for name, planted in PURITY.items()],
        *[pytest.param("sizes", planted, id=f"sizes-{name}") for name, planted in SIZES.items()],
    ],
)
def test_a_planted_violation_is_found(tree: Path, rule: str, planted: tuple[str, str]) -> None:
    plant(tree, *planted)
    assert (rule, planted[0]) in problems(tree)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tbot/engine/new.py", "def f():\n" + LONG_BODY.removesuffix("    x69 = 69\n")),
        ("ext/tbot_ext/new.pyx", "def f():\n" + LONG_BODY.removesuffix("    x69 = 69\n") + "\n\ndef g():\n    pass\n"),
        ("ext/tbot_ext/new.pyx", "cdef class A:\n" + LONG_BODY + LONG_BODY),
        ("ext/tbot_ext/new.pxd", "cdef extern from *:\n" + LONG_BODY + LONG_BODY),
        ("tbot/engine/new.py", "x = 1\n" * 500),
        ("tbot/engine/new.py", "import time, random, logging, socket\nx = open\n"),
        ("tbot/risk/new.py", "def f(book):\n    return book.now(), 'open(', book.open\n"),
        ("build/junk.py", "x"),
        (".ci/run", "x"),
        ("docs/guide.md", "x"),
    ],
)
def test_what_is_allowed_is_no_problem(tree: Path, name: str, text: str) -> None:
    plant(tree, name, text)
    assert problems(tree) == set()


@pytest.mark.parametrize("name", ["notes.txt", "scripts/x.py", "requirements.txt", "src/x.py"])
def test_what_does_not_belong_at_the_top_is_found(tree: Path, name: str) -> None:
    plant(tree, name, "x")
    assert problems(tree) == {("top level", name.split("/")[0])}


def test_without_git_the_top_is_looked_at_as_it_is(tree: Path) -> None:
    (tree / ".git").rename(tree / ".not-git")
    plant(tree, "notes.txt", "x")
    assert problems(tree) == {("top level", "notes.txt")}


def test_packages_that_are_not_listed_or_not_there_are_found(tree: Path) -> None:
    plant(tree, "tbot/sim/deep/__init__.py", '"""Deep."""\n')
    assert problems(tree) == {("packages", "pyproject.toml")}
    plant(tree, "pyproject.toml", SOUND["pyproject.toml"].replace('"tbot_ext"', '"tbot_ext", "tbot.sim.deep"'))
    assert problems(tree) == set()
    plant(
        tree,
        "pyproject.toml",
        SOUND["pyproject.toml"].replace('"tbot_ext"', '"tbot_ext", "tbot.gone", "tbot.sim.deep"'),
    )
    assert problems(tree) == {("packages", "pyproject.toml")}


@pytest.mark.parametrize("text", ["", "x = 1\n", "# only a comment\n"])
def test_a_package_that_does_not_say_what_it_is_is_found(tree: Path, text: str) -> None:
    plant(tree, "tbot/sim/__init__.py", text)
    assert problems(tree) == {("packages", "tbot/sim/__init__.py")}


def test_a_package_without_an_init_is_found(tree: Path) -> None:
    (tree / "tbot/sim/__init__.py").unlink()
    assert problems(tree) == {("packages", "tbot/sim/__init__.py")}
