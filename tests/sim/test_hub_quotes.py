"""What the hub says about quotes and trades: recorded shapes and rates when paced, nothing left out when it is not."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hub_client import HubClient
from shared_data import shared
from sim_rig import KEY, OWNER, RunningServer, until
from tbot.domain.contracts import DEFAULT_SYMBOLS, PRODUCTS, Contract
from tbot.domain.timeframes import NS_PER_S
from tbot.gateway import signalr
from tbot.gateway.codec import MarketDecoder
from tbot.sim.exchange import Exchange
from tbot.sim.listing import front_contract
from tbot.sim.market import HubRecord, Market, SimClock
from tbot.sim.price_path import SyntheticMarket
from tbot.sim.server import SimServer, SimSettings
from tbot.storage.tape import TapeWriter, tape_meta
from tbot_ext.records import Kind

OPEN_NS = int(datetime(2026, 11, 20, 14, 30, tzinfo=UTC).timestamp()) * NS_PER_S  # 09:30 New York
MORNING_NS = OPEN_NS + 114 * 60 * NS_PER_S  # 11:24, when the gateway was measured
DAY = datetime(2026, 11, 20).date()
ALWAYS = {"symbol", "lastUpdated", "timestamp", "contract"}


class Pumped:
    """A synthetic market in steps of 20 ms, as the pump makes them in real time."""

    def __init__(self, patch: pytest.MonkeyPatch, symbols: tuple[str, ...], start_ns: int, **more: Any) -> None:
        self.boot = 0
        patch.setattr("tbot.sim.market.boot_ns", lambda: self.boot)
        self.seed = more.pop("source_seed", 1)
        source = SyntheticMarket(self.seed, symbols, start_ns, 1)
        self.contracts = [front_contract(product, DAY) for product in source.contracts]
        self.market = Market(source, Exchange(self.contracts), SimClock(start_ns, 1.0, held=False), **more)

    def steps(self, seconds: int) -> list[list[HubRecord]]:
        wanted = {(kind, contract.broker_id) for kind in ("quote", "trade") for contract in self.contracts}
        out = []
        for _ in range(seconds * 50):
            self.boot += 20_000_000
            out.append(self.market.step(wanted))
        return out


def body(record: HubRecord) -> Any:
    return json.loads(record.data[:-1])["arguments"][1]


# ----------------------------------------------------------------------------------------------------------- shapes
@pytest.mark.shared_data
def test_quotes_and_trades_have_the_recorded_members(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [json.loads(line) for line in shared("market/projectx/stream_samples.jsonl").read_text().splitlines()]
    quote = next(line["payload"]["payload"] for line in lines if line["event"] == "quote")
    (trade,) = next(line["payload"]["payload"] for line in lines if line["event"] == "market_trade")
    records = [record for step in Pumped(monkeypatch, ("MNQ",), OPEN_NS).steps(20) for record in step]
    quotes = [body(record).keys() for record in records if record.kind == "quote"]
    assert quote.keys() in quotes  # bid, ask and what is always there
    assert all(keys >= ALWAYS for keys in quotes)
    assert all(row.keys() == trade.keys() for record in records if record.kind == "trade" for row in body(record))


def test_quotes_are_sparse_and_tell_a_price_only_when_it_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    records = [r for step in Pumped(monkeypatch, ("MNQ",), OPEN_NS).steps(60) for r in step if r.kind == "quote"]
    last: dict[str, Any] = {}
    plain = 0
    for record in records:
        data = body(record)
        told = data.keys() - ALWAYS
        assert told
        for name in told & {"lastPrice", "volume", "open", "high", "low"}:
            assert data[name] != last.get(name)
        assert not ({"change", "changePercent"} & told) or "lastPrice" in told
        last |= data
        plain += told <= {"bestBid", "bestAsk"}
    assert plain > len(records) / 2  # most messages carry only these


# ------------------------------------------------------------------------------------------------------------ rates
@pytest.mark.parametrize("start_ns", [OPEN_NS, OPEN_NS + 900 * NS_PER_S, MORNING_NS])
def test_message_rates_are_of_the_measured_order(monkeypatch: pytest.MonkeyPatch, start_ns: int) -> None:
    """MNQ, 11:24 to 11:54 New York: 41.7 quote messages and 19.6 trade messages a second, two to one."""
    pumped = Pumped(monkeypatch, ("MNQ",), start_ns)
    kinds = [record.kind for step in pumped.steps(180) for record in step]
    quotes, trades = kinds.count("quote") / 180, kinds.count("trade") / 180
    assert 41.7 / 2 < quotes < 41.7 * 1.3  # 50 a second at most, but for trades behind a quote
    assert 19.6 / 2.5 < trades < 19.6 * 2
    assert 1.5 < quotes / trades < 4.5


@pytest.mark.shared_data
def test_paced_quotes_vary_less_than_trades_from_minute_to_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the recording: the pace limits quotes, nothing limits trades."""
    minutes = json.loads(shared("market/projectx/stream_rates_MNQ_20260820.json").read_text())["per_minute"][1:-1]
    measured = {name: np.array([minute[name] for minute in minutes]) for name in ("quote", "market_trade")}
    varies = {name: counts.std() / counts.mean() for name, counts in measured.items()}
    assert varies["quote"] < varies["market_trade"]
    steps = Pumped(monkeypatch, ("MNQ",), OPEN_NS).steps(600)
    found = {}
    for kind in ("quote", "trade"):
        counts = np.array([sum(record.kind == kind for record in step) for step in steps]).reshape(10, -1).sum(axis=1)
        found[kind] = counts.std() / counts.mean()
    assert found["quote"] < found["trade"]


