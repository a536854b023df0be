"""Secrets never reach a text, and a stranger's text never reaches a screen as it is: both are dealt with here."""

import re
import unicodedata
from dataclasses import dataclass, field

# JSON web tokens and the query parameter that carries one in hub addresses
_TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*){0,2}|(?<=access_token=)[^&\s\"']+")
HIDDEN = "***"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Login name and API key of the platform. Neither shows in repr."""

    user_name: str = field(repr=False)
    api_key: str = field(repr=False)


def redact(text: str, *secrets: str) -> str:
    """`text` without the given secrets, anything that looks like a token, and control signs; at most 300 characters."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, HIDDEN)
    return plain(_TOKEN.sub(HIDDEN, text), 300)


def plain(text: str, limit: int = 120) -> str:
    """A stranger's text for one line of a screen or log: no control, format or line-breaking signs, at most `limit`."""
    short = text[: limit + 1]
    clean = "".join(
        sign if unicodedata.category(sign)[0] != "C" and sign not in "\u2028\u2029" else " " for sign in short
    )
    return clean if len(short) <= limit else clean[: limit - 1] + "…"
