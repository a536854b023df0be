"""The list of tested versions against what is installed; a neighbouring version is seen (F-SEC-07)."""

import re
import tomllib
from pathlib import Path

import pytest

from tbot.doctor.versions import LIST, installed, outside, pins, versions

ROOT = Path(__file__).resolve().parents[2]


def test_F_SEC_07_the_list_pins_every_core_dependency_with_hashes() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.match(r"[A-Za-z0-9._-]+", text)[0].lower() for text in project["dependencies"]}  # type: ignore[index]
    listed = pins()
    assert names <= {name.lower() for name in listed}
    entries = re.split(r"\n(?=[A-Za-z0-9])", re.sub(r"^#.*\n", "", LIST.read_text(), flags=re.MULTILINE))
    assert len(entries) == len(listed)
    for entry in entries:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry.splitlines()[0]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ("2.4.6", []),
        ("2.4.7", ["numpy 2.4.7, tested with 2.4.6"]),
        ("", ["numpy is missing, tested with 2.4.6"]),
    ],
)
def test_F_SEC_07_a_neighbouring_version_is_told(tmp_path: Path, found: str, said: list[str]) -> None:
    path = tmp_path / "constraints.txt"
    path.write_text("# words == none\nnumpy==2.4.6 \\\n    --hash=sha256:00\nrich==15.0.0 ; python_version > '3'\n")
    here = {"numpy": found, "rich": "15.0.0"}
    assert outside(path, here.__getitem__) == said
    assert versions(path, here.__getitem__).level == ("warn" if said else "ok")


def test_F_SEC_07_a_missing_list_is_said() -> None:
    assert "cannot be compared" in outside(Path("/nowhere/constraints.txt"))[0]
    assert versions(Path("/nowhere/constraints.txt")).level == "warn"


def test_versions_are_those_of_the_installed_packages() -> None:
    assert re.match(r"\d+\.", installed("numpy"))
    assert installed("no-such-package-of-ours") == ""
