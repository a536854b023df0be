"""The textual program: attaches, draws, changes with keys and size, asks before commands, tells what it was told."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, Static

import dashboard_status as ds
from dashboard_scene import busy_scene
from engine_scene import PER_MINUTE, Scene, tape
from tbot.dashboard.app import Dashboard, Outcome, Say, Verb
from tbot.dashboard.attach import LOOK_NS, Attachment, Place
from tbot.dashboard.dialogs import Ask, Help
from tbot.dashboard.rows import plain
from tbot.dashboard.shown import Choice


class World:
    """Which run there is, and a clock that stands until it is moved."""

    def __init__(self) -> None:
        self.place: Place | None = None
        self.now_ns = 0

    def find(self, present: Place | None) -> Place | None:
        return self.place

    def attachment(self) -> Attachment:
        return Attachment(self.find, lambda: self.now_ns)

    def later(self) -> None:
        self.now_ns += LOOK_NS


class FakeOperator:
    """Takes down what is asked; says and ends as told, when told."""

    def __init__(self, outcome: Outcome | Exception, *words: str) -> None:
        self.outcome, self.words = outcome, words
        self.asked: list[tuple[str, int | None]] = []
        self.said = threading.Event()
        self.go = threading.Event()

    def carry_out(self, verb: Verb, account: int | None, say: Say) -> Outcome:
        self.asked.append((verb, account))
        for word in self.words:
            say(word)
        self.said.set()
        assert self.go.wait(20)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = busy_scene(tmp_path)
    yield made
    made.close()


@pytest.fixture
def world(scene: Scene) -> World:
    made = World()
    made.place = Place(scene.run_dir, scene.state_dir)
    return made


Story = Callable[[Dashboard, Pilot[int]], Awaitable[None]]


def play(
    world: World,
    story: Story,
    operator: FakeOperator | None = None,
    size: tuple[int, int] = (150, 42),
    choice: Choice | None = None,
) -> None:
    """Run the program without a terminal and let a story happen to it."""

    async def run() -> None:
        attachment = world.attachment()
        app = Dashboard(attachment, operator, choice or Choice(), wall_ns=lambda: 0)
        try:
            async with app.run_test(size=size) as pilot:
                await story(app, pilot)
        finally:
            attachment.close()

    asyncio.run(run())


def text_of(app: Dashboard) -> str:
    return plain(app.picture._rows).replace("\u00a0", " ")


def dialog_text(app: Dashboard) -> str:
    return "\n".join(str(part.render()) for part in app.screen.query(Static))


async def until(pilot: Pilot[int], condition: Callable[[], bool]) -> None:
    """Let the program run until something is so; the suite's time limit ends what never comes."""
    while not condition():
        await pilot.pause(0.01)


# ------------------------------------------------------------------------------------------------------------- looking
@pytest.mark.parametrize("size", [(80, 24), (150, 42), (40, 12)])
def test_the_terminal_gets_the_picture(world: World, size: tuple[int, int]) -> None:
    """What textual would send, cell by cell, is what the layout made."""

    async def story(app: Dashboard, pilot: Pilot[int]) -> None:
        await pilot.pause()
        lines = ["".join(segment.text for segment in app.picture.render_line(y)) for y in range(size[1])]
        assert [line.rstrip() for line in lines] == plain(app.picture._rows).split("\n")
        assert {len(line) for line in lines} == {size[0]}
        svg = app.export_screenshot()
        assert "PAPER" in svg
        assert "24955.50" in svg

    play(world, story, size=size)


def test_a_resize_is_drawn_at_once(world: World) -> None:
    async def story(app: Dashboard, pilot: Pilot[int]) -> None:
        assert "─ Risk" in text_of(app)
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        assert "─ Risk" not in text_of(app)
        assert len(app.picture._rows) == 24
        await pilot.resize_terminal(200, 60)
        await pilot.pause()
        assert "─ Risk" in text_of(app)
        assert len(app.picture._rows) == 60

    play(world, story)


