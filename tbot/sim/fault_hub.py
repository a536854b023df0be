"""Faults of a hub: what becomes of records on their way to a connection, of the bytes, and of the connection itself.

A `HubFaults` stands between one hub and its connections while a plan is there. Records are judged one by one for each
connection (lost, doubled, held back, made wrong); what holds or cuts the stream is asked where it is written.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from tbot.gateway import signalr
from tbot.gateway.codec import BrokerAccount, logout_event, user_event
from tbot.gateway.codec_faults import corrupt_record, cut_record, malformed_record
from tbot.gateway.codec_hub import UserRecord
from tbot.sim.fault_board import Event, FaultBoard, Hit, Moment
from tbot.sim.fault_wire import end_without_goodbye, reset, wire_of
from tbot.sim.market import HubRecord

if TYPE_CHECKING:
    from tbot.sim.hub_server import Hub, HubConnection, Topic

REMEMBERED = 1000  # records of a connection that a replay can bring back
HOLD_POLL_S = 0.005  # how often a held connection looks whether it is free
MERGE_WAIT_S = 0.3
GARBAGE = b"<html>no handshake answer</html>\x1e"


class Binary(bytes):
    """Bytes that leave in a binary frame."""


@dataclass(frozen=True, slots=True)
class Out:
    """One record on its way. `names`: what its contract is called; `record`: what a user event was made of."""

    topic: "Topic"
    data: bytes
    names: tuple[str, ...] = ()
    account: int = 0
    tick: Decimal = Decimal(1)
    record: UserRecord | None = None


@dataclass(slots=True)
class _Held:
    """A record that waits for later ones to pass."""

    out: bytes
    left: int


@dataclass(slots=True)
class _Link:
    """What is remembered about one connection."""

    recent: deque[bytes] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    held: list[_Held] = field(default_factory=list)
    due_s: float = 0.0  # when the last postponed bytes leave


@dataclass(slots=True)
class _Fate:
    """What the faults make of one record."""

    data: bytes
    before: list[bytes] = field(default_factory=list)
    after: list[bytes] = field(default_factory=list)
    copies: int = 1
    hold: Hit | None = None
    late_s: float = 0.0
    shuffle: Hit | None = None


class HubFaults:
    """One hub's faults. `act` carries out what happens at the venue rather than on the wire."""

    def __init__(
        self,
        hub: "Hub",
        board: FaultBoard,
        moment: Callable[[], Moment],
        act: Callable[[Hit], None],
        describe: Callable[[str], tuple[tuple[str, ...], Decimal]],
    ) -> None:
        """`describe`: the names and the tick size of the contract behind a broker id."""
        self.board = board
        self._hub = hub
        self._describe = describe
        self._moment = moment
        self._act = act
        self._links: dict[HubConnection, _Link] = {}

    @property
    def on(self) -> bool:
        """Whether any fault is planned that this hub could meet."""
        board, kind = self.board, self._hub.kind
        return not board.idle and (board.watches("record", kind) or board.watches("connect", kind))

    def forget(self, connection: "HubConnection") -> None:
        """The connection has ended."""
        self._links.pop(connection, None)

    # ----------------------------------------------------------------------------------------------------- records
    def out(self, record: HubRecord) -> Out:
        """A market record on its way."""
        names, tick = self._describe(record.broker_id)
        return Out((record.kind, record.broker_id), record.data, names, 0, tick)

    def out_user(self, topic: "Topic", record: UserRecord, data: bytes) -> Out:
        """A user event on its way."""
        names, tick = ((), Decimal(1)) if isinstance(record, BrokerAccount) else self._describe(record.broker_id)
        return Out(topic, data, names, record.account_id, tick, record)

    def publish(self, connection: "HubConnection", outs: Iterable[Out]) -> None:
        """Send records to one connection as the faults will have it."""
        link = self._links.setdefault(connection, _Link())
        moment = self._moment()
        shuffled: list[bytes] = []
        shuffle: Hit | None = None
        for out in outs:
            fate = self._judge(connection, link, out, moment)
            if fate is None:
                continue
            shuffle = fate.shuffle or shuffle
            ready = [*fate.before, *([fate.data] * fate.copies)]
            if fate.hold is not None:
                self._hold(connection, link, fate)
                ready = fate.before
            elif fate.late_s:
                asyncio.get_running_loop().call_later(fate.late_s, connection.send, fate.data)
                ready = fate.before
            else:
                link.recent.append(fate.data)
                ready += self._passed(link)
            ready += fate.after
            if fate.shuffle is not None:
                shuffled += ready
            else:
                self._send(connection, ready)
        if shuffle is not None:
            shuffle.random.shuffle(shuffled)
        self._send(connection, shuffled)

    @staticmethod
    def _send(connection: "HubConnection", records: Iterable[bytes]) -> None:
        for data in records:
            connection.send(data)

    def _judge(self, connection: "HubConnection", link: _Link, out: Out, moment: Moment) -> _Fate | None:
        about = {"hub": (self._hub.kind,), "kind": (out.topic[0],), "contract": out.names}
        if out.account:
            about["account"] = (str(out.account),)
        hits = self.board.hits(Event("record", about), moment)
        fate = _Fate(self._encoded(out, hits))
        for hit in hits:
            group, _, name = hit.name.partition(".")
            if hit.fault.kind.acts:
                self._act(hit)
            elif (name in ("mute", "freeze") and not _healed(connection, out, hit)) or name == "withhold":
                return None
            elif group in ("ws", "userhub"):
                _apply(name, hit, fate, link, out)
        return fate

    @staticmethod
    def _encoded(out: Out, hits: list[Hit]) -> bytes:
        names = {hit.name for hit in hits}
        bare, text_ids = "userhub.bare" in names, "userhub.text_ids" in names
        if out.record is None or not (bare or text_ids):
            return out.data
        return user_event(out.record, bare=bare, text_ids=text_ids)

    def _hold(self, connection: "HubConnection", link: _Link, fate: _Fate) -> None:
        assert fate.hold is not None
        held = _Held(fate.data * fate.copies, fate.hold["by"])
        link.held.append(held)
        asyncio.get_running_loop().call_later(fate.hold["wait"], self._release, connection, link, held)

    @staticmethod
    def _release(connection: "HubConnection", link: _Link, held: _Held) -> None:
        if held in link.held:
            link.held.remove(held)
            connection.send(held.out)

    @staticmethod
    def _passed(link: _Link) -> list[bytes]:
        """A record has been sent: the held ones that have now been passed by enough of them."""
        free = []
        for held in list(link.held):
            held.left -= 1
            if held.left <= 0:
                link.held.remove(held)
                free.append(held.out)
        return free

    def calm(self) -> None:
        """No more faults: what is held goes out."""
        for connection, link in self._links.items():
            for held in list(link.held):
                self._release(connection, link, held)

    # ------------------------------------------------------------------------------------------------------- bytes
    def postpone(self, connection: "HubConnection", data: bytes) -> bool:
        """Whether these bytes leave later, in their order (latency and jitter); if so it is arranged."""
        now_s, loop = self._moment().real_s, asyncio.get_running_loop()
        link = self._links.setdefault(connection, _Link())
        latency = self.board.active("ws.latency", now_s, hub=self._hub.kind)
        jitter = self.board.active("ws.jitter", now_s, hub=self._hub.kind)
        delay_s = 0.0 if latency is None else latency["seconds"]
        if jitter is not None:
            delay_s += jitter["seconds"] * jitter.random.random()
        if not delay_s and not connection.late:
            return False
        due_s = loop.time() + delay_s
        link.due_s = max(due_s, link.due_s + 1e-6) if connection.late else due_s
        connection.late += 1
        loop.call_at(link.due_s, connection.send_late, data)
        return True

    def is_held(self, *, incoming: bool = False) -> bool:
        """Whether the hub's connections stand still: a stall outwards, a black hole both ways."""
        now_s, kind = self._moment().real_s, self._hub.kind
        names = ["ws.blackhole"] if incoming else ["ws.blackhole", "ws.stall"]
        if kind == "user":
            names.append("userhub.blackhole")
        return any(self.board.active(name, now_s, hub=kind) is not None for name in names)

    async def wait_free(self, *, incoming: bool = False) -> None:
        """Until the connections are not held any more."""
        while self.is_held(incoming=incoming):
            await asyncio.sleep(HOLD_POLL_S)

    async def before_write(self, connection: "HubConnection") -> None:
        """Hold the writer while the link stands still; wait for company when records are to be merged."""
        await self.wait_free()
        hit = self.board.active("ws.slice", self._moment().real_s, hub=self._hub.kind)
        if hit is not None and hit["how"] == "merge" and connection.open:
            waited_s = 0.0
            while connection.queued_records() < hit["size"] and waited_s < MERGE_WAIT_S and connection.open:
                await asyncio.sleep(HOLD_POLL_S)
                waited_s += HOLD_POLL_S

    async def write(self, connection: "HubConnection", parts: list[bytes]) -> None:
        """Write whole records as the faults of the stream will have it."""
        wire, now_s, kind = wire_of(connection.scope), self._moment().real_s, self._hub.kind
        slicing = self.board.active("ws.slice", now_s, hub=kind)
        narrow = self.board.active("ws.bandwidth", now_s, hub=kind)
        how, size = ("", 0) if slicing is None else (slicing["how"], slicing["size"])
        for message in _messages(parts, how, size):
            await wire.writable.wait()
            if wire.gone:
                return
            if isinstance(message, Binary):
                wire.send_binary(message)
            elif how == "fragments":
                wire.send_frames(_cut(message, size))
            elif how == "bytes":
                await wire.send_paced(message, 1, 0.0)
            elif narrow is not None:
                piece = max(1, int(narrow["bytes_per_s"] / 20))
                await wire.send_paced(message, piece, piece / narrow["bytes_per_s"])
            else:
                wire.send_text(message)

    # ------------------------------------------------------------------------------------------------- connections
    def greeting(self, where: str) -> Hit | None:
        """Count a connection attempt (`upgrade` or `negotiate`); the fault of its handshake, if any."""
        event = Event("connect", {"hub": (self._hub.kind,), "where": (where,)})
        hits = self.board.hits(event, self._moment())
        return next((hit for hit in hits if hit.name == "ws.handshake"), None)

    def greet(self, mode: str, answer: bytes, extra: bytes) -> tuple[bytes, bool]:
        """(what is sent instead of a handshake answer, whether the connection is to end)."""
        if mode == "error":
            return signalr.encode_handshake_error("The handshake was refused."), True
        if mode == "garbage":
            return GARBAGE, False
        if mode == "none":
            return b"", False
        return answer + signalr.PING + extra, False

    def opened(self, connection: "HubConnection") -> None:
        """A handshake is done; during an outage that is as far as it gets."""
        names = ("ws.drop", "userhub.drop") if self._hub.kind == "user" else ("ws.drop",)
        for name in names:
            hit = self.board.active(name, self._moment().real_s, hub=self._hub.kind)
            if hit is not None:
                self.drop(connection, hit["mode"])
                return

    def drop_all(self, mode: str) -> None:
        """End every connection of the hub."""
        for connection in list(self._hub.connections):
            self.drop(connection, mode)

    def drop(self, connection: "HubConnection", mode: str) -> None:
        """End one connection in one of the ways of `CLOSINGS`."""
        if mode == "rst":
            reset(wire_of(connection.scope).transport)
        elif mode == "fin":
            end_without_goodbye(wire_of(connection.scope).transport)
        elif mode == "final":
            connection.end(signalr.encode_close(), "fault")
        elif mode == "allowReconnect":
            connection.end(signalr.encode_close(allow_reconnect=True), "fault")
        elif mode == "error":
            connection.end(signalr.encode_close(signalr.CLOSED_WITH_ERROR), "fault")
        else:
            connection.end(b"", "fault", int(mode.removeprefix("close")))

    def logout(self, *, drop: bool) -> None:
        """Tell everybody that the session is over."""
        for connection in list(self._hub.connections):
            connection.send(logout_event())
            if drop:
                connection.end(signalr.encode_close(), "logout")

    def close_expired(self, is_valid: Callable[[str], bool]) -> None:
        """Close the connections whose token is no longer good, as a server may (signalr.md 3)."""
        if self.board.active("auth.close_on_expiry", self._moment().real_s) is not None:
            for connection in list(self._hub.connections):
                if not is_valid(connection.token):
                    connection.end(signalr.encode_close(allow_reconnect=True), "token expired")

    def wants_snapshot(self) -> bool:
        """Whether a new subscription is told what there is."""
        return self.board.active("userhub.snapshot", self._moment().real_s) is not None


