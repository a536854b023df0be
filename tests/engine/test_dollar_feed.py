"""The dollar index in a running feed: the contexts of a backtest, history and gaps, and futures that are not there."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dollar_quotes import NS_PER_MIN, NS_PER_S, START_NS, minute_quotes, quote, record
from feed_process_rig import MINUTE_NS, MONTHS, FeedProcess, feed_process
from hub_peer import HubPeer
from hub_rig import run
from tbot.context.dxy import LEG_IDS, LEGS, DollarIndex
from tbot.context.news_settings import NewsSettings
from tbot.context.stream import GRACE_NS, with_context
from tbot.domain.context import ContextKey, ContextRecord, DollarState
from tbot.domain.contracts import PRODUCTS
from tbot.engine import dollar_feed as module
from tbot.engine import watchdog
from tbot.engine.backfill import Request
from tbot.engine.contract_feed import ContractFeed
from tbot.engine.dollar_feed import DollarFeed
from tbot.gateway import signalr
from tbot.strategy.dollar import DollarSettings
from tbot.strategy.settings import StrategySettings
from tbot_ext.pipeline import NEW_CONTRACT
from tbot_ext.records import BAR_DTYPE, TICK_DTYPE, Kind
from tbot_ext.ring import RingReader, RingWriter, format_ring, ring_bytes

NQ = PRODUCTS["NQ"]
NAMES = {symbol: f"CON.F.US.{PRODUCTS[symbol].root}.H26" for symbol in LEGS}
FOLLOW = DollarSettings(follow=True, correlation_minutes=10, trend_min=5, trend_fast=2, trend_slow=4)


class Memory:
    """Stands for the segment of a ring."""

    def __init__(self, buf: bytearray) -> None:
        self.buf = buf

    def close(self) -> None:
        pass


class Rig:
    """NQ is traded, the five futures serve the index; nothing is missing but what a test takes away."""

    def __init__(self, settings: DollarSettings = FOLLOW, **missing: str) -> None:
        memory = bytearray(ring_bytes(1 << 14))
        format_ring(memory, 1 << 14, NQ.contract_id, 1)
        segments: Any = [Memory(memory)]
        self.nq = ContractFeed("NQ", NQ, "CON.F.US.ENQ.H26", RingWriter(memory), None, segments=segments)
        self.lines: list[str] = []
        self.feed = DollarFeed(settings, lambda *line: self.lines.append(": ".join(line)), lambda broker_id: None)
        legs = {symbol: name for symbol, name in NAMES.items() if symbol not in missing}
        self.feed.open({NQ.contract_id: self.nq}, legs, missing)
        self.all = {NQ.contract_id: self.nq, **self.feed.legs}
        for contract in self.all.values():
            contract.last_good_ns = 1  # as if its history had come, and was empty
        self._reader = RingReader(memory, 0)
        self.now_ns = START_NS

    def push(self, ticks: np.ndarray) -> None:
        """As the hub would: each record into the ring of its contract."""
        for row in ticks:
            fields = ("price", "price2", "size", "aux", "volume", "side", "flags")
            writer = self.all[int(row["contract_id"])].writer
            writer.push(int(row["kind"]), int(row["exch_ns"]), 0, *(int(row[name]) for name in fields))

    def look(self, at_ns: int, late_ns: int = 0) -> list[DollarState]:
        """The clock loop's call at a minute's end plus grace; what NQ's ring was told."""
        self.now_ns = at_ns + GRACE_NS
        self.feed.look(self.now_ns + late_ns, at_ns, self.now_ns)
        out = np.zeros(1 << 12, TICK_DTYPE)
        came = out[: self._reader.read(out)]
        came = came[came["kind"] == Kind.CONTEXT]
        assert set(came["aux"].tolist()) <= {ContextKey.DOLLAR}
        assert set(came["exch_ns"].tolist()) <= {self.now_ns}
        return states(came)

    def through(self, ticks: np.ndarray, first: int, last: int) -> list[DollarState]:
        """Minutes `first` to `last - 1` of a stream, each looked at when it is over."""
        found = []
        for number in range(first, last):
            start = START_NS + number * NS_PER_MIN
            self.push(ticks[(ticks["exch_ns"] >= start) & (ticks["exch_ns"] < start + NS_PER_MIN)])
            found += self.look(start + NS_PER_MIN)
        return found

    def fill(self, symbol: str, bars: np.ndarray) -> None:
        contract = self.all[PRODUCTS[symbol].contract_id]
        contract.request = None
        contract.last_good_ns = 1
        self.feed.on_filled(contract, bars)

    @property
    def status(self) -> dict[str, Any]:
        return self.feed.status(self.now_ns)


