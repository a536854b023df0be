"""The report on the terminal: what it says, that it fits, and that the verdict ends it."""

import io
import re
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import click
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from report_cases import denial, judged, judged_long, lively_result, long_result, result_of, trip
from tbot.backtest.results import BacktestResult
from tbot.cli import root
from tbot.validation.assess import Assessment
from tbot.validation.report_honesty import ASK, features
from tbot.validation.report_lines import EquityChart, at_times, bar_of, braille, hanging_columns, line_columns
from tbot.validation.report_tables import Curve
from tbot.validation.report_text import data_words, render
from tbot.validation.report_words import Extra, between, held, money, number, percent, short_money, stamp

HELSINKI = ZoneInfo("Europe/Helsinki")


def shown(result: BacktestResult, width: int = 80, assessments: list[Assessment] | None = None, **more: Any) -> str:
    """The report as plain text."""
    out = io.StringIO()
    told = judged(result) if assessments is None else assessments
    Console(file=out, width=width, color_system=None).print(render(result, told, zone=HELSINKI, **more))
    return out.getvalue()


def section(text: str, title: str) -> list[str]:
    """Lines of a section, from its title to the next empty line."""
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(title))
    return [line.rstrip() for line in lines[start : lines.index("", start)]]


def wide_result() -> BacktestResult:
    """The longest words and large sums."""
    rows = [
        trip(
            net, day, zone_kind="ifvg", contract="6J", exit_code="RC_A_REASON_OF_24_CHARS_", size=150, hour=9 + day,
            risk_cents=5_000_000, entry_price_size=150 * 6_500, exit_price_size=150 * 6_600, exit_reason="target",
        )
        for day, net in enumerate((123_456_700, -98_765_400, 1))
    ]  # fmt: skip
    text = "a long sentence about why this signal was not taken, with a number 12345 and a next step for the reader"
    denials = tuple(replace(denial("RC_A_REASON_OF_24_CHARS_"), text=text) for _ in range(12_345))
    return result_of(*rows, denials=denials, contracts=("6J",), bars={"6J": 1_234_567}, notes=(text * 3,),
                     open_at_end=("account 1: +3 6J was still open when the data ended",))  # fmt: skip


@pytest.mark.parametrize("width", [80, 99, 110, 200])
@pytest.mark.parametrize("make", [lively_result, long_result, result_of, wide_result])
def test_every_line_fits_and_nothing_is_cut_off(make: Any, width: int) -> None:
    result = make()
    text = shown(result, width, limit=None, extra=Extra(data=("a/rather/long/name/of/a.tape",), version="1.2.3"))
    assert max(map(cell_len, text.splitlines())) <= width
    assert "…" not in text


@pytest.mark.parametrize("make", [lively_result, long_result, result_of])
def test_V15_the_verdict_is_the_last_line(make: Any) -> None:
    result = make()
    told = judged(result)
    lines = shown(result, 1_000, told).splitlines()
    prefix = f"Account {told[-1].account}: " if len(told) > 1 else ""
    assert lines[-1] == prefix + told[-1].verdict.line


def test_several_accounts_have_a_part_and_a_verdict_each() -> None:
    result = result_of(trip(500), trip(-300, 1, account=2), accounts=(1, 2))
    lines = shown(result, 400, extra=Extra(accounts={2: "50K"})).splitlines()
    assert [line for line in lines if line.startswith("Account ")][:2] == ["Account 1", 'Account 2 "50K"']
    assert lines[-2].startswith("Account 1: VERDICT")
    assert lines[-1].startswith("Account 2: VERDICT")
    assert sum(line.startswith("Net result  ") for line in lines) == 2


def test_the_summary_by_hand() -> None:
    text = shown(result_of(trip(1_926), trip(-1_074, number=1), trip(-2_074, 1)))
    lines = section(text, "Summary")
    cells = [part.strip() for line in lines[1:] for part in line.split("  ") if part.strip()]
    told = dict(zip(cells[::2], cells[1::2], strict=True))
    assert told["Net result"] == "−$12.22"
    assert told["Won / lost / flat"] == "1 / 2 / 0"
    assert told["Fees, commission"] == "$2.22"
    assert told["Balance"] == "$50,000.00 → $49,987.78"
    assert told["Max drawdown"] == "$31.48, not recovered"
    assert (told["Average won"], told["Average lost"]) == ("+$19.26", "−$15.74")
    assert (told["Win rate"], told["Profit factor"]) == ("33.3 %", "0.61")


