"""Pytest plugin of continuous integration: tests with these markers must run there, a skip of one fails the run."""

import pytest

MUST_RUN = ("shared_data", "browser", "terminal", "privileged", "extra")  # markers
_skipped: list[str] = []


def pytest_runtest_logreport(report):
    """Here, and not where reports are made: with pytest-xdist that is another process. Markers are keywords."""
    needed = any(marker in report.keywords for marker in MUST_RUN)
    if report.skipped and not hasattr(report, "wasxfail") and needed:
        _skipped.append(f"{report.nodeid}: {report.longrepr[2] if isinstance(report.longrepr, tuple) else 'skipped'}")


def pytest_collectreport(report):
    """A module that skips itself as a whole has no tests whose markers could be looked at."""
    path = getattr(report, "fspath", "")
    if report.skipped and str(path).endswith(".py"):
        with open(path, encoding="utf-8") as file:
            text = file.read()
            if any(f"mark.{marker}" in text for marker in MUST_RUN):
                _skipped.append(f"{report.nodeid}: the whole module")


def pytest_sessionfinish(session, exitstatus):
    if _skipped and exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter):
    if _skipped:
        terminalreporter.section("tests that must run here were skipped", red=True)
        for line in _skipped:
            terminalreporter.write_line(line)
