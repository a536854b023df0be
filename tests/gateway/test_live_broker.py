"""The live broker: one request per command, protection never behind others, snapshots only from whole lists."""

import asyncio
import json
import select
import threading
from dataclasses import replace
from decimal import Decimal

import pytest

from broker_rig import BRACKET, CANCEL, CLOSE, EXIT, MODIFY, QUERY, STOP, TARGET, Rig
from gateway_records import ACCOUNT, ID, ORDER, POSITION, TRADE
from hub_peer import HubPeer
from tbot.domain.messages import (
    AccountUpdate,
    CommandResult,
    Fill,
    OrderUpdate,
    PositionUpdate,
    Snapshot,
)
from tbot.engine.desk_setup import TimedBroker
from tbot.engine.health import Hops
from tbot.gateway import signalr
from tbot.gateway.codec import logout_event
from tbot.gateway.codec_domain import ContractBook
from tbot.gateway.codec_hub import user_event
from tbot.gateway.codec_rest import Answer, encode_request
from tbot.gateway.hub import HubTimings
from tbot.gateway.lanes import LANES, QUEUE_LIMIT, THREADS
from tbot.gateway.live_broker import ENTRY_TTL_NS, SINGLE_TTL_NS
from tbot.gateway.outcomes import LOCAL_LIMIT
from tbot.gateway.snapshots import MAX_PAGES


@pytest.fixture
def rig():
    with Rig() as made:
        yield made


# ------------------------------------------------------------------------------------------------------------- commands
@pytest.mark.parametrize(
    ("command", "method", "protective"),
    [
        (BRACKET, "order_place", False),
        (STOP, "order_place", True),
        (MODIFY, "order_modify", False),
        (CANCEL, "order_cancel", False),
        (CLOSE, "position_close_contract", False),
    ],
)
def test_I2_each_command_is_one_request_and_one_result(rig, command, method, protective):
    rig.boot = 7
    for outcome in ("accepted", "rejected", "not_sent", "ambiguous"):
        rig.rest.calls.clear()
        rig.rest.answers[method] = Answer(outcome, order_id=5 if method == "order_place" else None, text="why")
        result = rig.do(replace(command, command_id=f"{command.command_id}-{outcome}"))
        assert result.sent_boot_ns == result.answered_boot_ns == (0 if outcome == "not_sent" else 7)
        situation = {"rejected": "refused", "not_sent": "not sent"}.get(outcome, outcome)
        assert replace(result, sent_boot_ns=0, answered_boot_ns=0) == CommandResult(
            1000, 1001, f"{command.command_id}-{outcome}", outcome, 5 if method == "order_place" else None, "why",
            situation=situation,
        )  # fmt: skip
        assert rig.rest.names() == [method]
        # modify, cancel and close are protective by themselves; a stop has to say so
        assert rig.rest.calls[0][2] is protective


@pytest.mark.parametrize(
    ("answer", "situation", "cause"),
    [
        (Answer("rejected", code=8), "refused", "account"),
        (Answer("rejected", code=2), "refused", "gone"),
        (Answer("rejected", code=5), "refused", ""),
        (Answer("rejected"), "refused", ""),
        (Answer("ambiguous", code=7), "ambiguous", ""),
        (Answer("ambiguous", status=429), "429", ""),
        (Answer("ambiguous", status=401), "401", ""),
        (Answer("not_sent", text=LOCAL_LIMIT), "no budget", ""),
        (Answer("not_sent"), "not sent", ""),
    ],
)
def test_F_ORD_02_a_result_tells_its_column_of_the_table_and_why_it_was_refused(rig, answer, situation, cause):
    rig.rest.answers["position_close_contract"] = answer
    result = rig.do(CLOSE)
    assert (result.situation, result.cause) == (situation, cause)


@pytest.mark.parametrize(
    ("command", "method", "code", "cause"),
    [
        (BRACKET, "order_place", 10, "account"),
        (BRACKET, "order_place", 2, ""),
        (MODIFY, "order_modify", 2, "gone"),
        (MODIFY, "order_modify", 6, "account"),
        (CANCEL, "order_cancel", 2, "gone"),
        (CANCEL, "order_cancel", 6, "account"),
        (CANCEL, "order_cancel", 3, ""),
    ],
)
def test_F_ORD_03_the_same_code_means_another_thing_at_another_call(rig, command, method, code, cause):
    rig.rest.answers[method] = Answer("rejected", code=code)
    assert rig.do(command).cause == cause


