"""The control socket: authority by key, once, in time, of this run (R8, F-SEC-04), and no lock-up (F-IPC-02)."""

import json
import os
import stat
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tbot.domain.process_messages import AccountWord, ControlReply, ControlRequest, StepDone
from tbot.engine import control
from tbot.engine.clocks import NS_PER_S, boot_ns
from tbot.engine.control import ControlClient, ControlServer, ask_once, socket_path
from tbot.errors import Halted, ProtocolError
from tbot.storage.control_key import key_path, read_key, write_key
from tbot.transport import sockets
from tbot.transport.process_identity import myself
from tbot.transport.wire import Wire

RUN = 77
PATIENCE_S = 30.0
WORD = AccountWord(1001, "PRAC", True, "paused", "PAUSED", "by a person", False, False, "MNQ +5")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(control, "TTL_NS", control.MAX_TTL_NS)  # between asking and taking a machine may stall
    monkeypatch.setattr(sockets, "HEARTBEAT_TIMEOUT_MS", 60_000)
    tmp_path.chmod(0o700)
    yield tmp_path
    sockets.close_context()


class Asker:
    """Speaks to a server by hand: what it sends and how it is sealed is the test's."""

    def __init__(self, folder: Path, *, key: bytes | None = None, run_id: int = RUN, name: bytes = b"op-test") -> None:
        found = read_key(folder)
        assert found is not None
        self.wire = Wire(key or found.key, run_id, 0)
        self.channel = sockets.dealer(socket_path(folder), name)
        assert self.channel.writable(int(PATIENCE_S * NS_PER_S))

    def send(self, request: ControlRequest | StepDone) -> None:
        assert self.channel.send(self.wire.encode(request))

    def reply(self, server: ControlServer) -> ControlReply:
        """The answer, giving the server its turns."""
        waiter = sockets.Waiter(self.channel)
        for _ in range(1000):
            assert server.take() == []
            waiter.wait(10_000_000)
            for _, data in self.channel.drain():
                message = self.wire.decode(data)
                assert isinstance(message, ControlReply)
                return message
        raise AssertionError("no answer")


def request(number: int = 1, **more: object) -> ControlRequest:
    return replace(ControlRequest(f"r{number}", "pause", RUN, boot_ns(), control.MAX_TTL_NS), **more)  # type: ignore[arg-type]


def taken(server: ControlServer, count: int = 1) -> list[tuple[bytes, ControlRequest]]:
    """The next requests that the server takes."""
    found: list[tuple[bytes, ControlRequest]] = []
    waiter = sockets.Waiter(server.channel)
    for _ in range(1000):
        found += server.take()
        if len(found) >= count:
            return found
        waiter.wait(10_000_000)
    raise AssertionError(f"{count} requests never came: {found}")


def settle(server: ControlServer, name: str, count: int) -> None:
    """Until a counter of the server has come so far; it takes nothing meanwhile."""
    waiter = sockets.Waiter(server.channel)
    for _ in range(1000):
        assert server.take() == []
        if server.counts[name] >= count:
            return
        waiter.wait(10_000_000)
    raise AssertionError(f"{name}: {server.status()}")


# ------------------------------------------------------------------------------------------------------- whole talk
def test_a_command_and_its_truthful_answer(folder: Path) -> None:
    server = ControlServer(folder, RUN)
    answers: list[ControlReply | None] = []
    asking = threading.Thread(
        target=lambda: answers.append(ask_once(folder, "flatten", 1001, "MNQ", patience_s=PATIENCE_S))
    )
    asking.start()
    ((sender, asked),) = taken(server)
    assert (asked.verb, asked.account, asked.contract, asked.run_id) == ("flatten", 1001, "MNQ", RUN)
    server.answer(b"op-nobody", ControlReply(asked.request_id, "", "of another asker"))
    server.answer(sender, ControlReply("another", "", "of another request"))
    server.answer(sender, ControlReply(asked.request_id, "", "paused", (WORD,)))
    asking.join(PATIENCE_S)
    assert answers == [ControlReply(asked.request_id, "", "paused", (WORD,))]
    assert server.status() == {"taken": 1, "unanswered": 1, "malformed": 0}
    server.close()


def test_the_key_is_in_a_file_of_ours_alone_and_new_in_each_life(folder: Path) -> None:
    first = write_key(folder, RUN, *myself())
    assert stat.S_IMODE(key_path(folder).stat().st_mode) == 0o600
    assert read_key(folder) == first
    assert first.pid == os.getpid()
    second = write_key(folder, RUN, *myself())
    assert second.key != first.key
    assert [path.name for path in folder.iterdir()] == ["control.key"]


# --------------------------------------------------------------------------------------------------------------- R8
@pytest.mark.parametrize(
    ("changes", "why", "words"),
    [
        ({"run_id": RUN + 1}, "run", "belongs to another run"),
        ({"ttl_ns": 0, "sent_boot_ns": None}, "expired", "s old"),
        ({"sent_boot_ns": 1}, "expired", "older than the executor"),
        ({"sent_boot_ns": 2**62}, "expired", "s old"),
    ],
)
def test_R8_expired_and_foreign_commands_are_refused_and_told_so(
    folder: Path, changes: dict[str, int | None], why: str, words: str
) -> None:
    server = ControlServer(folder, RUN)
    asker = Asker(folder)
    made = request()
    now = made.sent_boot_ns
    asker.send(replace(made, **{name: now if value is None else value for name, value in changes.items()}))
    reply = asker.reply(server)
    assert (reply.request_id, reply.refused) == ("r1", why)
    assert words in reply.text
    assert server.counts[f"refused_{why}"] == 1