@pytest.mark.parametrize(("days", "told"), [(2, False), (3, True)])
def test_ratios_of_a_year_are_told_of_days_enough_for_one_in_every_place(days: int, told: bool) -> None:
    result = result_of(*(trip(net, day) for day, net in enumerate((500, -1_500, 300)[:days])), days=days)
    text = shown(result, 400)
    for name in ("Sharpe, a year", "Sortino, a year"):
        value = re.search(rf"{name} +(\S+)", text)
        assert value is not None
        assert (value[1] != "–") == told
    assert ("too few days with results for a Sharpe ratio" not in text) == told


def test_the_tables_by_hand() -> None:
    text = shown(result_of(
        trip(1_926), trip(-1_074, number=1, hour=9), trip(-2_074, 1, contract="MES", side=-1),
        denials=(denial("RC_WINDOW"),),
    ))  # fmt: skip
    assert section(text, "By hour of entry")[3:] == [
        "09:00       1    0 %  −$10.74  −$10.74  ████████████",
        "13:00       2   50 %   −$0.74   −$1.48  █▋",
    ]
    contracts = section(text, "By contract and side")[3:]
    assert [line.split() for line in contracts] == [
        ["MES", "1", "0", "%", "0.00", "−$20.74", "−1.04", "−$20.74"],
        ["MNQ", "2", "50", "%", "1.79", "+$4.26", "+0.21", "+$8.52"],
        ["long", "2", "50", "%", "1.79", "+$4.26", "+0.21", "+$8.52"],
        ["short", "1", "0", "%", "0.00", "−$20.74", "−1.04", "−$20.74"],
        ["all", "3", "33", "%", "0.61", "−$4.07", "−0.20", "−$12.22"],
    ]
    assert section(text, "Signals that were not taken")[3:] == ["RC_WINDOW        1  denied because of RC_WINDOW"]
    assert section(text, "By week (from Monday)")[3].split()[:2] == ["2026-07-27", "3"]


def test_long_runs_are_told_by_the_month() -> None:
    assert "By month" not in shown(long_result())
    text = shown(result_of(*(trip(500, 31 * month) for month in range(5)), days=130))
    assert [line.split()[0] for line in section(text, "By month")[3:]] == [
        "2026-07", "2026-08", "2026-09", "2026-10", "2026-11", "all"
    ]  # fmt: skip


def test_trades_are_listed_in_both_zones_and_as_many_as_asked() -> None:
    result = long_result()
    n = len(result.trips)
    assert f"Trades, the last 3 of {n}" in shown(result, limit=3)
    assert f"Trades, all {n} of {n}" in shown(result, limit=None)
    assert f"Trades, all {n} of {n}" in shown(result, limit=10_000)
    assert "Trades," not in shown(result, limit=0)
    one = section(shown(result_of(trip(1_926)), 120), "Trades, all 1 of 1")[-1]
    text = shown(result_of(trip(1_926)), 120)
    assert section(text, "Trades, all 1 of 1")[1].split()[:3] == ["opened", "EEST", "Chicago"]
    assert one.split() == [
        "07-29", "21:00", "13:00", "+1", "MNQ", "OB", "15m", "25000.00", "25009.50", "10", "min", "target",
        "+1.0", "+$19.26",
    ]  # fmt: skip


def test_the_zone_stands_in_every_row_where_the_clock_changes_on_the_way() -> None:
    """Helsinki leaves summer time on 2026-10-25."""
    text = shown(result_of(trip(500, 80), trip(500, 100), days=120), 120)
    lines = section(text, "Trades, all 2 of 2")
    assert lines[1].split()[:2] == ["opened", "Chicago"]
    assert [line.split()[:3] for line in lines[3:]] == [
        ["10-17", "21:00", "EEST"], ["11-06", "20:00", "EET"]
    ]  # fmt: skip


