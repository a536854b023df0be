"""SignalR JSON hub protocol version 1, sans-I/O, for both roles: bytes in, messages out, bytes to send out.

No socket, no clock, no thread: the owner moves bytes and reads time. One class serves the client (feed, user hub) and
the server (simulator); the published frames are test vectors for both, so a shared mistake can't hide.
Source of every rule: the hub protocol specification, and what the .NET server and the official client do in practice.

    connection = SignalRConnection(Role.CLIENT)
    send(connection.handshake())
    for message in connection.receive(received): ...
    send(connection.data_to_send())
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import msgspec

from tbot.errors import ProtocolError

SEPARATOR = 0x1E
_END = b"\x1e"
PING = b'{"type":6}\x1e'
HANDSHAKE_OK = b"{}\x1e"
CLOSED_WITH_ERROR = "Connection closed with an error."
NO_RESULT = "Client didn't provide a result."
HANDSHAKE_CANCELED = "Handshake was canceled."
HANDSHAKE_FAILED = "An unexpected error occurred during connection handshake."

CLIENT_TAIL_BYTES = 16 * 1024 * 1024
SERVER_RECORD_BYTES = 32 * 1024


class Role(Enum):
    """Which end of the connection we are."""

    CLIENT = 1
    SERVER = 2


class State(Enum):
    """Life of a connection; after CLOSED nothing is processed."""

    HANDSHAKE = 1
    OPEN = 2
    CLOSED = 3


@dataclass(frozen=True, slots=True)
class PingRules:
    """Keep-alive as data, in seconds. Pings are never answered and never depend on traffic: the timer always runs."""

    interval_s: float = 15.0
    silent_s: float = 30.0  # nothing received for this long: the peer is gone
    handshake_s: float = 15.0
    at_once: bool = False  # send the first ping right after the handshake


# Ours are tighter than the framework's 30 s silence and 15 s handshake: constant C_HUB_SILENT and failure F-NET-04.
CLIENT_PINGS = PingRules(interval_s=15.0, silent_s=20.0, handshake_s=10.0, at_once=True)
SERVER_PINGS = PingRules()  # the silence check is armed by the client's first ping


class Invocation(msgspec.Struct, gc=False):
    """Type 1. `arguments` is the JSON array, not yet decoded; `invocation_id` None = no answer wanted."""

    target: str
    arguments: bytes
    invocation_id: str | None = None


class Completion(msgspec.Struct, gc=False):
    """Type 3. `error` None = success; `result` is JSON or empty."""

    invocation_id: str
    error: str | None = None
    result: bytes = b""


class Ping(msgspec.Struct, gc=False):
    """Type 6."""


class Close(msgspec.Struct, gc=False):
    """Type 7. Nothing is processed after it."""

    error: str | None = None
    allow_reconnect: bool = False


class Other(msgspec.Struct, gc=False):
    """A type that this gateway does not use (streams, acknowledgements) or does not exist yet: ignore."""

    type: int
    invocation_id: str | None = None
    target: str | None = None


class HandshakeDone(msgspec.Struct, gc=False):
    """The handshake succeeded; `version` is what the client asked for (server role)."""

    version: int = 1


class HandshakeFailed(msgspec.Struct, gc=False):
    """The handshake failed; the connection is to be closed (after sending what is left to send)."""

    error: str


class Malformed(msgspec.Struct, gc=False):
    """A record that is no message. The client drops it and goes on; the server has queued a Close and is CLOSED."""

    reason: str


Message = Invocation | Completion | Ping | Close | Other | HandshakeDone | HandshakeFailed | Malformed


class _Envelope(msgspec.Struct, gc=False, rename="camel"):
    type: int
    target: str | None = None
    arguments: msgspec.Raw = msgspec.Raw()
    invocation_id: str | None = None
    error: str | None = None
    result: msgspec.Raw = msgspec.Raw()
    allow_reconnect: bool | None = None


class _TypeOnly(msgspec.Struct, gc=False):
    type: int


class _Handshake(msgspec.Struct, gc=False):
    protocol: str = ""
    version: int = -1


class _HandshakeAnswer(msgspec.Struct, gc=False):
    error: str | None = None
    type: msgspec.Raw = msgspec.Raw()


_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_type = msgspec.json.Decoder(_TypeOnly).decode
_decode_handshake = msgspec.json.Decoder(_Handshake).decode
_decode_answer = msgspec.json.Decoder(_HandshakeAnswer).decode
_encode = msgspec.json.Encoder(decimal_format="number").encode

# What a parser may raise on hostile input: nesting beyond the stack limit is a RecursionError, not a DecodeError.
_BAD = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def encode_invocation(target: str, arguments: bytes | Sequence[object], invocation_id: str | None = None) -> bytes:
    """A record of type 1; `arguments` is a JSON array already encoded, or values to encode."""
    if not isinstance(arguments, bytes):
        arguments = _encode(list(arguments))
    head = b'{"type":1,'
    if invocation_id is not None:
        head += b'"invocationId":' + _encode(invocation_id) + b","
    return head + b'"target":' + _encode(target) + b',"arguments":' + arguments + b"}\x1e"


def encode_completion(invocation_id: str, error: str | None = None, result: bytes = b"null") -> bytes:
    """A record of type 3; `result` is JSON and is left out when there is an error."""
    head = b'{"type":3,"invocationId":' + _encode(invocation_id)
    if error is not None:
        return head + b',"error":' + _encode(error) + b"}\x1e"
    return head + b',"result":' + result + b"}\x1e"


def encode_close(error: str | None = None, allow_reconnect: bool = False) -> bytes:
    """A record of type 7, members as the .NET server writes them."""
    text = b'{"type":7'
    if error is not None:
        text += b',"error":' + _encode(error)
    if allow_reconnect:
        text += b',"allowReconnect":true'
    return text + b"}\x1e"


def encode_handshake(protocol: str = "json", version: int = 1) -> bytes:
    """The first record of a client."""
    return _encode({"protocol": protocol, "version": version}) + _END


def encode_handshake_error(error: str) -> bytes:
    """The answer of a server that refuses the handshake."""
    return _encode({"error": error}) + _END


class _Negotiation(msgspec.Struct, gc=False, rename="camel"):
    connection_id: str | None = None
    connection_token: str | None = None
    negotiate_version: int = 0
    error: str | None = None
    url: str | None = None
    use_stateful_reconnect: bool | None = None


_decode_negotiation = msgspec.json.Decoder(_Negotiation).decode


def decode_negotiation(body: bytes) -> str:
    """The value for `?id=` from the answer to a negotiate request; ProtocolError when it is none we can use.

    Redirects (`url`) are refused: they would hand the token to another host.
    """
    try:
        answer = _decode_negotiation(body)
    except _BAD as error:
        raise ProtocolError(f"the negotiate answer is not readable ({type(error).__name__})") from None
    if answer.error is not None:
        raise ProtocolError(f"the gateway refused to negotiate: {answer.error[:100]}")
    if answer.url is not None or answer.use_stateful_reconnect:
        raise ProtocolError("the gateway's negotiate answer asks for a redirect or stateful reconnect: not supported")
    connection_id = answer.connection_token if answer.negotiate_version >= 1 else answer.connection_id
    if not connection_id:
        raise ProtocolError("the negotiate answer has no connection id")
    return connection_id


def encode_negotiation(version: int, connection_id: str, connection_token: str) -> bytes:
    """The server's answer: version 0 has no token, the id itself goes into `?id=`."""
    answer: dict[str, object] = {"negotiateVersion": min(version, 1), "connectionId": connection_id}
    if version >= 1:
        answer["connectionToken"] = connection_token
    answer["availableTransports"] = [{"transport": "WebSockets", "transferFormats": ["Text", "Binary"]}]
    return _encode(answer)


