"""Wrong answers and wrong records on purpose, for the simulator's fault plans; and what it needs to know of a request.

Everything here starts from what the simulator would have sent, so that a test sees one thing wrong and the rest right.
"""

import json
import random
import zlib
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any

import msgspec

from tbot.gateway import signalr
from tbot.gateway.codec_tables import Call

BOMB_BYTES = 200 << 20  # behind about 200 KB
DEEP = 100_000
HUGE_BYTES = (1 << 20) + 4096  # over the usual limit of one WebSocket message

_encode = msgspec.json.Encoder(decimal_format="number").encode
_MARK = "\x00raw\x00"  # stands for JSON text that no encoder writes
_ENCODED_MARK = _encode(_MARK)


@dataclass(frozen=True, slots=True)
class Peek:
    """What a request is about; empty or None where it does not say."""

    account: int | None = None
    contract: str = ""
    tag: str = ""
    live: bool | None = None


def peek_request(body: bytes) -> Peek:
    """Account, contract, tag and `live` of any request body, without judging it."""
    try:
        document = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        return Peek()
    if not isinstance(document, dict):
        return Peek()
    members = {name.lower(): value for name, value in document.items()}
    inner = members.get("filter")
    if isinstance(inner, dict):
        members |= {name.lower(): value for name, value in inner.items()}
    account, contract, tag, live = (members.get(name) for name in ("accountid", "contractid", "customtag", "live"))
    return Peek(
        account if type(account) is int else None,
        contract if isinstance(contract, str) else "",
        tag if isinstance(tag, str) else "",
        live if isinstance(live, bool) else None,
    )


