"""The REST outcome table of the failure model, cell by cell: what stands in it, and what the client really does."""

import pytest

from rest_calls import PAYLOADS, REFUSALS, RUN, HurriedClient, jwt
from rude_http import Behaviour, RudeServer, answer, head, ok, raw
from tbot.gateway import codec_rest as bodies
from tbot.gateway import codec_tables as tables
from tbot.gateway import outcomes
from tbot.gateway.codec_tables import Call
from tbot.gateway.outcomes import Row, Situation, Then
from tbot.gateway.throttle import Budget, Throttle

LOGIN = tables.LOGIN_KEY.path
CALLED = [call for call in tables.CALLS if call is not tables.LOGIN_APP]
MUTATIONS = [call for call in tables.CALLS if call.kind == "mutation"]
QUERIES = [call for call in tables.CALLS if call.kind == "query" and call is not tables.LOGOUT]
COLUMNS = (
    Situation.NOT_SENT, Situation.REFUSED, Situation.AMBIGUOUS, Situation.UNAUTHORIZED, Situation.TOO_MANY
)  # fmt: skip

# Failure model section 4, read a second time: what the owner does, column by column.
EXPECTED: dict[Row, tuple[Then, Then, Then, Then, Then]] = {
    "login": (Then.LATER, Then.HALT, Then.LATER, Then.HALT, Then.LATER),
    "validate": (Then.KEEP_TOKEN, Then.LOGIN, Then.LOGIN, Then.LOGIN, Then.KEEP_TOKEN),
    "query": (Then.LATER, Then.REPORT, Then.LATER, Then.REPORT, Then.LATER),
    "history": (Then.LATER, Then.NOT_READY, Then.LATER, Then.REPORT, Then.LATER),
    "place": (Then.DEAD, Then.REJECTED, Then.UNKNOWN, Then.UNKNOWN, Then.UNKNOWN),
    "cancel": (Then.REPEAT, Then.QUERY, Then.QUERY_REPEAT, Then.QUERY_REPEAT, Then.QUERY_REPEAT),
    "modify": (Then.QUERY_REPEAT, Then.QUERY, Then.WORSE_STOP, Then.QUERY, Then.QUERY),
    "close": (Then.QUERY_REPEAT, Then.PROVE, Then.QUERY_REPEAT, Then.QUERY_REPEAT, Then.QUERY_REPEAT),
    "partial close": (Then.QUERY, Then.QUERY, Then.QUERY, Then.QUERY, Then.QUERY),
}

AMBIGUOUS: dict[str, Behaviour] = {
    "reset": raw(b""),
    "half a status line": raw(b"HTTP/1.1 2"),
    "truncated": raw(head(200, 500) + b'{"success":true,'),
    "html": answer(200, b"<html>maintenance</html>"),
    "empty": answer(200, b""),
    "too large": answer(200, b" " * 5000),
    "encoding": answer(200, b"x", Content_Encoding="br"),
    "contradiction": ok(b'{"success":true,"errorCode":5,"errorMessage":null}'),
    "unknown code": ok(b'{"success":false,"errorCode":99,"errorMessage":null}'),
    "redirect": answer(302, b"", Location="/elsewhere"),
    "redirect that keeps the body": answer(307, b"", Location="/elsewhere"),
    "request timeout": answer(408),
    "server error": answer(500, b"{}"),
    "gateway timeout": answer(504),
    "no content": answer(204),
}


def accepted(call: Call) -> Behaviour:
    return ok(bodies.encode_answer(call, PAYLOADS[call]))


def refused(call: Call) -> Behaviour:
    return ok(bodies.encode_answer(call, code=REFUSALS[call])) if call in REFUSALS else answer(400)


def is_query(call: Call) -> bool:
    return call in QUERIES


@pytest.fixture
def server():
    made = RudeServer({call.path: [accepted(call)] for call in CALLED})
    yield made
    made.close()