class SignalRConnection:
    """One connection of one role. `counts`: records, bytes, empty, malformed, other."""

    def __init__(self, role: Role, max_record: int | None = None, versions: Sequence[int] = (0, 1, 2)) -> None:
        """`max_record`: bytes of one record (server) or of the carried tail (client); `versions` a server accepts."""
        self.role = role
        self.state = State.HANDSHAKE
        self.counts: Counter[str] = Counter()
        default = CLIENT_TAIL_BYTES if role is Role.CLIENT else SERVER_RECORD_BYTES
        self._max_record = default if max_record is None else max_record
        self._versions = tuple(versions)
        self._tail: list[bytes] = []
        self._tail_bytes = 0
        self._out: list[bytes] = []
        self._next_id = 0

    # ------------------------------------------------------------------------------------------------------ output
    def handshake(self) -> bytes:
        """The client's first bytes."""
        return encode_handshake()

    def invoke(self, target: str, arguments: bytes | Sequence[object]) -> tuple[str, bytes]:
        """(id, record) of a blocking invocation; ids count from "0" on each connection."""
        invocation_id = str(self._next_id)
        self._next_id += 1
        return invocation_id, encode_invocation(target, arguments, invocation_id)

    def data_to_send(self) -> bytes:
        """What `receive` decided to answer (handshake, refusals, a Close); empty most of the time."""
        if not self._out:
            return b""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def handshake_timeout(self) -> bytes:
        """Server: no handshake came in time. Returns the farewell; the connection is CLOSED."""
        self.state = State.CLOSED
        return encode_handshake_error(HANDSHAKE_CANCELED)

    # ------------------------------------------------------------------------------------------------------- input
    def receive(self, data: bytes | str) -> list[Message]:
        """All messages completed by `data`, in order. Never raises for input; a tail over the bound ends the life."""
        if self._is_closed():
            return []
        if isinstance(data, str):
            data = data.encode("utf-8", "surrogatepass")
        self.counts["bytes"] += len(data)
        records = data.split(_END)
        rest = records.pop()
        if records and self._tail:
            self._tail.append(records[0])
            records[0] = b"".join(self._tail)
            self._tail.clear()
            self._tail_bytes = 0
        messages: list[Message] = []
        for record in records:
            message = self._record(record)
            if message is not None:
                messages.append(message)
            if self._is_closed():
                return messages
        if rest:
            self._tail.append(rest)
            self._tail_bytes += len(rest)
            if self._tail_bytes > self._max_record:
                messages.append(self._over_limit())
        return messages

    @property
    def between_records(self) -> bool:
        """The handshake is over and the next byte begins a record: a faster reader may take whole records first."""
        return self.state is State.OPEN and not self._tail

    def passed(self, records: int, size: int) -> None:
        """Count records that a faster reader took instead of `receive`: `size` bytes with their separators."""
        self.counts["records"] += records
        self.counts["bytes"] += size

    @property
    def has_answer(self) -> bool:
        """`data_to_send` has something."""
        return bool(self._out)

    @property
    def tail_bytes(self) -> int:
        """Bytes of a record that is not complete yet."""
        return self._tail_bytes

    def _is_closed(self) -> bool:
        return self.state is State.CLOSED

    def _over_limit(self) -> Message:
        self.counts["malformed"] += 1
        self._tail.clear()
        self._tail_bytes = 0
        if self.role is Role.SERVER:
            self._out.append(encode_close(CLOSED_WITH_ERROR))
        self.state = State.CLOSED
        return Close(error=f"a record is larger than {self._max_record} bytes", allow_reconnect=True)

    def _record(self, record: bytes) -> Message | None:
        self.counts["records"] += 1
        if not record:
            self.counts["empty"] += 1
            return None
        if self.role is Role.SERVER and len(record) > self._max_record:
            return self._over_limit()
        if self.state is State.HANDSHAKE:
            return self._client_answer(record) if self.role is Role.CLIENT else self._server_handshake(record)
        message = parse_record(record, self.role)
        if type(message) is Invocation:
            if message.invocation_id is not None and self.role is Role.CLIENT:
                self._out.append(encode_completion(message.invocation_id, NO_RESULT))
        elif type(message) is Malformed:
            self.counts["malformed"] += 1
            if self.role is Role.SERVER:
                self._out.append(encode_close(CLOSED_WITH_ERROR))
                self.state = State.CLOSED
        elif type(message) is Other:
            self.counts["other"] += 1
        elif type(message) is Close:
            self.state = State.CLOSED
        return message

    def _client_answer(self, record: bytes) -> Message:
        try:
            answer = _decode_answer(record)
            bytes(record).decode()
        except _BAD:
            self.state = State.CLOSED
            return HandshakeFailed("the handshake answer is not readable")
        if bytes(answer.type):
            self.state = State.CLOSED
            return HandshakeFailed("expected a handshake answer, got a message")
        if answer.error is not None:
            self.state = State.CLOSED
            return HandshakeFailed(answer.error)
        self.state = State.OPEN
        return HandshakeDone()

    def _server_handshake(self, record: bytes) -> Message:
        error = None
        version = -1
        try:
            request = _decode_handshake(record)
            version = request.version
            if request.protocol != "json":
                error = f"The protocol '{request.protocol}' is not supported."
            elif version not in self._versions:
                error = f"The server does not support version {version} of the 'json' protocol."
        except _BAD:
            error = HANDSHAKE_FAILED
        if error is not None:
            self.state = State.CLOSED
            self._out.append(encode_handshake_error(error))
            return HandshakeFailed(error)
        self.state = State.OPEN
        self._out.append(HANDSHAKE_OK)
        return HandshakeDone(version)


