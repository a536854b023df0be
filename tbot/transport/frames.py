"""Bytes on a socket between our own processes: header, body, seal. What the bodies are is told by `wire.py`.

    header  magic "TBOT", version u8, tag u8, zero u16, run id u64, epoch u64, body length u32
    body    JSON of the dataclass (msgspec)
    seal    BLAKE2b-128 of header and body, keyed with the run key

Little endian. Apart from `wire.py`, because `tbot kill` speaks with two kinds of messages and must not load the others.
"""

import dataclasses
import hmac
import re
import struct
from collections.abc import Mapping
from functools import cache
from hashlib import blake2b
from typing import Any, Final, Generic, TypeVar

import msgspec

from tbot.domain.control_messages import ControlReply, ControlRequest
from tbot.errors import ProtocolError

M = TypeVar("M")  # the messages that are spoken

MAX_MESSAGE: Final = 1 << 20  # bytes of a whole frame
VERSION: Final = 1
MAGIC: Final = b"TBOT"
SEAL_BYTES: Final = 16
INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1

_HEADER: Final = struct.Struct("<4sBBHQQI")
# A run of digits that may not fit in int64 (or stands inside a string): only then the slow walk is worth it. UTC stamps
# in nanoseconds have 19 digits and begin with 1 to 8 until the year 2255. Why not one pattern: it takes ten times as
# long, for it tries each stamp again from each of its digits.
_NINETEEN_DIGITS: Final = re.compile(rb"9[0-9]{18}")
_DIGITS_TO_0: Final = bytes(0x30 if 0x30 <= byte <= 0x39 else 0x20 for byte in range(256))
_TWENTY_DIGITS: Final = b"0" * 20

_ENCODER: Final = msgspec.json.Encoder()

COUNTERS: Final = (
    "encoded",
    "decoded",
    "oversize",
    "bad_frame",
    "foreign_run",
    "bad_seal",
    "old_epoch",
    "unknown_tag",
    "bad_body",
)

# What the control socket knows. The tags are those of the whole schema, so that a command which was upgraded and an
# engine that runs on still understand each other.
CONTROL: Final[dict[int, type]] = {11: ControlRequest, 12: ControlReply}


