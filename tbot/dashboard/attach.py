"""Attaching to the engine that runs, waiting for one, and noticing that it has gone."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tbot.dashboard.feed_view import EngineView, open_view

LOOK_NS = 1_000_000_000  # between looks for a run


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run has its memory and its state."""

    run_dir: Path
    state_dir: Path


class Attachment:
    """The view of the run that is there, or of the last one that was.

    `find` is given the place that is attached to (None: none) and returns it while that run lives, else that of another
    living run, else None.
    """

    def __init__(self, find: Callable[[Place | None], Place | None], now_ns: Callable[[], int]) -> None:
        self._find = find
        self._now_ns = now_ns
        self._looked_ns: int | None = None
        self._place: Place | None = None
        self.view: EngineView | None = None
        self.gone = "no engine runs, waiting for one"

    def look(self, *symbols: str) -> EngineView | None:
        """Once a frame: the view, refreshed for these contracts; `gone` says why it is not fresh, "" when it is."""
        now = self._now_ns()
        if self._looked_ns is None or now - self._looked_ns >= LOOK_NS:
            self._looked_ns = now
            self._attach(self._find(self._place if not self.gone else None))
        if self.view is not None and not self.gone:
            self.view.refresh(*symbols)
            if self.view.status().get("ended"):
                self.gone = "engine stopped, waiting for the next one"
        return self.view

    def _attach(self, found: Place | None) -> None:
        if found is None:
            if self.view is not None:
                self.gone = "engine stopped, waiting for the next one"
            return
        if found != self._place or self.view is None:
            self.close()
            self._place, self.view, self.gone = found, open_view(found.run_dir, found.state_dir), ""
        elif not self.view.status().get("ended"):
            self.gone = ""

    def close(self) -> None:
        """Let go of the run's memory."""
        if self.view is not None:
            self.view.close()
        self.view = self._place = None
