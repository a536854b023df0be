"""Seeded damage to JSON: by byte (bits, cuts, foreign tokens) and by shape (types, keys, depth, numbers)."""

import json
import random
from typing import Any

TOKENS = [
    b"null", b"true", b"NaN", b"Infinity", b"-Infinity", b"1e999", b"1e999999999", b"-0", b"-0.0", b"01", b"//",
    b"18446744073709551616", b"9223372036854775808", b"1" * 400, b"0.1e-400", b'"', b"{", b"}", b"[", b"]", b",", b":",
    b"\\", b"\\ud800", b"\x00", b"\x1e", b"\xff\xfe", b"\xf0\x9f", b"\xc0\x80", b"\xef\xbb\xbf", b'"id":1,',
    b'"success":true,', b"[" * 200,
]  # fmt: skip


def odd(rng: random.Random) -> Any:
    """A value of another kind than whatever stood there."""
    deep: Any = []
    for _ in range(rng.choice([3, 300])):
        deep = [deep] if rng.random() < 0.5 else {"a": deep}
    return rng.choice(
        [
            None, True, False, 0, -1, 1, 2**31, 2**53 + 1, 2**63, 2**64, -(2**63), 10**30, 0.1, -0.0, 1e308, 5e-324,
            float("nan"), float("inf"), "", "0", "1e5", "true", " 7 ", "x" * rng.choice([1, 5000]),
            "\u202e\x1b[31m\x00", "2026-11-20T15:25:02+00:00", "2026-02-30T00:00:00Z", "9999-12-31T23:59:59Z",
            "CON.F.US.MNQ.Z26", [], {}, [[]], [None], [1, "a", {}], {"id": 1}, deep,
        ]
    )  # fmt: skip


def _nodes(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    if isinstance(value, dict):
        for key, inner in value.items():
            found += _nodes(inner, (*path, key))
    elif isinstance(value, list):
        for place, inner in enumerate(value[:4]):
            found += _nodes(inner, (*path, place))
    return found


def reshaped(rng: random.Random, document: Any) -> bytes:
    """One or two nodes replaced, dropped, renamed, doubled or wrapped."""
    for _ in range(rng.randint(1, 2)):
        path = rng.choice(_nodes(document))
        if not path:
            document = rng.choice([odd(rng), [document], {"value": document}]) if rng.random() < 0.1 else document
            continue
        holder = document
        for step in path[:-1]:
            holder = holder[step]
        last, action = path[-1], rng.randrange(6)
        if action == 0:
            del holder[last]
        elif action == 1 and isinstance(holder, dict):
            holder[rng.choice([str(last).upper(), f" {last}", f"{last}\x00", "id", "data"])] = holder.pop(last)
        elif action == 2 and isinstance(holder, list):
            holder.extend(holder[:1] * rng.choice([1, 50]))
        elif action == 3:
            holder[last] = rng.choice([[holder[last]], {"data": holder[last]}, str(holder[last])])
        else:
            holder[last] = odd(rng)
    return json.dumps(document, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")


def doubled(rng: random.Random, body: bytes) -> bytes:
    """A member named twice: one that is there, with another value in front of it."""
    places = [place for place, sign in enumerate(body) if sign == ord("{")]
    names = [part.split(b'"')[0] for part in body.split(b'"')[1::2]]
    if not places or not names:
        return body
    place = rng.choice(places) + 1
    value = json.dumps(odd(rng)).encode()
    return body[:place] + b'"' + rng.choice(names) + b'":' + value + b"," + body[place:]


def damaged(rng: random.Random, body: bytes) -> bytes:
    """Up to four cuts, flips and insertions."""
    data = bytearray(body)
    for _ in range(rng.randint(1, 4)):
        if not data:
            break
        at, action = rng.randrange(len(data)), rng.randrange(6)
        if action == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif action == 1:
            del data[at:]
        elif action == 2:
            del data[at : at + rng.randint(1, 12)]
        elif action == 3:
            data[at:at] = rng.choice(TOKENS)
        elif action == 4:
            end = at + rng.randint(1, 6)
            data[at:end] = rng.choice(TOKENS)
        else:
            data += data[at : at + 200]
    return bytes(data)


def mutated(rng: random.Random, body: bytes) -> bytes:
    """One damaged version of a JSON text."""
    kind = rng.random()
    if kind < 0.45:
        return reshaped(rng, json.loads(body))
    return doubled(rng, body) if kind < 0.6 else damaged(rng, body)


# Small on the wire, large or slow in a careless parser; `n` is roughly the size in bytes.
def amplifiers(n: int) -> dict[str, bytes]:
    """Hostile values by name."""
    return {
        "deep lists": b"[" * n,
        "deep objects": b'{"a":' * (n // 5),
        "closed depth": b"[" * (n // 2) + b"]" * (n // 2),
        "many numbers": b"[" + b"1," * (n // 2) + b"1]",
        "many empty lists": b"[" + b"[]," * (n // 3) + b"[]]",
        "many empty objects": b"[" + b"{}," * (n // 3) + b"{}]",
        "many nulls": b"[" + b"null," * (n // 5) + b"null]",
        "long integer": b"1" * n,
        "long fraction": b"0." + b"1" * n,
        "huge exponent": b"1e999999999",
        "tiny exponent": b"1e-999999999",
        "long text": b'"' + b"x" * n + b'"',
        "escapes": b'"' + b"\\u0041" * (n // 6) + b'"',
        "surrogates": b'"' + b"\\ud800" * (n // 6) + b'"',
        "spaces": b" " * n + b"1",
        "one key": b"{" + b'"a":1,' * (n // 6) + b'"a":1}',
        "many keys": b"{" + b",".join(b'"%d":1' % number for number in range(n // 10)) + b"}",
    }
