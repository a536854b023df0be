"""The worker's line to the recorder: outcomes go out, the weights of a trading day come in.

A worker is a fold over its ring; this is the one other thing that reaches it, at most once a trading day and only where
learned weights decide (design ruling 9). In lock-step the worker's cursor moves on only when the recorder has its
outcomes, so that the weights of a day rest on the same outcomes as in a backtest.
"""

from collections.abc import Callable, Iterator

from tbot.domain.process_messages import OutcomesAck, OutcomesMessage, WeightsGrant, WeightsRequest
from tbot.engine import patience
from tbot.engine.child import ChildContext
from tbot.engine.clocks import NS_PER_S, boot_ns
from tbot.engine.settings import EngineSettings
from tbot.errors import ProtocolError
from tbot.strategy.learning import WeightSource
from tbot.strategy.outcomes import DayWeights, PatternWeight, Rows
from tbot.transport import sockets
from tbot.transport.wire import Wire

GREETING_PATIENCE_NS = 15 * NS_PER_S  # at the start of a process: half of what a first heartbeat may take
WEIGHTS_PATIENCE_NS = 2 * NS_PER_S  # a recorder that is silent so long leaves the old weights in force
SILENCE_NS = 60 * NS_PER_S  # and is not waited for again so soon: a worker that waits does not beat
STEP_TURN_NS = 20_000_000  # looks at the socket in lock-step
ROWS_A_MESSAGE = 1_000
ACK_PATIENCE_NS = 60 * NS_PER_S  # the recorder waits for its disk: what it has not confirmed by then is taken for lost
LAST_ACKS_NS = NS_PER_S // 2  # at the end of a worker, which the recorder outlives


