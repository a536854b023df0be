"""Any plain state as one canonical text, and its hash: how a replay proves that it arrived at the same state (I15).

Dataclasses by field order, mappings sorted by key, sets sorted. Everything else must be plain: an object that is not
raises TypeError, so that new state cannot stay out of the hash unnoticed.
"""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date
from enum import Enum
from hashlib import blake2b


def plain(value: object) -> object:
    """The value as JSON-able data that is equal exactly when the value is."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return [[plain(key), plain(held)] for key, held in sorted(value.items(), key=lambda pair: str(pair[0]))]
    if isinstance(value, set | frozenset):
        return sorted((plain(held) for held in value), key=str)
    if isinstance(value, list | tuple):
        return [plain(held) for held in value]
    if is_dataclass(value) and not isinstance(value, type):
        return [type(value).__name__, *(plain(getattr(value, entry.name)) for entry in fields(value))]
    raise TypeError(f"{type(value).__name__} has no canonical form")


def digest(value: object) -> str:
    """Hex digest of the canonical text."""
    text = json.dumps(plain(value), separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return blake2b(text.encode(), digest_size=16).hexdigest()