def test_R8_no_command_lives_longer_than_ours_may(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = ControlServer(folder, RUN)
    asker = Asker(folder)
    asker.send(request(ttl_ns=10**18))
    monkeypatch.setattr(control, "boot_ns", lambda: boot_ns() + control.MAX_TTL_NS)
    assert asker.reply(server).refused == "expired"


def test_R8_a_command_is_done_once_however_often_it_comes(folder: Path) -> None:
    server = ControlServer(folder, RUN)
    asker = Asker(folder)
    made = request()
    asker.send(made)
    taken(server)
    asker.send(made)
    reply = asker.reply(server)
    assert (reply.refused, reply.text) == ("seen", "this command was taken before; it was not done again")


def test_R8_a_command_of_an_earlier_executor_of_the_run_is_nothing_to_this_one(folder: Path) -> None:
    """Its key is gone with it, so the replay of a whole frame is not even read."""
    old_key = write_key(folder, RUN, *myself()).key
    server = ControlServer(folder, RUN)
    asker = Asker(folder, key=old_key)
    asker.send(request())
    settle(server, "not_ours", 1)


def test_ids_are_remembered_in_bounds(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "KEPT_IDS", 2)
    server = ControlServer(folder, RUN)
    asker = Asker(folder)
    for number in range(5):
        asker.send(request(number))
    taken(server, 5)
    assert len(server._seen) == 2


# --------------------------------------------------------------------------------------------------------- security
def test_F_SEC_04_without_the_key_nothing_is_done_and_it_is_counted(folder: Path) -> None:
    server = ControlServer(folder, RUN)
    Asker(folder, key=b"\7" * 32, name=b"op-forger").send(request())
    Asker(folder, run_id=RUN + 1, name=b"op-lost").send(request())
    stranger = Asker(folder, name=b"op-bytes")
    for data in (b"", b"GET / HTTP/1.1\r\n\r\n", os.urandom(200), b"TBOT" + bytes(60)):
        stranger.channel.send(data)
    Asker(folder, name=b"op-mixed").send(StepDone(5))  # sealed by the key, and no command
    settle(server, "not_ours", 7)
    assert server.counts["taken"] == 0


@pytest.mark.parametrize("spoil", ["mode", "link", "folder"])
def test_F_SEC_06_a_key_file_that_others_could_have_written_is_not_trusted(folder: Path, spoil: str) -> None:
    write_key(folder, RUN, *myself())
    path = key_path(folder)
    if spoil == "mode":
        path.chmod(0o660)
    else:
        content = path.read_bytes()
        path.unlink()
        if spoil == "link":
            (folder / "elsewhere").write_bytes(content)
            path.symlink_to(folder / "elsewhere")
        else:
            path.mkdir(mode=0o700)
    if spoil == "link":
        assert read_key(folder) is None
    else:
        with pytest.raises(Halted, match="not a file of yours alone"):
            read_key(folder)
    assert ask_once(folder, "ask", patience_s=0.01) is None


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", '{"run_id": "x", "key": "00", "pid": 1}', '{"run_id": 1, "key": 5}']
)
def test_a_damaged_key_file_is_no_key(folder: Path, content: str) -> None:
    key_path(folder).write_text(content)
    key_path(folder).chmod(0o600)
    assert read_key(folder) is None
    with pytest.raises(ProtocolError, match="has no control socket"):
        ControlClient(folder)


def test_F_SEC_06_a_link_planted_where_the_key_is_made_is_not_followed(folder: Path) -> None:
    victim = folder / "victim"
    victim.write_text("precious")
    (folder / f".control.key.{os.getpid()}").symlink_to(victim)
    key_path(folder).symlink_to(victim)
    write_key(folder, RUN, *myself())
    assert victim.read_text() == "precious"
    assert json.loads(key_path(folder).read_text())["run_id"] == RUN


# ---------------------------------------------------------------------------------------------------- no lock-up
def test_F_IPC_02_askers_that_leave_without_their_answer_stop_nobody(folder: Path) -> None:
    server = ControlServer(folder, RUN)
    for number in range(50):
        asker = Asker(folder, name=b"op-%d" % number)
        asker.send(request(number))
        taken(server)
        asker.channel.close()
    answers: list[ControlReply | None] = []
    last = threading.Thread(target=lambda: answers.append(ask_once(folder, "ask", patience_s=PATIENCE_S)))
    last.start()
    ((sender, asked),) = taken(server)
    for number in range(50):  # the replies that were dropped: each says at once that nobody is there, or is thrown away
        server.answer(b"op-%d" % number, ControlReply(f"r{number}", "", "late"))
    assert server.answer(sender, ControlReply(asked.request_id, "", "here"))
    last.join(PATIENCE_S)
    assert [answer and answer.text for answer in answers] == ["here"]


def test_F_IPC_02_an_answer_that_never_comes_ends_the_wait_and_the_next_question_works(folder: Path) -> None:
    server = ControlServer(folder, RUN)
    client = ControlClient(folder)
    assert client._channel.writable(int(PATIENCE_S * NS_PER_S))  # or the patience would be that of connecting, too
    assert client.ask("pause", patience_s=0.2) is None  # it arrives, and is not answered
    taken(server)
    answers: list[ControlReply | None] = []
    asking = threading.Thread(target=lambda: answers.append(client.ask("ask", patience_s=PATIENCE_S)))
    asking.start()
    ((sender, asked),) = taken(server)
    server.answer(sender, ControlReply(asked.request_id, "", "here"))
    asking.join(PATIENCE_S)
    assert [answer and answer.text for answer in answers] == ["here"]
    client.close()


def test_F_IPC_04_nobody_listens(folder: Path) -> None:
    write_key(folder, RUN, *myself())
    assert ask_once(folder, "kill", patience_s=0.05) is None
    assert ask_once(folder / "missing", "kill", patience_s=0.05) is None
