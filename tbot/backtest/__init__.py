"""The past through the same deciders: one process, a virtual clock, no second strategy, risk, order or fill code.

Layer 4: imports everything below it; not the engine. Start with `run`. The package can be called, too: `tbot.backtest`
is the public function of that name (tbot.commands.past) whether or not something of the package was imported before.
"""

import sys
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return sys.modules[__name__.rpartition(".")[0]].public("backtest")(*arguments, **options)


sys.modules[__name__].__class__ = _Callable
