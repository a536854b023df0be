"""The report of a scripted week, each of its figures counted again from the journal's raw rows with plain Python."""

import dataclasses
import json
import math
import sqlite3
import statistics
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from report_week import ACCOUNT, RunInfo, S, Script, Trade, a_week, again, at, write_week
from tbot.analytics.journal_records import read
from tbot.analytics.period import parse_week
from tbot.analytics.report import Report, build
from tbot.analytics.report_document import document
from tbot.analytics.weekly_report import open_journal
from tbot.storage.journal import Journal
from tbot.transport import wire

CHICAGO = ZoneInfo("America/Chicago")
WEEK = parse_week("2026-W47")
TICK_CENTS = {"MNQ": 50, "MES": 125, "MGC": 100}  # of a tick, by the exchange


def report_of(folder: Path, week: str = "2026-W47", **more: Any) -> Report:
    period = parse_week(week)
    with open_journal(folder) as family:
        return build(read(family, period, more.pop("account", None)), period, **more)


def document_of(folder: Path, week: str = "2026-W47", **more: Any) -> dict[str, Any]:
    whole = document(report_of(folder, week, **more), 0, "test")
    return dict(json.loads(json.dumps(whole, allow_nan=False)))


def raw(folder: Path, kind: str) -> list[dict[str, Any]]:
    """Rows of the journal as plain dictionaries, without any of the program."""
    with sqlite3.connect(f"file:{folder / 'journal.db'}?mode=ro", uri=True) as db:
        rows = db.execute("SELECT body, boot_ns FROM record WHERE kind = ? ORDER BY seq", (kind,)).fetchall()
    return [json.loads(body) | {"row_boot_ns": boot} for body, boot in rows]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("state")
    write_week(made / "journal.db", a_week())
    return made


@pytest.fixture(scope="module")
def whole(folder: Path) -> dict[str, Any]:
    return document_of(folder)


def trading_day(ns: int) -> str:
    local = datetime.fromtimestamp(ns // S, CHICAGO)
    return str((local + timedelta(days=1)).date() if local.hour >= 17 else local.date())


@pytest.fixture(scope="module")
def trips(folder: Path) -> list[dict[str, Any]]:
    """Round trips from the raw rows, their result worked out from prices and never taken from the note."""
    found = []
    for row in raw(folder, "RoundTrip"):
        gross = row["side"] * (row["exit_price_size"] - row["entry_price_size"]) * TICK_CENTS[row["contract"]]
        net = gross - row["fees_cents"] - row["commission_cents"]
        found.append(row | {"gross": gross, "net": net, "day": trading_day(row["now_ns"])})
    return sorted(found, key=lambda row: row["now_ns"])


def cents(usd: float) -> int:
    assert abs(usd * 100 - round(usd * 100)) < 1e-6
    return round(usd * 100)


def test_every_sum_is_that_of_the_raw_rows(whole: dict[str, Any], trips: list[dict[str, Any]]) -> None:
    told, nets = whole["figures"], [row["net"] for row in trips]
    won, lost = [net for net in nets if net > 0], [net for net in nets if net < 0]
    assert len(nets) == 64
    assert (told["trades"], told["won"], told["lost"], told["even"]) == (64, len(won), len(lost), nets.count(0))
    assert told["lots"] == sum(row["size"] for row in trips)
    assert told["longs"] == sum(row["side"] == 1 for row in trips)
    assert told["shorts"] == sum(row["side"] == -1 for row in trips)
    assert cents(told["net_usd"]) == sum(nets)
    assert cents(told["gross_usd"]) == sum(row["gross"] for row in trips)
    assert cents(told["fees_usd"]) == sum(row["fees_cents"] for row in trips)
    assert cents(told["commission_usd"]) == sum(row["commission_cents"] for row in trips)
    assert (cents(told["won_usd"]), cents(told["lost_usd"])) == (sum(won), -sum(lost))
    assert (cents(told["best_usd"]), cents(told["worst_usd"])) == (max(nets), min(nets))
    assert told["slippage_ticks"] == sum(row["slippage_ticks"] for row in trips)
    assert cents(told["slippage_usd"]) == sum(row["slippage_ticks"] * TICK_CENTS[row["contract"]] for row in trips)


def test_every_average_and_share_is_that_of_the_raw_rows(whole: dict[str, Any], trips: list[dict[str, Any]]) -> None:
    told, nets = whole["figures"], [row["net"] for row in trips]
    won, lost = [net for net in nets if net > 0], [net for net in nets if net < 0]
    held = [(row["now_ns"] - row["opened_ns"]) / S for row in trips]
    risk = {row["signal_id"]: row["risk_cents"] for row in raw_intents(trips)}
    excursions = {
        name: [row[f"{name}_ticks"] * row["size"] * TICK_CENTS[row["contract"]] / 100 for row in trips]
        for name in ("mae", "mfe")
    }
    expected = {
        "win_rate": len(won) / 64,
        "average_win_usd": statistics.mean(won) / 100,
        "average_loss_usd": -statistics.mean(lost) / 100,
        "win_loss_ratio": statistics.mean(won) / -statistics.mean(lost),
        "profit_factor": sum(won) / -sum(lost),
        "expectancy_usd": statistics.mean(nets) / 100,
        "expectancy_r": statistics.mean([row["net"] / risk[row["signal_id"]] for row in trips]),
        "held_s": statistics.mean(held),
        "held_won_s": statistics.mean([s for s, net in zip(held, nets, strict=True) if net > 0]),
        "held_lost_s": statistics.mean([s for s, net in zip(held, nets, strict=True) if net < 0]),
        "mae_usd": statistics.mean(excursions["mae"]),
        "mfe_usd": statistics.mean(excursions["mfe"]),
    }
    assert {name: told[name] for name in expected} == pytest.approx(expected, rel=1e-9)
    assert told["trades_with_risk"] == told["trades_watched"] == 64


def raw_intents(trips: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"signal_id": row["signal_id"], "risk_cents": 12_000} for row in trips]