def states(rows: np.ndarray) -> list[DollarState]:
    names = ("side", "price", "price2", "size", "volume", "flags")
    return [DollarState.of(ContextRecord(ContextKey.DOLLAR, *(int(row[name]) for name in names))) for row in rows]


def market(minutes: int = 45, seed: int = 3) -> np.ndarray:
    """Several quotes of everything in each minute, in order of time, some of which tell no price."""
    chance = np.random.default_rng(seed)
    rows = []
    for part in range(3):
        factors = [1 - 0.0002 * number + chance.uniform(-1, 1) * 1e-4 for number in range(minutes)]
        legs = minute_quotes(factors)
        legs["exch_ns"] += part * 15 * NS_PER_S
        rows.append(legs)
    for number in range(minutes):
        for place in (0, 20, 40):
            at = START_NS + number * NS_PER_MIN + place * NS_PER_S
            rows.append(quote("NQ", at, 25_000 + int(chance.integers(-40, 40))))
            rows.append(record(Kind.TRADE, "NQ", at + 1, price=100_000, size=1, side=1))
        crossed = quote("6B", START_NS + number * NS_PER_MIN + 50 * NS_PER_S, 2.0)
        crossed["price2"] = crossed["price"] - 5
        rows.append(crossed)
    ticks = np.concatenate(rows)
    return ticks[np.lexsort((ticks["contract_id"], ticks["exch_ns"]))]


def as_backtest(ticks: np.ndarray) -> list[DollarState]:
    """What a backtest on these records tells."""
    ids = (NQ.contract_id, *LEG_IDS)
    out = np.concatenate(list(with_context([ticks], ids, FOLLOW, NewsSettings(), None)))
    return states(out[out["kind"] == Kind.CONTEXT])


def bars_of(ticks: np.ndarray, symbol: str) -> np.ndarray:
    """1m bars whose closes are bid and ask of each minute's last quote (one price; so quotes here are one price)."""
    own = ticks[(ticks["contract_id"] == PRODUCTS[symbol].contract_id) & (ticks["kind"] == Kind.QUOTE)]
    own = own[own["price2"] >= own["price"]]
    minutes = own["exch_ns"] // NS_PER_MIN
    last = np.append(np.flatnonzero(np.diff(minutes)), len(own) - 1)
    bars = np.zeros(len(last), BAR_DTYPE)
    bars["start_ns"], bars["close"] = minutes[last] * NS_PER_MIN, own["price"][last]
    return bars


def test_a_running_feed_tells_what_a_backtest_of_the_same_records_tells() -> None:
    ticks = market()
    told, expected = Rig().through(ticks, 0, 45), as_backtest(ticks)
    assert told[:44] == expected  # a backtest hears of the last minute with the first record after it
    assert len(told) == 45
    assert {state.trend for state in told} == {0, 1}
    assert told[-1].correlation is not None


def test_the_minute_is_told_to_every_traded_contract_once_and_again_to_who_comes_anew() -> None:
    rig, ticks = Rig(), market()
    assert len(rig.through(ticks, 0, 3)) == 3
    at = START_NS + 3 * NS_PER_MIN
    assert rig.look(at) == []  # the loop looks more often than there are minutes
    rig.feed.tell_again()
    assert rig.look(at) == as_backtest(ticks)[2:3]


def test_a_minute_is_told_as_of_its_end_plus_grace_however_late_the_loop_is() -> None:
    """That is the time at which a backtest tells it, in front of the CLOCK record that closes quiet bars."""
    rig, ticks = Rig(), market()
    rig.push(ticks[ticks["exch_ns"] < START_NS + NS_PER_MIN])
    assert rig.look(START_NS + NS_PER_MIN, late_ns=NS_PER_S) == as_backtest(ticks)[:1]  # look() compares the stamp


