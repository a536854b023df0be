"""One simulator process and one witness for each test; environments are made while other tests run."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from interop_env import CLIENTS, prepare
from interop_rig import Gateway, Witness, gateway

MORNING = "2026-11-20T15:00:00Z"  # a Friday, 10:00 in New York


def pytest_collection_finish(session: pytest.Session) -> None:
    """Several clients are wanted: begin with the first now."""
    modules = dict.fromkeys(item.path.stem.removeprefix("test_") for item in session.items)
    names = [name for name in CLIENTS if name in modules]
    if len(names) > 1 and not session.config.option.collectonly:
        prepare(names)


@pytest.fixture
def sim(tmp_path: Path) -> Iterator[Gateway]:
    """A morning in New York whenever the test runs, so that there is always something to hear; two contracts."""
    with gateway(tmp_path / "sim", "--seed", "7", "--contracts", "MNQ,ES", "--start", MORNING) as server:
        yield server


@pytest.fixture
def witness(sim: Gateway) -> Iterator[Witness]:
    """Another subscriber of the contract that the clients read."""
    with Witness(sim, sim.contract("MNQ")["id"]) as other:
        yield other
