"""Continuous integration fails when a test that must run there was skipped, however that was, and only then."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CI = Path(__file__).resolve().parents[1] / ".ci"
MARK = "import pytest\n@pytest.mark.shared_data\n"
CASES = {
    "in the test": (MARK + "def test_x(): pytest.skip('no data')\n", 1),
    "in a fixture": (
        MARK + "def test_x(data): pass\n@pytest.fixture\ndef data(): pytest.skip('no data')\n",
        1,
    ),
    "by a mark": (MARK + "@pytest.mark.skip('no data')\ndef test_x(): pass\n", 1),
    "the whole module": (
        "import pytest\npytestmark = pytest.mark.shared_data\npytest.importorskip('no_such_module')\n",
        1,
    ),
    "a browser": ("import pytest\n@pytest.mark.browser\ndef test_x(): pytest.skip('no Chromium')\n", 1),
    "another user": (
        "import os, pytest\n@pytest.mark.privileged\n"
        "@pytest.mark.skipif(os.geteuid() >= 0, reason='not root')\ndef test_x(): pass\n",
        1,
    ),
    "an extra": ("import pytest\n@pytest.mark.extra\ndef test_x(): pytest.importorskip('no_such_module')\n", 1),
    "a module of an extra": (
        "import pytest\npytestmark = pytest.mark.extra\npytest.importorskip('no_such_module')\n",
        1,
    ),
    "one case": (
        "import pytest\n@pytest.mark.parametrize('x', [0, pytest.param(1, marks=pytest.mark.extra)])\n"
        "def test_x(x):\n    if x: pytest.importorskip('no_such_module')\n",
        1,
    ),
    "another case": (
        "import pytest\n@pytest.mark.parametrize('x', [0, pytest.param(1, marks=pytest.mark.extra)])\n"
        "def test_x(x):\n    if not x: pytest.skip('not on this system')\n",
        0,
    ),
    "another test": ("import pytest\ndef test_x(): pytest.skip('not on this system')\n", 0),
    "another module": ("import pytest\npytest.importorskip('no_such_module')\n", 0),
    "not skipped": (MARK + "def test_x(): pass\n", 0),
}


@pytest.mark.skipif(not CI.is_dir(), reason="a source archive has no .ci")
@pytest.mark.parametrize(("text", "code"), CASES.values(), ids=list(CASES))
def test_a_skipped_test_that_must_run_fails_the_run(tmp_path: Path, text: str, code: int) -> None:
    (tmp_path / "test_planted.py").write_text(text)
    (tmp_path / "test_passes.py").write_text("def test_other(): pass\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n shared_data\n browser\n privileged\n extra\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "forbid_skips", "-p", "no:cacheprovider", str(tmp_path)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(CI)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout
    assert ("that must run here were skipped" in done.stdout) == bool(code)


NEEDED = re.compile(r"""geteuid\(\) != 0|importorskip\(["'](?:nicegui|prometheus_client)|as_root = """)
MARKED = re.compile(r"mark\.(?:privileged|extra)\b")
# An assertion more where it is not root, and this file.
OTHERS = {"tests/doctor/test_machine.py", "tests/test_ci_plugin.py"}


def test_every_test_that_root_or_an_extra_lets_run_is_marked() -> None:
    tests = Path(__file__).parent
    texts = {str(path.relative_to(tests.parent)): path.read_text("utf-8") for path in tests.rglob("test_*.py")}
    found = {name for name, text in texts.items() if NEEDED.search(text)} - OTHERS
    assert len(found) >= 7
    assert {name for name in found if len(MARKED.findall(texts[name])) < len(NEEDED.findall(texts[name]))} == set()


MONEY = "def stop(side):\n    if side > 0:\n        return 1\n    return -1\n"
PROJECT = """
[tool.coverage.run]
branch = true
include = ["money.py"]
[tool.pytest.ini_options]
pythonpath = ["."]
"""


@pytest.mark.skipif(not CI.is_dir(), reason="a source archive has no .ci")
@pytest.mark.parametrize("processes", [(), ("-n", "2")], ids=["one process", "two"])
@pytest.mark.parametrize(("sides", "code"), [("1, -1", 0), ("1", 1)], ids=["all branches", "one branch"])
def test_a_branch_that_no_guarded_test_takes_fails_the_run(
    tmp_path: Path, sides: str, code: int, processes: tuple[str, ...]
) -> None:
    (tmp_path / "money.py").write_text(MONEY)
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    for folder, values in (("risk", sides), ("other", "1, -1")):  # a test elsewhere is no proof
        (tmp_path / "tests" / folder).mkdir(parents=True)
        text = f"import money\ndef test_{folder}():\n    for side in ({values},):\n        money.stop(side)\n"
        (tmp_path / "tests" / folder / f"test_{folder}.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "traced", "-p", "no:cacheprovider", *processes, "tests"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(CI)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout
    assert ("money.py" in done.stdout) == bool(code) or "100%" in done.stdout
