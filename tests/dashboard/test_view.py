"""The live view: everything a trader needs stands on it, at every width, without a colour being needed."""

import io
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from rich.console import Console

from tbot.dashboard.view import duration, event_line, money, newest, render
from tbot.domain.process_messages import EngineEvent

HELSINKI = ZoneInfo("Europe/Helsinki")
NOW_NS = 1_763_649_000_000_000_000  # 2025-11-20 14:30 UTC


def contract(**changes: Any) -> dict[str, Any]:
    base = {
        "ticks": 100, "ticks_per_s": 12.0, "last_tick_age_s": 0.2, "gaps": 0, "last_price": 100_000, "bid": 99_999,
        "ask": 100_001, "live": True, "bars": {"1m": 6451}, "zones": {"5m": 3, "15m": 2, "30m": 1, "1h": 0},
        "signals": 1, "last_signal": {"side": "long", "score": 71.2, "market_ns": NOW_NS},
    }  # fmt: skip
    return {**base, **changes}


def status(**changes: Any) -> dict[str, Any]:
    position = {
        "contract": "MNQ", "side": 1, "size": 2, "entry": 100_001.0, "stop": 99_950, "target": 100_100,
        "protected": True, "unrealised_cents": 2550,
    }  # fmt: skip
    base: dict[str, Any] = {
        "badge": "DEMO", "market_ns": NOW_NS, "speed": 20.0, "state": "ACTIVE", "reasons": [], "reason": "trading",
        "pnl_usd": -48.5, "open_usd": 25.5,
        "contracts": {"MNQ": contract(), "GC": contract(live=False, last_price=None, last_signal=None)},
        "accounts": {"1": {"positions": [position]}}, "round_trips": 3, "wins": 2, "profit_factor": 1.75,
        "drawdown_usd": 60.0, "denials": {"RC_WINDOW": 2}, "intents": 4,
        "latency_ns": {"frame_ring": {"p50": 85_000, "p99": 1_200_000}},
    }  # fmt: skip
    return {**base, **changes}


def drawn(document: dict[str, Any], width: int = 120, height: int = 40) -> str:
    console = Console(file=io.StringIO(), width=width, height=height, color_system=None)
    events = [EngineEvent(NOW_NS, "worker", "SIGNAL", "MNQ", "long score 71: demand zone")]
    console.print(render(document, events, HELSINKI, width, height))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def kinds(text: str) -> list[EngineEvent]:
    """Z a zone, W a sweep, S a signal; numbered, so that the order can be told."""
    names = {"Z": "ZONE", "W": "SWEEP", "S": "SIGNAL"}
    return [EngineEvent(NOW_NS, "worker", names[one], "MNQ", f"{one}{place}") for place, one in enumerate(text)]


@pytest.mark.parametrize(
    ("happened", "room", "shown"),
    [
        ("SSZZZZZZZZ", 4, "S0 S1 Z8 Z9"),  # the hour's zones push no signal away
        ("ZZZZZZSZZZZWWW", 4, "S6 W11 W12 W13"),
        ("ZZZZZZ", 4, "Z2 Z3 Z4 Z5"),  # nothing else to tell
        ("SSSSSZ", 4, "S2 S3 S4 Z5"),
        ("ZSSSSS", 4, "S2 S3 S4 S5"),
        ("ZS", 4, "Z0 S1"),
        ("", 4, ""),
    ],
)
def test_patterns_do_not_push_signals_off_the_screen(happened: str, room: int, shown: str) -> None:
    assert " ".join(event.text for event in newest(kinds(happened), room)) == shown


@pytest.mark.parametrize("width", [80, 100, 120, 200])
@pytest.mark.parametrize("height", [24, 40])
def test_fits_and_tells(width: int, height: int) -> None:
    text = drawn(status(), width, height)
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) <= height
    for words in ("DEMO", "16:30:00 EET", "08:30:00 CST", "ACTIVE", "−$48.50", "25000.00", "long 71", "MNQ long 2"):
        assert words in text, words
    assert "warming up" in text
    assert "long score 71: demand zone" in text


def test_a_state_that_is_not_active_says_why() -> None:
    document = status(state="PAUSED", reasons=["RC_QUOTE_STALE"], reason="no price for MNQ for 12 s")
    text = drawn(document)
    assert "PAUSED" in text
    assert "no price for MNQ for 12 s (RC_QUOTE_STALE)" in text