@pytest.mark.parametrize(
    ("statuses", "situation"),
    [
        ((None, None), ""),
        ((429, 401), "429"),
        ((None, 401), "401"),
        ((None, 429), "429"),
        ((401, 429), "401"),
        ((500, 503), ""),
    ],
)
def test_F_API_01_F_API_03_an_answer_tells_the_worst_column_of_its_reads(rig, statuses, situation):
    for method, status in zip(("account_search", "trade_search"), statuses, strict=True):
        if status is not None:
            rig.rest.answers[method] = Answer("ambiguous", status=status)
    assert rig.do(QUERY).situation == situation


@pytest.mark.parametrize(
    ("sizes", "told", "why"),
    [
        ((-3, 0), [-3], ""),
        ((0, -3), [-3], ""),
        ((-3, -3), [-3], ""),
        ((0,), [0], ""),
        ((-3, -1), [-3], f"positions: {ID} is listed with -3 and with -1"),
        ((2, -2, 0), [2], f"positions: {ID} is listed with 2 and with -2"),
    ],
)
def test_I3_F_ACC_05_a_contract_that_is_listed_twice_is_not_taken_for_flat(rig, sizes, told, why):
    """The last one said counted: a position was over, and the stop beside it went as a leftover."""
    listed = [replace(POSITION, position_id=number, size=size) for number, size in enumerate(sizes)]
    rig.rest.answers["position_search_open"] = Answer("accepted", listed)
    snapshot = rig.do(QUERY)
    assert [position.size for position in snapshot.positions] == told
    assert (snapshot.complete, snapshot.text) == (not why, why)


def test_F_API_03_after_a_429_the_other_lists_are_not_asked_for(rig):
    """Three requests each, out of the reserve, for an answer that would prove nothing."""
    rig.rest.answers["account_search"] = Answer("ambiguous", status=429)
    told = rig.do(QUERY)
    assert (told.complete, told.situation, len(rig.rest.calls)) == (False, "429", 1)


def test_F_API_02_after_a_refused_login_one_question_with_a_dead_token_is_enough(rig):
    rig.rest.tokens.refused, rig.rest.answers["account_search"] = "code 3", Answer("rejected", status=401)
    told = rig.do(QUERY)
    assert (told.complete, told.situation, len(rig.rest.calls)) == (False, "401", 1)


def test_requests_carry_the_command(rig):
    rig.do(BRACKET)
    body = json.loads(encode_request(rig.rest.calls[0][1]))
    assert (body["customTag"], body["size"], body["contractId"]) == ("TB1-x-E", 2, ID)
    rig.do(MODIFY)
    assert json.loads(encode_request(rig.rest.calls[1][1])) == {"accountId": 1001, "orderId": 77, "stopPrice": 25095.0}


def test_I2_a_command_id_is_executed_once(rig):
    rig.do(BRACKET)
    rig.broker.submit(BRACKET, 0)
    rig.do(CANCEL)
    assert rig.rest.names() == ["order_place", "order_cancel"]
    assert rig.broker.counts["duplicate_commands"] == 1


def test_I29_an_unresolved_contract_is_not_sent(rig):
    result = rig.do(replace(BRACKET, contract="ES"))
    assert isinstance(result, CommandResult)
    assert result.outcome == "not_sent"
    assert rig.rest.calls == []
    rig.broker.set_contracts(ContractBook({"ES": "CON.F.US.EP.Z26"}))
    assert rig.do(replace(BRACKET, contract="ES", command_id="e2")).outcome == "accepted"


def test_a_bug_in_a_worker_is_an_ambiguous_outcome_and_the_lane_lives_on(rig):
    rig.rest.answers["order_place"] = RuntimeError("bug with a secret in its text")
    result = rig.do(BRACKET)
    assert (result.outcome, result.text) == ("ambiguous", "internal error RuntimeError")
    rig.rest.answers["order_place"] = Answer("accepted", 5, order_id=5)
    assert rig.do(replace(BRACKET, command_id="e2")).outcome == "accepted"


# ---------------------------------------------------------------------------------------------------------------- lanes
def test_every_command_has_a_lane():
    assert {kind.__name__: lane for kind, lane in LANES.items()} == {
        "PlaceBracket": "entry",
        "PlaceStop": "protective",
        "PlaceTarget": "protective",
        "PlaceExit": "protective",
        "ModifyStop": "protective",
        "CancelOrder": "protective",
        "CloseContract": "protective",
        "Query": "query",
    }


