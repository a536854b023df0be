"""Hypothesis strategies for every message class, derived from the schema's own annotations."""

import dataclasses
import typing
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from tbot.domain.messages import DeskInput, DeskOutput
from tbot.domain.process_messages import Message

INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | INT64 | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


def members(union: Any) -> tuple[type, ...]:
    """The classes of a union of the schema."""
    return get_args(union)


def every_message() -> tuple[type, ...]:
    """Every class that crosses a process."""
    return members(Message)


def every_record() -> tuple[type, ...]:
    """Every class that the journal keeps."""
    return (*members(DeskInput), *members(DeskOutput))


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """A strategy for one annotation; raises TypeError on one it does not know, so that no field goes untested."""
    origin, args = get_origin(hint), get_args(hint)
    if dataclasses.is_dataclass(hint):
        return instances(typing.cast(type, hint))
    if origin in (UnionType, typing.Union):
        return st.one_of([values_of(arg) for arg in args])
    if origin is Literal:
        return st.sampled_from(args)
    if origin is dict:
        return st.dictionaries(values_of(args[0]), values_of(args[1]), max_size=4)
    if origin is tuple and len(args) == 2 and args[1] is Ellipsis:
        return st.lists(values_of(args[0]), max_size=4).map(tuple)
    if origin is tuple:
        return st.tuples(*map(values_of, args))
    simple = {
        int: INT64,
        str: TEXT,
        bytes: st.binary(max_size=64),
        bool: st.booleans(),
        float: st.floats(allow_nan=False, allow_infinity=False),
        NoneType: st.none(),
        object: JSON,
    }
    if hint not in simple:
        raise TypeError(f"no strategy for {hint}")
    return simple[hint]


def instances(cls: type) -> st.SearchStrategy[Any]:
    """Instances of a message class with every field drawn."""
    hints = get_type_hints(cls)
    return st.builds(cls, **{field.name: values_of(hints[field.name]) for field in dataclasses.fields(cls)})
