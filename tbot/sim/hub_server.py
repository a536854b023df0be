"""Both hubs of the simulated gateway: SignalR over WebSockets, one connection object per socket (signalr.md).

The protocol is `gateway/signalr.py` in the server role; this file moves its bytes, keeps its times, and knows the hubs'
methods. Records are encoded once by whoever has them; a connection joins what it subscribed to into one text message
per pump. A client that reads too slowly is dropped when its queue is full: the market does not wait for it.
"""

import asyncio
import contextlib
import secrets
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Literal

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from tbot.domain.timeframes import NS_PER_S
from tbot.gateway import signalr
from tbot.gateway.codec import user_event
from tbot.gateway.signalr import HandshakeDone, Invocation, Other, Ping, PingRules, Role, SignalRConnection, State
from tbot.sim.fault_hub import HubFaults
from tbot.sim.market import HubRecord, boot_ns

MAX_QUEUED_BYTES = 64 << 20
MESSAGE_BYTES = 256 << 10  # records are joined up to here; clients limit a message to 1 MB or more
ID_LIFE_S = 30.0  # a negotiated id that nobody used
STREAM_INVOCATION = 4
FAREWELL_S = 5.0  # for the last record to leave; a client that does not read never takes it

Kind = Literal["user", "market"]
Topic = tuple[str, str | int]

# Method in lower case (the framework compares without case) -> topic it subscribes, and what its argument is.
_METHODS: dict[Kind, dict[str, tuple[str, type | None]]] = {
    "user": {
        "accounts": ("account", None),
        "orders": ("order", int),
        "positions": ("position", int),
        "trades": ("trade", int),
    },
    "market": {
        "contractquotes": ("quote", str),
        "contracttrades": ("trade", str),
        "contractmarketdepth": ("depth", str),
    },
}

_decode_arguments = msgspec.json.Decoder(list[Any]).decode


