"""Broken parts outside the trading world, each with the gathering of evidence in which its check must name it."""

import json
import logging
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

import status_rig
from dst import checks_data as data
from dst import checks_process as process
from dst.mutants import Break, replaced
from dst.scenes import draw_scene
from dst.stage import Stage
from dst.world import World
from gateway_records import ACCOUNT, ID, NOW, ORDER, POSITION, TRADE
from json_mutations import mutated
from pipeline_tapes import HOUR, MINUTE, SECOND, bars_of_tape, random_tape, ring_of
from rest_calls import API_KEY, PAYLOADS, USER, jwt
from ring_ticks import new_ring, stamped
from tbot.domain.contracts import PRODUCTS, contract_from_broker_id
from tbot.domain.messages import CommandResult
from tbot.domain.process_messages import Heartbeat, TokenGrant
from tbot.engine import gateway_link
from tbot.engine.contract_feed import ContractFeed
from tbot.engine.gateway_link import Link
from tbot.engine.processes import Child, ProcessSpec
from tbot.engine.settings import EngineSettings, GatewaySettings
from tbot.engine.supervisor import Supervisor
from tbot.errors import ConfigError, ProtocolError
from tbot.execution.outbox import Outbox
from tbot.gateway import codec_market, signalr
from tbot.gateway import codec_rest as bodies
from tbot.gateway import codec_tables as tables
from tbot.gateway import rest as rest_module
from tbot.gateway.codec_hub import decode_user, user_event
from tbot.gateway.codec_market import MarketDecoder
from tbot.gateway.http_exchange import HttpResult
from tbot.gateway.redact import Credentials
from tbot.gateway.rest import OrderClient
from tbot.gateway.signalr import Invocation, Role, SignalRConnection
from tbot.storage import journal, journal_files
from tbot.transport import sockets, wire
from tbot.transport.shm import Segment, run_directory
from tbot_ext.records import TICK_DTYPE, Kind
from tbot_ext.ring import RingReader, RingWriter

Gather = Callable[[Path], Any]


@dataclass(frozen=True)
class OtherMutant:
    """Like a Mutant, with evidence of its own kind in place of a scene on the stage."""

    invariant: str
    name: str
    apply: Break
    gather: Gather


OTHER_MUTANTS: list[OtherMutant] = []


def other(invariant: str, *breaks: Break) -> Callable[[Gather], Gather]:
    """Register the gathering below for one or more mutants."""

    def register(gather: Gather) -> Gather:
        for number, apply in enumerate(breaks):
            name = gather.__name__ + (f"_{number + 1}" if len(breaks) > 1 else "")
            OTHER_MUTANTS.append(OtherMutant(invariant, name, apply, gather))
        return gather

    return register


# ---------------------------------------------------------------------------------------------------------- I8 rings
class _Forgetful(RingReader):
    """Says nothing of what it lost."""

    @property
    def lost(self) -> int:  # type: ignore[override]
        return 0


class _Torn(RingReader):
    """Hands out the word of one record with another's, as a reader without the sequence lock would."""

    def read(self, out: Any) -> int:  # type: ignore[override]
        count = super().read(out)
        if count > 1:
            out["price"][0] = out["price"][1]
        return count


READER: list[type[RingReader]] = [RingReader]


def _reader(kind: type[RingReader]) -> Break:
    @contextmanager
    def apply() -> Iterator[None]:
        READER[0] = kind
        try:
            yield
        finally:
            READER[0] = RingReader

    return apply


@other("I8", _reader(_Forgetful), _reader(_Torn))
def a_reader_that_is_lapped(_folder: Path) -> data.RingTrace:
    buffer = new_ring(16)
    writer, reader = RingWriter(buffer), READER[0](buffer, 0, 0)
    out, taken, first = np.zeros(64, TICK_DTYPE), [], 0
    for size in (3, 10, 40, 5, 0, 30):
        writer.push_many(stamped(first, size))
        first += size
        taken.append(out[: reader.read(out)].copy())
    return data.RingTrace(stamped(0, first), np.concatenate(taken), reader.lost)