def _healed(connection: "HubConnection", out: Out, hit: Hit) -> bool:
    """Whether a lost subscription has come back for this connection."""
    if hit["heals"] == "reconnect":
        return connection.born_s > hit.since_s
    if hit["heals"] == "subscribe":
        return connection.subscribed_s.get(out.topic, 0.0) > hit.since_s
    return False


def _apply(name: str, hit: Hit, fate: _Fate, link: _Link, out: Out) -> None:
    """One fault's effect on one record; what concerns the stream is done where it is written."""
    if name == "dup":
        fate.copies += hit["copies"]
    elif name == "reorder":
        fate.hold = hit
    elif name == "delay":
        fate.late_s += hit["seconds"]
    elif name == "shuffle":
        fate.shuffle = hit
    elif name == "replay":
        fate.after += list(link.recent)[-hit["records"] :]
    elif name == "corrupt":
        fate.data = corrupt_record(fate.data, hit["field"], hit["how"], hit["value"], out.tick)
    elif name == "malformed":
        kind = hit["kind"]
        if kind == "cut":
            fate.data = cut_record(fate.data, hit.random)
        else:
            bad = malformed_record(kind)
            fate.before.append(Binary(bad) if kind == "binary" else bad)


def _messages(parts: list[bytes], how: str, size: int) -> list[bytes]:
    """Records to WebSocket messages: one as usual, or many that cut through records. Binary ones stand alone."""
    messages: list[bytes] = []
    joined: list[bytes] = []
    for part in [*parts, None]:
        if part is None or isinstance(part, Binary):
            if joined:
                whole = b"".join(joined)
                messages += _cut(whole, size) if how == "split" else [whole]
                joined = []
            if part is not None:
                messages.append(part)
        else:
            joined.append(part)
    return messages


def _cut(data: bytes, size: int) -> list[bytes]:
    """Pieces of about `size` bytes that never cut a character; at most a thousand of them."""
    size = max(size, len(data) // 1000)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return [data]
    return [text[start : start + size].encode() for start in range(0, len(text), size)] or [data]
