"""What one account wants to say while it handles one input: notes and commands, with unique command ids."""

from tbot.domain.messages import Command, DeskOutput, Note, Query
from tbot.execution.tags import base32


class Outbox:
    """Collects outputs of one account. Ids are unique for a run: run start, account, running number."""

    def __init__(self, account: int, run_start_ms: int) -> None:
        self.account = account
        self._prefix = f"{base32(run_start_ms)}-{account}"
        self._next = 0
        self._notes: list[Note] = []
        self._commands: list[Command] = []

    def new_id(self) -> str:
        """A command id that no other command of this run has."""
        self._next += 1
        return f"{self._prefix}-{self._next}"

    def note(self, note: Note) -> None:
        self._notes.append(note)

    def command(self, command: Command) -> None:
        self._commands.append(command)

    def state(self) -> object:
        """Data for the digest."""
        return self._next

    def take(self) -> list[DeskOutput]:
        """Everything since the last call: notes first, then commands; queries last, because they prove the others."""
        if not self._commands:  # of most inputs at most a note comes
            notes, self._notes = self._notes, []
            return [*notes]
        queries = [command for command in self._commands if isinstance(command, Query)]
        others = [command for command in self._commands if not isinstance(command, Query)]
        outputs: list[DeskOutput] = [*self._notes, *others, *queries]
        self._notes.clear()
        self._commands.clear()
        return outputs