def test_only_rows_that_changed_are_drawn_again(world: World, scene: Scene) -> None:
    async def story(app: Dashboard, pilot: Pilot[int]) -> None:
        drawn: list[int] = []
        plain_line = app.picture.render_line
        app.picture.render_line = lambda y: (drawn.append(y), plain_line(y))[1]  # type: ignore[method-assign]
        await pilot.pause()
        drawn.clear()
        app.draw()
        await pilot.pause()
        assert drawn == []
        scene.contracts["MNQ"].trade(tape("MNQ", 301)[300 * 2 * PER_MINUTE :], show=False)
        app.draw()
        await pilot.pause()
        assert 0 < len(set(drawn)) < 42

    play(world, story)


def test_it_waits_for_an_engine_and_survives_its_end_and_restart(world: World, scene: Scene, tmp_path: Path) -> None:
    first, world.place = world.place, None

    async def story(app: Dashboard, pilot: Pilot[int]) -> None:
        assert "no engine runs, waiting for one" in text_of(app)
        world.place = first
        app.draw()
        assert "waiting" in text_of(app), "a look a second"
        world.later()
        app.draw()
        before = text_of(app)
        assert "24955.50  ACTIVE" in before
        world.place = None
        world.later()
        app.draw()
        assert "24955.50  engine stopped, waiting for the next one" in text_of(app)
        assert "● feed" in before
        assert "59/s" in before
        assert "○ feed        gone" in text_of(app)
        assert "/s" not in text_of(app), "a rate is of now or of nothing"
        (tmp_path / "again").mkdir()
        second = busy_scene(tmp_path / "again", badge="DEMO")
        world.place = Place(second.run_dir, second.state_dir)
        world.later()
        app.draw()
        assert text_of(app).startswith(" DEMO  MNQ 1m  24955.50  ACTIVE")
        second.close()

    play(world, story)


def test_the_last_words_of_an_engine_are_its_end(world: World, scene: Scene) -> None:
    async def story(app: Dashboard, pilot: Pilot[int]) -> None:
        scene.write_status(**ds.status(scene.now_ns, ended=True, state="STOPPED"))
        app.draw()
        assert "engine stopped" in text_of(app)
        world.later()
        app.draw()
        assert "engine stopped" in text_of(app), "its folder is still there for a moment"

    play(world, story)


def test_a_contract_that_the_run_does_not_trade_is_said_and_waited_for(world: World, tmp_path: Path) -> None:
    """`--wait --contract NQ`: the engine that comes trades MNQ and ES, the next one NQ as well."""
    first, world.place = world.place, None

    async def story(app: Dashboard, pilot: Pilot[int]) -> None:
        world.place = first
        world.later()
        app.draw()
        assert text_of(app).splitlines()[0].startswith(" PAPER  MNQ 1m")
        assert text_of(app).splitlines()[2] == " ! NQ is not traded by this run; showing MNQ"
        (tmp_path / "again").mkdir()
        second = busy_scene(tmp_path / "again", contracts={name: ds.contract() for name in ("MNQ", "NQ")})
        world.place = Place(second.run_dir, second.state_dir)
        world.later()
        app.draw()
        assert text_of(app).startswith(" PAPER  NQ 1m")
        assert "not traded" not in text_of(app)
        second.close()

    play(world, story, choice=Choice(symbol="NQ"))


@pytest.mark.parametrize("size", [(80, 24), (150, 42)])
def test_what_a_key_chooses_ends_the_notice(world: World, size: tuple[int, int]) -> None:
    words = " ! NQ is not traded by this run; showing MNQ; account 7 is not traded by this run; showing"

    async def story(app: Dashboard, pilot: Pilot[int]) -> None:
        lines = text_of(app).splitlines()
        assert words[: size[0] - 1] in lines[2]
        assert len(lines) == size[1]
        await pilot.press("c")
        assert "NQ is not traded" not in text_of(app)
        assert " ! account 7 is not traded by this run" in text_of(app)
        await pilot.press("a")
        assert "not traded" not in text_of(app)
        assert text_of(app).startswith(" PAPER  ES 1m")

    play(world, story, size=size, choice=Choice(symbol="NQ", account="7"))


