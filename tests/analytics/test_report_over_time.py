"""What the report tells over time: room above the loss floor, the rolling ratio, weights before and after the week.

Each figure is counted again from raw rows of journal and pattern database with plain Python.
"""

import json
import math
import sqlite3
import statistics
from collections import defaultdict
from dataclasses import asdict, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from outcome_rows import DAY_NS, NOON_NS, joined, outcome
from report_week import S, Trade, several, write_week
from tbot.analytics.journal_records import read
from tbot.analytics.period import parse_week
from tbot.analytics.report_cells import Card, cards, pattern_sheet, to_date_cards
from tbot.analytics.report_page import page
from tbot.analytics.weekly_report import Made, make_report, open_journal
from tbot.domain import messages as m
from tbot.domain.trading_hours import trading_day_start_ns
from tbot.risk.firm import FirmRules
from tbot.storage.journal import Journal
from tbot.storage.journal_reader import RunInfo
from tbot.storage.pattern_store import FILE_NAME, PatternStore
from tbot.strategy.learning import Ledger
from tbot.strategy.learning_settings import LearningSettings
from tbot.transport import wire

CHICAGO, UTC = ZoneInfo("America/Chicago"), ZoneInfo("UTC")
RULES: dict[str, object] = {"rules": asdict(FirmRules())}
START, LIMIT = 5_000_000, 200_000  # of a 50K Combine, by the firm's own page
BOTH = {1001: RULES, 1002: RULES}


def made(folder: Path, week: str = "2026-W47", **more: Any) -> Made:
    return make_report(folder, folder / "out", parse_week(week), formats=(), zone=UTC, **more)


def document(folder: Path, week: str = "2026-W47", **more: Any) -> dict[str, Any]:
    return dict(json.loads(json.dumps(made(folder, week, **more).document, allow_nan=False)))


def raw(folder: Path, *kinds: str) -> list[tuple[str, dict[str, Any]]]:
    with sqlite3.connect(f"file:{folder / 'journal.db'}?mode=ro", uri=True) as db:
        rows = db.execute("SELECT kind, body FROM record ORDER BY seq").fetchall()
    return [(kind, json.loads(body)) for kind, body in rows if kind in kinds]


