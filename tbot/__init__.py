"""T-BOT: trades TopstepX evaluation accounts with Smart Money Concepts, on its owner's machine; paper by default."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tbot.analytics.bar_tables import load as load
    from tbot.analytics.detect import detect as detect
    from tbot.commands.past import backtest as backtest

__version__ = "0.1.0"

_PUBLIC = {"backtest": "tbot.commands.past", "detect": "tbot.analytics.detect", "load": "tbot.analytics.bar_tables"}


def public(name: str) -> Any:
    """A public function by name; imported when it is first asked for, so that `import tbot` alone stays light."""
    import importlib

    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __getattr__(name: str) -> Any:
    """See `public`. What is also a package is not kept: the package can be called and does the same."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'tbot' has no attribute {name!r}")
    return public(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
