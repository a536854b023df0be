"""Message <-> bytes between our own processes, and object <-> row body for the journal: the only encoder of messages.

A message on a socket is one frame (`frames.py`). Why a seal on file sockets in a private directory: a plain socket
takes legacy-protocol bytes, even an HTTP request, and hands them over as messages (F-IPC-06), and a process of the same
user can connect (F-SEC-04). Nothing is parsed before magic, length, run id and seal were right. Repeats of genuine
messages pass here; ids and times to live stop them (R8).
"""

from types import UnionType
from typing import Any, Final, get_args

from tbot.domain.messages import DeskInput, DeskOutput
from tbot.domain.process_messages import Message
from tbot.errors import ProtocolError
from tbot.transport.frames import COUNTERS, MAGIC, MAX_MESSAGE, SEAL_BYTES, VERSION, Frames, from_json, to_json

__all__ = [
    "COUNTERS", "MAGIC", "MAX_MESSAGE", "SEAL_BYTES", "VERSION", "Wire", "decode_record", "encode_record",
]  # fmt: skip


def _members(union: UnionType) -> tuple[type, ...]:
    return get_args(union)


# Tags are positions in the schema. Why no fixed numbers: all processes of a run show the same build, or none trades
# (I18).
_TYPES: Final[dict[int, type]] = dict(enumerate(_members(Message), start=1))
_RECORDS: Final[dict[str, type]] = {cls.__name__: cls for cls in (*_members(DeskInput), *_members(DeskOutput))}


def encode_record(item: DeskInput | DeskOutput) -> tuple[str, bytes]:
    """Kind and JSON body of a journal row. Raises ProtocolError when `item` would not come back exactly as it is."""
    kind = type(item).__name__
    if _RECORDS.get(kind) is not type(item):
        raise ProtocolError(f"{kind} is not an input or output of the Desk")
    body, parsed = to_json(item)
    if parsed != item:
        raise ProtocolError(f"{kind} does not survive its encoding (a value that JSON cannot hold)")
    return kind, body


def decode_record(kind: str, body: bytes) -> Any:
    """The DeskInput or DeskOutput of a journal row. Raises ProtocolError on an unknown kind or another schema."""
    cls = _RECORDS.get(kind)
    if cls is None:
        raise ProtocolError(f"unknown record kind {kind[:60]!a}")
    return from_json(cls, body)


class Wire(Frames[Message]):
    """All messages between the processes of one run; see Frames."""

    def __init__(self, run_key: bytes, run_id: int, epoch: int) -> None:
        super().__init__(run_key, run_id, epoch, _TYPES)