def trading_day(ns: int) -> date:
    local = datetime.fromtimestamp(ns // S, CHICAGO)
    return (local + timedelta(days=1)).date() if local.hour >= 17 else local.date()


def cents(usd: float) -> int:
    assert abs(usd * 100 - round(usd * 100)) < 1e-6
    return round(usd * 100)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five weeks of two accounts; one day of them without a trade."""
    state = tmp_path_factory.mktemp("state")
    trades = [trade for trade in several() if not trade.opened.startswith("2026-11-04")]
    write_week(state / "journal.db", trades, firm=BOTH)
    return state


@pytest.fixture(scope="module")
def whole(folder: Path) -> dict[str, Any]:
    return document(folder)


# ------------------------------------------------------------------------------------------------ the loss floor
def standings(folder: Path, account: int, first: date, last: date) -> list[tuple[int, int]]:
    """(balance, floor) after each balance of some days, by the firm's rule written out."""
    found: list[tuple[int, int]] = []
    closings: dict[date, int] = {}
    for kind, row in raw(folder, "AccountUpdate", "Snapshot"):
        told = row["status"] if kind == "Snapshot" else row
        if told["account"] != account:
            continue
        day, balance = trading_day(told["now_ns"]), told["balance_cents"]
        highest = max([START, *(closing for earlier, closing in closings.items() if earlier < day)])
        floor = min(START, highest - LIMIT)
        if first <= day <= last and closings and day not in closings:  # as it stood when the day began
            stood = (closings[max(closings)], floor)
            found += [] if found[-1:] == [stood] else [stood]
        if first <= day <= last and (balance, floor) != (found[-1] if found else None):
            found.append((balance, floor))
        if day > last and first <= max(closings) <= last:  # and how it stood when the last one had ended
            highest = max(START, *closings.values())
            found.append((closings[max(closings)], min(START, highest - LIMIT)))
        closings[day] = balance
    return found


@pytest.mark.parametrize("account", [1001, 1002])
@pytest.mark.parametrize(("monday", "moves"), [(date(2026, 10, 19), True), (date(2026, 11, 16), False)])
def test_TR2_room_above_the_floor_is_that_of_the_raw_balances(
    folder: Path, account: int, monday: date, moves: bool
) -> None:
    told_whole = document(folder, f"2026-W{monday.isocalendar().week}")
    (line,) = [line for line in told_whole["limits"]["floors"] if line["account"] == account]
    expected = standings(folder, account, monday, monday + timedelta(days=4))
    told = [(cents(point["balance_usd"]), cents(point["floor_usd"])) for point in line["points"]]
    if told[-1] == told[-2]:  # how it stood at the end of the run
        told.pop()
    assert told == expected
    assert len(expected) > 24
    assert (len({floor for _, floor in expected}) > 1) == moves
    assert all(cents(point["room_usd"]) == cents(point["balance_usd"]) - cents(point["floor_usd"])
               for point in line["points"])  # fmt: skip
    assert cents(line["least"]["room_usd"]) == min(balance - floor for balance, floor in expected)
    assert [point["at"] for point in line["points"]] == sorted(point["at"] for point in line["points"])
    assert (line["max_loss_usd"], line["lock_room_usd"]) == (2_000, 300)


def test_both_accounts_and_the_nearest_one_on_the_card(folder: Path, whole: dict[str, Any]) -> None:
    assert [line["account"] for line in whole["limits"]["floors"]] == [1001, 1002]
    nearest = min(whole["limits"]["floors"], key=lambda line: line["least"]["room_usd"])
    report = made(folder).report
    card = card_named(cards(report), "Least room to loss floor")
    assert card.text == f"${nearest['least']['room_usd']:,.2f}"
    assert card.note.endswith(f", {nearest['account']}")
    limit = card_named(cards(report), "Least room to daily limit")
    assert limit.note.endswith(f", {whole['limits']['least_room_account']}")


def test_the_nearest_to_the_daily_limit_is_of_one_account_and_day(folder: Path, whole: dict[str, Any]) -> None:
    totals: dict[tuple[int, date], int] = defaultdict(int)
    lowest: dict[tuple[int, date], int] = {}
    for _, row in sorted(raw(folder, "RoundTrip"), key=lambda told: (told[1]["now_ns"], told[1]["opened_ns"])):
        key = (row["account"], trading_day(row["now_ns"]))
        totals[key] += row["gross_cents"] - row["fees_cents"] - row["commission_cents"]
        lowest[key] = min(lowest.get(key, 0), totals[key])
    week = {key: low for key, low in lowest.items() if date(2026, 11, 16) <= key[1] <= date(2026, 11, 20)}
    account, day = min(week, key=lambda key: week[key])
    told = whole["limits"]
    assert cents(told["least_room_usd"]) == 80_000 + week[account, day]
    assert (told["least_room_account"], told["least_room_day"]) == (account, str(day))


def card_named(found: list[Card], name: str) -> Card:
    (card,) = [card for card in found if card.name == name]
    return card


@pytest.mark.parametrize(
    ("told", "floor"),
    [
        ({}, 4_800_000),
        ({"floor_cents": 4_950_000}, 4_950_000),  # by the owner's word
        ({"carried": {"closings": [["2026-11-12", 5_090_000], ["2026-11-13", 5_010_000]]}}, 4_890_000),
        ({"carried": {"closings": [["2026-11-12", 5_290_000]]}}, 5_000_000),  # never above the start
        ({"carried": {"closings": [["2026-11-12", 5_090_000]]}, "since": "2026-11-13"}, 4_800_000),  # another life
    ],
)
def test_TR2_what_a_run_knew_of_days_before_it_counts(tmp_path: Path, told: dict[str, object], floor: int) -> None:
    write_week(tmp_path / "journal.db", [Trade("2026-11-16T15:00:00", 5)], firm={1001: RULES | told})
    (line,) = document(tmp_path)["limits"]["floors"]
    assert {cents(point["floor_usd"]) for point in line["points"]} == {floor}
    assert cents(line["last"]["balance_usd"]) == START + Trade("2026-11-16T15:00:00", 5).net_cents


def test_a_list_whose_balance_lacks_its_newest_fill_moves_nothing(tmp_path: Path) -> None:
    """As journals have it: the balance of an answer is asked for before its trades."""
    trade = Trade("2026-11-16T15:00:00", 5)
    write_week(tmp_path / "journal.db", [trade], firm={1001: RULES}, denied=0)
    with open_journal(tmp_path) as family:
        fills = tuple(told.item for told in read(family, parse_week("2026-W47")).fills)
    after, end = START + trade.net_cents, trade.closed_ns + 115 * S
    run = RunInfo(8, "0.1.0+test", "c0ffee123456", "sim", end + 20 * S, desk_of(tmp_path))
    with Journal(tmp_path / "journal.db", wire, run) as journal:
        def answer(seconds: int, balance: int, known: int) -> None:
            status = m.AccountUpdate(end + seconds * S, 1001, "SIM-1001", balance, True, True)
            journal.record(m.Snapshot(end + seconds * S, 1001, "q", True, status, (), (), fills[:known]), [])

        answer(21, after, 2)
        answer(22, after, 2)
        fresh = replace(fills[0], now_ns=end + 23 * S, fill_id=99, order_id=99)
        fills += (fresh,)
        journal.record(fresh, [])
        journal.record(m.AccountUpdate(end + 24 * S, 1001, "SIM-1001", after - 124, True, True), [])
        for seconds, balance in ((25, after), (26, after - 124), (27, after - 124)):  # the first is from before
            answer(seconds, balance, 3)
        answer(28, after - 500, 3)  # a fee that no fill explains, told once and then again
        answer(29, after - 500, 3)
        journal.record(m.TimerIn(end + 60 * S, {}), [])
    (line,) = document(tmp_path)["limits"]["floors"]
    told = [cents(point["balance_usd"]) for point in line["points"] if point["at"] > "2026-11-16T15:07:15Z"]
    assert told == [after, after - 124, after - 500, after - 500]  # the last one tells how it ended
    assert line["points"][-2]["at"] == "2026-11-16T15:07:24Z"


def desk_of(folder: Path) -> str:
    return str(raw(folder, "RunInfo")[0][1]["desk"])


UNREADABLE: list[dict[str, object]] = [
    {}, {"rules": None}, {"rules": {"start_cents": "much"}}, {"rules": {"max_loss_cents": 1}},
]  # fmt: skip


@pytest.mark.parametrize("told", UNREADABLE)
def test_an_account_without_rules_that_can_be_read_has_no_floor(tmp_path: Path, told: dict[str, object]) -> None:
    write_week(tmp_path / "journal.db", [Trade("2026-11-16T15:00:00", 5)], firm={1001: told})
    report = made(tmp_path).report
    assert report.floors == ()
    assert "Least room to loss floor" not in [card.name for card in cards(report)]


# ------------------------------------------------------------------------------------------------ the rolling ratio
def test_rolling_sharpe_is_that_of_the_raw_rows(folder: Path, whole: dict[str, Any]) -> None:
    nets: dict[date, int] = {date(2026, 11, 4): 0}  # nothing was traded, and the engine ran
    for _, row in raw(folder, "RoundTrip"):
        day = trading_day(row["now_ns"])
        nets[day] = nets.get(day, 0) + row["gross_cents"] - row["fees_cents"] - row["commission_cents"]
    days = sorted(nets)
    assert len(days) == 25
    told = whole["rolling_sharpe"]
    assert [one["day"] for one in told] == [str(day) for day in days[19:]]
    for place, one in enumerate(told):
        window = [nets[day] for day in days[place : place + 20]]
        expected = statistics.mean(window) / statistics.stdev(window) * math.sqrt(252)
        assert one["value"] == pytest.approx(expected, rel=1e-12)
    shown = card_named(to_date_cards(made(folder).report), "Sharpe, last 20 days")
    assert float(shown.text.replace("−", "-")) == pytest.approx(told[-1]["value"], abs=0.005)


def test_the_worst_drawdowns_are_those_of_the_raw_rows(folder: Path, whole: dict[str, Any]) -> None:
    """Each stretch found again by looking from every highest point for the moment that reaches it again."""
    rows = sorted((row for _, row in raw(folder, "RoundTrip")), key=lambda row: (row["now_ns"], row["opened_ns"]))
    sums = [0]
    for row in rows:
        sums.append(sums[-1] + row["gross_cents"] - row["fees_cents"] - row["commission_cents"])
    expected = []
    for place, value in enumerate(sums[:-1]):
        if value < max(sums[: place + 1]) or sums[place + 1] >= value:
            continue  # no highest point, or nothing fell from it
        back = next((at for at in range(place + 1, len(sums)) if sums[at] >= value), None)
        lowest = min(sums[place : back or len(sums)])
        since = None if place == 0 else rows[place - 1]["now_ns"]
        until = None if back is None else rows[back - 1]["now_ns"]
        expected.append((value - lowest, (back or len(sums) - 1) - place, since, until))
    expected = sorted(expected, key=lambda one: -one[0])[:5]
    told = whole["worst_drawdowns"]
    assert [(cents(one["depth_usd"]), one["trades"]) for one in told] == [one[:2] for one in expected]
    assert [(one["from"], one["until"]) for one in told] == [tuple(map(iso_of, one[2:])) for one in expected]
    assert len(told) == 5
    assert told[0]["depth_usd"] == whole["to_date"]["drawdown_usd"]


def iso_of(ns: int | None) -> str | None:
    return None if ns is None else f"{datetime.fromtimestamp(ns // S, UTC):%Y-%m-%dT%H:%M:%SZ}"


def test_too_few_days_have_no_rolling_ratio(tmp_path: Path) -> None:
    write_week(tmp_path / "journal.db", several(weeks=3))
    report = made(tmp_path)
    assert report.document["rolling_sharpe"] == []
    card = card_named(to_date_cards(report.report), "Sharpe, last 20 days")
    assert (card.text, card.note) == ("n/a", "15 trading days, 20 are needed")


# ------------------------------------------------------------------------------------------------ what was learned
MONDAY_NS = NOON_NS - DAY_NS  # 2026-11-16
SETTINGS = LearningSettings()
OLD = joined([outcome(MONDAY_NS - (3 + n // 6) * DAY_NS + n, n % 3 > 0, zone_id=n) for n in range(18)])
NEW = joined([outcome(MONDAY_NS + n // 2 * DAY_NS + n, n % 4 > 0, zone_id=100 + n) for n in range(8)])
LATER = joined([outcome(MONDAY_NS + 7 * DAY_NS + n, False, zone_id=200 + n) for n in range(30)])
COST_CENTS, TICK_CENTS, RISK_TICKS, REWARD_TICKS = 122, 50, 40, 80  # of one MNQ, in and out; of the rows above


def keep(state: Path, *parts: tuple[str, np.ndarray], later: bool = False) -> None:
    """Outcomes as the recorder keeps them: a version when a trading day begins."""
    ledger = Ledger(SETTINGS)
    with PatternStore(state / FILE_NAME) as store:
        for name, rows in parts:
            ledger.add(name, rows)
            store.add(name, rows)
        store.add_version(ledger.weights(trading_day_start_ns(MONDAY_NS)), ["MNQ"])
        store.add("MNQ", NEW)
        ledger.add("MNQ", NEW)
        store.add_version(ledger.weights(trading_day_start_ns(MONDAY_NS + 3 * DAY_NS)), ["MNQ"])
        if later:
            store.add("MNQ", LATER)
            ledger.add("MNQ", LATER)
            store.add_version(ledger.weights(trading_day_start_ns(MONDAY_NS + 14 * DAY_NS)), ["MNQ"])
            store.mark("freeze", 0)
            store.mark("reset", 0)


@pytest.fixture
def learned(tmp_path: Path) -> Path:
    write_week(tmp_path / "journal.db", [Trade("2026-11-16T15:00:00", 5)])
    keep(tmp_path, ("MNQ", OLD))
    return tmp_path


def weight_by_hand(ages_won: list[tuple[int, bool]]) -> float:
    """The rule of docs/learning.md for one pattern without relatives: both expectations shrunk, the smaller one."""
    n = wins = r = 0.0
    needed = ((RISK_TICKS + 1) * TICK_CENTS + COST_CENTS) / ((RISK_TICKS + 1 + REWARD_TICKS) * TICK_CENTS)
    span = (RISK_TICKS + 1 + REWARD_TICKS) / RISK_TICKS
    for age, won in ages_won:
        worth = 0.5 ** (age / 60)
        ticks = REWARD_TICKS if won else -RISK_TICKS - 1
        n, wins = n + worth, wins + worth * won
        r += worth * (ticks * TICK_CENTS - COST_CENTS) / (RISK_TICKS * TICK_CENTS)
    mean, excess = r / (n + 200), (wins - n * needed) / (n + 200)
    by_share = excess * (n * span + 200 * 2.5) / (n + 200)
    edge = math.copysign(min(abs(mean), abs(by_share)), mean) if mean * by_share > 0 else 0.0
    return 1 + 0.25 * math.tanh(edge / 0.25)


def ages(rows: np.ndarray, day: date) -> list[tuple[int, bool]]:
    return [((day - trading_day(int(row["resolved_ns"]))).days, bool(row["exit"] > row["entry"])) for row in rows]


def test_weights_before_and_after_the_week_by_hand(learned: Path) -> None:
    told = document(learned)["patterns"]
    (row,) = told["rows"]
    before = weight_by_hand(ages(OLD, date(2026, 11, 16)))
    after = weight_by_hand(ages(np.concatenate([OLD, NEW]), date(2026, 11, 20)))  # the day after the last outcome
    assert (row["contract"], row["kind"], row["timeframe"]) == ("MNQ", "ob", "15m")
    assert row["weight_before"] == pytest.approx(before, abs=6e-5)
    assert row["weight_after"] == pytest.approx(after, abs=6e-5)
    assert 1 < row["weight_before"] < row["weight_after"]
    assert (told["mode"], told["frozen"], told["outcomes"]) == ("observe", False, 26)


def test_counts_of_patterns_are_those_of_the_raw_rows(learned: Path) -> None:
    (row,) = document(learned)["patterns"]["rows"]
    with sqlite3.connect(learned / FILE_NAME) as db:
        rows = db.execute("SELECT day, result_ticks FROM outcome").fetchall()
    results = [(ticks * TICK_CENTS - COST_CENTS) / (RISK_TICKS * TICK_CENTS) for _, ticks in rows]
    won = [r for r in results if r > 0]
    new = [r for (day, _), r in zip(rows, results, strict=True) if "2026-11-16" <= day <= "2026-11-22"]
    assert (row["n"], row["won"], row["n_in_period"]) == (26, len(won), 8)
    assert row["won_in_period"] == sum(r > 0 for r in new)
    assert row["expectancy_r"] == pytest.approx(statistics.mean(results))
    assert row["expectancy_r_in_period"] == pytest.approx(statistics.mean(new))
    assert row["profit_factor"] == pytest.approx(sum(won) / -sum(r for r in results if r < 0))
    share, z, n = len(won) / 26, 1.959963984540054, 26
    middle, half = share + z * z / (2 * n), z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    assert row["win_rate_low"] == pytest.approx((middle - half) / (1 + z * z / n))
    assert row["win_rate_high"] == pytest.approx((middle + half) / (1 + z * z / n))


def test_nothing_later_changes_the_report_of_a_week(learned: Path, tmp_path: Path) -> None:
    """Neither outcomes, nor versions, nor a person's decisions that came afterwards."""
    other = tmp_path / "later"
    other.mkdir()
    write_week(other / "journal.db", [Trade("2026-11-16T15:00:00", 5)])
    keep(other, ("MNQ", OLD), later=True)
    assert document(other)["patterns"] == document(learned)["patterns"]


def test_frozen_weights_stay(learned: Path) -> None:
    with PatternStore(learned / FILE_NAME) as store:
        store.mark("freeze", 0)
    (row,) = document(learned)["patterns"]["rows"]
    assert row["weight_after"] == row["weight_before"] > 1
    assert pattern_sheet(made(learned).report).rows[0][-1].endswith("; frozen")


def test_the_settings_of_the_engine_count(learned: Path) -> None:
    (usual,), (quick,) = (
        document(learned, learning=settings)["patterns"]["rows"]
        for settings in (None, LearningSettings(prior_outcomes=20))
    )
    assert quick["weight_after"] > usual["weight_after"] == document(learned)["patterns"]["rows"][0]["weight_after"]


def test_without_a_database_it_says_so(tmp_path: Path) -> None:
    write_week(tmp_path / "journal.db", [Trade("2026-11-16T15:00:00", 5)])
    assert document(tmp_path)["patterns"] is None
    assert "No outcomes of patterns were kept" in pattern_sheet(made(tmp_path).report).note
    (tmp_path / FILE_NAME).write_text("no database")
    assert document(tmp_path)["patterns"] is None
    assert "cannot be read" in pattern_sheet(made(tmp_path).report).note


# ------------------------------------------------------------------------------------------------ on the page
def test_page_and_paper_have_all_of_it(folder: Path) -> None:
    keep(folder, ("MNQ", OLD))
    done = make_report(folder, folder / "out", parse_week("2026-W47"), formats=("pdf",), zone=UTC)
    text = page(done.report, zone=UTC, written_ns=0)
    for words in ("Room above the loss floor", "Sharpe ratio of each 20 trading days", "MNQ order block 15m"):
        assert words in text
    (row,) = done.document["patterns"]["rows"]
    assert f"{row['weight_before']:.3f} → {row['weight_after']:.3f}" in text
    assert ">account<" in text
    assert done.paths[0].read_bytes().startswith(b"%PDF-")
