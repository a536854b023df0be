"""An HTTP server that misbehaves on purpose, on a raw socket of this machine; and polite answers to compare with."""

import contextlib
import gzip
import json
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, object]:
        return dict(json.loads(self.body))


Behaviour = Callable[["RudeServer", socket.socket, Seen], None]


@dataclass
class RudeServer:
    """`script` maps paths to a list of behaviours, used one after the other; the last one goes on for ever."""

    script: dict[str, list[Behaviour]] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stopped = threading.Event()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def close(self) -> None:
        self.stopped.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # closing alone would let the waiting accept take one more
        self._acceptor.join(timeout=5)  # else it might accept on the number of this socket, which the next one gets
        self._listener.close()

    def paths(self) -> list[str]:
        return [request.path for request in self.seen]

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError, ValueError):
            stream = connection.makefile("rb")
            while (request := _read(stream)) is not None:
                with self._lock:
                    self.seen.append(request)
                    behaviours = self.script.get(request.path, [answer(404)])
                    behaviour = behaviours.pop(0) if len(behaviours) > 1 else behaviours[0]
                behaviour(self, connection, request)


def _read(stream: object) -> Seen | None:
    line = stream.readline()  # type: ignore[attr-defined]
    if not line:
        return None
    method, path, _ = line.decode().split(" ")
    headers: dict[str, str] = {}
    while (line := stream.readline().strip()) != b"":  # type: ignore[attr-defined]
        name, _, value = line.decode().partition(":")
        headers[name.lower()] = value.strip()
    body = stream.read(int(headers.get("content-length", 0)))  # type: ignore[attr-defined]
    return Seen(method, path, headers, body)


def head(status: int, length: int | None, **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", "Content-Type: application/json"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def answer(status: int, body: bytes = b"", **headers: str) -> Behaviour:
    def run(server: RudeServer, connection: socket.socket, request: Seen) -> None:
        connection.sendall(head(status, len(body), **headers) + body)

    return run


def ok(body: bytes) -> Behaviour:
    return answer(200, body)


def zipped(body: bytes) -> Behaviour:
    return answer(200, gzip.compress(body), Content_Encoding="gzip")


def raw(data: bytes) -> Behaviour:
    """These bytes, then the connection is closed."""

    def run(server: RudeServer, connection: socket.socket, request: Seen) -> None:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_RDWR)

    return run


def drip(prefix: bytes, byte: bytes = b" ") -> Behaviour:
    """A byte every few milliseconds, for ever: a time-out per read never fires."""

    def run(server: RudeServer, connection: socket.socket, request: Seen) -> None:
        connection.sendall(prefix)
        while not server.stopped.wait(0.005):
            connection.sendall(byte)

    return run


def hang(server: RudeServer, connection: socket.socket, request: Seen) -> None:
    """No answer until the server is closed."""
    server.stopped.wait()