def test_I10_protective_commands_pass_a_hanging_entry_a_hanging_query_and_a_hanging_cancel(rig):
    for method in ("order_place", "account_search", "order_cancel"):
        rig.rest.hold(method)
    for command in (BRACKET, QUERY, CANCEL):
        rig.broker.submit(command, 0)
    for method in ("order_place", "account_search", "order_cancel"):
        assert rig.rest.entered[method].wait(30)
    assert rig.do(CLOSE).command_id == "p4"


def test_I3_I10_an_account_that_is_not_answered_for_holds_up_no_other():
    """Its reads took the one thread of the queries for 24 s of every 24, its closes both that protect."""
    gate, waits = threading.Event(), threading.Semaphore(0)

    def hangs(of, *_, **__):
        if getattr(of, "account_id", of) == 1001:
            waits.release()
            assert gate.wait(30)
        return Answer("accepted", [], order_id=5, total=0)

    with Rig(accounts=[1001, 1002]) as rig:
        for method in ("order_place", "order_cancel", "position_close_contract", "position_search_open"):
            rig.rest.answers[method] = hangs
        for number, command in enumerate((BRACKET, CANCEL, CLOSE, CLOSE, QUERY)):
            rig.broker.submit(replace(command, command_id=f"a{number}"), 0)
        for _ in range(4):  # the third that protects has no thread
            assert waits.acquire(timeout=30)
        for command in (BRACKET, CANCEL, CLOSE, QUERY):
            answer = rig.do(replace(command, account=1002))
            assert (answer.account, answer.command_id) == (1002, command.command_id)
        gate.set()
        assert {event.account for event in rig.wait(5)} == {1001}


def test_F_API_03_two_accounts_do_not_both_read_with_what_is_left_for_one():
    with Rig(accounts=[1001, 1002]) as rig:
        rig.rest.left = 7  # a whole answer takes four
        gate = rig.rest.hold("account_search")
        rig.broker.submit(QUERY, 0)
        assert rig.rest.entered["account_search"].wait(30)
        other = rig.do(replace(QUERY, account=1002, command_id="q2"))
        assert (other.account, other.complete, other.text) == (1002, False, LOCAL_LIMIT)
        gate.set()
        assert rig.wait(1)[0].complete
        assert rig.do(replace(QUERY, account=1002, command_id="q3")).text != LOCAL_LIMIT


def test_I23_an_entry_that_waited_too_long_is_not_sent_but_a_protective_command_is(rig):
    gate = rig.rest.hold("order_place")
    rig.broker.submit(BRACKET, 0)
    assert rig.rest.entered["order_place"].wait(30)
    rig.broker.submit(replace(BRACKET, command_id="e2"), 0)
    rig.boot += ENTRY_TTL_NS + 1
    gate.set()
    results = {event.command_id: event.outcome for event in rig.wait(2)}
    assert results == {"e1": "accepted", "e2": "not_sent"}
    assert rig.rest.names() == ["order_place"]


@pytest.mark.parametrize(("late_ns", "outcome"), [(0, "accepted"), (1, "not_sent")])
@pytest.mark.parametrize("command", [STOP, MODIFY, TARGET, EXIT])
def test_F_SYS_05_what_must_be_sent_once_and_in_order_expires_in_the_queue(rig, command, late_ns, outcome):
    """Sent after the Desk gave it up, a second exit would turn the position and an older move would loosen the stop."""
    gate = rig.rest.hold("order_cancel")
    for number in range(THREADS["protective"]):
        rig.broker.submit(replace(CANCEL, command_id=f"c{number}"), 0)
    assert rig.rest.entered["order_cancel"].wait(30)
    rig.broker.submit(command, 0)
    rig.boot += SINGLE_TTL_NS + late_ns
    gate.set()
    results = {event.command_id: event.outcome for event in rig.wait(THREADS["protective"] + 1)}
    assert results[command.command_id] == outcome


@pytest.mark.parametrize(("late_ns", "outcome"), [(0, "accepted"), (1, "not_sent")])
def test_F_SYS_05_I23_an_entrys_age_counts_from_the_signal_not_from_its_queue(rig, late_ns, outcome):
    rig.boot = 10 * ENTRY_TTL_NS
    rig.broker.signal_boot_ns = rig.boot - ENTRY_TTL_NS - late_ns
    assert rig.do(BRACKET).outcome == outcome
    assert rig.do(CLOSE).outcome == "accepted"
    rig.broker.signal_boot_ns = 0
    assert rig.do(replace(BRACKET, command_id="e2")).outcome == "accepted"


