"""A process that comes back knows what the one before it has sent (I9, R9)."""

import os
import socket
from pathlib import Path

import pytest

from rest_calls import jwt
from tbot.gateway.request_log import SLOTS, RequestLog, request_log
from tbot.gateway.rest import RestClient
from tbot.gateway.throttle import GENERAL, NS_PER_S, SlidingWindow


def test_I9_the_next_process_finds_the_newest_requests(tmp_path: Path) -> None:
    path = tmp_path / "requests"
    first = RequestLog(path)
    assert first.past == ()
    for number in range(1, SLOTS + 11):
        first.note(number)
    second = RequestLog(path)  # the first one died as it stood
    assert second.past == tuple(range(11, SLOTS + 11))
    second.note(1_000)
    assert RequestLog(path).past == (*range(12, SLOTS + 11), 1_000), "it goes on where the first one stopped"
    assert path.stat().st_mode & 0o777 == 0o600
    first.close()
    second.close()


def test_I9_R9_the_budget_of_a_window_is_one_for_all_processes_of_a_run() -> None:
    now_ns = 100 * NS_PER_S
    window = SlidingWindow(GENERAL)
    window.remember([now_ns - 70 * NS_PER_S, *(now_ns - age for age in range(150, 0, -1)), now_ns + 5], now_ns)
    assert window.free(now_ns) == GENERAL.limit - GENERAL.reserve - 150
    assert window.free(now_ns, protective=True) == GENERAL.limit - 150
    assert window.free(now_ns + 61 * NS_PER_S) == GENERAL.limit - GENERAL.reserve


def test_a_place_that_cannot_be_written_costs_nothing_but_the_memory(tmp_path: Path) -> None:
    assert request_log(tmp_path / "missing" / "requests") is None
    (tmp_path / "folder").mkdir()
    assert request_log(tmp_path / "folder") is None


def test_F_SYS_01_a_full_disk_is_met_when_the_log_is_made_and_not_by_a_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file with a hole in it would end the process by SIGBUS when there is no room for the page that is written."""
    path = tmp_path / "requests"
    RequestLog(path).close()
    found = path.stat()
    assert found.st_blocks * 512 >= found.st_size == SLOTS * 8
    path.write_bytes(b"")
    monkeypatch.setattr(os, "pwrite", lambda _file, data, _at: len(data) - 1)
    assert request_log(path) is None


def test_R9_a_request_that_never_left_counts_for_nobody(tmp_path: Path) -> None:
    path = tmp_path / "requests"
    log = RequestLog(path)
    log.give_back()
    for number in range(1, SLOTS + 3):
        log.note(number)
    log.give_back()
    log.note(9_000)
    log.give_back()
    assert RequestLog(path).past == tuple(range(3, SLOTS + 2)), "the oldest two were written over"
    window = SlidingWindow(GENERAL)
    window.give_back()
    for _ in range(300):
        assert window.take(5 * NS_PER_S)
        window.give_back()
    assert window.free(5 * NS_PER_S) == GENERAL.limit - GENERAL.reserve


def test_R9_a_gateway_that_cannot_be_reached_uses_up_no_budget(tmp_path: Path) -> None:
    """A minute of refused connections must leave the whole reserve for the close that follows."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    client = RestClient(f"http://127.0.0.1:{port}", log=RequestLog(tmp_path / "log"), pause=lambda _: None)
    client.tokens.adopt(jwt(), 1)
    for _ in range(3):
        assert client.account_search().outcome == "not_sent"
    assert client.counts["requests"] > 3, "it did try"
    assert client.room(protective=True) == GENERAL.limit
    assert RequestLog(tmp_path / "log").past == ()
