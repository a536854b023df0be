"""SignalR frames as published, every split point, both roles, and what is done with malformed input."""

import json

import pytest

from tbot.errors import ProtocolError
from tbot.gateway import signalr
from tbot.gateway.signalr import (
    Close,
    Completion,
    HandshakeDone,
    HandshakeFailed,
    Invocation,
    Malformed,
    Other,
    Ping,
    Role,
    SignalRConnection,
    State,
)

HANDSHAKE_REQUEST = bytes.fromhex("7b2270726f746f636f6c223a226a736f6e222c2276657273696f6e223a317d1e")
HANDSHAKE_ANSWER = bytes.fromhex("7b7d1e")
PING = bytes.fromhex("7b2274797065223a367d1e")
CLOSED = b'{"type":7,"error":"Connection closed with an error."}\x1e'


def record(text: str) -> bytes:
    return text.replace("␞", "\x1e").encode()


def opened(role: Role = Role.CLIENT, **options: int) -> SignalRConnection:
    connection = SignalRConnection(role, **options)
    connection.receive(HANDSHAKE_ANSWER if role is Role.CLIENT else HANDSHAKE_REQUEST)
    connection.data_to_send()
    return connection


def arguments(message: signalr.Message) -> list[object]:
    assert isinstance(message, Invocation)
    return list(json.loads(message.arguments))


# ---------------------------------------------------------------------------------------------- published vectors
def test_handshake_bytes():
    assert SignalRConnection(Role.CLIENT).handshake() == HANDSHAKE_REQUEST
    server = SignalRConnection(Role.SERVER)
    assert server.receive(HANDSHAKE_REQUEST) == [HandshakeDone(1)]
    assert server.data_to_send() == HANDSHAKE_ANSWER
    assert server.state is State.OPEN
    client = SignalRConnection(Role.CLIENT)
    assert client.receive(HANDSHAKE_ANSWER) == [HandshakeDone()]
    assert client.state is State.OPEN


def test_ping_bytes():
    assert signalr.PING == PING
    for role in Role:
        assert opened(role).receive(PING) == [Ping()]
        assert opened(role).data_to_send() == b""  # a ping is never answered with a ping


VECTORS = [
    ('{"type":7,"allowReconnect":true}␞', [Close(None, True)]),
    ('{"type":7}␞', [Close()]),
    ('{"type":7,"error":"e"}␞', [Close("e")]),
    ('{"type":6}␞{"type":1,"target":"A","arguments":[]}␞', [Ping(), Invocation("A", b"[]")]),
    ('{"type":3,"invocationId":"7","result":null}␞', [Completion("7", None, b"null")]),
    ('{"type":3,"invocationId":"7"}␞', [Completion("7")]),
    (
        '{"type":3,"invocationId":"7","error":"Unknown hub method \'X\'"}␞',
        [Completion("7", "Unknown hub method 'X'")],
    ),
    ('{"type":42,"x":1}␞', [Other(42)]),
    ('{"type":42,"target":5,"error":[1]}␞', [Other(42)]),
    ('{"type":6,"target":5}␞', [Ping()]),
]


@pytest.mark.parametrize(("text", "expected"), VECTORS)
def test_published_frames(text, expected):
    assert opened().receive(record(text)) == expected


def test_split_frame():
    client = opened()
    assert client.receive(record('{"type":1,"target":"A","argu')) == []
    messages = client.receive(record('ments":[1]}␞{"type":6}␞'))
    assert arguments(messages[0]) == [1]
    assert messages[1:] == [Ping()]
    assert client.tail_bytes == 0


def test_members_in_any_order():
    text = '{"arguments":["x",{"lastPrice":1}],"headers":{"h":"1"},"target":"GatewayQuote","type":1}␞'
    (message,) = opened().receive(record(text))
    assert message.target == "GatewayQuote"
    assert arguments(message) == ["x", {"lastPrice": 1}]


def test_escapes_and_inner_separator():
    (message,) = opened().receive(record(r'{"type":1,"target":"T","arguments":["2025-11-21T15:00:00\u002B00:00"]}␞'))
    assert arguments(message) == ["2025-11-21T15:00:00+00:00"]
    (message,) = opened().receive(record(r'{"type":1,"target":"T","arguments":["a\u001eb"]}␞'))
    assert arguments(message) == ["a\x1eb"]
    (message,) = opened().receive(record(r'{"type":1,"target":"\u0054ä","arguments":[]}␞'))
    assert message.target == "Tä"


def test_id_as_number_is_malformed():
    assert isinstance(opened().receive(record('{"type":3,"invocationId":7}␞'))[0], Malformed)


