"""patterns.db: what goes in comes out, once; and a file that is damaged, foreign, newer or absent is one sentence."""

import sqlite3
import stat
from pathlib import Path

import numpy as np
import pytest

from outcome_rows import DAY_NS, NOON_NS, joined, outcome
from tbot.domain.messages import Denial, RoundTrip
from tbot.domain.trading_hours import trading_day_start_ns
from tbot.errors import DataError
from tbot.storage.pattern_store import PatternReader, PatternStore, next_day_start_ns, session_name
from tbot.strategy.learning import Ledger
from tbot.strategy.learning_settings import LearningSettings
from tbot.strategy.outcomes import counts

ON = LearningSettings(mode="on")


def some(count: int = 40) -> np.ndarray:
    kinds, frames = ("ob", "fvg", "ifvg", "breaker", "mitigation"), (5, 15, 30, 60)
    return joined([
        outcome(NOON_NS + number * DAY_NS // 8, number % 3 == 0, kind=kinds[number % 5], minutes=frames[number % 4],
                side=1 if number % 2 else -1, zone_id=number, stage="test" if number % 7 == 6 else "trigger",
                fate="untriggered" if number % 7 == 6 else "signal")
        for number in range(count)
    ])  # fmt: skip


def test_outcomes_come_back_and_teach_the_same(tmp_path: Path) -> None:
    path, rows = tmp_path / "patterns.db", some()
    with PatternStore(path) as store:
        assert len(store.add("MNQ", rows)) == len(rows)
    plain, again = Ledger(ON), Ledger(ON)
    plain.add("MNQ", rows)
    with PatternReader(path) as reader:
        for contract, found in reader.outcomes():
            again.add(contract, found)
            assert counts(found).all() or (found["stage"] == 1).all()
        assert reader.counted() == (len(rows), int((rows["stage"] == 1).sum()))
    start = trading_day_start_ns(NOON_NS + 9 * DAY_NS)
    assert again.weights(start) == plain.weights(start)
    assert again.weights(start).version != ""


def test_the_same_bracket_twice_counts_once(tmp_path: Path) -> None:
    rows = some()
    with PatternStore(tmp_path / "patterns.db") as store:
        store.add("MNQ", rows[:30])
        assert len(store.add("MNQ", rows)) == len(rows) - 30
        assert len(store.add("MES", rows)) == len(rows), "another contract is another market"


def test_the_columns_say_what_happened(tmp_path: Path) -> None:
    with PatternStore(tmp_path / "patterns.db") as store:
        store.add("MNQ", outcome(won=False, fate="news"))
        row = store.ask(
            "SELECT kind, timeframe_min, stage, fate, ended, day, session, hour, result_ticks, result_r, signal_id "
            "FROM outcome"
        )[0]
    assert row[:9] == ("ob", 15, "trigger", "news", "stop", "2026-11-17", "new_york", 11, -41)
    assert row[9] == pytest.approx((-41 * 50 - 122) / (40 * 50))
    assert row[10].startswith("MNQ-")
    assert row[10].endswith("-7-1")


