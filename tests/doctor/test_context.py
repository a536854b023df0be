"""The doctor's word on news and on the futures of the dollar index."""

import json
from pathlib import Path

from tbot.context.dxy import LEGS
from tbot.context.news_settings import NewsSettings
from tbot.doctor.context import news
from tbot.doctor.online import dollar_legs
from tbot.domain.contracts import PRODUCTS, contract_from_broker_id
from tbot.gateway.codec_domain import broker_contract

NOW = 1_796_909_400 * 10**9  # 2026-12-10 13:30 UTC
HOUR = 3600 * 10**9


def told(home: Path, **settings: object) -> list[tuple[str, str]]:
    return [(found.level, found.text) for found in news(NewsSettings(**settings), home, NOW)]  # type: ignore[arg-type]


def test_a_calendar_that_is_missing_fresh_or_old(tmp_path: Path) -> None:
    assert told(tmp_path, fetch="off") == [("ok", "none are followed: fetch is off, and there is no file")]
    ((level, text),) = told(tmp_path, stale="block")
    assert (level, text.startswith("no calendar yet"), '"block" holds' in text) == ("warn", True, True)
    folder = tmp_path / "news"
    folder.mkdir()
    row = {"title": "CPI m/m", "country": "USD", "date": "2026-12-10T08:30:00-05:00", "impact": "High"}
    (folder / "week_2026-12-06.json").write_text(json.dumps([row]))
    for age_h, expected in ((3, "ok"), (200, "warn")):
        fetched = {"fetched": {"week_2026-12-06.json": NOW - age_h * HOUR}}
        (folder / "fetched.json").write_text(json.dumps(fetched))
        ((level, text),) = told(tmp_path)
        assert (level, f"{age_h} h old" in text) == (expected, True)
    (tmp_path / "news.csv").write_text("<html>")
    assert [level for level, _ in told(tmp_path)] == ["warn", "warn"]


def test_the_futures_of_the_index_are_looked_for_where_a_run_makes_one() -> None:
    names = {symbol: f"CON.F.US.{PRODUCTS[symbol].root}.Z26" for symbol in LEGS}
    listed = [broker_contract(contract_from_broker_id(name)) for name in names.values()]
    assert dollar_legs(listed, ()) == []
    (good,) = dollar_legs(listed, tuple(LEGS))
    assert (good.level, good.text) == ("ok", "6E Z26, 6J Z26, 6B Z26, 6C Z26, 6S Z26")
    (bad,) = dollar_legs(listed[:-1], tuple(LEGS))
    assert (bad.level, bad.text) == ("warn", "6S: 0 active months listed instead of one")