class Frames(Generic[M]):
    """Encodes and checks messages of some kinds, of one process in one run.

    Parameters
    ----------
    run_key : at least 16 random bytes, handed to each process by pipe; never logged
    run_id : of this run, 0 .. 2**64-1
    types : the kinds of messages, by their tags
    epoch : of this sender; rises with every restart of the executor, so that what an older one said is refused (I16)

    `counters` has one number for each name in COUNTERS; `newest_epoch` is the highest epoch heard or spoken.
    """

    def __init__(self, run_key: bytes, run_id: int, epoch: int, types: Mapping[int, type]) -> None:
        if not 16 <= len(run_key) <= 64:
            raise ValueError("the run key must have 16 to 64 bytes")
        if not (0 <= run_id < 2**64 and 0 <= epoch < 2**64):
            raise ValueError("run id and epoch must fit in 64 bits")
        self._key = run_key
        self._types = types
        self._tags = {cls: tag for tag, cls in types.items()}
        self.run_id = run_id
        self.epoch = epoch
        self.newest_epoch = epoch
        self.counters: dict[str, int] = dict.fromkeys(COUNTERS, 0)

    def advance(self, epoch: int) -> None:
        """Speak in a later epoch from now on, and refuse what comes from earlier ones."""
        if not self.epoch <= epoch < 2**64:
            raise ValueError(f"an epoch never goes back (from {self.epoch} to {epoch})")
        self.epoch = epoch
        self.newest_epoch = max(self.newest_epoch, epoch)

    def encode(self, message: M) -> bytes:
        """One sealed frame. Raises ProtocolError when the receiver would refuse it (wrong type, too long): our own bug.

        Values of the free-form `Heartbeat.status` become JSON: tuples turn into lists, infinities and NaN into null.
        """
        tag = self._tags.get(type(message))
        if tag is None:
            raise ProtocolError(f"{type(message).__name__} is not a message between processes")
        body, _ = to_json(message)
        if _HEADER.size + len(body) + SEAL_BYTES > MAX_MESSAGE:
            self.counters["oversize"] += 1
            raise ProtocolError(f"{type(message).__name__} of {len(body)} bytes is longer than a message may be")
        frame = _HEADER.pack(MAGIC, VERSION, tag, 0, self.run_id, self.epoch, len(body)) + body
        self.counters["encoded"] += 1
        return frame + self._seal(frame)

    def decode(self, data: bytes) -> M:
        """The message in `data`. Raises ProtocolError, and counts why, for all that is no sound message of this run."""
        tag, epoch, body = self._open(data)
        if epoch < self.epoch:
            raise self._refuse("old_epoch", f"a message of epoch {epoch} came, this is epoch {self.epoch}")
        cls = self._types.get(tag)
        if cls is None:
            raise self._refuse("unknown_tag", f"a message with unknown tag {tag} came")
        try:
            message: M = from_json(cls, body)
        except ProtocolError:
            self.counters["bad_body"] += 1
            raise
        self.newest_epoch = max(self.newest_epoch, epoch)
        self.counters["decoded"] += 1
        return message

    def _open(self, data: bytes) -> tuple[int, int, bytes]:
        """Tag, epoch and body of a frame whose frame, run and seal are right."""
        size = len(data)
        if size > MAX_MESSAGE:
            raise self._refuse("oversize", f"a message of {size} bytes came, {MAX_MESSAGE} are allowed")
        if size < _HEADER.size + SEAL_BYTES:
            raise self._refuse("bad_frame", f"{size} bytes came, which is no message")
        magic, version, tag, zero, run_id, epoch, length = _HEADER.unpack_from(data)
        if magic != MAGIC or version != VERSION or zero != 0 or _HEADER.size + length + SEAL_BYTES != size:
            raise self._refuse("bad_frame", "bytes came that are no message of this build")
        if run_id != self.run_id:
            raise self._refuse("foreign_run", "a message of another run came")
        if not hmac.compare_digest(self._seal(data[:-SEAL_BYTES]), bytes(data[-SEAL_BYTES:])):
            raise self._refuse("bad_seal", "a message came whose seal is wrong")
        return tag, epoch, data[_HEADER.size : -SEAL_BYTES]

    def _seal(self, frame: bytes) -> bytes:
        return blake2b(frame, digest_size=SEAL_BYTES, key=self._key).digest()

    def _refuse(self, reason: str, text: str) -> ProtocolError:
        self.counters[reason] += 1
        return ProtocolError(text)


def to_json(item: object) -> tuple[bytes, Any]:
    """The JSON of `item` and what a reader makes of it, so that nothing leaves that a reader would refuse.

    Why it is read back at once: msgspec does not check types when it writes, and a price that became a float (I19) must
    fail here, where the stack shows who did it, not in another process or in next week's replay.
    """
    try:
        body = _ENCODER.encode(item)
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
        raise ProtocolError(f"{type(item).__name__} cannot be encoded: {_words(error)}") from None
    return body, from_json(type(item), body)


@cache
def _decoder(cls: type) -> "msgspec.json.Decoder[Any]":
    return msgspec.json.Decoder(cls)


def from_json(cls: type, body: bytes) -> Any:
    """An object of `cls`; ProtocolError for what is none."""
    try:
        value = _decoder(cls).decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ProtocolError(f"not a {cls.__name__}: {_words(error)}") from None
    if _NINETEEN_DIGITS.search(body) or _TWENTY_DIGITS in body.translate(_DIGITS_TO_0):
        _check_numbers(cls.__name__, value)
    return value


def _words(error: Exception) -> str:
    return ascii(str(error))[1:-1][:200]


def _check_numbers(name: str, value: object) -> None:
    """Raises ProtocolError when an integer anywhere in `value` does not fit in int64."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, int) and not INT64_MIN <= item <= INT64_MAX:
            raise ProtocolError(f"not a {name}: a number does not fit in 64 bits")
        if isinstance(item, dict):
            stack.extend(item.values())
        elif isinstance(item, (tuple, list)):
            stack.extend(item)
        elif dataclasses.is_dataclass(item):
            stack.extend(getattr(item, field.name) for field in dataclasses.fields(item))
