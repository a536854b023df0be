"""`tbot accounts` and `tbot doctor` as a user calls them: what they print and never print, and their exit codes."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from engine_runs import Command
from gateway_records import ACCOUNT
from json_shape import same
from patient_checks import be_patient
from rest_calls import API_KEY, USER, jwt
from rude_http import RudeServer, ok
from sim_rig import KEY, OWNER, RunningServer, running
from tbot.commands import accounts as accounts_module
from tbot.commands.accounts import accounts
from tbot.commands.doctor import FOUND_FAILURE, doctor
from tbot.errors import AuthError, ConfigError, GatewayError
from tbot.gateway import codec_rest as bodies
from tbot.gateway import codec_tables as tables
from tbot.gateway.codec_models import BrokerAccount
from tbot.gateway.openapi import document


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TBOT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TBOT_USERNAME", OWNER)
    monkeypatch.setenv("TBOT_API_KEY", KEY)
    return tmp_path / "home"


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with running(accounts=2) as made:
        yield made


def call(command: object, *arguments: str) -> Result:
    result = CliRunner().invoke(command, arguments, standalone_mode=False)  # type: ignore[arg-type]
    if result.exception is not None:
        raise result.exception
    return result


# ---------------------------------------------------------------------------------------------------------- accounts
def test_accounts_of_the_simulator(server: RunningServer) -> None:
    text = call(accounts, "--gateway", server.rest).output
    first, second = (line for line in text.splitlines() if "50KTC" in line)
    assert first.startswith("* ")
    assert second.startswith("  ")
    for words in ("1001", "50,000.00", "yes", "simulated", "50KTC-V2-000001-00000001"):
        assert words in first
    assert KEY not in text


def test_accounts_as_a_document_with_the_pinned_one_chosen(
    server: RunningServer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = home.parent / "tbot.toml"
    pinned = '[[accounts]]\nid = 1002\nname = "50KTC-V2-000001-00000002"\n'
    config.write_text(f'[gateway]\nrest = "{server.rest}"\n{pinned}')
    made = json.loads(call(accounts, "--json", "-c", str(config)).output)
    same(made)
    assert (made["schema"], made["version"], made["gateway"]) == ("tbot.accounts", 1, server.rest)
    assert made["accounts"][1].pop("settings")["contracts"][0] == "MNQ"
    assert made["accounts"][1] == {
        "id": 1002, "name": "50KTC-V2-000001-00000002", "balance_usd": 50_000.0, "can_trade": True, "visible": True,
        "simulated": True, "chosen": True,
    }  # fmt: skip
    assert made["accounts"][0]["chosen"] is False


def test_accounts_tell_size_limits_and_contracts_of_each_pinned_one(server: RunningServer, home: Path) -> None:
    config = home.parent / "tbot.toml"
    config.write_text(
        '[[accounts]]\nid = 1001\nname = "50KTC-V2-000001-00000001"\ncontracts = ["MNQ", "MES"]\n'
        "[accounts.risk]\ndaily_loss_cents = 40_000\nmax_micros = 2\n"
        '[[accounts]]\nid = 1002\nname = "50KTC-V2-000001-00000002"\n'
    )
    home.mkdir()
    (home / "credentials").write_text(f"TBOT_USERNAME={OWNER}\nTBOT_API_KEY={KEY}\n")  # the environment is read once
    (home / "credentials").chmod(0o600)
    given = ("--gateway", server.rest, "-c", str(config))
    text = call(accounts, *given).output.splitlines()
    assert max(map(len, text)) <= 80
    assert text[2:4] == [
        "                50K combine; MNQ, MES; daily limit 400.00 USD, 2 losses in a",
        "                row; 200.00 USD a trade; at most 2 micro or 1 mini",
    ]
    first, second = json.loads(call(accounts, *given, "--json").output)["accounts"]
    assert (first["settings"]["daily_loss_usd"], first["settings"]["contracts"]) == (400.0, ["MNQ", "MES"])
    assert (second["settings"]["daily_loss_usd"], second["settings"]["max_micros"]) == (800.0, 5)
    (one,) = json.loads(call(accounts, *given, "--json", "--account", "1002").output)["accounts"]
    assert (one["id"], one["chosen"]) == (1002, True)
    with pytest.raises(click.UsageError) as refused:
        call(accounts, *given, "--account", "5")
    assert refused.value.exit_code == 2
    assert str(refused.value) == (
        "account 5 is not listed by the gateway; it lists 1001 (50KTC-V2-000001-00000001), "
        "1002 (50KTC-V2-000001-00000002)"
    )


def test_accounts_without_gateway_login_or_answer(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="no gateway is named"):
        call(accounts)
    monkeypatch.setenv("TBOT_API_KEY", "wrong")
    monkeypatch.setenv("TBOT_USERNAME", OWNER)
    with pytest.raises(AuthError, match="InvalidCredentials"):
        call(accounts, "--gateway", server.rest)
    with pytest.raises(AuthError, match="no credentials"):
        call(accounts, "--gateway", server.rest)
    monkeypatch.setenv("TBOT_USERNAME", OWNER)
    monkeypatch.setenv("TBOT_API_KEY", KEY)
    with pytest.raises(GatewayError, match="does not list its accounts"):
        call(accounts, "--gateway", "http://127.0.0.1:9")
    with pytest.raises(ConfigError, match="not encrypted"):
        call(accounts, "--gateway", "http://example.com")


def test_F_SEC_05_names_of_accounts_do_not_drive_the_terminal() -> None:
    evil = BrokerAccount(7, "\x1b[31mLIVE\u202e\n* 1001", -5, False, True, False)
    text = accounts_module.lines([evil], set(), [], {})
    assert len(text) == 3
    assert not set("".join(text)) & set("\x1b\u202e\n")
    assert "LIVE" in text[1]
    assert "-0.05" in text[1]
    assert "none of them" in text[2]
    assert "no accounts" in accounts_module.lines([], set(), [], {})[0]


def test_credentials_from_a_file(server: RunningServer, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TBOT_USERNAME")
    monkeypatch.delenv("TBOT_API_KEY")
    path = home.parent / "login"
    path.write_text(f"TBOT_USERNAME={OWNER}\nTBOT_API_KEY={KEY}\n")
    path.chmod(0o644)
    with pytest.raises(AuthError, match="chmod 600"):
        call(accounts, "--gateway", server.rest, "--credentials-file", str(path))
    path.chmod(0o600)
    assert "1001" in call(accounts, "--gateway", server.rest, "--credentials-file", str(path)).output


# ------------------------------------------------------------------------------------------------------------ doctor
def checks(result: Result) -> dict[str, dict[str, str]]:
    made = json.loads(result.output)
    same(made)
    assert (made["schema"], made["version"]) == ("tbot.doctor", 1)
    assert set(made) == {"schema", "version", "written", "ok", "counts", "checks"}
    assert made["ok"] == (result.return_value == 0)
    return {row["name"]: row for row in made["checks"]}


# What may be wrong with the machine that runs the tests, or with its date, is none of their business.
OF_THE_MACHINE = ("disk", "shared memory", "session table", "python")


def test_doctor_offline(home: Path) -> None:
    result = call(doctor)
    *lines, last = result.output.splitlines()
    assert all(line[:5].strip() in ("ok", "warn", "fail") for line in lines)
    failed = [line for line in lines if line.startswith("fail")]
    assert last.endswith(f"{len(failed)} failures")
    assert result.return_value == (FOUND_FAILURE if failed else 0)
    assert all(line[5:].startswith(OF_THE_MACHINE) for line in failed), failed
    assert "credentials: found in environment" in result.output
    assert KEY not in result.output
    assert not home.exists(), "a look changes nothing"


def test_doctor_online_with_the_simulator(
    server: RunningServer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    be_patient(monkeypatch)
    config = home.parent / "tbot.toml"
    config.write_text(f'[engine]\ncontracts = ["MNQ"]\n[gateway]\nrest = "{server.rest}"\n')
    result = call(doctor, "--online", "--json", "-c", str(config))
    found = checks(result)
    assert all(name in OF_THE_MACHINE for name, row in found.items() if row["level"] == "fail"), found
    for name in ("gateway", "login", "accounts", "contracts", "history", "market hub", "user hub", "interface"):
        assert found[name]["level"] == "ok", found[name]
    assert KEY not in result.output


def test_doctor_finds_failures_and_goes_on(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = home.parent / "bad.toml"
    config.write_text("[engine]\nwait = \"nap\"\n[risk]\nnonsense = 1\n")
    result = call(doctor, "--json", "--online", "-c", str(config), "--gateway", "http://127.0.0.1:9")
    assert result.return_value == FOUND_FAILURE
    found = checks(result)
    assert found["configuration"]["level"] == "fail"
    assert "engine.wait" in found["configuration"]["text"]
    assert "risk.nonsense" in found["configuration"]["text"]
    assert found["gateway"]["level"] == "fail"
    assert found["disk"]["level"] in ("ok", "warn")
    assert "interface" in found


def test_doctor_without_a_gateway_or_with_a_forbidden_one() -> None:
    result = call(doctor, "--online", "--json")
    assert result.return_value == FOUND_FAILURE
    assert "no gateway is named" in checks(result)["gateway"]["text"]
    result = call(doctor, "--online", "--json", "--gateway", "http://example.com")
    assert "not encrypted" in checks(result)["gateway"]["text"]


def test_doctor_and_credentials(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TBOT_USERNAME")
    monkeypatch.delenv("TBOT_API_KEY")
    assert checks(call(doctor, "--json"))["credentials"]["level"] == "warn"  # the embedded gateway needs none
    result = call(doctor, "--json", "--online", "--gateway", "http://127.0.0.1:9")
    assert checks(result)["credentials"]["level"] == "fail"
    home.mkdir(mode=0o700)
    (home / "credentials").write_text(f"TBOT_USERNAME={OWNER}\nTBOT_API_KEY={KEY}\n")
    (home / "credentials").chmod(0o640)
    loose = checks(call(doctor, "--json"))["credentials"]
    assert (loose["level"], "chmod 600" in loose["text"]) == ("fail", True)
    (home / "credentials").chmod(0o600)
    assert checks(call(doctor, "--json"))["credentials"]["level"] == "ok"
    dotenv = home.parent / ".env"
    dotenv.write_text(f"TBOT_USERNAME={OWNER}\nTBOT_API_KEY={KEY}\n")
    dotenv.chmod(0o644)
    assert "others may read" in checks(call(doctor, "--json"))["credentials"]["text"]


def test_doctor_leaves_the_hubs_to_a_running_engine(server: RunningServer, home: Path) -> None:
    (home / "paper").mkdir(parents=True)
    home.chmod(0o700)
    for written_ns, ended, busy in (
        (time.time_ns(), False, True), (time.time_ns(), True, False), (time.time_ns() - 10**12, False, False),
    ):  # fmt: skip
        (home / "paper" / "status.json").write_text(json.dumps({"written_ns": written_ns, "ended": ended}))
        os.environ |= {"TBOT_USERNAME": OWNER, "TBOT_API_KEY": KEY}  # taken out by every call
        found = checks(call(doctor, "--online", "--json", "--gateway", server.rest))
        assert ("engine runs" in found["market hub"]["text"]) == busy
    (home / "paper" / "status.json").write_text("broken")


def test_I30_nothing_secret_is_printed_whatever_the_gateway_echoes(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TBOT_USERNAME", USER)
    monkeypatch.setenv("TBOT_API_KEY", API_KEY)
    echo = f"you are {USER} with {API_KEY} and {jwt()}"
    script = {
        call.path: [ok(bodies.encode_answer(call, code=1, message=echo))]
        for call in tables.CALLS
        if call is not tables.LOGIN_KEY
    }
    script[tables.LOGIN_KEY.path] = [ok(bodies.encode_answer(tables.LOGIN_KEY, jwt()))]
    published = document() | {"paths": document()["paths"] | {f"/{echo}": {"post": {}}}}
    script[tables.OPENAPI_PATH] = [ok(json.dumps(published).encode())]
    script[tables.ACCOUNT_SEARCH.path] = [ok(bodies.encode_answer(tables.ACCOUNT_SEARCH, [ACCOUNT]))]
    rude = RudeServer(script)
    try:
        out = call(doctor, "--online", "--gateway", rude.url).output
    finally:
        rude.close()
    assert "path added" in out
    for secret in (USER, API_KEY, jwt(), "canary-signature"):
        assert secret not in out


def test_exit_codes_of_the_real_commands(tmp_path: Path) -> None:
    """In processes of their own, against a gateway that nobody serves."""
    secrets = {"TBOT_USERNAME": "somebody", "TBOT_API_KEY": "canary"}
    for arguments, code in (
        (("doctor", "--online", "--json", "--gateway", "http://127.0.0.1:9"), FOUND_FAILURE),
        (("accounts", "--gateway", "http://127.0.0.1:9"), 5),
        (("accounts",), 3),
    ):
        command = Command(tmp_path / "run", *arguments, **secrets)
        out, _ = command.process.communicate(timeout=60)
        assert command.process.returncode == code, command.stderr
        assert "canary" not in out + command.stderr
        assert "Traceback" not in command.stderr
        if "--json" in arguments:
            assert json.loads(out)["ok"] is False
    command = Command(tmp_path / "run", "accounts", "--gateway", "http://127.0.0.1:9")
    command.process.communicate(timeout=60)
    assert command.process.returncode == 4
