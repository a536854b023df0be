"""Messages between processes and journal bodies: exact round trips, and nothing but ProtocolError for all else."""

import dataclasses
import random
import struct
from hashlib import blake2b
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from message_strategies import every_message, every_record, instances
from tbot.domain import messages, process_messages
from tbot.errors import ProtocolError
from tbot.transport import wire as wire_module
from tbot.transport.frames import CONTROL
from tbot.transport.wire import COUNTERS, MAX_MESSAGE, VERSION, Wire, decode_record, encode_record

KEY = bytes(range(32))
RUN = 0x1122334455667788
# The only fields of the schema that may hold a float: points and weights of patterns, never a price or money.
FLOATS = {"score", "parts", "status", "base", "weight", "edge_r", "patterns"}

QUOTE = messages.Quote(bid=20100, ask=20101, exch_ns=1_780_000_000_000_000_000, seq=7)
SIGNAL = messages.Signal(
    signal_id="MNQ-1",
    contract="MNQ",
    side=1,
    quote=QUOTE,
    stop=20000,
    target=20300,
    score=71.25,
    reason="retest",
    zone_id=5,
    zone_timeframe_min=5,
    parts={"trend": 20.0, "volume": 51.25},
    event_ids=(1, 2, 3),
    params_hash="ab12",
    decided_ns=1_780_000_000_000_000_000,
    ring_seq=99,
)
BEAT = process_messages.Heartbeat(process="feed", pid=1, beat=2, boot_ns=3, state="OK", status={})


def wire(epoch: int = 3, key: bytes = KEY, run_id: int = RUN) -> Wire:
    return Wire(key, run_id, epoch)


def sealed(body: bytes, *, tag: int = 2, epoch: int = 3, version: int = VERSION, length: int | None = None) -> bytes:
    """A frame with a right seal around anything, as a broken build of ours could send it. Written from the format."""
    size = len(body) if length is None else length
    frame = b"TBOT" + struct.pack("<BBHQQI", version, tag, 0, RUN, epoch, size) + body
    return frame + blake2b(frame, digest_size=16, key=KEY).digest()


