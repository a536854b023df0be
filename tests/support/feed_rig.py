"""The feed's way from a hub to a ring without its process: hub, decoder, contract and ring are the real ones."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np

from hub_openers import opener
from tbot.domain.contracts import PRODUCTS
from tbot.engine.bulk_ticks import bulk_ticks
from tbot.engine.clocks import boot_ns
from tbot.engine.contract_feed import ContractFeed
from tbot.gateway import signalr
from tbot.gateway.codec_market import MarketDecoder
from tbot.gateway.hub import HubDown, HubTimings
from tbot.gateway.market_hub import MarketHub
from tbot.gateway.signalr import Invocation
from tbot_ext.records import TICK_DTYPE, Kind
from tbot_ext.ring import RingReader, RingWriter, format_ring, ring_bytes

MNQ, ES = "CON.F.US.MNQ.Z26", "CON.F.US.EP.Z26"
NOW_NS = 1_795_186_800 * 10**9  # 2026-11-20 15:00 UTC
QUICK = HubTimings(open_s=10, handshake_s=10, invoke_s=10, close_s=0.2, goodbye_s=0.01)


def stamp(number: int) -> str:
    """A time a millisecond after the one before, with the gateway's seven digits."""
    seconds, ms = divmod(number, 1000)
    return f"2026-11-20T15:{seconds // 60:02d}:{seconds % 60:02d}.{ms:03d}0000+00:00"


def trade(number: int, contract: str = MNQ) -> bytes:
    """A print whose size is its number plus one."""
    row = {"price": 25_000 + number % 40 * 0.25, "volume": number + 1, "type": number % 2, "timestamp": stamp(number)}
    return signalr.encode_invocation("GatewayTrade", [contract, [row]])


def quote(number: int, contract: str = MNQ) -> bytes:
    """A quote whose cumulative volume is its number."""
    bid = 25_000 + number % 40 * 0.25
    data = {"bestBid": bid, "bestAsk": bid + 0.5, "volume": number, "lastUpdated": stamp(number)}
    return signalr.encode_invocation("GatewayQuote", [contract, data])


class RingFeed:
    """One or two contracts of a hub in rings of `capacity` records."""

    def __init__(self, url: str, contracts: tuple[str, ...] = (MNQ,), capacity: int = 1 << 16, **options: Any) -> None:
        products = {MNQ: PRODUCTS["MNQ"], ES: PRODUCTS["ES"]}
        self.decoder = MarketDecoder({name: products[name] for name in contracts})
        self.memory: dict[str, bytearray] = {}
        self.contracts: dict[int, ContractFeed] = {}
        for name in contracts:
            memory = self.memory[name] = bytearray(ring_bytes(capacity))
            format_ring(memory, capacity, products[name].contract_id, 1)
            writer = RingWriter(memory)
            feed = ContractFeed(products[name].symbol, products[name], name, writer, None)
            self.contracts[products[name].contract_id] = feed
        self.downs: list[HubDown] = []
        self.kept: dict[str, np.ndarray] = {}
        self.connects = 0
        self.hub = MarketHub(
            url,
            list(contracts),
            token=self._token,
            on_record=self._on_record,
            on_connected=self._on_connected,
            on_down=self._on_down,
            recv_clock=time.time_ns,
            **(self._settings() | options),
        )

    def _settings(self) -> dict[str, Any]:
        return {
            "timings": QUICK,
            "random": lambda: 0.0,
            "opener": opener(),
            "on_bulk": lambda *where: bulk_ticks(self.decoder, self.contracts, *where, NOW_NS),
        }

    async def _token(self, refused: bool) -> str:
        return "canary-token"

    def _on_record(self, event: Invocation, recv_ns: int) -> bool:
        dropped = self.decoder.counts["dropped"]
        batch = self.decoder.decode(event, recv_ns, NOW_NS)
        if batch is not None:
            self.contracts[batch[0]].take(batch[1], boot_ns())
        return self.decoder.counts["dropped"] == dropped

    def _on_connected(self) -> None:
        self.connects += 1

    def _on_down(self, down: HubDown) -> None:
        self.downs.append(down)
        self.decoder.on_reconnect()
        for contract in self.contracts.values():
            contract.lost(down.was_connected, NOW_NS, time.time_ns())

    def reader(self, contract: str = MNQ, slot: int = 0) -> RingReader:
        return RingReader(self.memory[contract], slot)

    def records(self, contract: str = MNQ) -> np.ndarray:
        """Everything in the ring, oldest first."""
        reader = self.reader(contract, 5)
        out = np.zeros(1 << 17, TICK_DTYPE)
        count = reader.read(out)
        reader.close()
        return out[:count]

    def trades(self, contract: str = MNQ) -> list[int]:
        """Numbers of the prints in the ring, in order."""
        records = self.records(contract)
        return (records["size"][records["kind"] == Kind.TRADE] - 1).tolist()

    def quotes(self, contract: str = MNQ) -> list[int]:
        """Numbers of the quotes in the ring, in order."""
        records = self.records(contract)
        return records["volume"][records["kind"] == Kind.QUOTE].tolist()

    def close(self) -> None:
        for contract in self.contracts.values():
            contract.close()


@contextlib.asynccontextmanager
async def feeding(feed: RingFeed) -> AsyncIterator[RingFeed]:
    task = asyncio.create_task(feed.hub.run())
    try:
        yield feed
    finally:
        feed.hub.stop()
        await task
        feed.close()


async def until(condition: Callable[[], Any], what: str, patience_s: float = 30.0) -> Any:
    """The first true value of a condition; AssertionError with `what` after a while."""
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        await asyncio.sleep(0.01)
    raise AssertionError(f"not within {patience_s:.0f} s: {what}")
