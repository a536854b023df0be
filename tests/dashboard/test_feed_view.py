"""The window on a running engine: what it sees is what is there, and it leaves nothing."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine_scene import ACCOUNT, MINUTE, START, Scene, closed, denied, signal, taken, tape
from tbot.dashboard.feed_view import aggregated, open_view
from tbot.domain.timeframes import TIMEFRAMES_MIN
from tbot.storage.journal_reader import JournalReader, Row
from tbot_ext.records import Flag, Kind
from tbot_ext.ring import reader_positions


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.close()


def test_bars_are_the_engines_own_and_the_forming_one_comes_from_the_ring(scene: Scene) -> None:
    contract = scene.contracts["MNQ"]
    contract.trade(tape("MNQ", 305)[300 * 24 : 303 * 24 + 10], show=False)  # the worker's beat comes later
    view = scene.open()
    view.refresh("MNQ")
    late = {minutes: view.bars("MNQ", minutes, 300) for minutes in TIMEFRAMES_MIN}
    contract.board.show(contract.pipeline)
    for minutes in TIMEFRAMES_MIN:
        closed_bars = contract.pipeline.bars(minutes, 300)
        forming = contract.pipeline.partial(minutes)
        for name in ("start_ns", "open", "high", "low", "close", "volume", "trades"):
            whole = [*closed_bars[name].tolist(), int(forming[name])][-300:]
            assert late[minutes][name].tolist()[-len(whole) :] == whole[-len(late[minutes]) :], (minutes, name)
        assert late[minutes]["flags"][-1] & Flag.PARTIAL
    view.refresh("MNQ")
    assert np.array_equal(view.bars("MNQ", 1, 50)[:-1], contract.pipeline.bars(1, 49))


def test_zones_and_lines_are_the_pipelines(scene: Scene) -> None:
    view = scene.open()
    view.refresh("MNQ")
    pipeline = scene.contracts["MNQ"].pipeline
    rows = pipeline.zones(5)
    zones = view.zones("MNQ", 5)
    assert len(zones) == len(rows) > 0
    for zone, row in zip(zones, rows, strict=True):
        assert (zone.id, zone.top, zone.bottom, zone.side) == tuple(row[["id", "top", "bottom", "side"]])
        assert zone.top > zone.bottom
        assert 0 <= zone.score <= 100
    lines = view.lines("MNQ", 1)
    assert sorted(line.price for line in lines if line.pool) == sorted(pipeline.pools(1)["level"].tolist())
    assert [line.price for line in lines] == sorted(line.price for line in lines)


def test_the_newest_price_is_the_rings(scene: Scene) -> None:
    view = scene.open()
    view.refresh("MNQ")
    newest = tape("MNQ", 300)[-2:]
    mark = view.mark("MNQ")
    assert (mark.last, mark.bid, mark.ask) == (newest["price"][1], newest["price"][0], newest["price2"][0])
    assert mark.market_ns == newest["exch_ns"][1]


def test_a_gap_is_not_drawn_over(scene: Scene) -> None:
    contract = scene.contracts["MNQ"]
    gap = tape("MNQ", 1)[:1]
    gap["kind"], gap["exch_ns"] = Kind.GAP, START + 301 * MINUTE
    contract.trade(tape("MNQ", 301)[300 * 24 :], show=False)
    contract.ring.push_many(gap)
    view = scene.open()
    view.refresh("MNQ")
    assert int(view.bars("MNQ", 1)["start_ns"][-1]) < START + 300 * MINUTE


def test_nothing_is_there_yet_or_any_more(tmp_path: Path) -> None:
    view = open_view(tmp_path / "run", tmp_path / "state")
    view.refresh("MNQ")
    assert not view.there
    assert view.status() == {}
    assert len(view.bars("MNQ", 1)) == len(view.zones("MNQ", 5)) == len(view.lines("MNQ", 5)) == 0
    assert view.signals() == view.trades() == view.events() == []
    assert view.mark("MNQ").last is None
    scene = Scene(tmp_path)
    view.refresh("MNQ")
    assert view.there
    assert len(view.bars("MNQ", 1)) > 100
    view.close()
    scene.close()


def test_it_takes_no_reader_slot_and_leaves_no_trace(scene: Scene) -> None:
    scene.write_status()
    scene.journal(taken(signal(1, scene.now_ns, 100_000)))
    files = {path: path.read_bytes() for path in scene.run_dir.iterdir()}
    state = sorted(path.name for path in scene.state_dir.iterdir())
    view = scene.open()
    for _ in range(3):
        view.refresh("MNQ")
        assert len(view.signals()) == 1
    assert set(reader_positions(scene.contracts["MNQ"].segments[0].buf)) == {-1}
    view.close()
    assert {path: path.read_bytes() for path in scene.run_dir.iterdir()} == files
    assert sorted(path.name for path in scene.state_dir.iterdir()) == state


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"schema": "other"}'])
def test_a_status_that_is_none_is_passed_over(scene: Scene, content: bytes) -> None:
    (scene.state_dir / "status.json").write_bytes(content)
    view = scene.open()
    view.refresh("MNQ")
    assert view.status() == {}
    scene.write_status(state="ACTIVE")
    view.refresh("MNQ")
    assert view.status()["state"] == "ACTIVE"


def test_signals_and_what_became_of_them(scene: Scene) -> None:
    one, two, three = (signal(number, scene.now_ns + number, 100_000) for number in (1, 2, 3))
    scene.journal(taken(one), denied(two), taken(three, 1), closed(one, scene.now_ns + 9, 85))
    scene.write_status()
    view = scene.open()
    view.refresh()
    assert [(row.signal_id, row.outcome) for row in view.signals()] == [
        ("MNQ-3", "taken 1"), ("MNQ-2", "denied RC_WINDOW"), ("MNQ-1", "+$82.56"),
    ]  # fmt: skip
    assert [trip.net_cents for trip in view.trades()] == [8256]
    assert [event.kind for event in view.events()] == [
        "SIGNAL", "INTENT", "SIGNAL", "DENIAL", "SIGNAL", "INTENT", "FILL", "ROUND",
    ]  # fmt: skip
    assert view.signals(1)[0].answers[0].account == ACCOUNT


def test_the_journal_is_read_on_row_by_row(scene: Scene) -> None:
    view = scene.open()
    for number in range(1, 4):
        scene.journal(taken(signal(number, scene.now_ns + number, 100_000)))
        scene.write_status(uptime_s=number)
        view.refresh()
        assert [row.signal_id for row in view.signals()] == [f"MNQ-{n}" for n in range(number, 0, -1)]


def test_a_row_written_during_a_look_is_shown_once(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The head is read before the rows: what comes in between belongs to the next look."""
    scene.journal(taken(signal(1, scene.now_ns, 100_000)))
    scene.write_status()
    view = scene.open()
    view.refresh()
    rows = JournalReader.rows

    def late(reader: JournalReader, after: int = 0) -> Iterator[Row]:
        monkeypatch.setattr(JournalReader, "rows", rows)
        scene.journal(taken(signal(3, scene.now_ns, 100_000)))
        return rows(reader, after)

    monkeypatch.setattr(JournalReader, "rows", late)
    scene.journal(taken(signal(2, scene.now_ns, 100_000)))
    for look in (1, 2):
        scene.write_status(uptime_s=10**look)  # another size: another file, however coarse the clock
        view.refresh()
    assert [row.signal_id for row in view.signals()] == ["MNQ-3", "MNQ-2", "MNQ-1"]
    assert [event.kind for event in view.events()] == ["SIGNAL", "INTENT"] * 3


def test_aggregation_is_the_pipelines(scene: Scene) -> None:
    pipeline = scene.contracts["MNQ"].pipeline
    minutes = pipeline.bars(1, 600)
    made = aggregated(minutes, 15)
    wanted = pipeline.bars(15, 600)
    for name in ("start_ns", "open", "high", "low", "close", "volume", "delta", "trades"):
        assert made[name][1 : len(wanted)].tolist() == wanted[name][1:].tolist(), name
