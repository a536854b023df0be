"""The way into live trading: every subset of the conditions, each refusal a sentence, nothing falls back in silence."""

import itertools
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from foreign_gateway import Foreign, foreign_gateway, name_of
from patient_checks import be_patient
from sim_rig import KEY, OWNER, RunningServer, until
from tbot.commands import live as module
from tbot.commands import show
from tbot.commands.live import COUNTDOWN_S, LiveNotConfirmed, Person
from tbot.commands.run import run
from tbot.doctor import machine, versions
from tbot.doctor.findings import Check, Finding, fail, ok
from tbot.engine.settings import EngineSettings
from tbot.engine.state_dir import AccountLocks
from tbot.errors import ConfigError
from tbot.gateway.rest import OrderClient
from tbot.transport.shm import run_directory

CONDITIONS = ("asked", "pinned", "foreign", "same", "green", "confirmed")


@dataclass
class World:
    """A gateway as it is and as a simulator shows itself, a person, and what came of it."""

    home: Path
    server: RunningServer
    foreign: str
    terminal: bool = True
    typed: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)
    started: list[EngineSettings] = field(default_factory=list)

    def config(self, *accounts: tuple[int, str], more: str = "") -> Path:
        path = self.home.parent / "tbot.toml"
        tables = [
            f'[[accounts]]\nid = {number}\nname = "{name}"\nfloor_usd = 48000\n{more}' for number, name in accounts
        ]
        path.write_text('[engine]\ncontracts = ["MNQ"]\n' + "\n".join(tables))
        return path

    def call(self, *arguments: str) -> int:
        result = CliRunner().invoke(run, [*arguments, "--quiet"], standalone_mode=False)
        if result.exception is not None:
            raise result.exception
        return int(result.return_value)

    def refused(self, *arguments: str) -> str:
        """What `--live` says; nothing was started."""
        with pytest.raises(LiveNotConfirmed) as told:
            self.call("--live", *arguments)
        assert told.value.exit_code == 8
        assert self.started == []
        assert not (self.home / "live").exists()
        return str(told.value)


@pytest.fixture(scope="module")
def gateway() -> Iterator[Foreign]:
    with foreign_gateway(accounts=2) as made:
        yield made


