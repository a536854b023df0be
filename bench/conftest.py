"""Benchmarks run alone: in processes beside each other they would measure each other."""

import pytest


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    return 0