def test_F_NET_04_data_glued_to_the_handshake_answer_is_processed():
    client = SignalRConnection(Role.CLIENT)
    messages = client.receive(record('{}␞{"type":6}␞{"type":1,"target":"A","arguments":[]}␞'))
    assert messages == [HandshakeDone(), Ping(), Invocation("A", b"[]")]


STREAM = record(
    '{"minorVersion":0}␞{"type":6}␞␞{"type":1,"target":"Q","arguments":["ä€",{"p":1.25}]}␞'
    '{"type":3,"invocationId":"0","result":null}␞{"type":42}␞{"type":1,"target":""}␞[1]␞{"type":7}␞{"type":6}␞'
)


def test_F_DAT_01_every_split_point_gives_the_same_messages():
    whole = SignalRConnection(Role.CLIENT).receive(STREAM)
    assert [type(message).__name__ for message in whole] == [
        "HandshakeDone", "Ping", "Invocation", "Completion", "Other", "Malformed", "Malformed", "Close",
    ]  # fmt: skip
    for cut in range(len(STREAM) + 1):
        client = SignalRConnection(Role.CLIENT)
        assert client.receive(STREAM[:cut]) + client.receive(STREAM[cut:]) == whole, cut
    client = SignalRConnection(Role.CLIENT)
    one_by_one = [message for byte in STREAM for message in client.receive(bytes([byte]))]
    assert one_by_one == whole


# ------------------------------------------------------------------------------------------------------- handshake
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ('{"error":"Handshake was canceled."}␞', "Handshake was canceled."),
        ('{"type":6}␞', "expected a handshake answer"),
        ('{"type":1,"target":"A","arguments":[]}␞', "expected a handshake answer"),
        ("nonsense␞", "not readable"),
        ("[]␞", "not readable"),
    ],
)
def test_F_NET_04_client_refuses_a_bad_handshake_answer(answer, reason):
    client = SignalRConnection(Role.CLIENT)
    messages = client.receive(record(answer + '{"type":6}␞'))
    assert len(messages) == 1  # nothing after it is processed
    assert isinstance(messages[0], HandshakeFailed)
    assert reason in messages[0].error
    assert client.state is State.CLOSED


@pytest.mark.parametrize("version", [0, 1, 2])
def test_server_accepts_the_versions_that_clients_send(version):
    server = SignalRConnection(Role.SERVER)
    assert server.receive(signalr.encode_handshake(version=version)) == [HandshakeDone(version)]
    assert server.data_to_send() == HANDSHAKE_ANSWER


@pytest.mark.parametrize(
    ("request_bytes", "error"),
    [
        (signalr.encode_handshake("messagepack"), "The protocol 'messagepack' is not supported."),
        (signalr.encode_handshake(version=3), "The server does not support version 3 of the 'json' protocol."),
        (b"garbage\x1e", "An unexpected error occurred during connection handshake."),
        (PING, "The protocol '' is not supported."),
    ],
)
def test_server_refuses_a_handshake_with_the_known_texts(request_bytes, error):
    server = SignalRConnection(Role.SERVER)
    assert server.receive(request_bytes + PING) == [HandshakeFailed(error)]
    assert json.loads(server.data_to_send().rstrip(b"\x1e")) == {"error": error}
    assert server.state is State.CLOSED


def test_server_handshake_timeout_text():
    server = SignalRConnection(Role.SERVER)
    assert server.handshake_timeout() == b'{"error":"Handshake was canceled."}\x1e'
    assert server.receive(HANDSHAKE_REQUEST) == []


# ------------------------------------------------------------------------------------------- malformed, both roles
MALFORMED = [
    b"{",
    b"",  # an empty record is no message but no harm either: see below
    b"{}",
    b"null",
    b"[1,2]",
    b'"text"',
    b'{"type":"1"}',
    b'{"type":true}',
    b'{"type":1.5}',
    b'{"type":1,"arguments":[]}',
    b'{"type":1,"target":"","arguments":[]}',
    b'{"type":1,"target":5,"arguments":[]}',
    b'{"type":1,"target":"A"}',
    b'{"type":1,"target":"A","arguments":{}}',
    b'{"type":1,"target":"A","arguments":null}',
    b'{"type":1,"target":"A","arguments":[NaN]}',
    b'{"type":1,"target":"A","arguments":["\xff"]}',
    b'{"type":1,"target":"A","arguments":["\x01"]}',
    b'{"type":1,"target":"A","arguments":[]} x',
    b'{"type":3}',
    b'{"type":3,"invocationId":7}',
    b'{"type":1,"target":"A","arguments":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
]


@pytest.mark.parametrize("body", MALFORMED, ids=range(len(MALFORMED)))
def test_F_DAT_01_client_drops_the_record_and_goes_on(body):
    client = opened()
    messages = client.receive(PING + body + b"\x1e" + PING)
    assert messages[0] == Ping()
    assert messages[-1] == Ping()
    assert client.state is State.OPEN
    assert client.data_to_send() == b""
    assert client.counts["malformed"] + client.counts["empty"] == 1
    assert len(messages) == 2 + client.counts["malformed"]


