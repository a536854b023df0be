"""Where messages go. Addresses hold passwords and tokens: environment, keyring, or a file that only its owner reads.

The first place that has any is taken. Nothing here puts an address, or a part of one, into a text.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

from tbot.credentials import KEYRING_SERVICE, read_private
from tbot.notify.settings import NotifySettings

NAME = "TBOT_NOTIFY_URLS"
FILE_NAME = "notify_urls"  # in TBOT_HOME


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses, and the place that they came from (safe to show)."""

    urls: tuple[str, ...] = field(default=(), repr=False)
    source: str = ""


def take_environment() -> tuple[str, ...]:
    """Those of the environment, which is without them afterwards: no child process inherits them."""
    return _split(os.environ.pop(NAME, ""))


def find(settings: NotifySettings, home: Path) -> Addresses:
    """The addresses of this user; none when there are none. AuthError for a file that must not or cannot be used.

    A file that the settings name must be there.
    """
    taken = take_environment()
    if taken:
        return Addresses(taken, "environment")
    kept = _split(_keyring())
    if kept:
        return Addresses(kept, "keyring")
    named = Path(settings.file).expanduser() if settings.file else home / FILE_NAME
    if settings.file or os.path.lexists(named):
        return Addresses(_read(named), str(named))
    return Addresses()


def _split(text: str) -> tuple[str, ...]:
    """By blanks and line ends; an address has neither. Lines that begin with # are remarks."""
    lines = [line for line in text.splitlines() if not line.strip().startswith("#")]
    return tuple(dict.fromkeys(word for line in lines for word in line.split()))


def _keyring() -> str:
    try:
        import keyring

        return keyring.get_password(KEYRING_SERVICE, NAME) or ""
    except Exception:  # absent, locked, no desktop session: the backends raise what they like
        return ""


def _read(path: Path) -> tuple[str, ...]:
    return read_private(path, f"file {path} of [notify]", "write one address a line", _split)
