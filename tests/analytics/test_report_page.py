"""The page and the paper: self-contained, escaped, whole, and the same figures as the document."""

import random
import re
import struct
from dataclasses import asdict, replace
from datetime import date
from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from html_page import Page
from report_week import Trade, a_week, several, write_week
from tbot.analytics import broker_words, report_print
from tbot.analytics.journal_records import read
from tbot.analytics.metrics import DEFINITIONS
from tbot.analytics.period import between, parse_week
from tbot.analytics.report import Report, build
from tbot.analytics.report_cells import cards, main_cards, no_trade, trade_sheet
from tbot.analytics.report_page import page
from tbot.analytics.weekly_report import open_journal
from tbot.risk.firm import FirmRules
from tbot.validation.report_words import money

HELSINKI = ZoneInfo("Europe/Helsinki")
WEEK = parse_week("2026-W47")
CASES: dict[str, tuple[Trade, ...]] = {
    "empty": (),
    "one": (Trade("2026-11-17T15:00:00", 5),),
    "all won": tuple(Trade(f"2026-11-1{day}T15:00:00", 5) for day in (6, 7, 8)),
    "unwatched": (Trade("2026-11-17T15:00:00", 5, exit=99_990, mae=None, mfe=None, news=None, dollar=None),),
}


def report_of(trades: Any, **more: Any) -> Report:
    with TemporaryDirectory() as folder:
        write_week(Path(folder) / "journal.db", trades, **more)
        with open_journal(Path(folder)) as family:
            return build(read(family, WEEK), WEEK)


@cache
def full() -> Report:
    return report_of(a_week())


@cache
def full_page() -> str:
    return page(full(), zone=HELSINKI, written_ns=1_795_600_000_000_000_000)


def test_the_page_needs_nothing_else() -> None:
    told = Page(full_page())
    assert told.open == []
    assert "script" not in told.tags
    assert "link" not in told.tags
    assert all(link.startswith("#") for link in told.links)
    assert not re.search(r"url\((?!#)|@import|https?://(?!www\.w3\.org)", full_page())


