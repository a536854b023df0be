"""Messages to real services of this machine, and to broken ones: none of them holds anybody up, and all are counted."""

import base64
import json
import logging
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from sim_rig import until
from tbot.errors import ConfigError
from tbot.notify.mail import Letter, Note, Outbox
from tbot.notify.sender import RETRY_S, Sender, Service, services
from tbot.notify.settings import NotifySettings

S = 10**9
AT_ONCE = NotifySettings(gather_s=0, repeat_min=0, per_hour=600)


class Sink:
    """A service that apprise knows (json://): what came, and what it answers."""

    def __init__(self) -> None:
        self.status = 200
        self.came: list[dict[str, Any]] = []
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                sink.came.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(sink.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.url = f"json://canary:secret@127.0.0.1:{self._server.server_port}/canary?cto=60&rto=60"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def sink() -> Iterator[Sink]:
    made = Sink()
    yield made
    made.close()


class Fake:
    """A service in the test's hand."""

    name = "fake"

    def __init__(self, act: Callable[[Letter], bool]) -> None:
        self._act = act

    def send(self, letter: Letter) -> bool:
        return self._act(letter)


class Clock:
    now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


def sender(*made: Service, clock: Clock | None = None) -> Sender:
    one = Sender(Outbox(AT_ONCE, "T-BOT"), lambda: (list(made), 0), clock=clock or Clock(), look_s=0.01)
    one.start()
    return one


def fake(act: Callable[[Letter], bool]) -> list[Service]:
    return [Fake(act)]


def test_a_letter_reaches_a_service_with_its_file(sink: Sink, tmp_path: Path) -> None:
    report = tmp_path / "week.pdf"
    report.write_bytes(b"%PDF")
    made, unknown = services([sink.url])
    assert (len(made), unknown, made[0].name) == (1, 0, "json")
    assert made[0].send(Letter("T-BOT: 1 lock, 1 report", ("LOCKED", "report of 2026-W47"), (str(report),), True))
    (came,) = sink.came
    assert (came["title"], came["message"], came["type"]) == (
        "T-BOT: 1 lock, 1 report", "LOCKED\nreport of 2026-W47", "warning"
    )  # fmt: skip
    (attached,) = came["attachments"]
    assert (attached["filename"], base64.b64decode(attached["base64"])) == ("week.pdf", b"%PDF")
    assert made[0].send(Letter("T-BOT", ("+2",)))
    assert sink.came[1]["type"] == "info"


def test_addresses_that_nobody_understands_are_counted_and_never_shown(
    sink: Sink, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    made, unknown = services(["canary://nobody", "tgram://", "not an address canary", sink.url])
    assert (len(made), unknown) == (1, 3)
    sink.status = 500
    assert not made[0].send(Letter("x", ("y",)))
    assert "canary" not in caplog.text + "".join(capfd.readouterr()) + repr(made)


def test_without_apprise_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "apprise", None)
    with pytest.raises(ConfigError, match=r"pip install 'tbot\[notify\]'"):
        services(["json://localhost"])
    one = Sender(Outbox(AT_ONCE, "T-BOT"), lambda: services(["json://localhost"]), look_s=0.01)
    one.start()
    assert "apprise" in until(lambda: one.status()["trouble"], "the trouble")
    one.add([Note("locks", "x")])  # nobody listens, and nobody minds
    one.close(wait_s=60)


def test_a_running_sender_sends_and_counts(sink: Sink) -> None:
    one = Sender(Outbox(AT_ONCE, "T-BOT"), lambda: services([sink.url, "canary://x"]), look_s=0.01)
    one.start()
    one.add([Note("fills", "MNQ +2"), Note("signals", "long")])
    until(lambda: sink.came, "the letter")
    until(lambda: one.status()["services"][0]["sent"], "its count")
    status = one.status()
    assert status["services"] == [{"service": "json", "sent": 1, "failed": 0, "failing": False}]
    assert (status["not_understood"], status["waiting"], status["trouble"]) == (1, 0, "")
    assert "canary" not in json.dumps(status)
    one.add([Note("locks", "LOCKED")])
    one.close(wait_s=60)
    assert [came["message"] for came in sink.came] == ["MNQ +2\nlong", "LOCKED"]  # the last one before it ended


def test_a_service_that_hangs_holds_nobody_up() -> None:
    free = threading.Event()
    one = sender(*fake(lambda letter: free.wait(30)))
    try:
        one.add([Note("locks", "first")])
        until(lambda: one.status()["services"] and one._busy_ns is not None and not one.status()["waiting"], "a call")
        for number in range(1_000):
            one.add([Note("fills", str(number))])  # returns at once, whatever the thread waits for
        assert one.status()["waiting"] == 200
        assert one.status()["left_out"] == 800
        one.close(wait_s=0.05)  # nor does the end of a run wait for it
    finally:
        free.set()


@pytest.mark.parametrize("bad", [lambda letter: False, lambda letter: 1 / 0])
def test_a_service_that_fails_is_counted_and_the_others_get_their_letter(bad: Callable[[Letter], bool]) -> None:
    got: list[Letter] = []
    one = sender(Fake(bad), Fake(lambda letter: bool(got.append(letter)) or True))
    one.add([Note("faults", "restarted")])
    until(lambda: got, "the good one's letter")
    until(lambda: one.status()["services"][1]["sent"] == 1, "its count")
    rows = one.status()["services"]
    assert [(row["sent"], row["failed"], row["failing"]) for row in rows] == [(0, 1, True), (1, 0, False)]
    one.close(wait_s=60)


def test_a_letter_that_nobody_took_is_tried_again_and_given_up_in_the_end() -> None:
    clock, tries = Clock(), []
    good = False

    def act(letter: Letter) -> bool:
        tries.append((clock.now_ns // S, letter.body))
        return good

    one = sender(*fake(act), clock=clock)
    one.add([Note("locks", "LOCKED")])
    until(lambda: len(tries) == 1, "the first try")
    for number, pause_s in enumerate(RETRY_S):
        until(lambda: one._again_ns > clock.now_ns, "the pause")
        clock.now_ns += pause_s * S
        until(lambda number=number: len(tries) == number + 2, "another try")
    until(lambda: one.status()["lost"] == 1, "the end of it")
    good = True
    one.add([Note("locks", "LOCKED again")])
    until(lambda: len(tries) == 5, "the next letter")
    assert tries == [(0, "LOCKED"), (30, "LOCKED"), (150, "LOCKED"), (750, "LOCKED"), (750, "LOCKED again")]
    one.close(wait_s=60)
    assert one.status()["services"] == [{"service": "fake", "sent": 1, "failed": 4, "failing": False}]


def test_the_end_of_a_run_tries_once_more_and_no_longer() -> None:
    tries: list[Letter] = []
    one = sender(*fake(lambda letter: bool(tries.append(letter))))
    one.add([Note("locks", "LOCKED")])
    until(lambda: tries and one._held is not None, "the letter that nobody took")
    one.close(wait_s=60)
    assert (len(tries), one.status()["lost"]) == (2, 1)