def floats_in(value: Any, name: str = "") -> set[str]:
    """Names of the fields that hold a float, however deep."""
    if isinstance(value, float):
        return {name}
    if dataclasses.is_dataclass(value):
        pairs = [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
        return set().union(*(floats_in(item, inner) for inner, item in pairs))
    if isinstance(value, dict):
        return set().union(*(floats_in(item, name) for item in value.values()))
    if isinstance(value, (tuple, list)):
        return set().union(*(floats_in(item, name) for item in value))
    return set()


@pytest.mark.parametrize("cls", every_message())
@settings(max_examples=50)  # of each of some fifty types
@given(data=st.data())
def test_I19_every_message_comes_back_exactly(cls: type, data: st.DataObject) -> None:
    message = data.draw(instances(cls))
    back = wire().decode(wire().encode(message))
    assert back == message
    assert type(back) is cls
    assert floats_in(back) <= FLOATS


@pytest.mark.parametrize("cls", every_record())
@settings(max_examples=50)
@given(data=st.data())
def test_I19_every_journal_body_comes_back_exactly(cls: type, data: st.DataObject) -> None:
    item = data.draw(instances(cls))
    kind, body = encode_record(item)
    back = decode_record(kind, body)
    assert back == item
    assert repr(back) == repr(item), "tuples stay tuples, integers integers"
    assert floats_in(back) <= FLOATS


def test_the_same_object_has_the_same_body() -> None:
    item = messages.SignalIn(now_ns=1, signal=SIGNAL, quote=None, age_ns=2)
    assert encode_record(item) == encode_record(dataclasses.replace(item))


@pytest.mark.parametrize("price", [20100.0, True, "20100", None, 2**63, -(2**63) - 1, 2**64])
def test_I19_a_price_that_is_no_int64_is_refused_where_it_is_sent_and_where_it_arrives(price: object) -> None:
    order = messages.PlaceStop("c", 1, "MNQ", -1, 1, price, "t")  # type: ignore[arg-type]
    with pytest.raises(ProtocolError):
        encode_record(order)
    fields = {"now_ns": price}
    with pytest.raises(ProtocolError):
        wire().encode(process_messages.StepDone(**fields))  # type: ignore[arg-type]
    receiver = wire()
    with pytest.raises(ProtocolError):
        receiver.decode(sealed(msgspec.json.encode(fields), tag=8))
    assert receiver.counters["bad_body"] == 1
    with pytest.raises(ProtocolError):
        decode_record("TimerIn", msgspec.json.encode({**fields, "quotes": {}}))


def test_tag_8_is_the_step_that_the_tests_forge() -> None:
    assert wire().decode(sealed(b'{"now_ns":5}', tag=8)) == process_messages.StepDone(5)
    assert wire().decode(sealed(b'{"signal_id":"a","taken":true}', tag=2)) == process_messages.SignalAck("a", True)


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_score_that_is_not_finite_is_refused_by_the_sender(score: float) -> None:
    signal = dataclasses.replace(SIGNAL, score=score)
    with pytest.raises(ProtocolError):
        wire().encode(process_messages.SignalMessage(signal, messages.SignalStamps(), 1))
    with pytest.raises(ProtocolError):
        encode_record(messages.SignalIn(1, signal, None, 0))


def test_free_form_status_becomes_json() -> None:
    beat = dataclasses.replace(BEAT, status={"pair": (1, 2), "ratio": float("inf")})
    back = wire().decode(wire().encode(beat))
    assert isinstance(back, process_messages.Heartbeat)
    assert back.status == {"pair": [1, 2], "ratio": None}


@pytest.mark.parametrize("thing", [QUOTE, SIGNAL, None, {"a": 1}, messages.TimerIn(1, {})])
def test_only_messages_of_the_schema_can_be_sent(thing: Any) -> None:
    with pytest.raises(ProtocolError):
        wire().encode(thing)


@pytest.mark.parametrize("thing", [QUOTE, BEAT, None, 5])
def test_only_inputs_and_outputs_of_the_desk_can_be_journaled(thing: Any) -> None:
    with pytest.raises(ProtocolError):
        encode_record(thing)


def test_text_that_is_no_unicode_is_refused() -> None:
    with pytest.raises(ProtocolError):
        wire().encode(process_messages.SignalAck("\ud800", True))


def test_F_IPC_05_another_run_is_refused() -> None:
    receiver = wire()
    with pytest.raises(ProtocolError):
        receiver.decode(wire(run_id=RUN + 1).encode(BEAT))
    assert receiver.counters["foreign_run"] == 1


def test_I31_without_the_run_key_nothing_gets_in() -> None:
    receiver = wire()
    with pytest.raises(ProtocolError):
        receiver.decode(wire(key=b"another key, but long enough").encode(BEAT))
    assert receiver.counters["bad_seal"] == 1


def test_I16_an_older_epoch_is_refused_and_a_newer_one_is_noticed() -> None:
    receiver = wire(epoch=3)
    with pytest.raises(ProtocolError):
        receiver.decode(wire(epoch=2).encode(BEAT))
    assert receiver.counters["old_epoch"] == 1
    receiver.decode(wire(epoch=4).encode(BEAT))
    assert (receiver.epoch, receiver.newest_epoch) == (3, 4)
    receiver.advance(4)
    with pytest.raises(ProtocolError):
        receiver.decode(wire(epoch=3).encode(BEAT))
    with pytest.raises(ValueError, match="never goes back"):
        receiver.advance(3)


def test_a_forged_epoch_is_not_noticed() -> None:
    receiver = wire(epoch=3)
    with pytest.raises(ProtocolError):
        receiver.decode(wire(epoch=9, key=b"another key, but long enough").encode(BEAT))
    assert receiver.newest_epoch == 3


def test_a_frame_of_exactly_the_limit_passes_and_one_byte_more_does_not() -> None:
    sender, empty = wire(), len(wire().encode(process_messages.EngineEvent(1, "p", "k", "c", "")))
    fits = process_messages.EngineEvent(1, "p", "k", "c", "x" * (MAX_MESSAGE - empty))
    frame = sender.encode(fits)
    assert len(frame) == MAX_MESSAGE
    assert wire().decode(frame) == fits
    with pytest.raises(ProtocolError):
        sender.encode(dataclasses.replace(fits, text=fits.text + "x"))
    assert sender.counters["oversize"] == 1
    receiver = wire()
    with pytest.raises(ProtocolError):
        receiver.decode(frame + b"x")
    assert receiver.counters["oversize"] == 1


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"", "bad_frame"),
        (b"POST /order HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}", "bad_frame"),
        (sealed(b"{}", version=VERSION + 1), "bad_frame"),
        (sealed(b"{}", length=1), "bad_frame"),
        (sealed(b"{}", length=2**32 - 1), "bad_frame"),
        (sealed(b"{}", tag=0), "unknown_tag"),
        (sealed(b"{}", tag=len(every_message()) + 1), "unknown_tag"),
        (sealed(b""), "bad_body"),
        (sealed(b"\xff\xfe"), "bad_body"),
        (sealed(b"[" * 200_000), "bad_body"),
        (sealed(b'{"now_ns":5}', tag=2), "bad_body"),
        (sealed(b'{"signal_id":"a","taken":1}', tag=2), "bad_body"),
        (sealed(b'{"now_ns":1e999}', tag=8), "bad_body"),
        (sealed(b'{"now_ns": 99999999999999999999}', tag=8), "bad_body"),
        (sealed(b'{"request_id":"a","verb":"buy"}', tag=5), "bad_body"),
    ],
)
def test_F_IPC_06_garbage_is_refused_and_counted(frame: bytes, reason: str) -> None:
    receiver = wire()
    with pytest.raises(ProtocolError):
        receiver.decode(frame)
    assert receiver.counters == {**dict.fromkeys(COUNTERS, 0), reason: 1}


