"""Learning, dollar index, news, several accounts and the report: one replay and one backtest with all of them.

Both decide alike, each part is seen in the decisions of both, and the status document shows it. The processes of a
replay are those of `tbot run` but for the feed; that its feed makes the same facts is tests/engine/test_dollar_feed.py
and test_context_feed.py.
"""

import importlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from lively_tape import MINUTE, START, lively
from lockstep_parity import LIVELY, assert_parity
from tbot.analytics.weekly_report import make_report
from tbot.backtest.context_source import ContextSource
from tbot.backtest.results import BacktestResult
from tbot.backtest.run import run_backtest
from tbot.commands.past import plan_of
from tbot.config import load
from tbot.context.news_sources import past_calendar
from tbot.domain.contracts import PRODUCTS
from tbot.storage.sources import open_sources
from tbot.storage.tape import TapeWriter, tape_meta

TRADED, LEGS = ("MNQ", "MES"), ("6E", "6J", "6B", "6C", "6S")
MINUTES = 300
SETTINGS = """
[learning]
mode = "on"
prior_outcomes = 5.0
[dxy]
filter = "prefer"
trend_min = 5
trend_fast = 2
trend_slow = 4
correlation_minutes = 10
[news]
high = "reduce"
high_before_min = 30
high_after_min = 30
[[accounts]]
id = 1001
name = "50KTC-V2-000001-00000001"
[[accounts]]
id = 1002
name = "50KTC-V2-000001-00000002"
[accounts.risk]
max_micros = 2
"""


@dataclass(frozen=True)
class Seen:
    """What both runs left."""

    status: dict[str, Any]
    replayed: dict[str, Any]  # the document of the week's report, made of the replay's journal
    direct: BacktestResult


def news_text() -> str:
    at = datetime.fromtimestamp((START + 150 * MINUTE) // 10**9, UTC)
    later = datetime.fromtimestamp((START + 900 * MINUTE) // 10**9, UTC)
    rows = [f'[[event]]\nat = {when:%Y-%m-%dT%H:%M:%SZ}\ncurrency = "USD"\ntitle = "{title}"\n'
            for when, title in ((at, "Payrolls"), (later, "Speech"))]  # fmt: skip
    return "".join(rows)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    folder = tmp_path_factory.mktemp("all")
    tape, news = folder / "all.tape", folder / "news.toml"
    symbols = (*TRADED, *LEGS)
    with TapeWriter(tape, tape_meta([PRODUCTS[symbol] for symbol in symbols], "test")) as writer:
        writer.write(lively(symbols, minutes=MINUTES))
    news.write_text(news_text())
    signals, fills = assert_parity(tape, folder, 400, SETTINGS, news)
    assert signals > 10
    assert fills > 10
    config_path = folder / "config.toml"
    config_path.write_text(LIVELY + SETTINGS)
    config = load(config_path)
    with open_sources([tape]) as source:
        facts = ContextSource(source, config.dxy, config.news, past_calendar((str(news),), folder))
        direct = run_backtest(facts, plan_of(config))
    out = folder / "out"
    made = make_report(out, folder / "reports", formats=(), zone=ZoneInfo("UTC"))
    return Seen(json.loads((out / "status.json").read_text()), made.document, direct)


def learning(seen: Seen) -> None:
    told = seen.status["learning"]
    assert (told["mode"], told["problem"]) == ("on", "")
    assert sum(row["n"] for row in seen.replayed["patterns"]["rows"]) == len(seen.direct.outcomes) > 0  # that count
    assert seen.replayed["patterns"]["outcomes"] == told["outcomes"] > len(seen.direct.outcomes)


def dollar(seen: Seen) -> None:
    told = seen.status["dxy"]
    assert (told["filter"], told["stale"], told["problem"]) == ("prefer", False, "")
    assert told["index"] > 0
    assert set(told["correlation"]) == set(TRADED)
    states = [signal.context.dollar for signal in seen.direct.signals if signal.context is not None]
    assert states
    assert all(state is not None and not state.stale for state in states[5:])
    assert {trade["dollar"] for trade in seen.replayed["trades"]} & {"with the dollar", "against the dollar", "neither"}


def news(seen: Seen) -> None:
    told = seen.status["news"]
    assert told["actions"] == dict.fromkeys(TRADED, "none")  # the payrolls are long over at the end
    assert [event["title"] for event in told["next"]] == ["Speech"]
    actions = {signal.context.news.action for signal in seen.direct.signals if signal.context and signal.context.news}
    assert actions == {"", "reduce"}
    assert "not followed" not in {trade["news"] for trade in seen.replayed["trades"]}


def accounts(seen: Seen) -> None:
    assert set(seen.status["accounts"]) == {"1001", "1002"}
    by_account = {number: {intent.signal_id for intent in seen.direct.intents if intent.account == number}
                  for number in (1001, 1002)}  # fmt: skip
    assert by_account[1001] & by_account[1002], "no signal was taken by both"
    assert max(intent.size for intent in seen.direct.intents if intent.account == 1002) <= 2
    assert {trade["account"] for trade in seen.replayed["trades"]} == {1001, 1002}


def report(seen: Seen) -> None:
    """Of the replay's journal to the cent what the backtest's table of trips says."""
    assert set(seen.status["report"]) >= {"weekly", "last_label", "last_paths", "last_failure"}
    trips = seen.direct.trips
    mine = {number: int(np.sum(trips["net_cents"][trips["account"] == number])) for number in (1001, 1002)}
    told = {int(line["label"]): round(line["net_usd"] * 100) for line in seen.replayed["groups"]["account"]}
    assert told == mine
    assert seen.replayed["figures"]["trades"] == len(trips)
    assert seen.replayed["broker"]["equal"]


PARTS: dict[str, Callable[[Seen], None]] = {
    "learning": learning, "dollar index": dollar, "news": news, "accounts": accounts, "report": report,
}  # fmt: skip


@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", PARTS)
def test_each_part_is_in_replay_backtest_and_status(part: str, seen: Seen) -> None:
    PARTS[part](seen)


# What does the work, and the modules of `tbot run`, of the replay and of the backtest that take it.
SHARED = {
    "learning": ("Ledger", ("engine.pattern_recorder", "backtest.runner")),
    "weights and outcomes": ("ContractDecider", ("engine.worker", "backtest.runner")),
    "dollar index": ("DollarIndex", ("engine.dollar_feed", "context.stream")),
    "news": ("NewsTeller", ("engine.context_feed", "context.stream")),
    "facts of past data": ("with_context", ("engine.tape_feed", "backtest.context_source")),
    "accounts": ("Desk", ("engine.desk_setup", "backtest.run")),
    "ratios": ("sharpe_ratio", ("analytics.metrics", "validation.summary")),
    "falls": ("drawdown", ("analytics.metrics", "validation.summary")),
}


@pytest.mark.parametrize("part", SHARED)
def test_one_and_the_same_code_works_in_every_mode(part: str) -> None:
    name, modules = SHARED[part]
    first, *others = [getattr(importlib.import_module(f"tbot.{module}"), name) for module in modules]
    assert all(other is first for other in others)
