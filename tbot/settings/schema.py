"""JSON Schema of the settings file, for editors (taplo, VS Code's Even Better TOML): draft 2020-12."""

import types
from typing import Any, Literal, get_args, get_origin

from tbot.config import CHOICES, LARGER_IS_TIGHTER, SMALLER_IS_TIGHTER
from tbot.domain.contracts import PRODUCTS
from tbot.settings.options import REQUIRED, Option, options, plain, structs
from tbot.settings.words import SECTIONS

SCHEMA_ID = "urn:tbot:settings:1"
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}


def json_schema() -> dict[str, Any]:
    """The schema; unknown keys are errors, as they are for T-BOT."""
    sections = {name: _section(name) for name in structs()}
    tightened = [option for option in options() if option.section == "risk" and option.key in _TIGHTENED]
    own = _table("Limits of this account alone; tighter than [risk].", {one.key: _of(one) for one in tightened})
    sections["accounts"]["properties"]["risk"] = own
    sections["accounts"] = {"type": "array", "maxItems": 3, "items": sections["accounts"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        **_table("Settings of T-BOT (tbot.toml)", sections),
    }


_TIGHTENED = SMALLER_IS_TIGHTER | LARGER_IS_TIGHTER


def _section(name: str) -> dict[str, Any]:
    members = [option for option in options() if option.section == name]
    table = _table(SECTIONS.get(name, ""), {option.key: _of(option) for option in members})
    needed = [option.key for option in members if option.default == REQUIRED]
    return {**table, "required": needed} if needed else table


def _table(text: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "description": text, "additionalProperties": False, "properties": properties}


def _of(option: Option) -> dict[str, Any]:
    found: dict[str, Any] = {"description": option.word.text, **_type(option.hint)}
    choices = option.word.choices or CHOICES.get(option.key, ())
    if choices:
        found["enum"] = list(choices)
    if option.key == "contracts":
        found["items"] = {"enum": list(PRODUCTS)}
    if option.low is not None:
        found["minimum"] = option.low
    if option.high is not None:
        found["maximum"] = option.high
    if option.default is not None and option.default != REQUIRED:
        found["default"] = plain(option.default)
    return found


def _type(hint: Any) -> dict[str, Any]:
    origin = get_origin(hint)
    if hint in _TYPES:
        return {"type": _TYPES[hint]}
    if origin is Literal:
        return {"type": "string"}
    if origin is tuple:
        return {"type": "array", "items": {"type": _TYPES[get_args(hint)[0]]}}
    if origin is types.UnionType:
        return _type(next(one for one in get_args(hint) if one is not type(None)))
    return {"type": "object"}
