"""`FILE.py:NAME`: a strategy of the user's own, by the place where it stands.

NAME is one of two things, told apart by how many arguments it needs:
* two: a trader factory `(Product, StrategySettings) -> Trader` (tbot.strategy.decider), a class will do: what a
  backtest runs, bar by bar;
* one: a function over whole bars, `signals(bars) -> array of -1, 0, +1, one per bar` (what is held after the bar has
  closed). `bars` is the array of `tbot.load`: time, open, high, low, close, volume. It sees all bars at once, so a
  backtest does not run it, but `tbot audit lookahead` can say whether it reads the future.

The file runs with the rights of whoever gave the command; its folder is searched last for what it imports.
"""

import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from tbot.errors import ConfigError

_EXAMPLE = "write it like my_strategy.py:MyTrader"


@dataclass(frozen=True, slots=True)
class UserStrategy:
    """What stands at `FILE.py:NAME`; `kind` says how it is to be called."""

    name: str  # FILE.py:NAME without the folder
    path: Path
    kind: Literal["trader", "bars"]
    call: Callable[..., Any]

    @property
    def identity(self) -> str:
        """The name with a hash of the file as it stands: a strategy that was rewritten is another one (V6, V14). What
        the file imports is not in it."""
        return f"{self.name}#{hashlib.sha256(self.path.read_bytes()).hexdigest()[:8]}"

    @property
    def make_trader(self) -> Callable[..., Any]:
        """The factory `(Product, StrategySettings) -> Trader`; ConfigError when it is a function over whole bars."""
        if self.kind == "bars":
            raise ConfigError(
                f"{self.name} takes whole bars and cannot be run bar by bar; give a trader factory that takes "
                "(product, settings), or audit it with `tbot audit lookahead --strategy`"
            )
        return self.call


def load_strategy(spec: str) -> UserStrategy:
    """Import the file and take NAME from it. ConfigError says what is wrong with spec, file or name."""
    file, colon, name = spec.rpartition(":")
    if not colon or not file or not name.isidentifier():
        raise ConfigError(f"strategy {spec!r} is not understood; {_EXAMPLE}")
    path = Path(file)
    if path.suffix != ".py":
        raise ConfigError(f"strategy {spec!r} names no Python file; {_EXAMPLE}")
    if not path.is_file():
        raise ConfigError(f"there is no strategy file {path}; check the path before the colon")
    found = getattr(_module(path), name, None)
    if found is None:
        raise ConfigError(f"{path} has no {name}; check the name after the colon")
    if not callable(found):
        raise ConfigError(f"{name} of {path} cannot be called, it is of type {type(found).__name__}; {_EXAMPLE}")
    return UserStrategy(f"{path.name}:{name}", path, _kind(found, f"{path.name}:{name}"), found)


def _module(path: Path) -> ModuleType:
    """The file as a module, run once per call. ConfigError when it raises, with the line."""
    name = f"_tbot_user_strategy_{path.stem}"
    module_spec = importlib.util.spec_from_file_location(name, path)
    assert module_spec is not None
    assert module_spec.loader is not None
    module = importlib.util.module_from_spec(module_spec)
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)
    sys.modules[name] = module  # dataclasses and pickle look a class's module up by name
    try:
        module_spec.loader.exec_module(module)
    except SystemExit:
        sys.modules.pop(name, None)
        raise ConfigError(f"{path} ends the program when it is imported; move that into a function") from None
    except Exception as error:
        sys.modules.pop(name, None)
        raise ConfigError(f"{path} could not be imported: {told(error, path)}; correct the file") from error
    return module


def told(error: BaseException, path: Path) -> str:
    """`ValueError: text (line 12)` of an exception, the line being the last one of the user's own file."""
    line = error.lineno if isinstance(error, SyntaxError) else None
    trace = error.__traceback__
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename) == path:
            line = trace.tb_lineno
        trace = trace.tb_next
    text = " ".join(str(error).split())
    what = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return what if line is None else f"{what} (line {line})"


def _kind(found: Callable[..., Any], name: str) -> Literal["trader", "bars"]:
    """By the number of arguments that must be given."""
    try:
        parameters = inspect.signature(found).parameters.values()
    except (TypeError, ValueError):
        raise ConfigError(f"the arguments of {name} cannot be seen; wrap it in a function of your own") from None
    places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    taken = [parameter for parameter in parameters if parameter.kind in places]
    needed = sum(parameter.default is inspect.Parameter.empty for parameter in taken)
    stray = any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters)
    several = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    if not stray and needed == 1:
        return "bars"
    if not stray and (needed == 2 or (needed == 0 and (len(taken) >= 2 or several))):
        return "trader"
    raise ConfigError(
        f"{name} must take (product, settings) and make a trader, or take (bars) and give a signal for each; it needs "
        f"{needed} arguments"
    )
