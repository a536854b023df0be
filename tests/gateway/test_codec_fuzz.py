"""Ten thousand damaged bodies and frames through every decoder: nothing raises, costs stay in proportion.

I20 by ruling 27: allocation is held against the bytes handled, time is the thread's own CPU time.
"""

import json
import random
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable

import pytest

from gateway_records import ACCOUNT, ID, ORDER, POSITION, TRADE
from json_mutations import amplifiers, mutated
from rest_calls import PAYLOADS
from tbot.domain.contracts import contract_from_broker_id
from tbot.gateway import codec_rest as bodies
from tbot.gateway import codec_tables as tables
from tbot.gateway import signalr
from tbot.gateway.codec_hub import decode_user, user_event
from tbot.gateway.codec_market import MarketDecoder
from tbot.gateway.codec_tables import Call
from tbot.gateway.codec_values import parse_time
from tbot.gateway.signalr import Invocation, Role, SignalRConnection, State

NOW = parse_time("2026-11-20T15:24:32Z")
PER_CALL = 250  # of 20 calls
PER_TARGET = 400  # of 4 user events
PER_EVENT = 700  # of 3 market events
FRAMES = 1600
CPU_PER_BYTE_S = 2e-6  # generous: the slowest path needs a tenth of it
CPU_FREE_S = 0.05
BYTES_PER_BYTE = 24
FREE_BYTES = 1 << 20


class Meter:
    """CPU time of the decoders against the bytes they were given."""

    def __init__(self) -> None:
        self.bytes = 0
        self.cpu_s = 0.0

    def run(self, size: int, action: Callable[[], object]) -> object:
        start = time.thread_time()
        try:
            return action()
        finally:
            self.cpu_s += time.thread_time() - start
            self.bytes += size

    def check(self, cases: int) -> None:
        assert self.cpu_s <= CPU_FREE_S + cases * 1e-4 + self.bytes * CPU_PER_BYTE_S, (self.cpu_s, self.bytes)


def answers(call: Call) -> list[bytes]:
    payload = PAYLOADS.get(call, "a.b.c")
    many = payload * 3 if isinstance(payload, list) else payload
    code = 1 if len(call.codes) > 1 else 0
    return [
        bodies.encode_answer(call, payload, total=1),
        bodies.encode_answer(call, many, total=3),
        bodies.encode_answer(call, code=code, message="why"),
    ]


@pytest.mark.parametrize("call", tables.CALLS, ids=lambda call: call.path)
def test_I20_damaged_answers(call):
    rng, meter, seen = random.Random(f"answers {call.path}"), Meter(), Counter()
    seeds = answers(call)
    for case in range(PER_CALL):
        body = mutated(rng, rng.choice(seeds))
        answer = meter.run(len(body), lambda body=body: bodies.decode_answer(call, body))
        assert isinstance(answer, bodies.Answer), case
        assert answer.outcome in ("accepted", "rejected", "ambiguous")
        assert answer.value is None or answer.ok
        assert answer.ok or len(answer.text) < 6000
        assert answer.code is None or isinstance(answer.code, int)
        assert answer.order_id is None or 0 < answer.order_id < 2**63
        if answer.ok and call.payload:
            again = bodies.decode_answer(call, bodies.encode_answer(call, answer.value))
            assert again.value == answer.value, "what was accepted can be written and read again"
        seen[answer.outcome] += 1
    assert seen["ambiguous"] > PER_CALL // 4, "the mutations do hurt"
    meter.check(PER_CALL)


@pytest.mark.parametrize("record", [ACCOUNT, ORDER, POSITION, TRADE], ids=lambda record: type(record).__name__)
def test_I20_damaged_user_events(record):
    rng, meter, seen = random.Random(type(record).__name__), Meter(), Counter()
    seeds = []
    for bare in (True, False):
        event = signalr.parse_record(user_event(record, bare=bare).rstrip(b"\x1e"))
        assert isinstance(event, Invocation)
        seeds.append(event.arguments)
    for _ in range(PER_TARGET):
        arguments = mutated(rng, rng.choice(seeds))

        def decode(arguments: bytes = arguments) -> object:
            try:
                return decode_user(Invocation(event.target, arguments))
            except ValueError as error:
                return error

        decoded = meter.run(len(arguments), decode)
        refused = isinstance(decoded, ValueError)
        assert refused or type(decoded) is type(record)
        assert not refused or len(str(decoded)) < 1000
        seen[refused] += 1
    assert seen[True] > PER_TARGET // 4
    assert seen[False] > 0
    meter.check(PER_TARGET)


STAMPS = {"lastUpdated": "2026-11-20T15:24:31.4347534+00:00", "timestamp": "2026-11-20T15:24:31.348+00:00"}
PRINT = {
    "symbolId": "F.US.MNQ", "price": 25104.5, "timestamp": "2026-11-20T15:24:31.452+00:00", "type": 0, "volume": 2,
    "contractId": ID,
}  # fmt: skip
ROW = {"price": 25104.25, "volume": 7, "currentVolume": 7, "type": 2, "timestamp": "2026-11-20T15:24:31.4173693+00:00"}
QUOTE = {"symbol": "F.US.MNQ", "lastPrice": 25104.25, "bestBid": 25104.0, "bestAsk": 25104.5, "volume": 5}
MARKET = {
    "GatewayQuote": [[ID, QUOTE | STAMPS | {"contract": ID}]],
    "GatewayTrade": [[ID, [PRINT, PRINT]], [ID, PRINT]],
    "GatewayDepth": [[ID, [ROW, ROW | {"type": 6}]], [ID, ROW]],
}


