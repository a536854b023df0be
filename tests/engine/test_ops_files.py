"""docs/ops: what the dashboard and the alerts ask for is what the exporter serves; the unit starts what there is."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("prometheus_client")

from click.testing import CliRunner

from tbot.cli import root
from tbot.engine import metrics
from tbot.execution.engine_state import SEVERITY

pytestmark = pytest.mark.extra

OPS = Path(__file__).resolve().parents[2] / "docs" / "ops"


def served() -> set[str]:
    """Names of all series, as Prometheus sees them, read from the exporter's code."""
    text = Path(metrics.__file__).read_text(encoding="utf-8")
    counters = set(re.findall(r'_counter\("(tbot_\w+)"', text))
    counters |= {f"tbot_{name}" for name in re.findall(r'^        \("(\w+)", "[A-Z]', text, re.MULTILINE)}
    gauges = set(re.findall(r'_gauge\("(tbot_\w+)"', text))
    return {f"{name}_total" for name in counters} | gauges | {"tbot_engine_info"}


def dashboard() -> dict[str, Any]:
    found = json.loads((OPS / "grafana.json").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def test_every_series_of_dashboard_and_alerts_is_served() -> None:
    asked = [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", [])]
    asked += re.findall(r"expr: (.*)", (OPS / "alerts.yml").read_text(encoding="utf-8"))
    assert len(asked) > 20
    for expression in asked:
        for name in re.findall(r"tbot_\w+", expression):
            assert name in served(), expression


def test_the_states_of_the_alerts_exist() -> None:
    for state in re.findall(r'state="(\w+)"', (OPS / "alerts.yml").read_text(encoding="utf-8")):
        assert state in metrics.STATES
    assert "RC_DAILY_LOSS" in SEVERITY  # labels of tbot_alarm are such codes


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


def test_the_unit_starts_a_command_that_is_understood() -> None:
    text = (OPS / "tbot.service").read_text(encoding="utf-8")
    (line,) = re.findall(r"ExecStart=%h/tbot/.venv/bin/tbot (.*)", text)
    assert "--live" not in line
    command, *arguments = shlex.split(line)
    made = root.get_command(None, command)  # type: ignore[arg-type]
    assert made is not None
    context = made.make_context("run", arguments)
    assert context.params["metrics_port"] == 9464
    assert context.params["quiet"] is True
    assert CliRunner().invoke(root, [command, "--help"]).exit_code == 0
