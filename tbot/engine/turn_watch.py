"""Where the executor's loop stood still: which part of a turn took longer than a second.

A disk that does not answer, a machine that sleeps, a process that gets no time look alike from outside: signals that
came too late. This tells them apart, on the screen and in the status.
"""

from typing import Any

from tbot.engine.clocks import NS_PER_S, boot_ns
from tbot.engine.observer import Tell

SLOW_NS = NS_PER_S
NS_PER_MS = 1_000_000


class TurnWatch:
    """`passed(part)` behind each part of a turn: a clock read each, about ten in a turn.

    One that stood still while it waited for messages was not run: stopped, asleep, or starved of the processor.
    """

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._at_ns = boot_ns()
        self._stood: dict[str, tuple[int, int]] = {}  # part -> (times, longest in ns)

    def passed(self, part: str, allowed_ns: int = 0) -> None:
        """This part is over. `allowed_ns`: what it takes when all is well, such as a wait with its time-out."""
        now_ns = boot_ns()
        took_ns = now_ns - self._at_ns - allowed_ns
        self._at_ns = now_ns
        if took_ns <= SLOW_NS:
            return
        times, longest_ns = self._stood.get(part, (0, 0))
        self._stood[part] = times + 1, max(longest_ns, took_ns)
        self._tell(0, "STATE", "", f"the executor stood still for {took_ns / NS_PER_S:.1f} s: {part}")

    def status(self) -> dict[str, Any]:
        """Part -> how often it stood still, and for how long at most (ms); only parts that did."""
        return {
            part: {"times": times, "longest_ms": longest_ns // NS_PER_MS}
            for part, (times, longest_ns) in self._stood.items()
        }
