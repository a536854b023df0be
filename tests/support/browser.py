"""The system's Chromium, driven by selenium: console, screenshots at a width, what a canvas shows."""

import base64
import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
needs_chromium = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="Chromium and its chromedriver are not installed (apt install chromium-driver)"
)
PATIENCE_S = 90  # the machine may be busy with everything else


class Browser:
    """One window."""

    def __init__(self, profile: Path) -> None:
        from selenium import webdriver
        from selenium.common.exceptions import SessionNotCreatedException
        from selenium.webdriver.chrome.service import Service

        options = webdriver.ChromeOptions()
        options.binary_location = str(CHROMIUM)
        flags = ["--headless=new", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={profile}", "--no-first-run",
                 "--disable-dev-shm-usage", "--disable-background-networking"]  # fmt: skip
        flags += ["--no-sandbox"] if os.geteuid() == 0 else []
        for flag in flags:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        try:
            self.driver = webdriver.Chrome(options=options, service=Service(executable_path=DRIVER))
        except SessionNotCreatedException:  # the driver gives a browser one minute to start, on any machine
            self.driver = webdriver.Chrome(options=options, service=Service(executable_path=DRIVER))
        self.driver.set_page_load_timeout(PATIENCE_S)
        self.driver.set_script_timeout(PATIENCE_S)

    def size(self, width: int, height: int) -> None:
        """The page's size in CSS pixels; a phone's below 500."""
        phone = width < 500
        metrics = {"width": width, "height": height, "deviceScaleFactor": 2 if phone else 1, "mobile": phone}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def run(self, script: str, *arguments: Any) -> Any:
        """The value of a JavaScript expression."""
        return self.driver.execute_script(f"return ({script})", *arguments)

    def until(self, script: str, what: str, patience_s: float = PATIENCE_S) -> Any:
        """Wait until an expression is true; one that fails is not true yet: a page is built piece by piece."""
        from selenium.common.exceptions import JavascriptException

        def look() -> Any:
            try:
                return self.run(script)
            except JavascriptException:
                return None

        return until(look, what, patience_s)

    def picture(self, path: Path, whole: bool = False) -> Path:
        """A PNG of what is seen, or of the whole page."""
        shot = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": whole})
        path.write_bytes(base64.b64decode(shot["data"]))
        return path

    def complaints(self) -> list[str]:
        """What the console had to say, except notes, and a hint on how these tests read pixels."""
        rows = self.driver.get_log("browser")
        found = [f"{row['level']}: {row['message']}" for row in rows if row["level"] != "INFO"]
        return [line for line in found if "willReadFrequently" not in line]

    def asked_for(self) -> list[str]:
        """Every address the page has asked for since the last call."""
        import json

        found = []
        for row in self.driver.get_log("performance"):
            message = json.loads(row["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                found.append(message["params"]["request"]["url"])
            elif message["method"] == "Network.webSocketCreated":
                found.append(message["params"]["url"])
        return found


def until(look: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> Any:
    """Ask again and again; the test fails when it never comes."""
    end = time.monotonic() + patience_s
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < end, f"never came: {what}"
        time.sleep(0.1)


@contextlib.contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    browser = Browser(profile)
    try:
        yield browser
    finally:
        browser.driver.quit()