@pytest.mark.parametrize("target", MARKET)
def test_I20_I21_damaged_market_events(target):
    rng, meter = random.Random(target), Meter()
    seeds = [json.dumps(arguments).encode() for arguments in MARKET[target]]
    subject = MarketDecoder({ID: contract_from_broker_id(ID).product})
    ticks = 0
    for case in range(PER_EVENT):
        arguments = mutated(rng, rng.choice(seeds))
        batch = meter.run(
            len(arguments), lambda arguments=arguments: subject.decode(Invocation(target, arguments), 1, NOW)
        )
        counts = subject.counts
        assert counts["items"] == counts["accepted"] + counts["dropped"], case
        if isinstance(batch, tuple):
            ticks += len(batch[1])
            for tick in batch[1]:
                assert all(type(value) is int and -(2**63) <= value < 2**63 for value in tick)
    if target != "GatewayDepth":
        assert subject.counts["dropped"] > PER_EVENT // 5
        assert ticks > 0
    meter.check(PER_EVENT)


@pytest.mark.parametrize("role", list(Role))
def test_I20_damaged_frames(role):
    rng, meter = random.Random(f"frames {role}"), Meter()
    seeds = [b'{"type":6}', b'{"type":3,"invocationId":"7","result":null}', b'{"type":7,"allowReconnect":true}']
    for target, listed in MARKET.items():
        seeds += [signalr.encode_invocation(target, arguments).rstrip(b"\x1e") for arguments in listed]
    connection = None
    for _ in range(FRAMES // 2):
        if connection is None or connection.state is State.CLOSED:
            connection = SignalRConnection(role)
            connection.receive(signalr.HANDSHAKE_OK if role is Role.CLIENT else signalr.encode_handshake())
            connection.data_to_send()
        frame = mutated(rng, rng.choice(seeds)) + b"\x1e" * rng.randrange(3)
        cut = rng.randrange(len(frame) + 1)
        for part in (frame[:cut], frame[cut:]):
            messages = meter.run(len(part), lambda part=part, link=connection: link.receive(part))
            assert isinstance(messages, list)
            for message in messages:
                if isinstance(message, Invocation):
                    json.loads(message.arguments)
        connection.data_to_send()
    meter.check(FRAMES)


def test_the_number_of_cases():
    assert len(tables.CALLS) * PER_CALL + 4 * PER_TARGET + 3 * PER_EVENT + FRAMES >= 10_000


# ------------------------------------------------------------------------------------------------------ amplification
def peak_of(action: Callable[[], object]) -> tuple[int, float]:
    """(most bytes allocated at once, CPU seconds of the quickest of three runs) of an action."""
    action()  # caches and first-use imports are not its cost
    tracemalloc.start()
    try:
        action()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return peak, min(cpu_of(action) for _ in range(3))  # a busy neighbour on the processor slows a run or two


def cpu_of(action: Callable[[], object]) -> float:
    start = time.thread_time()
    action()
    return time.thread_time() - start


def bounded(name: str, size: int, action: Callable[[], object]) -> None:
    peak, cpu_s = peak_of(action)
    assert peak <= FREE_BYTES + BYTES_PER_BYTE * size, f"{name}: {peak} bytes for {size}"
    assert cpu_s <= CPU_FREE_S + size * CPU_PER_BYTE_S, f"{name}: {cpu_s} s for {size} bytes"


@pytest.mark.parametrize("name", amplifiers(10))
@pytest.mark.parametrize("size", [20_000, 1_000_000])
def test_I20_F_API_06_amplifying_answers(name, size):
    value = amplifiers(size)[name]
    envelope = b',"success":true,"errorCode":0,"errorMessage":null}'
    of_each_kind = (
        tables.ORDER_SEARCH, tables.RETRIEVE_BARS, tables.ORDER_PLACE, tables.LOGIN_KEY, tables.CONTRACT_BY_ID
    )  # fmt: skip
    for call in of_each_kind:
        whole = b'{"' + call.payload.encode() + b'":' + value + envelope
        bounded(f"{call.path} {name}", len(whole), lambda call=call, whole=whole: bodies.decode_answer(call, whole))
    inner = json.dumps({"id": 1, "accountId": 2, "contractId": "C", "type": 1, "size": 3, "averagePrice": "@"})
    raw = inner.encode().replace(b'"@"', value)
    whole = b'{"positions":[' + raw + b"]" + envelope
    bounded(f"price {name}", len(whole), lambda: bodies.decode_answer(tables.POSITION_SEARCH_OPEN, whole))
    bounded(f"bare {name}", len(value), lambda: bodies.decode_answer(tables.ORDER_PLACE, value))


@pytest.mark.parametrize("name", amplifiers(10))
@pytest.mark.parametrize("size", [20_000, 1_000_000])
def test_I20_F_DAT_01_amplifying_events(name, size):
    value = amplifiers(size)[name]
    arguments = b'[{"action":1,"data":' + value + b"}]"

    def user() -> None:
        with pytest.raises(ValueError, match=r"."):
            decode_user(Invocation("GatewayUserOrder", arguments))

    bounded(f"user {name}", len(arguments), user)

    def frame() -> None:
        connection = SignalRConnection(Role.CLIENT)
        connection.receive(signalr.HANDSHAKE_OK)
        connection.receive(b'{"type":1,"target":"T","arguments":' + value + b"}\x1e")

    bounded(f"frame {name}", len(value), frame)
    subject = MarketDecoder({ID: contract_from_broker_id(ID).product})
    body = b'["' + ID.encode() + b'",' + value + b"]"
    for target in ("GatewayQuote", "GatewayTrade"):
        bounded(f"{target} {name}", len(body), lambda target=target: subject.decode(Invocation(target, body), 1, NOW))
    assert subject.counts["items"] == subject.counts["accepted"] + subject.counts["dropped"]
