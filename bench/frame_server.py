"""A market hub of this machine that sends made-up frames as fast as they are taken: in a process of its own.

It does nothing while it sends, for every frame is made before, and it reads only what it must: the request to upgrade,
the handshake, and one answer for each subscription. After the last of these the block goes out, once for each
connection. `python bench/frame_server.py` serves single quotes to any SignalR client and prints its address.
"""

import base64
import hashlib
import json
import multiprocessing
import socket
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Literal, Self

Shape = Literal["single", "batched", "mixed"]

CONTRACTS = ("CON.F.US.MNQ.Z26", "CON.F.US.EP.Z26")
SYMBOLS = ("F.US.MNQ", "F.US.EP")
NOW_NS = 1_795_186_800 * 10**9  # 2026-11-20 15:00 UTC: market time of the frames
BATCH = 10  # records of a message of shape `batched`
_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
_END = b"\x1e"


def stamp(number: int, digits: int = 7) -> str:
    """A time in the first minutes after NOW_NS, later with each number, as the gateway writes it."""
    micros = number * 50
    seconds, rest = divmod(micros, 1_000_000)
    text = f"{rest:06d}4"[:digits]
    return f"2026-11-20T15:{seconds // 60:02d}:{seconds % 60:02d}.{text}+00:00"


def _record(target: str, contract: str, data: Any) -> bytes:
    document = {"type": 1, "target": target, "arguments": [contract, data]}
    return json.dumps(document, separators=(",", ":")).encode() + _END


def quote(number: int, which: int = 0) -> bytes:
    """A sparse quote as captured from the gateway (280 bytes); its session volume is its number."""
    bid = 25_000 + number % 40 * 0.25
    data = {
        "symbol": SYMBOLS[which], "bestBid": bid, "bestAsk": bid + 0.5, "volume": number,
        "lastUpdated": stamp(number), "timestamp": stamp(number, 3), "contract": CONTRACTS[which],
    }  # fmt: skip
    return _record("GatewayQuote", CONTRACTS[which], data)


def trade(number: int, which: int = 0, prints: int = 2) -> bytes:
    """A trade message of a few prints."""
    row = {
        "symbolId": SYMBOLS[which], "price": 25_000 + number % 40 * 0.25, "timestamp": stamp(number, 3),
        "type": number % 2, "volume": 1 + number % 9, "contractId": CONTRACTS[which],
    }  # fmt: skip
    return _record("GatewayTrade", CONTRACTS[which], [row] * prints)


def records(shape: Shape, count: int) -> Iterator[bytes]:
    """`count` records; in shape `mixed` two contracts take turns and every third record is a trade message."""
    for number in range(count):
        if shape == "mixed":
            yield trade(number, number % 2) if number % 3 == 2 else quote(number, number % 2)
        else:
            yield quote(number)


def frame(payload: bytes) -> bytes:
    """A text message in one frame, as a server sends it."""
    size = len(payload)
    if size < 126:
        return b"\x81" + bytes((size,)) + payload
    return (b"\x81\x7e" + size.to_bytes(2, "big") if size < 65536 else b"\x81\x7f" + size.to_bytes(8, "big")) + payload


def block(shape: Shape, count: int) -> bytes:
    """All frames of a connection."""
    many = BATCH if shape == "batched" else 1
    pieces = list(records(shape, count))
    return b"".join(frame(b"".join(pieces[at : at + many])) for at in range(0, count, many))


def _message(link: socket.socket) -> bytes:
    """Payload of the client's next frame."""
    head = _exactly(link, 2)
    size = head[1] & 0x7F
    if size > 125:
        size = int.from_bytes(_exactly(link, 2 if size == 126 else 8), "big")
    mask, data = _exactly(link, 4), _exactly(link, size)
    if head[0] & 15 == 8:
        raise EOFError
    return bytes(byte ^ mask[at % 4] for at, byte in enumerate(data)) if head[0] & 15 in (1, 2) else b""


def _exactly(link: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = link.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def _upgrade(link: socket.socket) -> None:
    head = b""
    while b"\r\n\r\n" not in head:
        head += _exactly(link, 1)
    key = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
    accept = base64.b64encode(hashlib.sha1(key.split(b":", 1)[1].strip() + _MAGIC).digest())
    answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
    link.sendall(answer + accept + b"\r\n\r\n")


def _serve(listener: socket.socket, data: bytes, subscriptions: int) -> None:
    """One connection after the other, until the process is ended."""
    while True:
        link, _ = listener.accept()
        try:
            _upgrade(link)
            answered = 0
            while True:
                for part in _message(link).split(_END):
                    document = json.loads(part) if part else {}
                    if "protocol" in document:
                        link.sendall(frame(b"{}" + _END))
                    elif document.get("type") == 1:
                        answer = {"type": 3, "invocationId": document["invocationId"], "result": None}
                        link.sendall(frame(json.dumps(answer).encode() + _END))
                        answered += 1
                        if answered == subscriptions:
                            link.sendall(data)
        except (OSError, EOFError):
            link.close()


class FrameServer:
    """`with FrameServer("single", 200_000, subscriptions=2) as server:` then connect to `server.url`."""

    def __init__(self, shape: Shape, count: int, subscriptions: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"ws://127.0.0.1:{self._listener.getsockname()[1]}/hubs/market"
        work = (self._listener, block(shape, count), subscriptions)
        self._process = multiprocessing.get_context("fork").Process(target=_serve, args=work, daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        self._listener.close()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.join()


if __name__ == "__main__":
    with FrameServer("single", 200_000, subscriptions=2) as running:
        print(running.url, flush=True)
        input()
