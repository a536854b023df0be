"""Where T-BOT keeps what lasts: one folder, and nothing heavy to find it."""

import os
from pathlib import Path


def home() -> Path:
    """TBOT_HOME, or the user's state folder of this system."""
    chosen = os.environ.get("TBOT_HOME")
    if chosen:
        return Path(chosen)
    from platformdirs import user_state_path

    return user_state_path("tbot")
