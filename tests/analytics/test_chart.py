"""Pictures: what is drawn for which events, from where to where; files that are the same each time."""

import struct
import subprocess
import sys
from collections import Counter
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from bar_samples import MINUTE, csv_text, walk
from event_builder import EventBuilder
from shared_data import shared
from tbot.analytics.bar_tables import file_columns
from tbot.analytics.chart import MarkedTrade, draw_chart, save_chart
from tbot.analytics.chart_labels import spread
from tbot.analytics.detect import Found, bars_of, find, params_of
from tbot.analytics.kinds import FAMILIES, KINDS
from tbot.analytics.marks import Band, marks_of, most_relevant
from tbot.commands.detect import detect as command
from tbot.errors import ConfigError
from tbot_ext.records import EventCode as E
from tbot_ext.records import Flag

TICK = Decimal("0.25")


def test_a_birth_that_is_a_record_only_is_no_mark() -> None:
    make = EventBuilder()
    first = make.add(E.BREAKER, 40, side=-1, bottom=10, top=20, origin=30)
    make.add(E.BREAKER, 41, flags=int(Flag.DUPLICATE), parent_id=first, side=-1, bottom=10, top=20, origin=30)
    make.add(E.MITIGATION_BLOCK, 41, flags=int(Flag.DUPLICATE), parent_id=first, side=-1, bottom=10, top=20, origin=30)
    make.add(E.BREAKER_DEAD, 60, parent_id=first, side=-1)
    assert [(band.id, band.state) for band in marks_of(make.take(), KINDS, 0, 99).bands] == [(first, "dead")]


