"""Our own REST client against the simulator over real sockets: every endpoint, in the order a session needs them."""

import time
from collections.abc import Callable
from decimal import Decimal

import pytest

from sim_rig import KEY, MNQ, OWNER, RunningServer, running, until
from tbot.gateway import codec_rest as bodies
from tbot.gateway import codec_tables as tables
from tbot.gateway.codec_rest import Answer
from tbot.gateway.codec_tables import OrderSortField, OrderState, OrderType, SortDirection
from tbot.gateway.openapi import document
from tbot.gateway.openapi_compare import compare, read
from tbot.gateway.redact import Credentials
from tbot.gateway.rest import OrderClient

HOUR_NS = 3_600_000_000_000


@pytest.fixture
def server():
    with running() as made:
        yield made


@pytest.fixture
def client(server: RunningServer):
    made = OrderClient(server.rest, Credentials(OWNER.lower(), KEY))
    yield made
    made.close()


def value(answer: Answer):
    assert answer.ok, answer
    return answer.value


def place(client: OrderClient, account: int, **more) -> int:
    fields = {"account_id": account, "contract_id": MNQ, "type": int(OrderType.MARKET), "side": 0, "size": 1} | more
    return value(client.order_place(bodies.OrderPlaceRequest(**fields)))


def test_every_endpoint_of_a_session(client: OrderClient):
    seen: set[str] = set()
    run: Callable = client._exchange.run

    def watched(method, path, *more):
        seen.add(path)
        return run(method, path, *more)

    client._exchange.run = watched  # type: ignore[method-assign]
    start_ns = time.time_ns() - HOUR_NS

    assert client.ping().ok
    assert compare(read(value(client.openapi())), document()) == []
    assert client.login_key().ok
    token = client.tokens.current()
    assert client.tokens.renew_in_time().revision == token.revision + 1
    (account,) = value(client.account_search())
    number = account.account_id
    assert (account.balance_cents, account.can_trade, account.simulated) == (5_000_000, True, True)

    (listed,) = value(client.contract_available())
    assert listed.broker_id == MNQ
    assert value(client.contract_search("nq")) == [listed]
    assert value(client.contract_search("nothing")) == []
    assert value(client.contract_search_by_id(MNQ)) == listed
    assert value(client.contract_available(live=True)) == []
    assert value(client.retrieve_bars(MNQ, start_ns, time.time_ns())) is not None

    entry = place(client, number, size=3, custom_tag="entry")
    until(lambda: value(client.position_search_open(number)), "the entry fills")
    (position,) = value(client.position_search_open(number))
    assert (position.size, position.broker_id) == (3, MNQ)
    assert value(client.order_search_by_id(number, entry)).status == OrderState.FILLED

    stop = place(client, number, type=int(OrderType.STOP), side=1, size=3, stop_price=Decimal(200), custom_tag="stop")
    assert [order.order_id for order in value(client.order_search_open(number))] == [stop]
    change = bodies.OrderModifyRequest(account_id=number, order_id=stop, stop_price=Decimal("200.25"))
    assert client.order_modify(change).ok
    (working,) = value(client.order_v2_query(number))
    assert (working.order_id, working.stop_price, working.tag) == (stop, Decimal("200.25"), "stop")
    assert client.order_modify(bodies.OrderModifyRequest(account_id=number, order_id=1)).outcome == "rejected"

    part = bodies.PartialCloseRequest(account_id=number, contract_id=MNQ, size=1)
    assert client.position_partial_close(part).ok
    until(lambda: value(client.position_search_open(number))[0].size == 2, "a third is closed")
    too_much = client.position_partial_close(bodies.PartialCloseRequest(account_id=number, contract_id=MNQ, size=5))
    assert (too_much.outcome, too_much.code) == ("rejected", 5)
    assert client.position_close_contract(bodies.CloseContractRequest(account_id=number, contract_id=MNQ)).ok
    until(lambda: not value(client.position_search_open(number)), "all is closed")
    assert client.order_cancel(bodies.OrderIdRequest(account_id=number, order_id=stop)).ok
    assert client.order_cancel(bodies.OrderIdRequest(account_id=number, order_id=stop)).outcome == "rejected"

    orders = value(client.order_search(number, start_ns))
    assert [order.order_id for order in orders[:2]] == [entry, stop]  # oldest first; the closes are orders too
    fills = value(client.trade_search(number, start_ns))
    assert sum(fill.side * fill.size for fill in fills) == 0
    assert fills[-1].pnl is None  # newest first: the opening one comes last
    assert all(fill.fees > 0 for fill in fills)
    client.logout()
    assert client.tokens.current() is None

    wanted = {call.path for call in tables.CALLS} - {tables.LOGIN_APP.path}
    assert seen == wanted | {tables.PING_PATH, tables.OPENAPI_PATH}


def test_pages_times_and_order_of_the_query(client: OrderClient):
    number = value(client.account_search())[0].account_id
    limit = int(OrderType.LIMIT)
    ids = [place(client, number, type=limit, limit_price=Decimal(200) + n, custom_tag=f"t{n}") for n in range(5)]
    pages = [client.order_v2_query(number, page_size=2, offset=offset) for offset in (0, 2, 4, 6)]
    assert [[order.order_id for order in value(page)] for page in pages] == [ids[:2], ids[2:4], ids[4:], []]
    assert {page.total for page in pages} == {5}
    newest = client.order_v2_query(
        number, (), sort_by=OrderSortField.CREATED_AT, sort_direction=SortDirection.DESC, broker_id=MNQ
    )
    assert [order.order_id for order in value(newest)] == ids[::-1]
    now_ns = time.time_ns()
    assert value(client.order_v2_query(number, created_after_ns=now_ns + HOUR_NS)) == []
    assert value(client.order_v2_query(number, created_before_ns=now_ns - HOUR_NS)) == []
    around = client.order_v2_query(number, created_after_ns=now_ns - HOUR_NS, created_before_ns=now_ns + HOUR_NS)
    assert len(value(around)) == 5
    assert value(client.order_v2_query(number, (OrderState.FILLED,))) == []
    assert client.order_v2_query(number, page_size=10_000).outcome == "rejected"  # HTTP 400
    assert client.order_v2_query(5).outcome == "rejected"  # somebody else's account


def test_refusals_have_the_endpoints_own_names(client: OrderClient):
    number = value(client.account_search())[0].account_id
    assert client.contract_search_by_id("CON.F.US.XX.Z26").text == "ContractNotFound (1)"
    bars = client.retrieve_bars(MNQ, 1, 2, unit=tables.BarUnit.UNSPECIFIED)
    assert bars.text == "UnitInvalid (2)"
    assert client.retrieve_bars(MNQ, 1, 2, limit=0).text == "LimitInvalid (4)"
    assert client.order_search_by_id(number, 77).text == "OrderNotFound (1)"
    nothing = client.position_close_contract(bodies.CloseContractRequest(account_id=number, contract_id=MNQ))
    assert nothing.text.startswith("PositionNotFound (2)")
    assert client.position_search_open(5).text == "AccountNotFound (1)"
    place(client, number, custom_tag="once")
    request = bodies.OrderPlaceRequest(account_id=number, contract_id=MNQ, type=2, side=0, size=1, custom_tag="once")
    assert client.order_place(request).outcome == "ambiguous"  # an order with this tag exists (F-ORD-03)