# ---------------------------------------------------------------------------------------------------------------- keys
@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        ("1", "MNQ 1m "), ("2", "MNQ 5m "), ("3", "MNQ 15m "), ("4", "MNQ 30m "), ("5", "MNQ 1h "), ("c", "ES 1m "),
        ("cc", "MNQ 1m "), ("C", "ES 1m "), ("zzzz", "OB"), ("v", "Events"),
    ],
)  # fmt: skip
def test_keys(world: World, keys: str, wanted: str) -> None:
    async def story(app: Dashboard, pilot: Pilot[int]) -> None:
        await pilot.press(*keys)
        assert wanted in text_of(app)

    play(world, story)


def test_zones_are_chosen_with_z(world: World) -> None:
    async def story(app: Dashboard, pilot: Pilot[int]) -> None:
        seen = []
        for _ in range(5):
            text = text_of(app)
            seen.append(("OB 90" in text, "FVG" in text, "┈┈" in text))
            await pilot.press("z")
        assert seen == [(True, False, False), (True, True, False), (True, False, True), (False,) * 3, seen[0]]

    play(world, story)


def test_panels_are_walked_through_on_a_narrow_screen(world: World) -> None:
    async def story(app: Dashboard, pilot: Pilot[int]) -> None:
        seen = []
        for _ in range(3):
            await pilot.press("v")
            seen.append(next(name for name in ("Signals", "Risk", "Position") if f"─ {name} ─" in text_of(app)))
        assert seen == ["Signals", "Risk", "Position"]
        await pilot.press("V")
        assert "─ Risk ─" in text_of(app)

    play(world, story, size=(80, 24))


def test_accounts_are_switched(world: World, scene: Scene) -> None:
    accounts = {"7": ds.account(name="FIRST"), "8": ds.account(name="SECOND", state="LOCKED", day_pnl_cents=-80_125)}
    scene.write_status(**ds.status(scene.now_ns, accounts=accounts))

    async def story(app: Dashboard, pilot: Pilot[int]) -> None:
        assert "FIRST" in text_of(app)
        await pilot.press("a")
        assert "SECOND LOCKED  day −$801.25" in text_of(app)
        await pilot.press("a")
        assert "FIRST" in text_of(app)

    play(world, story)


def test_help_tells_every_key(world: World) -> None:
    async def story(app: Dashboard, pilot: Pilot[int]) -> None:
        await pilot.press("?")
        assert isinstance(app.screen, Help)
        for key in ("c", "a", "z", "v", "p", "r", "X", "K", "q"):
            assert f" {key} " in dialog_text(app), key
        await pilot.press("escape")
        assert not isinstance(app.screen, Help)

    play(world, story)


def test_q_leaves_and_the_engine_is_not_asked_anything(world: World) -> None:
    operator = FakeOperator(Outcome(True, ""))

    async def story(app: Dashboard, pilot: Pilot[int]) -> None:
        await pilot.press("q")
        assert app.return_value == 0

    play(world, story, operator)
    assert operator.asked == []


# ------------------------------------------------------------------------------------------------------------ commands
@pytest.mark.parametrize(("key", "typed"), [("X", "FLATTEN"), ("K", "KILL")])
def test_kill_and_flatten_want_their_word_typed(world: World, key: str, typed: str) -> None:
    operator = FakeOperator(Outcome(True, "flat: proven by the broker's own lists"), "account 1001: closing")

    async def story(app: Dashboard, pilot: Pilot[int]) -> None:
        await pilot.press(key)
        assert isinstance(app.screen, Ask)
        await pilot.press("enter")
        await pilot.press(*typed.lower(), "enter")
        assert operator.asked == []
        await until(pilot, lambda: f"nothing is done: the word is {typed}, in capitals" in dialog_text(app))
        field = app.screen.query_one(Input)
        field.value = ""
        await pilot.press(*typed, "enter")
        await until(pilot, operator.said.is_set)
        await until(pilot, lambda: "closing" in dialog_text(app))
        assert "flat" not in dialog_text(app).lower().replace("flatten", ""), "nothing is proven yet"
        operator.go.set()
        await until(pilot, lambda: "✓ flat: proven by the broker's own lists" in dialog_text(app))
        await pilot.press("escape")
        assert not isinstance(app.screen, Ask)

    play(world, story, operator)
    assert operator.asked == [("flatten" if key == "X" else "kill", None)]


