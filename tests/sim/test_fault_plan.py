"""Fault plans: the catalogue against the failure model's names, strict reading, and sentences that name the line."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbot.errors import ConfigError
from tbot.sim.fault_catalogue import CATALOGUE, KINDS
from tbot.sim.fault_kinds import REQUIRED
from tbot.sim.fault_plan import Fault, load_plan, parse_plan

# Every gateway-side inject name of section 5 of the failure model, in its order.
INJECT_NAMES = [
    "ws.drop",
    "ws.blackhole",
    "ws.mute",
    "ws.handshake",
    "ws.latency",
    "ws.jitter",
    "ws.bandwidth",
    "ws.slice",
    "ws.dup",
    "ws.reorder",
    "ws.replay",
    "userhub.drop",
    "userhub.mute",
    "userhub.blackhole",
    "userhub.reorder",
    "userhub.dup",
    "userhub.withhold",
    "userhub.logout",
    "auth.expire",
    "auth.rotate",
    "auth.lifetime",
    "auth.refuse",
    "rest.status",
    "rest.html",
    "rest.drip",
    "rest.hang",
    "rest.close_after_headers",
    "order.place",
    "order.cancel",
    "order.modify",
    "position.close",
    "position.partial_close",
    "order.reject",
    "order.partial",
    "bracket.drop",
    "bracket.reject",
    "bracket.wrong_size",
    "bracket.cancel_later",
    "bracket.no_oco",
    "order.orphan",
    "fill.slip",
    "market.gap",
    "order.cancel_race",
    "account.mutate_position",
    "human.trade",
    "human.cancel",
    "human.flatten",
    "account.lock",
    "account.liquidate",
    "account.swap",
    "rest.stale_read",
    "market.drift_to_loss",
    "market.halt",
    "contract.roll",
    "contract.deactivate",
    "ws.corrupt",
    "history.alter",
    "history.holes",
]
# Section 15 of the gateway reference and the answers of F-API-06, F-DAT-01 and F-NET-10 that have no name there.
FURTHER_NAMES = [
    "ws.freeze",
    "ws.stall",
    "ws.malformed",
    "userhub.delay",
    "userhub.shuffle",
    "userhub.text_ids",
    "userhub.bare",
    "userhub.snapshot",
    "auth.close_on_expiry",
    "rest.reset",
    "rest.body",
    "rest.latency",
    "rest.empty_live",
]


def line(**members: Any) -> str:
    return json.dumps({"name": "ws.drop", "at": 1} | members)


@pytest.mark.parametrize("name", INJECT_NAMES + FURTHER_NAMES)
def test_every_inject_name_of_the_failure_model_is_in_the_catalogue(name: str) -> None:
    assert name in CATALOGUE


def test_the_catalogue_is_consistent() -> None:
    assert len(CATALOGUE) == len(KINDS)
    for kind in KINDS:
        assert kind.about.endswith(".")
        names = [arg.name for arg in kind.args]
        assert len(set(names)) == len(names), kind.name
        for arg in kind.args:
            if arg.choices and arg.default is not REQUIRED:
                assert arg.default in arg.choices, (kind.name, arg.name)


def test_a_line_with_defaults_and_comments() -> None:
    lines = ["# a plan", "", line(at=2.5, args={"hub": "market"}), line(id="x", at="2026-11-20T15:00:00Z")]
    first, second = parse_plan(lines)
    assert (first.id, first.at_s, first.args) == ("f3", 2.5, {"hub": "market", "mode": "rst"})
    assert (second.id, second.at_ns, second.at_s) == ("x", 1_795_186_800_000_000_000, None)


def test_any_is_what_the_lists_call_an_empty_filter() -> None:
    (fault,) = parse_plan([line(args={"hub": "any"})])
    assert fault.args["hub"] == ""


def test_for_is_seconds_or_a_count_of_events_and_n_is_such_a_count() -> None:
    faults = parse_plan(
        [
            '{"name":"ws.dup","after":3,"for":2.5}',
            '{"name":"ws.dup","after":3,"for":"4 events"}',
            '{"name":"rest.status","p":0.5,"args":{"status":429,"n":7}}',
            '{"name":"rest.status","p":0.5,"for":1,"args":{"status":429,"n":7}}',
        ]
    )
    assert [(fault.seconds, fault.events) for fault in faults] == [(2.5, None), (None, 4), (None, 7), (1.0, None)]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{", "it is no JSON (Expecting property name"),
        ("[]", "it must be an object"),
        ('{"name":"ws.drop","name":"ws.drop","at":1}', "'name' stands there twice"),
        ('{"name":"ws.drop","at":NaN}', "NaN is no JSON"),
        ("[" * 60_000, "nested too deeply"),
        (line(whenever=3), "'whenever' is unknown; allowed are id, name, at, after, p, for, args"),
        (line(name="ws.dorp"), "there is no fault 'ws.dorp', did you mean ws.drop"),
        (line(name=3), "name must be the text"),
        ('{"name":"ws.drop"}', "exactly one of at, after and p, not none"),
        (line(p=0.5), "exactly one of at, after and p, not at and p"),
        (line(at=-1), "at must be seconds"),
        (line(at="soon"), "at must be seconds"),
        (line(at=True), "at must be seconds"),
        ('{"name":"ws.drop","after":0}', "after must be a whole number"),
        ('{"name":"ws.drop","after":1.5}', "after must be a whole number"),
        ('{"name":"ws.drop","p":1.5}', "p must be a probability"),
        (line(**{"for": 0}), "for must be a number of seconds"),
        (line(**{"for": "three events"}), "for must be a number of seconds"),
        (line(**{"for": "0 events"}), "for must be a number of seconds"),
        (line(**{"for": "3 events"}), "ws.drop happens at once; its for is a number of seconds"),
        (line(args=[]), "args must be an object"),
        (line(args={"hob": "market"}), "ws.drop has no argument 'hob'; allowed are hub, mode"),
        (line(args={"hub": "other"}), 'hub of ws.drop must be one of "", market, user'),
        (line(args={"mode": 3}), "mode of ws.drop must be one of rst, fin"),
        (line(name="ws.latency"), "ws.latency needs the argument seconds (a number of at least 0)"),
        (line(name="ws.latency", args={"seconds": True}), "seconds of ws.latency must be a number of at least 0"),
        (line(name="ws.latency", args={"seconds": -1}), "seconds of ws.latency must be a number of at least 0"),
        (line(name="auth.expire", args={"x": 1}), "auth.expire has no argument 'x'; it takes none"),
        (line(name="order.partial", args={"sizes": [0]}), "sizes of order.partial must be a list of whole numbers"),
        (line(name="order.partial", args={"sizes": 1}), "sizes of order.partial must be a list of whole numbers"),
        (line(id=""), "id must be a text"),
        (line(id=5), "id must be a text"),
    ],
)
def test_mistakes_name_the_line_and_what_is_allowed(text: str, what: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_plan(["# one", line(), text])
    assert str(refused.value).startswith("line 3 of the fault plan: ")
    assert what in str(refused.value)
    assert refused.value.exit_code == 3


def test_ids_are_unique_also_among_those_already_planned() -> None:
    with pytest.raises(ConfigError, match="'a' is already in use"):
        parse_plan([line(id="a")], taken=["a"])
    assert parse_plan([line()], taken=["f1"])[0].id == "f1'"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_plan(tmp_path / "none")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="it is no UTF-8 text"):
        load_plan(tmp_path / "binary")
    (tmp_path / "good").write_text(line() + "\n")
    assert load_plan(tmp_path / "good")[0].name == "ws.drop"


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_names = st.sampled_from(sorted(CATALOGUE)) | st.text(max_size=10)
_lines = st.fixed_dictionaries(
    {"name": _names},
    optional={"id": _json, "at": _json, "after": _json, "p": _json, "for": _json, "args": _json, "other": _json},
).map(json.dumps)


@given(st.lists(_lines | st.text(max_size=40), max_size=4))
def test_whatever_a_plan_says_it_is_read_or_refused_in_one_sentence(lines: list[str]) -> None:
    faults: list[Fault] = []
    text = "line "
    try:
        faults = parse_plan(lines)
    except ConfigError as error:
        text = str(error)
    assert text.startswith("line ")
    assert "\n" not in text
    assert all(fault.args.keys() == {arg.name for arg in fault.kind.args} for fault in faults)
