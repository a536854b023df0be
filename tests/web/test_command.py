"""`tbot web` as a person starts it: what it prints, what it refuses, what it leaves nowhere (I30)."""

import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from command_world import NOBODY, World
from tbot.cli import root
from tbot.commands import web
from tbot.errors import ConfigError

CANARIES = {"TBOT_USERNAME": "canary-user-61c2", "TBOT_API_KEY": "canary-key-98aa"}


def test_a_busy_port_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TBOT_HOME", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"port {port} .+ cannot be used: .+; choose another with --port"):
            CliRunner().invoke(root, ["web", "--port", str(port)], standalone_mode=False, catch_exceptions=False)


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nicegui", None)
    with pytest.raises(ConfigError, match=r"pip install 'tbot\[web\]'"):
        CliRunner().invoke(root, ["web"], standalone_mode=False, catch_exceptions=False)


def test_it_listens_on_the_loopback_address_alone() -> None:
    with web.listen(0) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"


def test_no_other_command_loads_nicegui() -> None:
    code = (
        "import sys; from tbot import cli\n"
        "for name in cli.COMMANDS: cli.root.get_command(None, name)\n"
        "assert not {'nicegui', 'fastapi', 'socketio'} & set(sys.modules), 'loaded'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_the_living_run_is_looked_at_before_the_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path, monkeypatch)
    assert web.find(None) is None
    world.run("sim", pid=NOBODY)
    dead = web.find(None)
    assert dead is not None
    assert not dead.alive()
    world.run("paper", newest=False)
    found = web.find(None)
    assert found is not None
    assert found.key != dead.key
    assert found.alive()
    assert web.find("live") is None
    only = web.find("sim")
    assert only is not None
    assert only.key == dead.key


def test_F_SEC_01_the_browser_gets_the_link_by_a_file_of_ours_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or True)
    with web._shortcut("http://127.0.0.1:1/enter#secret"):
        (address,) = opened
        assert "secret" not in address
        path = Path(address.removeprefix("file://"))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert "#secret" in path.read_text()
    assert not path.exists()


@contextlib.contextmanager
def served(home: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """`tbot web` as a process, and the links it printed."""
    environment = {**os.environ, **CANARIES, "TBOT_HOME": str(home)}
    command = [sys.executable, "-m", "tbot", "web", "--port", "0", *arguments]
    with (
        (home / "stderr").open("w") as errors,
        subprocess.Popen(
            command, env=environment, cwd=home, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        assert process.stdout is not None
        links = []
        for line in process.stdout:
            if "#" not in line:
                break
            links.append(line.split()[-1])
        try:
            yield process, links
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def test_I30_secrets_are_in_no_answer_no_output_and_no_file(tmp_path: Path) -> None:
    with served(tmp_path) as (process, links):
        assert len(links) == 2
        base, _, link = links[0].partition("/enter#")
        seen: list[str] = []
        with httpx.Client(base_url=base, headers={"Origin": base}, timeout=60) as client:
            entered = client.post("/enter", json={"link": link})
            seen += [client.get("/enter").text, entered.headers["set-cookie"].partition("=")[0]]
            hand = entered.json()["hand"]
            life = client.get("/").text.partition("dataset.life = '")[2].partition("'")[0]
            command = {"nonce": f"{life}.{'0' * 32}", "sent_ms": _now_ms()}
            begun = client.post("/act/pause", json=command, headers={"X-Tbot-Hand": hand})
            assert begun.status_code == 202
            number = begun.json()["job"]
            while not (job := client.get(f"/job/{number}").json())["over"]:
                pass
            assert (job["phase"], job["exit_code"]) == ("failed", 7)  # nothing runs here
            assert "no engine runs here" in job["text"]
            for path in ("/", "/static/app.js", "/static/app.css", f"/job/{number}", "/nowhere", "/job/9"):
                answer = client.get(path)
                seen += [answer.text, str(answer.headers)]
            assert client.post("/act/pause", json=command, headers={"X-Tbot-Hand": hand}).status_code == 409
        with open(f"/proc/{process.pid}/cmdline") as arguments:
            seen.append(arguments.read())
    assert process.returncode == 0
    seen += [path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file()]
    secrets = [*CANARIES.values(), link, hand, links[1].partition("#")[2], client.cookies[f"tbot_web_{_port(base)}"]]
    for text in seen:
        assert not [secret for secret in secrets if secret in text]


STRANGER = """
import email.parser, encodings.idna, encodings.latin_1, http.client, os, sys, urllib.error, urllib.request
os.setuid(54321)
request = urllib.request.Request(sys.argv[1] + "/enter", headers={"X-Forwarded-For": "10.0.0.1"})
try:
    print(urllib.request.urlopen(request).status)
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode())
"""


@pytest.mark.privileged
def test_I31_a_second_user_of_the_machine_is_refused_whatever_it_says(tmp_path: Path) -> None:
    if os.geteuid() != 0 or not Path("/proc/net/tcp").exists():
        pytest.skip("only root can become another user, and only Linux tells who knocks")
    with served(tmp_path) as (_, links):
        base = links[0].partition("/enter#")[0]
        asked = [sys.executable, "-c", STRANGER, base]
        answer = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=120)
        assert answer.stdout.split(maxsplit=1)[0] == "403"
        assert "another user of this machine" in answer.stdout
        assert httpx.get(f"{base}/enter", timeout=60).status_code == 200


def _now_ms() -> float:
    import time

    return time.time() * 1000


def _port(base: str) -> str:
    return base.rpartition(":")[2]


def test_I31_read_only_has_one_link_and_does_nothing(tmp_path: Path) -> None:
    with served(tmp_path, "--read-only") as (_, links):
        assert len(links) == 1
        base, _, link = links[0].partition("/enter#")
        with httpx.Client(base_url=base, headers={"Origin": base}, timeout=60) as client:
            assert client.post("/enter", json={"link": link}).json() == {"hand": ""}
            assert "data-act" not in client.get("/").text
            assert client.post("/act/kill", content=json.dumps({})).status_code == 403
