"""DeskLoop: nothing leaves before it is written; what may leave when writing fails; no endless conversation."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbot.domain.messages import (
    BrokerEvent,
    CancelOrder,
    CloseContract,
    Command,
    CommandResult,
    Denial,
    DeskInput,
    DeskOutput,
    ModifyStop,
    PlaceBracket,
    PlaceStop,
    Query,
    TimerIn,
)
from tbot.errors import JournalError
from tbot.execution.broker import DeskLoop

NOW = 1_000


def entry(number: int = 1) -> PlaceBracket:
    return PlaceBracket(f"e{number}", 7, "MNQ", 1, 1, -40, 80, f"TB1-{number}-E", f"MNQ-{number}")


PROTECTIVE: list[Command] = [
    PlaceStop("s", 7, "MNQ", -1, 1, 100, "TB1-1-S"),
    ModifyStop("m", 7, "MNQ", 5, 101),
    CancelOrder("x", 7, "MNQ", 5),
    CloseContract("c", 7, "MNQ", "window"),
    Query("q", 7, 0),
]


def note(number: int) -> Denial:
    return Denial(NOW, 7, f"MNQ-{number}", "MNQ", "RC_TEST", "no")


class Stage:
    """Desk by a script of outputs per input, broker and journal in one; `log` tells who did what, in order."""

    def __init__(self, script: Callable[[DeskInput], list[DeskOutput]], *, strict: bool = False) -> None:
        self._script = script
        self.log: list[tuple[str, object]] = []
        self.answers: list[list[BrokerEvent]] = []
        self.broken = False
        self.loop = DeskLoop(self, self, self, strict=strict)

    def handle(self, item: DeskInput) -> list[DeskOutput]:
        self.log.append(("handle", item))
        return self._script(item)

    def record(self, item: DeskInput, outputs: list[DeskOutput]) -> None:
        self.log.append(("record", (item, tuple(outputs))))
        if self.broken:
            raise JournalError("the disk is full")

    def submit(self, command: Command, now_ns: int) -> None:
        self.log.append(("submit", (command, now_ns)))

    def poll(self) -> list[BrokerEvent]:
        return self.answers.pop(0) if self.answers else []

    def of(self, what: str) -> list[object]:
        return [value for name, value in self.log if name == what]


def timer(number: int = 0) -> TimerIn:
    return TimerIn(NOW + number, {})


def test_an_input_and_its_outputs_are_recorded_before_anything_leaves() -> None:
    outputs: list[DeskOutput] = [note(1), entry(), note(2), *PROTECTIVE]
    stage = Stage(lambda _: outputs)
    assert stage.loop.feed(timer()) == [note(1), note(2)]
    assert [name for name, _ in stage.log] == ["handle", "record"] + ["submit"] * 6
    assert stage.of("record") == [(timer(), tuple(outputs))]
    assert stage.of("submit") == [(command, NOW) for command in (entry(), *PROTECTIVE)]


def test_I15_an_input_without_outputs_is_recorded_too() -> None:
    stage = Stage(lambda _: [])
    assert stage.loop.feed(timer()) == []
    assert stage.of("record") == [(timer(), ())]


def test_answers_go_through_the_desk_until_there_are_none() -> None:
    first, second, third = (CommandResult(NOW + k, 7, f"c{k}", "accepted") for k in range(3))
    stage = Stage(lambda item: [note(item.now_ns)])
    stage.answers = [[first, second], [third], [], [first]]
    assert stage.loop.feed(timer(9)) == [note(NOW + 9), note(NOW), note(NOW + 1), note(NOW + 2)]
    assert stage.of("handle") == [timer(9), first, second, third]
    assert stage.loop.pump() == [note(NOW)]


def test_F_SYS_01_without_a_journal_no_entry_leaves_and_the_desk_is_told() -> None:
    told = [note(5)]
    stage = Stage(lambda item: [entry(1), note(1), entry(2)] if isinstance(item, TimerIn) else list(told))
    stage.broken = True
    assert stage.loop.feed(timer()) == [note(1), note(5), note(5)]
    assert stage.of("submit") == []
    results = [CommandResult(NOW, 7, f"e{k}", "not_sent", None, "the disk is full") for k in (1, 2)]
    assert stage.of("handle") == [timer(), *results]


def test_a_tape_is_not_told_on_without_the_entries_that_a_disk_refused() -> None:
    """A replay went on, with no trade from there on, and ended as if that were the tape's history."""
    stage = Stage(lambda _: [entry()], strict=True)
    stage.broken = True
    with pytest.raises(JournalError, match="the disk is full"):
        stage.loop.feed(timer())
    assert stage.of("submit") == []