def test_F_SYS_05_I23_the_executor_tells_the_broker_when_the_signal_left(rig):
    timed = TimedBroker(rig.broker, Hops("signal_request"))
    timed.sent_boot_ns = rig.boot = 5 * ENTRY_TTL_NS
    gate = rig.rest.hold("order_place")
    timed.submit(BRACKET, 0)
    assert rig.rest.entered["order_place"].wait(30)
    rig.boot += ENTRY_TTL_NS - 1
    timed.submit(replace(BRACKET, command_id="e2"), 0)  # fresh in the queue, and old all the same when its turn comes
    rig.boot += 2
    gate.set()
    assert {event.command_id: event.outcome for event in rig.wait(2)} == {"e1": "accepted", "e2": "not_sent"}


def test_I25_a_full_lane_refuses_and_says_so(rig):
    rig.rest.hold("order_place")
    rig.broker.submit(BRACKET, 0)
    assert rig.rest.entered["order_place"].wait(30)
    for number in range(QUEUE_LIMIT):
        rig.broker.submit(replace(BRACKET, command_id=f"n{number}"), 0)
    assert rig.broker.poll() == []
    result = rig.do(replace(BRACKET, command_id="last"))
    assert (result.command_id, result.outcome) == ("last", "not_sent")


def test_after_close_commands_are_refused():
    rig = Rig()
    assert rig.broker.close()
    rig.broker.submit(BRACKET, 0)
    (result,) = rig.broker.poll()
    assert result.outcome == "not_sent"


# ------------------------------------------------------------------------------------------------------------ snapshots
def test_a_whole_snapshot(rig):
    early = replace(TRADE, trade_id=9, created_ns=TRADE.created_ns - 5, pnl=None)
    rig.rest.answers |= {
        "account_search": Answer("accepted", [replace(ACCOUNT, account_id=7), ACCOUNT]),
        "position_search_open": Answer("accepted", [POSITION]),
        "order_v2_query": Answer("accepted", [ORDER], total=1),
        "trade_search": Answer("accepted", [TRADE, early]),  # the gateway lists the newest first
    }
    snapshot = rig.do(QUERY)
    assert isinstance(snapshot, Snapshot)
    assert snapshot.complete
    assert (snapshot.command_id, snapshot.now_ns, snapshot.text) == ("q1", 1000, "")
    assert snapshot.status == AccountUpdate(1000, 1001, ACCOUNT.name, 4_999_939, True, True)
    assert [order.order_id for order in snapshot.orders] == [ORDER.order_id]
    assert [position.size for position in snapshot.positions] == [-3]
    assert [(fill.fill_id, fill.now_ns) for fill in snapshot.fills] == [
        (9, early.created_ns),
        (TRADE.trade_id, TRADE.created_ns),
    ]
    # positions before orders, fills last: see the broker's own note
    assert rig.rest.names() == ["account_search", "position_search_open", "order_v2_query", "trade_search"]


@pytest.mark.parametrize("method", ["account_search", "position_search_open", "order_v2_query", "trade_search"])
@pytest.mark.parametrize("answer", [Answer("ambiguous", text="null list"), Answer("not_sent"), Answer("rejected")])
def test_F_ACC_05_a_list_that_is_not_explicit_makes_the_snapshot_incomplete(rig, method, answer):
    rig.rest.answers[method] = answer
    snapshot = rig.do(QUERY)
    assert not snapshot.complete
    assert answer.outcome in snapshot.text


def test_an_account_that_is_not_listed_makes_it_incomplete(rig):
    rig.rest.answers["account_search"] = Answer("accepted", [replace(ACCOUNT, account_id=7)])
    snapshot = rig.do(QUERY)
    assert (snapshot.complete, snapshot.status, snapshot.text) == (False, None, "account: not listed")


def test_a_record_that_is_not_valid_makes_it_incomplete_but_the_rest_is_told(rig):
    off_tick = replace(ORDER, order_id=2, stop_price=Decimal("25094.3"))
    rig.rest.answers["order_v2_query"] = Answer("accepted", [ORDER, off_tick], total=2)
    snapshot = rig.do(QUERY)
    assert not snapshot.complete
    assert "tick grid" in snapshot.text
    assert [order.order_id for order in snapshot.orders] == [ORDER.order_id]


def pages(orders, size, *, total=True, unit="rows"):
    def answer(account, *, page_size, offset):
        start = offset if unit == "rows" else offset * size
        page = orders[start : start + min(size, page_size)]
        return Answer("accepted", page, total=len(orders) if total else None)

    return answer


ORDERS = [replace(ORDER, order_id=number + 1) for number in range(120)]