# --------------------------------------------------------------------------------------------------------- REST bodies
def mangle_answer(body: bytes, call: Call, kind: str, field: str) -> tuple[bytes, dict[str, str]]:
    """A 200 body made wrong in one way: (bytes, headers). `field` "" is the payload member."""
    if kind == "gzip_bomb":
        return _bomb(), {"Content-Encoding": "gzip"}
    if kind == "deep":
        return b'{"success":true,"errorCode":0,"x":' + b"[" * DEEP + b"]" * DEEP + b"}", {}
    if kind == "truncated":
        return body[: max(1, len(body) // 2)], {}
    if kind == "empty":
        return b"", {}
    if kind == "array":
        return b"[" + body + b"]", {}
    try:
        document = json.loads(body, parse_float=Decimal)
    except (ValueError, RecursionError):
        return b"", {}
    if not isinstance(document, dict):
        return b"", {}
    name = field or call.payload or "success"
    if kind == "duplicate":
        member = _encode(name) + b":" + _encode(document.get(name))
        return body.rstrip()[:-1] + b"," + member + b"}", {}
    if kind == "extra":
        return _encode({"unheardOf": {"a": [1]}} | document | {"alsoNew": None}), {}
    if kind == "success_with_code":
        return _encode(document | {"success": True, "errorCode": 5}), {}
    return _wrong_member(document, field, name, kind), {}


@cache
def _bomb() -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    piece = b" " * (1 << 20)
    return b"".join(packer.compress(piece) for _ in range(BOMB_BYTES >> 20)) + packer.flush()


def _wrong_member(document: dict[str, Any], field: str, name: str, kind: str) -> bytes:
    """One member, at the top or in the first item of the payload, taken away or given a value it must not have."""
    if kind == "null_list":
        return _encode(document | {name: None})
    if kind == "missing":
        holder = _holder(document, name)
        holder.pop(name, None)
        return _encode(document)
    prices = kind in ("bool_price", "text_price", "nan")
    for holder in _objects(document):
        for member, value in holder.items():
            wanted = member == field if field else not prices or _is_price(member, value)
            if not wanted or isinstance(value, bool) or not isinstance(value, int | Decimal):
                continue
            if kind == "text_price":
                holder[member] = str(value)
                return _encode(document)
            raw = {"bool_price": b"true", "nan": b"NaN", "huge_number": b"1" + b"0" * 400}[kind]
            holder[member] = _MARK
            return _encode(document).replace(_ENCODED_MARK, raw)
    return _encode(document)


def _is_price(member: str, value: object) -> bool:
    return isinstance(value, int | Decimal) and ("price" in member.lower() or member in ("o", "h", "l", "c", "balance"))


def _holder(document: dict[str, Any], name: str) -> dict[str, Any]:
    return next((holder for holder in _objects(document) if name in holder), document)


def _objects(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The objects of an answer from the inside out: the first item of a list, a single record, the envelope."""
    inner: list[dict[str, Any]] = []
    for value in document.values():
        first = value[0] if isinstance(value, list) and value else value
        if isinstance(first, dict):
            inner.append(first)
    return [*inner, document]


# ---------------------------------------------------------------------------------------------------------- hub records
def corrupt_record(record: bytes, field: str, how: str, value: Any, tick: Decimal) -> bytes:
    """One hub record (with separator) with one wrong member; unchanged where it has no such member.

    `tick` is the price step of its contract, for `off_tick`. `@0` means the first argument. In a record with several
    rows the first one that has the member is hit.
    """
    try:
        document = json.loads(record[:-1], parse_float=Decimal)
        arguments = document["arguments"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return record
    if field.startswith("@") and field[1:].isdigit():
        place = int(field[1:])
        if not isinstance(arguments, list) or place >= len(arguments):
            return record
        arguments[place] = _MARK if how == "raw" else _changed(arguments[place], how, value, tick)
        raw = str(value).encode() if how == "raw" else _ENCODED_MARK
        return _encode(document).replace(_ENCODED_MARK, raw) + record[-1:]
    holder = next((item for item in _rows(arguments) if field in item), None)
    if holder is None:
        return record
    if how == "remove":
        del holder[field]
        return _encode(document) + record[-1:]
    if how == "twice":
        twin = _encode(field) + b":" + _encode(holder[field])
        holder[field] = _MARK
        raw = _encode(field) + b":" + _ENCODED_MARK
        return _encode(document).replace(raw, twin + b"," + twin) + record[-1:]
    holder[field] = _MARK if how == "raw" else _changed(holder[field], how, value, tick)
    raw = str(value).encode() if how == "raw" else _ENCODED_MARK
    return _encode(document).replace(_ENCODED_MARK, raw) + record[-1:]


def _changed(old: Any, how: str, value: Any, tick: Decimal) -> Any:
    if how == "value":
        return value
    if how == "text":
        return str(old)
    if isinstance(old, int | Decimal) and not isinstance(old, bool):
        return -old if how == "negate" else old + tick * Decimal("0.4") if how == "off_tick" else old
    return old


def _rows(arguments: Any) -> list[dict[str, Any]]:
    """The objects of an event, its envelope last."""
    found: list[dict[str, Any]] = []
    for argument in arguments if isinstance(arguments, list) else []:
        for item in argument if isinstance(argument, list) else [argument]:
            if isinstance(item, dict):
                if isinstance(item.get("data"), dict):
                    found.append(item["data"])
                found.append(item)
    return found


_BROKEN: dict[str, bytes] = {
    "broken": b'{"type":1,"target":"GatewayTrade","arguments":[',
    "no_type": b'{"target":"GatewayTrade","arguments":[]}',
    "empty": b"",
    "non_object": b"[1,2]",
    "deep": b'{"type":1,"target":"GatewayTrade","arguments":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "utf8": b'{"type":1,"target":"GatewayTrade","arguments":["\xff\xfe"]}',
    "binary": b'{"type":1,"target":"GatewayTrade","arguments":[null]}',
    "unknown_type": b'{"type":42,"x":1}',
    "no_target": b'{"type":1,"arguments":[]}',
    "no_array": b'{"type":1,"target":"GatewayTrade","arguments":{}}',
}


def malformed_record(kind: str) -> bytes:
    """A record that is none, with its separator."""
    if kind == "huge":
        return signalr.encode_invocation("GatewayTrade", ["x" * HUGE_BYTES])
    return _BROKEN[kind] + b"\x1e"


def cut_record(record: bytes, chance: random.Random) -> bytes:
    """The beginning of a record, cut off inside, with its separator."""
    return record[: chance.randrange(1, max(2, len(record) - 1))] + b"\x1e"