# -------------------------------------------------------------------------------------------------- nothing is lost
def decoded(records: list[tuple[str, bytes]], contracts: list[Contract]) -> dict[int, list[Any]]:
    """(kind, exch_ns, price, price2, size) by contract, as a client's decoder makes them of (target, arguments)."""
    decoder = MarketDecoder({contract.broker_id: contract.product for contract in contracts}, max_past_ns=2**61)
    out: dict[int, list[Any]] = {contract.product.contract_id: [] for contract in contracts}
    for target, arguments in records:
        batch = decoder.decode(signalr.Invocation(target, arguments), 1, OPEN_NS + 3600 * NS_PER_S)
        if batch is not None:
            out[batch[0]] += [(tick[0], tick[1], tick[3], tick[4], tick[5]) for tick in batch[1]]
    assert decoder.counts["dropped"] == 0
    return out


def check_nothing_lost(found: dict[int, list[Any]], ticks: np.ndarray[Any, Any]) -> int:
    """All quotes and trades of the source, in order; more quotes tell a last price in between. Returns how many."""
    checked = 0
    for contract_id, told in found.items():
        own = ticks[ticks["contract_id"] == contract_id]
        columns = ("kind", "exch_ns", "price", "price2", "size")
        expected = list(zip(*(own[name].tolist() for name in columns), strict=True))
        trades = [row for row in told if row[0] == Kind.TRADE]
        assert trades == [row for row in expected if row[0] == Kind.TRADE]
        rest = iter(told)
        for row in expected:  # each one later than the one before it
            assert row in rest
        checked += len(expected)
    return checked


@pytest.mark.parametrize("seed", [1, 2])
def test_no_quote_is_lost_when_every_quote_is_sent(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    pumped = Pumped(monkeypatch, DEFAULT_SYMBOLS, OPEN_NS, every_quote=True, source_seed=seed)
    records = [record for step in pumped.steps(20) for record in step]
    events = [json.loads(record.data[:-1]) for record in records]
    raw = [(event["target"], json.dumps(event["arguments"]).encode()) for event in events]
    ticks = SyntheticMarket(seed, DEFAULT_SYMBOLS, OPEN_NS, 1).advance(OPEN_NS + 20 * NS_PER_S)
    assert check_nothing_lost(decoded(raw, pumped.contracts), ticks) == len(ticks) > 4000


def test_paced_quotes_end_each_step_with_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    pumped = Pumped(monkeypatch, ("MNQ",), OPEN_NS)
    source = SyntheticMarket(1, ("MNQ",), OPEN_NS, 1)
    state: dict[str, float] = {}
    for number, step in enumerate(pumped.steps(20)):
        ticks = source.advance(OPEN_NS + (number + 1) * 20_000_000)
        for record in step:
            if record.kind == "quote":
                state |= body(record)
        quotes = ticks[ticks["kind"] == Kind.QUOTE]
        if len(quotes):
            bid, ask = (PRODUCTS["MNQ"].to_price(int(quotes[-1][name])) for name in ("price", "price2"))
            assert (state["bestBid"], state["bestAsk"]) == (float(bid), float(ask))
        assert sum(record.kind == "quote" for record in step) <= 2


def test_no_quote_of_a_tape_is_lost_on_its_way_over_a_socket(tmp_path: Path) -> None:
    ticks = SyntheticMarket(3, ("MNQ", "ES"), OPEN_NS, 0).advance(OPEN_NS + 20 * NS_PER_S)
    with TapeWriter(tmp_path / "t", tape_meta([PRODUCTS["MNQ"], PRODUCTS["ES"]], "test")) as tape:
        tape.write(ticks)
    contracts = [front_contract(PRODUCTS[symbol], DAY) for symbol in ("MNQ", "ES")]
    raw: list[tuple[str, bytes]] = []
    settings = SimSettings(tape=tmp_path / "t", speed=20.0, user_name=OWNER, api_key=KEY)
    with (
        RunningServer(SimServer(settings)) as server,
        HubClient(f"{server.ws}/hubs/market?access_token={server.login()}") as client,
    ):
        with server.time_stopped():  # else a stall longer than the lead-in would lose records
            for contract in contracts:
                client.invoke("SubscribeContractQuotes", contract.broker_id)
                client.invoke("SubscribeContractTrades", contract.broker_id)
        until(lambda: server.server.market.ended, "the end of the tape")
        client.invoke("UnsubscribeContractQuotes", contracts[0].broker_id)  # its answer comes behind everything
        while client._records:
            record = client.next()
            raw.append((record["target"], json.dumps(record["arguments"]).encode()))
    assert check_nothing_lost(decoded(raw, contracts), ticks) == len(ticks) > 1500


@pytest.mark.parametrize(("settings", "expected"), [({}, False), ({"every_quote": True}, True)])
def test_the_setting_of_a_synthetic_market(settings: dict[str, Any], expected: bool) -> None:
    server = SimServer(SimSettings(symbols=("MNQ",), start_ns=OPEN_NS, history_days=0, **settings))
    assert server.market.every_quote is expected