def client(server: RudeServer, call: Call, **options) -> HurriedClient:
    made = HurriedClient(server.url, max_body=4000, **options)
    if call is not tables.LOGIN_KEY:
        made.tokens.adopt(jwt(), 1)
    return made


def outcome(subject: HurriedClient, call: Call) -> str:
    """What the owner learns; of validate and login, which are hidden in the token manager, what can be seen."""
    result = RUN[call](subject)
    if call is tables.VALIDATE:
        return "kept" if result is not None and result.text == jwt() else "new"
    return str(result.outcome)


def test_the_table_is_that_of_the_failure_model():
    for row, expected in EXPECTED.items():
        assert tuple(outcomes.RULES[row, column].then for column in COLUMNS) == expected, row
    rows = {row for row, _ in outcomes.RULES}
    assert rows == {*EXPECTED, "logout"}
    assert rows == {outcomes.row_of(call) for call in tables.CALLS}
    for row in rows:
        for situation in set(Situation) - {Situation.ACCEPTED}:
            assert (row, situation) in outcomes.RULES


def test_F_ORD_02_no_cell_lets_anything_that_moves_money_be_sent_twice():
    for call in MUTATIONS:
        for column in COLUMNS:
            rule = outcomes.rule(call, column)
            assert rule.requests == 1
            assert rule.pause == "none"
        assert {outcomes.rule(call, column).outcome for column in COLUMNS[2:]} == {"ambiguous"}


@pytest.mark.parametrize("call", CALLED, ids=lambda call: call.path)
def test_accepted(server, call):
    subject = client(server, call)
    assert outcome(subject, call) == ("new" if call is tables.VALIDATE else "accepted")
    assert server.paths() == [call.path]
    assert subject.pauses == []


@pytest.mark.parametrize("call", CALLED, ids=lambda call: call.path)
def test_cell_not_sent(call):
    dead = RudeServer()
    dead.close()
    subject = client(dead, call)
    assert outcome(subject, call) == ("kept" if call is tables.VALIDATE else "not_sent")
    assert dead.seen == []
    assert len(subject.pauses) == (2 if is_query(call) else 0)
    assert subject.counts["requests"] == outcomes.rule(call, Situation.NOT_SENT).requests


@pytest.mark.parametrize("call", CALLED, ids=lambda call: call.path)
def test_I9_cell_no_budget(server, call):
    throttle = Throttle(Budget(1, 10**18), Budget(1, 10**18))
    for window in (throttle.general, throttle.history):
        assert window.take(0, protective=True)
    subject = client(server, call, throttle=throttle)
    assert outcome(subject, call) == ("kept" if call is tables.VALIDATE else "not_sent")
    assert server.seen == []
    assert subject.pauses == []


@pytest.mark.parametrize("call", CALLED, ids=lambda call: call.path)
def test_cell_refused(server, call):
    server.script[call.path] = [refused(call)]
    subject = client(server, call)
    assert outcome(subject, call) == ("new" if call is tables.VALIDATE else "rejected")
    assert server.paths() == ([call.path, LOGIN] if call is tables.VALIDATE else [call.path])
    assert subject.pauses == []
    if call is tables.LOGIN_KEY:  # HALTED: no loop
        assert outcome(subject, call) == "rejected"
        assert server.paths() == [LOGIN]


@pytest.mark.parametrize("fault", AMBIGUOUS)
@pytest.mark.parametrize("call", CALLED, ids=lambda call: call.path)
def test_F_ORD_02_cell_ambiguous(server, call, fault):
    server.script[call.path] = [AMBIGUOUS[fault]]
    subject = client(server, call, boot_clock=lambda: 10**12)  # or a stall would bring the time of the next login
    if call is tables.LOGIN_KEY:
        assert outcome(subject, call) == "not_sent"  # of the login we know nothing; there is no token
        assert server.paths() == [LOGIN]
        assert outcome(subject, call) == "not_sent"  # attempts are 5 s apart
        assert server.paths() == [LOGIN]
    elif call is tables.VALIDATE:
        assert outcome(subject, call) == "new"
        assert server.paths() == [call.path, LOGIN]
    elif is_query(call):
        assert outcome(subject, call) == "ambiguous"
        assert server.paths() == [call.path] * 3
        assert subject.pauses == [0.25, 0.5]
    else:
        assert outcome(subject, call) == "ambiguous"
        assert server.paths() == [call.path]
        assert subject.pauses == []