@given(st.binary(max_size=400))
def test_F_IPC_06_random_bytes_raise_nothing_but_protocol_errors(noise: bytes) -> None:
    for frame in (noise, b"TBOT" + noise, sealed(noise), sealed(noise, tag=1), sealed(noise, tag=9)):
        with pytest.raises(ProtocolError):
            wire().decode(frame)
    for kind in ("SignalIn", "Snapshot", noise.decode("latin-1")):
        with pytest.raises(ProtocolError):
            decode_record(kind, noise)


def test_F_IPC_06_every_flipped_bit_is_noticed() -> None:
    frame = wire().encode(process_messages.SignalMessage(SIGNAL, messages.SignalStamps(1, 2, 3, 4, 5), 1_500_000_000))
    receiver = wire()
    for position in range(len(frame)):
        for bit in range(8):
            broken = bytearray(frame)
            broken[position] ^= 1 << bit
            with pytest.raises(ProtocolError):
                receiver.decode(bytes(broken))
    assert receiver.counters["decoded"] == 0


@pytest.mark.parametrize("seed", range(3))
def test_F_IPC_06_bodies_changed_at_random_under_a_right_seal(seed: int) -> None:
    """What a broken build of ours could say: either a whole message of the schema, or a ProtocolError."""
    rng = random.Random(seed)
    message = process_messages.SignalMessage(SIGNAL, messages.SignalStamps(1, 2, 3, 4, 5), 1_500_000_000)
    body, refused = msgspec.json.encode(message), 0
    for _ in range(1000):
        broken = bytearray(body)
        for _ in range(rng.randint(1, 3)):
            broken[rng.randrange(len(broken))] = rng.choice(b'0123456789"{}[]:,.-eEtn \x00\xff')
        try:
            back = wire().decode(sealed(bytes(broken), tag=1))
        except ProtocolError:
            refused += 1
        else:
            assert isinstance(back, process_messages.SignalMessage)
            assert floats_in(back) <= FLOATS
    assert 0 < refused < 1000


def test_errors_and_repr_do_not_show_the_key_or_the_token() -> None:
    grant = process_messages.TokenGrant(1, "canary-token")
    assert "canary" not in repr(grant)
    assert KEY.hex() not in repr(wire())
    frame = wire().encode(grant)
    with pytest.raises(ProtocolError) as caught:
        wire().decode(frame[:-1] + bytes([frame[-1] ^ 1]))
    with pytest.raises(ProtocolError) as other:
        wire().decode(sealed(b'{"revision":1,"token":["canary-token"]}', tag=4))
    assert "canary" not in str(caught.value) + str(other.value)


@pytest.mark.parametrize(
    ("key", "run_id", "epoch"), [(b"short", 1, 1), (b"x" * 65, 1, 1), (KEY, -1, 1), (KEY, 2**64, 1), (KEY, 1, 2**64)]
)
def test_a_wire_with_a_weak_key_or_ids_that_do_not_fit_cannot_be_made(key: bytes, run_id: int, epoch: int) -> None:
    with pytest.raises(ValueError, match=r"run key|64 bits"):
        Wire(key, run_id, epoch)


def test_the_control_socket_has_the_tags_of_the_whole_schema() -> None:
    """Else a `tbot kill` that was upgraded could not speak to the engine that runs on."""
    assert all(wire_module._TYPES[tag] is cls for tag, cls in CONTROL.items())
    assert set(CONTROL.values()) == {process_messages.ControlRequest, process_messages.ControlReply}
