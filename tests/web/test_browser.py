"""The page in real Chromium: zones drawn, nothing in the console, nothing from elsewhere, kill to flat, coming back.

`TBOT_PICTURES=FOLDER` keeps the screenshots there (docs/pictures/web.png is one of them).
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browser import PATIENCE_S, Browser, chromium, needs_chromium, until
from engine_runs import Command
from operate_rig import Rig, holding

pytestmark = [pytest.mark.browser, needs_chromium]
SUPPORT = Path(__file__).parents[1] / "support"
HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"

# What the candle chart's canvas shows where only zones and lines are drawn: behind the newest bar. Of each zone and of
# each gap between zones: how opaque its middle is (0 to 255).
INK = """(() => {
  const chart = window.tbot.chart("candles"), options = chart.getOption();
  const areas = options.series[0].markArea.data.map(([from, to]) => [from.yAxis, to.yAxis]);
  const place = options.xAxis[0].data.length - 9;
  const layers = [...chart.getDom().querySelectorAll("canvas")];
  const scale = layers[0].width / layers[0].clientWidth;
  const look = (price) => {
    const [x, y] = chart.convertToPixel({ xAxisIndex: 0, yAxisIndex: 0 }, [place, price]);
    const at = [Math.round(x * scale), Math.round(y * scale), 1, 1];
    return Math.max(...layers.map((layer) => layer.getContext("2d").getImageData(...at).data[3]));
  };
  const priced = (y) => chart.convertFromPixel({ xAxisIndex: 0, yAxisIndex: 0 }, [50, y])[1];
  const low = priced(chart.getHeight() * 0.75), high = priced(14), least = (high - low) / 99;
  const free = [];
  for (let share = 0.013; share < 1; share += 0.037) {
    const price = low + share * (high - low);
    if (!areas.some(([from, to]) => price >= from - least && price <= to + least)) free.push(price);
  }
  const inside = areas.filter(([from, to]) => from >= low && to <= high).map(([from, to]) => (from + to) / 2);
  return { zones: inside.map(look), free: free.map(look) };
})()"""
HOLD = """((name) => {
  const button = document.querySelector(`dialog .hold-${name}`);
  button.dispatchEvent(new PointerEvent("pointerdown", { bubbles: true, button: 0 }));
  return true;
})(arguments[0])"""


def keep(browser: Browser, folder: Path, name: str) -> None:
    """A screenshot, kept where the person who runs the tests wants it."""
    pictures = os.environ.get("TBOT_PICTURES")
    browser.picture((Path(pictures) if pictures else folder) / name)


@contextlib.contextmanager
def served(folder: Path, *command: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that serves the page, and its first link."""
    path = os.pathsep.join([str(SUPPORT), os.environ.get("PYTHONPATH", "")])
    with (folder / "page.err").open("a") as errors, subprocess.Popen(
        [sys.executable, *command], cwd=folder, stdout=subprocess.PIPE, stderr=errors, text=True,
        env={**os.environ, "PYTHONPATH": path, **environment},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            yield process, str(json.loads(line)["act"]) if line.startswith("{") else line.split()[-1]
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(PATIENCE_S)


def fits(browser: Browser) -> bool:
    """Nothing hangs over the right edge."""
    return bool(browser.run("document.documentElement.scrollWidth <= innerWidth"))


def press(browser: Browser, verb: str) -> None:
    """Open a command's dialog and hold its button."""
    browser.run(f"document.querySelector('[data-act={verb}]').click()")
    browser.until(f"document.querySelector('dialog .hold-{verb}')", "the dialog")
    browser.run(HOLD, verb)


def test_the_page_draws_zones_commands_and_fits_and_asks_nobody_else(tmp_path: Path) -> None:
    """The smoke test: everything but a real engine; strangers' texts are markup and stay text (F-SEC-05)."""
    child = (str(SUPPORT / "web_child.py"), HOSTILE)
    with served(tmp_path, *child) as (_, link), chromium(tmp_path / "profile") as browser:
        browser.size(1366, 768)
        browser.driver.get(link)
        browser.until("document.querySelector('.chip.on') && window.tbot.chart('candles').getOption()"
                      ".series[0].data.length > 50", "candles")  # fmt: skip
        assert link.partition("#")[2] not in browser.run("location.href + document.documentElement.outerHTML")
        ink = browser.run(INK)
        assert len(ink["zones"]) >= 3
        assert all(ink["zones"]), ink
        assert sorted(ink["free"])[: len(ink["free"]) // 2 + 1] == [0] * (len(ink["free"]) // 2 + 1), ink
        assert fits(browser)
        keep(browser, tmp_path, "made-up-1366.png")
        browser.run("document.querySelector('[data-timeframe=\"5\"]').click()")
        browser.until("document.querySelector('[data-timeframe=\"5\"].on')", "the other timeframe")
        browser.run("document.querySelector('[data-symbol=MES]').click()")
        browser.until("document.querySelector('[data-symbol=MES].on')", "the other contract")
        browser.until("window.tbot.chart('candles').getOption().series[0].name === 'MES'", "its candles")
        press(browser, "kill")
        browser.until("document.querySelector('dialog').dataset.phase === 'flat'", "flat")
        assert browser.run("document.querySelectorAll('dialog .steps .yes').length") == 3
        browser.run("document.querySelector('dialog .plain').click()")
        assert browser.run("document.title") == "T-BOT"
        assert browser.complaints() == []
        base = link.partition("/enter")[0]
        allowed = (base, base.replace("http:", "ws:"), "data:", "chrome", "about:")
        assert [address for address in browser.asked_for() if not address.startswith(allowed)] == []


def test_the_page_fits_a_phone(tmp_path: Path) -> None:
    with served(tmp_path, str(SUPPORT / "web_child.py")) as (_, link), chromium(tmp_path / "profile") as browser:
        browser.size(390, 844)
        browser.driver.get(link)
        browser.until("document.querySelector('.chip.on') && window.tbot.chart('candles').getOption()"
                      ".series[0].data.length > 50", "candles")  # fmt: skip
        assert fits(browser)
        box = browser.run("(() => { const b = document.querySelector('.kill').getBoundingClientRect();"
                          "return [b.left, b.right, b.top, b.bottom, b.height] })()")  # fmt: skip
        assert box[0] >= 0
        assert box[1] <= 390
        assert box[3] <= 844  # in reach, whatever is scrolled
        assert box[4] >= 36
        keep(browser, tmp_path, "made-up-390.png")
        assert browser.complaints() == []


# ------------------------------------------------------------------------------------------------------- real engines
def state(browser: Browser) -> Any:
    return browser.run("document.querySelector('.top .state')?.textContent")


def state_of_money(browser: Browser) -> str:
    return str(browser.run("document.querySelector('.top .figures').textContent"))


def web(port: int = 0) -> tuple[str, ...]:
    return "-m", "tbot", "web", "--port", str(port)


@pytest.mark.long
def test_I10_the_kill_switch_on_the_page_brings_a_real_engine_to_flat(tmp_path: Path) -> None:
    with holding(tmp_path) as rig, _page(rig, tmp_path) as browser:
        browser.until("document.querySelector('.pane-positions')?.textContent.includes('protected')", "the position")
        assert not rig.is_flat()
        press(browser, "kill")
        keep(browser, tmp_path, "kill-asked.png")
        browser.until("document.querySelector('dialog').dataset.phase === 'flat'", "flat", 3 * PATIENCE_S)
        assert rig.is_flat()  # by the venue's own word
        keep(browser, tmp_path, "kill-flat.png")
        browser.run("document.querySelector('dialog .plain').click()")
        until(lambda: state(browser) == "LOCKED", "the page says LOCKED")
        assert browser.complaints() == []


@contextlib.contextmanager
def _page(rig: Rig, folder: Path) -> Iterator[Browser]:
    """The page of this rig's engine in a browser."""
    with (
        served(folder, *web(), TBOT_HOME=str(rig.engine.home), **rig.login) as (_, link),
        chromium(folder / "profile") as browser,
    ):
        browser.size(1366, 768)
        browser.driver.get(link)
        yield browser


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_the_page_comes_back_after_a_restart_of_the_engine_and_of_itself(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    patience_s = 4 * PATIENCE_S
    with chromium(tmp_path / "profile") as browser:
        browser.size(1366, 768)
        with served(tmp_path, *web(), TBOT_HOME=str(home)) as (_, link):
            port = int(link.partition("127.0.0.1:")[2].partition("/")[0])
            browser.driver.get(link)
            until(lambda: state(browser) == "NOT RUNNING", "no engine is told")
            for life in ("first", "second"):
                with _engine(home):
                    until(lambda: state(browser) == "ACTIVE", f"ACTIVE in its {life} life", patience_s)
                    browser.until("window.tbot.chart('candles').getOption().series[0].data.length > 100", "candles",
                                  patience_s)  # fmt: skip
                    until(lambda: len(browser.run(INK)["zones"]) >= 2, "zones", patience_s)
                    ink = browser.run(INK)
                    assert all(ink["zones"]), ink
                until(lambda: state(browser) not in ("ACTIVE", "STOPPING"), "its end is told", patience_s)
            assert browser.complaints() == []
        with served(tmp_path, *web(port), TBOT_HOME=str(home)), _engine(home):
            until(lambda: state(browser) == "ACTIVE", "the page goes on by itself", patience_s)
            browser.until("document.querySelector('[data-act=kill]')", "it may still act")
            until(lambda: len(browser.run(INK)["zones"]) >= 2, "zones", patience_s)
            if os.environ.get("TBOT_PICTURES"):  # a picture is worth waiting for something to be seen on it
                with contextlib.suppress(AssertionError):
                    until(lambda: "+$" in state_of_money(browser) or "−$" in state_of_money(browser), "a trade", 600)
            keep(browser, tmp_path, "web.png")


@contextlib.contextmanager
def _engine(home: Path) -> Iterator[Command]:
    engine = Command(home, "run", "--contracts", "MNQ,MES,MGC", "--quiet")
    try:
        yield engine
    finally:
        engine.process.send_signal(signal.SIGINT)
        engine.process.wait(4 * PATIENCE_S)
