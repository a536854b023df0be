"""The watchdog in virtual time: what it asks for, second by second, in every kind of silence."""

import itertools
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbot.engine.watchdog import MINUTE_NS, NS_PER_S, Action, AskHistory, QuoteWatchdog, Reconnect, Resubscribe

START_NS = 1_795_186_800 * NS_PER_S  # market time at second 0: a whole minute
BOOT_NS = 5_000 * NS_PER_S


@dataclass
class World:
    """Contracts that get data at given seconds, a history that answers, and a connection that can be replaced."""

    flows: dict[str, set[int]]  # contract -> seconds at which data comes; empty: never
    newest: dict[int, tuple[int, ...] | None] = field(default_factory=dict)  # second -> newest bar from then on
    closed: frozenset[str] = frozenset()
    watchdog: QuoteWatchdog = field(default_factory=QuoteWatchdog)
    done: list[tuple[int, Action]] = field(default_factory=list)
    last: dict[str, int] = field(default_factory=dict)

    def run(self, seconds: range) -> list[tuple[int, Action]]:
        """Look every second; answer questions at once; a reconnection takes a second."""
        if seconds.start == 0:
            self.watchdog.connected(BOOT_NS)
        for second in seconds:
            now_ns = BOOT_NS + second * NS_PER_S
            for contract, flow in self.flows.items():
                if second in flow:
                    self.last[contract] = second
            ages = {c: (second - self.last[c]) * NS_PER_S if c in self.last else None for c in self.flows}
            for action in self.watchdog.look(now_ns, ages, self.flows.keys() - self.closed):
                self.done.append((second, action))
                if isinstance(action, AskHistory):
                    data_ns = START_NS + self.last.get(action.contract, 0) * NS_PER_S
                    self.watchdog.history(now_ns, action.contract, self._bar(second), data_ns)
                elif isinstance(action, Reconnect):
                    self.watchdog.lost()
                    self.watchdog.connected(now_ns + NS_PER_S)
        return self.done

    def _bar(self, second: int) -> tuple[int, ...] | None:
        known = [at for at in self.newest if at <= second]
        return self.newest[max(known)] if known else ()


ALWAYS = set(range(100_000))
OLD_BAR = (START_NS, 7, 100)


def test_while_data_comes_nothing_is_done() -> None:
    world = World({"MNQ": ALWAYS, "ES": {9 * n for n in range(400)}})
    assert world.run(range(3600)) == []
    assert world.watchdog.states == {"MNQ": "OK", "ES": "OK"}


