"""The whole screen from a fixed recorded state: snapshots in both sizes of the reference, and every other size fits."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

import dashboard_status as ds
from dashboard_scene import LATENCY, busy_scene, compare
from engine_scene import ACCOUNT, Scene
from tbot.dashboard import panels
from tbot.dashboard.feed_view import EngineView
from tbot.dashboard.layout import NARROW_PANELS, compose
from tbot.dashboard.rows import plain, width_of
from tbot.dashboard.shown import Choice, Shown, chosen, look_at
from tbot.dashboard.svg import svg
from tbot.dashboard.theme import ANSI, MONO, THEMES, theme_for

DARK = THEMES["dark"]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    made = busy_scene(tmp_path_factory.mktemp("scene"))
    yield made
    made.close()


def frame(scene: Scene, choice: Choice | None = None, **more: Any) -> Shown:
    assert isinstance(scene.view, EngineView)
    return look_at(scene.view, choice or Choice(), 200, latency=LATENCY, **more)


def text_of(shown: Shown, width: int = 150, height: int = 42) -> str:
    return plain(compose(shown, DARK, width, height)).replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("name", "width", "height", "choice"),
    [
        ("80x24", 80, 24, {}),
        ("150x42", 150, 42, {}),
        ("150x42-5m-levels", 150, 42, {"timeframe_min": 5, "zones": "levels"}),
        ("80x24-es-risk", 80, 24, {"symbol": "ES", "panel": 2}),
    ],
)
def test_snapshot(scene: Scene, name: str, width: int, height: int, choice: dict[str, Any]) -> None:
    compare(name, compose(frame(scene, Choice(**choice)), DARK, width, height))


@pytest.mark.parametrize(("name", "width", "height"), [("80x24-no-colour", 80, 24), ("150x42-no-colour", 150, 42)])
def test_snapshot_without_colours(scene: Scene, name: str, width: int, height: int) -> None:
    compare(name, compose(frame(scene), MONO, width, height))


@pytest.mark.parametrize("width", [20, 40, 60, 80, 109, 110, 111, 150, 240, 400])
@pytest.mark.parametrize("height", [3, 5, 10, 24, 42, 100])
def test_every_size_is_filled_exactly(scene: Scene, width: int, height: int) -> None:
    rows = compose(frame(scene), DARK, width, height)
    assert len(rows) == height
    assert {width_of(row) for row in rows} == {width}


@pytest.mark.parametrize("height", [20, 42])
def test_what_matters_is_on_the_screen(scene: Scene, height: int) -> None:
    text = text_of(frame(scene), 150, height)
    for words in (
        "PAPER", "MNQ", "ACTIVE", "50KTC-V2-0001", "day +$212.50", "open +$", "room $1,012.50", "EET", "CST", "LONG 2",
        "daily loss", "33 of 40 left", "SL ", "TP ", "Signals", "Events", "? help",
    ):  # fmt: skip
        assert words in text, words


def test_every_panel_can_be_reached_on_a_narrow_screen(scene: Scene) -> None:
    seen = [text_of(frame(scene, Choice(panel=place)), 80, 24) for place in range(len(NARROW_PANELS))]
    for name, text in zip(NARROW_PANELS, seen, strict=True):
        assert f"─ {name} " in text
    joined = "\n".join(seen)
    for words in ("LONG 2 MNQ @", "daily loss", "CPI m/m", "frame → ring", "worker-MNQ", "▼ short", "6 trades"):
        assert words in joined, words


def test_without_an_engine_it_says_so_at_every_size() -> None:
    shown = Shown(Choice(), {}, gone="no engine runs, waiting for one")
    for width, height in ((80, 24), (150, 42), (30, 8)):
        rows = compose(shown, DARK, width, height)
        assert {width_of(row) for row in rows} == {width}
    assert "no engine runs, waiting for one" in text_of(shown, 80, 24)
    assert "waiting for a contract" in text_of(shown)


def test_a_stopped_engine_is_never_shown_as_running(scene: Scene) -> None:
    text = text_of(frame(scene, gone="engine stopped, waiting for the next one"))
    assert "engine stopped, waiting for the next one" in text
    assert "ACTIVE" not in text.splitlines()[0]
    assert "feed 38/s" not in text
    assert "status is 99 s old" in text_of(frame(scene, age_s=99.0))
    assert "status is" not in text_of(frame(scene, age_s=9.0))


def status_frame(**changes: Any) -> Shown:
    now = 1_795_156_200_000_000_000
    return Shown(Choice("MNQ", str(ACCOUNT)), ds.status(now, **changes))


@pytest.mark.parametrize("badge", ["DEMO", "PAPER", "LIVE", "REPLAY"])
def test_the_badge_says_whose_money(badge: str) -> None:
    row = panels.header(status_frame(badge=badge), 80)[0]
    assert row[0].text == f" {badge} "
    assert row[0].style == f"!black/{badge.lower()}"
    assert plain([row]).startswith(f" {badge} ")


def test_a_state_that_is_not_active_says_why_and_alarms_come_first() -> None:
    shown = status_frame(
        state="PAUSED", reason="no entries, the hub is silent", alarms=[{"code": "RC_MKT_HUB", "text": "hub is silent"}]
    )
    text = text_of(shown)
    assert "PAUSED no entries, the hub is silent" in text
    assert "ALARM   hub is silent (RC_MKT_HUB)" in text


def test_an_unprotected_position_is_shouted_and_a_short_one_is_told_right() -> None:
    held = ds.position(100_000, 1_795_156_200_000_000_000, side=-1, stop=None, target=99_900, protected=False)
    shown = status_frame(accounts={str(ACCOUNT): ds.account(positions=[held])})
    text = plain(panels.position(shown, 44))
    assert "SHORT 2 MNQ @ 25000.00  +$15.00" in text
    assert "TP 24975.00 +$100" in text
    assert "NOT PROTECTED" in text
    assert "SL" not in text


def test_orders_that_are_no_bracket_are_listed() -> None:
    order = {
        "order_id": 5, "contract": "ES", "side": -1, "type": "trailing_stop", "size": 1, "filled": 0, "status": "open",
        "limit": None, "stop": 27_000, "tag": "",
    }  # fmt: skip
    shown = status_frame(accounts={str(ACCOUNT): ds.account(orders=[order])})
    assert "sell 1 ES trailing stop 6750.00  open" in plain(panels.position(shown, 60))


@pytest.mark.parametrize(
    ("room", "style"), [(80_000, "good"), (30_000, "warn"), (5_000, "bad"), (-100, "bad"), (200_000, "good")]
)
def test_distance_to_the_daily_loss(room: int, style: str) -> None:
    shown = status_frame(accounts={str(ACCOUNT): ds.account(day_room_cents=room, day_pnl_cents=room - 80_000)})
    row = panels.risk(shown, 45)[0]
    assert row[1].style == style
    assert width_of(row) <= 45
    assert plain([row]).endswith(f"{'−' if room < 0 else ''}${abs(room) // 100:,} left")


@pytest.mark.parametrize(("wins", "words"), [(1, "PF ∞"), (0, "PF –")])
def test_the_profit_factor_without_a_loss(wins: int, words: str) -> None:
    account = ds.account(profit_factor=None, wins=wins)
    assert words in plain(panels.today(status_frame(accounts={str(ACCOUNT): account}), 44))


def test_odd_names_do_not_break_the_screen() -> None:
    account = ds.account(name="\x1b[31m口座\u202e evil\n" * 4, text="x")
    rows = compose(status_frame(accounts={str(ACCOUNT): account}), DARK, 80, 24)
    assert {width_of(row) for row in rows} == {80}
    assert not any(sign in plain(rows) for sign in "\x1b\u202e")


def test_contract_and_account_are_ones_that_there_are() -> None:
    status = ds.status(1, accounts={"7": ds.account(), "8": ds.account()})
    assert chosen(Choice("NQ", "9"), status) == replace(Choice(), symbol="MNQ", account="7")
    assert chosen(Choice("ES", "8"), status) == Choice("ES", "8")
    assert chosen(Choice("ES"), {}) == Choice("ES")


def test_the_theme_fits_the_terminal() -> None:
    assert theme_for("cb", "truecolor", False) is THEMES["cb"]
    assert theme_for("light", "256", False) is THEMES["light"]
    assert theme_for("dark", "standard", False) is ANSI
    assert theme_for("dark", "truecolor", True) is MONO
    assert theme_for("dark", None, False) is MONO


def test_every_style_has_a_colour_in_every_theme(scene: Scene) -> None:
    """A name that is missing would be drawn in the terminal's own colour, on whatever lies behind."""
    for theme in THEMES.values():
        for width in (80, 150):
            for row in compose(frame(scene, Choice(zones="levels")), theme, width, 42):
                for span in row:
                    for name in span.style.lstrip("!").split("/"):
                        assert name in theme.colours, span
    for theme in THEMES.values():
        assert theme.colours.keys() == DARK.colours.keys()
    for row in compose(frame(scene), ANSI, 150, 42):
        for span in row:
            assert span.style.lstrip("!").split("/")[0] in ANSI.colours, span


def test_no_colours_means_none(scene: Scene) -> None:
    for row in compose(frame(scene), MONO, 150, 42):
        for span in row:
            style = MONO.style(span.style)
            assert style.color is None
            assert style.bgcolor is None


def test_the_picture_as_svg_is_the_same_for_the_same_state(scene: Scene) -> None:
    rows = compose(frame(scene), DARK, 80, 24)
    drawn = svg(rows, DARK, 80, "tbot dashboard")
    assert drawn == svg(rows, DARK, 80, "tbot dashboard")
    assert drawn.startswith("<svg")
    assert "@font-face" not in drawn
    assert 'url("' not in drawn, "who opens the picture would ask somebody for it"
    assert "50KTC-V2-0001" in drawn
    assert THEMES["dark"].colours["demand1"] in drawn