@pytest.mark.parametrize("body", [body for body in MALFORMED if body])
def test_server_answers_malformed_input_with_close(body):
    server = opened(Role.SERVER, max_record=1_000_000)
    messages = server.receive(body + b"\x1e" + PING)
    assert [type(message) for message in messages] == [Malformed]
    assert server.data_to_send() == CLOSED
    assert server.state is State.CLOSED
    assert server.receive(PING) == []


def test_completion_with_result_and_error():
    both = record('{"type":3,"invocationId":"7","result":1,"error":"e"}␞')
    assert opened().receive(both) == [Completion("7", "e", b"1")]  # the client treats it as an error
    assert isinstance(opened(Role.SERVER).receive(both)[0], Malformed)


def test_server_ignores_an_empty_record():
    server = opened(Role.SERVER)
    assert server.receive(b"\x1e\x1e" + PING) == [Ping()]
    assert server.counts["empty"] == 2


def test_nothing_is_processed_after_close():
    client = opened()
    assert client.receive(record('{"type":7}␞{"type":6}␞')) == [Close()]
    assert client.receive(PING) == []


def test_client_answers_an_invocation_that_wants_a_result():
    client = opened()
    client.receive(record('{"type":1,"invocationId":"9","target":"Ask","arguments":[]}␞'))
    answer = json.loads(client.data_to_send().rstrip(b"\x1e"))
    assert answer == {"type": 3, "invocationId": "9", "error": "Client didn't provide a result."}
    client.receive(record('{"type":1,"target":"Ask","arguments":[]}␞'))
    assert client.data_to_send() == b""


# ---------------------------------------------------------------------------------------------------------- limits
def test_F_DAT_01_client_tail_is_bounded():
    client = opened(max_record=1000)
    assert client.receive(b"x" * 1000) == []
    (message,) = client.receive(b"x")
    assert isinstance(message, Close)
    assert client.state is State.CLOSED


def test_client_takes_a_record_larger_than_the_tail_bound_when_it_comes_whole():
    client = opened(max_record=1000)
    (message,) = client.receive(b'{"type":1,"target":"A","arguments":["' + b"x" * 5000 + b'"]}\x1e')
    assert isinstance(message, Invocation)


@pytest.mark.parametrize("end", [b"", b"\x1e"])
def test_server_closes_over_32_kilobytes(end):
    server = opened(Role.SERVER)
    server.receive(b" " * (32 * 1024 + 1) + end)
    assert server.data_to_send() == CLOSED
    assert server.state is State.CLOSED


# ---------------------------------------------------------------------------------------------------------- output
def test_output_is_byte_for_byte_as_the_reference_server_writes_it():
    assert signalr.encode_invocation("A", ["x", 1]) == b'{"type":1,"target":"A","arguments":["x",1]}\x1e'
    assert signalr.encode_completion("0") == b'{"type":3,"invocationId":"0","result":null}\x1e'
    assert signalr.encode_completion("0", "no") == b'{"type":3,"invocationId":"0","error":"no"}\x1e'
    assert signalr.encode_close() == b'{"type":7}\x1e'
    assert signalr.encode_close("e", True) == b'{"type":7,"error":"e","allowReconnect":true}\x1e'


def test_invocation_ids_count_from_zero_on_each_connection():
    client = opened()
    assert [client.invoke("A", [])[0] for _ in range(3)] == ["0", "1", "2"]
    assert opened().invoke("A", [])[0] == "0"


def test_separator_in_text_is_escaped_on_the_way_out():
    data = signalr.encode_invocation("A", ["a\x1eb"])
    assert data.count(b"\x1e") == 1
    (message,) = opened(Role.SERVER).receive(data)
    assert arguments(message) == ["a\x1eb"]


# ------------------------------------------------------------------------------------------------------- negotiate
def test_negotiate_versions():
    assert signalr.decode_negotiation(signalr.encode_negotiation(1, "id", "token")) == "token"
    assert signalr.decode_negotiation(signalr.encode_negotiation(0, "id", "token")) == "id"
    assert b"connectionToken" not in signalr.encode_negotiation(0, "id", "token")


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"{}",
        b'{"error":"no"}',
        b'{"url":"https://elsewhere","accessToken":"x"}',
        b'{"negotiateVersion":1,"connectionId":"a"}',
        b'{"negotiateVersion":1,"connectionId":"a","connectionToken":"b","useStatefulReconnect":true}',
    ],
)
def test_negotiate_answers_that_are_refused(body):
    with pytest.raises(ProtocolError):
        signalr.decode_negotiation(body)