def test_what_is_not_proven_is_never_called_flat(world: World) -> None:
    operator = FakeOperator(Outcome(False, "NOT PROVEN FLAT: not in time; look at the account on the platform NOW"))

    async def story(app: Dashboard, pilot: Pilot[int]) -> None:
        await pilot.press("K")
        await pilot.press(*"KILL", "enter")
        operator.go.set()
        await until(pilot, lambda: "✗ NOT PROVEN FLAT" in dialog_text(app))
        assert "✓" not in dialog_text(app)

    play(world, story, operator)


def test_a_command_that_breaks_proves_nothing(world: World) -> None:
    operator = FakeOperator(RuntimeError("wire cut"))

    async def story(app: Dashboard, pilot: Pilot[int]) -> None:
        await pilot.press("K")
        await pilot.press(*"KILL", "enter")
        operator.go.set()
        await until(pilot, lambda: "✗ kill failed (RuntimeError: wire cut); nothing is proven" in dialog_text(app))

    play(world, story, operator)


@pytest.mark.parametrize(("key", "verb"), [("p", "pause"), ("r", "resume")])
def test_pause_and_resume_ask_for_enter(world: World, key: str, verb: str) -> None:
    operator = FakeOperator(Outcome(True, f"{verb}: acknowledged by the engine"))
    operator.go.set()

    async def story(app: Dashboard, pilot: Pilot[int]) -> None:
        await pilot.press(key, "escape")
        assert operator.asked == []
        await pilot.press(key, "enter")
        await until(pilot, lambda: f"✓ {verb}: acknowledged" in dialog_text(app))
        await pilot.press("enter")
        assert operator.asked == [(verb, None)], "once"

    play(world, story, operator)


def test_of_several_accounts_the_one_that_is_shown_is_meant(world: World, scene: Scene) -> None:
    scene.write_status(**ds.status(scene.now_ns, accounts={"7": ds.account(name="A"), "8": ds.account(name="B")}))
    operator = FakeOperator(Outcome(True, "done"))
    operator.go.set()

    async def story(app: Dashboard, pilot: Pilot[int]) -> None:
        await pilot.press("a", "p")
        assert "Account B." in dialog_text(app)
        await pilot.press("enter")
        await until(pilot, lambda: "✓ done" in dialog_text(app))

    play(world, story, operator)
    assert operator.asked == [("pause", 8)]


def test_a_hidden_command_goes_on_and_its_end_is_told(world: World) -> None:
    operator = FakeOperator(Outcome(False, "NOT PROVEN FLAT: it went away"))

    async def story(app: Dashboard, pilot: Pilot[int]) -> None:
        await pilot.press("K")
        await pilot.press(*"KILL", "enter")
        await until(pilot, operator.said.is_set)
        await pilot.press("escape")
        await pilot.press("K")
        assert not isinstance(app.screen, Ask), "one at a time"
        operator.go.set()
        await until(pilot, lambda: any("NOT PROVEN FLAT" in note.message for note in app._notifications))
        await until(pilot, lambda: not app.busy)

    play(world, story, operator)
    assert len(operator.asked) == 1


def test_without_an_engine_nothing_is_asked(world: World) -> None:
    operator, world.place = FakeOperator(Outcome(True, "")), None

    async def story(app: Dashboard, pilot: Pilot[int]) -> None:
        for key in "prXK":
            await pilot.press(key)
            assert not isinstance(app.screen, Ask)
        assert any("tbot kill" in note.message for note in app._notifications)

    play(world, story, operator)
    assert operator.asked == []
