"""News in a running feed: from files to the ring, kept fresh, told again to whoever came late."""

from pathlib import Path

import numpy as np
import pytest

from tbot.context.news_settings import NewsSettings
from tbot.context.news_windows import NewsTeller
from tbot.domain.context import ContextKey, ContextRecord, NewsState
from tbot.domain.contracts import PRODUCTS
from tbot.engine.context_feed import NewsFeed
from tbot.engine.contract_feed import ContractFeed
from tbot_ext.records import TICK_DTYPE, Kind
from tbot_ext.ring import RingReader, RingWriter, format_ring, ring_bytes

MIN = 60 * 10**9
AT = 1_796_909_400 * 10**9  # 2026-12-10 13:30 UTC
MNQ = PRODUCTS["MNQ"]
ROW = "at,currency,impact,title\n2026-12-10T13:30:00Z,USD,High,CPI m/m\n"


class Rig:
    def __init__(self, home: Path, **settings: str) -> None:
        self.memory = bytearray(ring_bytes(1 << 10))
        format_ring(self.memory, 1 << 10, MNQ.contract_id, 1)
        self.contract = ContractFeed("MNQ", MNQ, "CON.F.US.MNQ.Z26", RingWriter(self.memory), None)
        self.reader = RingReader(self.memory, 0, "oldest")
        self.feed = NewsFeed(NewsSettings(**settings), home, fetches=False)  # type: ignore[arg-type]
        self.states: dict[int, NewsState] = {}

    def look(self, now_ns: int) -> list[tuple[int, int]]:
        """(key, time) of the records that came."""
        self.feed.look(now_ns, [self.contract])
        out = np.zeros(64, TICK_DTYPE)
        came = out[: self.reader.read(out)]
        for row in came:
            names = ("side", "price", "price2", "size", "volume", "flags")
            self.states[int(row["aux"])] = NewsState.of(ContextRecord(0, *(int(row[name]) for name in names)))
        assert set(came["kind"].tolist()) <= {int(Kind.CONTEXT)}
        return [(int(row["aux"]), int(row["exch_ns"])) for row in came]

    def action(self, now_ns: int) -> str:
        return next(state.action for state in self.states.values() if state.holds(now_ns))


def test_news_reach_the_ring_before_their_edge_and_again_every_minute(tmp_path: Path) -> None:
    (tmp_path / "news.csv").write_text(ROW)
    rig = Rig(tmp_path)
    assert rig.look(AT - 7 * MIN) == []  # nothing was read yet
    assert rig.feed.refresh() == ""
    keys = [key for key, _ in rig.look(AT - 7 * MIN)]
    assert sorted(keys) == [ContextKey.NEWS_EVEN, ContextKey.NEWS_ODD]
    assert rig.look(AT - 7 * MIN + 1) == []
    assert [rig.action(AT + minutes * MIN) for minutes in (-7, -6, -5, 0, 5)] == ["", "", "block", "block", "block"]
    assert len(rig.look(AT - 6 * MIN)) == 2
    rig.look(AT + 6 * MIN)
    assert rig.action(AT + 6 * MIN) == ""
    status = rig.feed.status(AT - 6 * MIN, [rig.contract])
    assert status is not None
    assert status["next"] == [{"time": "2026-12-10T13:30:00Z", "currency": "USD", "impact": "High", "title": "CPI m/m"}]
    assert status["actions"] == {"MNQ": "none"}


def test_who_comes_anew_need_not_wait_for_the_minute(tmp_path: Path) -> None:
    (tmp_path / "news.csv").write_text(ROW)
    rig = Rig(tmp_path)
    rig.feed.refresh()
    rig.look(AT)
    rig.feed.tell_again()
    assert sorted(key for key, _ in rig.look(AT + 1)) == [ContextKey.NEWS_EVEN, ContextKey.NEWS_ODD]
    assert rig.look(AT + 2) == []
    assert len(rig.look(AT + 1 + MIN)) == 2


def test_a_calendar_that_changes_is_told_at_once(tmp_path: Path) -> None:
    own = tmp_path / "news.csv"
    own.write_text(ROW)
    rig = Rig(tmp_path)
    rig.feed.refresh()
    rig.look(AT)
    assert rig.action(AT) == "block"
    own.write_text(ROW.replace("13:30", "18:30"))
    rig.feed.refresh()
    rig.look(AT + 1)
    assert rig.action(AT + 1) == ""


@pytest.mark.parametrize("text", ["at,title\nsoon,x\n", "<html>", ""])
def test_a_broken_file_is_told_and_the_policy_holds(tmp_path: Path, text: str) -> None:
    (tmp_path / "news.csv").write_text(text)
    rig = Rig(tmp_path, stale="block")
    rig.feed.refresh()
    rig.look(AT)
    assert (rig.action(AT), next(iter(rig.states.values())).stale) == ("block", True)
    status = rig.feed.status(AT, [rig.contract])
    assert status is not None
    assert (status["stale"], len(status["problems"])) == (True, 1)


def test_a_run_without_any_source_tells_nothing(tmp_path: Path) -> None:
    rig = Rig(tmp_path, stale="block")
    rig.feed.refresh()
    assert rig.look(AT) == []
    assert rig.feed.status(AT, [rig.contract]) is None


def test_a_calendar_that_comes_while_the_last_one_is_taken_up_is_not_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sources are read by a thread of its own."""
    own = tmp_path / "news.csv"
    own.write_text(ROW.replace("13:30", "18:30"))
    rig = Rig(tmp_path)
    rig.feed.refresh()
    make = NewsTeller.of

    def slowly(*arguments: object) -> NewsTeller:
        monkeypatch.setattr(NewsTeller, "of", make)
        own.write_text(ROW)
        rig.feed.refresh()
        return make(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(NewsTeller, "of", slowly)
    rig.look(AT)
    assert rig.action(AT) == ""
    assert rig.feed.status(AT, [rig.contract]) is not None
    rig.look(AT + 1)
    assert rig.action(AT + 1) == "block"