# -------------------------------------------------------------------------------------------------------- I20 borders
def _open_unmeasured(self: wire.Wire, frame: bytes) -> Any:
    magic, _, tag, _, run_id, epoch, _ = wire._HEADER.unpack_from(frame)
    if magic != wire.MAGIC or run_id != self.run_id:
        raise self._refuse("bad_frame", "bytes came that are no message of this build")
    return tag, epoch, frame[wire._HEADER.size : -wire.SEAL_BYTES]


_decode_answer = bodies.decode_answer


def _slow_with_some(call: Any, body: bytes) -> Any:
    """A few bodies cost far more than their size."""
    end_s = time.thread_time() + 0.03 * (b"e999" in body)
    while time.thread_time() < end_s:
        pass
    return _decode_answer(call, body)


CASES = 2_100


@other("I20", replaced(wire.Wire, "_open", _open_unmeasured), replaced(bodies, "decode_answer", _slow_with_some))
def two_thousand_malformed_inputs(_folder: Path) -> list[data.Crossing]:
    return [cross(number) for number in range(CASES)]


def cross(number: int) -> data.Crossing:
    """Damaged input number so-and-so through the border whose turn it is."""
    rng = random.Random(f"border {number}")
    name, seed, action = BORDERS[number % len(BORDERS)](rng)
    payload = damaged(rng, seed)
    cpu_s, escaped = 1.0, ""
    for _ in range(3):  # a collection of garbage may fall into a call, but not into three
        start = time.thread_time()
        try:
            action(payload)
        except Exception as error:
            escaped = f"{type(error).__name__} escaped"
        cpu_s = min(cpu_s, time.thread_time() - start)
        if cpu_s < data.CPU_FREE_S / 2:
            break
    return data.Crossing(name, len(payload), cpu_s, escaped)


def damaged(rng: random.Random, seed: bytes) -> bytes:
    """JSON is damaged by shape or by byte; what is none by byte."""
    if rng.random() < 0.1:
        return rng.randbytes(rng.randrange(400))
    if seed[:1] in b"{[" and seed[-1:] in b"}]":
        return mutated(rng, seed)
    broken = bytearray(seed)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(broken) + 1)
        broken[at : at + rng.choice((0, 1, 1, 9))] = rng.choice((b"", rng.randbytes(1), b"\xff" * 8, b"{", b"\x1e"))
    return bytes(broken[: rng.choice((len(broken), rng.randrange(len(broken) + 1)))])


Border = tuple[str, bytes, Callable[[bytes], object]]


def promised(action: Callable[[bytes], object], *kinds: type[Exception]) -> Callable[[bytes], object]:
    """A border that refuses by these exceptions, and no others."""

    def run(payload: bytes) -> object:
        try:
            return action(payload)
        except kinds:
            return None

    return run


def _answer(rng: random.Random) -> Border:
    call = rng.choice(tables.CALLS)
    payload = PAYLOADS.get(call, "a.b.c")
    return "REST answers", bodies.encode_answer(call, payload, total=1), lambda body: bodies.decode_answer(call, body)


def _request(rng: random.Random) -> Border:
    shape = rng.choice((bodies.OrderPlaceRequest, bodies.OrderModifyRequest, bodies.OrderQueryRequest))
    seed = b'{"accountId":1,"contractId":"CON.F.US.MNQ.Z26","type":2,"side":0,"size":1,"orderId":7,"filter":{}}'
    return "REST requests", seed, promised(lambda body: bodies.decode_request(shape, body), bodies.BadRequest)


def _market(rng: random.Random) -> Border:
    target, arguments = rng.choice(MARKET)
    decoder = MarketDecoder({ID: contract_from_broker_id(ID).product})
    return "market events", arguments, lambda body: decoder.decode(Invocation(target, body), 1, NOW)


