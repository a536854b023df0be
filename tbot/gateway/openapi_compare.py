"""Two OpenAPI documents compared by what they say about the wire, whatever their schemas are called.

Reads Swagger 2.0 and OpenAPI 3. Each call is flattened to its members (`response.orders[].status`), so that renamed
definitions are no difference and a moved member is one. The published document is a stranger's: any shape is taken, the
work is bounded, and nothing of it reaches a screen before control characters are out.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from tbot.gateway.redact import plain

MAX_NODES = 30_000  # schemas looked at; the real document has about 600
MAX_DEPTH = 8
MAX_HOPS = 8
MAX_DIFFERENCES = 500
VERBS = ("get", "post", "put", "patch", "delete")
LONGEST_NAME = 80

Kind = Literal[
    "path added", "path removed", "member added", "member removed", "type", "required", "enum added", "enum removed",
    "enum renamed", "unreadable",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Difference:
    """What is published otherwise than we know it. `breaking`: our client may stumble over it."""

    kind: Kind
    subject: str  # `OrderModel.status`, or a path
    detail: str
    breaking: bool
    places: tuple[str, ...] = ()  # calls it was found in

    def __str__(self) -> str:
        more = f" ({len(self.places)} calls)" if len(self.places) > 1 else ""
        return f"{self.kind}: {self.subject}{': ' if self.detail else ''}{self.detail}{more}"


@dataclass(slots=True)
class _Member:
    owner: str
    name: str
    type: str
    format: str
    required: bool
    schema: str = ""  # name of its own definition
    enum: dict[str, str] = field(default_factory=dict)  # value -> name

    @property
    def subject(self) -> str:
        return f"{self.owner}.{self.name}" if self.owner else self.name


_Calls = dict[str, dict[str, _Member]]  # "post /api/order/place" -> "request.size" -> member


def read(body: bytes) -> dict[str, Any]:
    """A document from JSON; ValueError when it is none."""
    try:
        document = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"the published description is not JSON ({type(error).__name__})") from None
    if not isinstance(document, dict) or not isinstance(document.get("paths"), dict):
        raise ValueError("the published description has no paths")
    return document


def compare(published: object, known: object) -> list[Difference]:
    """What `published` says otherwise than `known`; equal news from several calls are told once. Never raises."""
    theirs, ours = _Reader(published), _Reader(known)
    their_calls, our_calls = theirs.calls(), ours.calls()
    found: dict[tuple[Kind, str, str, bool], list[str]] = {}
    for place, difference in _differences(their_calls, our_calls, theirs.shown | ours.shown):
        key = (difference.kind, difference.subject, difference.detail, difference.breaking)
        if key in found or len(found) < MAX_DIFFERENCES:
            found.setdefault(key, []).append(place)
    result = [Difference(*key, tuple(places)) for key, places in found.items()]
    if theirs.cut or len(found) >= MAX_DIFFERENCES:
        result.append(Difference("unreadable", "document", "too large or too deep to be compared wholly", True))
    if not their_calls:
        result.append(Difference("unreadable", "document", "it describes no calls", True))
    return result


def _differences(theirs: _Calls, ours: _Calls, shown: dict[str, str]) -> Iterator[tuple[str, Difference]]:
    for place in sorted(ours.keys() - theirs.keys()):
        yield shown[place], Difference("path removed", shown[place], "", True)
    for place in sorted(theirs.keys() - ours.keys()):
        yield shown[place], Difference("path added", shown[place], "", False)
    for place in sorted(ours.keys() & theirs.keys()):
        for difference in _members(theirs[place], ours[place]):
            yield shown[place], difference


def _members(theirs: dict[str, _Member], ours: dict[str, _Member]) -> Iterator[Difference]:
    for path in sorted(ours.keys() - theirs.keys()):
        if _parent(path) in theirs or "." not in path:
            yield Difference("member removed", ours[path].subject, _side(path), True)
    for path in sorted(theirs.keys() - ours.keys()):
        member = theirs[path]
        if _parent(path) in ours or "." not in path:
            kind = f"{member.type} {member.format}".strip()
            needed = path.startswith("request") and member.required
            yield Difference(
                "member added", member.subject, f"{_side(path)}, {kind}{', required' if needed else ''}", needed
            )
    for path in sorted(ours.keys() & theirs.keys()):
        yield from _member(path, theirs[path], ours[path])


def _member(path: str, theirs: _Member, ours: _Member) -> Iterator[Difference]:
    asked = path.startswith("request")
    if (theirs.type, theirs.format) != (ours.type, ours.format):
        text = f"{ours.type} {ours.format} is {theirs.type} {theirs.format}".replace("  ", " ").strip()
        yield Difference("type", ours.subject, text, theirs.type != ours.type)
    if theirs.required != ours.required:
        text = f"{_side(path)}, {'now required' if theirs.required else 'not required any more'}"
        yield Difference("required", ours.subject, text, asked and theirs.required)
    name = ours.schema or ours.subject
    for value in sorted(theirs.enum.keys() - ours.enum.keys()):
        yield Difference("enum added", name, f"{value} = {theirs.enum[value]}", False)
    for value in sorted(ours.enum.keys() - theirs.enum.keys()):
        yield Difference("enum removed", name, f"{value} = {ours.enum[value]}", asked)
    for value in sorted(theirs.enum.keys() & ours.enum.keys()):
        if theirs.enum[value] and ours.enum[value] and theirs.enum[value] != ours.enum[value]:
            text = f"{value} = {ours.enum[value]} is now {theirs.enum[value]}"
            yield Difference("enum renamed", name, text, True)


def _parent(path: str) -> str:
    """A member inside a member that is itself new or gone is not told separately."""
    return path.rpartition(".")[0].removesuffix("[]")


def _side(path: str) -> str:
    return path.partition(".")[0]


class _Reader:
    """Flattens one document. `cut`: something was left out because a bound was met."""

    def __init__(self, document: object) -> None:
        self._document = document if isinstance(document, dict) else {}
        self._left = MAX_NODES
        self.cut = False
        self.shown: dict[str, str] = {}  # calls as they are written; the framework compares paths without case

    def calls(self) -> _Calls:
        found: _Calls = {}
        for path, item in _items(self._document.get("paths")):
            for verb, operation in _items(item):
                if verb.lower() in VERBS and isinstance(operation, dict):
                    if self._left <= 0:
                        self.cut = True
                        return found
                    self._left -= 1
                    shown = f"{verb.upper()} {_clean(path)}"
                    self.shown[shown.lower()] = shown
                    found[shown.lower()] = self._call(operation)
        return found

    def _call(self, operation: dict[str, Any]) -> dict[str, _Member]:
        members: dict[str, _Member] = {}
        body = self._body(operation)
        if body is not None:
            self._walk(body, "request", "", "request", True, members, 0)
        answer = self._resolve(_get(_get(operation, "responses"), "200"))[0]
        schema = _get(answer, "schema")
        self._walk(_content(answer) if schema is None else schema, "response", "", "response", True, members, 0)
        return members

    def _body(self, operation: dict[str, Any]) -> object:
        request = self._resolve(operation.get("requestBody"))[0]
        if request:
            return _content(request)
        parameters = operation.get("parameters")
        for parameter in parameters if isinstance(parameters, list) else []:
            found = self._resolve(parameter)[0]
            if found.get("in") == "body":
                return found.get("schema")
        return None

    def _walk(
        self,
        schema: object,
        path: str,
        owner: str,
        name: str,
        required: bool,
        out: dict[str, _Member],
        depth: int,
    ) -> None:
        self._left -= 1
        if self._left <= 0 or depth > MAX_DEPTH:
            self.cut = True
            return
        found, title = self._resolve(schema)
        kind = _kind(found)
        out[path] = _Member(owner, name, kind, _text(found.get("format")), required, title, _enum(found))
        if kind == "array":
            self._walk(found.get("items"), f"{path}[]", owner, f"{name}[]", True, out, depth + 1)
            return
        needed = found.get("required")
        names = {item for item in needed if isinstance(item, str)} if isinstance(needed, list) else set()
        for member, inner in _items(found.get("properties")):
            self._walk(inner, f"{path}.{_clean(member)}", title, _clean(member), member in names, out, depth + 1)

    def _resolve(self, schema: object) -> tuple[dict[str, Any], str]:
        """(schema without references, name of the definition it stands in)."""
        title = ""
        for _ in range(MAX_HOPS):
            if not isinstance(schema, dict):
                return {}, title
            reference = schema.get("$ref")
            if isinstance(reference, str):
                title = _clean(reference.rpartition("/")[2])
                schema = self._follow(reference)
                continue
            merged = _merged(schema)
            if merged is None:
                return schema, title
            parts, rest = merged
            if len(parts) == 1 and not rest:
                schema = parts[0]
                continue
            return self._join(parts, rest), title
        self.cut = True
        return {}, title

    def _join(self, parts: list[object], rest: dict[str, Any]) -> dict[str, Any]:
        """Inheritance: the members of all parts."""
        whole: dict[str, Any] = {"type": "object", "properties": {}, "required": []}
        for part in [*parts[:MAX_HOPS], rest]:
            found = part if isinstance(part, dict) else {}
            for _ in range(MAX_HOPS):
                if not isinstance(found.get("$ref"), str):
                    break
                target = self._follow(found["$ref"])
                found = target if isinstance(target, dict) else {}
            whole["properties"] |= dict(_items(found.get("properties")))
            needed = found.get("required")
            whole["required"] += needed if isinstance(needed, list) else []
        return whole

    def _follow(self, reference: str) -> object:
        if not reference.startswith("#/"):
            return None  # another file or host: never fetched
        place: object = self._document
        for part in reference[2:].split("/")[:MAX_HOPS]:
            place = _get(place, part)
        return place


def _merged(schema: dict[str, Any]) -> tuple[list[object], dict[str, Any]] | None:
    """(parts, own members) of a schema that is put together from others; None for a plain one."""
    for word in ("allOf", "oneOf", "anyOf"):
        parts: object = schema.get(word)
        if isinstance(parts, list) and parts:
            real: list[object] = [part for part in parts if not (isinstance(part, dict) and part.get("type") == "null")]
            if word != "allOf" and len(real) > 1:
                return None  # a true choice: no shape of its own
            own: dict[str, Any] = {key: schema[key] for key in ("properties", "required") if key in schema}
            return real or [None], own
    return None


def _kind(schema: dict[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):  # OpenAPI 3.1: ["string", "null"]
        kind = next((item for item in kind if item != "null"), "")
    if isinstance(kind, str) and kind:
        return _clean(kind)
    return "object" if isinstance(schema.get("properties"), dict) else "any"


def _enum(schema: dict[str, Any]) -> dict[str, str]:
    values = schema.get("enum")
    if not isinstance(values, list):
        return {}
    names = schema.get("x-enumNames", schema.get("x-enum-varnames"))
    listed = names if isinstance(names, list) and len(names) == len(values) else [""] * len(values)
    return {_text(value): _text(name) for value, name in zip(values[:1000], listed, strict=False) if _is_scalar(value)}


def _is_scalar(value: object) -> bool:
    if isinstance(value, int):
        return not isinstance(value, bool) and abs(value) < 2**63
    return isinstance(value, str)


def _content(holder: object) -> object:
    """The JSON schema of an OpenAPI 3 body."""
    content = _get(holder, "content")
    for kind in ("application/json", "text/json", "text/plain"):
        schema = _get(_get(content, kind), "schema")
        if schema is not None:
            return schema
    return None


def _get(holder: object, name: str) -> object:
    return holder.get(name) if isinstance(holder, dict) else None


def _items(holder: object) -> list[tuple[str, Any]]:
    return (
        [(name, value) for name, value in holder.items() if isinstance(name, str)] if isinstance(holder, dict) else []
    )


def _clean(text: str) -> str:
    return plain(text, LONGEST_NAME)


def _text(value: object) -> str:
    return _clean(str(value)) if _is_scalar(value) else ""
