"""The weekly calendar from its public address, politely: few requests, a cache on disk, and an answer is never trusted.

One request at most every `fetch_hours`, failed ones included, also over restarts: the cache remembers when. It carries
a plain User-Agent and what the last answer said about itself (ETag, Last-Modified). "429", any other refusal, a page of
HTML, an empty list: no news file; the last good one stays, and its age tells.
"""

import contextlib
import os
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from pathlib import Path

import msgspec

from tbot.context.news import Snapshot, main_week
from tbot.context.news_files import MOST_BYTES, weekly
from tbot.context.news_settings import NewsSettings
from tbot.domain.timeframes import NS_PER_S
from tbot.errors import DataError

USER_AGENT = "tbot (economic calendar, a few requests a day)"
TIMEOUT_S = (5.0, 15.0)  # to connect; between two parts of the answer
TOTAL_S = 60.0  # for all of it
PART = 64  # bytes read at a time: a server that drips them keeps a read waiting until it has as many
_HOUR_NS = 3600 * NS_PER_S
_MOST_WAIT_NS = 48 * _HOUR_NS
_KEPT_WEEKS = 520


@dataclass
class _Meta:
    """What the cache knows of its source. Times are UTC ns of this machine's clock."""

    url: str = ""
    asked_ns: int = 0
    not_before_ns: int = 0  # the source asked for patience
    etag: str = ""
    last_modified: str = ""
    newest: str = ""  # file name of the week that was fetched last
    fetched: dict[str, int] | None = None  # by file name: when it was fetched, or found unchanged
    problem: str = ""


class NewsCache:
    """Weekly exports in a folder of ours: one file a week, and what is known of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / "fetched.json"

    def snapshots(self) -> tuple[list[Snapshot], list[str]]:
        """Every week in the cache that can be read, and a sentence about the others and the last request."""
        meta = self._meta()
        found, problems = [], [meta.problem] if meta.problem else []
        for path in sorted(self.folder.glob("week_*.json")):
            as_of_ns = (meta.fetched or {}).get(path.name, 0)
            try:
                found.append(weekly(path.read_bytes(), str(path), as_of_ns, as_of_ns))
            except (OSError, DataError) as error:
                problems.append(str(error))
        return found, problems

    def is_due(self, settings: NewsSettings, now_ns: int) -> bool:
        """Whether it may be asked now. A clock that was set back does not lead to a second request at once."""
        meta = self._meta()
        if meta.url != settings.url:
            return True
        every_ns = int(settings.fetch_hours * _HOUR_NS)
        waited = now_ns - meta.asked_ns
        return now_ns >= meta.not_before_ns and (waited >= every_ns or waited < -every_ns)

    def fetch(self, settings: NewsSettings, now_ns: int) -> str:
        """Ask once, if it is time; a sentence about what came of it, "" when it was not time. Never raises for what the
        network or the disk does.
        """
        if not self.is_due(settings, now_ns):
            return ""
        meta = self._meta()
        if meta.url != settings.url:
            meta = _Meta(url=settings.url, fetched=meta.fetched)
        meta.asked_ns, meta.not_before_ns = now_ns, 0
        try:
            # Why first: a program that dies while it asks must not ask again at once after its restart.
            self._save(meta)
            meta.problem = self._ask(settings, meta, now_ns)
            self._save(meta)
        except OSError as error:
            return f"the news cache {self.folder} cannot be written: {error.strerror or error}"
        return meta.problem or "the news calendar is up to date"

    def _ask(self, settings: NewsSettings, meta: _Meta, now_ns: int) -> str:
        """One request; what was wrong with it, or ""."""
        import requests

        headers = {"User-Agent": USER_AGENT, "Accept": "application/json"}
        known = bool(meta.newest) and (self.folder / meta.newest).is_file()
        if known and meta.etag:
            headers["If-None-Match"] = meta.etag
        if known and meta.last_modified:
            headers["If-Modified-Since"] = meta.last_modified
        try:
            answer = _within(TOTAL_S, lambda: _get(settings.url, headers))
        except TimeoutError:
            return f"no news file: {settings.url} was not done within {TOTAL_S:.0f} s"
        except requests.RequestException as error:
            return f"no news file: {settings.url} could not be read ({type(error).__name__})"
        if answer.status == 304 and known:
            meta.fetched = {**(meta.fetched or {}), meta.newest: now_ns}
            return ""
        if answer.status != 200:
            meta.not_before_ns = now_ns + _patience_ns(answer.headers.get("Retry-After", ""), now_ns)
            return f"no news file: {settings.url} answered {answer.status}"
        data = answer.data
        etag, modified = answer.headers.get("ETag", ""), answer.headers.get("Last-Modified", "")
        try:
            snapshot = weekly(data, settings.url, now_ns)
        except DataError as error:
            return f"no news file: {error}"
        week = main_week(snapshot.events)
        assert week is not None, "weekly() lets nothing without a time pass"
        meta.newest, meta.etag, meta.last_modified = f"week_{week}.json", etag[:200], modified[:100]
        _write(self.folder / meta.newest, data)
        meta.fetched = {**(meta.fetched or {}), meta.newest: now_ns}
        self._forget_old(meta)
        return ""

    def _forget_old(self, meta: _Meta) -> None:
        for path in sorted(self.folder.glob("week_*.json"))[:-_KEPT_WEEKS]:
            path.unlink(missing_ok=True)
            (meta.fetched or {}).pop(path.name, None)

    def _meta(self) -> _Meta:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_Meta)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return _Meta()

    def _save(self, meta: _Meta) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        _write(self._path, msgspec.json.encode(asdict(meta)))


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    data: bytes


def _get(url: str, headers: Mapping[str, str]) -> _Answer:
    """One request. What is longer than a calendar can be is cut, and then is no JSON."""
    import requests

    deadline = time.monotonic() + TOTAL_S
    with requests.get(url, headers=dict(headers), timeout=TIMEOUT_S, stream=True) as answer:
        data = bytearray()
        if answer.status_code == 200:
            for part in answer.iter_content(PART):
                data += part
                if len(data) > MOST_BYTES or time.monotonic() > deadline:
                    break
        return _Answer(answer.status_code, answer.headers, bytes(data[: MOST_BYTES + 1]))


def _within(limit_s: float, work: Callable[[], _Answer]) -> _Answer:
    """What `work` returns or raises; TimeoutError when it takes longer: it is left behind, whatever it waits for."""
    box: list[_Answer | Exception] = []

    def run() -> None:
        try:
            box.append(work())
        except Exception as error:
            box.append(error)

    thread = threading.Thread(target=run, name="news", daemon=True)
    thread.start()
    thread.join(limit_s)
    if not box:
        raise TimeoutError
    if isinstance(box[0], Exception):
        raise box[0]
    return box[0]


def _patience_ns(told: str, now_ns: int) -> int:
    """What Retry-After asks for, at most two days."""
    if told.strip().isdigit():
        return min(int(told.strip()[:9]) * NS_PER_S, _MOST_WAIT_NS)
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        when = parsedate_to_datetime(told)
        when = when.replace(tzinfo=UTC) if when.tzinfo is None else when
        return max(0, min(int(when.timestamp()) * NS_PER_S - now_ns, _MOST_WAIT_NS))
    return 0


def _write(path: Path, data: bytes) -> None:
    """All of it or nothing."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".news")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
