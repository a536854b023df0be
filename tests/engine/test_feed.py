"""The whole feed: what it writes into the rings, tells the executor and shows, whatever happens to hub and history."""

import asyncio
import json
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from feed_process_rig import MINUTE_NS, MONTHS, FeedProcess, feed_process
from hub_peer import HubPeer, Link
from hub_rig import run
from tbot.engine import feed as feed_module
from tbot.engine import feed_watch, watchdog
from tbot.gateway import signalr
from tbot_ext.pipeline import NEW_CONTRACT
from tbot_ext.records import Kind

LOGOUT = signalr.encode_invocation("GatewayLogout", [])
GAP, HISTORY, TRADE, QUOTE = int(Kind.GAP), int(Kind.HISTORY), int(Kind.TRADE), int(Kind.QUOTE)


def iso(ns: int) -> str:
    return datetime.fromtimestamp(ns / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f+00:00")


def trade(contract: str, price: float = 25_000.0, at_ns: int | None = None) -> bytes:
    row = {"price": price, "volume": 1, "type": 0, "timestamp": iso(time.time_ns() if at_ns is None else at_ns)}
    return signalr.encode_invocation("GatewayTrade", [contract, [row]])


async def opened(peer: HubPeer, rig: FeedProcess) -> Link:
    link = await peer.link()
    await link.open(2 * len(rig.symbols))
    return link


def with_feed(tmp_path: Path, monkeypatch, scenario, symbols: tuple[str, ...] = ("MNQ",), settle_ns: int = 0) -> None:
    """Run a scenario; history is due at once instead of two seconds after the next minute."""
    if settle_ns == 0:
        monkeypatch.setattr("tbot.engine.backfill.SETTLE_NS", -2 * MINUTE_NS)

    async def main(peer: HubPeer) -> None:
        async with feed_process(tmp_path, peer, monkeypatch, symbols) as rig:
            await rig.begin()
            await scenario(peer, rig)

    run(main)


# ---------------------------------------------------------------------------------------------------------- history
def test_a_start_subscribes_fills_history_and_delivers(tmp_path: Path, monkeypatch) -> None:
    async def scenario(peer: HubPeer, rig: FeedProcess) -> None:
        link = await opened(peer, rig)
        await rig.until(lambda: HISTORY in rig.kinds(), "history")
        await link.send(trade(MONTHS["MNQ"]))
        await rig.until(lambda: TRADE in rig.kinds(), "a print")
        record = rig.records()[rig.kinds().index(HISTORY)]
        assert record["size"] in (1440, 1441)
        await rig.until(lambda: rig.shown("source") == "OK", "state OK")
        assert rig.state == "OK"
        assert rig.shown("broker_id") == MONTHS["MNQ"]
        assert rig.alarms == []

    with_feed(tmp_path, monkeypatch, scenario)


def test_F_DAT_07_no_history_is_announced_while_a_minute_with_ticks_is_missing(tmp_path: Path, monkeypatch) -> None:
    """A gap whose back-fill lacks the very minute in which we saw a print."""
    monkeypatch.setattr("tbot.engine.backfill.RELOOK_S", (0.01, 0.01, 0.01))
    monkeypatch.setattr("tbot.engine.backfill.SLOW_RELOOK_S", 0.05)

    async def scenario(peer: HubPeer, rig: FeedProcess) -> None:
        link = await opened(peer, rig)
        await rig.until(lambda: HISTORY in rig.kinds(), "history")
        minute = time.time_ns() // MINUTE_NS * MINUTE_NS
        for start in (minute - MINUTE_NS, minute):
            await link.send(trade(MONTHS["MNQ"], at_ns=start + 1))
        await rig.until(lambda: rig.kinds().count(TRADE) == 2, "prints")
        contract = next(iter(rig.feed._contracts.values()))
        contract.last_good_ns = minute - 5 * MINUTE_NS
        rig.history.missing = {minute - MINUTE_NS}
        link.drop()
        await opened(peer, rig)
        await rig.until(lambda: any("history are missing" in line for line in rig.lines), "the hole is told")
        await rig.until(lambda: rig.shown("hole"), "the hole is shown")
        before = len(rig.history.asked)
        await rig.until(lambda: len(rig.history.asked) > before + 5, "it is asked for again and again")
        assert rig.kinds().count(HISTORY) == 1  # so the workers hold their bars: no decision on a set with a hole
        rig.history.missing = set()
        await rig.until(lambda: rig.kinds().count(HISTORY) == 2, "the mended history")
        await rig.until(lambda: rig.shown("hole") == "", "all is well")

    with_feed(tmp_path, monkeypatch, scenario)


def test_F_DAT_07_a_hole_that_stays_is_left_behind(tmp_path: Path, monkeypatch) -> None:
    """Unreadable bars 100 minutes ago, for ever: only what follows is used, and readers are told to begin anew."""
    monkeypatch.setattr("tbot.engine.backfill.RELOOK_S", (0.01, 0.01))

    async def scenario(peer: HubPeer, rig: FeedProcess) -> None:
        minute = time.time_ns() // MINUTE_NS * MINUTE_NS
        rig.history.missing = {minute - 100 * MINUTE_NS}
        rig.history.dropped = 1
        await opened(peer, rig)
        await rig.until(lambda: HISTORY in rig.kinds(), "history")
        records = rig.records()
        at = rig.kinds().index(HISTORY)
        assert records["size"][at] in (100, 101)
        assert NEW_CONTRACT in records["aux"][:at][records["kind"][:at] == GAP]
        await rig.until(lambda: rig.shown("holes") == 1, "it is counted")

    with_feed(tmp_path, monkeypatch, scenario)


def test_history_that_fails_is_asked_for_with_growing_pauses(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("tbot.engine.history_filler.RETRY_S", 0.01)

    async def scenario(peer: HubPeer, rig: FeedProcess) -> None:
        rig.history.problem = "maintenance"
        await opened(peer, rig)
        await rig.until(lambda: any("maintenance" in line for line in rig.lines), "the problem is told")
        await rig.until(lambda: rig.feed._filler._retry_s.get("MNQ", 0) >= 0.08, "longer pauses")
        rig.history.problem = ""
        await rig.until(lambda: HISTORY in rig.kinds(), "history")
        assert rig.feed._filler._retry_s == {}

    with_feed(tmp_path, monkeypatch, scenario)


# ------------------------------------------------------------------------------------------------------- connection
def test_F_NET_01_a_loss_marks_the_gap_and_is_told_everywhere(tmp_path: Path, monkeypatch) -> None:
    async def scenario(peer: HubPeer, rig: FeedProcess) -> None:
        link = await opened(peer, rig)
        await rig.until(lambda: HISTORY in rig.kinds(), "history")
        peer.refusals = [(503, {"Retry-After": "1"})]
        link.drop()
        await rig.until(lambda: rig.kinds().count(GAP) == 1, "the mark")
        await rig.until(lambda: rig.state == "CONNECTING", "the state")
        await rig.until(lambda: any("RC_MKT_HUB" in alarm for alarm in rig.alarms or ()), "the alarm")
        await opened(peer, rig)
        await rig.until(lambda: rig.kinds().count(HISTORY) == 2, "the back-fill")
        await rig.until(lambda: rig.requests[-1].connects == 2, "the executor hears of it")
        await rig.until(lambda: rig.alarms == [] and rig.status["reconnections"] == 1, "all is well")

    with_feed(tmp_path, monkeypatch, scenario)


def test_F_NET_09_a_session_taken_over_is_told_and_answered_with_longer_pauses(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(feed_module, "LOGOUT_PAUSE_S", 0.05)

    async def scenario(peer: HubPeer, rig: FeedProcess) -> None:
        for number in range(1, 4):
            link = await opened(peer, rig)
            await rig.until(lambda: rig.feed._hub is not None and rig.feed._hub.connected, "connected")
            await link.send(trade(MONTHS["MNQ"]))  # data between does not end the fight
            await link.send(LOGOUT)
            await rig.until(lambda number=number: rig.requests[-1].logouts == number, "the executor hears of it")
            down = await rig.until(lambda: rig.feed._down, "the connection is given up")
            assert down.reason == "session taken over"
            assert down.delay_s == pytest.approx(0.05 * number)
        assert rig.lines.count("the gateway says the session was taken over") == 3

    with_feed(tmp_path, monkeypatch, scenario)


def test_three_goodbyes_without_data_are_an_alarm(tmp_path: Path, monkeypatch) -> None:
    async def scenario(peer: HubPeer, rig: FeedProcess) -> None:
        for number in range(1, 4):
            link = await opened(peer, rig)
            await link.send(signalr.encode_close("bye"))
            await rig.until(lambda number=number: rig.feed._goodbyes == number, "the goodbye")
        await rig.until(lambda: any("said goodbye 3 times" in alarm for alarm in rig.alarms or ()), "the alarm")
        link = await opened(peer, rig)
        await link.send(trade(MONTHS["MNQ"]))
        await rig.until(lambda: rig.alarms == [], "data ends it")

    with_feed(tmp_path, monkeypatch, scenario)


def test_an_event_of_an_unknown_name_is_told_once_and_disturbs_nothing(tmp_path: Path, monkeypatch) -> None:
    async def scenario(peer: HubPeer, rig: FeedProcess) -> None:
        link = await opened(peer, rig)
        for number in range(60):
            await link.send(signalr.encode_invocation(f"GatewayNews{number % 30}", ["x"]))
        await link.send(signalr.encode_invocation("GatewayDepth", [MONTHS["MNQ"], []]) + trade(MONTHS["MNQ"]))
        await rig.until(lambda: TRADE in rig.kinds(), "a print")
        await rig.until(lambda: sum("does not know" in line for line in rig.lines) == feed_module.MAX_UNKNOWN, "told")
        assert not any("GatewayDepth" in line for line in rig.lines)
        assert rig.feed._down is None

    with_feed(tmp_path, monkeypatch, scenario)


# ------------------------------------------------------------------------------------------------------------ token
def test_F_API_01_after_401_the_executor_is_asked_for_another_token(tmp_path: Path, monkeypatch) -> None:
    async def scenario(peer: HubPeer, rig: FeedProcess) -> None:
        link = await opened(peer, rig)
        await rig.until(lambda: rig.feed._hub is not None and rig.feed._hub.connected, "connected")
        peer.refusals = [(401, {})]
        link.drop()
        await rig.until(lambda: rig.requests[-1].refused == 1, "the executor hears of the refusal")
        upgrades = len(peer.upgrades)
        rig.grant(1)  # the same one again is no help
        await rig.until(lambda: any("no token" in line for line in rig.lines), "no attempt without a token")
        assert len(peer.upgrades) == upgrades
        rig.grant(2)
        await opened(peer, rig)
        await rig.until(lambda: rig.requests[-1].have == 2, "the new token is in use")

    with_feed(tmp_path, monkeypatch, scenario)


def test_F_API_01_a_token_near_its_end_is_changed_without_a_gap(tmp_path: Path, monkeypatch) -> None:
    """The first token has 20 minutes to live: the hub changes as soon as there is another one."""

    async def main(peer: HubPeer) -> None:
        async with feed_process(tmp_path, peer, monkeypatch) as rig:
            await rig.begin(life_s=1200.0)
            old = await opened(peer, rig)
            await rig.until(lambda: rig.feed._hub is not None and rig.feed._hub.connected, "connected")
            await old.send(trade(MONTHS["MNQ"]))
            await rig.until(lambda: TRADE in rig.kinds(), "a print")
            rig.grant(2)
            new = await opened(peer, rig)
            await asyncio.gather(old.subscriptions(1), new.subscriptions(1))  # the barrier of a quiet market
            await rig.until(lambda: rig.feed._hub.handovers == 1, "the change")
            await new.send(trade(MONTHS["MNQ"]))
            await rig.until(lambda: rig.kinds().count(TRADE) == 2, "the next print")
            assert GAP not in rig.kinds()
            assert len(set(peer.upgrades)) == 2
            await rig.until(lambda: rig.counted("handovers") == 1, "it is counted")
            assert rig.feed._connects == 1

    run(main)


# ------------------------------------------------------------------------------------------------------------ months
def test_F_TIM_07_I29_a_roll_is_a_gap_a_fresh_start_and_another_subscription(tmp_path: Path, monkeypatch) -> None:
    new_month = "CON.F.US.MNQ.H27"

    async def scenario(peer: HubPeer, rig: FeedProcess) -> None:
        link = await opened(peer, rig)
        await rig.until(lambda: rig.kinds().count(HISTORY) == 1 and rig.kinds("ES").count(HISTORY) == 1, "history")
        await link.send(trade(MONTHS["MNQ"], 25_000.0))
        await rig.until(lambda: TRADE in rig.kinds(), "a print of the old month")
        rig.grant(1, {**MONTHS, "MNQ": new_month}, generation=2)
        seen = await link.subscriptions(4)
        assert [(target[:3], json.loads(arguments)[0]) for target, arguments in seen] == [
            ("Uns", MONTHS["MNQ"]),
            ("Uns", MONTHS["MNQ"]),
            ("Sub", new_month),
            ("Sub", new_month),
        ]
        await link.send(trade(MONTHS["MNQ"], 25_000.25) + trade(new_month, 25_300.0))
        await rig.until(lambda: rig.kinds().count(TRADE) == 2, "a print of the new month")
        await rig.until(lambda: rig.kinds().count(HISTORY) == 2, "history of the new month")
        records = rig.records()
        marks = np.flatnonzero(records["kind"] == GAP)
        assert records["aux"][marks].tolist() == [0, NEW_CONTRACT]
        prints = records[records["kind"] == TRADE]
        assert prints["price"].tolist() == [100_000, 101_200]  # what still came of the old month is not in between
        assert np.flatnonzero(records["kind"] == TRADE)[1] > marks[1]
        assert [asked[0] for asked in rig.history.asked][-1] == new_month
        assert GAP not in rig.kinds("ES")
        await rig.until(lambda: rig.requests[-1].contracts == 2, "the executor hears that it is done")
        await rig.until(lambda: rig.shown("rolls") == 1, "it is shown")

    with_feed(tmp_path, monkeypatch, scenario, ("MNQ", "ES"))


def test_I29_a_worker_that_may_have_missed_the_roll_begins_anew(tmp_path: Path, monkeypatch) -> None:
    async def scenario(peer: HubPeer, rig: FeedProcess) -> None:
        link = await opened(peer, rig)
        await rig.until(lambda: HISTORY in rig.kinds(), "history")
        rig.control.send({"verb": "refill", "contract": "MNQ"})
        await rig.until(lambda: rig.kinds().count(HISTORY) == 2, "an ordinary refill")
        assert GAP not in rig.kinds()
        rig.grant(1, {"MNQ": "CON.F.US.MNQ.H27"}, generation=2)
        await link.subscriptions(4)
        await rig.until(lambda: rig.kinds().count(HISTORY) == 3, "history of the new month")
        rig.control.send({"verb": "refill", "contract": "MNQ"})
        await rig.until(lambda: rig.kinds().count(HISTORY) == 4, "another refill")
        assert rig.records()["aux"][np.flatnonzero(rig.records()["kind"] == GAP)].tolist().count(NEW_CONTRACT) == 2

    with_feed(tmp_path, monkeypatch, scenario)


def test_I29_a_feed_that_replaces_a_dead_one_begins_anew(tmp_path: Path, monkeypatch) -> None:
    """It cannot know which month stands in the ring."""

    async def main(peer: HubPeer) -> None:
        async with feed_process(tmp_path, peer, monkeypatch) as rig:
            contract_ring = rig.ring("MNQ")  # what a feed before it left behind
            contract_ring.push(TRADE, time.time_ns(), 0, 100_000, 0, 1)
            contract_ring.close()
            await rig.begin()
            await opened(peer, rig)
            await rig.until(lambda: HISTORY in rig.kinds(), "history")
            records = rig.records()
            marks = records["aux"][records["kind"] == GAP].tolist()
            assert NEW_CONTRACT in marks
            assert rig.kinds().index(HISTORY) > np.flatnonzero(records["aux"] == NEW_CONTRACT)[0]

    monkeypatch.setattr("tbot.engine.backfill.SETTLE_NS", -2 * MINUTE_NS)
    run(main)


# ---------------------------------------------------------------------------------------------------------- silence
def fast_watchdog(monkeypatch) -> None:
    """Tenths of seconds instead of seconds: the decisions are proved in virtual time, this is about the wiring."""
    for name in ("SILENT_NS", "LOST_NS", "CONFIRM_NS"):
        monkeypatch.setattr(watchdog, name, getattr(watchdog, name) // 20)
    monkeypatch.setattr(feed_module, "SILENT_NS", watchdog.SILENT_NS)
    monkeypatch.setattr(feed_module, "WATCH_S", 0.05)


def test_F_NET_03_a_lost_subscription_is_renewed_on_the_same_connection(tmp_path: Path, monkeypatch) -> None:
    fast_watchdog(monkeypatch)

    async def scenario(peer: HubPeer, rig: FeedProcess) -> None:
        link = await opened(peer, rig)
        flowing = asyncio.create_task(flow(link, MONTHS["ES"]))
        try:
            seen = await link.subscriptions(4)
            assert [(target[:3], json.loads(arguments)[0]) for target, arguments in seen] == [
                ("Uns", MONTHS["MNQ"]),
                ("Uns", MONTHS["MNQ"]),
                ("Sub", MONTHS["MNQ"]),
                ("Sub", MONTHS["MNQ"]),
            ]
            await rig.until(lambda: rig.counted("resubscribed") >= 1, "it is counted")
            # What the lost subscription cost is marked and filled from history; the other contract is whole.
            contracts = {contract.symbol: contract for contract in rig.feed._contracts.values()}
            assert (contracts["MNQ"].gaps, contracts["ES"].gaps) == (1, 0)
            assert GAP not in rig.kinds("ES")
            await rig.until(lambda: HISTORY in rig.kinds()[rig.kinds().index(GAP) :], "history behind the mark")
            # Still nothing, but history goes on: the connection is to blame.
            rig.history.newest = (time.time_ns() // MINUTE_NS * MINUTE_NS + MINUTE_NS, 5)
            await rig.until(lambda: rig.feed._down is not None, "the connection is given up")
            assert rig.feed._down.reason == "no data for MNQ although its history goes on"
        finally:
            flowing.cancel()

    with_feed(tmp_path, monkeypatch, scenario, ("MNQ", "ES"))


async def flow(link: Link, contract: str) -> None:
    while True:
        await link.send(trade(contract))
        await asyncio.sleep(0.02)


def test_F_NET_03_a_frozen_hub_is_left_and_a_quiet_one_is_not(tmp_path: Path, monkeypatch) -> None:
    fast_watchdog(monkeypatch)

    async def scenario(peer: HubPeer, rig: FeedProcess) -> None:
        link = await opened(peer, rig)
        await link.send(trade(MONTHS["MNQ"]))
        rig.history.newest = (time.time_ns() // MINUTE_NS * MINUTE_NS - MINUTE_NS, 5)
        await rig.until(lambda: rig.counted("history_looks") >= 2, "history is asked, twice")
        assert rig.feed._down is None  # no newer bar: silence is real
        rig.history.newest = (rig.history.newest[0] + 5 * MINUTE_NS, 5)
        await rig.until(lambda: rig.feed._down is not None, "the connection is given up")
        await opened(peer, rig)
        assert rig.feed._watch is not None
        assert isinstance(rig.feed._watch, feed_watch.FeedWatch)

    with_feed(tmp_path, monkeypatch, scenario)


def test_F_DAT_01_more_than_20_records_that_cannot_be_read_cost_the_connection(tmp_path: Path, monkeypatch) -> None:
    async def scenario(peer: HubPeer, rig: FeedProcess) -> None:
        link = await opened(peer, rig)
        odd = signalr.encode_invocation("GatewayQuote", [MONTHS["MNQ"], {"bestBid": "x"}])
        foreign = trade("CON.F.US.OLD.Z26")  # dropped and counted, but no fault of the connection
        for record in [odd] * 20 + [foreign] * 30 + [trade(MONTHS["MNQ"])]:
            await link.send(record)
        await rig.until(lambda: TRADE in rig.kinds(), "what can be read goes on")
        assert rig.feed._down is None
        await link.send(odd)
        await rig.until(lambda: rig.feed._down is not None, "the connection is given up")
        assert rig.feed._down is not None
        assert rig.feed._down.reason == "too many bad records"
        await rig.until(lambda: GAP in rig.kinds(), "the mark")

    with_feed(tmp_path, monkeypatch, scenario)


def test_F_NET_03_trades_of_a_time_before_the_subscription_cost_no_connection(tmp_path: Path, monkeypatch) -> None:
    fast_watchdog(monkeypatch)

    async def scenario(peer: HubPeer, rig: FeedProcess) -> None:
        rig.history.newest = (time.time_ns() // MINUTE_NS * MINUTE_NS - 3 * MINUTE_NS, 5)
        link = await opened(peer, rig)  # and not one record comes: the contract is quiet since before we were there
        await rig.until(lambda: rig.counted("history_looks") >= 3, "history is asked, again and again")
        assert rig.feed._down is None
        silent = "RC_QUOTE_STALE: the market hub is connected, but no contract has data"
        await rig.until(lambda: rig.alarms == [silent], "a person hears of the silence")
        await link.send(trade(MONTHS["MNQ"]))
        await rig.until(lambda: rig.alarms == [], "data ends it")

    with_feed(tmp_path, monkeypatch, scenario)
