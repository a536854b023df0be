"""The log of a run: what all its processes say, as JSON lines in one rotating file that the launcher alone writes.

`engine.log` in the state directory (0600), older ones beside it as `engine.log.1` and on. A line has `time` (UTC),
`level`, `process`, `mode`, `kind`, `code` (the reason code at the end of the text, else the kind) and `text`; with a
contract or a market time also `contract` and `market_time`. Sources: the events of the bus, what children write to
stderr (tracebacks, warnings of libraries), and the launcher's own library warnings.

Secrets are masked, control signs taken out, texts cut at 300 characters (F-SEC-01, F-SEC-05). A log that cannot be
written (disk full, folder gone) is told in the status and never stops anything (F-SYS-01); a thread writes it, so that
a disk that hangs holds nothing up, either (F-SYS-05).
"""

import contextlib
import logging
import os
import queue
import re
import stat
import sys
import threading
import time
from collections.abc import Iterable
from datetime import UTC, date, datetime
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import orjson

from tbot.domain.process_messages import EngineEvent
from tbot.domain.trading_hours import trading_day
from tbot.engine.log_settings import LogSettings
from tbot.gateway.redact import HIDDEN, redact

FILE_NAME = "engine.log"
STDERR = "STDERR"
_OF_KIND = {"ZONE": logging.DEBUG, "SWEEP": logging.DEBUG, "PROC": logging.WARNING, STDERR: logging.WARNING}
_CODE = re.compile(r"\(([A-Z][A-Z0-9]*_[A-Z0-9_]+)\)\s*$")
WAITING = 5_000  # lines that may wait for a disk that hangs; what comes then is lost, and counted
CLOSE_S = 2.0  # the end of a run waits so long for such a disk
MIN_USER_SIGNS = 3  # a shorter login name would be "found" in any text


class RunLog:
    """Writes lines until `close`; no method raises for a disk that does not take them."""

    def __init__(
        self, folder: Path, settings: LogSettings, mode: str, secrets: Iterable[str] = (), user: str = ""
    ) -> None:
        """`secrets` and `user` (the login's name) are masked wherever they come up."""
        self._mode = mode
        self._secrets = tuple(secrets)
        named = len(user) >= MIN_USER_SIGNS
        self._user = re.compile(rf"(?<!\w){re.escape(user)}(?!\w)") if named else None
        self._level: int = logging.getLevelName(settings.level.upper())
        self._file = _Rotated(folder / FILE_NAME, settings)
        self._waiting: queue.Queue[logging.LogRecord | threading.Event | None] = queue.Queue(WAITING)
        self._dropped = 0
        self._writer = threading.Thread(target=self._write, daemon=True, name="log")
        self._writer.start()
        self._library = _Library(self)
        logging.getLogger().addHandler(self._library)
        logging.captureWarnings(True)

    def event(self, event: EngineEvent) -> None:
        """One line of the bus, or of the launcher."""
        self.line(event.process, event.kind, event.text, contract=event.contract, market_ns=event.now_ns)

    def line(
        self, process: str, kind: str, text: str, *, level: int = 0, contract: str = "", market_ns: int = 0
    ) -> None:
        """One line; `level` 0: what its kind is worth."""
        level = level or _OF_KIND.get(kind, logging.INFO)
        if level < self._level:
            return
        text = self._masked(text)
        code = _CODE.search(text)
        document: dict[str, Any] = {
            "time": _iso(time.time_ns()), "level": logging.getLevelName(level), "process": process, "mode": self._mode,
            "kind": kind, "code": code[1] if code else kind, "text": text,
        }  # fmt: skip
        if contract:
            document["contract"] = contract
        if market_ns:
            document["market_time"] = _iso(market_ns)
        record = logging.LogRecord("tbot.run", level, "", 0, orjson.dumps(document).decode(), None, None)
        try:
            self._waiting.put_nowait(record)
        except queue.Full:
            self._dropped += 1

    def _write(self) -> None:
        while (item := self._waiting.get()) is not None:
            if isinstance(item, threading.Event):
                item.set()
            else:
                self._file.handle(item)
        self._file.close()

    def _masked(self, text: str) -> str:
        text = redact(text, *self._secrets)  # first: a name may be part of a key
        return text if self._user is None else self._user.sub(HIDDEN, text)

    def status(self) -> dict[str, Any]:
        """`path`, `lost` lines, and in `trouble` why nothing can be written now ("": it can)."""
        hangs = "the disk does not answer" if self._waiting.full() else ""
        lost = self._file.lost + self._dropped
        return {"path": str(self._file.baseFilename), "lost": lost, "trouble": self._file.trouble or hangs}

    def settle(self, timeout_s: float) -> bool:
        """Wait until all is written that was said so far; False when it is not after so long."""
        written = threading.Event()
        with contextlib.suppress(queue.Full):
            self._waiting.put(written, timeout=timeout_s)
            return written.wait(timeout_s)
        return False

    def close(self) -> None:
        """Write what waits, as long as `CLOSE_S`; nothing is written afterwards."""
        logging.captureWarnings(False)
        logging.getLogger().removeHandler(self._library)
        with contextlib.suppress(queue.Full):
            self._waiting.put(None, timeout=CLOSE_S)
            self._writer.join(CLOSE_S)


