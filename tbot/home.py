"""Where T-BOT keeps what lasts: one folder, and nothing heavy to find it."""

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
