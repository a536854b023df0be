"""Settings for every test: hypothesis measures no time (a busy machine is no failure) and tells how to repeat one."""

import os

import pytest
from hypothesis import settings

settings.register_profile("tbot", deadline=None, print_blob=True)
settings.load_profile("tbot")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """The whole suite runs in several processes (four at most), anything less in this one.

    One more than there are cores, because the tests of the running engine mostly wait.
    """
    option = config.option
    whole = config.args == config.getini("testpaths") and option.markexpr == "not long and not interop"
    alone = option.keyword or option.collectonly or option.usepdb
    return min(4, 1 + (os.cpu_count() or 1)) if whole and not alone else 0
