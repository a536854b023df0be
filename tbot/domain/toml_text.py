"""TOML as every file of settings, tables and rows is read: with or without the mark that Notepad puts in front."""

import tomllib
from typing import Any


def toml_text(data: bytes) -> str:
    """The text of a file, without its byte order mark; ValueError for bytes that are no UTF-8."""
    return data.decode("utf-8-sig")


def toml_values(text: str) -> dict[str, Any]:
    """The values of a text; ValueError when it is no TOML, be it for brackets without end."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
