"""From one market-hub connection to the next without losing or doubling a record. Pure: no socket, no clock.

There are no sequence numbers, a third of real prints are exact repeats of the one before, and two connections run a
little apart. So neither content nor time alone tells whether a record of the new connection was already delivered by
the old one. What does: of each topic (quotes or trades of one contract) both connections carry *the same sequence*, the
new one from some point on. While both are open the old one delivers, everything of the new one is kept, and each topic
looks for the place where the two sequences coincide, by one of two proofs:

* Anchor: a record with a time newer than everything before it, on the new connection with a record before it, is the
  first of its time in both sequences. Equal bytes there, and (for trades) of everything before it as far as the new
  sequence goes, fix the offset between the two for good. Records of equal time and content before or after do not
  matter: they are counted, not compared by time.
* Barrier: nothing came on either connection, both answered an invocation, and still nothing had come. Answers do not
  overtake events, so both sequences are complete up to here and their ends coincide.

Once every topic has its offset the new connection takes over in one step: what it has beyond the old one is delivered,
what the old one was ahead by is passed over when it comes. Until that step a loss of the new connection costs nothing;
a loss of the old one, a difference between the sequences, or a topic without offset for too long makes it an ordinary
reconnection: a gap, with prints not newer than the last accepted one dropped and the stretch filled from history.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from tbot.gateway.codec_overlap import Topic, idempotent, topic_and_time
from tbot.gateway.signalr import Invocation

MAX_RECORDS = 200_000  # kept of one connection: a minute at the rates of six contracts on a busy day, ten times over
MAX_BYTES = 64 * 1024 * 1024


@dataclass(slots=True)
class _Side:
    """One topic on one connection since the overlap began."""

    records: list[bytes] = field(default_factory=list)
    newest_ns: int = 0
    firsts: dict[int, int] = field(default_factory=dict)  # time -> index of the record that first reached it

    def add(self, data: bytes, time_ns: int) -> int:
        self.records.append(data)
        if time_ns > self.newest_ns:
            self.newest_ns = time_ns
            self.firsts[time_ns] = len(self.records) - 1
        return len(self.records) - 1


@dataclass(slots=True)
class _Seam:
    """One topic on both connections."""

    strict: bool  # the new sequence must lie in the old one from its first record on
    old: _Side = field(default_factory=_Side)
    new: _Side = field(default_factory=_Side)
    offset: int | None = None  # index in the old sequence minus index in the new one
    compared: int = 0  # of the new sequence, records that were compared (or cannot be)

    def look(self, time_ns: int) -> str:
        """After a record of this time came on one side: find or check the offset; returns what is wrong, or ""."""
        if self.offset is None:
            self._anchor(time_ns)
        return "" if self.offset is None else self._compare(self.offset)

    def _anchor(self, time_ns: int) -> None:
        at_old, at_new = self.old.firsts.get(time_ns), self.new.firsts.get(time_ns)
        if at_old is None or not at_new or (self.strict and at_old < at_new):
            return  # not yet on both, or the new connection's first record: it may not be the first of its time
        since = 0 if self.strict else at_new
        offset = at_old - at_new
        if self.old.records[offset + since : at_old + 1] == self.new.records[since : at_new + 1]:
            self.offset = offset
            self.compared = at_new + 1

    def _compare(self, offset: int) -> str:
        end = min(len(self.new.records), len(self.old.records) - offset)
        for index in range(self.compared, end):
            if self.new.records[index] != self.old.records[index + offset]:
                return "the two connections carry different records"
        self.compared = max(self.compared, end)
        return ""

    def meet(self) -> bool:
        """Both sequences are complete: their ends coincide. False when they do not."""
        behind = len(self.old.records) - len(self.new.records)
        if self.strict and (behind < 0 or self.old.records[behind:] != self.new.records):
            return False
        self.offset = behind
        self.compared = len(self.new.records)
        return True


class Handover:
    """Overlap of an old and a new connection. `problem`: why it cannot succeed, "" while it can."""

    def __init__(self, topics: Iterable[Topic]) -> None:
        self._seams = {topic: _Seam(strict=not idempotent(topic)) for topic in topics}
        self._kept: list[tuple[Topic, int, Invocation, int]] = []  # of the new connection, as they came
        self._bytes = 0
        self._count = 0
        self.problem = ""

    def old(self, event: Invocation) -> None:
        """A record of the old connection (which is delivered whatever it is)."""
        found = topic_and_time(event)
        if found is not None:
            self._add(found[0], found[1], event, new=False)

    def new(self, event: Invocation, recv_ns: int) -> None:
        """A record of the new connection; kept until the change."""
        found = topic_and_time(event)
        if found is None:
            return  # the old connection brings the same; it is counted there
        index = self._add(found[0], found[1], event, new=True)
        if index is not None:
            self._kept.append((found[0], index, event, recv_ns))

    def _add(self, topic: Topic, time_ns: int, event: Invocation, *, new: bool) -> int | None:
        seam = self._seams.get(topic)
        if seam is None:
            return None  # of a contract that is not subscribed: the decoder drops and counts it
        self._count += 1
        self._bytes += len(event.arguments)
        index = (seam.new if new else seam.old).add(event.arguments, time_ns)
        self.problem = self.problem or seam.look(time_ns)
        if self._count > 2 * MAX_RECORDS or self._bytes > 2 * MAX_BYTES:
            self.problem = self.problem or "too many records while the connections overlap"
        return index

    def open_topics(self) -> list[Topic]:
        """Topics whose sequences have not been matched yet."""
        return [topic for topic, seam in self._seams.items() if seam.offset is None]

    def counts(self) -> dict[Topic, tuple[int, int]]:
        """Records of each open topic on the old and the new connection: equal readings mean that nothing came."""
        return {
            topic: (len(seam.old.records), len(seam.new.records))
            for topic, seam in self._seams.items()
            if seam.offset is None
        }

    def meet(self, before: dict[Topic, tuple[int, int]]) -> None:
        """Both connections have answered an invocation that was sent after the reading `before`."""
        for topic, reading in self.counts().items():
            if before.get(topic) == reading and not self._seams[topic].meet():
                self.problem = self.problem or "the two connections carry different records"

    @property
    def ready(self) -> bool:
        """The new connection may take over."""
        return not self.problem and all(seam.offset is not None for seam in self._seams.values())

    def take_over(self) -> tuple[list[tuple[Invocation, int]], "CatchUp"]:
        """(records to deliver now, in order; what to pass over of the coming ones). Only when `ready`."""
        assert self.ready
        ahead: dict[Topic, int] = {}
        for topic, seam in self._seams.items():
            assert seam.offset is not None
            ahead[topic] = len(seam.old.records) - seam.offset  # of the new sequence: this many were delivered
        due = [(event, recv_ns) for topic, index, event, recv_ns in self._kept if index >= ahead[topic]]
        skip: dict[Topic, deque[bytes]] = {}
        for topic, seam in self._seams.items():
            have = len(seam.new.records)
            if ahead[topic] > have:
                assert seam.offset is not None
                skip[topic] = deque(seam.old.records[have + seam.offset :])
        return due, CatchUp(skip)

    def remains(self) -> list[tuple[Invocation, int]]:
        """Everything of the new connection, for an ordinary reconnection: behind a gap, fences drop what was seen."""
        return [(event, recv_ns) for _, _, event, recv_ns in self._kept]


class CatchUp:
    """After the change: the records by which the old connection was ahead come once more and are passed over."""

    def __init__(self, skip: dict[Topic, deque[bytes]]) -> None:
        """`skip`: the records that are to come again, by topic, in order."""
        self._skip = skip
        self.problem = ""  # why it cannot be believed any more that nothing is missing

    @property
    def done(self) -> bool:
        return not self._skip

    def passes(self, event: Invocation) -> bool:
        """Whether a record is to be delivered. One that is not what should come again ends the catching up."""
        found = topic_and_time(event)
        if found is None or found[0] not in self._skip:
            return True
        topic = found[0]
        expected = self._skip[topic]
        if event.arguments != expected.popleft():
            self.problem = "the two connections carry different records"
            self._skip.clear()
            return True
        if not expected:
            del self._skip[topic]
        return False
