"""docs/simulator.md: its snippets run, its table is the catalogue, its options and addresses exist."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tbot.commands.sim import sim
from tbot.sim.control import FAULTS_PATH, STATE_PATH, TOKEN_HEADER, WIRE_PATH
from tbot.sim.fault_plan import MEMBERS, parse_plan
from tbot.sim.fault_table import as_markdown, families

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "simulator.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_table_is_the_catalogue() -> None:
    written = PAGE.partition("<!-- faults: begin")[2].partition("-->\n")[2].partition("<!-- faults: end -->")[0]
    assert written.strip() == as_markdown().strip(), "put what as_markdown() gives between the two marks of the page"


def test_every_fault_stands_under_a_heading() -> None:
    from tbot.sim.fault_catalogue import KINDS

    assert {kind.name for _, kinds in families() for kind in kinds} == {kind.name for kind in KINDS}


def test_the_plan_of_the_page_is_one() -> None:
    plan = next(block for block in blocks("json") if "ws.drop" in block)
    assert [fault.id for fault in parse_plan(plan.splitlines())] == ["cut", "lost", "busy"]
    for member in MEMBERS:
        assert f"| `{member}` |" in PAGE


def test_options_and_addresses_of_the_page_exist() -> None:
    known = {option for param in sim.params for option in (*param.opts, *param.secondary_opts)}
    named = set(re.findall(r"`(--[a-z-]+)", PAGE.partition("## Options")[2].partition("## Fault plans")[0]))
    assert named <= known
    assert len(named) > 12
    for path in (FAULTS_PATH, STATE_PATH, WIRE_PATH, TOKEN_HEADER):
        assert path in PAGE


@pytest.mark.parametrize(
    ("number", "output"),
    [(0, r"order \d{10} success True\n"), (1, r"no answer\n1 order at the venue, 1 request on the wire\n")],
)
def test_the_python_snippets_run(number: int, output: str, tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    done = subprocess.run(
        [sys.executable, "-c", blocks("python")[number]],
        cwd=tmp_path,
        env=os.environ | {"PATH": path},
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(output, done.stdout), done.stdout


@pytest.mark.interop
def test_the_javascript_snippet_runs(tmp_path: Path) -> None:
    from interop_env import node_env

    node, modules = node_env("@microsoft/signalr@~10.0")
    (tmp_path / "node_modules").symlink_to(modules / "node_modules")
    (tmp_path / "snippet.mjs").write_text(blocks("javascript")[0])
    command = [sys.executable, "-m", "tbot", "sim", "--contracts", "MNQ"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as simulator:
        assert simulator.stdout is not None
        ready = json.loads(simulator.stdout.readline())
        login = {"SIM_REST": ready["rest"], "SIM_USER": ready["user_name"], "SIM_KEY": ready["api_key"]}
        try:
            done = subprocess.run(
                [str(node), "snippet.mjs"],
                cwd=tmp_path,
                env=os.environ | login,
                check=False,
                capture_output=True,
                text=True,
                timeout=60,
            )
        finally:
            simulator.terminate()
    assert done.returncode == 0, done.stderr
    assert re.search(r"^CON\.F\.US\.MNQ\.[A-Z]\d\d \d+", done.stdout, re.MULTILINE), done.stdout