@pytest.mark.parametrize("call", CALLED, ids=lambda call: call.path)
def test_F_API_01_cell_401(server, call):
    server.script[call.path] = [answer(401)]
    subject = client(server, call)
    result = outcome(subject, call)
    if call is tables.VALIDATE:
        assert (result, server.paths()) == ("new", [call.path, LOGIN])
        assert subject.tokens.current().revision == 2
    elif call is tables.LOGIN_KEY:
        assert (result, server.paths()) == ("rejected", [LOGIN])
        assert outcome(subject, call) == "rejected"
        assert server.paths() == [LOGIN]
    elif is_query(call):
        assert (result, server.paths()) == ("rejected", [call.path, LOGIN, call.path])
    else:
        assert (result, server.paths()) == ("rejected" if call is tables.LOGOUT else "ambiguous", [call.path])
        assert subject.tokens.current() is None  # the next query logs in
        assert subject.account_search().ok
        assert server.paths() == [call.path, LOGIN, tables.ACCOUNT_SEARCH.path]
    assert subject.pauses == []


@pytest.mark.parametrize("call", CALLED, ids=lambda call: call.path)
def test_F_API_03_cell_429(server, call):
    server.script[call.path] = [answer(429, Retry_After="1")]
    subject = client(server, call)
    budget = subject.throttle.window(call.history)
    before = budget.free(0, protective=True)
    result = outcome(subject, call)
    if call is tables.VALIDATE:
        assert (result, server.paths()) == ("kept", [call.path])
    elif call is tables.LOGIN_KEY:
        assert (result, server.paths()) == ("not_sent", [LOGIN])
    elif is_query(call):
        assert (result, server.paths(), subject.pauses) == ("ambiguous", [call.path] * 3, [1.0, 1.0])
    else:
        assert (result, server.paths(), subject.pauses) == ("ambiguous", [call.path], [])
    assert budget.free(0, protective=True) <= before // 2


@pytest.mark.parametrize("call", QUERIES, ids=lambda call: call.path)
def test_a_query_gets_over_every_passing_trouble_in_one_go(server, call):
    server.script[call.path] = [answer(503), answer(401), answer(429), accepted(call)]
    subject = client(server, call)
    result = RUN[call](subject)
    assert result.ok
    assert result.value == PAYLOADS[call]
    assert server.paths() == [call.path, call.path, LOGIN, call.path, call.path]
    assert subject.pauses == [0.25, 1.0]


def test_tag_in_use_and_pending_codes_are_open():
    used = bodies.encode_answer(tables.ORDER_PLACE, 5, code=2, message="Specified custom tag is already in use")
    assert bodies.decode_answer(tables.ORDER_PLACE, used).situation is Situation.AMBIGUOUS
    for call in MUTATIONS:
        for code in range(len(call.codes)):
            answered = bodies.decode_answer(call, bodies.encode_answer(call, PAYLOADS[call], code=code))
            expected = Situation.ACCEPTED if code == 0 else Situation.REFUSED
            assert answered.situation is (Situation.AMBIGUOUS if code in call.open_codes else expected)


def test_situations_are_told_apart_by_what_an_answer_holds():
    for call in CALLED:
        for situation in set(Situation) - {Situation.ACCEPTED}:
            rule = outcomes.rule(call, situation)
            status = {Situation.UNAUTHORIZED: 401, Situation.TOO_MANY: 429}.get(situation)
            text = outcomes.LOCAL_LIMIT if situation is Situation.BUDGET else ""
            assert outcomes.situation_of(rule.outcome, status, text) is situation
