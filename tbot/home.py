"""Where T-BOT keeps what lasts: one folder, and nothing heavy to find it."""

import errno
import os
from pathlib import Path

from tbot.errors import ConfigError

NOWHERE = Path(os.devnull) / "no-home-folder"  # where nothing can be


def home() -> Path:
    """TBOT_HOME, or the user's state folder of this system. ConfigError for a user of whom the system knows none."""
    chosen = os.environ.get("TBOT_HOME")
    if chosen:
        return Path(chosen)
    from platformdirs import user_state_path

    try:
        return user_state_path("tbot")
    except RuntimeError:
        raise ConfigError("this user has no home folder; set HOME, or TBOT_HOME to a folder of yours") from None


def make_home() -> Path:
    """TBOT_HOME, made where it is not there; ConfigError where it cannot be, and where anybody may write.

    Locks, journal and word of where a run is are trusted (I31). A folder that its group may write is left to `tbot
    doctor`, and so to the pre-flight of live: many users' groups are theirs alone.
    """
    place = home()
    try:
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = place.stat()
    except OSError as error:
        why = f"the folder {place} cannot be made ({error.strerror})"
        raise ConfigError(f"{why}; set TBOT_HOME to a folder of yours") from None
    if found.st_uid != os.geteuid():
        raise ConfigError(f"{place} belongs to another user; set TBOT_HOME to a folder of yours")
    if found.st_mode & 0o002:
        raise ConfigError(f"anybody may write to {place}, and with it to locks and journal; chmod 700 {place}")
    if not os.access(place, os.R_OK | os.W_OK | os.X_OK):
        raise ConfigError(f"{place} cannot be read and written ({os.strerror(errno.EACCES)}); chmod 700 {place}")
    return place


def emergency_home() -> Path:
    """As `home`, whole; where there is none, a place at which nothing is and nothing can be written: a kill goes on."""
    try:
        return home().resolve()
    except (ConfigError, OSError, RuntimeError):
        return NOWHERE


def expanded(path: str) -> Path:
    """The path with its `~` spelled out; as it stands where the system does not know that user."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)
