"""The ZeroMQ patterns: bounded, never waiting, noticing the dead, private to the user."""

import multiprocessing
import os
import random
import signal
import socket
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import zmq

import socket_peers
from tbot.errors import Halted
from tbot.transport import sockets
from tbot.transport.sockets import Channel, Waiter

SECOND = 1_000_000_000
PATIENCE = 20 * SECOND


@pytest.fixture
def place() -> Iterator[Path]:
    """A private directory with a short path; every socket of this process is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="tbot") as short:
        yield Path(short)
        sockets.close_context()


def until(ready: Callable[[], bool], *channels: Channel) -> bool:
    """Whether `ready` becomes true within PATIENCE; asked again whenever a message comes, and every 10 ms."""
    deadline = time.monotonic_ns() + PATIENCE
    waiter = Waiter(*channels)
    while not ready():
        if time.monotonic_ns() > deadline:
            return False
        waiter.wait(SECOND // 100)
    return True


def receive(channel: Channel) -> tuple[bytes, bytes]:
    """The next message, waited for."""
    waiter, deadline = Waiter(channel), time.monotonic_ns() + PATIENCE
    while time.monotonic_ns() < deadline:
        if (message := channel.receive()) is not None:
            return message
        waiter.wait(PATIENCE)
    raise AssertionError("no message came")


@contextmanager
def child(target: Callable[..., None], path: Path) -> Iterator[int]:
    """A spawned process, running when this yields its id; killed afterwards."""
    with told_child(target, path) as (pid, _):
        yield pid


@contextmanager
def told_child(target: Callable[..., None], path: Path) -> Iterator[tuple[int, Connection]]:
    """The same, and our end of its pipe."""
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=target, args=(str(path), there), daemon=True)
    process.start()
    there.close()
    try:
        assert here.poll(60), "the child did not start"
        here.recv()
        assert process.pid is not None
        yield process.pid, here
    finally:
        process.kill()
        process.join()


def test_dealer_and_router_talk_by_identity(place: Path) -> None:
    served = sockets.router(place / "r")
    one, two = sockets.dealer(place / "r", b"MNQ"), sockets.dealer(place / "r", b"ES")
    for peer, name in ((one, b"MNQ"), (two, b"ES")):
        assert peer.writable(PATIENCE)
        assert peer.send(b"hello from " + name)
    heard = {receive(served), receive(served)}
    assert heard == {(b"MNQ", b"hello from MNQ"), (b"ES", b"hello from ES")}
    assert served.send(b"taken", to=b"ES")
    assert receive(two) == (b"", b"taken")
    assert one.receive() is None
    assert (served.received, served.sent, served.refused) == (2, 1, 0)


def test_F_IPC_02_a_lost_reply_locks_nobody_up(place: Path) -> None:
    """No channel takes turns: after a request that is never answered the next ones are asked and answered."""
    served, peer = sockets.router(place / "r"), sockets.dealer(place / "r", b"MNQ")
    assert peer.writable(PATIENCE)
    for number in range(20):
        assert peer.send(b"request %d" % number)
        assert receive(served) == (b"MNQ", b"request %d" % number)
        if number % 3 == 2:
            assert served.send(b"reply %d" % number, to=b"MNQ")
            assert receive(peer) == (b"", b"reply %d" % number)  # the one of this request, not of an earlier one
    assert served.send(b"and without being asked", to=b"MNQ")
    assert receive(peer) == (b"", b"and without being asked")
    assert (peer.refused, served.refused) == (0, 0)


def test_push_and_pull_collect_from_many(place: Path) -> None:
    collector = sockets.pull(place / "p")
    pushers = [sockets.push(place / "p") for _ in range(3)]
    for number, pusher in enumerate(pushers):
        assert pusher.writable(PATIENCE)
        assert pusher.send(b"%d" % number)
    assert {receive(collector)[1] for _ in pushers} == {b"0", b"1", b"2"}


def test_I25_a_message_to_an_unknown_peer_is_refused_not_dropped(place: Path) -> None:
    served = sockets.router(place / "r")
    assert served.send(b"x", to=b"nobody") is False
    assert (served.sent, served.refused) == (0, 1)


@pytest.mark.parametrize("make", [sockets.push, lambda path: sockets.dealer(path, b"w")])
def test_F_IPC_07_nothing_is_queued_for_a_peer_that_is_not_there(place: Path, make: Callable[[Path], Channel]) -> None:
    channel = make(place / "late")
    assert channel.send(b"old") is False
    collector = sockets.pull(place / "late") if make is sockets.push else sockets.router(place / "late")
    assert channel.writable(PATIENCE)
    assert channel.send(b"new")
    assert receive(collector)[1] == b"new"
    assert collector.receive() is None
    assert (channel.sent, channel.refused) == (1, 1)


def test_F_DAT_06_I25_a_full_queue_refuses_at_once_and_every_message_is_accounted_for(place: Path) -> None:
    collector = sockets.pull(place / "p", queue=10)
    channel = sockets.push(place / "p", queue=10)
    assert channel.writable(PATIENCE)
    payload = b"x" * 100_000
    offered = 0
    while channel.refused < 100:
        channel.send(payload)
        offered += 1
        assert offered < 100_000, "the queue has no bound"
    assert channel.sent + channel.refused == offered
    assert len([receive(collector) for _ in range(channel.sent)]) == collector.received
    assert collector.receive() is None


def test_F_IPC_06_oversize_is_refused_by_us_and_ends_a_foreign_connection(place: Path) -> None:
    collector = sockets.pull(place / "p")
    ours = sockets.push(place / "p")
    assert ours.writable(PATIENCE)
    assert ours.send(b"x" * (sockets.MAX_MESSAGE + 1)) is False
    foreign = zmq.Context.instance().socket(zmq.PUSH)
    foreign.setsockopt(zmq.LINGER, 0)
    events = foreign.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    foreign.connect(f"ipc://{place / 'p'}")
    foreign.send(b"x" * (sockets.MAX_MESSAGE + 1))
    assert events.poll(PATIENCE // 1_000_000), "the connection stayed"
    assert ours.send(b"still here")
    assert receive(collector)[1] == b"still here"
    assert collector.received == 1
    foreign.disable_monitor()
    foreign.close()


def test_F_IPC_06_messages_of_another_shape_are_counted_and_passed_over(place: Path) -> None:
    served = sockets.router(place / "r")
    foreign = zmq.Context.instance().socket(zmq.DEALER)
    foreign.setsockopt(zmq.LINGER, 0)
    foreign.connect(f"ipc://{place / 'r'}")
    foreign.send_multipart([b"a", b"b", b"c"])
    foreign.send_multipart([b"whole"])
    assert receive(served)[1] == b"whole"
    assert (served.malformed, served.received) == (1, 1)
    foreign.close()


@pytest.mark.parametrize(
    "noise",
    [
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
        random.Random(1).randbytes(500),
        b"\xff" + bytes(8) + b"\x7f" + b"x" * 200,
    ],
    ids=["http", "random", "greeting and rubbish"],
)
def test_F_IPC_06_raw_bytes_on_the_file_socket_do_no_harm(place: Path, noise: bytes) -> None:
    collector = sockets.pull(place / "p")
    ours = sockets.push(place / "p")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as raw:
        raw.connect(str(place / "p"))
        raw.sendall(noise)
    assert ours.writable(PATIENCE)
    assert ours.send(b"sound")
    while receive(collector)[1] != b"sound":
        pass  # what the noise was taken for; Wire refuses it


def test_F_SEC_02_I31_sockets_are_private_files(place: Path) -> None:
    before = os.umask(0)
    try:
        sockets.pull(place / "p")
        assert os.umask(0) == 0, "the mask of the process is put back"
    finally:
        os.umask(before)
    info = os.lstat(place / "p")
    assert stat.S_ISSOCK(info.st_mode)
    assert info.st_mode & 0o077 == 0
    assert os.lstat(place / "p.lock").st_mode & 0o077 == 0


@pytest.mark.parametrize("mode", [0o755, 0o710, 0o701])
def test_F_SEC_02_a_directory_open_to_others_is_refused(place: Path, mode: int) -> None:
    place.chmod(mode)
    for make in (sockets.pull, sockets.push, sockets.router):
        with pytest.raises(Halted):
            make(place / "p")
    place.chmod(0o700)


def test_F_SEC_06_a_planted_link_is_not_followed(place: Path) -> None:
    (place / "p.lock").symlink_to(place / "elsewhere")
    with pytest.raises(OSError, match=r"p\.lock"):
        sockets.pull(place / "p")
    assert not (place / "elsewhere").exists()


def test_a_path_too_long_for_a_file_socket_is_told(place: Path) -> None:
    with pytest.raises(ValueError, match="at most 107 bytes"):
        sockets.push(place / ("x" * 108))


@pytest.mark.parametrize("identity", [b"", b"\x00a", b"x" * 256])
def test_identities_that_zeromq_refuses_are_told(place: Path, identity: bytes) -> None:
    with pytest.raises(ValueError, match="identity"):
        sockets.dealer(place / "r", identity)


def test_F_IPC_05_a_second_server_is_refused_and_the_first_keeps_its_peers(place: Path) -> None:
    served = sockets.router(place / "r")
    peer = sockets.dealer(place / "r", b"w")
    with pytest.raises(Halted, match="already served"):
        sockets.router(place / "r")
    assert peer.writable(PATIENCE)
    assert peer.send(b"x")
    assert receive(served) == (b"w", b"x")


def test_F_IPC_05_another_process_cannot_take_a_served_address(place: Path) -> None:
    with child(socket_peers.echo_router, place / "r"), pytest.raises(Halted, match="already served"):
        sockets.router(place / "r")


def test_F_PRC_01_a_killed_server_is_replaced_and_its_peer_reconnects(place: Path) -> None:
    peer = sockets.dealer(place / "r", b"w")
    for turn in (b"first", b"second"):
        with child(socket_peers.echo_router, place / "r"):
            assert peer.writable(PATIENCE)
            assert peer.send(turn)
            assert receive(peer) == (b"", turn)
        assert until(lambda: not peer.writable(0)), "the dead peer is still taken for living"
    assert (peer.sent, peer.received) == (2, 2)


def test_a_restarted_peer_takes_its_identity_over(place: Path) -> None:
    served = sockets.router(place / "r")
    for turn in (b"1", b"2"):
        peer = sockets.dealer(place / "r", b"w")  # the first one is still connected when the second comes
        assert peer.writable(PATIENCE)
        assert peer.send(turn)
        assert receive(served) == (b"w", turn)
        assert served.send(b"answer " + turn, to=b"w")
        assert receive(peer) == (b"", b"answer " + turn)


def test_F_IPC_04_a_frozen_peer_is_noticed(place: Path) -> None:
    with child(socket_peers.echo_router, place / "r") as pid:
        peer = sockets.dealer(place / "r", b"w")
        assert peer.writable(PATIENCE)
        os.kill(pid, signal.SIGSTOP)
        try:
            assert until(lambda: not peer.writable(0)), "no heartbeat noticed the frozen peer"
            assert peer.send(b"x") is False
        finally:
            os.kill(pid, signal.SIGCONT)
        assert peer.writable(PATIENCE), "a peer that thaws is connected again"


def test_F_IPC_01_what_a_dead_pusher_had_sent_arrives_in_order_as_far_as_it_arrives(place: Path) -> None:
    collector = sockets.pull(place / "p")
    with child(socket_peers.pusher, place / "p"):
        heard = [int(receive(collector)[1]) for _ in range(500)]
    heard += [int(payload) for _, payload in collector.drain()]
    assert heard == list(range(len(heard)))


def test_F_IPC_03_last_words_of_an_orderly_end_arrive_whatever_their_length(place: Path) -> None:
    """They leave in pieces, and the process ends at once: final fills and money of a run stand in them."""
    rounds = 50
    collector = sockets.pull(place / "p")
    with told_child(socket_peers.last_words, place / "p") as (_, pipe):
        pipe.send(rounds)
        heard = [receive(collector)[1] for _ in range(rounds)]
        assert [int(words.split()[0]) for words in heard] == list(range(rounds))
        assert {len(words.split()[1]) for words in heard} == {20_000}
        assert pipe.poll(60)


def test_F_IPC_03_a_peer_that_takes_nothing_holds_an_end_up_for_the_time_to_linger_only(place: Path) -> None:
    collector = sockets.pull(place / "p", queue=1)
    channel = sockets.push(place / "p")
    assert channel.writable(PATIENCE)
    while channel.send(b"x" * 500_000):
        pass
    done = threading.Event()

    def close() -> None:
        channel.close(linger_ms=50)  # what is over must not wait for a reader of ours either: it never reads
        sockets.close_context()
        done.set()

    threading.Thread(target=close, daemon=True).start()
    assert done.wait(PATIENCE / SECOND)
    collector.close()


def test_F_IPC_03_closing_with_unsent_messages_does_not_hang(place: Path) -> None:
    collector = sockets.pull(place / "p", queue=1)
    channel = sockets.push(place / "p")
    assert channel.writable(PATIENCE)
    while channel.send(b"x" * 500_000):
        pass
    done = threading.Event()

    def close() -> None:
        channel.close()
        channel.close()
        collector.close()
        sockets.close_context()
        done.set()

    threading.Thread(target=close, daemon=True).start()
    assert done.wait(PATIENCE / SECOND), "close or the end of the context hangs"


def test_an_address_is_free_again_after_the_context_is_closed(place: Path) -> None:
    for _ in range(3):
        sockets.router(place / "r").close()
        with pytest.raises(Halted):
            sockets.router(place / "r")
        sockets.close_context()


def test_waiter_wakes_for_channels_and_plain_descriptors(place: Path) -> None:
    collector, other = sockets.pull(place / "p"), sockets.pull(place / "q")
    channel = sockets.push(place / "p")
    reading, writing = os.pipe()
    waiter = Waiter(collector, other, reading)
    assert waiter.wait(0) == []
    assert waiter.wait(1) == []
    os.write(writing, b"x")
    assert waiter.wait(PATIENCE) == [reading]
    os.read(reading, 1)
    assert channel.writable(PATIENCE)
    channel.send(b"x")
    assert waiter.wait(PATIENCE) == [collector]
    waiter.remove(collector)
    assert waiter.wait(0) == []
    os.close(writing)
    assert waiter.wait(PATIENCE) == [reading], "a hang-up is news"
    waiter.remove(reading)
    os.close(reading)
    assert waiter.wait(0) == []


def test_drain_takes_no_more_than_its_limit(place: Path) -> None:
    collector, channel = sockets.pull(place / "p"), sockets.push(place / "p")
    assert channel.writable(PATIENCE)
    for number in range(10):
        assert channel.send(b"%d" % number)
    taken: list[bytes] = []
    while len(taken) < 10:
        assert Waiter(collector).wait(PATIENCE)
        part = collector.drain(4)
        assert 1 <= len(part) <= 4
        taken += [payload for _, payload in part]
    assert taken == [b"%d" % number for number in range(10)]
