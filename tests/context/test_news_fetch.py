"""The polite fetch, against a server of this machine: rare, conditional, and no answer can do harm."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tbot.context import news_fetch
from tbot.context.news import merge
from tbot.context.news_fetch import USER_AGENT, NewsCache
from tbot.context.news_settings import NewsSettings

HOUR = 3600 * 10**9
NOW = 1_786_300_000 * 10**9  # 2026-08-09
WEEK = json.dumps(
    [
        {
            "title": "CPI m/m",
            "country": "USD",
            "date": "2026-08-12T08:30:00-04:00",
            "impact": "High",
            "forecast": "",
            "previous": "",
        }
    ]
).encode()


@dataclass
class Source:
    """What the server answers next, and what it was asked."""

    status: int = 200
    body: bytes = WEEK
    headers: dict[str, str] = field(
        default_factory=lambda: {"ETag": '"v1"', "Last-Modified": "Sun, 09 Aug 2026 04:00:00 GMT"}
    )
    asked: list[dict[str, str]] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def source() -> Iterator[Source]:
    told = Source()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.asked.append(dict(self.headers))
            self.send_response(told.status)
            for name, value in told.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(told.body)))
            self.end_headers()
            self.wfile.write(told.body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    told.url = f"http://127.0.0.1:{server.server_port}/week.json"
    yield told
    server.shutdown()
    thread.join()
    server.server_close()


def settings(source: Source, **more: Any) -> NewsSettings:
    return NewsSettings(url=source.url, fetch="on", **more)


def test_one_request_in_four_hours_also_after_a_restart(tmp_path: Path, source: Source) -> None:
    cache = NewsCache(tmp_path / "news")
    assert cache.fetch(settings(source), NOW) == "the news calendar is up to date"
    assert cache.fetch(settings(source), NOW + 4 * HOUR - 1) == ""
    assert NewsCache(tmp_path / "news").fetch(settings(source), NOW + 4 * HOUR - 1) == ""
    assert len(source.asked) == 1
    assert source.asked[0]["User-Agent"] == USER_AGENT
    assert "If-None-Match" not in source.asked[0]
    snapshots, problems = cache.snapshots()
    assert ([one.as_of_ns for one in snapshots], problems) == ([NOW], [])
    assert [event.title for event in merge(snapshots).events] == ["CPI m/m"]


def test_an_unchanged_calendar_is_not_sent_again_and_counts_as_fresh(tmp_path: Path, source: Source) -> None:
    cache = NewsCache(tmp_path)
    cache.fetch(settings(source), NOW)
    source.status, source.body = 304, b""
    assert cache.fetch(settings(source), NOW + 4 * HOUR) == "the news calendar is up to date"
    assert source.asked[1]["If-None-Match"] == '"v1"'
    assert source.asked[1]["If-Modified-Since"] == "Sun, 09 Aug 2026 04:00:00 GMT"
    assert [one.as_of_ns for one in cache.snapshots()[0]] == [NOW + 4 * HOUR]


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (429, b"", "answered 429"),
        (503, b"", "answered 503"),
        (404, WEEK, "answered 404"),
        (200, b"<!DOCTYPE html><title>Just a moment</title>", "is no news file"),
        (200, b"[]", "holds no event"),
        (200, b"", "is no news file"),
        (200, b"\x00\xff" * 50, "is no news file"),
        (200, b'[{"title":"x","date":""}]', "has a time"),
        (200, b"[" + b" " * 5_000_000 + b"]", "is no news file"),
    ],
)
def test_everything_else_is_no_news_file_and_the_last_good_one_stays(
    tmp_path: Path, source: Source, status: int, body: bytes, told: str
) -> None:
    cache = NewsCache(tmp_path)
    source.status, source.body, source.headers = status, body, {}
    said = cache.fetch(settings(source), NOW)
    assert said.startswith("no news file")
    assert told in said
    assert cache.snapshots() == ([], [said])
    assert cache.fetch(settings(source), NOW + HOUR) == ""  # a failure is no reason to ask at once
    source.status, source.body = 200, WEEK
    cache.fetch(settings(source), NOW + 4 * HOUR)
    source.status, source.body = status, body
    assert cache.fetch(settings(source), NOW + 8 * HOUR).startswith("no news file")
    snapshots, problems = cache.snapshots()
    assert ([one.as_of_ns for one in snapshots], len(problems)) == ([NOW + 4 * HOUR], 1)
    assert len(source.asked) == 3


@pytest.mark.parametrize(
    ("header", "wait"),
    [("7200", 4), ("36000", 10), ("99999999999", 48), ("Mon, 10 Aug 2026 00:26:40 GMT", 6), ("soon", 4), ("-5", 4)],
)
def test_patience_is_kept_as_long_as_it_was_asked_for(tmp_path: Path, source: Source, header: str, wait: int) -> None:
    """NOW is 2026-08-09 18:26:40 UTC."""
    cache = NewsCache(tmp_path)
    source.status, source.headers = 429, {"Retry-After": header}
    cache.fetch(settings(source), NOW)
    assert not cache.is_due(settings(source), NOW + wait * HOUR - 1)
    assert cache.is_due(settings(source), NOW + wait * HOUR)


def test_unchanged_is_no_answer_to_a_question_without_a_condition(tmp_path: Path, source: Source) -> None:
    source.status, source.body = 304, b""
    assert "answered 304" in NewsCache(tmp_path).fetch(settings(source), NOW)


def test_no_server_is_no_news_file(tmp_path: Path) -> None:
    cache = NewsCache(tmp_path)
    nowhere = NewsSettings(url="http://127.0.0.1:9/week.json")
    assert "could not be read" in cache.fetch(nowhere, NOW)
    assert not cache.is_due(nowhere, NOW + HOUR)


def test_another_address_is_another_source(tmp_path: Path, source: Source) -> None:
    cache = NewsCache(tmp_path)
    cache.fetch(settings(source), NOW)
    source.url += "?other"
    assert cache.fetch(settings(source), NOW + 1) == "the news calendar is up to date"
    assert "If-None-Match" not in source.asked[1]


def test_a_clock_that_was_set_back_a_month_does_not_stop_it_for_ever(tmp_path: Path, source: Source) -> None:
    cache = NewsCache(tmp_path)
    cache.fetch(settings(source), NOW)
    assert not cache.is_due(settings(source), NOW - HOUR)
    assert cache.is_due(settings(source), NOW - 30 * 24 * HOUR)


def test_weeks_are_kept_beside_each_other(tmp_path: Path, source: Source) -> None:
    cache = NewsCache(tmp_path)
    cache.fetch(settings(source), NOW)
    source.body = WEEK.replace(b"2026-08-12", b"2026-08-19")
    cache.fetch(settings(source), NOW + 7 * 24 * HOUR)
    assert sorted(path.name for path in tmp_path.glob("week_*")) == ["week_2026-08-09.json", "week_2026-08-16.json"]
    assert len(merge(cache.snapshots()[0]).events) == 2


@pytest.mark.parametrize("damage", [b"", b"{", b'{"asked_ns": "x"}', b"\xff"])
def test_a_damaged_cache_is_a_cache_that_is_made_anew(tmp_path: Path, source: Source, damage: bytes) -> None:
    cache = NewsCache(tmp_path)
    cache.fetch(settings(source), NOW)
    (tmp_path / "fetched.json").write_bytes(damage)
    (tmp_path / "week_2026-08-09.json").write_bytes(damage)
    found, problems = cache.snapshots()
    assert (found, len(problems)) == ([], 1)
    assert cache.fetch(settings(source), NOW) == "the news calendar is up to date"
    assert len(cache.snapshots()[0]) == 1


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, source: Source) -> None:
    (tmp_path / "news").write_text("a file")
    assert "cannot be written" in NewsCache(tmp_path / "news").fetch(settings(source), NOW)
    assert source.asked == []  # nothing could remember that it was asked


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n["])
def test_a_server_that_drips_is_left_behind(tmp_path: Path, begun: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then, for ever: no time limit between two parts ends that, in the head or in the body."""
    monkeypatch.setattr(news_fetch, "TOTAL_S", 0.3)
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            with server.accept()[0] as peer, contextlib.suppress(OSError):
                peer.sendall(begun)
                while not done.wait(0.02):
                    peer.sendall(b" ")

        thread = threading.Thread(target=drip)
        thread.start()
        cache = NewsCache(tmp_path)
        said = cache.fetch(NewsSettings(url=f"http://127.0.0.1:{server.getsockname()[1]}/"), NOW)
        done.set()
        thread.join()
    assert "was not done within" in said
    assert cache.snapshots() == ([], [said])
    assert not cache.is_due(NewsSettings(url=cache._meta().url), NOW + HOUR)  # that was the request of these hours