def test_the_header_marks_template_calendars_and_made_ticks() -> None:
    text = shown(long_result(), 200, extra=Extra(data=("gold.csv",), version="9.9"))
    lines = {line[:10].strip(): line[11:].strip() for line in section(text, "T-BOT backtest")[1:]}
    assert lines["Calendar"].startswith("TEMPLATE ")
    assert "MGC* (0 bars)" in lines["Contracts"]
    assert lines["Contracts"].endswith("* ticks made from bars")
    assert lines["Data"].startswith("gold.csv; 1,000 records, 43 trading days")
    assert lines["Plan, data"] == "plan 0123456789ab, data fedcba987654, T-BOT 9.9"
    assert lines["Span"].startswith("2026-07-29 21:00 EEST (13:00 CDT) to ")
    assert "exact" in section(shown(result_of()), "Calendar")[0]


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        ((), []),
        (("bars/gold.csv",), ["bars/gold.csv"]),
        (("a.csv", "b.csv"), ["a.csv, b.csv"]),
        (("/far/bars/a.csv", "/far/bars/b.csv"), ["a.csv, b.csv in /far/bars"]),
        (("one/a.csv", "two/a.csv"), ["one/a.csv", "two/a.csv"]),
    ],
)
def test_files_of_one_folder_are_told_by_their_names(paths: tuple[str, ...], words: list[str]) -> None:
    assert data_words(paths) == words


def test_notes_and_open_positions_are_told() -> None:
    text = shown(result_of(notes=("a hole",), open_at_end=("account 1: +1 MNQ was still open",)), 200)
    assert section(text, "Notes")[1:] == ["• account 1: +1 MNQ was still open", "• a hole"]
    assert "Notes" not in shown(result_of())


def test_words_from_outside_are_no_markup() -> None:
    odd = "[red]x[/red] :warning: [/]"
    result = result_of(
        trip(500, exit_code=odd[:24]), denials=(replace(denial("[b]R"), text=odd),), notes=(odd,),
    )  # fmt: skip
    text = shown(result, 200, extra=Extra(data=(odd,), accounts={1: odd}, strategy=odd))
    assert text.count(odd) == 5
    assert odd[:24].rstrip() in text
    assert "[b]R" in text


@pytest.mark.parametrize("key", ["V3", "V6", "V7", "V9", "V10", "V11", "V12"])
def test_V3_V6_V7_V9_V10_V11_V12_have_a_line_with_a_number_or_a_reason(key: str) -> None:
    result = long_result()
    full = {one.key: one for one in features(result, judged_long()[0], Extra())}
    empty = {one.key: one for one in features(result_of(), judged(result_of())[0], Extra())}
    assert full[key].known is (key != "V7"), "one trial has no probability of overfitting"
    assert any(char.isdigit() for char in full[key].text)
    assert full[key].text != empty[key].text or key == "V7"
    assert "\n" not in full[key].line


def test_what_is_not_there_names_the_command_that_gives_it() -> None:
    told = features(result_of(), judged(result_of())[0], Extra())
    assert [one.key for one in told] == [f"V{n}" for n in range(1, 15)]
    text = shown(result_of(), 200)
    for key, command in ASK.items():
        line = next(line for line in text.splitlines() if line.split()[:1] == [key])
        assert line.rstrip().endswith(f"ask: {command}"), key


def test_every_command_that_a_report_names_is_there() -> None:
    """The groups are asked, so a command that was renamed is noticed here."""
    for text in ASK.values():
        for words in re.findall(r"tbot (\w+)(?: (\w+))?", text):
            if words[0] == "backtest":
                continue  # the one that made the report
            command = root.get_command(click.Context(root), words[0])
            assert command is not None, text
            if isinstance(command, click.Group):
                assert command.get_command(click.Context(command), words[1]) is not None, text
            for option in re.findall(r"--[a-z-]+", text):
                assert any(option in one.opts for one in command.params), text


def test_V4_V7_numbers_from_elsewhere_are_told() -> None:
    result = result_of(trip(500), trip(-300, 1))
    verdict = replace(judged(result)[0].verdict, null_percentile=40.0)
    told = {
        one.key: one.line for one in features(result, replace(judged(result)[0], verdict=verdict, pbo=0.6), Extra())
    }
    assert told["V4"] == "above 40 % of random levels (not distinguishable from random levels)"
    assert told["V7"] == "probability of backtest overfitting 60 % (more likely than not)"