@pytest.mark.parametrize("command", PROTECTIVE, ids=lambda command: type(command).__name__)
def test_F_SYS_01_without_a_journal_protection_goes_out_all_the_same(command: Command) -> None:
    stage = Stage(lambda item: [entry(), command] if isinstance(item, TimerIn) else [])
    stage.broken = True
    stage.loop.feed(timer())
    assert stage.of("submit") == [(command, NOW)]


def test_F_SYS_01_what_a_refused_entry_causes_is_treated_alike() -> None:
    """The Desk may answer "not sent" with commands of its own: protection leaves, a further entry does not."""
    follow = {"e1": [CloseContract("c", 7, "MNQ", "x"), entry(2)], "e2": []}
    stage = Stage(lambda item: list(follow[item.command_id]) if isinstance(item, CommandResult) else [entry(1)])
    stage.broken = True
    stage.loop.feed(timer())
    assert stage.of("submit") == [(CloseContract("c", 7, "MNQ", "x"), NOW)]
    assert [item.command_id for item in stage.of("handle")[1:]] == ["e1", "e2"]


def test_entries_leave_again_when_the_journal_is_back() -> None:
    stage = Stage(lambda item: [entry()] if isinstance(item, TimerIn) else [])
    stage.broken = True
    stage.loop.feed(timer(1))
    stage.broken = False
    stage.loop.feed(timer(2))
    assert stage.of("submit") == [(entry(), NOW + 2)]


def test_another_error_of_the_recorder_is_not_swallowed() -> None:
    stage = Stage(lambda _: [CloseContract("c", 7, "MNQ", "x")])
    stage.record = lambda *_: 1 / 0  # type: ignore[method-assign,assignment,return-value]
    with pytest.raises(ZeroDivisionError):
        stage.loop.feed(timer())
    assert stage.of("submit") == []


def test_a_conversation_without_end_is_noticed() -> None:
    answer = CommandResult(NOW, 7, "c", "accepted")
    stage = Stage(lambda _: [])
    stage.poll = lambda: [answer]  # type: ignore[method-assign]
    with pytest.raises(AssertionError, match="without end"):
        stage.loop.pump()
    assert len(stage.of("handle")) == DeskLoop.MAX_ROUNDS


commands = st.sampled_from([entry(1), *PROTECTIVE])


@given(st.lists(st.tuples(st.booleans(), st.lists(commands | st.just(note(1)), max_size=5)), max_size=6))
def test_R1_over_any_run_every_entry_that_left_was_written_first(
    plan: list[tuple[bool, list[DeskOutput]]],
) -> None:
    """Each (journal broken, outputs) is one input; written means: record returned without an error."""
    queue = [outputs for _, outputs in plan]
    stage = Stage(lambda item: queue.pop(0) if isinstance(item, TimerIn) else [])
    for number, (broken, outputs) in enumerate(plan):
        stage.log.clear()
        stage.broken = broken
        notes = stage.loop.feed(timer(number))
        sent = [command for command, _ in stage.of("submit")]  # type: ignore[misc]
        orders = [output for output in outputs if not isinstance(output, Denial)]
        expected = [order for order in orders if not (broken and isinstance(order, PlaceBracket))]
        assert sent == expected
        assert len(notes) == len(outputs) - len(orders)
        names = [name for name, _ in stage.log]
        assert "submit" not in names[: names.index("record")]
