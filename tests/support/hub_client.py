"""A bare hub client over `websockets`, for tests of our server: JSON by hand, nothing of our own protocol code."""

import json
from collections import deque
from contextlib import ExitStack
from types import TracebackType
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

SEPARATOR = "\x1e"
HANDSHAKE = '{"protocol":"json","version":1}' + SEPARATOR


class HubClient:
    """One connection. `messages` keeps the raw text messages; `next` gives one record after the other."""

    def __init__(self, url: str, *, handshake: str | None = HANDSHAKE, **options: Any) -> None:
        self._stack = ExitStack()
        self.socket = self._stack.enter_context(connect(url, max_size=None, max_queue=None, open_timeout=60, **options))
        self.messages: list[str | bytes] = []
        self._records: deque[Any] = deque()
        self._number = 0
        if handshake is not None:
            self.send(handshake)
            assert self.next() == {}

    def send(self, text: str) -> None:
        self.socket.send(text)

    def next(self, timeout_s: float = 60.0) -> Any:
        """The next record; None when the server has closed."""
        while not self._records:
            try:
                message = self.socket.recv(timeout=timeout_s)
            except ConnectionClosed:
                return None
            self.messages.append(message)
            assert isinstance(message, str), "the JSON protocol needs text frames"
            *records, rest = message.split(SEPARATOR)
            assert rest == "", "a message must hold whole records"
            self._records += [json.loads(record) for record in records]
        return self._records.popleft()

    def invoke(self, target: str, *arguments: Any) -> Any:
        """Call a hub method; its completion. Events that come meanwhile are kept."""
        number = str(self._number)
        self._number += 1
        self.send(json.dumps({"type": 1, "invocationId": number, "target": target, "arguments": arguments}) + SEPARATOR)
        kept = []
        while True:
            record = self.next()
            if record is None or (record.get("type") == 3 and record["invocationId"] == number):
                self._records.extendleft(reversed(kept))
                return record
            kept.append(record)

    def event(self, target: str, timeout_s: float = 60.0) -> Any:
        """Arguments of the next event with this name; others are dropped."""
        while (record := self.next(timeout_s)) is not None:
            if record.get("target") == target:
                return record["arguments"]
        raise AssertionError(f"the server closed before {target}")

    def close(self) -> None:
        self._stack.close()

    def __enter__(self) -> "HubClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
