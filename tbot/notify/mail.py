"""What goes out when: gathering, repeats, and a limit an hour. Pure: times are passed in, nothing is sent here."""

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from tbot.domain.words import plural
from tbot.notify.settings import NotifySettings

NS_PER_S = 1_000_000_000
HOUR_NS = 3600 * NS_PER_S
URGENT = frozenset({"locks", "faults"})  # these may use the whole limit, and repeats of them are counted
MOST_LINES = 15  # of one message
MOST_WAITING = 200
MOST_KNOWN = 200  # texts whose repeats are counted
_NUMBER = re.compile(r"[0-9]+(?:[.,][0-9]+)*")
_WORDS = {"signals": "signal", "fills": "fill", "locks": "lock", "faults": "fault", "report": "report"}


@dataclass(frozen=True, slots=True)
class Note:
    """One thing to tell. `files`: that go with it."""

    kind: str
    text: str
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Letter:
    """What is sent at once."""

    title: str
    lines: tuple[str, ...]
    files: tuple[str, ...] = ()
    urgent: bool = False

    @property
    def body(self) -> str:
        return "\n".join(self.lines)


@dataclass(slots=True)
class _Known:
    """A lock or fault that was told."""

    told_ns: int
    text: str
    kind: str
    more: int = 0  # times that it came again since


class Outbox:
    """Notes in, letters out: `add` at any time, `due` often."""

    def __init__(self, settings: NotifySettings, name: str) -> None:
        """`name`: whose letters these are, first in every title."""
        self._settings = settings
        self._name = name
        self._waiting: deque[Note] = deque()
        self._since_ns = 0  # of the oldest that waits
        self._sent_ns: deque[int] = deque()
        self._known: dict[tuple[str, str], _Known] = {}
        self.left_out = 0  # notes that never went out

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def add(self, note: Note, now_ns: int) -> None:
        """Something happened."""
        if note.kind not in self._settings.kinds or self._is_repeat(note, now_ns):
            return
        self._wait(note, now_ns)

    def _wait(self, note: Note, now_ns: int) -> None:
        if not self._waiting:
            self._since_ns = now_ns
        self._waiting.append(note)
        if len(self._waiting) > MOST_WAITING:
            place = next((at for at, one in enumerate(self._waiting) if one.kind not in URGENT), 0)
            del self._waiting[place]
            self.left_out += 1

    def _is_repeat(self, note: Note, now_ns: int) -> bool:
        """Whether it is a lock or fault that was told not long ago; numbers in it do not make it another one."""
        if note.kind not in URGENT or not self._settings.repeat_min:
            return False
        key = note.kind, _NUMBER.sub("#", note.text)
        known = self._known.get(key)
        if known is not None and now_ns - known.told_ns < self._repeat_ns:
            known.more += 1
            known.text = note.text
            return True
        self._known.pop(key, None)
        self._known[key] = _Known(now_ns, note.text, note.kind)
        if len(self._known) > MOST_KNOWN:
            del self._known[next(iter(self._known))]
        return False

    @property
    def _repeat_ns(self) -> int:
        return int(self._settings.repeat_min * 60 * NS_PER_S)

    def due(self, now_ns: int, *, last: bool = False) -> Letter | None:
        """The letter that is to be sent now. `last`: nothing comes after it, so there is nothing to wait for."""
        self._tell_repeats(now_ns)
        while self._sent_ns and now_ns - self._sent_ns[0] >= HOUR_NS:
            self._sent_ns.popleft()
        if not self._waiting or (not last and now_ns - self._since_ns < self._settings.gather_s * NS_PER_S):
            return None
        urgent = any(note.kind in URGENT for note in self._waiting)
        limit = self._settings.per_hour
        if len(self._sent_ns) >= (limit if urgent else max(1, limit - limit // 4)):
            return None
        notes = list(self._waiting)
        self._waiting.clear()
        self._sent_ns.append(now_ns)
        return self._letter(notes, urgent)

    def _tell_repeats(self, now_ns: int) -> None:
        """Of what came again and again: how often, once the time for it is over."""
        for key, known in list(self._known.items()):
            if now_ns - known.told_ns < self._repeat_ns:
                continue
            if known.more:
                times = f"{plural(known.more, 'more time')} in {self._settings.repeat_min:g} min"
                self._wait(Note(known.kind, f"{times}: {known.text}"), now_ns)
                known.told_ns, known.more = now_ns, 0
            else:
                del self._known[key]

    def _letter(self, notes: list[Note], urgent: bool) -> Letter:
        lines = [note.text for note in sorted(notes, key=lambda note: note.kind not in URGENT)]
        if len(lines) > MOST_LINES:
            rest = len(lines) - MOST_LINES
            lines = [*lines[:MOST_LINES], f"and {rest} more"]
            self.left_out += rest
        files = tuple(file for note in notes for file in note.files)
        return Letter(f"{self._name}: {counted(note.kind for note in notes)}", tuple(lines), files, urgent)


def counted(kinds: Iterable[str]) -> str:
    """`2 fills, 1 lock`."""
    found = list(kinds)
    parts = []
    for kind, word in _WORDS.items():
        if number := found.count(kind):
            parts.append(f"{number} {word}{'s' if number > 1 else ''}")
    return ", ".join(parts)