def test_days_falls_and_streaks_are_those_of_the_raw_rows(whole: dict[str, Any], trips: list[dict[str, Any]]) -> None:
    told, nets = whole["figures"], [row["net"] for row in trips]
    days: dict[str, int] = defaultdict(int)
    for row in trips:
        days[row["day"]] += row["net"]
    assert {day["day"]: cents(day["net_usd"]) for day in whole["days"]} == days
    assert [day["trades"] for day in whole["days"]] == [
        count for _, count in sorted(Counter(row["day"] for row in trips).items())
    ]
    assert told["day_win_rate"] == pytest.approx(sum(net > 0 for net in days.values()) / len(days))
    assert told["best_day_share"] == pytest.approx(max(days.values()) / sum(nets))
    peak = total = deepest = 0
    since = longest = 0
    for net in nets:
        total += net
        since = 0 if total >= peak else since + 1
        peak = max(peak, total)
        deepest = max(deepest, peak - total)
    assert cents(told["drawdown_usd"]) == deepest
    longest = {1: 0, -1: 0}
    run, sign = 0, 0
    for net in nets:
        now = (net > 0) - (net < 0)
        if now:
            run, sign = (run + 1, sign) if now == sign else (1, now)
            longest[sign] = max(longest[sign], run)
    assert (told["winning_streak"], told["losing_streak"]) == (longest[1], longest[-1])


@pytest.mark.parametrize(
    ("key", "label"),
    [
        ("hour", lambda row: f"{datetime.fromtimestamp(row['opened_ns'] // S, CHICAGO):%H}"),
        ("weekday", lambda row: f"{datetime.fromisoformat(row['day']):%a}"),
        ("contract", lambda row: row["contract"]),
        ("side", lambda row: "long" if row["side"] > 0 else "short"),
        ("exit", lambda row: row["exit_reason"]),
        ("account", lambda row: str(row["account"])),
    ],
)
def test_groups_are_those_of_the_raw_rows(
    key: str, label: Any, whole: dict[str, Any], trips: list[dict[str, Any]]
) -> None:
    expected: dict[str, list[int]] = defaultdict(list)
    for row in trips:
        expected[label(row)].append(row["net"])
    assert {line["label"]: (line["trades"], cents(line["net_usd"])) for line in whole["groups"][key]} == {
        name: (len(nets), sum(nets)) for name, nets in expected.items()
    }
    for line in whole["groups"][key]:
        nets = expected[line["label"]]
        lost = -sum(net for net in nets if net < 0)
        assert line["win_rate"] == pytest.approx(sum(net > 0 for net in nets) / len(nets))
        factor = sum(net for net in nets if net > 0) / lost if lost else None
        assert line["profit_factor"] == (factor if factor is None else pytest.approx(factor))
        assert line["r"] == pytest.approx(statistics.mean(net / 12_000 for net in nets))