def _user(rng: random.Random) -> Border:
    event = signalr.parse_record(user_event(rng.choice((ORDER, ACCOUNT, POSITION, TRADE))).rstrip(b"\x1e"))
    assert isinstance(event, Invocation)
    target = event.target
    return "user events", event.arguments, promised(lambda body: decode_user(Invocation(target, body)), ValueError)


def _frame(rng: random.Random) -> Border:
    link = SignalRConnection(Role.CLIENT)
    link.receive(signalr.HANDSHAKE_OK)
    target, arguments = rng.choice(MARKET)
    return "SignalR frames", signalr.encode_invocation(target, json.loads(arguments)), link.receive


def _message(_rng: random.Random) -> Border:
    channel = wire.Wire(bytes(range(32)), 7, 1)
    seed = channel.encode(Heartbeat("feed", 1, 1, 1, "OK", {"a": 1}))
    return "messages", seed, promised(channel.decode, ProtocolError)


def _row(_rng: random.Random) -> Border:
    kind, body = wire.encode_record(CommandResult(1, 2, "c", "accepted", 3, "text"))
    return "journal rows", body, promised(lambda changed: wire.decode_record(kind, changed), ProtocolError)


BORDERS = (_answer, _request, _market, _user, _frame, _message, _row)
STAMP = "2026-11-20T15:24:31.4347534+00:00"
QUOTE = {"symbol": "F.US.MNQ", "bestBid": 25104.0, "bestAsk": 25104.5, "volume": 5, "lastUpdated": STAMP}
PRINT = {"price": 25104.5, "timestamp": STAMP, "type": 0, "volume": 2}
MARKET = [
    ("GatewayQuote", json.dumps([ID, QUOTE]).encode()),
    ("GatewayTrade", json.dumps([ID, [PRINT, PRINT]]).encode()),
]


# --------------------------------------------------------------------------------------------------- I21 valid, counted
def _any_whole(value: Any, *_: Any) -> int:
    return int(value)


def _silent_drop(self: Any, _reason: str, n: int = 1) -> None:
    self["dropped"] += n


@other("I21", replaced(codec_market, "whole_number", _any_whole), replaced(codec_market.Counts, "drop", _silent_drop))
def damaged_market_data(_folder: Path) -> data.Decoded:
    rng = random.Random("I21")
    decoder, ticks = MarketDecoder({ID: contract_from_broker_id(ID).product}), []
    for _ in range(300):
        target, arguments = rng.choice(MARKET)
        batch = decoder.decode(Invocation(target, mutated(rng, arguments)), 1, NOW)
        ticks += [] if batch is None else batch[1]
    for size in (-3, 0, 2, 7):
        row = [ID, [PRINT | {"volume": size}]]
        batch = decoder.decode(Invocation("GatewayTrade", json.dumps(row).encode()), 1, NOW)
        ticks += [] if batch is None else batch[1]
    return data.Decoded(-1, decoder.counts, ticks, NOW)


# ------------------------------------------------------------------------------------------------------- I22 candles
def _gap_unmarked(self: ContractFeed, _now_ns: int, _recv_ns: int) -> None:
    self.gaps += 1


