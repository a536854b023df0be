"""What of a run is worth a message: its events and its status documents, as notes. Pure."""

import re
from collections.abc import Mapping
from typing import Any

from tbot.domain.process_messages import EngineEvent
from tbot.gateway.redact import redact
from tbot.notify.mail import Note

_LOCK = re.compile(r"\b(LOCKED|HALTED|REDUCING)\b|kill switch|no entries for the rest of the day")
BAD_ENDS = frozenset({"HALTED", "NOT_FLAT"})


class RunWatch:
    """Notes of one run, as it goes on."""

    def __init__(self) -> None:
        self._alarms: dict[str, str] = {}  # that stand, by code
        self._state = ""
        self._report: object = None  # when the newest one was made
        self._begun = False

    def on_event(self, event: EngineEvent) -> list[Note]:
        """A line for a person's eyes."""
        kind = _kind_of(event)
        return [Note(kind, _line(event.contract, event.text))] if kind else []

    def on_status(self, document: Mapping[str, Any]) -> list[Note]:
        """A status document: alarms that came and went, a bad end, the report of the week."""
        notes = []
        alarms = {alarm["code"]: alarm["text"] for alarm in document.get("alarms", [])}
        for code in alarms.keys() - self._alarms.keys():
            notes.append(Note("faults", _line("", f"{alarms[code]} ({code})")))
        for code in self._alarms.keys() - alarms.keys():
            notes.append(Note("faults", _line("", f"over: {self._alarms[code]} ({code})")))
        self._alarms = alarms
        state = str(document.get("state", ""))
        if state != self._state and state in BAD_ENDS:
            notes.append(Note("faults", _line("", f"{state}: {document.get('reason', '')}")))
        self._state = state
        notes += self._reported(document.get("report") or {})
        return notes

    def _reported(self, report: Mapping[str, Any]) -> list[Note]:
        """A report that was made since the run began, or could not be; its PDF, or else its picture, goes along."""
        before, self._report = self._report, report.get("last_at")
        begun, self._begun = self._begun, True
        if not begun or self._report in (None, before):
            return []
        failure, label = report.get("last_failure", ""), report.get("last_label", "")
        if failure:
            return [Note("faults", _line("", f"no report of {label}: {failure}"))]
        paths = [str(path) for path in report.get("last_paths", [])]
        chosen = next((path for end in (".pdf", ".png", ".html") for path in paths if path.endswith(end)), None)
        return [Note("report", _line("", f"report of {label}"), () if chosen is None else (chosen,))]


def _kind_of(event: EngineEvent) -> str:
    if event.kind == "SIGNAL":
        return "signals"
    if event.kind in ("FILL", "ROUND"):
        return "fills"
    if event.kind == "STATE":
        return "locks" if _LOCK.search(event.text) and "REDUCING: stopping:" not in event.text else ""
    return "faults" if event.kind == "ORDER" or (event.kind == "PROC" and event.process == "launcher") else ""


def _line(contract: str, text: str) -> str:
    return redact(f"{contract} {text}".strip())
