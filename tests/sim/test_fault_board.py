"""The fault board: which event meets which fault, chance that repeats, times passed in."""

import json
import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tbot.sim.fault_board import Event, FaultBoard, Moment
from tbot.sim.fault_plan import parse_plan

S = 1_000_000_000
START = 1_000 * S


def board(*lines: dict[str, Any], seed: int = 1) -> FaultBoard:
    made = FaultBoard(seed, START)
    made.add(parse_plan([json.dumps(line) for line in lines]))
    return made


def moment(market_s: float, real_s: float | None = None) -> Moment:
    return Moment(START + round(market_s * S), market_s if real_s is None else real_s)


def request(endpoint: str = "order/place", **about: str) -> Event:
    return Event("request", {"endpoint": (endpoint,)} | {name: (value,) for name, value in about.items()})


def record(hub: str = "market", kind: str = "trade", contract: str = "mnq") -> Event:
    return Event("record", {"hub": (hub,), "kind": (kind,), "contract": (contract, "con.f.us.mnq.z26")})


def ids(found: list[Any]) -> list[str]:
    return [hit.fault.id for hit in found]


def test_after_counts_matching_events_only() -> None:
    made = board({"id": "a", "name": "ws.dup", "after": 3, "args": {"hub": "market", "kind": "quote"}})
    events = [record(kind=kind) for kind in ("quote", "trade", "quote", "trade", "quote", "quote")]
    assert [ids(made.hits(event, moment(0))) for event in events] == [[], [], [], [], ["a"], []]


def test_contracts_match_by_symbol_and_by_id_in_any_case() -> None:
    for name in ("MNQ", "CON.F.US.MNQ.Z26"):
        made = board({"name": "ws.mute", "after": 1, "args": {"contract": name}})
        assert len(made.hits(record(), moment(0))) == 1
        assert not board({"name": "ws.mute", "after": 1, "args": {"contract": "ES"}}).hits(record(), moment(0))


def test_without_for_it_lasts_one_event_or_to_the_end_as_the_catalogue_says() -> None:
    once = board({"name": "ws.dup", "after": 2})
    assert [len(once.hits(record(), moment(at))) for at in range(5)] == [0, 1, 0, 0, 0]
    stays = board({"name": "ws.latency", "after": 2, "args": {"seconds": 1}})
    assert [len(stays.hits(record(), moment(at))) for at in range(5)] == [0, 1, 1, 1, 1]


def test_for_is_real_time_or_a_count() -> None:
    timed = board({"name": "rest.hang", "after": 1, "for": 2})
    assert [len(timed.hits(request(), moment(100 * at, at))) for at in (0, 1.9, 2.0, 3)] == [1, 1, 0, 0]
    counted = board({"name": "rest.hang", "after": 1, "for": "3 events"})
    assert [len(counted.hits(request(), moment(at))) for at in range(5)] == [1, 1, 1, 0, 0]


def test_at_is_market_time_and_waits_for_the_next_event() -> None:
    made = board({"name": "rest.hang", "at": 10})
    assert not made.hits(request(), moment(9.9, 0))
    assert made.due(moment(10, 1)) == []
    assert len(made.hits(request(), moment(50, 2))) == 1
    assert not made.hits(request(), moment(51, 3))


def test_a_window_begins_at_its_time_not_at_the_first_event() -> None:
    made = board({"name": "rest.hang", "at": 10, "for": 5})
    made.due(moment(10, 100))
    assert made.active("rest.hang", 104.9)
    assert not made.hits(request(), moment(11, 105))


def test_acting_faults_are_told_once_with_their_end() -> None:
    made = board(
        {"id": "a", "name": "account.lock", "at": 1, "for": 5},
        {"id": "b", "name": "auth.expire", "at": 2},
        {"id": "c", "name": "human.trade", "after": 2},
    )
    assert made.due(moment(0.5)) == []
    (begun,) = made.due(moment(1))
    assert (begun.what, begun.hit.fault.id) == ("begin", "a")
    assert ids([change.hit for change in made.due(moment(2))]) == ["b"]
    assert made.due(moment(3)) == []
    (ended,) = made.due(moment(6))
    assert (ended.what, ended.hit.fault.id) == ("end", "a")
    assert made.due(moment(7)) == []
    assert [ids(made.hits(request(), moment(8))) for _ in range(4)] == [[], ["c"], [], []]


