"""How long one process waits for another in a lock-step replay, where nothing may be guessed and nothing is late."""

import threading
import time
from collections.abc import Callable, Iterator

from tbot.engine.clocks import NS_PER_S
from tbot.errors import Halted

STEP_PATIENCE_NS = 20 * NS_PER_S
FROZEN_NS = NS_PER_S  # a turn that took longer was not spent waiting: the machine slept, or Ctrl-Z


def turns(what: str, stop: threading.Event, turn: Callable[[], None], patience_ns: int = 0) -> Iterator[None]:
    """Turns of waiting until `stop` is set; `turn` waits a little and keeps the heart beating.

    Raises Halted when `patience_ns` (0: STEP_PATIENCE_NS) of waiting are over: what is not judged at its own instant
    would make another history of the tape, and a history that is not the tape's is none. `what` ends the sentence
    "... ; the replay is void".
    """
    left_ns, last = patience_ns or STEP_PATIENCE_NS, time.monotonic_ns()
    while not stop.is_set():
        if left_ns <= 0:
            raise Halted(f"{what}; the replay is void, run it again on a quieter machine")
        turn()
        yield
        now = time.monotonic_ns()
        left_ns -= min(now - last, FROZEN_NS)
        last = now