def test_an_unprotected_position_is_shouted() -> None:
    document = status()
    document["accounts"]["1"]["positions"][0]["protected"] = False
    assert "NOT PROTECTED" in drawn(document)


@pytest.mark.parametrize(
    ("usd", "text"), [(151.0, "+$151.00"), (-48.0, "−$48.00"), (0.0, "$0.00"), (1234567.891, "+$1,234,567.89")]
)
def test_money(usd: float, text: str) -> None:
    assert money(usd) == text


@pytest.mark.parametrize(("ns", "text"), [(85_000, "85 µs"), (1_250_000, "1.2 ms"), (2_500_000_000, "2.5 s")])
def test_duration(ns: float, text: str) -> None:
    assert duration(ns) == text


def test_an_event_without_time_keeps_its_column() -> None:
    with_time = event_line(EngineEvent(NOW_NS, "x", "FEED", "", "hello"), HELSINKI).plain
    without = event_line(EngineEvent(0, "x", "FEED", "", "hello"), HELSINKI).plain
    assert with_time.index("hello") == without.index("hello")


# ----------------------------------------------------------------------------------------------------- several accounts
def several(**changes: Any) -> dict[str, Any]:
    """Three accounts: one long, one locked, one with two positions of which one has no stop."""
    long = status()["accounts"]["1"]["positions"][0]
    short = {**long, "contract": "ES", "side": -1, "size": 1, "protected": False}

    def account(name: str, state: str, day: int, positions: list[Any], text: str = "trading") -> dict[str, Any]:
        money = {"day_pnl_cents": day, "unrealised_cents": 2550 * len(positions)}
        return {"name": name, "state": state, "text": text, "positions": positions, **money}

    accounts = {
        "1001": account("50KTC-V2-000001-00000001", "ACTIVE", -4850, [long]),
        "1002": account("50KTC-V2-000001-00000002", "LOCKED", -80125, [], "the day's loss limit is reached"),
        "1003": account("150KTC-V2-DLL-000001-00000003", "ACTIVE", 0, [long, short]),
    }
    contracts = {name: contract() for name in ("MNQ", "NQ", "MES", "ES", "MGC", "GC")}
    return status(**({"accounts": accounts, "contracts": contracts, "badge": "LIVE"} | changes))


@pytest.mark.parametrize(("width", "height"), [(80, 24), (80, 40), (120, 24), (120, 40)])
def test_every_one_of_several_accounts_is_on_the_screen(width: int, height: int) -> None:
    text = drawn(several(), width, height)
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) <= height
    first, second, third = (next(line for line in lines if f"0000000{number} " in line) for number in (1, 2, 3))
    assert "ACTIVE" in first
    assert "day −$48.50" in first
    assert "open +$25.50" in first
    assert "MNQ +2" in first
    assert "LOCKED" in second
    assert "day −$801.25" in second
    assert "the day's loss" in second
    assert "NOT PROTECTED" in third
    assert "long score 71" in text


def test_positions_are_told_at_length_under_their_account_where_there_is_room() -> None:
    lines = drawn(several(), 120, 40).splitlines()
    (third,) = [number for number, line in enumerate(lines) if "00000003 " in line]
    assert "MNQ long 2 @ 25000.25  stop" in lines[third + 1]
    assert "ES short 1" in lines[third + 2]
    assert "NOT PROTECTED" in lines[third + 2]
    assert "long 2" not in drawn(several(), 80, 24)


def test_a_name_of_the_gateway_does_not_drive_the_terminal() -> None:
    document = several()
    document["accounts"]["1002"]["name"] = "\x1b[31mevil"
    assert "\x1b" not in drawn(document)


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_every_latency_is_shown_whole(width: int) -> None:
    hops = ("frame_ring", "frame_worker", "frame_signal", "signal_executor", "signal_request", "rest")
    figures = {hop: {"p50": 1_100_000 + place, "p99": 22_200_000} for place, hop in enumerate(hops)}
    text = drawn(status(latency_ns=figures), width=width, height=40)
    assert text.count("1.1 ms/22.2 ms") == len(hops)
    assert "latency p50/p99" in text
    assert max(len(line) for line in text.splitlines()) <= width