def test_colours_add_nothing_that_the_signs_do_not_say() -> None:
    result = long_result()
    coloured = io.StringIO()
    console = Console(file=coloured, width=100, force_terminal=True, color_system="truecolor")
    told = judged(result)
    console.print(render(result, told, zone=HELSINKI))
    from rich.text import Text

    assert Text.from_ansi(coloured.getvalue()).plain.rstrip() == shown(result, 100, told).rstrip()


# ------------------------------------------------------------------------------------------------ words
@pytest.mark.parametrize(("cents", "text"), [
    (15_100, "+$151.00"), (-4_800, "−$48.00"), (0, "$0.00"), (-0.2, "$0.00"), (123_456_789, "+$1,234,567.89"),
    (None, "–"), (float("nan"), "–"), (float("inf"), "+∞"), (float("-inf"), "−∞"),
])  # fmt: skip
def test_money(cents: float | None, text: str) -> None:
    assert money(cents) == text


def test_numbers_words_and_times() -> None:
    assert money(float("inf"), signed=False) == "∞"
    assert (number(-0.001), number(1_234.5), number(0.4, signed=True), number(float("inf"))) == (
        "0.00", "1,234.50", "+0.40", "∞",
    )  # fmt: skip
    assert (percent(0.405), percent(None), percent(1.0)) == ("40 %", "–", "100 %")
    assert (held(45 * 10**9), held(600 * 10**9), held(11_100 * 10**9)) == ("45 s", "10 min", "3 h 05")
    assert short_money(-123_456) == "−$1,235"
    assert between(None, money) == "not known"
    assert stamp(1_795_185_000 * 10**9, HELSINKI) == "2026-11-20 16:30 EET (08:30 CST)"


# ------------------------------------------------------------------------------------------------ charts
def test_a_braille_line_by_hand() -> None:
    assert braille([(0, 0), (1, 1), (2, 2), (3, 3)], 1) == ["⠑⢄"]
    assert braille([(0, 3), (0, 3)], 1) == ["⣿"]
    assert braille([(0, -1), (0, -1)], 1) == [" "]
    assert braille([(0, 0), (5, 5)], 2, ascii_only=True) == ["*", "*"]


def test_lines_reach_from_top_to_bottom_and_falls_hang() -> None:
    assert line_columns(np.array([0, 10, 5]), 1) == [(3, 3), (0, 3), (0, 2)]
    assert line_columns(np.array([7, 7]), 2) == [(3, 3), (3, 3)]
    assert hanging_columns(np.array([0, -10, -5, -1]), 1) == [(0, -1), (0, 3), (0, 1), (0, 0)]
    assert hanging_columns(np.array([0, 0]), 1) == [(0, -1), (0, -1)]


changes = st.lists(st.tuples(st.integers(0, 10**12), st.integers(-(10**7), 10**7)), min_size=1, max_size=30)


@settings(max_examples=60)
@given(changes, st.integers(2, 40))
def test_the_chart_shows_the_end_and_the_deepest_fall_of_any_curve(steps: list[tuple[int, int]], dots: int) -> None:
    times = np.cumsum([gap for gap, _ in steps])
    balance = np.cumsum([step for _, step in steps])
    curve = Curve(times, balance, balance - np.maximum.accumulate(balance))
    values, falls = at_times(curve, dots)
    assert len(values) == len(falls) == dots
    assert values[-1] == balance[-1]
    assert falls.min() == curve.fall_cents.min(), "however narrow it was"
    out = io.StringIO()
    Console(file=out, width=60, color_system=None).print(EquityChart(curve, "2026-01-01", "2026-02-01"))
    lines = out.getvalue().splitlines()
    assert len(lines) == 12
    assert max(map(cell_len, lines)) <= 60


def test_bars_of_eighths() -> None:
    assert (bar_of(10, 10, 4), bar_of(-5, 10, 4), bar_of(0, 10, 4), bar_of(0, 0, 4)) == ("████", "██", "", "")
    assert bar_of(0.01, 10, 4) == "▏", "something is not nothing"
    assert bar_of(5, 10, 4, ascii_only=True) == "##"