def test_calm_stops_all_and_tells_what_was_acting() -> None:
    made = board({"name": "market.halt", "at": 0, "for": 50}, {"name": "ws.latency", "at": 0, "args": {"seconds": 1}})
    made.due(moment(0))
    ends = made.calm(moment(1))
    assert [(change.what, change.hit.name) for change in ends] == [("end", "market.halt")]
    assert made.idle
    assert not made.hits(record(), moment(1))
    assert made.calm(moment(1)) == []


def test_watches_spares_the_others_the_question() -> None:
    made = board({"name": "ws.dup", "p": 0.1, "args": {"hub": "market"}}, {"name": "userhub.dup", "p": 0.1})
    assert made.watches("record", "market")
    assert made.watches("record", "user")
    assert not made.watches("request")
    only = board({"name": "userhub.dup", "p": 0.1})
    assert not only.watches("record", "market")
    assert not FaultBoard(1, START).watches("record", "market")


def test_chance_repeats_and_does_not_depend_on_other_faults() -> None:
    plan = {"id": "x", "name": "ws.dup", "p": 0.3}
    other = {"id": "y", "name": "ws.replay", "p": 0.5}

    def fired(*lines: dict[str, Any], seed: int = 1) -> list[bool]:
        made = board(*lines, seed=seed)
        return ["x" in ids(made.hits(record(), moment(at))) for at in range(300)]

    alone = fired(plan)
    assert alone == fired(plan) == fired(other, plan)
    assert alone != fired(plan, seed=2)
    assert 50 < sum(alone) < 130


def test_p_has_episodes_too() -> None:
    made = board({"name": "ws.freeze", "p": 0.2, "for": "5 events"})
    told = [bool(made.hits(record(), moment(at))) for at in range(500)]
    runs = "".join("x" if one else "." for one in told).split(".")
    assert all(len(run) % 5 == 0 for run in runs[:-1])
    assert sum(told) > 100


def test_state_and_log_say_what_happened() -> None:
    made = board({"id": "a", "name": "ws.dup", "after": 2, "for": "2 events"})
    for at in range(4):
        made.hits(record(), moment(at))
    (state,) = made.state(4.0)
    assert (state["id"], state["fired"], state["active"], state["seen"]) == ("a", 2, False, 3)
    assert [(entry.fault, entry.number, entry.market_ns) for entry in made.log] == [
        ("a", 1, START + S),
        ("a", 2, START + 2 * S),
    ]
    assert made.counts == {"ws.dup": 2}


_chance = st.floats(0, 1)
_plan_lines = st.lists(
    st.one_of(
        st.fixed_dictionaries(
            {"name": st.just("ws.dup"), "p": st.floats(0, 1), "for": st.sampled_from([1, "2 events"])}
        ),
        st.fixed_dictionaries({"name": st.just("rest.hang"), "after": st.integers(1, 5)}),
        st.fixed_dictionaries({"name": st.just("account.lock"), "at": st.floats(0, 20), "for": st.floats(0.1, 9)}),
        st.fixed_dictionaries({"name": st.just("human.trade"), "p": st.floats(0, 1)}),
    ),
    max_size=5,
)


@given(_plan_lines, st.integers(0, 2**32))
def test_the_same_events_give_the_same_faults(lines: list[dict[str, Any]], seed: int) -> None:
    def play() -> list[object]:
        made = board(*lines, seed=5)
        order = random.Random(seed)
        told: list[object] = []
        for step in range(40):
            told.append([(change.what, change.hit.fault.id) for change in made.due(moment(step))])
            event = request() if order.random() < 0.5 else record()
            told.append([(hit.fault.id, hit.number, hit.random.random()) for hit in made.hits(event, moment(step))])
        return told

    first = play()
    assert first == play()
    begun: list[str] = []
    for changes in first[::2]:
        assert isinstance(changes, list)
        for what, fault_id in changes:
            assert what == ("end" if fault_id in begun else "begin")
            begun = [one for one in begun if one != fault_id] + ([fault_id] if what == "begin" else [])