class OutcomeLine:
    """One worker's socket.

    `counters`: outcomes by what became of them (`sent` on their way so far, of which the recorder confirmed `acked` and
    did not confirm `unacked` in time; the rest is under way; `unsent`: it was not there), and questions for weights
    (`asked`; `granted`, or `silent`: unanswered in time).
    """

    def __init__(self, settings: EngineSettings, context: ChildContext, wire: Wire, beat: Callable[[], None]) -> None:
        """`beat` keeps this process alive in the eyes of others while it waits for the recorder in lock-step."""
        self._lockstep = settings.lockstep
        self._stop = context.stop
        self._beat = beat
        self._wire = wire
        self._socket = sockets.dealer(settings.socket("recorder"), context.name.encode())
        self._waiter = sockets.Waiter(self._socket)
        self._sent = 0  # messages
        self._pending: dict[int, tuple[int, int]] = {}  # by number of the message: its rows, and when it left
        self._grants: dict[tuple[str, int], WeightsGrant] = {}
        self._last: dict[str, DayWeights] = {}
        self._silent_until_ns = 0
        self.counters = dict.fromkeys(("sent", "acked", "unacked", "unsent", "asked", "granted", "silent"), 0)

    @classmethod
    def of(
        cls, settings: EngineSettings, context: ChildContext, wire: Wire, beat: Callable[[], None]
    ) -> "OutcomeLine | None":
        """None where nothing is observed. Where weights decide, the recorder is there when this returns, or late."""
        if not settings.strategy.learning.follows:
            return None
        line = cls(settings, context, wire, beat)
        if settings.strategy.learning.decides and not settings.lockstep:  # there each question waits long enough
            line._granted(settings.symbols[0], 0, GREETING_PATIENCE_NS)
        return line

    def tell(self, symbol: str, rows: Rows) -> None:
        """Send what ended; what the recorder does not take is lost, and counted."""
        for first in range(0, len(rows), ROWS_A_MESSAGE):
            part = rows[first : first + ROWS_A_MESSAGE]
            message = OutcomesMessage(symbol, self._sent + 1, part.tobytes())
            if self._leave(self._wire.encode(message)):
                self._sent += 1
                self._pending[self._sent] = (len(part), boot_ns())
                self.counters["sent"] += len(part)
            else:
                self.counters["unsent"] += len(part)
        if len(rows):
            self._take()

    def _leave(self, data: bytes) -> bool:
        """Whether the recorder took it; in lock-step it is waited for."""
        return self._socket.send(data) or (self._lockstep and any(self._socket.send(data) for _ in self._turns()))

    def _turns(self) -> Iterator[None]:
        """Of waiting in lock-step; a replay that learns less than its tape tells is none."""
        return patience.turns("the recorder did not answer within 20 s", self._stop, self._turn)

    def _turn(self) -> None:
        self._waiter.wait(STEP_TURN_NS)
        self._take()
        self._beat()

    def settle(self) -> bool:
        """In lock-step: wait until the recorder has all that was sent. False: told to stop before. Raises Halted."""
        return not self._pending or any(not self._pending for _ in self._turns())

    def source(self, symbol: str) -> WeightSource:
        """Where the strategy of one contract asks for the weights of a trading day."""
        return lambda day_start_ns: self._ask(symbol, day_start_ns)

    def _ask(self, symbol: str, day_start_ns: int) -> DayWeights:
        """The recorder's answer; without one the weights of the day before, which nothing newer can have touched."""
        if day_start_ns <= 0:  # before the first tick: no day has begun
            return DayWeights(day_start_ns, "")
        self.counters["asked"] += 1
        grant = None
        if self._lockstep:
            grant = self._awaited(symbol, day_start_ns)
        elif boot_ns() >= self._silent_until_ns:
            grant = self._granted(symbol, day_start_ns, WEIGHTS_PATIENCE_NS)
        if grant is None:
            self.counters["silent"] += 1
            return self._last.get(symbol, DayWeights(day_start_ns, ""))
        self.counters["granted"] += 1
        patterns = tuple(PatternWeight(*one) for one in grant.patterns)
        self._last[symbol] = DayWeights(day_start_ns, grant.version, patterns)
        return self._last[symbol]

    def _awaited(self, symbol: str, day_start_ns: int) -> WeightsGrant | None:
        """In lock-step; None: told to stop."""
        if not self._leave(self._wire.encode(WeightsRequest(symbol, day_start_ns))):
            return None
        key = symbol, day_start_ns
        return next((found for _ in self._turns() if (found := self._grants.pop(key, None)) is not None), None)

    def _granted(self, symbol: str, day_start_ns: int, patience_ns: int) -> WeightsGrant | None:
        deadline, asked = boot_ns() + patience_ns, False
        while boot_ns() < deadline:
            asked = asked or self._socket.send(self._wire.encode(WeightsRequest(symbol, day_start_ns)))
            self._waiter.wait(NS_PER_S // 20)
            self._take()
            grant = self._grants.pop((symbol, day_start_ns), None)
            if grant is not None:
                return grant
        self._silent_until_ns = boot_ns() + SILENCE_NS
        return None

    def _take(self) -> None:
        for _, data in self._socket.drain():
            try:
                message = self._wire.decode(data)
            except ProtocolError:
                continue
            if isinstance(message, OutcomesAck):
                rows, _ = self._pending.pop(message.number, (0, 0))
                self.counters["acked"] += rows
            elif isinstance(message, WeightsGrant):
                self._grants = {(message.contract, message.day_start_ns): message}
        if not self._lockstep:  # there they are waited for, and without them the replay is void
            self._give_up(boot_ns() - ACK_PATIENCE_NS)

    def _give_up(self, before_ns: int) -> None:
        """What left before this was lost with the recorder that it went to; it is never sent again, only counted."""
        late = [number for number, (_, left_ns) in self._pending.items() if left_ns < before_ns]
        for number in late:
            rows, _ = self._pending.pop(number)
            self.counters["unacked"] += rows

    def status(self) -> dict[str, int]:
        """The counters as of now."""
        self._take()
        return dict(self.counters)

    def finish(self) -> None:
        """The last confirmations, waited for a moment; what has none then is counted as never confirmed."""
        deadline = boot_ns() + LAST_ACKS_NS
        self._take()
        while self._pending and boot_ns() < deadline:
            self._waiter.wait(NS_PER_S // 50)
            self._take()
        self._give_up(boot_ns() + 1)

    def close(self) -> None:
        """What was sent may still be on its way; the recorder ends after the workers."""
        self._socket.close(linger_ms=sockets.LINGER_MS)