@other("I22", replaced(ContractFeed, "gap", _gap_unmarked))
def a_connection_that_is_lost_twice(_folder: Path) -> data.Candles:
    """The feed's contract, ring and bars; two stretches of the tape never arrive, others come in odd batches."""
    tape = random_tape(5, 90, gaps=False)
    tape = tape[(tape["kind"] == Kind.TRADE) & (tape["size"] > 0)]
    tape = tape[np.argsort(tape["exch_ns"], kind="stable")]
    writer, reader = ring_of(1 << 14)
    feed = ContractFeed("MNQ", PRODUCTS["MNQ"], ID, writer, None)
    holes = [(HOUR + 23 * MINUTE + 9 * SECOND, HOUR + 25 * MINUTE), (HOUR + 40 * MINUTE, HOUR + 43 * MINUTE + SECOND)]
    batch: list[Any] = []
    for number, row in enumerate(tape.tolist()):
        tick = dict(zip(tape.dtype.names or (), row, strict=True))
        if any(start <= tick["exch_ns"] < end for start, end in holes):
            if batch:
                feed.take(batch, 1)
                batch = []
            feed.lost(False, tick["exch_ns"], 1)  # marks a gap once: only where data came since the last one
            continue
        names = ("kind", "exch_ns", "recv_ns", "price", "price2", "size", "aux", "volume", "side", "flags")
        batch.append(tuple(tick[name] for name in names))
        if len(batch) >= 1 + number % 7:
            feed.take(batch, 1)
            batch = []
    feed.take(batch, 1) if batch else None
    out = np.zeros(len(tape) + 10, TICK_DTYPE)
    arrived = out[: reader.read(out)]
    return data.Candles(bars_of_tape(tape), bars_of_tape(arrived))


# ------------------------------------------------------------------------------------------------------- I17 orders
GATEWAY = GatewaySettings("http://127.0.0.1:9", "ws://127.0.0.1:9/u", "ws://127.0.0.1:9/m", simulated=False)


@other("I17", replaced(gateway_link, "RestClient", OrderClient))
def lines_to_a_gateway_in_every_mode(folder: Path) -> list[process.Built]:
    attempts = []
    for mode, simulated in product(("paper", "sim", "live"), (False, True)):
        gateway, what = replace(GATEWAY, simulated=simulated), f"mode {mode}, simulator {simulated}"
        try:
            settings = EngineSettings(mode, ("MNQ",), folder, folder, 1, "b", "h", gateway)  # type: ignore[arg-type]
            link = Link(settings, gateway, Credentials(USER, API_KEY))
        except ConfigError:
            attempts.append(process.Built(what, False, False))
            continue
        can_order = hasattr(link.rest, "order_place")
        link.close()
        attempts.append(process.Built(what, mode == "sim" and simulated, can_order))
    return attempts


# ------------------------------------------------------------------------------------------------------- I18 one build
def _anybody(self: Supervisor, child: Child, message: Heartbeat) -> None:
    child.beat(message.state, message.status)


@other("I18", replaced(Supervisor, "_on_beat", _anybody))
def a_worker_of_another_build_says_hello(folder: Path) -> list[process.Greeting]:
    greetings = []
    for number, change in enumerate(("", "build", "config_hash")):
        place = folder / str(number)
        place.mkdir(mode=0o700)
        settings = status_rig.settings(place)
        spec = ProcessSpec("worker-1", "nowhere:nothing", settings)
        supervisor = Supervisor(settings, [spec], lambda _: None)
        child = supervisor.children["worker-1"]
        expected = supervisor._greeting
        shown = expected if not change else expected.replace(getattr(settings, change), "another")
        supervisor._on_beat(child, Heartbeat("worker-1", 0, 1, 1, "OK", {}, shown))
        state = supervisor.status()["state"]
        greetings.append(process.Greeting(shown, expected, state, child.ready))
    return greetings