def parse_record(record: bytes, role: Role = Role.CLIENT) -> Message:
    """One record (without separator, after the handshake) to one message; never raises.

    Values that we do not need are checked for JSON syntax only.
    """
    try:
        if not record.isascii():
            record.decode()  # msgspec checks only the strings it delivers
        envelope = _decode_envelope(record)
    except _BAD as error:
        return _parse_foreign(record, error)
    kind = envelope.type
    if kind == 1:
        if not envelope.target:
            return Malformed("an invocation without target")
        arguments = bytes(envelope.arguments)
        if arguments[:1] != b"[":
            return Malformed("arguments that are no array")
        return Invocation(envelope.target, arguments, envelope.invocation_id)
    if kind == 6:
        return Ping()
    if kind == 3:
        return _completion(envelope, role)
    if kind == 7:
        return Close(envelope.error, bool(envelope.allow_reconnect))
    return Other(kind, envelope.invocation_id, envelope.target)


def _completion(envelope: _Envelope, role: Role) -> Message:
    if envelope.invocation_id is None:
        return Malformed("a completion without id")
    if envelope.error is not None and bytes(envelope.result) and role is Role.SERVER:
        return Malformed("a completion with result and error")
    return Completion(envelope.invocation_id, envelope.error, bytes(envelope.result))


def _parse_foreign(record: bytes, error: Exception) -> Message:
    """Members that belong to another type may have any shape: only a message of our own types can be malformed."""
    try:
        kind = _decode_type(record).type
        record.decode()
    except _BAD:
        return Malformed(f"not a message: {type(error).__name__}")
    if kind == 6:
        return Ping()
    if kind in (1, 3, 7):
        return Malformed(f"a message of type {kind} with members of wrong type")
    return Other(kind)
