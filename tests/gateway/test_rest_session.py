"""Sessions and the rarer calls of the REST client: storms of refusals, closed connections, logout, every body."""

import threading

import pytest

from gateway_records import ACCOUNT, CONTRACT, ID, ORDER
from rest_calls import PLACE_REQUEST, HurriedClient, jwt
from rude_http import RudeServer, answer, head, ok, raw
from tbot.gateway import codec_rest as bodies
from tbot.gateway import codec_tables as tables

LOGIN, PLACE, ACCOUNTS = (call.path for call in (tables.LOGIN_KEY, tables.ORDER_PLACE, tables.ACCOUNT_SEARCH))
CLOSE = tables.POSITION_CLOSE.path
OK_LIST = bodies.encode_answer(tables.ACCOUNT_SEARCH, [ACCOUNT])


def login_ok(number: int = 1):
    return ok(bodies.encode_answer(tables.LOGIN_KEY, jwt(number)))


@pytest.fixture
def server():
    made = RudeServer({LOGIN: [login_ok()], ACCOUNTS: [ok(OK_LIST)]})
    yield made
    made.close()


@pytest.mark.parametrize("status", [401, 403])
def test_F_API_01_a_storm_of_refusals_ends(server, status):
    """Every query is refused whatever the token: eight threads end, with a handful of logins and no loop."""
    server.script[LOGIN] = [login_ok(number) for number in range(50)]
    server.script[ACCOUNTS] = [answer(status)]
    subject = HurriedClient(server.url, total_s=20.0)
    start, results = threading.Barrier(8), []

    def ask():
        start.wait(30)
        results.extend(subject.account_search() for _ in range(3))

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(results) == 24
    assert not [result for result in results if result.ok]
    assert server.paths().count(LOGIN) <= (5 if status == 401 else 1)
    assert server.paths().count(ACCOUNTS) <= 48


def test_F_API_02_after_a_refused_login_the_way_out_is_tried_with_the_lost_token(server):
    """One 401 lost the token, the login was refused: closes and their proofs were not sent any more."""
    server.script[ACCOUNTS] = [answer(401), answer(401), ok(OK_LIST)]
    server.script[LOGIN] = [login_ok(1), ok(bodies.encode_answer(tables.LOGIN_KEY, code=3))]
    closed = ok(bodies.encode_answer(tables.POSITION_CLOSE))
    server.script[CLOSE] = [answer(401), closed]
    subject = HurriedClient(server.url)
    assert "InvalidCredentials" in subject.account_search().text
    close = bodies.CloseContractRequest(account_id=7, contract_id="CON.F.US.MNQ.Z26")
    assert [subject.position_close_contract(close).outcome for _ in range(2)] == ["ambiguous", "accepted"]
    assert subject.account_search(protective=True).status == 401  # once: there is no newer token to try
    assert subject.account_search(protective=True).ok
    before = server.paths()
    assert before == [LOGIN, ACCOUNTS, LOGIN, CLOSE, CLOSE, ACCOUNTS, ACCOUNTS]
    assert {request.headers.get("authorization", "") for request in server.seen} == {"", f"Bearer {jwt(1)}"}
    assert subject.account_search().outcome == "not_sent"  # whatever else is asked waits for a person
    assert subject.order_place(PLACE_REQUEST).outcome == "not_sent"
    assert server.paths() == before


def test_F_ORD_01_an_idle_connection_that_the_peer_closed_does_not_double_an_order(server):
    """The HTTP library may open a new connection, but never send the same request over both."""
    body = bodies.encode_answer(tables.ORDER_PLACE, 5)
    for _ in range(5):
        server.script[ACCOUNTS] = [raw(head(200, len(OK_LIST)) + OK_LIST)]  # no farewell: just closed
        server.script[PLACE] = [ok(body)]
        subject = HurriedClient(server.url)
        assert subject.account_search().ok
        before = server.paths().count(PLACE)
        result = subject.order_place(PLACE_REQUEST)
        sent = server.paths().count(PLACE) - before
        assert (result.outcome, sent) in (("accepted", 1), ("ambiguous", 0), ("ambiguous", 1))