def test_pattern_news_and_dollar_are_those_of_the_raw_signals(
    folder: Path, whole: dict[str, Any], trips: list[dict[str, Any]]
) -> None:
    signals = {row["signal"]["signal_id"]: row["signal"] for row in raw(folder, "SignalIn")}
    names = {"ob": "order block", "fvg": "fair value gap", "breaker": "breaker block"}
    names["ifvg"] = "inverted fair value gap"
    frames = {1: "1m", 5: "5m", 15: "15m", 60: "1h"}
    expected: dict[str, Counter[str]] = {name: Counter() for name in ("pattern", "news", "dollar")}
    for row in trips:
        signal = signals[row["signal_id"]]
        zone, context = signal["why"]["zone"], signal["context"]
        expected["pattern"][f"{names[zone['kind']]} {frames[zone['timeframe_min']]}"] += row["net"]
        near = context["news"]["action"] != ""
        expected["news"]["near high news" if near else "no news near"] += row["net"]
        # Index futures and gold stand against a rising dollar.
        for_it = -context["dollar"]["trend"] * row["side"]
        names_of = {1: "with the dollar", -1: "against the dollar", 0: "neither"}
        expected["dollar"][names_of[for_it]] += row["net"]
    for key, groups in expected.items():
        assert {line["label"]: cents(line["net_usd"]) for line in whole["groups"][key]} == dict(groups)


def test_execution_is_that_of_the_raw_rows(folder: Path, whole: dict[str, Any], trips: list[dict[str, Any]]) -> None:
    told = whole["execution"]
    denials = Counter(row["reason"] for row in raw(folder, "Denial"))
    assert {one["reason"]: one["count"] for one in told["denials"]} == denials
    assert sum(denials.values()) == 7
    assert (told["signals"], told["signals_taken"], told["approvals"]) == (71, 64, 64)
    ordered = sum(row["size"] for row in raw(folder, "PlaceBracket"))
    assert (told["entries"], told["entries_filled"], told["fill_ratio"]) == (64, 64, 1.0)
    assert told["contracts_ordered"] == told["contracts_filled"] == ordered
    hop = "ring_written_worker_woke"
    took = sorted(
        row["stamps"]["worker_woke_boot_ns"] - row["stamps"]["ring_written_boot_ns"] for row in trips
    )
    assert told["latency_ms"][hop] == {
        "count": 64, "p50": took[31] / 1e6, "p99": took[math.ceil(0.99 * 64) - 1] / 1e6, "worst": took[-1] / 1e6,
    }  # fmt: skip
    slips = [row["slippage_ticks"] for row in trips]
    assert (told["entered_worse"], told["entered_as_decided"], told["entered_better"]) == (
        sum(slip > 0 for slip in slips), slips.count(0), sum(slip < 0 for slip in slips),
    )  # fmt: skip


def test_the_broker_agrees_to_the_cent(folder: Path, whole: dict[str, Any]) -> None:
    """Its trades, added up from the raw fills without any folding."""
    fills = raw(folder, "Fill")
    moved = sum((fill["pnl_cents"] or 0) - fill["fees_cents"] - fill["commission_cents"] for fill in fills)
    told = whole["broker"]
    assert told["equal"]
    assert told["differences"] == []
    assert cents(told["broker_usd"]) == cents(told["ours_usd"]) == moved == cents(whole["figures"]["net_usd"])
    assert told["trades"] == len(fills)
    assert told["round_trips"] == 64


def test_every_trade_is_listed(whole: dict[str, Any], trips: list[dict[str, Any]]) -> None:
    assert [cents(row["net_usd"]) for row in whole["trades"]] == [row["net"] for row in trips]
    assert [row["signal_id"] for row in whole["trades"]] == [row["signal_id"] for row in trips]
    assert [row["closed"] for row in whole["trades"]] == [
        f"{datetime.fromtimestamp(row['now_ns'] // S, ZoneInfo('UTC')):%Y-%m-%dT%H:%M:%SZ}" for row in trips
    ]


