"""limits_override.toml: what it says, in which zone, and every way to write it wrong."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tbot.domain.timeframes import NS_PER_MIN, NS_PER_S
from tbot.errors import ConfigError
from tbot.risk.caps import Cap
from tbot.storage.limits_override import load_caps

CAP = '[[cap]]\nproduct = "GC"\nmost = 3\nfrom = 2026-09-23T17:00:00\nto = 2026-12-31T16:00:00\nsource = "e-mail"\n'
CPI = '[[cpi]]\nat = 2026-12-10T07:30:00\nsource = "bls.gov"\n'


def at(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp()) * NS_PER_S  # type: ignore[misc,arg-type]


def load(tmp_path: Path, text: str) -> tuple[Cap, ...]:
    path = tmp_path / "limits_override.toml"
    path.write_text(text, encoding="utf-8")
    return load_caps(path)


def test_TR5_times_are_chicagos_in_summer_and_in_winter(tmp_path: Path) -> None:
    cap, cpi = load(tmp_path, CPI + CAP)
    assert cap == Cap("GC", 3, at(2026, 9, 23, 22), at(2026, 12, 31, 22), "e-mail")
    release = at(2026, 12, 10, 13, 30)
    assert (cpi.cpi, cpi.from_ns, cpi.to_ns) == (True, release - 5 * NS_PER_MIN, release + 5 * NS_PER_MIN)
    assert [cpi.holds(cpi.from_ns + shift) for shift in (-1, 0)] == [False, True]
    assert [cpi.holds(cpi.to_ns + shift) for shift in (0, 1)] == [True, False]


def test_TR5_an_offset_is_taken_as_written(tmp_path: Path) -> None:
    (cap,) = load(
        tmp_path, CAP.replace("17:00:00", "22:00:00Z").replace("16:00:00", "23:00:00+01:00").replace("GC", "*")
    )
    assert cap == Cap("*", 3, at(2026, 9, 23, 22), at(2026, 12, 31, 22), "e-mail")


def test_TR5_without_a_file_nothing_is_capped(tmp_path: Path) -> None:
    assert load_caps(tmp_path / "limits_override.toml") == ()
    assert load(tmp_path, "# nothing yet\n") == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[cap]", ["not TOML", "line 1"]),
        ("caps = 1", ["'caps'"]),
        ("cap = 3", ["'cap'"]),
        ("cap = [3]", ["'cap'"]),
        (CAP.replace("GC", "GOLD"), ["line 1", "'GOLD'"]),
        (CAP.replace('"GC"', "5"), ["line 1", "product is 5"]),
        (CAP.replace('"GC"', '["GC"]'), ["line 1", "product is ['GC']"]),
        (CPI + CAP + CAP.replace("3", "-3", 1), ["line 10", "-3"]),
        (CAP.replace("most = 3", 'most = "3"'), ["'3'"]),
        (CAP.replace("most = 3", "most = 3.0"), ["3.0"]),
        (CAP.replace("most = 3", "most = nan"), ["nan"]),
        (CAP.replace("2026-12-31T16:00:00", "2026-12-31"), ["line 1", "to is"]),
        (CAP.replace("2026-12-31", "2026-09-22"), ["ends before"]),
        (CAP.replace('"e-mail"', '" "'), ["source"]),
        (CAP.replace('"e-mail"', "7"), ["source is 7"]),
        (CAP + "more = 1\n", ["unknown key 'more'"]),
        (CAP.replace("most = 3\n", ""), ["most is missing"]),
        (CAP + CPI.replace("at =", "on ="), ["line 7", "unknown key 'on'"]),
        (CPI.replace("2026-12-10T07:30:00", "07:30:00"), ["line 1", "at is"]),
        ("cpi = [{ at = 1, source = 'x' }]", ["row 1 of cpi", "at is 1"]),
    ],
)
def test_F_CFG_03_a_bad_row_is_refused_with_line_and_value(text: str, words: list[str], tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    for word in ["limits_override.toml", *words]:
        assert word in str(caught.value)


def test_F_CFG_03_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_caps(tmp_path)
    (tmp_path / "limits_override.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_caps(tmp_path / "limits_override.toml")