@pytest.fixture
def world(tmp_path: Path, gateway: Foreign, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World(tmp_path / "home", gateway.server, gateway.rest)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TBOT_HOME", str(made.home))
    monkeypatch.setenv("TBOT_USERNAME", OWNER)
    monkeypatch.setenv("TBOT_API_KEY", KEY)

    def drive(supervisor: Any, *_: Any) -> int:
        made.started.append(supervisor.settings)
        return 0

    def here() -> Person:
        return Person(made.terminal, made.said.append, lambda _: made.typed.pop(0), made.waited.append)

    def no_orders(*_: Any, **__: Any) -> None:
        raise AssertionError("the launcher never makes a client that can send orders")

    be_patient(monkeypatch)
    # The packaged calendar ends; `today` has tests of its own.
    monkeypatch.setattr(module.preflight, "today", lambda *_: ok("window", "covered"))
    monkeypatch.setattr(show, "drive", drive)
    monkeypatch.setattr(module, "here", here)
    monkeypatch.setattr(OrderClient, "__init__", no_orders)
    monkeypatch.setattr(machine, "checks", lambda *_: [Check("disk", lambda: ok("disk", "room"))])
    yield made
    for settings in made.started:
        shutil.rmtree(settings.run_dir, ignore_errors=True)


def broken() -> Finding:
    return fail("disk", "no room", "free some")


def judged(world: World, held: frozenset[str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The mode of the run that came out, or the refusal."""
    names = [(1001, name_of(1001)), (1002, name_of(1002) if "same" in held else "another")]
    config = world.config(*(names if "pinned" in held else []))
    arguments = ["--gateway", world.foreign if "foreign" in held else world.server.rest, "-c", str(config)]
    level = ok("disk", "room") if "green" in held else broken()
    monkeypatch.setattr(machine, "checks", lambda *_: [Check("disk", lambda: level)])
    world.typed = [names[0][1], names[1][1] if "confirmed" in held else "y"]
    monkeypatch.setenv("TBOT_USERNAME", OWNER)
    monkeypatch.setenv("TBOT_API_KEY", KEY)
    try:
        world.call(*arguments, *(["--live"] if "asked" in held else []))
    except LiveNotConfirmed as error:
        assert world.started == []
        return str(error)
    (settings,) = world.started
    world.started.clear()
    shutil.rmtree(settings.run_dir, ignore_errors=True)
    return settings.mode


def test_F_CFG_02_I17_live_exists_when_all_conditions_hold_and_for_no_other_subset(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, int] = {}
    for chosen in itertools.product((False, True), repeat=len(CONDITIONS)):
        held = frozenset(name for name, yes in zip(CONDITIONS, chosen, strict=True) if yes)
        outcome = judged(world, held, monkeypatch)
        if "asked" not in held:
            assert outcome == ("paper" if "foreign" in held else "sim"), held
        elif len(held) == len(CONDITIONS):
            assert outcome == "live"
        else:
            assert outcome not in ("live", "paper", "sim"), held
            seen[outcome] = seen.get(outcome, 0) + 1
    assert len(seen) >= 5  # each condition has a sentence of its own


def test_live_settings_are_those_of_the_pinned_accounts(world: World) -> None:
    world.typed = [name_of(1001), f" {name_of(1002)} "]
    config = world.config((1001, name_of(1001)), (1002, name_of(1002)), more="[accounts.risk]\nmax_micros = 2\n")
    assert world.call("--live", "--gateway", world.foreign, "-c", str(config)) == 0
    (settings,) = world.started
    assert (settings.mode, settings.state_dir, settings.locks) == (
        "live", (world.home / "live").resolve(), world.home / "locks"
    )  # fmt: skip
    assert settings.confirmed == (1001, 1002)
    assert [plan.limits.max_micros for plan in settings.accounts if plan.limits is not None] == [2, 2]
    assert not settings.template_hours  # a year that the table does not cover is not traded
    assert world.waited == [1.0] * COUNTDOWN_S
    assert [line for line in world.said if line.startswith("LIVE in ")] == [
        f"LIVE in {left} s; Ctrl-C stops it" for left in (5, 4, 3, 2, 1)
    ]
    card = "\n".join(world.said)
    for words in (
        f"orders go to {world.foreign}", f"1001  {name_of(1001)}  (50K combine)",
        "simulated, may trade, balance $50,000.00",
        "$800.00 from the day's loss limit of $800.00; $2,000.00 from the loss floor of $48,000.00", "at most MNQ 2",
        "open: nothing", "Chicago", "Helsinki", "UTC", f"hash {settings.config_hash}", "on exit: flatten",
        "no paper run with these settings", "warn auto OCO: the bracket setting of the account cannot be read",
    ):  # fmt: skip
        assert words in card, words
    assert KEY not in card


def test_the_newest_paper_run_with_the_same_settings_is_on_the_card(world: World) -> None:
    world.typed = [name_of(1001)] * 2
    config = world.config((1001, name_of(1001)))
    world.call("--gateway", world.foreign, "-c", str(config))
    (world.home / "paper" / "status.json").write_text(
        f'{{"config_hash": "{world.started[0].config_hash}", "round_trips": 3, "pnl_usd": -12.5}}'
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TBOT_USERNAME", OWNER)
        patch.setenv("TBOT_API_KEY", KEY)
        world.call("--live", "--gateway", world.foreign, "-c", str(config))
    assert any("3 round trips, -12.50 USD" in line for line in world.said)


# --------------------------------------------------------------------------------------------------------- one by one
def test_live_never_goes_with_the_embedded_gateway(world: World) -> None:
    assert "the embedded one is a simulator" in world.refused("-c", str(world.config((1001, name_of(1001)))))


def test_live_needs_pins(world: World) -> None:
    assert "[[accounts]]" in world.refused("--gateway", world.foreign, "-c", str(world.config()))
    assert "[[accounts]]" in world.refused("--gateway", world.foreign)


def test_a_simulator_of_ours_is_no_live_gateway(world: World) -> None:
    config = world.config((1001, name_of(1001)))
    assert "leave --live out" in world.refused("--gateway", world.server.rest, "-c", str(config))


@pytest.mark.parametrize("typed", ["", "y", "yes", "1001", "50KTC-V2-000001-0000000"])
def test_only_the_name_itself_confirms(world: World, typed: str) -> None:
    world.typed = [typed]
    said = world.refused("--gateway", world.foreign, "-c", str(world.config((1001, name_of(1001)))))
    assert "is not the name of account 1001" in said
    assert world.waited == []


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ((), "give --confirm-live 1001 --confirm-live 1002"),
        ((1001,), "give --confirm-live 1002"),
        ((1001, 1002, 1003), "--confirm-live 1003 is not among the pinned accounts"),
        ((1001, 1002), ""),
    ],
)
def test_without_a_terminal_every_account_is_named_on_the_command_line(
    world: World, named: tuple[int, ...], said: str
) -> None:
    world.terminal = False
    config = world.config((1001, name_of(1001)), (1002, name_of(1002)))
    options = [word for number in named for word in ("--confirm-live", str(number))]
    arguments = ("--gateway", world.foreign, "-c", str(config), *options)
    if said:
        assert said in world.refused(*arguments)
    else:
        assert world.call("--live", *arguments) == 0
        assert world.started[0].mode == "live"
        assert world.waited == [1.0] * COUNTDOWN_S  # nothing skips it


def test_on_a_terminal_the_name_is_typed_whatever_the_command_line_says(world: World) -> None:
    world.typed = ["y"]
    config = world.config((1001, name_of(1001)))
    arguments = ("--gateway", world.foreign, "-c", str(config), "--confirm-live", "1001")
    assert "is not the name" in world.refused(*arguments)


def test_confirm_live_without_live_is_a_mistake(world: World) -> None:
    with pytest.raises(ConfigError, match="goes with --live"):
        world.call("--gateway", world.foreign, "--confirm-live", "1001")
    assert world.started == []


def test_F_CFG_01_another_engine_on_the_account_is_seen_before_anybody_is_asked(world: World) -> None:
    place = run_directory(None)
    held = AccountLocks(world.home.parent / "other-home", place.parent, "")
    try:
        held.take([1001])
        said = world.refused("--gateway", world.foreign, "-c", str(world.config((1001, name_of(1001)))))
        assert "another engine trades account 1001 (RC_SECOND_ENGINE)" in said
    finally:
        held.release()
        shutil.rmtree(place)


def test_leftovers_are_shown_and_do_not_stop_it(world: World) -> None:
    world.server.plan({"id": "hand", "name": "human.trade", "at": 0, "args": {"account": 1002, "contract": "MNQ"}})
    until(lambda: world.server.fired("human.trade"), "the trade")
    world.typed = [name_of(1002)]
    assert world.call("--live", "--gateway", world.foreign, "-c", str(world.config((1002, name_of(1002))))) == 0
    assert any("open: position CON.F.US.MNQ." in line for line in world.said)
    assert any(line.startswith("  warn leftovers: account 1002: position") for line in world.said)


def test_a_wrong_key_is_told_with_the_check_that_met_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TBOT_API_KEY", "wrong-key")
    said = world.refused("--gateway", world.foreign, "-c", str(world.config((1001, name_of(1001)))))
    assert said.startswith("the pre-flight is not green: login: refused: InvalidCredentials")
    assert "wrong-key" not in said


def test_F_SEC_07_a_neighbouring_version_is_on_the_card_and_goes_with_the_run(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "outside", lambda: versions.outside(version_of=lambda _: "9.9"))
    world.typed = [name_of(1001)]
    assert world.call("--live", "--gateway", world.foreign, "-c", str(world.config((1001, name_of(1001))))) == 0
    assert any(line.startswith("versions   not as tested: anyio 9.9, tested with") for line in world.said)
    assert len(world.started[0].warnings) == len(versions.pins())
