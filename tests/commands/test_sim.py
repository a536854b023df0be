"""`tbot sim` as a user calls it: options to settings, credentials from the environment, plans, and its help."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner

from tbot.commands.sim import GROUPS, settings_from, sim
from tbot.sim.accounts import AccountRules
from tbot.sim.fault_catalogue import KINDS
from tbot.sim.settings import settings_of

SMALL = ["--contracts", "MNQ"]


def options(*arguments: str) -> dict[str, Any]:
    """What click makes of a command line."""
    return dict(sim.make_context("sim", list(arguments)).params)


def test_options_become_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TBOT_SIM_USERNAME", raising=False)
    values = settings_from(
        options(
            "--users",
            "3",
            "--accounts",
            "2",
            "--start-balance",
            "150000",
            "--max-loss",
            "4500.50",
            "--daily-loss",
            "800",
            "--position-brackets",
            "--token-life",
            "90s",
            "--speed",
            "max",
            "--no-batch",
            *SMALL,
        )
    )
    settings = settings_of(values)
    assert settings.rules == AccountRules(15_000_000, 450_050, 80_000, auto_oco=False)
    assert (settings.users, settings.accounts, settings.token_life_s) == (3, 2, 90.0)
    assert (settings.speed, settings.batch, settings.symbols) == (None, False, ("MNQ",))
    assert (settings.user_name, settings.api_key, settings.control_token) == ("", "", "")


def test_I30_credentials_come_from_the_environment_and_leave_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TBOT_SIM_USERNAME", "TBOT_SIM_API_KEY", "TBOT_SIM_CONTROL_TOKEN"):
        monkeypatch.setenv(name, f"canary-{name}")
    values = settings_from(options())
    assert values["api_key"] == "canary-TBOT_SIM_API_KEY"
    assert (values["user_name"], values["control_token"]) == (
        "canary-TBOT_SIM_USERNAME",
        "canary-TBOT_SIM_CONTROL_TOKEN",
    )
    assert not [name for name in os.environ if name.startswith("TBOT_SIM_")]
    assert not [param.name for param in sim.params if "key" in str(param.name) or "user_name" in str(param.name)]


def test_help_has_every_option_under_a_heading() -> None:
    text = CliRunner().invoke(sim, ["--help"]).output
    for heading, names in GROUPS.items():
        assert f"{heading}:" in text
        for name in names:
            assert f"--{name.replace('_', '-')}" in text
    grouped = {name for names in GROUPS.values() for name in names}
    assert {param.name for param in sim.params} - grouped == set()


def test_list_faults_names_all() -> None:
    answer = CliRunner().invoke(sim, ["--list-faults"])
    assert answer.exit_code == 0
    for kind in KINDS:
        assert f"  {kind.name}: " in answer.output
        for arg in kind.args:
            assert f"      {arg.name}: " in answer.output


def run(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tbot", "sim", *SMALL, *arguments]
    env = os.environ | environment
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_bad_plan_ends_with_code_3_and_names_the_line(tmp_path: Path) -> None:
    plan = tmp_path / "plan.jsonl"
    plan.write_text('{"name":"ws.drop","at":1}\n{"name":"ws.dropp","at":1}\n')
    with run("--faults", str(plan)) as process:
        assert process.wait(120) == 3
        assert process.stderr is not None
        text = process.stderr.read()
    assert "line 2 of the fault plan: there is no fault 'ws.dropp', did you mean ws.drop;" in text


def test_users_plan_and_credentials_of_a_running_simulator(tmp_path: Path) -> None:
    plan = tmp_path / "plan.jsonl"
    plan.write_text('# one refusal\n{"id":"no","name":"rest.status","after":1,"args":{"status":503}}\n')
    arguments = ("--users", "2", "--accounts", "2", "--start-balance", "100000", "--faults", str(plan))
    with run(*arguments, TBOT_SIM_API_KEY="key-1", TBOT_SIM_USERNAME="ann", TBOT_SIM_CONTROL_TOKEN="c") as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        try:
            assert (ready["user_name"], ready["api_key"], ready["control_token"]) == ("ann", "key-1", "c")
            assert [user["accounts"] for user in ready["users"]] == [[1001, 1002], [1003, 1004]]
            other = {"userName": ready["users"][1]["user_name"], "apiKey": ready["users"][1]["api_key"]}
            url = f"{ready['rest']}/api/Auth/loginKey"
            statuses = [requests.post(url, json=other, timeout=60).status_code for _ in range(2)]
            assert statuses == [503, 200]
            token = requests.post(url, json=other, timeout=60).json()["token"]
            rows = requests.post(
                f"{ready['rest']}/api/Account/search",
                json={"onlyActiveAccounts": True},
                headers={"Authorization": f"Bearer {token}"},
                timeout=60,
            ).json()["accounts"]
            assert [(row["id"], row["balance"]) for row in rows] == [(1003, 100_000), (1004, 100_000)]
            state = requests.get(f"{ready['rest']}/sim/faults", headers={"X-Sim-Token": "c"}, timeout=60).json()
            assert [(one["id"], one["fired"]) for one in state["planned"]] == [("no", 1)]
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
