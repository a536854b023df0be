"""Request budgets as pure sliding-window logs on passed-in time (rule R9; published limits 200/60 s and 50/30 s).

Nothing waits here: a request is allowed now or refused now. The stricter reading of the undocumented limiter is used
(sliding window per user), and the window is a second longer than published, because the gateway counts at arrival and
requests may bunch up on the way.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Budget:
    """At most `limit` requests in any `window_ns`; the last `reserve` of them only for protective requests."""

    limit: int
    window_ns: int
    reserve: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.reserve < self.limit or self.window_ns <= 0:
            raise ValueError(f"budget {self} makes no sense")


GENERAL = Budget(limit=200, window_ns=61 * NS_PER_S, reserve=40)
HISTORY = Budget(limit=50, window_ns=31 * NS_PER_S)
PENALTY_NS = 60 * NS_PER_S  # after a 429 the budget is halved for this long (F-API-03)


class SlidingWindow:
    """One budget's log. Times are boot-clock ns and must not go back; a step back counts as no time passed."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.refused = 0
        self._log: deque[int] = deque()
        self._protective: deque[bool] = deque()  # of each in the log: whether it was protective
        self._halved_until_ns = 0

    def take(self, now_ns: int, protective: bool = False) -> bool:
        """Log one request at `now_ns` if the budget allows it; False = refused, nothing logged but the refusal."""
        if self.free(now_ns, protective) <= 0:
            self.refused += 1
            return False
        self._log.append(max(now_ns, self._log[-1] if self._log else now_ns))
        self._protective.append(protective)
        return True

    def give_back(self) -> None:
        """The newest request never left this machine: it counts for nobody."""
        if self._log:
            self._log.pop()
            self._protective.pop()

    def remember(self, times_ns: Iterable[int], now_ns: int) -> None:
        """Log what a process before this one sent, oldest first; before the first `take`. Times to come are none."""
        self._log.extend(time_ns for time_ns in times_ns if time_ns <= now_ns)
        self._protective.extend(False for _ in range(len(self._log) - len(self._protective)))

    def free(self, now_ns: int, protective: bool = False) -> int:
        """How many requests would be allowed now.

        Half a budget may be used up already when it is halved. The reserve is still there then (F-API-03), inside the
        published limit: else nothing could be closed for a minute.
        """
        horizon = now_ns - self.budget.window_ns
        while self._log and self._log[0] <= horizon:
            self._log.popleft()
            self._protective.popleft()
        limit = self.budget.limit // 2 if now_ns < self._halved_until_ns else self.budget.limit
        reserve = 0 if protective else min(self.budget.reserve, limit)
        left = limit - reserve - len(self._log)
        if protective and limit < self.budget.limit:
            kept = min(self.budget.reserve - sum(self._protective), self.budget.limit - len(self._log))
            left = max(left, kept)
        return max(0, left)

    def penalise(self, now_ns: int) -> None:
        """The gateway said 429: half the budget for a minute."""
        self._halved_until_ns = now_ns + PENALTY_NS


class Throttle:
    """Both budgets of one user."""

    def __init__(self, general: Budget = GENERAL, history: Budget = HISTORY) -> None:
        self.general = SlidingWindow(general)
        self.history = SlidingWindow(history)

    def window(self, history: bool) -> SlidingWindow:
        """The log that a call counts against."""
        return self.history if history else self.general