def test_room_to_the_daily_limit_is_the_least_of_any_moment(
    whole: dict[str, Any], trips: list[dict[str, Any]]
) -> None:
    lowest: dict[str, int] = {}
    total: dict[str, int] = defaultdict(int)
    for row in trips:
        total[row["day"]] += row["net"]
        lowest[row["day"]] = min(lowest.get(row["day"], 0), total[row["day"]])
    assert whole["limits"]["daily_loss_usd"] == 800
    assert cents(whole["limits"]["least_room_usd"]) == 80_000 + min(lowest.values())
    assert whole["limits"]["least_room_day"] == min(lowest, key=lambda day: lowest[day])


# ------------------------------------------------------------------------------------------------ other journals
def test_a_start_within_the_day_tells_nothing_twice(tmp_path: Path) -> None:
    trades = a_week(n=10, days=1)
    write_week(tmp_path / "journal.db", trades)
    before = document_of(tmp_path)
    notes = [row.trip for row in report_of(tmp_path).deals]
    with open_journal(tmp_path) as family:
        fills = [told.item for told in read(family, WEEK).fills]
    last = max(trade.closed_ns for trade in trades) + 600 * S
    run = RunInfo(8, "0.1.0+test", "c0ffee123456", "sim", last)
    with Journal(tmp_path / "journal.db", wire, run) as journal:
        again(journal, notes, fills, last)
    after = document_of(tmp_path)
    for name in ("figures", "days", "groups", "broker", "trades"):
        assert after[name] == before[name], name
    assert after["execution"]["starts"] == 2


def test_a_simulator_that_began_anew_is_another_world(tmp_path: Path) -> None:
    """Numbers of fills come again with another meaning: nothing is lost, and nothing is mixed up."""
    first, second = a_week(seed=1, n=6, days=1), a_week(seed=2, n=6, days=1)
    write_week(tmp_path / "journal.db", first)
    run = RunInfo(8, "0.1.0+test", "c0ffee123456", "sim", second[0].opened_ns - 60 * S)
    with Journal(tmp_path / "journal.db", wire, run) as journal:
        script = Script(journal, "again")
        for trade in second:
            script.trade(trade)
    told = document_of(tmp_path)
    assert told["figures"]["trades"] == 12
    assert cents(told["figures"]["net_usd"]) == sum(trade.net_cents for trade in (*first, *second))
    assert told["broker"]["equal"]


def test_costs_that_are_posted_late_are_the_brokers(tmp_path: Path) -> None:
    write_week(tmp_path / "journal.db", [Trade("2026-11-17T15:00:00", 5)])
    [deal] = report_of(tmp_path).deals
    with open_journal(tmp_path) as family:
        last = read(family, WEEK).fills[-1].item
    run = RunInfo(8, "b", "c", "sim", last.now_ns + S)
    with Journal(tmp_path / "journal.db", wire, run) as journal:
        journal.record(dataclasses.replace(last, fees_cents=last.fees_cents + 7), [])
    told = document_of(tmp_path)
    assert cents(told["figures"]["net_usd"]) == deal.net_cents - 7
    assert told["broker"]["costs_posted_late"] == 1
    assert told["broker"]["equal"]


def test_account_and_week_choose(tmp_path: Path) -> None:
    trades = [
        Trade("2026-11-13T15:00:00", 5),
        Trade("2026-11-16T15:00:00", 5, exit=100_020),
        Trade("2026-11-16T16:00:00", 5, account=1002, exit=99_000),
    ]
    write_week(tmp_path / "journal.db", trades)
    assert cents(document_of(tmp_path)["figures"]["net_usd"]) == trades[1].net_cents + trades[2].net_cents
    assert cents(document_of(tmp_path, account=ACCOUNT)["figures"]["net_usd"]) == trades[1].net_cents
    assert cents(document_of(tmp_path, "2026-W46")["figures"]["net_usd"]) == trades[0].net_cents
    told = document_of(tmp_path, account=1002)
    assert told["accounts"] == [{"id": 1002, "name": "SIM-1002"}]
    assert told["to_date"]["trades"] == 1
    assert document_of(tmp_path)["to_date"]["trades"] == 3
    assert at("2026-11-15T23:00:00") == WEEK.from_ns  # Sunday, 17:00 Chicago


def test_a_run_without_a_trade_is_a_report_too(tmp_path: Path) -> None:
    write_week(tmp_path / "journal.db", [], denied=0)
    told = document_of(tmp_path)
    assert told["figures"]["trades"] == 0
    assert told["broker"]["equal"] is None, "of nothing nothing is claimed"
    assert told["trades"] == []