def test_the_page_says_every_figure_and_every_trade() -> None:
    words = Page(full_page()).words
    for card in (*main_cards(full()), *cards(full())):
        assert card.name in words
        assert card.text in words
    for deal in full().deals:
        assert money(deal.net_cents) in words
    for name in DEFINITIONS:
        assert name.replace("_", " ") in words
    assert any(word.startswith("Equal to the cent to the broker's trades in the journal") for word in words)
    assert "DEMO" in words


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_no_number_at_the_edges(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told = report_of(CASES[name], denied=0)
    text = page(told, zone=HELSINKI, written_ns=1_795_600_000_000_000_000)
    words = " ".join(Page(text).words)
    assert not re.search(r"\b(nan|inf|None|Infinity)\b", words)
    drawn = paper_words(told, monkeypatch)
    assert not re.search(r"\b(nan|inf|None|Infinity)\b", " ".join(drawn))


def test_names_are_escaped_everywhere() -> None:
    with TemporaryDirectory() as folder:
        write_week(Path(folder) / "journal.db", [Trade("2026-11-17T15:00:00", 5)], name="<script>alert(1)</script>&")
        with open_journal(Path(folder)) as family:
            told = build(read(family, WEEK), WEEK)
    text = page(told, zone=HELSINKI, written_ns=0)
    assert "<script" not in text
    assert "<script>alert(1)</script>&" in " ".join(Page(text).words)


def test_several_accounts_have_their_own_lines() -> None:
    told = report_of([Trade("2026-11-17T15:00:00", 5), Trade("2026-11-17T16:00:00", 5, account=1002, exit=99_000)])
    words = Page(page(told, zone=HELSINKI, written_ns=0)).words
    assert "By account" in words
    assert "SIM-1002" in words
    assert "By account" not in Page(full_page()).words


def test_a_long_list_is_cut_and_says_so() -> None:
    sheet = trade_sheet(full(), HELSINKI, 5)
    assert sheet.title == "Every trade, the last 5 of 64"
    assert len(sheet.rows) == 5
    assert sheet.rows[-1][4] == money(full().deals[-1].net_cents)
    assert trade_sheet(full(), HELSINKI).title == "Every trade"


# ------------------------------------------------------------------------------------------------ paper
def paper_words(report: Report, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Everything that is written on the paper."""
    words: list[str] = []
    plain = report_print.Sketch.text

    def noted(self: Any, x: float, y: float, text: str, **how: Any) -> None:
        assert 0 <= x <= report_print.A4[0]
        assert 0 <= y <= report_print.A4[1], text
        words.append(text)
        plain(self, x, y, text, **how)

    monkeypatch.setattr(report_print.Sketch, "text", noted)
    made = report_print.pdf(report, HELSINKI)
    assert made.startswith(b"%PDF-")
    return words


def test_the_paper_has_every_trade_and_group(monkeypatch: pytest.MonkeyPatch) -> None:
    words = paper_words(full(), monkeypatch)
    for deal in full().deals:
        assert money(deal.net_cents) in words
    for lines in full().groups.values():
        assert {line.label for line in lines if line.label.count(" ") or len(line.label) < 4} <= set(words) | {"1001"}
    for card in main_cards(full()):
        assert card.text in words
    assert {name.replace("_", " ") for name in DEFINITIONS} <= set(words)


FLOWS: dict[str, tuple[list[Trade], dict[str, Any]]] = {
    "few": (a_week(n=3), {"firm": {1001: {"rules": asdict(FirmRules())}}}),
    "some": (a_week(n=20), {}),
    "a usual week": (a_week(), {}),
    "many": (a_week(n=110), {}),
    "two accounts": (several(), {"firm": {one: {"rules": asdict(FirmRules())} for one in (1001, 1002)}}),
    "none": (a_week(n=10, monday="2026-11-09") + a_week(n=8, monday="2026-11-23"), {}),
}


@pytest.mark.parametrize("name", FLOWS)
def test_no_page_of_the_paper_but_the_last_is_half_empty_or_overfull(name: str) -> None:
    trades, more = FLOWS[name]
    told = report_of(trades, **more)
    with report_print._drawing():
        pages = [page.figure for page in report_print._tables(told, HELSINKI)]
        titles = [[text.get_text() for text in page.texts if text.get_weight() == "bold"] for page in pages]
        for number, page_ in enumerate(pages, start=2):
            ends = [text.get_position()[1] for text in page_.texts] + [one.get_position().y0 for one in page_.axes]
            lowest = min(ends) * report_print.A4[1]
            assert lowest >= report_print.BOTTOM - 0.1, (number, titles[number - 2])
            if number <= len(pages):
                assert lowest < report_print.A4[1] / 2, (number, titles[number - 2])
    cut = {title.removesuffix(", continued") for page_ in titles for title in page_ if title.endswith(", continued")}
    assert cut <= {"Every trade"}, "a short table is not cut"
    assert titles[-1].count("What the words mean") == 1
    assert len(pages) <= 4 + len(told.deals) // 25


@pytest.mark.parametrize("count", [1, 2, 9, 14, 60])
def test_columns_of_a_page_are_as_even_as_can_be_and_in_order(count: int) -> None:
    room = report_print.TOP - report_print.BOTTOM
    rng = random.Random(count)
    heights = [rng.uniform(0.5, 2.0) for _ in range(count)]
    first, second = report_print._split(heights)
    left, right = sum(heights[:first]), sum(heights[first : first + second])
    assert first >= 1
    assert max(left, right) <= room
    if first + second == count:
        assert all(max(left, right) <= max(sum(heights[:at]), sum(heights[at:])) for at in range(1, count + 1))
    else:
        assert right + heights[first + second] > room


# ------------------------------------------------------------------------------------------------ a week of nothing
def idle_week(**more: Any) -> Report:
    return report_of(FLOWS["none"][0], **more)


def test_a_week_without_a_trade_says_so_and_claims_nothing() -> None:
    told = idle_week()
    text = page(told, zone=HELSINKI, written_ns=0)
    said = " ".join(Page(text).words)
    assert "No trade was made in week 47 of 2026. The engine ran on 5 trading days of it and gave 0 signals." in said
    assert "Nothing to compare with the broker's trades in the journal: there are none in this period" in said
    for word in ("Equal to the cent", "✓", "nan", "inf", "Best trade", "Avg win"):
        assert word not in said, word
    assert 'class="broker idle"' in text
    assert [card.text for card in main_cards(told)] == ["$0.00", "5", "0", "0"]
    with report_print._drawing():
        words = [one.get_text() for one in report_print._first_page(told).texts]
    assert sum(word.startswith("No trade was made in week 47 of 2026.") for word in words) == 1
    assert sum(word.startswith("– Nothing to compare") for word in words) == 1
    assert any(word.startswith("Since 9 Nov 2026") for word in words), "what came before stands on the first page"


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (("2026-11-17", "2026-11-17"), "on Tue 17 November 2026"),
        (("2026-11-17", "2026-11-18"), "from 17 November 2026 to 18 November 2026"),
    ],
)
def test_other_stretches_without_a_trade_are_named(days: tuple[str, str], words: str) -> None:
    told = replace(idle_week(), period=between(*days, date(2026, 11, 20)))
    assert no_trade(told).startswith(f"No trade was made {words}. ")


def test_trades_that_closed_nothing_are_no_equality_either() -> None:
    told = idle_week()
    check = replace(told.broker, fills=3)
    assert broker_words.broker_mark(check) == "–"
    assert "3 trades closed no round trip in this period" in broker_words.broker_line(check)
    words = "No round trip ended in week 47 of 2026: 3 trades closed none."
    assert no_trade(replace(told, broker=check)).startswith(words)


def test_days_and_hours_are_written_one_way() -> None:
    """As in the tables: Fri 20 Nov, and 08."""
    trades, more = FLOWS["two accounts"]
    for told in (full(), report_of(trades, **more)):
        labels = re.findall(r"<text [^>]*>([^<]*)", page(told, zone=HELSINKI, written_ns=0))
        assert not [label for label in labels if re.fullmatch(r".*\d\.\d+\.", label)]
        assert "Fri 20 Nov" in labels
        assert any(re.fullmatch(r"0\d", label) for label in labels)


def test_the_picture_is_page_one() -> None:
    data = report_print.png(full())
    width, height = struct.unpack(">II", data[16:24])
    assert (width, height) == (1402, 992)
    assert len(data) < 400_000  # it goes into messages


def small() -> list[Trade]:
    """Results and ways of a few dollars."""
    exits = (99_997, 100_004, 99_997, 100_004)
    return [
        Trade(f"2026-11-1{6 + n}T15:00:00", 5, size=1, mae=2 + n % 3, mfe=16 + n % 2, exit=exits[n]) for n in range(4)
    ]


@pytest.mark.parametrize("trades", [small(), a_week(), [replace(one, size=60) for one in a_week()]])
def test_no_two_labels_of_an_axis_read_the_same_or_touch(trades: list[Trade]) -> None:
    with report_print._drawing():
        figure = report_print._first_page(report_of(trades))
        FigureCanvasAgg(figure).draw()
        for axes in figure.axes:
            for axis, low, high in ((axes.xaxis, *axes.get_xlim()), (axes.yaxis, *sorted(axes.get_ylim()))):
                shown = [one for one, at in zip(axis.get_ticklabels(), axis.get_ticklocs(), strict=True)
                         if low <= at <= high]  # fmt: skip
                words = [one.get_text() for one in shown]
                assert len(set(words)) == len(words), words
                if axis is axes.xaxis:
                    spans = [one.get_window_extent() for one in shown]
                    assert all(a.x1 + 2 < b.x0 for a, b in pairwise(spans)), words


def test_a_dollar_sign_is_money_and_no_formula() -> None:
    """matplotlib reads text between two dollar signs as a formula: fatal for a card with two amounts."""
    sketch = report_print.Sketch.blank()
    sketch.text(1, 1, "won $1,000.00, lost $_{2}$")
    assert not sketch.figure.texts[0].get_parse_math()
