"""What the status of a replay says of news and the dollar index."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from status_rig import settings
from tbot.context.dxy import LEG_IDS
from tbot.context.news import Calendar, NewsEvent
from tbot.context.news_windows import Told
from tbot.context.stream import context_ticks
from tbot.domain.context import CORRELATION_SCALE, INDEX_SCALE, DollarState, NewsState
from tbot.domain.contracts import PRODUCTS
from tbot.engine.tape_facts import TapeFacts
from tbot.strategy.dollar import DollarSettings
from tbot.strategy.facts import MAX_AGE_NS
from tbot_ext.records import TICK_DTYPE

S = 1_000_000_000
NOW = 1_795_185_000 * S
MNQ = PRODUCTS["MNQ"].contract_id


def facts(tmp_path: Path, on_tape: set[int] | frozenset[int] = LEG_IDS, **more: Any) -> TapeFacts:
    follow = more.pop("follow", False)
    told = settings(tmp_path, **more)
    strategy = replace(told.strategy, dollar=DollarSettings(follow=follow, filter="prefer" if follow else "off"))
    return TapeFacts(replace(told, strategy=strategy), set(on_tape))


def plain(at_ns: int) -> np.ndarray:
    """A record that tells of no fact."""
    record = np.zeros(1, TICK_DTYPE)
    record["contract_id"], record["exch_ns"] = MNQ, at_ns
    return record


def test_nothing_is_shown_where_nothing_is_followed_and_told(tmp_path: Path) -> None:
    one = facts(tmp_path)
    assert one.status() == {"news": None, "dxy": None}
    one.take(plain(NOW))
    assert one.status() == {"news": None, "dxy": None}


def test_the_index_as_it_was_told_last(tmp_path: Path) -> None:
    one = facts(tmp_path, follow=True)
    falling = DollarState(-1, 98 * INDEX_SCALE, NOW + 60 * S, -CORRELATION_SCALE // 2)
    states = (DollarState(1, 99 * INDEX_SCALE, NOW), falling)
    one.take(context_ticks([Told(state.minute_ns, MNQ, state.record()) for state in states]))
    one.take(plain(NOW + 70 * S))
    told = one.status()["dxy"]
    assert (told["index"], told["trend"], told["age_s"], told["stale"]) == (98.0, "falling", 10, False)
    assert (told["filter"], told["correlation"], told["problem"]) == ("prefer", {"MNQ": -0.5}, "")
    one.take(plain(NOW + 61 * S + MAX_AGE_NS))
    assert one.status()["dxy"]["stale"], "it stopped coming"


def test_a_trend_that_this_version_does_not_know_ends_no_replay(tmp_path: Path) -> None:
    one = facts(tmp_path, follow=True)
    one.take(context_ticks([Told(NOW, MNQ, DollarState(5, 99 * INDEX_SCALE, NOW).record())]))
    told = one.status()["dxy"]
    assert (told["index"], told["trend"]) == (99.0, "none")


def test_a_tape_without_all_of_the_futures_says_which(tmp_path: Path) -> None:
    one = facts(tmp_path, on_tape=LEG_IDS - {PRODUCTS["6S"].contract_id, PRODUCTS["6C"].contract_id}, follow=True)
    one.take(plain(NOW))
    told = one.status()["dxy"]
    assert (told["index"], told["stale"], told["problem"]) == (None, True, "the tape lacks 6C, 6S")


def test_news_of_the_tape_itself_and_of_a_calendar(tmp_path: Path) -> None:
    block = NewsState(NOW, NOW + 600 * S, "block", event_ns=NOW + 300 * S, impact="High")
    one = facts(tmp_path)
    one.take(context_ticks([Told(NOW, MNQ, block.record(0))]))
    assert one.status()["news"] == {
        "stale": False, "age_s": None, "problems": [], "actions": {"MNQ": "block"}, "next": [],
    }  # fmt: skip
    event = NewsEvent(NOW + 300 * S, "USD", "High", "CPI", "a.ics")
    calendar = Calendar((event,), problems=("a.ics cannot be read",))
    two = facts(tmp_path, calendar=calendar)
    two.take(plain(NOW))
    told = two.status()["news"]
    assert [(one["title"], one["impact"]) for one in told["next"]] == [("CPI", "High")]
    assert told["problems"] == ["a.ics cannot be read"]
    two.take(plain(NOW + 301 * S))
    assert two.status()["news"]["next"] == []
