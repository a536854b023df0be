"""Fault plans: JSON lines to checked faults (design ruling 24). Every mistake is one sentence that names the line.

    {"id": "cut", "name": "ws.drop", "at": 30, "for": 5, "args": {"hub": "market", "mode": "fin"}}

`id` is free text, `f<line>` when left out. Exactly one of `at` (seconds of market time since the simulator's start, or
an ISO time), `after` (the n-th event the fault is about) and `p` (the chance of each such event). `for` is a number of
seconds of real time, or `"3 events"` unless the fault happens at once; without it the catalogue says how long the fault
lasts. Empty lines and lines that begin with # are left out.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from tbot.errors import ConfigError
from tbot.gateway.codec_values import parse_time
from tbot.sim.fault_catalogue import CATALOGUE
from tbot.sim.fault_kinds import REQUIRED, Arg, FaultKind
from tbot.storage.plain_file import check_plain

MEMBERS = ("id", "name", "at", "after", "p", "for", "args")
MAX_LINES = 10_000
MAX_LINE_CHARS = 64 * 1024


@dataclass(frozen=True, slots=True)
class Fault:
    """One line of a plan, checked and complete. `seconds` and `events` are its `for`."""

    id: str
    kind: FaultKind
    args: dict[str, Any]
    at_s: float | None = None  # market time since the start
    at_ns: int | None = None  # or an absolute one
    after: int | None = None
    p: float | None = None
    seconds: float | None = None
    events: int | None = None

    @property
    def name(self) -> str:
        return self.kind.name


class _Wrong(Exception):
    """What is wrong with a line, without saying which."""


def load_plan(path: Path) -> list[Fault]:
    """The faults of a file; ConfigError when it cannot be read or a line is not valid."""
    try:
        check_plain(path)
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise ConfigError(f"the fault plan {path} cannot be read: {reason}; give a file of JSON lines") from None
    return parse_plan(text.splitlines())


def parse_plan(lines: Iterable[str], taken: Iterable[str] = ()) -> list[Fault]:
    """The faults of a plan, in order; `taken` are ids already in use. ConfigError names the first bad line."""
    ids = set(taken)
    faults: list[Fault] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            if number > MAX_LINES:
                raise _Wrong(f"a plan has at most {MAX_LINES} lines")
            fault = _fault(line, number, ids)
        except _Wrong as wrong:
            raise ConfigError(f"line {number} of the fault plan: {wrong}") from None
        ids.add(fault.id)
        faults.append(fault)
    return faults


def _fault(line: str, number: int, taken: set[str]) -> Fault:
    document = _document(line)
    kind = _kind(document.get("name"))
    fault_id = document.get("id")
    if fault_id is None:
        fault_id = f"f{number}"
        while fault_id in taken:
            fault_id += "'"
    if not isinstance(fault_id, str) or not 1 <= len(fault_id) <= 100:
        raise _Wrong("id must be a text of 1 to 100 characters")
    if fault_id in taken:
        raise _Wrong(f"the id {fault_id!r} is already in use; ids are unique")
    args = document.get("args", {})
    if not isinstance(args, dict):
        raise _Wrong("args must be an object of arguments")
    values = _arguments(kind, args)
    when = _trigger(document)
    seconds, events = _duration(document.get("for"))
    if events is not None and kind.acts:
        raise _Wrong(f"{kind.name} happens at once; its for is a number of seconds, not a count of events")
    if events is None and seconds is None and kind.arg("n") is not None:
        events = values["n"]
    return Fault(fault_id, kind, values, **when, seconds=seconds, events=events)


def _document(line: str) -> dict[str, Any]:
    if len(line) > MAX_LINE_CHARS:
        raise _Wrong(f"a line has at most {MAX_LINE_CHARS} characters")
    try:
        document = json.loads(line, object_pairs_hook=_no_twins, parse_constant=_no_constant)
    except RecursionError:
        raise _Wrong("it is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise _Wrong(f"it is no JSON ({error.msg} at character {error.pos + 1}); give one object a line") from None
    except ValueError:
        raise _Wrong("a number in it has too many digits") from None
    if not isinstance(document, dict):
        raise _Wrong('it must be an object such as {"name": "ws.drop", "at": 30}')
    for name in document:
        if name not in MEMBERS:
            raise _Wrong(f"{name!r} is unknown; allowed are {', '.join(MEMBERS)}")
    return document


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    twins = sorted({name for name in names if names.count(name) > 1})
    if twins:
        raise _Wrong(f"{twins[0]!r} stands there twice")
    return dict(pairs)


def _no_constant(text: str) -> None:
    raise _Wrong(f"{text} is no JSON; write it as text where a fault takes it")


def _kind(name: object) -> FaultKind:
    if not isinstance(name, str):
        raise _Wrong("name must be the text of a fault's name; see tbot sim --list-faults")
    kind = CATALOGUE.get(name)
    if kind is None:
        close = get_close_matches(name[:100], CATALOGUE, 1)
        hint = f"did you mean {close[0]}" if close else f"the first is {min(CATALOGUE)}"
        raise _Wrong(f"there is no fault {name[:100]!r}, {hint}; see tbot sim --list-faults")
    return kind


def _trigger(document: dict[str, Any]) -> dict[str, Any]:
    given = [name for name in ("at", "after", "p") if name in document]
    if len(given) != 1:
        raise _Wrong(f"give exactly one of at, after and p, not {' and '.join(given) or 'none'}")
    name, value = given[0], document[given[0]]
    if name == "at":
        if isinstance(value, str):
            try:
                return {"at_ns": parse_time(value)}
            except ValueError:
                raise _Wrong("at must be seconds since the start or a time such as 2026-11-20T15:00:00Z") from None
        if not _is_number(value) or value < 0:
            raise _Wrong("at must be seconds since the start, 0 or more, or an ISO time")
        return {"at_s": float(value)}
    if name == "after":
        if type(value) is not int or value < 1:
            raise _Wrong("after must be a whole number of events, 1 or more")
        return {"after": value}
    if not _is_number(value) or not 0 <= value <= 1:
        raise _Wrong("p must be a probability from 0 to 1")
    return {"p": float(value)}


def _duration(value: object) -> tuple[float | None, int | None]:
    if value is None:
        return None, None
    if isinstance(value, str):
        count, _, unit = value.partition(" ")
        if count.isascii() and count.isdigit() and len(count) < 10 and int(count) > 0 and unit in ("event", "events"):
            return None, int(count)
    elif _is_number(value) and isinstance(value, int | float) and value > 0:
        return float(value), None
    raise _Wrong('for must be a number of seconds above 0, or a count such as "3 events"')


def _arguments(kind: FaultKind, given: dict[str, Any]) -> dict[str, Any]:
    names = [arg.name for arg in kind.args]
    for name in given:
        if name not in names:
            allowed = f"allowed are {', '.join(names)}" if names else "it takes none"
            raise _Wrong(f"{kind.name} has no argument {name!r}; {allowed}")
    values = {}
    for arg in kind.args:
        if arg.name in given:
            values[arg.name] = _value(kind, arg, given[arg.name])
        elif arg.default is REQUIRED:
            raise _Wrong(f"{kind.name} needs the argument {arg.name} ({allowed_values(arg)})")
        else:
            values[arg.name] = arg.default
    return values


def _value(kind: FaultKind, arg: Arg, value: Any) -> Any:
    if value is None and arg.default is None:
        return None
    if arg.filters and arg.kind == "text" and value == "any":
        value = ""  # as the lists of faults call it
    if arg.choices and isinstance(value, str):  # endpoints in any case, as the gateway takes them
        value = next((choice for choice in arg.choices if choice.lower() == value.lower()), value)
    fits = {
        "integer": type(value) is int and -(2**63) <= value < 2**63,
        "number": _is_number(value),
        "text": isinstance(value, str) and len(value) <= 1000,
        "flag": isinstance(value, bool),
        "integers": isinstance(value, list) and all(type(item) is int and abs(item) < 2**31 for item in value),
        "numbers": isinstance(value, list) and all(_is_number(item) for item in value),
        "json": True,
    }[arg.kind]
    if fits and arg.choices:
        fits = value in arg.choices
    if fits and arg.least is not None:
        fits = all(item >= arg.least for item in (value if isinstance(value, list) else [value]))
    if fits and arg.most is not None:
        fits = all(item <= arg.most for item in (value if isinstance(value, list) else [value]))
    if not fits:
        raise _Wrong(f"{arg.name} of {kind.name} must be {allowed_values(arg)}")
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and abs(value) < 1e12


_NOUNS = {
    "integer": "a whole number",
    "number": "a number",
    "text": "a text",
    "flag": "true or false",
    "integers": "a list of whole numbers",
    "numbers": "a list of numbers",
    "json": "any JSON value",
}


def allowed_values(arg: Arg) -> str:
    """What an argument may be, in words."""
    if arg.choices:
        return "one of " + ", ".join(choice or '""' for choice in arg.choices)
    if arg.least is not None and arg.most is not None:
        return f"{_NOUNS[arg.kind]} from {arg.least:g} to {arg.most:g}"
    least = "" if arg.least is None else f" of at least {arg.least:g}"
    return _NOUNS[arg.kind] + least