def test_new_endpoints_send_their_documented_bodies(server):
    subject = HurriedClient(server.url)
    ns, text = 1_795_188_302_156_730_000, "2026-11-20T15:25:02.15673+00:00"
    server.script[tables.ORDER_BY_ID.path] = [ok(bodies.encode_answer(tables.ORDER_BY_ID, ORDER))]
    assert subject.order_search_by_id(7, 2**40).value == ORDER
    assert server.seen[-1].json == {"accountId": 7, "orderId": 2**40}
    server.script[tables.ORDER_QUERY.path] = [ok(bodies.encode_answer(tables.ORDER_QUERY, [ORDER], total=9))]
    answered = subject.order_v2_query(
        7,
        (),
        broker_id=ID,
        created_after_ns=ns,
        created_before_ns=ns,
        page_size=10,
        offset=20,
        sort_by=tables.OrderSortField.CREATED_AT,
        sort_direction=tables.SortDirection.DESC,
    )
    assert answered.total == 9
    assert server.seen[-1].json == {
        "filter": {"accountId": 7, "contractId": ID, "createdAfter": text, "createdBefore": text},
        "pageSize": 10,
        "pageOffset": 20,
        "sortBy": 0,
        "sortDirection": 1,
        "includeTotalCount": True,
    }
    server.script[tables.CONTRACT_SEARCH.path] = [ok(bodies.encode_answer(tables.CONTRACT_SEARCH, [CONTRACT]))]
    assert subject.contract_search(live=True).ok
    assert server.seen[-1].json == {"live": True}
    path = tables.POSITION_PARTIAL_CLOSE.path
    server.script[path] = [ok(bodies.encode_answer(tables.POSITION_PARTIAL_CLOSE))]
    assert subject.position_partial_close(bodies.PartialCloseRequest(account_id=7, contract_id=ID, size=2)).ok
    assert server.seen[-1].json == {"accountId": 7, "contractId": ID, "size": 2}
    server.script[tables.OPENAPI_PATH] = [ok(b"{}")]
    assert subject.openapi().value == b"{}"
    assert server.seen[-1].method == "GET"


def test_logout_gives_the_token_back_and_the_next_query_logs_in(server):
    server.script[LOGIN] = [login_ok(1), login_ok(2)]
    server.script[tables.LOGOUT.path] = [ok(bodies.encode_answer(tables.LOGOUT))]
    subject = HurriedClient(server.url)
    assert subject.logout().outcome == "not_sent"  # there is none to give back
    assert subject.login_key().ok
    assert subject.logout().ok
    assert server.seen[-1].body == b""
    assert server.seen[-1].headers["authorization"] == f"Bearer {jwt(1)}"
    assert subject.order_place(PLACE_REQUEST).outcome == "not_sent"
    assert subject.account_search().ok
    assert server.paths() == [LOGIN, tables.LOGOUT.path, LOGIN, ACCOUNTS]


def test_unknown_codes_and_values_are_told_as_they_are():
    assert tables.enum_name(tables.OrderState, 8) == "SUSPENDED"
    assert tables.enum_name(tables.OrderState, 99) == "Code99"
    body = bodies.encode_answer(tables.ORDER_PLACE, code=77, message="new")
    assert bodies.decode_answer(tables.ORDER_PLACE, body).text == "Code77 (77): new"


def test_F_SEC_05_the_gateways_words_are_short_and_without_control_signs(server):
    evil = "\x1b[2J\r\n\u202e" + "x" * 100_000
    server.script[ACCOUNTS] = [ok(bodies.encode_answer(tables.ORDER_SEARCH, code=1, message=evil))]
    server.script[tables.ORDER_SEARCH.path] = server.script[ACCOUNTS]
    text = HurriedClient(server.url).order_search(1, 0).text
    assert text.startswith("AccountNotFound (1):")
    assert len(text) <= 300
    assert not set(text) & set("\x1b\r\n\u202e")


def test_I30_no_repr_shows_a_login_or_a_token():
    shown = [
        repr(bodies.LoginKeyRequest(user_name="canary", api_key="canary")),
        repr(bodies.LoginAppRequest(user_name="canary", password="canary", device_id="canary",
                                    app_id="canary", verify_key="canary")),
        repr(bodies.decode_answer(tables.LOGIN_KEY, bodies.encode_answer(tables.LOGIN_KEY, "canary-token"))),
        repr(bodies.decode_answer(tables.VALIDATE, bodies.encode_answer(tables.VALIDATE, "canary-token"))),
    ]  # fmt: skip
    assert not [text for text in shown if "canary" in text]
    assert bodies.encode_request(bodies.LoginKeyRequest(user_name="u", api_key="k")) == b'{"userName":"u","apiKey":"k"}'


@pytest.mark.parametrize("status", [403, 404, 405, 500, 503])
def test_F_API_02_a_login_page_that_is_not_there_is_no_refusal_of_the_login(server, status):
    """A proxy or a maintenance page in between: the engine goes on trying, five seconds apart, without a person."""
    clock = [0]
    server.script[LOGIN] = [answer(status), login_ok()]
    subject = HurriedClient(server.url, boot_clock=lambda: clock[0])
    first = subject.account_search()
    assert (first.outcome, first.text) == ("not_sent", f"no token (HTTP {status})")
    assert subject.login_key().text == f"HTTP {status}"
    assert server.paths() == [LOGIN]
    clock[0] += 5_000_000_000
    assert subject.account_search().ok
    assert subject.tokens.trouble == ""


def test_F_TIM_02_after_idle_connections_were_let_go_the_client_goes_on(server):
    subject = HurriedClient(server.url)
    for _ in range(3):
        assert subject.account_search().ok
        subject.close()