@pytest.mark.parametrize("size", [1000, 100, 50, 7])
def test_all_pages_of_working_orders_are_read(rig, size):
    rig.rest.answers["order_v2_query"] = pages(ORDERS, size)
    snapshot = rig.do(QUERY)
    assert snapshot.complete
    assert [order.order_id for order in snapshot.orders] == [order.order_id for order in ORDERS]


def test_I26_the_number_of_pages_is_bounded(rig):
    rig.rest.answers["order_v2_query"] = pages(ORDERS, 5)
    assert not rig.do(QUERY).complete
    assert rig.rest.names().count("order_v2_query") == MAX_PAGES


def test_an_offset_that_means_pages_is_noticed(rig):
    rig.rest.answers["order_v2_query"] = pages(ORDERS, 50, unit="pages")
    snapshot = rig.do(QUERY)
    assert not snapshot.complete
    assert "not whole" in snapshot.text


@pytest.mark.parametrize(("count", "complete"), [(0, True), (49, True), (50, False)])
def test_without_a_total_only_a_short_page_is_proof(rig, count, complete):
    rig.rest.answers["order_v2_query"] = pages(ORDERS[:count], 50, total=False)
    assert rig.do(QUERY).complete is complete


# ---------------------------------------------------------------------------------------------------------- user events
def event(record: bytes) -> signalr.Invocation:
    message = signalr.parse_record(record.rstrip(b"\x1e"))
    assert isinstance(message, signalr.Invocation)
    return message


@pytest.mark.parametrize(
    ("record", "kind"),
    [(ORDER, OrderUpdate), (POSITION, PositionUpdate), (TRADE, Fill), (ACCOUNT, AccountUpdate)],
)
@pytest.mark.parametrize("bare", [True, False])
def test_user_events_come_out_of_poll(rig, record, kind, bare):
    assert rig.broker.user_record(event(user_event(record, bare=bare)), 0) is True
    (update,) = rig.wait(1)
    assert isinstance(update, kind)
    assert (update.account, update.now_ns) == (1001, 1000)


def test_I21_bad_and_foreign_user_events_are_counted(rig):
    cases = [
        (replace(ORDER, account_id=7), True),
        (replace(ORDER, stop_price=Decimal("25094.3")), False),
        (replace(TRADE, pnl=Decimal("0.001")), False),
        (ORDER, True),
    ]
    for record, good in cases:
        assert rig.broker.user_record(event(user_event(record)), 0) is good
    assert rig.broker.user_record(signalr.Invocation("GatewayUserOrder", b"[{}]"), 0) is False
    assert rig.broker.user_record(signalr.Invocation("Heartbeat", b"[]"), 0) is True
    counts = rig.broker.counts
    assert counts["hub_items"] == 5
    assert (counts["hub_accepted"], counts["hub_dropped"], counts["other_account"]) == (1, 3, 1)
    assert counts["other_target"] == 1


def test_F_NET_09_a_session_that_was_taken_over_is_told(rig):
    rig.broker.user_record(event(logout_event()), 0)
    assert rig.broker.logouts == 1
    assert rig.rest.tokens.invalidated == 1
    assert select.select([rig.broker.fileno()], [], [], 0)[0]


def test_user_hub_in_its_own_thread():
    """Events of a real hub wake the owner; a lost hub comes back with everything subscribed."""

    async def readable(rig):
        woken = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(rig.broker.fileno(), woken.set)
        await woken.wait()
        loop.remove_reader(rig.broker.fileno())

    async def main():
        async with asyncio.timeout(60), HubPeer([(401, {})]) as peer:
            timings = HubTimings(backoff_base_s=0.001, close_s=0.2)
            rig = Rig(user_hub_url=peer.url, hub_timings=timings)
            for _ in range(2):
                link = await peer.link()
                await link.handshake()
                seen = await link.subscriptions(4)
                assert [target for target, _ in seen] == [
                    "SubscribeAccounts", "SubscribeOrders", "SubscribePositions", "SubscribeTrades",
                ]  # fmt: skip
                assert seen[1][1] == b"[1001]"
                await link.send(user_event(TRADE))
                events: list[object] = []
                while not events:
                    await readable(rig)
                    events = rig.broker.poll()
                assert isinstance(events[0], Fill)
                link.drop()
            assert rig.rest.tokens.invalidated == 1  # the 401: that token was given up before the next attempt
            assert rig.broker.hub is not None
            assert await asyncio.to_thread(rig.broker.close)
            assert not rig.broker.hub.connected

    asyncio.run(main())
