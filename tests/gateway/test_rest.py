"""REST against a server that misbehaves: deadlines, sizes, retries, outcomes; what moves money is sent only once."""

import gzip
import logging
import threading

import pytest

from gateway_records import ACCOUNT, CONTRACT, ID, ORDER, POSITION, TRADE
from rest_calls import API_KEY, HurriedClient, deadline_from, jwt, patient_exchange
from rude_http import RudeServer, answer, drip, hang, head, ok, raw, zipped
from tbot.errors import ConfigError, GatewayError
from tbot.gateway import codec_rest as bodies
from tbot.gateway import codec_tables as tables
from tbot.gateway.http_exchange import HttpResult, _TrackedHttp
from tbot.gateway.net import check_url, retry_after_s
from tbot.gateway.redact import Credentials, redact
from tbot.gateway.rest import LOCAL_LIMIT, OrderClient, RestClient, probe_simulator
from tbot.gateway.throttle import Budget, Throttle

LOGIN, PLACE, ACCOUNTS = (call.path for call in (tables.LOGIN_KEY, tables.ORDER_PLACE, tables.ACCOUNT_SEARCH))
REQUEST = bodies.OrderPlaceRequest(account_id=1, contract_id=ID, type=2, side=0, size=1, custom_tag="TB1")
OK_LIST = bodies.encode_answer(tables.ACCOUNT_SEARCH, [ACCOUNT])


def login_ok(number: int = 1):
    return ok(bodies.encode_answer(tables.LOGIN_KEY, jwt(number)))


@pytest.fixture
def server():
    made = RudeServer({LOGIN: [login_ok()], ACCOUNTS: [ok(OK_LIST)]})
    yield made
    made.close()


def client(server, **more):
    return HurriedClient(server.url, **more)


# ------------------------------------------------------------------------------------------------------------ the good
def test_login_once_then_bearer_token(server):
    subject = client(server)
    assert subject.account_search().value == [ACCOUNT]
    assert subject.account_search(False).value == [ACCOUNT]
    assert server.paths() == [LOGIN, ACCOUNTS, ACCOUNTS]
    assert server.seen[0].json == {"userName": "canary-user", "apiKey": API_KEY}
    assert "authorization" not in server.seen[0].headers
    assert server.seen[1].headers["authorization"] == f"Bearer {jwt()}"
    assert server.seen[1].json == {"onlyActiveAccounts": True}
    assert subject.login_key().ok
    assert subject.status()["logins"] == 1


def test_every_query_sends_its_documented_body(server):
    subject = client(server)
    ns = 1_795_188_302_156_730_000
    time_text = "2026-11-20T15:25:02.15673+00:00"
    cases = [
        (tables.CONTRACT_AVAILABLE, [CONTRACT], subject.contract_available, {"live": False}),
        (
            tables.CONTRACT_SEARCH,
            [CONTRACT],
            lambda: subject.contract_search("NQ"),
            {"live": False, "searchText": "NQ"},
        ),
        (tables.CONTRACT_BY_ID, CONTRACT, lambda: subject.contract_search_by_id(ID), {"contractId": ID}),
        (
            tables.ORDER_SEARCH,
            [ORDER],
            lambda: subject.order_search(7, ns),
            {"accountId": 7, "startTimestamp": time_text},
        ),
        (tables.ORDER_SEARCH_OPEN, [ORDER], lambda: subject.order_search_open(7), {"accountId": 7}),
        (tables.POSITION_SEARCH_OPEN, [POSITION], lambda: subject.position_search_open(7), {"accountId": 7}),
        (
            tables.TRADE_SEARCH,
            [TRADE],
            lambda: subject.trade_search(7, ns, ns),
            {"accountId": 7, "startTimestamp": time_text, "endTimestamp": time_text},
        ),
    ]
    for call, value, method, expected in cases:
        server.script[call.path] = [ok(bodies.encode_answer(call, value))]
        assert method().value == value
        assert server.seen[-1].json == expected, call.path
    server.script[tables.ORDER_QUERY.path] = [ok(bodies.encode_answer(tables.ORDER_QUERY, [ORDER], total=1))]
    assert subject.order_v2_query(7).total == 1
    assert server.seen[-1].json["filter"] == {"accountId": 7, "statuses": [1, 6, 7, 8]}
    server.script[tables.RETRIEVE_BARS.path] = [ok(bodies.encode_answer(tables.RETRIEVE_BARS, []))]
    assert subject.retrieve_bars(ID, ns, ns).value == []
    assert server.seen[-1].json["unit"] == 2
    assert server.seen[-1].json["limit"] == 20_000


