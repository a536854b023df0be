"""T-BOT: trades TopstepX evaluation accounts with Smart Money Concepts, on its owner's machine; paper by default."""

from typing import Any

__version__ = "0.1.0"

_PUBLIC = {"detect": "tbot.analytics.detect", "load": "tbot.analytics.bar_tables"}


def __getattr__(name: str) -> Any:
    """The public functions are imported when they are first asked for: `import tbot` alone stays light."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'tbot' has no attribute {name!r}")
    import importlib

    value = globals()[name] = getattr(importlib.import_module(_PUBLIC[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
