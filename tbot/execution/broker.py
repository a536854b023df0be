"""The one port between decisions and a broker: live, paper and the simulated exchange stand behind it.

Also the driver that closes the loop Desk -> broker -> Desk. It is the same in the executor process and in the backtest,
which is what makes their equality provable.
"""

from typing import Protocol

from tbot.domain.messages import BrokerEvent, Command, CommandResult, DeskInput, DeskOutput, Note, PlaceBracket
from tbot.errors import JournalError


class Broker(Protocol):
    """Takes commands, gives back events. Never raises for an outcome: outcomes are events."""

    def submit(self, command: Command, now_ns: int) -> None:
        """Take a command. Answers (a CommandResult first) come out of `poll`, at once or later."""

    def poll(self) -> list[BrokerEvent]:
        """Events since the last call, in the order in which they happened."""


class Decider(Protocol):
    """The Desk as its driver sees it: a fold over inputs."""

    def handle(self, item: DeskInput) -> list[DeskOutput]: ...


class Recorder(Protocol):
    """The journal as the driver sees it. `record` returns when the outputs may leave (write first, send second).

    JournalError: it could not be written. Then no entry leaves; protective commands go all the same (rule R1).
    """

    def record(self, item: DeskInput, outputs: list[DeskOutput]) -> None: ...


class DeskLoop:
    """Feeds inputs to the Desk until nothing more happens: handle, record, submit, poll, again."""

    # Why a bound: a broker that answers every answer would spin for ever; 10 000 is far above any real cascade.
    MAX_ROUNDS = 10_000

    def __init__(self, desk: Decider, broker: Broker, recorder: Recorder, *, strict: bool = False) -> None:
        """`strict`: a JournalError ends it. A replay without what a full disk refused is another history."""
        self._strict = strict
        self._desk = desk
        self._broker = broker
        self._recorder = recorder
        self.handled = 0  # inputs so far

    def feed(self, item: DeskInput) -> list[Note]:
        """Handle one input and everything it causes; returns the notes in order. Commands went to the broker."""
        notes = self._one(item)
        notes += self.pump()
        return notes

    def pump(self) -> list[Note]:
        """Handle what the broker has to say (fills after a tick, answers that arrived meanwhile)."""
        notes: list[Note] = []
        for _ in range(self.MAX_ROUNDS):
            events = self._broker.poll()
            if not events:
                return notes
            for event in events:
                notes += self._one(event)
        raise AssertionError("the broker and the Desk answer each other without end")

    def _one(self, item: DeskInput) -> list[Note]:
        self.handled += 1
        outputs = self._desk.handle(item)
        refused = ""
        try:
            self._recorder.record(item, outputs)
        except JournalError as error:
            if self._strict:
                raise
            refused = str(error)
        notes: list[Note] = []
        unsent: list[CommandResult] = []
        for output in outputs:
            if isinstance(output, Note):
                notes.append(output)
            elif refused and isinstance(output, PlaceBracket):
                unsent.append(CommandResult(item.now_ns, output.account, output.command_id, "not_sent", None, refused))
            else:
                self._broker.submit(output, item.now_ns)
        for result in unsent:
            notes += self._one(result)
        return notes
