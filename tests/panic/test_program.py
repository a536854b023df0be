"""The emergency exit over real sockets against the simulator; what it needs, and what it must not need (R14)."""

import json
import os
import resource
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import sim_rig
from open_account import ACCOUNT, fill_account, open_things
from sim_rig import KEY, OWNER, RunningServer, until
from tbot.panic.program import panic

LOGIN = (OWNER, KEY)
FOR_S = 60.0
BANNED = (
    "zmq", "numpy", "sqlite3", "mmap", "multiprocessing", "tbot_ext", "tbot.transport.shm", "tbot.transport.sockets",
    "tbot.transport.wire", "tbot.engine", "tbot.execution", "tbot.storage.journal", "tbot.config", "asyncio",
    "websockets",
)  # fmt: skip


def run(
    server: RunningServer, *accounts: int, for_s: float = FOR_S, login: tuple[str, str] = LOGIN
) -> tuple[Any, list[str]]:
    said: list[str] = []
    return panic(server.rest, login, accounts, for_s, said.append), said


# ------------------------------------------------------------------------------------------------------- it works
def test_R14_everything_of_every_account_is_closed_and_proven() -> None:
    with sim_rig.running(accounts=2) as server:
        fill_account(server)
        result, said = run(server)
        assert result.flat
        assert open_things(server) == ([], 0)
        assert said[0] == "accounts: 1001, 1002"
        document = result.document()
        assert [(one["account"], one["flat"], one["working_orders"]) for one in document["accounts"]] == [
            (1001, True, 0), (1002, True, 0),
        ]  # fmt: skip
        assert document["flat"] is True
        json.dumps(document)


def test_F_ACC_03_an_account_that_the_firm_has_stopped_is_closed_like_any_other() -> None:
    """It is not among the active ones any more, and still holds what it held; the gateway closes and cancels for it."""
    with sim_rig.running(accounts=3) as server:
        fill_account(server)
        for account in (ACCOUNT, 1003):
            server.plan({"id": f"lock{account}", "name": "account.lock", "at": 0, "args": {"account": account}})
        until(lambda: active(server) == [1002], "two accounts are not active")
        assert open_things(server) == ([2], 5)
        result, said = run(server)
        assert result.flat
        assert open_things(server) == ([], 0)
        assert [out.flat for out in result.exits] == [True] * 3
        assert said[0] == "accounts: 1001, 1002, 1003"


def active(server: RunningServer) -> list[int]:
    answer = server.post("/api/Account/search", server.login(), onlyActiveAccounts=True).json()
    return [account["id"] for account in answer["accounts"]]


def test_a_named_account_that_nobody_knows_is_said_at_once_and_never_proven() -> None:
    with sim_rig.running(accounts=2) as server:
        result, said = run(server, 5, for_s=10)
        assert not result.flat
        assert (
            "account 5 is not listed by the gateway; it lists 1001 (50KTC-V2-000001-00000001), "
            "1002 (50KTC-V2-000001-00000002): going on all the same"
        ) in said


def test_only_the_named_accounts_are_touched() -> None:
    with sim_rig.running(accounts=2) as server:
        fill_account(server)
        result, said = run(server, 1002)
        assert result.flat
        assert all(line.startswith("account 1002") for line in said)
        assert open_things(server) == ([2], 5)




@pytest.mark.parametrize(
    ("endpoint", "status"), [("Position/closeContract", 500), ("Order/cancel", 429), ("Position/searchOpen", 401)]
)
def test_F_API_04_it_gets_through_a_gateway_that_fails_twice(endpoint: str, status: int) -> None:
    with sim_rig.running() as server:
        fill_account(server)
        fault = {"endpoint": endpoint, "status": status, "n": 2}
        server.plan({"id": "f", "name": "rest.status", "after": 1, "args": fault})
        result, _ = run(server, ACCOUNT)
        assert result.flat
        assert server.fired("rest.status")
        server.calm()
        assert open_things(server) == ([], 0)