def _iso(ns: int) -> str:
    return f"{datetime.fromtimestamp(ns // 1_000_000_000, UTC):%Y-%m-%dT%H:%M:%S}.{ns // 1_000 % 1_000_000:06d}Z"


class _Library(logging.Handler):
    """What libraries in the launcher have to say from WARNING on."""

    def __init__(self, log: RunLog) -> None:
        super().__init__(logging.WARNING)
        self._run_log = log

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(Exception):  # a message whose arguments do not fit it is no reason to fall
            self._run_log.line("launcher", STDERR, f"{record.name}: {record.getMessage()}", level=record.levelno)


class _Rotated(RotatingFileHandler):
    """A new file by size and by trading day; whole lines only; our own file, never a link's target (F-SEC-06)."""

    def __init__(self, path: Path, settings: LogSettings) -> None:
        super().__init__(path, maxBytes=settings.max_mb * 1_000_000, backupCount=settings.files, delay=True)
        self.lost = 0
        self.trouble = ""
        self._day: date | None = None

    def _open(self) -> TextIOWrapper:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        descriptor = os.open(self.baseFilename, flags, 0o600)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
                raise OSError(f"{self.baseFilename} is not a file of ours")
            if found.st_size and os.pread(descriptor, 1, found.st_size - 1) != b"\n":
                os.write(descriptor, b"\n")  # a line that the disk did not take whole stays alone
            if found.st_size and self._day is None:
                self._day = trading_day(found.st_mtime_ns)
        except OSError:
            os.close(descriptor)
            raise
        return open(descriptor, "a", encoding="utf-8")

    def _taken_away(self, stream: TextIOWrapper) -> bool:
        """What goes to a file that lost its name is lost (F-CFG-05)."""
        try:
            return not os.path.samestat(os.stat(self.baseFilename), os.fstat(stream.fileno()))
        except OSError:
            return True

    def shouldRollover(self, record: logging.LogRecord) -> bool:
        if self.stream is not None and self._taken_away(self.stream):
            self.stream.close()
            self.stream = None
        if self.stream is None:
            self.stream = self._open()
        today = trading_day(time.time_ns())
        new_day, self._day = self._day not in (None, today), today
        return new_day or bool(super().shouldRollover(record))

    def emit(self, record: logging.LogRecord) -> None:
        lost = self.lost
        super().emit(record)
        if self.lost == lost:
            self.trouble = ""

    def close(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            super().close()

    def handleError(self, record: logging.LogRecord) -> None:
        self.lost += 1
        self.trouble = str(sys.exc_info()[1])
        stream, self.stream = self.stream, None  # opened again with the next line
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):
                stream.close()
