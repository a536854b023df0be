"""One HTTP request with a deadline that holds, whatever the peer does; and the proof whether anything was sent.

requests' time-outs are per read: a peer that sends a byte every 200 ms never trips them (F-API-05). So every request
runs in a thread of its own; at the deadline the caller shuts the socket down and leaves. A flag under a lock, set right
before the first byte of the request is written, tells "not sent" from "ambiguous"; once the caller has left, nothing is
sent.
"""

import contextlib
import socket
import threading
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from tbot.gateway.reserve import RESERVE

CONNECT_S = 3.0  # C_HTTP
READ_S = 5.0
TOTAL_S = 8.0
MAX_BODY = 8 * 1024 * 1024
MAX_THREADS = 16  # stuck name look-ups may hold some for a while; more than this is refused, not queued
_CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class HttpResult:
    """What came back. `status` None = no complete answer, and `error` says why in one word or two."""

    sent: bool  # the first byte of the request may have left
    status: int | None = None
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # lower-case names
    error: str = ""


class _Expired(Exception):
    """The caller has left; the request must not be sent any more."""


class _Call:
    """State shared by the caller and the thread that does the work. All fields under `lock`."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.done = threading.Event()
        self.sent = False
        self.left = False
        self.result: HttpResult | None = None
        self.sock: socket.socket | None = None

    def register(self, sock: Any) -> None:
        """Remember the socket, so that leaving can shut it down."""
        with self.lock:
            if self.left:
                raise _Expired
            self.sock = sock

    def about_to_send(self, sock: Any) -> None:
        """From here on the outcome is ambiguous until an answer is read."""
        with self.lock:
            if self.left:
                raise _Expired
            self.sock = sock
            self.sent = True

    def finish(self, result: HttpResult) -> None:
        with self.lock:
            self.result = result
        self.done.set()

    def leave(self) -> HttpResult:
        """Deadline: take the result if it came at the last moment, else shut the socket and report what was sent."""
        with self.lock:
            self.left = True
            if self.result is not None:
                return self.result
            if self.sock is not None:
                # past any TLS wrapper: its own shutdown takes state away from the thread that is reading.
                # OSError: already closed, or handed over to a TLS wrapper, whose handshake has its own time limit
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(self.sock, socket.SHUT_RDWR)
            return HttpResult(self.sent, error="deadline")


_thread = threading.local()


def _current() -> _Call | None:
    return getattr(_thread, "call", None)


class _Tracked:
    """Mixin for connections: tells the current call about its socket and about the moment of sending."""

    sock: Any

    def _new_conn(self) -> Any:
        sock = super()._new_conn()  # type: ignore[misc]
        call = _current()
        if call is not None:
            try:
                call.register(sock)
            except _Expired:
                sock.close()
                raise
        return sock

    def connect(self) -> None:
        """Connect; without a free descriptor once more, with one of those kept for this (F-SYS-06)."""
        try:
            super().connect()  # type: ignore[misc]
            return
        except _Expired:
            raise
        except Exception:
            with RESERVE.spending() as given:
                if not given:
                    raise
                if self.sock is not None:  # only the socket: closing the connection would forget the request under way
                    self.sock.close()
                    self.sock = None
                super().connect()  # type: ignore[misc]

    def send(self, data: Any) -> None:
        call = _current()
        if self.sock is None:
            self.connect()
        if call is not None:
            call.about_to_send(self.sock)
        super().send(data)  # type: ignore[misc]


class _TrackedHttp(_Tracked, HTTPConnection):
    pass


class _TrackedHttps(_Tracked, HTTPSConnection):
    pass


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _TrackedHttp


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _TrackedHttps


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}


class HttpExchange:
    """Requests to one base address: no environment, no redirects, no cookies, no retries, bounded in time and size."""

    def __init__(
        self,
        base_url: str,
        *,
        connect_s: float = CONNECT_S,
        read_s: float = READ_S,
        max_body: int = MAX_BODY,
        max_threads: int = MAX_THREADS,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._timeout = (connect_s, read_s)
        self._max_body = max_body
        self._slots = threading.BoundedSemaphore(max_threads)
        session = requests.Session()
        session.trust_env = False  # no proxies, no netrc entry in place of our bearer token
        session.max_redirects = 0
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        adapter = _Adapter(max_retries=0, pool_maxsize=max_threads)
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        self._session = session
        RESERVE.keep()

    def run(self, method: str, path: str, body: bytes, headers: Mapping[str, str], total_s: float) -> HttpResult:
        """One request, one answer, within `total_s` seconds (plus scheduling). Never raises for the network."""
        if total_s <= 0:
            return HttpResult(False, error="no time left")
        if not self._slots.acquire(blocking=False):
            return HttpResult(False, error="too many requests under way")
        RESERVE.fill()
        call = _Call()
        thread = threading.Thread(
            target=self._work, args=(call, method, path, body, dict(headers), total_s), daemon=True, name="http"
        )
        try:
            thread.start()
        except RuntimeError:
            self._slots.release()
            return HttpResult(False, error="no thread")
        call.done.wait(total_s)
        return call.leave()

    def close(self) -> None:
        """Close idle connections."""
        self._session.close()

    def _work(self, call: _Call, method: str, path: str, body: bytes, headers: dict[str, str], total_s: float) -> None:
        _thread.call = call
        end = time.monotonic() + total_s
        try:
            with self._session.request(
                method,
                self._base_url + path,
                data=body,
                headers={"Accept": "application/json", "Accept-Encoding": "gzip", **headers},
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
            ) as response:
                names = {name.lower(): value for name, value in response.headers.items()}
                content, error = self._read(response, names.get("content-encoding", ""), end)
                if error:
                    call.finish(HttpResult(True, error=error))
                else:
                    call.finish(HttpResult(True, response.status_code, content, names))
        except Exception as error:
            # only the kind: texts of these exceptions carry addresses, headers and bodies
            with call.lock:
                sent = call.sent
            call.finish(HttpResult(sent, error=type(error).__name__))
        finally:
            _thread.call = None
            self._slots.release()

    def _read(self, response: requests.Response, encoding: str, end: float) -> tuple[bytes, str]:
        """(body, "") or (b"", what is wrong). Unpacks here, step by step: 200 KB of gzip may hold 200 MB."""
        encoding = encoding.strip().lower()
        if encoding not in ("", "identity", "gzip"):
            return b"", f"content encoding {encoding[:20]!r}"
        unpack = zlib.decompressobj(wbits=31) if encoding == "gzip" else None
        parts: list[bytes] = []
        size = 0
        for chunk in response.raw.stream(_CHUNK, decode_content=False):
            part = chunk if unpack is None else unpack.decompress(chunk, self._max_body - size + 1)
            size += len(part)
            if size > self._max_body:
                return b"", "body too large"
            if time.monotonic() > end:
                return b"", "deadline"
            parts.append(part)
        if unpack is not None and not unpack.eof:
            return b"", "body cut short"
        return b"".join(parts), ""