def test_minutes_without_a_quote_are_not_told() -> None:
    """A weekend, or an outage: the newest word grows old, and facts_of calls it stale."""
    rig, ticks = Rig(), market()
    told = rig.through(ticks, 0, 5)
    assert [rig.look(START_NS + number * NS_PER_MIN) for number in range(6, 60)] == [[]] * 54
    later = ticks[ticks["exch_ns"] >= START_NS + 5 * NS_PER_MIN].copy()
    later["exch_ns"] += 100 * NS_PER_MIN
    rig.push(later[later["exch_ns"] < START_NS + 106 * NS_PER_MIN])
    (first,) = rig.look(START_NS + 106 * NS_PER_MIN)
    assert (first.minute_ns, first.stale) == (START_NS + 106 * NS_PER_MIN, False)
    assert told[-1].minute_ns == START_NS + 5 * NS_PER_MIN


def one_price(ticks: np.ndarray) -> np.ndarray:
    """Quotes as history can give them: bid and ask are one."""
    ticks = ticks.copy()
    good = (ticks["kind"] == Kind.QUOTE) & (ticks["price2"] >= ticks["price"])
    ticks["price2"][good] = ticks["price"][good]
    return ticks


def test_history_at_the_start_makes_the_index_that_was_there_all_the_time() -> None:
    """Until the last of it came nothing is told; from then on it is what a feed tells that never was away."""
    ticks = one_price(market())
    rig = Rig()
    for contract in rig.all.values():
        contract.last_good_ns, contract.request = 0, Request(START_NS, START_NS + 30 * NS_PER_MIN)
    assert rig.through(ticks, 29, 31) == []
    assert rig.status["problem"] == "history for it is on its way"
    early = ticks[ticks["exch_ns"] < START_NS + 30 * NS_PER_MIN]
    for symbol in ("NQ", *LEGS):
        assert rig.look(START_NS + 31 * NS_PER_MIN) == []
        rig.fill(symbol, bars_of(early, symbol))
    always = Rig().through(ticks, 0, 45)
    assert rig.look(START_NS + 31 * NS_PER_MIN) == always[30:31]
    assert rig.through(ticks, 31, 45) == always[31:]


def test_after_a_gap_history_makes_the_index_anew_as_if_nothing_had_been_missed() -> None:
    ticks = one_price(market())
    rig = Rig()
    rig.through(ticks, 0, 10)
    for contract in rig.all.values():
        contract.gap(START_NS, 0)
        contract.request = Request(START_NS + 9 * NS_PER_MIN, START_NS + 31 * NS_PER_MIN)
    missed = ticks[(ticks["exch_ns"] >= START_NS + 9 * NS_PER_MIN) & (ticks["exch_ns"] < START_NS + 31 * NS_PER_MIN)]
    assert len(rig.through(ticks, 31, 33)) == 2  # told meanwhile, by what is known
    for symbol in ("NQ", *LEGS):
        rig.fill(symbol, bars_of(missed, symbol))
    assert rig.through(ticks, 33, 45) == Rig().through(ticks, 0, 45)[33:]


def test_history_that_never_comes_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    rig, ticks = Rig(), market()
    rig.nq.last_good_ns, rig.nq.request = 0, Request(0, 1)
    assert rig.through(ticks, 0, 3) == []
    later = module.boot_ns() + module.HISTORY_PATIENCE_NS + 1
    monkeypatch.setattr(module, "boot_ns", lambda: later)
    assert rig.through(ticks, 3, 4) == as_backtest(ticks)[3:4]