def test_gzip_answers_are_unpacked(server):
    server.script[ACCOUNTS] = [zipped(OK_LIST)]
    assert client(server).account_search().value == [ACCOUNT]


def test_ping_and_clock(server):
    subject = client(server)
    for body in (b"pong", b'"pong"'):
        server.script[tables.PING_PATH] = [answer(200, body)]
        assert subject.ping().ok
    assert subject.sim_clock().outcome == "rejected"
    assert probe_simulator(server.url) is False
    server.script[tables.CLOCK_PATH] = [ok(bodies.encode_clock(bodies.ClockReading(5, 20.0, 7)))]
    reading = subject.sim_clock().value
    assert reading is not None
    assert reading.speed == 20.0
    assert probe_simulator(server.url) is True
    assert all("authorization" not in seen.headers for seen in server.seen)


# ------------------------------------------------------------------------------------------------- deadlines and sizes
@pytest.mark.parametrize(
    "behaviour",
    [
        hang,
        drip(b""),
        drip(b"HTTP/1.1 200 OK\r\nX: "),
        drip(head(200, 10**9)),
        drip(head(200, None, Transfer_Encoding="chunked") + b"1"),
        drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["hang", "silent", "headers", "body", "chunks", "continue"],
)
def test_F_API_05_the_total_deadline_holds(server, behaviour, monkeypatch):
    arrived = threading.Event()

    def behave(rude, connection, request):
        arrived.set()
        behaviour(rude, connection, request)

    server.script[PLACE] = [behave]
    subject = client(server)
    assert subject.login_key().ok
    subject._total_s = 0.5
    with monkeypatch.context() as patch:
        deadline_from(patch, arrived)
        result = subject.order_place(REQUEST)
    subject._total_s = 60.0
    assert (result.outcome, result.text) == ("ambiguous", "no answer: deadline")
    assert server.paths().count(PLACE) == 1
    server.script[PLACE] = [ok(bodies.encode_answer(tables.ORDER_PLACE, 5))]
    assert subject.order_place(REQUEST).value == 5  # the next call is not held up by the one that was left


def test_F_ORD_01_after_the_deadline_nothing_is_sent_any_more(server, monkeypatch):
    """The thread that was left while connecting must not send the order later: "not sent" would be a lie."""
    arrived, release, ended = threading.Event(), threading.Event(), threading.Event()
    original = _TrackedHttp.connect

    def slow_connect(self):
        arrived.set()
        release.wait(60)
        try:
            original(self)
        finally:
            ended.set()

    monkeypatch.setattr(_TrackedHttp, "connect", slow_connect)
    deadline_from(monkeypatch, arrived)
    exchange = patient_exchange(server.url)
    result = exchange.run("POST", PLACE, b"{}", {}, 0.05)
    assert result == HttpResult(False, error="deadline")
    assert arrived.is_set()
    release.set()
    assert ended.wait(60)
    monkeypatch.undo()
    assert patient_exchange(server.url).run("POST", ACCOUNTS, b"{}", {}, 60).status == 200
    assert PLACE not in server.paths()


def test_F_ORD_01_nor_on_a_connection_that_was_open_already(server, monkeypatch):
    exchange = patient_exchange(server.url)
    assert exchange.run("POST", ACCOUNTS, b"{}", {}, 60).status == 200
    arrived, release, ended = threading.Event(), threading.Event(), threading.Event()
    original = _TrackedHttp.send

    def slow_send(self, data):
        arrived.set()
        release.wait(60)
        try:
            original(self, data)
        finally:
            ended.set()

    monkeypatch.setattr(_TrackedHttp, "send", slow_send)
    deadline_from(monkeypatch, arrived)
    assert exchange.run("POST", PLACE, b"{}", {}, 0.05) == HttpResult(False, error="deadline")
    assert arrived.is_set()
    release.set()
    assert ended.wait(60)
    monkeypatch.undo()
    assert exchange.run("POST", ACCOUNTS, b"{}", {}, 60).status == 200
    assert PLACE not in server.paths()


def test_F_API_06_a_gzip_bomb_is_refused(server):
    bomb = gzip.compress(bytes(30_000_000))
    assert len(bomb) < 50_000
    server.script[PLACE] = [answer(200, bomb, Content_Encoding="gzip")]
    result = client(server).order_place(REQUEST, protective=True)
    assert (result.outcome, result.text) == ("ambiguous", "no answer: body too large")


def test_F_API_06_size_cap_counts_unpacked_bytes(server):
    body = bodies.encode_answer(tables.ACCOUNT_SEARCH, [ACCOUNT] * 10)
    for behaviour in (ok(body), zipped(body)):
        server.script[ACCOUNTS] = [behaviour]
        assert client(server, max_body=len(body)).account_search().ok
        assert client(server, max_body=len(body) - 1).account_search().outcome == "ambiguous"


TRUNCATED = [
    raw(b""),
    raw(b"HTTP/1.1 2"),
    raw(head(200, 500) + b'{"orderId":5,"success":true,'),
    raw(head(200, None, Transfer_Encoding="chunked") + b"1c\r\n" + b'{"orderId":5,"success":true,\r\n'),
    raw(head(200, None, Content_Encoding="gzip") + gzip.compress(bodies.encode_answer(tables.ORDER_PLACE, 5))[:-9]),
    raw(head(200, None) + b'{"orderId":5,"success":true'),
    answer(200, b"x", Content_Encoding="br"),
    answer(200, b"not gzip", Content_Encoding="gzip"),
    answer(200, b"<html>maintenance</html>"),
    answer(500, b"{}"),
    answer(503, b""),
    answer(302, b"", Location="/elsewhere"),
    answer(307, b"", Location="/elsewhere"),
    answer(429, b"", Retry_After="1"),
    answer(401, b""),
    answer(400, b"{}"),
    answer(204, b""),
]


@pytest.mark.parametrize("behaviour", TRUNCATED, ids=range(len(TRUNCATED)))
def test_F_ORD_01_a_placement_is_sent_once_and_stays_ambiguous(server, behaviour):
    server.script[PLACE] = [behaviour]
    subject = client(server)
    assert subject.login_key().ok
    result = subject.order_place(REQUEST)
    assert result.outcome == "ambiguous"
    assert result.value is None
    assert server.paths() == [LOGIN, PLACE]
    assert subject.pauses == []


def test_mutations_and_their_outcomes(server):
    subject = client(server)
    subject.login_key()
    cases = [
        (tables.ORDER_PLACE, lambda: subject.order_place(REQUEST), 2),
        (tables.ORDER_MODIFY, lambda: subject.order_modify(bodies.OrderModifyRequest(account_id=1, order_id=2)), 3),
        (tables.ORDER_CANCEL, lambda: subject.order_cancel(bodies.OrderIdRequest(account_id=1, order_id=2)), 2),
        (
            tables.POSITION_CLOSE,
            lambda: subject.position_close_contract(bodies.CloseContractRequest(account_id=1, contract_id=ID)),
            2,
        ),
    ]
    for call, method, refused in cases:
        server.script[call.path] = [ok(bodies.encode_answer(call, 5 if call.payload else None))]
        assert method().outcome == "accepted"
        server.script[call.path] = [ok(bodies.encode_answer(call, code=refused, message="no"))]
        result = method()
        assert result.outcome == "rejected"
        assert "no" in result.text


def test_refused_connection_is_not_sent():
    dead = RudeServer()
    dead.close()
    gone = OrderClient(dead.url, Credentials("u", "k"), pause=lambda s: None)
    gone.tokens.adopt(jwt(), 1)
    assert gone.order_place(REQUEST).outcome == "not_sent"
    assert gone.account_search().outcome == "not_sent"


def test_too_many_requests_under_way_are_refused_not_queued(server):
    arrived = threading.Event()

    def busy(rude, connection, request):
        arrived.set()
        rude.stopped.wait()
        connection.sendall(head(200, 0))

    server.script[PLACE] = [busy]
    exchange = patient_exchange(server.url, max_threads=1)
    thread = threading.Thread(target=exchange.run, args=("POST", PLACE, b"{}", {}, 120.0))
    thread.start()
    assert arrived.wait(60)
    assert exchange.run("POST", ACCOUNTS, b"{}", {}, 5.0) == HttpResult(False, error="too many requests under way")
    server.close()
    thread.join()
    assert server.paths() == [PLACE]


# ------------------------------------------------------------------------------------------------------ query retries
def test_F_API_04_a_query_is_tried_three_times_with_growing_pauses(server):
    server.script[ACCOUNTS] = [answer(500), answer(200, b"<html>"), ok(OK_LIST)]
    subject = client(server)
    assert subject.account_search().ok
    assert subject.pauses == [0.25, 0.5]
    server.script[ACCOUNTS] = [answer(503)]
    result = subject.account_search()
    assert (result.outcome, result.status) == ("ambiguous", 503)
    assert server.paths().count(ACCOUNTS) == 6


def test_a_definite_refusal_is_not_retried(server):
    server.script[tables.CONTRACT_BY_ID.path] = [ok(bodies.encode_answer(tables.CONTRACT_BY_ID, code=1))]
    subject = client(server)
    assert subject.contract_search_by_id("x").text == "ContractNotFound (1)"
    assert server.paths().count(tables.CONTRACT_BY_ID.path) == 1


def test_redirects_are_not_followed(server):
    server.script[ACCOUNTS] = [answer(302, b"", Location=f"{server.url}/elsewhere")]
    assert client(server).account_search().outcome == "ambiguous"
    assert "/elsewhere" not in server.paths()


# ----------------------------------------------------------------------------------------------------------- 401, 429
def test_F_API_01_a_query_logs_in_once_and_repeats_once(server):
    server.script[LOGIN] = [login_ok(1), login_ok(2)]
    server.script[ACCOUNTS] = [answer(401), ok(OK_LIST)]
    subject = client(server)
    assert subject.account_search().ok
    assert server.paths() == [LOGIN, ACCOUNTS, LOGIN, ACCOUNTS]
    assert server.seen[-1].headers["authorization"] == f"Bearer {jwt(2)}"
    server.script[ACCOUNTS] = [answer(401)]
    assert subject.account_search().status == 401
    assert server.paths().count(LOGIN) == 3  # no loop


def test_F_API_01_after_a_401_a_placement_is_not_repeated_and_the_next_query_logs_in(server):
    server.script[LOGIN] = [login_ok(1), login_ok(2)]
    server.script[PLACE] = [answer(401)]
    subject = client(server)
    subject.login_key()
    assert subject.order_place(REQUEST).outcome == "ambiguous"
    assert subject.order_place(REQUEST).outcome == "not_sent"  # no token: an entry does not wait for a login
    assert subject.account_search().ok
    assert server.paths() == [LOGIN, PLACE, LOGIN, ACCOUNTS]


def test_F_API_01_many_threads_one_login(server):
    server.script[LOGIN] = [login_ok(1), login_ok(2)]
    subject = client(server)
    subject.login_key()
    stale = subject.tokens.current()
    start = threading.Barrier(8)
    tokens = []

    def renew():
        start.wait()
        tokens.append(subject.tokens.renew(stale))

    threads = [threading.Thread(target=renew) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {token.text for token in tokens} == {jwt(2)}
    assert server.paths().count(LOGIN) == 2


def test_F_API_02_a_refused_login_is_not_tried_again(server):
    server.script[LOGIN] = [ok(bodies.encode_answer(tables.LOGIN_KEY, code=3))]
    subject = client(server)
    for _ in range(3):
        result = subject.account_search()
        assert result.outcome == "not_sent"
        assert "InvalidCredentials" in result.text
    assert server.paths() == [LOGIN]
    assert subject.login_key().outcome == "rejected"
    subject.tokens.reset()
    server.script[LOGIN] = [login_ok()]
    assert subject.account_search().ok


def test_F_API_03_429_waits_halves_the_budget_and_honours_retry_after(server):
    server.script[ACCOUNTS] = [answer(429, b"", Retry_After="2"), answer(429), ok(OK_LIST)]
    subject = client(server, total_s=60.0)
    before = subject.status()["requests_left"]
    assert subject.account_search().ok
    assert subject.pauses == [2.0, 1.0]
    assert subject.status()["requests_left"] < before // 2
    server.script[ACCOUNTS] = [answer(429, b"", Retry_After="59")]
    late = client(server, total_s=30.0).account_search()
    assert (late.status, late.retry_after_s) == (429, 59.0)  # longer than the deadline: the caller decides


def test_I9_out_of_budget_is_refused_at_once_and_the_reserve_serves_protection(server):
    subject = client(server, throttle=Throttle(Budget(4, 10**18, reserve=2), Budget(1, 10**18)))
    server.script[PLACE] = [ok(bodies.encode_answer(tables.ORDER_PLACE, 5))]
    assert subject.account_search().ok  # login and one query
    for refused in (subject.account_search(), subject.order_place(REQUEST)):
        assert (refused.outcome, refused.text) == ("not_sent", LOCAL_LIMIT)
    assert subject.order_place(REQUEST, protective=True).ok
    assert subject.account_search(protective=True).ok
    assert subject.order_place(REQUEST, protective=True).outcome == "not_sent"
    assert len(server.seen) == 4


# ------------------------------------------------------------------------------------------------ environment, secrets
def test_F_NET_10_proxies_netrc_and_cookies_are_ignored(server, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login wrong password wrong\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    server.script[ACCOUNTS] = [answer(200, OK_LIST, Set_Cookie="a=b; Path=/")]
    subject = client(server)
    assert subject.account_search().ok
    assert subject.account_search().ok
    assert all("cookie" not in seen.headers for seen in server.seen)
    assert server.seen[-1].headers["authorization"].startswith("Bearer eyJ")


def test_I30_secrets_are_in_no_text(server, caplog):
    caplog.set_level(logging.DEBUG)
    subject = client(server)
    echo = bodies.encode_answer(tables.ACCOUNT_SEARCH, code=9, message=f"bad token {jwt()} or key {API_KEY}")
    texts = []
    for behaviour in (ok(OK_LIST), ok(echo), raw(b""), answer(500), hang):
        server.script[ACCOUNTS] = [behaviour]
        subject._total_s = 0.5 if behaviour is hang else 60.0
        texts.append(repr(subject.account_search()))
    texts += [repr(subject), repr(subject.tokens), repr(subject.tokens.current()), repr(subject._credentials)]
    texts += [record.getMessage() for record in caplog.records]
    for secret in (API_KEY, "canary-user", "canary-signature", jwt()):
        assert not [text for text in texts if secret in text], secret


def test_redact():
    hub = "wss://host/hubs/market?access_token=abc.def&id=1 and eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjF9.sig"
    assert redact(hub) == "wss://host/hubs/market?access_token=***&id=1 and ***"
    assert redact("key k1 in text", "k1", "") == "key *** in text"
    assert len(redact("x" * 1000)) == 300


@pytest.mark.parametrize(
    "url", ["https://api.example.com", "http://127.0.0.1:8080/", "http://localhost", "http://[::1]:9"]
)
def test_allowed_addresses(url):
    assert check_url(url, "http", "https") == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    ["http://api.example.com", "ftp://127.0.0.1", "127.0.0.1", "", "https://", "https://user:pw@host", "https://h/?t=1",
     "http://127.0.0.1.evil.com", "http://localhost.evil.com", "http://[::1", "http://127.0.0.1:99999", "http://[::1]:x"],
)  # fmt: skip
def test_refused_addresses(url):
    with pytest.raises(ConfigError) as caught:
        RestClient(url)
    assert "pw" not in str(caught.value)


def test_an_address_without_its_beginning_is_told_both_that_there_are():
    with pytest.raises(ConfigError) as caught:
        check_url("localhost:8801", "http", "https")
    assert "begin with https://, or http:// to this machine, e.g. http://127.0.0.1:8800" in str(caught.value)


def test_retry_after_forms():
    assert retry_after_s("7", 0) == 7
    assert retry_after_s("700", 0) == 60
    assert retry_after_s("Fri, 20 Nov 2026 15:25:02 GMT", 1_795_188_300) == 2
    assert retry_after_s("Fri, 20 Nov 2026 15:25:02 GMT", 1_795_188_310) == 0
    for bad in (None, "", "soon", "-5", "1.5"):
        assert retry_after_s(bad, 0) is None


def test_probe_says_when_nothing_answers():
    dead = RudeServer()
    dead.close()
    with pytest.raises(GatewayError, match="is it running"):
        probe_simulator(dead.url)


def test_clock_skew_is_read_from_the_date_header(server):
    server.script[ACCOUNTS] = [answer(200, OK_LIST, Date="Fri, 20 Nov 2026 15:25:02 GMT")]
    subject = client(server)
    subject._wall_ns = lambda: 1_795_188_305_000_000_000
    assert subject.account_search().ok
    assert subject.skew_ns == 3_000_000_000
