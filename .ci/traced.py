"""Pytest plugin of continuous integration: the code that guards money is traced, branch by branch, in the one run.

What is traced stands in pyproject.toml ([tool.coverage.run]); only while the tests of GUARDED run, because a trace
doubles the time of whatever is traced. Fails the run below 100 %. Works with and without pytest-xdist.
"""

import io
import os
import shutil
import tempfile
from pathlib import Path

import coverage
import pytest

GUARDED = ("tests/execution", "tests/risk", "tests/storage")
FOLDER = "TRACED_FOLDER"  # where the processes of one run leave what they saw

_report = ""
_missing = False


class Trace:
    """The trace of this process."""

    def __init__(self, config):
        worker = getattr(config, "workerinput", {}).get("workerid", "")
        self.controls = not worker
        self.root = Path(config.rootpath)
        if self.controls:
            os.environ[FOLDER] = tempfile.mkdtemp(prefix="traced-")
        self.folder = Path(os.environ[FOLDER])
        self.coverage = coverage.Coverage(
            data_file=str(self.folder / f"seen.{worker or 'one'}"), config_file=str(self.root / "pyproject.toml")
        )
        self.coverage.start()  # until everything is imported: a module's own lines run once

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self):
        self.coverage.stop()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        path = item.path.relative_to(self.root).as_posix()
        guarded = path.startswith(GUARDED)
        if guarded:
            self.coverage.start()
        try:
            return (yield)
        finally:
            if guarded:
                self.coverage.stop()

    def pytest_sessionfinish(self, session, exitstatus):
        global _report, _missing
        self.coverage.stop()
        self.coverage.save()
        if not self.controls:
            return
        whole = coverage.Coverage(
            data_file=str(self.folder / "seen"), config_file=str(self.root / "pyproject.toml")
        )
        whole.combine([str(self.folder)], keep=True)
        text = io.StringIO()
        total = whole.report(file=text)
        shutil.rmtree(self.folder, ignore_errors=True)
        _report, _missing = text.getvalue(), total < 100
        if _missing and exitstatus == 0:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_configure(config):
    if config.option.collectonly:
        return
    config.pluginmanager.register(Trace(config), "traced-run")


def pytest_terminal_summary(terminalreporter):
    if _report:
        terminalreporter.section("branches of the code that guards money", red=_missing)
        terminalreporter.write_line(_report)