@pytest.mark.parametrize("symbol", ["6E", "NQ"])
def test_another_month_begins_with_its_own_history(symbol: str) -> None:
    """The jump between two months is no move of anything."""
    ticks = one_price(market())
    rig = Rig()
    rig.through(ticks, 0, 20)
    number = PRODUCTS[symbol].contract_id
    if symbol == "NQ":
        rig.nq.roll("CON.F.US.ENQ.M26", rig.now_ns, 0)
    else:
        rig.feed.adopt({**NAMES, symbol: "CON.F.US.EU6.M26"}, {}, rig.now_ns)
        assert rig.feed.legs[number].broker_id == "CON.F.US.EU6.M26"
    carried = ticks.copy()
    carried["price"][carried["contract_id"] == number] += 50
    carried["price2"][carried["contract_id"] == number] += 50
    rig.all[number].request = Request(0, 1)
    assert rig.through(carried, 20, 22) == []
    rig.fill(symbol, bars_of(carried[carried["exch_ns"] < START_NS + 22 * NS_PER_MIN], symbol))
    assert rig.through(carried, 22, 45) == Rig().through(carried, 0, 45)[22:]


def test_a_quote_that_comes_late_counts_in_the_minute_that_is_open() -> None:
    rig, ticks = Rig(), market()
    rig.through(ticks, 0, 5)
    late = quote("6E", START_NS + 5 * NS_PER_MIN - 1, 1.30)
    rig.push(late)
    (told,) = rig.look(START_NS + 6 * NS_PER_MIN)
    index = DollarIndex(FOLLOW)
    before = index.push(ticks[ticks["exch_ns"] < START_NS + 5 * NS_PER_MIN])[-1]
    assert told.index < before.state.index
    assert told.minute_ns == START_NS + 6 * NS_PER_MIN


def test_a_future_without_quotes_is_stale_and_named() -> None:
    rig, ticks = Rig(), market()
    gone = (ticks["contract_id"] == PRODUCTS["6S"].contract_id) & (ticks["exch_ns"] >= START_NS + NS_PER_MIN)
    told = rig.through(ticks[~gone], 0, 10)
    assert [state.stale for state in told] == [False] * 5 + [True] * 5
    assert (rig.status["stale"], rig.status["problem"]) == (True, "no quotes of 6S for 300 s")
    assert rig.status["legs"]["6S"]["age_s"] > 500


def test_a_future_that_is_not_listed_is_named_and_may_come_later() -> None:
    why = "0 active months listed instead of one"
    rig, ticks = Rig(**{"6S": why}), market()
    ours = ticks[ticks["contract_id"] != PRODUCTS["6S"].contract_id]
    assert rig.through(ours, 0, 5) == []
    assert rig.status["stale"]
    assert rig.status["problem"] == f"the gateway lists no 6S for it ({why})"
    rig.feed.adopt(NAMES, {}, rig.now_ns)
    rig.all.update(rig.feed.legs)
    rig.feed.legs[PRODUCTS["6S"].contract_id].last_good_ns = 1
    told = rig.through(ticks, 5, 8)
    assert [state.minute_ns for state in told] == [START_NS + number * NS_PER_MIN for number in (6, 7, 8)]
    assert rig.status["problem"] == ""


def test_a_bug_here_is_counted_and_costs_no_other_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    rig, ticks = Rig(), market()
    rig.through(ticks, 0, 3)
    monkeypatch.setattr(DollarIndex, "push", lambda self, ticks: 1 / 0)
    assert rig.through(ticks, 3, 4) == []
    monkeypatch.undo()
    assert rig.through(ticks, 4, 6) == as_backtest(ticks)[4:6]
    assert rig.status["errors"] == {"ZeroDivisionError": 1}


def test_what_is_kept_is_bounded() -> None:
    rig = Rig(replace(FOLLOW, trend_slow=3, trend_min=5, trend_fast=1))
    rig.through(market(80), 0, 80)
    assert {len(minutes) for minutes in rig.feed._closes.values()} == {60}
    assert max(len(minutes) for minutes in rig.feed._open.values()) == 0


# ----------------------------------------------------------------------------------------------- the feed's process
STRATEGY = StrategySettings(dollar=FOLLOW)


def leg_quote(symbol: str, bid: float) -> bytes:
    stamp = f"{np.datetime64(time.time_ns(), 'ns')}+00:00"
    tick = float(PRODUCTS[symbol].tick_size)
    data = {"bestBid": round(bid / tick) * tick, "bestAsk": round(bid / tick) * tick + tick, "lastUpdated": stamp}
    return signalr.encode_invocation("GatewayQuote", [NAMES[symbol], data])