# ------------------------------------------------------------------------------------------------------- I30 canaries
class _Echo:
    """A gateway that says back everything it was told, in the text of its refusal."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.calls = 0

    def run(self, _method: str, path: str, body: bytes, headers: dict[str, str], _total_s: float) -> HttpResult:
        self.calls += 1
        if path == tables.LOGIN_KEY.path and self.calls == 1:
            return HttpResult(True, 200, bodies.encode_answer(tables.LOGIN_KEY, TOKEN))
        text = f"refused: {headers.get('Authorization')} {API_KEY} {body.decode()}"
        call = tables.BY_PATH[path.lower()]
        return HttpResult(True, 200, bodies.encode_answer(call, code=1 if len(call.codes) > 1 else 0, message=text))

    def close(self) -> None:
        """Nothing is open."""


TOKEN = jwt(17)


@other("I30", replaced(rest_module, "redact", lambda text, *_: text))
def a_gateway_that_repeats_every_secret(folder: Path) -> process.Traces:
    handler = _Lines()
    logging.getLogger().addHandler(handler)
    try:
        login = Credentials(USER, API_KEY)
        client = OrderClient("http://127.0.0.1:9", login, exchange=_Echo(), pause=lambda _: None)  # type: ignore[arg-type]
        client.login_key()
        answers = [client.position_search_open(1), client.order_cancel(bodies.OrderIdRequest(account_id=1, order_id=2))]
        stage = Stage(folder)
        stage.begin()
        for answer in answers:
            stage.feed(CommandResult(stage.now_ns, 1001, "x", "rejected", None, answer.text))
        stage.operator("pause")
        stage.run(2)
        stage.end()
    finally:
        logging.getLogger().removeHandler(handler)
    files = {path.name: path.read_bytes().decode(errors="replace") for path in folder.rglob("*") if path.is_file()}
    words = {"answers": repr(answers), "client": repr(client), "status": repr(client.status())}
    return process.Traces((API_KEY, TOKEN), {**files, **words, "log": "\n".join(handler.lines)})


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


# ------------------------------------------------------------------------------------------------------- I31 strangers
_open_private = journal_files.open_private


def _open_public(path: Path, size: int) -> int:
    handle = _open_private(path, size)
    path.chmod(0o644)
    return handle


def _any_seal(self: wire.Wire, frame: bytes) -> bytes:
    return b"\0" * wire.SEAL_BYTES


@other("I31", replaced(journal, "open_private", _open_public), replaced(wire.Wire, "_seal", _any_seal))
def files_and_frames(folder: Path) -> process.Doors:
    stage = Stage(folder)
    stage.begin()
    stage.run(2)
    stage.end()
    # The status file is made under the umask of a child process, which this is not.
    modes = {path.name: path.stat().st_mode for path in folder.glob("journal*")}
    with tempfile.TemporaryDirectory() as short:  # a socket's address has at most 107 bytes
        home = run_directory(Path(short))
        segment = Segment.create(home, "ring.MNQ", 4096)
        channel = sockets.pull(home / "bus.sock")
        modes |= {path.name: path.stat().st_mode for path in (home, *home.iterdir())}
        channel.close()
        segment.close()
        segment.unlink()
    ours, theirs = wire.Wire(bytes(range(32)), 7, 1), wire.Wire(bytes(32), 7, 1)
    genuine = ours.encode(TokenGrant(1, "token", {}, 1))
    frames = {
        "a frame with another key": theirs.encode(Heartbeat("worker", 1, 1, 1, "OK", {})),
        "a frame with a changed byte": genuine[:-20] + bytes([genuine[-20] ^ 1]) + genuine[-19:],
        "a frame of another run": wire.Wire(bytes(range(32)), 8, 1).encode(Heartbeat("worker", 1, 1, 1, "OK", {})),
    }
    return process.Doors(modes, {name: _heard(ours, frame) for name, frame in frames.items()})


def _heard(channel: wire.Wire, frame: bytes) -> bool:
    try:
        channel.decode(frame)
    except ProtocolError:
        return False
    return True


# ------------------------------------------------------------------------------------------------------- I32 same seed
_count = [0]


def _hidden_number(self: Outbox) -> str:
    _count[0] += 1
    return f"{self.account}-{_count[0]}"


@other("I32", replaced(Outbox, "new_id", _hidden_number))
def two_runs_of_one_seed(_folder: Path) -> process.Twice:
    scene = replace(draw_scene(3, "morning"), faults_s=40.0, calm_s=20.0)
    prints: list[tuple[object, ...]] = []
    for _ in range(2):
        world = World(3, [], scene)
        world.run()
        assert len(world.evidence.steps) > 50, world.failures
        prints.append((*world.ended_with, msgspec.json.encode(world.evidence.status or {}, enc_hook=str)))
    return process.Twice(*prints)