def test_two_at_once_do_no_harm_to_each_other() -> None:
    """`tbot kill` and the launcher's last resort may both be at work."""
    with sim_rig.running() as server:
        fill_account(server)
        results: list[Any] = []
        threads = [threading.Thread(target=lambda: results.append(run(server, ACCOUNT)[0])) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(90)
        assert [result.flat for result in results] == [True] * 3
        assert open_things(server) == ([], 0)


# ----------------------------------------------------------------------------------------------------- it says when not
def test_a_refused_login_is_not_proof_of_anything() -> None:
    with sim_rig.running() as server:
        result, _ = run(server, login=(OWNER, "wrong"))
        assert not result.flat
        assert "refused the login" in result.text
        named, _ = run(server, ACCOUNT, for_s=0.2, login=(OWNER, "wrong"))
        assert not named.flat
        assert "refused the login" in named.text


def test_a_gateway_that_is_not_there_is_not_proof_either() -> None:
    with sim_rig.running() as server:
        address = server.rest
    said: list[str] = []
    for accounts in ((), (ACCOUNT,)):
        result = panic(address, LOGIN, accounts, 0.3, said.append, pause=lambda _: None)
        assert not result.flat
        assert result.text
    assert any("not known" in line for line in said)


def test_a_terminal_that_is_gone_stops_nothing() -> None:
    def gone(_: str) -> None:
        raise BrokenPipeError

    with sim_rig.running() as server:
        fill_account(server)
        assert panic(server.rest, LOGIN, (), FOR_S, gone).flat
        assert open_things(server) == ([], 0)


# ------------------------------------------------------------------------------------------------ the program itself
def order_for(server: RunningServer, **more: Any) -> bytes:
    order = {"gateway": server.rest, "user_name": OWNER, "api_key": KEY, "accounts": [ACCOUNT], "for_s": FOR_S}
    return json.dumps(order | more).encode()


def program(order: bytes, *, before: Any = None, code: str = "") -> subprocess.CompletedProcess[bytes]:
    head = ["-c", code] if code else ["-P", "-m", "tbot.panic"]
    return subprocess.run(
        [sys.executable, *head], input=order, capture_output=True, timeout=120, check=False, preexec_fn=before
    )


def test_R14_the_last_resort_takes_its_order_by_pipe() -> None:
    with sim_rig.running() as server:
        fill_account(server)
        done = program(order_for(server))
        assert done.returncode == 0, done.stderr
        assert done.stdout.decode().splitlines()[-1] == f"account {ACCOUNT}: proven: no position, no working order"
        assert KEY.encode() not in done.stdout + done.stderr
        assert open_things(server) == ([], 0)
        wrong = program(order_for(server, api_key="wrong", for_s=0.2))
        assert wrong.returncode == 11
        assert b"refused the login" in wrong.stdout


def test_R14_it_loads_nothing_of_the_engine() -> None:
    """What its process has in memory after a whole run, the command's own modules included."""
    code = (
        "import sys, tbot.commands.panic, tbot.commands.runs, tbot.cli\n"
        "from tbot.panic.__main__ import main\n"
        "code = main()\n"
        f"print([name for name in {BANNED!r} if name in sys.modules], file=sys.stderr)\n"
        "sys.exit(code)"
    )
    with sim_rig.running() as server:
        fill_account(server)
        done = program(order_for(server), code=code)
    assert done.returncode == 0, done.stderr
    assert done.stderr.decode().strip() == "[]"


@pytest.mark.parametrize("redirected", [">&-", ">/dev/full", ">&- 2>&-", ">/dev/full 2>/dev/full", "2>&-"])
def test_R14_a_stream_that_cannot_be_written_to_stops_nothing_and_changes_no_exit_code(redirected: str) -> None:
    shell = ["/bin/sh", "-c", f'"$@" {redirected}', "sh", sys.executable, "-P", "-m", "tbot.panic"]
    with sim_rig.running() as server:
        fill_account(server)
        for order, code in ((order_for(server), 0), (order_for(server, api_key="wrong", for_s=0.2), 11)):
            done = subprocess.run(shell, input=order, capture_output=True, timeout=120, check=False)
            assert (done.returncode, b"Traceback" in done.stderr) == (code, False), done.stderr
        assert open_things(server) == ([], 0)


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (b"", "not understood"), (b"[]", "not understood"), (b'{"gateway": "x", "api_key": "canary"', "not understood"),
        (b'{"gateway": "ftp://x", "user_name": "u", "api_key": "canary", "accounts": [], "for_s": 1}', "must begin"),
    ],
)  # fmt: skip
def test_R14_an_order_that_cannot_be_carried_out_is_one_sentence(order: bytes, words: str) -> None:
    done = program(order)
    said = done.stdout.decode()
    assert (done.returncode, said.count("\n"), done.stderr) == (11, 1, b"")
    assert words in said
    assert "canary" not in said