def with_dollar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scenario: Any, **legs: Any) -> None:
    monkeypatch.setattr("tbot.engine.backfill.SETTLE_NS", -2 * MINUTE_NS)
    monkeypatch.setattr("tbot.engine.feed.WATCH_S", 0.05)
    monkeypatch.setattr(watchdog, "SILENT_NS", 600 * NS_PER_S)  # nothing here is about silence

    async def main(peer: HubPeer) -> None:
        async with feed_process(tmp_path, peer, monkeypatch, strategy=STRATEGY) as rig:
            await rig.begin(legs=(NAMES, {}) if not legs else legs["legs"])
            link = await peer.link()
            await link.open(2)  # MNQ's alone: nothing that the index needs can cost the connection
            await scenario(link, rig)

    run(main)


def contexts(rig: FeedProcess) -> list[DollarState]:
    rows = rig.records()
    return states(rows[(rows["kind"] == Kind.CONTEXT) & (rows["aux"] == ContextKey.DOLLAR)])


def test_futures_are_subscribed_beside_the_contracts_and_the_index_reaches_the_ring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(link: Any, rig: FeedProcess) -> None:
        seen = await link.subscriptions(5)
        assert [(target, json.loads(told)[0]) for target, told in seen] == [
            ("SubscribeContractQuotes", name) for name in NAMES.values()
        ]
        await rig.until(lambda: contexts(rig), "the index of the history")
        await link.send(b"".join(leg_quote(symbol, 1.0) for symbol in LEGS for _ in range(3)))
        await rig.until(lambda: rig.counted("accepted") == 15, "the quotes")
        legs = await rig.until(lambda: rig.status["dxy"]["index"] and rig.status["dxy"]["legs"], "status")
        assert {symbol: leg["broker_id"] for symbol, leg in legs.items()} == NAMES
        assert set(rig.status["contracts"]) == {"MNQ"}  # they are no contracts of the run
        await rig.until(lambda: all(leg["age_s"] < 60 for leg in rig.status["dxy"]["legs"].values()), "their age")
        before = len(contexts(rig))
        rig.control.send({"verb": "refill", "contract": "MNQ"})
        await rig.until(lambda: len(contexts(rig)) > before, "the index told again")
        assert (rig.state, rig.alarms, rig.status["dxy"]["problem"]) == ("OK", [], "")
        assert NEW_CONTRACT not in rig.records()["aux"][rig.records()["kind"] == Kind.GAP]

    with_dollar(tmp_path, monkeypatch, scenario)


def test_a_future_that_the_account_may_not_see_is_told_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(link: Any, rig: FeedProcess) -> None:
        await link.subscriptions(4)
        await link.subscriptions(1, "no entitlement for this exchange")
        await rig.until(lambda: any("no quotes for the dollar" in line for line in rig.lines), "it is told")
        print_ = {"price": 25_000.0, "volume": 1, "type": 0, "timestamp": f"{np.datetime64(time.time_ns(), 'ns')}Z"}
        await link.send(signalr.encode_invocation("GatewayTrade", [MONTHS["MNQ"], [print_]]))
        await rig.until(lambda: int(Kind.TRADE) in rig.kinds(), "a print")
        leg = await rig.until(lambda: rig.status["dxy"]["legs"]["6S"]["problem"], "its status")
        assert leg == "no entitlement for this exchange"
        assert rig.state == "OK"
        assert sum("no quotes for the dollar" in line for line in rig.lines) == 1

    with_dollar(tmp_path, monkeypatch, scenario)


def test_a_future_that_is_listed_later_is_subscribed_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short = {symbol: name for symbol, name in NAMES.items() if symbol != "6S"}

    async def scenario(link: Any, rig: FeedProcess) -> None:
        await link.subscriptions(4)
        problem = await rig.until(lambda: rig.status.get("dxy", {}).get("problem"), "the problem")
        assert problem == "the gateway lists no 6S for it (none)"
        rig.grant(1, generation=2, legs=(NAMES, {}))
        await link.subscriptions(5)
        await rig.until(lambda: contexts(rig), "the index")

    with_dollar(tmp_path, monkeypatch, scenario, legs=(short, {"6S": "none"}))
