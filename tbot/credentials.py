"""Where the login comes from: option, environment, `.env`, configured file, keyring, file in TBOT_HOME; in this order.

Each of the two values (TBOT_USERNAME, TBOT_API_KEY) is taken from the first place that has it; later places are not
looked at when both are known. A credentials file holds lines like `TBOT_API_KEY=...` and is refused unless it is a
plain file of ours that nobody else can read. Nothing here ever puts a value into a text: errors name places only.
"""

import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tbot.errors import AuthError

T = TypeVar("T")
NAMES = ("TBOT_USERNAME", "TBOT_API_KEY")
KEYRING_SERVICE = "tbot"  # keyring set tbot TBOT_API_KEY
MAX_BYTES = 64 * 1024
# NONBLOCK: opening a pipe that nobody writes would hang
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


@dataclass(frozen=True, slots=True)
class Login:
    """User name and API key, and the places they came from (safe to show)."""

    user_name: str = field(repr=False)
    api_key: str = field(repr=False)
    source: str = ""

    @property
    def pair(self) -> tuple[str, str]:
        return self.user_name, self.api_key


def file_fault(found: os.stat_result, uid: int) -> str:
    """Why a file with this status must not hold secrets; "" when it may."""
    if stat.S_ISLNK(found.st_mode):
        return "is a link"
    if not stat.S_ISREG(found.st_mode):
        return "is not a plain file"
    if found.st_uid != uid:
        return "belongs to another user"
    if found.st_mode & 0o077:
        return f"can be read by others (mode {stat.S_IMODE(found.st_mode):04o})"
    return ""


def read_private(path: Path, called: str, expected: str, parse: Callable[[str], T], uid: int | None = None) -> T:
    """What `parse` makes of a small file with secrets; AuthError in one sentence when it must not or cannot be used.

    `called` names the file there, `expected` says what belongs into it; no word of the file is in any error.
    """
    try:
        descriptor = os.open(path, _OPEN)
        try:
            fault = file_fault(os.fstat(descriptor), os.geteuid() if uid is None else uid)
            if fault:
                raise AuthError(f"{called} {fault}; make it yours alone with `chmod 600`")
            data = os.read(descriptor, MAX_BYTES + 1)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:  # ValueError: no name of a file
        why = getattr(error, "strerror", None) or error
        raise AuthError(f"{called} cannot be read: {why}; check its path and owner") from None
    if len(data) > MAX_BYTES:
        raise AuthError(f"{called} is longer than {MAX_BYTES} bytes; {expected}")
    try:
        return parse(data.decode("utf-8"))
    except ValueError:  # without the cause: its text would show a part of the file
        raise AuthError(f"{called} is not understood; {expected}") from None


def read_file(path: Path, uid: int | None = None) -> dict[str, str]:
    """The values of a credentials file; AuthError as in `read_private`."""
    called = f"credentials file {path}"
    if path.is_symlink():
        raise AuthError(f"{called} is a link; give the file itself")
    return read_private(path, called, "write the lines TBOT_USERNAME=... and TBOT_API_KEY=...", _parse, uid)


def _parse(text: str) -> dict[str, str]:
    """`NAME=value` lines; no quoting rules, no interpolation: a key may hold any sign. ValueError for other lines."""
    values: dict[str, str] = {}
    for raw in text.removeprefix("\ufeff").splitlines():
        line = raw.strip().removeprefix("export ")
        if not line or line.startswith("#"):
            continue
        name, sign, value = line.partition("=")
        name, value = name.strip(), value.strip()
        if not sign or name in values:
            raise ValueError
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        values[name] = value
    return values


def from_environment() -> dict[str, str]:
    """The two variables, removed from the environment, so that no child process inherits them."""
    return {name: value for name in NAMES if (value := os.environ.pop(name, ""))}


def from_dotenv(path: Path = Path(".env")) -> dict[str, str]:
    """The two values of a `.env` file, if there is one."""
    if not path.exists():
        return {}
    from dotenv import dotenv_values

    try:
        found = dotenv_values(path, interpolate=False)
    except (OSError, ValueError):
        raise AuthError(f"{path} cannot be read; check its owner and its encoding (UTF-8)") from None
    return {name: value for name in NAMES if (value := found.get(name))}


def from_keyring() -> dict[str, str]:
    """The values the system's keyring keeps for service `tbot`; nothing without the package or without a keyring."""
    try:
        import keyring

        return {name: value for name in NAMES if (value := keyring.get_password(KEYRING_SERVICE, name))}
    except Exception:  # absent, locked, no desktop session: the backends raise what they like
        return {}


def find(*, option: Path | None = None, configured: Path | None = None, home: Path) -> Login | None:
    """The login from the first places that have it; None when a value is nowhere.

    `option` and `configured` must be readable if given; the file in `home` need not exist. The environment is cleaned
    even when it was not needed. AuthError when a file must not be used.
    """
    taken = from_environment()
    default = home / "credentials"
    places: list[tuple[str, Callable[[], Mapping[str, str]]]] = [
        ("environment", lambda: taken),
        (".env", from_dotenv),
        ("keyring", from_keyring),
        (str(default), lambda: read_file(default) if os.path.lexists(default) else {}),
    ]
    if configured is not None:
        places.insert(2, (str(configured), lambda: read_file(configured)))
    if option is not None:
        places.insert(0, (str(option), lambda: read_file(option)))
    values: dict[str, str] = {}
    sources: list[str] = []
    for name, read in places:
        new = {key: value for key, value in read().items() if key in NAMES and value and key not in values}
        if new:
            values |= new
            sources.append(name)
        if len(values) == len(NAMES):
            return Login(values[NAMES[0]], values[NAMES[1]], " and ".join(sources))
    return None


def require(*, option: Path | None = None, configured: Path | None = None, home: Path) -> Login:
    """As `find`; AuthError when there is no login."""
    login = find(option=option, configured=configured, home=home)
    if login is None:
        raise AuthError(
            "no credentials: set TBOT_USERNAME and TBOT_API_KEY in the environment or in .env, "
            f"or write them to {home / 'credentials'} (mode 0600)"
        )
    return login