def test_F_SYS_06_it_runs_with_few_descriptors_and_no_disk_space() -> None:
    def poor() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    with sim_rig.running() as server:
        fill_account(server)
        done = program(order_for(server), before=poor)
        assert done.returncode == 0, done.stdout + done.stderr
        assert open_things(server) == ([], 0)


# ------------------------------------------------------------------------------------------------------- the command
def tbot(home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TBOT_")}
    return subprocess.run(
        [sys.executable, "-m", "tbot", *arguments],
        capture_output=True, text=True, check=False, timeout=120, cwd=home,
        env={**clean, "TBOT_HOME": str(home), **environment},
    )  # fmt: skip


def test_the_command_closes_locks_and_tells(tmp_path: Path) -> None:
    with sim_rig.running() as server:
        fill_account(server)
        done = tbot(tmp_path, "panic", "--gateway", server.rest, "--json", TBOT_USERNAME=OWNER, TBOT_API_KEY=KEY)
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        assert (document["schema"], document["version"], document["flat"]) == ("tbot.panic", 1, True)
        assert "close CON.F.US.MNQ.Z26 +2: done" in done.stderr
        assert KEY not in done.stdout + done.stderr
        assert open_things(server) == ([], 0)
    assert json.loads((tmp_path / "live" / "kill.all").read_text())["by"] == "tbot panic"
    assert (tmp_path / "kill.live.all").exists()


def test_F_SYS_02_a_broken_home_stops_nothing(tmp_path: Path) -> None:
    """State, journal and pointer are garbage, and nothing can be written."""
    (tmp_path / "current.json").write_text("{]")
    (tmp_path / "live").write_text("a file where a folder should be")
    (tmp_path / "sim").mkdir()
    (tmp_path / "sim" / "run.json").write_text("[1]")
    (tmp_path / "sim" / "journal.db").write_bytes(b"\0" * 5000)
    settings = tmp_path / "tbot.toml"
    settings.write_text("[gateway\nrest = ")
    with sim_rig.running() as server:
        fill_account(server)
        arguments = ("panic", "--gateway", server.rest, "--config", str(settings))
        done = tbot(tmp_path, *arguments, TBOT_USERNAME=OWNER, TBOT_API_KEY=KEY)
        assert done.returncode == 0, done.stderr
        assert "a lock file could not be written, going on" in done.stdout
        assert "was not used" in done.stdout
        assert done.stdout.splitlines()[-1].startswith("flat: ")
        assert open_things(server) == ([], 0)


def test_the_command_names_what_is_missing(tmp_path: Path) -> None:
    nowhere = tbot(tmp_path, "panic")
    assert (nowhere.returncode, nowhere.stderr.count("\n")) == (11, 1)
    assert "give --gateway URL" in nowhere.stderr
    nobody = tbot(tmp_path, "panic", "--gateway", "http://127.0.0.1:9", "--json")
    assert nobody.returncode == 11
    assert "TBOT_USERNAME" in nobody.stderr
    assert json.loads(nobody.stdout)["flat"] is False
    wrong = tbot(tmp_path, "panic", "--gateway", "nonsense", TBOT_USERNAME="u", TBOT_API_KEY="k")
    assert wrong.returncode == 11
    gone = tbot(
        tmp_path, "panic", "--gateway", "http://127.0.0.1:9", "--for", "1s", TBOT_USERNAME="u", TBOT_API_KEY="k"
    )
    assert gone.returncode == 11
    assert "NOT PROVEN FLAT" in gone.stderr