class HubConnection:
    """One client on one hub."""

    def __init__(self, socket: WebSocket, user: str, hub: "Hub", token: str = "", greeting: str = "") -> None:
        """`greeting`: how the handshake goes wrong, by a fault plan."""
        self.user = user
        self.token = token
        self.topics: frozenset[Topic] = frozenset()
        self.born_s = boot_ns() / NS_PER_S
        self.subscribed_s: dict[Topic, float] = {}
        self.dropped = ""  # why the server ended the connection, for its log
        self.late = 0  # pieces on their way that a fault holds up
        self._late_bytes = 0
        self._greeting = greeting
        self._unanswered = False  # the client never got a handshake answer: its calls count for nothing
        self._socket = socket
        self._hub = hub
        self._protocol = SignalRConnection(Role.SERVER, hub.max_record)
        self._queue: deque[bytes] = deque()
        self._queued = 0
        self._wake = asyncio.Event()
        self._shaken = asyncio.Event()
        self._ended = asyncio.Event()
        self._ending = False
        self._close_code = 1000
        self._last_seen_s = 0.0
        self._armed = False

    @property
    def open(self) -> bool:
        """The handshake is done and the connection lives."""
        return self._protocol.state is State.OPEN and not self._ending

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait to be written, those included that a fault holds up."""
        return self._queued + self._late_bytes

    @property
    def scope(self) -> Any:
        """The ASGI scope of its socket."""
        return self._socket.scope

    def queued_records(self) -> int:
        """Records that wait to be written."""
        return sum(part.count(b"\x1e") for part in self._queue)

    def send(self, data: bytes) -> None:
        """Send whole records in their order. Over the bound of what may wait the connection is dropped."""
        faults = self._hub.faults
        if self._ending or not data:
            return
        if self.queued_bytes + len(data) > MAX_QUEUED_BYTES:
            self._queue.clear()
            self._queued = 0
            self.end(signalr.encode_close(signalr.CLOSED_WITH_ERROR), "reads too slowly")
            return
        if faults is not None and (self.late or faults.on) and faults.postpone(self, data):
            self._late_bytes += len(data)
            return
        self._enqueue(data)

    def send_late(self, data: bytes) -> None:
        """What a fault has held up leaves now."""
        self.late -= 1
        self._late_bytes -= len(data)
        if not self._ending:
            self._enqueue(data)

    def _enqueue(self, data: bytes) -> None:
        self._queue.append(data)
        self._queued += len(data)
        self._wake.set()

    def end(self, farewell: bytes, reason: str, code: int = 1000) -> None:
        """Send a last record and close with this WebSocket code."""
        if not self._ending:
            self._ending = True
            self._close_code = code
            self.dropped = reason
            if farewell:
                self._queue.append(farewell)
                self._queued += len(farewell)
            self._wake.set()
            self._ended.set()

    async def run(self) -> None:
        """From accept to close."""
        try:
            await self._socket.accept()
        except (WebSocketDisconnect, RuntimeError):
            return  # gone while it waited
        self._last_seen_s = asyncio.get_running_loop().time()
        parts = (self._write, self._read, self._watch, self._ended.wait)
        tasks: list[asyncio.Task[Any]] = [asyncio.create_task(part()) for part in parts]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if tasks[0] not in done and self._ending:
                await asyncio.wait([tasks[0]], timeout=FAREWELL_S)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # ------------------------------------------------------------------------------------------------------ tasks
    async def _read(self) -> None:
        while not self._ending:
            try:
                message = await self._socket.receive()
            except (WebSocketDisconnect, RuntimeError):
                return
            if message["type"] == "websocket.disconnect":
                return
            if self._hub.faulty is not None:
                await self._hub.faulty.wait_free(incoming=True)
            self._last_seen_s = asyncio.get_running_loop().time()
            data = message.get("bytes")
            for received in self._protocol.receive(message.get("text") or "" if data is None else data):
                self._handle(received)
            self.send(self._protocol.data_to_send())
            if self._protocol.state is State.OPEN:
                self._shaken.set()
            elif self._protocol.state is State.CLOSED:
                self.end(b"", "closed by protocol")

    async def _write(self) -> None:
        limit = MESSAGE_BYTES if self._hub.batch else 0
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                faults = self._hub.faulty
                if faults is not None:
                    await faults.before_write(self)
                    if not self._queue:
                        break  # dropped for slowness meanwhile
                parts = [self._queue.popleft()]
                size = len(parts[0])
                while self._queue and size + len(self._queue[0]) <= limit:
                    parts.append(self._queue.popleft())
                    size += len(parts[-1])
                try:
                    if faults is not None:
                        await faults.write(self, parts)
                    else:
                        await self._socket.send_text(b"".join(parts).decode())
                except (WebSocketDisconnect, RuntimeError):
                    return
                self._queued = max(0, self._queued - size)  # a drop for slowness has emptied the queue meanwhile
            if self._ending:
                with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                    await self._socket.close(self._close_code)
                return

    async def _watch(self) -> None:
        """Handshake in time, pings always, silence only once the client has pinged (signalr.md 7)."""
        rules = self._hub.pings
        try:
            await asyncio.wait_for(self._shaken.wait(), rules.handshake_s)
        except TimeoutError:
            self.end(self._protocol.handshake_timeout(), "no handshake")
            return
        loop = asyncio.get_running_loop()
        next_ping_s = loop.time() + rules.interval_s
        while not self._ending:
            silent_at_s = self._last_seen_s + rules.silent_s if self._armed else next_ping_s
            await asyncio.sleep(max(0.0, min(next_ping_s, silent_at_s) - loop.time()))
            now_s = loop.time()
            if self._armed and now_s >= self._last_seen_s + rules.silent_s:
                self.end(signalr.encode_close(allow_reconnect=True), "silent client")
            elif now_s >= next_ping_s:
                self.send(signalr.PING)
                next_ping_s += rules.interval_s

    # ----------------------------------------------------------------------------------------------------- records
    def _handle(self, message: signalr.Message) -> None:
        if self._unanswered:
            return
        if isinstance(message, Invocation):
            error = self._invoke(message)
            if message.invocation_id is not None:
                self.send(signalr.encode_completion(message.invocation_id, error))
        elif isinstance(message, Ping):
            self._armed = True
        elif isinstance(message, Other) and message.type == STREAM_INVOCATION and message.invocation_id is not None:
            self.send(signalr.encode_completion(message.invocation_id, self._no_stream(message.target or "")))
        elif isinstance(message, HandshakeDone):
            self._greet(self._protocol.data_to_send())  # the answer goes before anything else

    def _greet(self, answer: bytes) -> None:
        faults = self._hub.faulty
        if self._greeting and faults is not None:
            answer, over = faults.greet(self._greeting, answer, self._hub.on_greeting(self))
            if over:
                self.end(answer, "fault")
            else:
                self.send(answer)
            if self._greeting != "glued":
                self._unanswered = True
                return
        else:
            self.send(answer)
        self._hub.connections.append(self)
        if faults is not None:
            faults.opened(self)

    def _no_stream(self, target: str) -> str:
        """The error of a streaming call; no method of these hubs streams."""
        if self._method(target) is None:
            return f"Unknown hub method '{target}'"
        return f"The client attempted to invoke the non-streaming '{target}' method with a streaming invocation."

    def _method(self, target: str) -> tuple[str, type | None] | None:
        """(topic, argument) of a method to subscribe or unsubscribe; None when there is no such method."""
        name = target.lower().removeprefix("un")
        return _METHODS[self._hub.kind].get(name.removeprefix("subscribe")) if name.startswith("subscribe") else None

    def _invoke(self, call: Invocation) -> str | None:
        """Run a hub method; returns the error text of its completion, None on success."""
        subscribe = call.target.lower().startswith("subscribe")
        method = self._method(call.target)
        if method is None:
            return f"Unknown hub method '{call.target}'"
        topic, shape = method
        try:
            arguments = _decode_arguments(call.arguments)
            value = self._argument(arguments, shape)
        except (msgspec.MsgspecError, RecursionError, ValueError):
            return f"Failed to invoke '{call.target}' due to an error on the server."
        if topic == "account":
            value = self.user
        elif shape is int and not self._hub.may_see(self.user, int(value)):
            return f"Failed to invoke '{call.target}' because user is unauthorized"
        change = frozenset([(topic, value)])
        self.topics = self.topics | change if subscribe else self.topics - change
        if subscribe:
            self.subscribed_s[topic, value] = boot_ns() / NS_PER_S
            self._hub.on_subscribe(self, (topic, value))
        return None

    @staticmethod
    def _argument(arguments: list[Any], shape: type | None) -> str | int:
        if len(arguments) != (0 if shape is None else 1):
            raise ValueError("argument count")
        if shape is None:
            return ""
        value = arguments[0]
        if shape is int and isinstance(value, str) and value.isascii() and value.isdigit():
            return int(value)  # some clients pass account ids as text
        if type(value) is not shape or not isinstance(value, str | int):
            raise ValueError("argument type")
        return value


class Hub:
    """One of the two hubs: its connections and who subscribed to what."""

    def __init__(
        self,
        kind: Kind,
        pings: PingRules,
        may_see: Callable[[str, int], bool] = lambda _user, _account: False,
        on_subscribe: Callable[[HubConnection, Topic], None] = lambda _connection, _topic: None,
        on_greeting: Callable[[HubConnection], bytes] = lambda _connection: b"",
        *,
        batch: bool = True,
        max_record: int | None = None,
    ) -> None:
        """`on_greeting`: records a fault may glue to a handshake answer. `batch` False: one record a message.
        `max_record`: bytes of one record from a client, None for the framework's 32 KB."""
        self.kind = kind
        self.pings = pings
        self.may_see = may_see
        self.on_subscribe = on_subscribe
        self.on_greeting = on_greeting
        self.batch = batch
        self.max_record = max_record
        self.faults: HubFaults | None = None
        self.connections: list[HubConnection] = []
        self._ids: dict[str, tuple[str, float]] = {}  # negotiated id -> user, expiry; used ones are gone
        self._in_use: set[str] = set()

    # --------------------------------------------------------------------------------------------------- negotiate
    def negotiate(self, user: str, version: int, now_s: float) -> dict[str, Any]:
        """The answer to a negotiate request; `version` is what the client asked for (the highest we know is 1)."""
        self._ids = {name: entry for name, entry in self._ids.items() if entry[1] > now_s}
        connection_id, token = secrets.token_urlsafe(16), secrets.token_urlsafe(16)
        transports = [{"transport": "WebSockets", "transferFormats": ["Text", "Binary"]}]
        answer: dict[str, Any] = {"negotiateVersion": min(version, 1), "connectionId": connection_id}
        if version >= 1:
            answer["connectionToken"] = token
        self._ids[token if version >= 1 else connection_id] = (user, now_s + ID_LIFE_S)
        return answer | {"availableTransports": transports}

    def claim(self, connection_id: str, now_s: float) -> int:
        """Use a negotiated id: 101 when it may connect, 409 when its socket is still open, else 404."""
        if connection_id in self._in_use:
            return 409
        entry = self._ids.pop(connection_id, None)
        if entry is None or entry[1] <= now_s:
            return 404
        self._in_use.add(connection_id)
        return 101

    async def serve(
        self, socket: WebSocket, user: str, connection_id: str | None, token: str = "", greeting: str = ""
    ) -> None:
        """Run one accepted socket to its end."""
        connection = HubConnection(socket, user, self, token, greeting)
        try:
            await connection.run()
        finally:
            if connection in self.connections:
                self.connections.remove(connection)
            self._in_use.discard(connection_id or "")
            if self.faults is not None:
                self.faults.forget(connection)

    @property
    def faulty(self) -> "HubFaults | None":
        """The faults of this hub, None while none is planned."""
        return self.faults if self.faults is not None and self.faults.on else None

    # ----------------------------------------------------------------------------------------------------- publish
    def topics(self) -> set[Topic]:
        """Everything that anybody subscribed to."""
        return {topic for connection in self.connections for topic in connection.topics}

    def publish_market(self, records: Iterable[HubRecord]) -> None:
        """Send each connection the records of its subscriptions, in order; equal subscriptions share the bytes."""
        records = list(records)
        faults = self.faulty
        joined: dict[frozenset[Topic], list[bytes]] = {}
        for connection in list(self.connections):
            topics = connection.topics
            if faults is not None:
                faults.publish(connection, [faults.out(one) for one in records if (one.kind, one.broker_id) in topics])
                continue
            if topics not in joined:
                chosen = [record.data for record in records if (record.kind, record.broker_id) in topics]
                joined[topics] = [b"".join(chosen)] if self.batch else chosen
            for data in joined[topics]:
                connection.send(data)

    def publish_user(self, events: Iterable[tuple[Topic, Any]]) -> None:
        """Send (topic, record) of one instant to the subscribers of each topic, in order."""
        faults = self.faulty
        encoded = [(topic, record, user_event(record)) for topic, record in events]
        for connection in list(self.connections):
            mine = [event for event in encoded if event[0] in connection.topics]
            if faults is not None and mine:
                faults.publish(connection, [faults.out_user(*event) for event in mine])
                continue
            for _, _, data in mine:
                connection.send(data)

    def tell(self, connection: HubConnection, record: HubRecord) -> None:
        """One market record for one connection."""
        if self.faulty is not None:
            self.faulty.publish(connection, [self.faulty.out(record)])
        else:
            connection.send(record.data)

    def queued_bytes(self) -> int:
        """The longest queue of any connection."""
        return max((connection.queued_bytes for connection in self.connections), default=0)

    def end_all(self) -> None:
        """The server goes down: an orderly Close to everybody."""
        for connection in list(self.connections):
            connection.end(signalr.encode_close(), "shutdown")
