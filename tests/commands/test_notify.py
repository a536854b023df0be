"""`tbot notify test`, where addresses may stand, and messages of a run: never an address on any screen."""

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from json_shape import same
from tbot.commands import notify_screen
from tbot.commands.notify import FOUND_FAILURE, notify
from tbot.commands.notify_addresses import NAME, find
from tbot.commands.notify_screen import NotifyingScreen, sender_of
from tbot.commands.show import Screen
from tbot.config import of_document
from tbot.domain.process_messages import EngineEvent
from tbot.errors import AuthError, ConfigError
from tbot.notify.mail import Note
from tbot.notify.settings import NotifySettings


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(NAME, raising=False)
    monkeypatch.setenv("TBOT_HOME", str(tmp_path))
    monkeypatch.setattr("tbot.commands.notify_addresses._keyring", lambda: "")
    return tmp_path


@pytest.fixture
def sink() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    came: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"json://127.0.0.1:{server.server_port}/canary?cto=60&rto=60", came
    server.shutdown()
    thread.join()
    server.server_close()


def call(*arguments: str) -> Result:
    result = CliRunner().invoke(notify, ["test", *arguments], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result


def private(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


# --------------------------------------------------------------------------------------------------------- addresses
def test_the_environment_goes_before_the_keyring_and_that_before_the_file(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find(NotifySettings(), home).urls == ()
    own = private(home / "notify_urls", "# mine\njson://one\n\n json://two json://one\n")
    assert (find(NotifySettings(), home).urls, find(NotifySettings(), home).source) == (
        ("json://one", "json://two"), str(own)
    )  # fmt: skip
    other = private(home / "other", "json://three")
    assert find(NotifySettings(file=str(other)), home).urls == ("json://three",)
    monkeypatch.setattr("tbot.commands.notify_addresses._keyring", lambda: "json://four")
    assert find(NotifySettings(), home).source == "keyring"
    monkeypatch.setenv(NAME, "json://five")
    assert (found := find(NotifySettings(), home)).urls == ("json://five",)
    assert found.source == "environment"
    assert NAME not in os.environ  # no child process inherits it
    assert "five" not in repr(found)


def test_I31_a_file_that_others_can_read_is_refused(home: Path) -> None:
    own = private(home / "notify_urls", "json://canary")
    own.chmod(0o640)
    with pytest.raises(AuthError, match=r"can be read by others .*chmod 600") as raised:
        find(NotifySettings(), home)
    assert "canary" not in str(raised.value)
    own.unlink()
    own.symlink_to(private(home / "other", "json://canary"))
    with pytest.raises(AuthError, match="cannot be read"):
        find(NotifySettings(), home)
    with pytest.raises(AuthError, match="cannot be read"):
        find(NotifySettings(file=str(home / "nowhere")), home)
    own.unlink()
    own.write_bytes(b"\xff\xfe")
    own.chmod(0o600)
    with pytest.raises(AuthError, match="is not understood"):
        find(NotifySettings(), home)


@pytest.mark.parametrize("value", [["tgram://canary"], "tgram://canary"])
def test_addresses_in_the_settings_are_refused_and_not_shown(value: Any) -> None:
    for name in ("urls", "url"):
        with pytest.raises(ConfigError, match=f"notify.{name}: addresses hold .* TBOT_NOTIFY_URLS") as raised:
            of_document({"notify": {name: value}}, "tbot.toml")
        assert "canary" not in str(raised.value)


# ------------------------------------------------------------------------------------------------------- the command
def test_a_test_message_arrives(sink: tuple[str, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch) -> None:
    url, came = sink
    monkeypatch.setenv(NAME, url)
    result = call()
    assert result.return_value == 0
    assert [one["title"] for one in came] == ["T-BOT: a test"]
    assert "json: sent" in result.output
    assert "canary" not in result.output


def test_what_does_not_arrive_is_told_with_another_exit_code(
    sink: tuple[str, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(NAME, f"{sink[0]} json://127.0.0.1:9/canary canary://x")
    result = call("--json")
    assert result.return_value == FOUND_FAILURE
    told = json.loads(result.output)
    same(told)
    assert (told["schema"], told["source"], told["not_understood"]) == ("tbot.notify", "environment", 1)
    assert told["services"] == [{"service": "json", "taken": True}, {"service": "json", "taken": False}]
    assert "canary" not in result.output


def test_without_an_address_it_says_where_to_write_one() -> None:
    with pytest.raises(ConfigError, match=r"TBOT_NOTIFY_URLS.*notify_urls \(mode 0600\)"):
        call()


# ------------------------------------------------------------------------------------------------------------- a run
def test_a_run_has_a_sender_when_there_is_an_address_and_the_demo_has_none(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sender_of(NotifySettings(), "paper") is None
    monkeypatch.setenv(NAME, "json://canary")
    assert sender_of(NotifySettings(), "sim", demo=True) is None
    assert NAME not in os.environ
    monkeypatch.setenv(NAME, "json://canary")
    assert sender_of(NotifySettings(), "paper") is not None
    monkeypatch.setenv(NAME, "json://canary")
    assert sender_of(NotifySettings(kinds=()), "paper") is None
    private(home / "notify_urls", "json://canary").chmod(0o644)
    assert sender_of(NotifySettings(), "paper") is None  # the run goes on without messages
    told = capsys.readouterr().err
    assert "no messages" in told
    assert "canary" not in told


class Recorded:
    """Stands for a sender."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.notes: list[Note] = []
        self.closed = False
        self._fault = fault

    def start(self) -> None:
        if self._fault:
            raise self._fault

    def add(self, notes: list[Note]) -> None:
        if self._fault:
            raise self._fault
        self.notes += notes

    def close(self) -> None:
        self.closed = True


def driven(sender: Recorded, monkeypatch: pytest.MonkeyPatch) -> tuple[NotifyingScreen, list[str]]:
    """A run's screen from its start to an end that was not flat."""
    seen: list[str] = []

    class Seen(Screen):
        def event(self, event: EngineEvent) -> None:
            seen.append(event.text)

        def draw(self, supervisor: Any) -> None:
            seen.append("drawn")

        def close(self) -> None:
            seen.append("closed")

    monkeypatch.setattr(notify_screen, "LOOK_NS", 0)
    status: dict[str, Any] = {"state": "ACTIVE", "alarms": []}
    supervisor: Any = SimpleNamespace(status=lambda: status)
    screen = NotifyingScreen(Seen(), sender)  # type: ignore[arg-type]
    screen.draw(supervisor)
    screen.event(EngineEvent(0, "executor", "FILL", "MNQ", "+2 @ 25000"))
    status["alarms"] = [{"code": "RC_MKT_HUB", "text": "market hub: reset"}]
    screen.draw(supervisor)
    status |= {"state": "NOT_FLAT", "reason": "not proven"}
    screen.close()
    return screen, seen


def test_what_a_screen_is_told_is_told_to_the_sender(monkeypatch: pytest.MonkeyPatch) -> None:
    sender = Recorded()
    screen, seen = driven(sender, monkeypatch)
    assert seen == ["drawn", "+2 @ 25000", "drawn", "closed"]
    assert [note.text for note in sender.notes] == [
        "MNQ +2 @ 25000", "market hub: reset (RC_MKT_HUB)", "NOT_FLAT: not proven"
    ]  # fmt: skip
    assert sender.closed
    assert not screen.errors


def test_a_bug_in_messages_costs_the_run_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    screen, seen = driven(Recorded(RuntimeError("canary")), monkeypatch)
    assert seen == ["drawn", "+2 @ 25000", "drawn", "closed"]
    assert screen.errors["RuntimeError"] >= 4
