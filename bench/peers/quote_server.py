"""A SignalR server on this machine that sends one block of quotes, as fast as the client takes them or at a set rate.

It does no work while it sends: every frame is made before. One WebSocket message holds one record, as the gateway
sends them; the fields are those of a quote as captured from the live gateway (those that changed, 280 bytes).
"""

import base64
import hashlib
import json
import socket
import threading
import time
from datetime import UTC, datetime

CONTRACT = "CON.F.US.MNQ.Z26"
END = b"\x1e"
MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
QUIET_S = 0.3  # no subscription for this long: the client has all it wants
START_S = 1_795_186_800  # 2026-11-20 15:00 UTC


def price(number: int) -> float:
    """Best bid of the quote with this number: another one each time, never far."""
    return 25_000 + number % 40 * 0.25


def record(number: int, at_s: float) -> bytes:
    """One quote; `at_s`: its time."""
    stamp = datetime.fromtimestamp(at_s, UTC)
    text = f"{stamp:%Y-%m-%dT%H:%M:%S}.{stamp.microsecond:06d}"
    quote = {
        "symbol": "F.US.MNQ", "bestBid": price(number), "bestAsk": price(number) + 0.5, "lastUpdated": f"{text}4+00:00",
        "timestamp": f"{text[:-3]}+00:00", "contract": CONTRACT,
    }  # fmt: skip
    return json.dumps({"type": 1, "target": "GatewayQuote", "arguments": [CONTRACT, quote]},
                      separators=(",", ":")).encode() + END  # fmt: skip


def frame(payload: bytes) -> bytes:
    """A text frame of a server."""
    size = len(payload)
    return b"\x81" + (bytes((size,)) if size < 126 else b"\x7e" + size.to_bytes(2, "big")) + payload


class QuoteServer:
    """Serves until the process ends. `rate` 0: all at once; else so many quotes a second."""

    def __init__(self, count: int, rate: int = 0) -> None:
        self._rate = rate
        self._frames = [frame(record(n, START_S + n / 1_000)) for n in range(count)]
        self._block = b"".join(self._frames)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hubs/market"

    def _accept(self) -> None:
        while True:
            link, _ = self._listener.accept()
            threading.Thread(target=self._serve, args=(link,), daemon=True).start()

    def _serve(self, link: socket.socket) -> None:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self._http(link):
                self._talk(link)
        except (OSError, EOFError):
            pass  # the client has gone
        finally:
            link.close()

    def _http(self, link: socket.socket) -> bool:
        """Answer a negotiation or upgrade; True when it is a WebSocket now."""
        head = b""
        while b"\r\n\r\n" not in head:
            head += _some(link, 65536)
        if head.startswith(b"POST"):
            transports = [{"transport": "WebSockets", "transferFormats": ["Text", "Binary"]}]
            body = json.dumps({"negotiateVersion": 1, "connectionId": "c", "connectionToken": "c",
                               "availableTransports": transports}).encode()  # fmt: skip
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: "
            link.sendall(head + str(len(body)).encode() + b"\r\n\r\n" + body)
            return False
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
        key = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
        assert fields[b"sec-websocket-version"] == b"13"
        accept = base64.b64encode(hashlib.sha1(key.split(b": ", 1)[1].strip() + MAGIC).digest())
        link.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")  # fmt: skip
        return True

    def _talk(self, link: socket.socket) -> None:
        """Answer everything; send the block once nobody has subscribed to anything more for a while."""
        subscribed, sent = False, False
        while True:
            link.settimeout(QUIET_S if subscribed and not sent else None)
            try:
                records = _read(link)
            except TimeoutError:
                link.settimeout(None)
                self._send(link)
                sent = True
                continue
            for one in records:
                if "protocol" in one:
                    link.sendall(frame(b"{}" + END))
                elif one.get("type") == 1:
                    subscribed |= one["target"] == "SubscribeContractQuotes"
                    if "invocationId" in one:
                        answer = {"type": 3, "invocationId": one["invocationId"], "result": None}
                        link.sendall(frame(json.dumps(answer).encode() + END))

    def _send(self, link: socket.socket) -> None:
        if not self._rate:
            link.sendall(self._block)
            return
        begin = time.monotonic()
        pause = threading.Event()
        for number, data in enumerate(self._frames):
            wait = begin + number / self._rate - time.monotonic()
            if wait > 0:
                pause.wait(wait)
            link.sendall(data)


def _some(link: socket.socket, count: int) -> bytes:
    data = link.recv(count)
    if not data:
        raise EOFError
    return data


def _exactly(link: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += _some(link, count - len(data))
    return data


def _read(link: socket.socket) -> list[dict[str, object]]:
    """The records of the client's next frame; pings and closes of the socket's own are nothing."""
    first, second = _exactly(link, 2)
    size = second & 0x7F
    if size > 125:
        size = int.from_bytes(_exactly(link, 2 if size == 126 else 8), "big")
    mask = _exactly(link, 4) if second & 0x80 else bytes(4)  # signalrcore's close frame has none
    data = _exactly(link, size)
    text = bytes(byte ^ mask[k % 4] for k, byte in enumerate(data))
    if first & 15 == 8:
        raise EOFError
    if first & 15 == 9:
        link.sendall(bytes((0x8A, len(text))) + text)
    return [json.loads(part) for part in text.split(END) if part] if first & 15 in (1, 2) else []