def test_F_NET_03_one_silent_contract_is_subscribed_anew_at_10_s_and_costs_the_connection_after_20_s() -> None:
    goes_on = {second: (START_NS + second // 60 * MINUTE_NS, 50 + second, 100) for second in range(300)}
    world = World({"MNQ": ALWAYS, "ES": set(range(6))}, goes_on)
    done = world.run(range(26))
    assert done[0] == (15, Resubscribe("ES"))
    assert done[1] == (25, AskHistory("ES"))
    assert world.watchdog.states == {"MNQ": "OK", "ES": "STALE"}
    # The forming bar is of the minute of the last data, so it takes a second look to see that it grows.
    done = world.run(range(26, 40))
    assert done[2] == (35, AskHistory("ES"))
    assert done[3] == (36, Reconnect("no data for ES although its history goes on"))


def test_F_NET_03_a_bar_behind_the_last_data_is_proof_at_the_first_look() -> None:
    later = {0: (START_NS + MINUTE_NS, 5, 100)}
    world = World({"MNQ": ALWAYS, "ES": set(range(50))}, later)
    done = world.run(range(72))
    assert done == [
        (59, Resubscribe("ES")),
        (69, AskHistory("ES")),
        (70, Reconnect("no data for ES although its history goes on")),
    ]


def test_F_NET_03_resubscribing_is_enough_when_data_comes_again() -> None:
    world = World({"MNQ": ALWAYS, "ES": set(range(6)) | set(range(17, 4000))}, {0: (START_NS + MINUTE_NS, 5)})
    assert world.run(range(3600)) == [(15, Resubscribe("ES"))]


def test_F_NET_03_a_frozen_hub_is_left_as_soon_as_history_proves_it() -> None:
    """The silent freeze: all contracts at once, pings go on, history is fresh."""
    world = World({"MNQ": set(range(55)), "ES": set(range(55))}, {60: (START_NS + MINUTE_NS, 12, 100)})
    done = world.run(range(120))
    assert done[:2] == [
        (64, AskHistory("ES")),
        (65, Reconnect("no data for ES although its history goes on")),
    ]
    # The next connection is frozen as well: it is given its 10 s, then the same again.
    assert [action for _, action in done[2:4]] == [AskHistory("ES"), Reconnect(done[1][1].reason)]
    assert all(not isinstance(action, Resubscribe) for _, action in done)


def test_a_quiet_night_costs_no_connection_and_fewer_and_fewer_questions() -> None:
    world = World({"MNQ": set(range(5)), "ES": set(range(5))}, {0: OLD_BAR})
    done = world.run(range(3600))
    assert not [action for _, action in done if isinstance(action, Reconnect)]
    at = [second for second, _ in done]
    assert at[:5] == [14, 24, 44, 84, 164]
    assert {later - earlier for earlier, later in itertools.pairwise(at[5:])} == {300}


def test_a_quiet_contract_beside_busy_ones_costs_no_connection_either() -> None:
    world = World({"MNQ": ALWAYS, "MGC": set(range(5))}, {0: OLD_BAR})
    done = world.run(range(3600))
    assert [action for _, action in done if isinstance(action, Resubscribe)] == [Resubscribe("MGC")]
    assert not [action for _, action in done if isinstance(action, Reconnect)]
    assert len(done) < 20


def test_bars_without_volume_are_no_proof() -> None:
    """A gateway may make a bar for every minute, traded or not."""
    empty = {second: (START_NS + second * NS_PER_S // MINUTE_NS * MINUTE_NS, 0, 100) for second in range(3600)}
    world = World({"MNQ": set(range(5))}, empty)
    assert not [action for _, action in world.run(range(3600)) if isinstance(action, Reconnect)]


def test_history_that_does_not_answer_lets_the_connection_go_but_never_in_a_loop() -> None:
    world = World({"MNQ": set(range(5)), "ES": set(range(5))}, {0: None})
    done = world.run(range(3600))
    reconnects = [second for second, action in done if isinstance(action, Reconnect)]
    assert reconnects[0] == 25
    assert len(reconnects) <= 8
    gaps = [later - earlier for earlier, later in itertools.pairwise(reconnects)]
    assert gaps == sorted(gaps)


def test_data_that_was_on_its_way_saves_the_connection() -> None:
    """History showed a trade that arrived within the second after."""
    world = World({"MNQ": set(range(5)) | set(range(75, 4000))}, {60: (START_NS + MINUTE_NS, 1, 100)})
    world.newest[0] = OLD_BAR
    world.run(range(74))
    world.watchdog._silent["MNQ"].next_ns = 0  # the look happens to come at this very moment
    assert not [action for _, action in world.run(range(74, 200)) if isinstance(action, Reconnect)]
    assert any(isinstance(action, AskHistory) and second == 74 for second, action in world.done)


def test_closed_markets_may_be_silent() -> None:
    world = World({"MNQ": set(range(5)), "ES": set()}, closed=frozenset({"MNQ", "ES"}))
    assert world.run(range(7200)) == []
    assert world.watchdog.states == {"MNQ": "CLOSED", "ES": "CLOSED"}


def test_without_a_connection_nothing_is_asked_and_nothing_is_ok() -> None:
    world = World({"MNQ": set(range(5))})
    world.run(range(5))
    world.watchdog.lost()
    assert world.watchdog.states == {"MNQ": "STALE"}
    assert world.run(range(5, 500)) == []


def test_a_contract_that_never_had_data_is_given_its_time_first() -> None:
    world = World({"MNQ": ALWAYS, "ES": set()}, {0: (START_NS + MINUTE_NS, 3)})
    done = world.run(range(22))
    assert [second for second, _ in done] == [10, 20, 21]
    assert isinstance(done[-1][1], Reconnect)


def test_a_contract_that_is_no_longer_watched_is_forgotten() -> None:
    world = World({"MNQ": ALWAYS, "ES": set(range(5))})
    world.run(range(20))
    del world.flows["ES"]
    world.run(range(20, 200))
    assert world.watchdog.states == {"MNQ": "OK"}
    assert world.watchdog._silent == {}


@pytest.mark.parametrize("speed", [1, 20, 200])
def test_thresholds_are_real_time_whatever_the_speed_of_the_market(speed: int) -> None:
    """The caller divides; a market at 200 times the speed must not look dead after 50 ms."""
    watchdog = QuoteWatchdog()
    watchdog.connected(0)
    market_age = 9 * NS_PER_S * speed
    assert watchdog.look(60 * NS_PER_S, {"MNQ": market_age // speed, "ES": 0}, {"MNQ", "ES"}) == []
    assert watchdog.states["MNQ"] == "OK"


@given(st.lists(st.integers(0, 400), max_size=60), st.lists(st.integers(0, 400), max_size=60))
def test_whatever_comes_when_history_stands_still_the_connection_stays(one: list[int], two: list[int]) -> None:
    world = World({"MNQ": set(one), "ES": set(two)}, {0: OLD_BAR})
    for second, action in world.run(range(401)):
        assert isinstance(action, Resubscribe | AskHistory)
        before = {at for at in world.flows[action.contract] if at <= second}
        assert second - max(before, default=0) >= 10  # nobody is asked about a contract that has data