def test_the_file_is_ours_alone(tmp_path: Path) -> None:
    path = tmp_path / "patterns.db"
    PatternStore(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with PatternReader(path) as reader, pytest.raises(DataError, match="readonly"):
        reader.ask("DELETE FROM outcome")


def test_versions_are_kept_when_they_change(tmp_path: Path) -> None:
    ledger = Ledger(ON)
    ledger.add("MNQ", joined([outcome(NOON_NS + n) for n in range(30)]))
    with PatternStore(tmp_path / "patterns.db") as store:
        first = ledger.weights(trading_day_start_ns(NOON_NS + DAY_NS))
        assert store.add_version(first, ("MNQ", "MES"))
        assert not store.add_version(first, ("MNQ", "MES"))
        assert not store.add_version(Ledger(ON).weights(first.day_start_ns), ("MNQ",)), "nothing was learned"
        assert [one.name for one in store.versions()] == [first.version]
        kept = store.frozen_weights("MNQ", 5)
        assert kept.version == first.version
        assert kept.of("ob", 15) == first.of("MNQ").of("ob", 15)
        assert kept.of("ob", 15).weight > 1
        assert store.frozen_weights("MES", 5).of("ob", 15).weight > 1, "its relatives speak for it"


def test_marks(tmp_path: Path) -> None:
    with PatternStore(tmp_path / "patterns.db") as store:
        store.add("MNQ", some(10))
        assert not store.marks().frozen
        store.mark("freeze", 1)
        assert store.marks().frozen
        store.mark("unfreeze", 2)
        store.mark("reset", 3)
        assert (store.marks().frozen, store.marks().reset_after) == (False, 10)
        store.add("MNQ", some(12))
        assert sum(len(rows) for _, rows in store.outcomes(store.marks().reset_after)) == 2


def test_trades_that_happened_are_kept_once(tmp_path: Path) -> None:
    trip = RoundTrip(
        NOON_NS, 7, "MNQ", 1, 2, NOON_NS - 5, 10, 12, 400, 60, 8, "target", "MNQ-1-7-1", 0
    )  # fmt: skip
    denial = Denial(NOON_NS, 7, "MNQ-2-8-1", "MNQ", "RC_HOURS", "closed")
    with PatternStore(tmp_path / "patterns.db") as store:
        for _ in range(2):
            store.add_trades([trip], [denial])
        assert store.ask("SELECT signal_id, gross_cents, cost_cents FROM trip") == [("MNQ-1-7-1", 400, 68)]
        assert store.ask("SELECT reason FROM denial") == [("RC_HOURS",)]


@pytest.mark.parametrize("side", [PatternReader, PatternStore])
@pytest.mark.parametrize("damage", ["text", "torn", "foreign", "newer"])
def test_a_file_that_is_none_of_ours_is_one_sentence(
    tmp_path: Path, side: type[PatternReader] | type[PatternStore], damage: str
) -> None:
    path = tmp_path / "patterns.db"
    if damage == "text":
        path.write_text("this is no database\n" * 200)
    elif damage == "foreign":
        with sqlite3.connect(path) as db:
            db.execute("CREATE TABLE photo (name TEXT)")
    else:
        with PatternStore(path) as store:
            store.add("MNQ", some(200))
        if damage == "torn":
            path.write_bytes(path.read_bytes()[:100] + b"\xff" * 8000)
        else:
            with sqlite3.connect(path) as db:
                db.execute("PRAGMA user_version = 9")
    before = path.read_bytes()
    with pytest.raises(DataError) as caught:
        side(path)
    assert "\n" not in str(caught.value)
    assert "move" in str(caught.value)
    assert path.read_bytes() == before, "nothing of it is touched"


def test_what_is_not_there_or_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no pattern database"):
        PatternReader(tmp_path / "patterns.db")
    with pytest.raises(DataError, match="cannot be written"):
        PatternStore(tmp_path / "nowhere" / "patterns.db")
    (tmp_path / "real.db").touch()
    (tmp_path / "link.db").symlink_to(tmp_path / "real.db")
    with pytest.raises(DataError, match="cannot be written"):
        PatternStore(tmp_path / "link.db")


def test_damage_in_the_middle_is_told_when_it_is_met(tmp_path: Path) -> None:
    path = tmp_path / "patterns.db"
    with PatternStore(path) as store:
        store.add("MNQ", some(400))
    data = bytearray(path.read_bytes())
    data[len(data) // 3 : len(data) * 2 // 3] = b"\xa5" * (len(data) * 2 // 3 - len(data) // 3)
    path.write_bytes(bytes(data))
    with PatternReader(path) as reader, pytest.raises(DataError, match="move it aside"):
        list(reader.outcomes())


def test_sessions_go_by_the_clock_of_chicago() -> None:
    hour = 3_600 * 10**9
    names = [session_name(NOON_NS + shift * hour) for shift in (0, 5, 6, 13, 14, 20, 21)]
    assert names == [
        ("new_york", 12), ("asia", 17), ("asia", 18), ("asia", 1), ("london", 2), ("london", 8), ("new_york", 9),
    ]  # fmt: skip


def test_the_next_trading_day() -> None:
    from datetime import date

    assert next_day_start_ns(date(2026, 11, 17)) == trading_day_start_ns(NOON_NS) + DAY_NS
