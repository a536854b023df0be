"""The report as a page of HTML: self-contained, escaped, the same content, and the verdict at both ends."""

import re
import sys
from dataclasses import replace
from functools import cache
from typing import Any
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest

from html_page import Page
from report_cases import denial, judged, judged_long, lively_result, long_result, result_of, trip
from tbot.backtest.results import BacktestResult
from tbot.errors import ConfigError
from tbot.validation import report_pictures
from tbot.validation.report_html import MOST_TRADES, page, tone
from tbot.validation.report_tables import tables_of
from tbot.validation.report_words import Extra

HELSINKI = ZoneInfo("Europe/Helsinki")
TITLES = (
    "By month", "By week (from Monday)", "By pattern and timeframe", "By hour of entry (Chicago)", "By side", "Exits",
    "Honesty", "Signals that were not taken", "Net result at multiples of the costs", "Worst and best on the way",
    "Score against outcome", "Notes", "Balance, and drawdown below it",
)  # fmt: skip


def made(result: BacktestResult, **more: Any) -> str:
    told = judged_long() if result is long_result() else judged(result)
    return page(result, told, zone=HELSINKI, **more)


@cache
def long_page() -> str:
    return made(long_result())


@pytest.mark.parametrize("make", [lively_result, long_result, result_of, lambda: result_of(trip(500))],
                         ids=["tape", "long", "empty", "one"])  # fmt: skip
def test_V15_every_page_is_whole_and_has_the_verdict_at_both_ends(make: Any) -> None:
    result = make()
    told = Page(made(result))
    assert told.open == []
    lines = [word for word in told.words if "VERDICT" in word]
    assert len(lines) == 2 * len(result.accounts)
    assert told.words[-1] == lines[-1]
    assert told.words.index(lines[0]) <= 2, "behind the titles"


def test_a_page_needs_nothing_else() -> None:
    text = long_page()
    told = Page(text)
    assert not {"script", "iframe", "link", "object", "embed", "img", "form"} & set(told.tags)
    assert all(link.startswith("#") for link in told.links), "only marks inside the page"
    assert not re.search(r"url\((?!#)", text)
    assert "@import" not in text
    assert not re.findall(r'(?<!xmlns=")(?<!xmlns:xlink=")https?://', text)


def test_words_from_outside_are_escaped() -> None:
    evil = "<script>alert('&')</script>"
    result = result_of(trip(500, exit_code="<b>x</b>"), notes=(evil,), denials=(replace(denial("<i>R"), text=evil),))
    text = made(result, extra=Extra(data=(evil,), accounts={1: evil}, strategy=evil))
    told = Page(text)
    assert not {"script", "i"} & set(told.tags)
    assert "<b>x</b>" not in text
    assert sum(evil in word for word in told.words) >= 4, "as text it is all there"


def test_the_page_says_what_the_terminal_says() -> None:
    words = Page(long_page()).words
    for title in TITLES:
        assert title in words, title
    assert any(word.startswith("Odds of a Combine") for word in words)
    assert any(word.startswith("TEMPLATE") for word in words)
    assert [f"V{n}" for n in range(1, 15)] == [word for word in words if re.fullmatch(r"V\d+", word)]


def test_pictures_are_xml_in_the_colours_of_the_page() -> None:
    text = long_page()
    pictures = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(pictures) == 5
    for svg in pictures:
        ElementTree.fromstring(svg)
        assert "var(--" in svg
        assert "#0102" not in svg, "a colour that no variable took"
    used = set(re.findall(r"var\(--(\w+)\)", "".join(pictures)))
    light, dark = text.index(":root"), text.index("prefers-color-scheme: dark")
    for name in used:
        assert text.index(f"--{name}:", light) < dark < text.index(f"--{name}:", dark), name


def test_equal_results_give_equal_pages() -> None:
    assert made(long_result()) == long_page()


def test_no_id_is_there_twice_with_another_meaning() -> None:
    """Pictures share one page, so what they refer to must be the same wherever it has the same name."""
    text = long_page()
    found: dict[str, set[str]] = {}
    for name, body in re.findall(r'<(?:path|clipPath) id="([^"]+)"(.*?)(?:/>|</clipPath>)', text, re.DOTALL):
        found.setdefault(name, set()).add(" ".join(body.split()))
    assert found
    assert all(len(bodies) == 1 for bodies in found.values())


def test_long_lists_of_trades_are_cut_and_say_so() -> None:
    n = MOST_TRADES + 3
    result = result_of(*(trip(100 if i % 2 else -100, number=i % 60, hour=9 + i // 60 % 8) for i in range(n)))
    text = made(result)
    assert f"Trades, the last {MOST_TRADES:,} of {n:,}" in text
    assert len(re.findall(r'<td class="">07-(?:29|30) ', text)) == MOST_TRADES


def test_excursions_are_drawn_only_where_they_were_watched() -> None:
    rows = tables_of(result_of(trip(500)), 1).rows
    assert report_pictures.excursions(rows) is None, "the best of it was not watched"
    assert report_pictures.excursions(tables_of(result_of(trip(500, mfe_ticks=9)), 1).rows) is not None


def test_pictures_of_many_trades_stay_small_and_say_what_they_leave_out() -> None:
    n = 3 * report_pictures.MOST_POINTS
    rows = [trip(100 if i % 2 else -100, i // 400, number=i % 400, hour=8, mfe_ticks=i % 50) for i in range(n)]
    tables = tables_of(result_of(*rows, days=20), 1)
    told = report_pictures.excursions(tables.rows)
    assert told is not None
    assert "(the last 2,000 trades)" in told
    assert told.count("<use") < report_pictures.MOST_POINTS + 100
    assert len(report_pictures.equity(tables.curve, HELSINKI)) < 300_000


@pytest.mark.parametrize("module", ["jinja2", "matplotlib"])
def test_a_missing_library_is_one_sentence_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == module]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=rf"needs {module}, which is not installed; pip install 'tbot\[report\]'"):
        made(result_of())


def test_signs_choose_the_colour() -> None:
    assert (tone("+$1.00"), tone("−$1.00"), tone("$0.00"), tone("–")) == ("up", "down", "", "")
    assert tone("+0.50 (95 %: −10.23 to +14.91)") == "", "an interval around 0 is neither good nor bad"