def walked(n: int = 400, seed: int = 3) -> Found:
    return find(walk(n, seed, pause_at=n // 2), TICK, 1, params_of(None, 1))


def artists(figure: Any) -> dict[str, Any]:
    """Everything on the price panel that has a name."""
    axes = figure.axes[0]
    named = [*axes.patches, *axes.lines, *axes.collections]
    return {artist.get_gid(): artist for artist in named if artist.get_gid()}


def texts(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


# ---------------------------------------------------------------- events written by hand


def by_hand() -> tuple[Found, dict[str, int]]:
    """200 bars between 19 900 and 20 100 ticks; one of everything. closes = known + 1."""
    bars = walk(200)
    for name in ("open", "high", "low", "close"):
        bars[name] = np.clip(20_000 + (bars[name] - 20_000) // 4, 19_900, 20_100)
    bars["high"][60], bars["low"][60] = 20_100, 19_900
    bars["high"][168:171] = bars["high"][168:171] - 3 + np.array([0, 8, 0])  # the sweep's extreme is on bar 169
    make, ids = EventBuilder(), {}
    ids["live"] = make.order_block(101, 1, 1, 19_950, 19_960, 71.0)
    ids["broken"] = make.add(E.OB, 111, side=-1, bottom=20_030, top=20_040, origin=105, score=40.0)
    ids["gap"] = make.add(E.FVG, 121, side=1, bottom=19_970, top=19_980, origin=119)
    ids["filled"] = make.add(E.FVG, 122, side=-1, bottom=20_010, top=20_020, origin=120)
    make.add(E.FVG_FILLED, 131, parent_id=ids["filled"], side=-1)
    make.add(E.FVG_INVERTED, 132, parent_id=ids["filled"], side=1)
    make.add(E.OB_TESTED, 141, parent_id=ids["live"], n=1, side=1)
    make.add(E.OB_BROKEN, 151, parent_id=ids["broken"], side=-1)
    ids["breaker"] = make.add(E.BREAKER, 151, parent_id=ids["broken"], side=1, bottom=20_030, top=20_040, origin=105)
    ids["block"] = make.add(E.MITIGATION_BLOCK, 155, side=-1, bottom=20_050, top=20_056, origin=150)
    ids["level"] = make.add(E.LEVEL, 161, side=1, bottom=19_990, top=19_994, n=2, origin=90)
    ids["pool"] = make.add(E.POOL, 71, side=1, top=20_060, bottom=20_059, n=2, origin=60)
    ids["joined"] = make.add(E.POOL_JOINED, 91, parent_id=ids["pool"], side=1, top=20_062, bottom=20_059, n=3)
    ids["sweep"] = make.add(E.SWEEP, 171, parent_id=ids["pool"], side=-1, top=20_066, bottom=20_062, origin=168, n=1)
    make.add(E.SWEEP, 171, parent_id=-1, side=-1, top=20_066, bottom=20_064, origin=168, n=2)
    ids["open pool"] = make.add(E.POOL, 72, side=-1, top=19_941, bottom=19_940, n=2, origin=60)
    ids["lone pool"] = make.add(E.POOL, 73, side=-1, level=19_941, n=1, origin=60)
    ids["bos"] = make.add(E.BOS, 101, side=1, top=20_015, bottom=20_015, level=20_015, origin=92)
    ids["choch"] = make.add(E.CHOCH, 111, side=-1, top=20_005, bottom=20_005, level=20_005, origin=95)
    ids["mss"] = make.add(E.MSS, 112, parent_id=ids["choch"], side=-1, level=20_005, origin=95)
    ids["day 1"] = make.add(E.DAY, 65, top=20_070, bottom=19_930, level=20_000, origin=1)
    ids["day 2"] = make.add(E.DAY, 125, top=20_075, bottom=19_935, level=20_000, origin=66)
    make.add(E.SWING_HIGH, 99, side=1, top=20_020, bottom=20_020, level=20_020, origin=93)
    make.add(E.SWING_LOW, 109, side=-1, top=19_980, bottom=19_980, level=19_980, origin=103)
    return Found(bars, make.take(), TICK, 1, params_of(None, 1)), ids


def test_bands_begin_when_known_and_end_when_over() -> None:
    found, ids = by_hand()
    drawn = artists(draw_chart(found, last=150))
    first, right = 50, 199 - 50 + 0.5 + 2

    def span(name: str) -> tuple[float, float, float, float]:
        box = drawn[name]
        return box.get_x(), box.get_x() + box.get_width(), box.get_y(), box.get_y() + box.get_height()

    assert span(f"band:OB:{ids['live']}") == pytest.approx((100.5 - first, right, 4987.5, 4990.0))
    assert span(f"band:OB:{ids['broken']}") == pytest.approx((110.5 - first, 150.5 - first, 5007.5, 5010.0))
    assert span(f"lead:OB:{ids['broken']}") == pytest.approx((104.5 - first, 110.5 - first, 5007.5, 5010.0))
    assert span(f"band:FVG:{ids['gap']}") == pytest.approx((120.5 - first, right, 4992.5, 4995.0))
    assert span(f"band:FVG:{ids['filled']}") == pytest.approx((121.5 - first, 130.5 - first, 5002.5, 5005.0))
    assert span(f"band:IFVG:{ids['filled']}") == pytest.approx((131.5 - first, right, 5002.5, 5005.0))
    assert span(f"band:BREAKER:{ids['breaker']}")[:2] == pytest.approx((150.5 - first, right))
    assert span(f"band:MITIGATION:{ids['block']}")[:2] == pytest.approx((154.5 - first, right))
    assert span(f"band:LEVEL:{ids['level']}") == pytest.approx((160.5 - first, right, 4997.5, 4998.5))


def test_looks_tell_sides_kinds_and_states_apart() -> None:
    found, ids = by_hand()
    drawn = artists(draw_chart(found))
    live, broken = drawn[f"band:OB:{ids['live']}"], drawn[f"band:OB:{ids['broken']}"]
    assert live.get_facecolor()[:3] != broken.get_facecolor()[:3]
    assert live.get_facecolor()[3] > broken.get_facecolor()[3]  # faded
    assert drawn[f"band:FVG:{ids['gap']}"].get_facecolor()[:3] != live.get_facecolor()[:3]
    assert drawn[f"band:BREAKER:{ids['breaker']}"].get_hatch()
    assert drawn[f"band:BREAKER:{ids['breaker']}"].get_hatch() != drawn[f"band:MITIGATION:{ids['block']}"].get_hatch()


def test_lines_and_points() -> None:
    found, ids = by_hand()
    figure = draw_chart(found, last=150)
    drawn, first = artists(figure), 50
    right = 199 - first + 0.5 + 2

    def line(name: str) -> tuple[list[float], float]:
        return list(drawn[name].get_xdata()), drawn[name].get_ydata()[0]

    assert line(f"break:BOS:{ids['bos']}") == ([92 - first, 100 - first], 5003.75)
    assert line(f"break:MSS:{ids['choch']}") == ([95 - first, 110 - first], 5001.25)  # under its stronger name
    assert f"break:CHOCH:{ids['choch']}" not in drawn
    assert line(f"pool:{ids['pool']}") == ([70.5 - first, 170 - first], 5015.5)  # the joined, higher level
    assert line(f"pool:{ids['open pool']}") == ([71.5 - first, right], 4985.0)
    assert f"pool:{ids['lone pool']}" not in drawn
    assert line(f"period:PDH:{ids['day 1']}") == ([64.5 - first, 124.5 - first], 5017.5)
    assert line(f"period:PDL:{ids['day 2']}") == ([124.5 - first, right], 4983.75)
    assert drawn["sweep:169:-1"].get_offsets().tolist() == [[169 - first, 5016.5]]
    assert len(drawn["SWING_HIGH"].get_offsets()) == len(drawn["SWING_LOW"].get_offsets()) == 1
    said = texts(figure)
    assert {"BOS", "MSS", "sweep ×2", "PDH", "PDL", "SSL ×2", "+OB 71 tested", "S ×2", "+BRK"} <= set(said)
    assert said.count("PDH") == said.count("old PDL") == 1


def test_kinds_choose_what_is_drawn() -> None:
    found, _ = by_hand()

    def names(*families: str) -> set[str]:
        kinds = frozenset().union(*(FAMILIES[family] for family in families))
        drawn = artists(draw_chart(found, kinds=kinds))
        return {":".join(name.split(":")[:2]) for name in drawn if ":" in name}

    assert names("ob") == {"band:OB", "lead:OB"}
    assert names("fvg", "bos") == {"band:FVG", "lead:FVG", "band:IFVG", "break:BOS"}
    assert {name.split(":")[0] for name in names("day", "pool", "sweep")} == {"period", "pool", "sweep"}
    assert names("run") == set()


def test_a_sweep_of_lows_stands_at_the_end_of_the_lowest_wick() -> None:
    """Its bars are from the run to the close back inside; a sweep of highs is drawn in test_lines_and_points."""
    found, _ = by_hand()
    bars = found.bars.copy()
    bars["low"][140:143] = [19_950, 19_940, 19_945]
    make = EventBuilder()
    make.add(E.SWEEP, 143, side=1, top=19_960, bottom=19_940, origin=140, n=1)
    drawn = artists(draw_chart(Found(bars, make.take(), TICK, 1, found.params)))
    assert drawn["sweep:141:1"].get_offsets().tolist() == [[141 - 50, 4985.0]]


def test_trades() -> None:
    found, _ = by_hand()
    start = int(found.bars["start_ns"][150])
    trade = MarkedTrade(start, 1, 5000.0, 4995.0, 5010.0, "OB 71", start + 20 * MINUTE)
    old = MarkedTrade(int(found.bars["start_ns"][3]), -1, 5000.0, 5005.0, 4990.0, "old", start - 140 * MINUTE)
    running = MarkedTrade(int(found.bars["start_ns"][60]), -1, 5000.0, 5005.0, 4990.0, "running")
    figure = draw_chart(found, trades=[trade, old, running])
    drawn = artists(figure)
    open_box = drawn["trade:stop:2"]
    assert open_box.get_x() == 9.5
    assert open_box.get_x() + open_box.get_width() == pytest.approx(150 - 0.5 + 2)  # up to where living marks end
    target, stop = drawn["trade:target:0"], drawn["trade:stop:0"]
    assert (target.get_y(), target.get_height(), stop.get_y(), stop.get_height()) == (5000.0, 10.0, 4995.0, 5.0)
    assert (target.get_x(), target.get_width()) == (99.5, 20.0)  # from the close of bar 149 to that of bar 169
    assert "trade:target:1" not in drawn
    assert "▲ OB 71" in texts(figure)


# ---------------------------------------------------------------- a whole market


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_mark_begins_before_it_was_known(seed: int) -> None:
    """Bands by their events; and a picture of a shorter series has the same bands up to its last bar."""
    found = walked(600, seed)
    known = dict(found.events[["id", "known"]].tolist())
    marks = marks_of(found.events, KINDS, 450, 599)
    assert len(marks.bands) > 10
    for band in marks.bands:
        assert band.known >= known[band.id]
        assert band.end is None or band.end >= band.known
    part = found.events[found.events["known"] <= 500]
    assert marks_of(part, KINDS, 450, 500) == marks_of(found.events, KINDS, 450, 500)


def test_candles_and_volumes() -> None:
    found = walked()
    figure = draw_chart(found, name="walk", last=120)
    drawn = artists(figure)
    assert len(drawn["bodies"].get_paths()) == len(drawn["wicks"].get_paths()) == 120
    wick = drawn["wicks"].get_segments()[-1]
    assert wick[:, 1].tolist() == [float(found.bars["low"][-1]) * 0.25, float(found.bars["high"][-1]) * 0.25]
    assert [bar.get_height() for bar in figure.axes[1].patches] == found.bars["volume"][-120:].tolist()
    assert any("walk" in text.get_text() for text in figure.texts)


def test_few_bars_and_flat_ones() -> None:
    bars = walk(1)
    draw_chart(find(bars, TICK, 1, params_of(None, 1)))
    bars = walk(30)
    for name in ("open", "high", "low", "close"):
        bars[name] = 20_000
    bars["volume"] = 0
    draw_chart(find(bars, TICK, 1, params_of(None, 1)))
    with pytest.raises(ValueError, match="no bars to draw"):
        draw_chart(find(bars[:0], TICK, 1, params_of(None, 1)))


def test_clutter_is_limited() -> None:
    bands = [Band(k, "FVG", 1, k, k, None if k % 2 else 99, 100 + k, 99 + k, k / 40, "active") for k in range(40)]
    chosen = most_relevant(bands, 110, {"FVG": (3, 2)})
    assert [band.id for band in chosen if band.end is None] == [9, 11, 13]  # nearest to 110
    assert [band.id for band in chosen if band.end is not None] == [36, 38]  # best
    counts = Counter(
        name.split(":")[1] for name in artists(draw_chart(walked(2000), last=500)) if name.startswith("band")
    )
    assert counts["OB"] <= 9
    assert counts["FVG"] <= 7


@given(st.lists(st.floats(0, 600), max_size=40))
def test_labels_at_the_edge_never_touch(places: list[float]) -> None:
    places.sort()
    moved = spread(places, 12.0, 0.0, 600.0)
    assert len(moved) == len(places)
    assert all(b - a > 12.0 - 1e-6 for a, b in pairwise(moved))
    apart = all(b - a >= 12.0 for a, b in pairwise(places))
    assert not apart or moved == pytest.approx(places)


# ---------------------------------------------------------------- files


def png_size(data: bytes) -> tuple[int, int]:
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    return width, height


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_files_are_the_same_each_time(tmp_path: Path, suffix: str) -> None:
    found = walked()
    one, two = tmp_path / f"one{suffix}", tmp_path / f"two{suffix}"
    save_chart(found, one, name="walk", last=60)
    save_chart(walked(), two, name="walk", last=60)
    assert one.read_bytes() == two.read_bytes()
    if suffix == ".png":
        assert png_size(one.read_bytes()) == (1600, 900)


def test_the_command_draws(tmp_path: Path) -> None:
    bars, picture = tmp_path / "ES.csv", tmp_path / "picture.PNG"
    bars.write_text(csv_text(walk(600)))
    arguments = [bars, "--timeframe", "5m", "--plot", picture, "--plot-bars", "60", "--kinds", "ob", "--tz", "UTC"]
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.stderr
    assert png_size(picture.read_bytes()) == (1600, 900)
    assert f"wrote {picture}" in result.stderr


def test_without_matplotlib_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    bars = tmp_path / "ES.csv"
    bars.write_text(csv_text(walk(100)))
    arguments = [str(bars), "--timeframe", "1m", "--plot", str(tmp_path / "x.png")]
    result = CliRunner().invoke(command, arguments)
    assert isinstance(result.exception, ConfigError)
    assert "pip install 'tbot[report]'" in str(result.exception)
    assert result.stdout == ""  # nothing was done before the refusal


def test_matplotlib_is_loaded_for_pictures_only() -> None:
    code = (
        "import sys, tbot; tbot.detect; import tbot.commands.detect, tbot.analytics.chart; print(sorted(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert "tbot.analytics.chart" in done.stdout
    assert "'matplotlib" not in done.stdout


@pytest.mark.shared_data
def test_a_picture_of_real_bars(tmp_path: Path) -> None:
    path = shared("market/bars_1m/NQ_1m_tsx_20260120_20260318.parquet")
    found = find(bars_of(path, file_columns(path), TICK, 15), TICK, 15, params_of(None, 15))
    save_chart(found, tmp_path / "nq.png", name=path.name)
    assert png_size((tmp_path / "nq.png").read_bytes()) == (1600, 900)
    kinds = Counter(name.split(":")[0] for name in artists(draw_chart(found)) if ":" in name)
    assert kinds["band"] > 5
    assert kinds["break"] > 5
