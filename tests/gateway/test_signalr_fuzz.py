"""Round trips of generated messages, and thousands of mutated frames: nothing raises, nothing is lost uncounted."""

import itertools
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbot.gateway import signalr
from tbot.gateway.signalr import Invocation, Malformed, Role, SignalRConnection, State

SEEDS = [b'{"type":6}', b'{"type":7,"error":"e","allowReconnect":true}', b'{"type":3,"invocationId":"7","result":null}']
SEEDS += [
    b'{"type":1,"target":"GatewayQuote","arguments":["CON.F.US.MNQ.Z26",{"lastPrice":25104.25,"bestBid":25104.0}]}',
    b'{"arguments":["x",{"a":[1,2,{"b":null}]}],"headers":{"h":"1"},"target":"T","type":1,"invocationId":"3"}',
    r'{"type":1,"target":"Tä","arguments":["\u001e €"]}'.encode(),
]
CASES = 2500

numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(
    target=st.text(min_size=1), arguments=st.lists(values, max_size=4), cuts=st.lists(st.integers(0, 400), max_size=6)
)
def test_invocations_survive_the_way(target, arguments, cuts):
    data = signalr.encode_invocation(target, arguments) + signalr.PING + signalr.encode_completion("1", "e")
    server = SignalRConnection(Role.SERVER)
    server.receive(signalr.encode_handshake())
    messages = []
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in itertools.pairwise(edges):
        messages += server.receive(data[start:end])
    assert messages[0].target == target
    assert json.loads(messages[0].arguments) == arguments
    assert messages[1:] == [signalr.Ping(), signalr.Completion("1", "e")]


@given(error=st.none() | st.text(), allow=st.booleans())
def test_close_survives_the_way(error, allow):
    client = SignalRConnection(Role.CLIENT)
    client.receive(signalr.HANDSHAKE_OK)
    assert client.receive(signalr.encode_close(error, allow)) == [signalr.Close(error, allow)]


def mutated(rng: random.Random) -> bytes:
    frame = bytearray(rng.choice(SEEDS))
    for _ in range(rng.randint(1, 4)):
        if not frame:
            break
        at = rng.randrange(len(frame))
        action = rng.randrange(5)
        if action == 0:
            frame[at] = rng.randrange(256)
        elif action == 1:
            del frame[at : at + rng.randint(1, 10)]
        elif action == 2:
            frame[at:at] = rng.choice([b"\x1e", b'"', b"{", b"}", b"null", b"1e999", b"-0", b"\xf0\x9f", b'"type":6,'])
        elif action == 3:
            frame += frame[at:]
        else:
            frame[at : at + 1] = bytes([frame[at] ^ (1 << rng.randrange(8))])
    return bytes(frame)


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("seed", [1, 2])
def test_F_DAT_01_mutated_frames_never_raise(role, seed):
    rng = random.Random(seed)
    connection = None
    malformed = 0
    for case in range(CASES):
        if connection is None or connection.state is State.CLOSED:
            connection = SignalRConnection(role)
            connection.receive(signalr.HANDSHAKE_OK if role is Role.CLIENT else signalr.encode_handshake())
            connection.data_to_send()
        before = dict(connection.counts)
        messages = connection.receive(mutated(rng) + b"\x1e")
        malformed += sum(isinstance(message, Malformed) for message in messages)
        counted = {name: connection.counts[name] - before.get(name, 0) for name in ("records", "empty", "malformed")}
        if connection.state is State.OPEN:
            # every record is a message or counted as empty; every malformed one is counted (I21)
            assert counted["records"] == len(messages) + counted["empty"], case
        assert counted["malformed"] == sum(isinstance(message, Malformed) for message in messages), case
        for message in messages:
            if isinstance(message, Invocation):
                json.loads(message.arguments)  # what passes is whole JSON
    assert malformed > CASES // 4  # the mutations do hurt
