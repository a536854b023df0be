"""Events as text: read back, CSV and JSON lines give the values of the array."""

import csv
import io
import json
from decimal import Decimal

import numpy as np
import pytest

from bar_samples import walk
from event_builder import EventBuilder
from tbot.analytics.detect import Found, event_table, find, params_of
from tbot.analytics.event_files import COLUMNS, decimals_of, rows_of, write_events
from tbot.analytics.kinds import FAMILIES, KINDS, parse_kinds
from tbot.errors import ConfigError
from tbot_ext.records import NO_PRICE, EventCode


def found_in(tick: str = "0.25", n: int = 2000) -> Found:
    return find(walk(n, seed=5), Decimal(tick), 1, params_of(None, 1))


def written(found: Found, form: str) -> str:
    file = io.StringIO()
    write_events(file, found.events, found.tick, form)
    return file.getvalue()


def test_the_promised_columns_come_first() -> None:
    assert COLUMNS == (
        "kind", "side", "origin", "known", "known_time", "top", "bottom", "score", "id", "parent_id", "origin_time",
    )  # fmt: skip


@pytest.mark.parametrize("tick", ["0.25", "0.1", "0.00005", "0.015625", "5"])
def test_csv_jsonl_and_array_agree(tick: str) -> None:
    found = found_in(tick)
    table = event_table(found)
    rows = list(csv.DictReader(io.StringIO(written(found, "csv"))))
    lines = [json.loads(line) for line in written(found, "jsonl").splitlines()]
    documents = list(rows_of(found.events, found.tick))
    assert len(rows) == len(lines) == len(documents) == len(table) > 2000
    assert lines == documents
    places = len(tick.partition(".")[2])
    for row, line, event in zip(rows, lines, table, strict=True):
        assert row["kind"] == line["kind"] == event["kind"]
        assert row["known_time"] == line["known_time"]
        assert np.datetime64(row["known_time"][:-1], "ns").astype(int) == event["known_time"]
        for name in ("side", "origin", "known", "id", "parent_id"):
            assert int(row[name]) == line[name] == event[name]
        for name in ("top", "bottom", "score"):
            assert float(row[name]) == line[name] == event[name]
        assert len(row["top"].partition(".")[2]) == places
        minutes = (np.datetime64(row["known_time"][:-1]) - np.datetime64(row["origin_time"][:-1])).astype(int) / 60
        assert minutes == event["known"] - event["origin"] + 1


def test_an_event_with_a_level_only_carries_it_twice_and_one_without_price_nothing() -> None:
    builder = EventBuilder()
    builder.add(EventCode.POOL, 5, side=1, level=400)
    builder.add(EventCode.POOL_EXPIRED, 6, side=1, level=NO_PRICE)
    builder.add(EventCode.OB, 7, side=1, top=8, bottom=0, level=NO_PRICE)
    found = Found(walk(10), builder.take(), Decimal("0.25"), 1, params_of(None, 1))
    table = event_table(found)
    assert table["top"][0] == table["bottom"][0] == 100.0
    assert np.isnan(table["top"][1])
    assert (table["top"][2], table["bottom"][2]) == (2.0, 0.0)
    prices = [line.split(",")[5:7] for line in written(found, "csv").splitlines()[1:]]
    assert prices == [["100.00", "100.00"], ["", ""], ["2.00", "0.00"]]
    assert [json.loads(line)["top"] for line in written(found, "jsonl").splitlines()] == [100.0, None, 2.0]
    assert [document["bottom"] for document in rows_of(found.events, found.tick)] == [100.0, None, 0.0]


def test_decimals() -> None:
    cases = {"0.25": 2, "0.1": 1, "0.10": 1, "5": 0, "10": 0, "0.0000005": 7, "0.015625": 6}
    assert {text: decimals_of(Decimal(text)) for text in cases} == cases


# ---------------------------------------------------------------- kinds


def test_families() -> None:
    assert {code.name for code in FAMILIES["ob"]} == {
        "OB", "OB_REFRESHED", "OB_TESTED", "OB_MITIGATED", "OB_BROKEN", "OB_EXPIRED",
    }  # fmt: skip
    assert {code.name for code in FAMILIES["mitigation"]} == {
        "MITIGATION_BLOCK", "MITIGATION_TESTED", "MITIGATION_DEAD", "MITIGATION_EXPIRED",
    }  # fmt: skip
    assert FAMILIES["swing"] == {EventCode.SWING_HIGH, EventCode.SWING_LOW}
    assert frozenset().union(*FAMILIES.values()) == frozenset(KINDS)
    assert EventCode.BAR not in KINDS


def test_parse_kinds() -> None:
    assert parse_kinds(None) == parse_kinds("") == frozenset(KINDS)
    assert parse_kinds("ob,FVG") == FAMILIES["ob"] | FAMILIES["fvg"]
    assert parse_kinds(" sweep , ob-tested") == {EventCode.SWEEP, EventCode.OB_TESTED}
    assert parse_kinds(["new_york", "choch"]) == {EventCode.NEW_YORK, EventCode.CHOCH}
    for word in ("nonsense", "bar", "NONE"):
        with pytest.raises(ConfigError, match=f"unknown kind '{word}'; families are ob, fvg, .*OB_TESTED"):
            parse_kinds(f"ob,{word}")
