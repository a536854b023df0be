"""A HubClient with its callbacks recorded, and its loop as a task."""

import asyncio
import contextlib

from hub_openers import opener
from hub_peer import HubPeer, Link
from tbot.gateway import signalr
from tbot.gateway.hub import HubClient, HubDown, HubTimings

# Fast in what always has to be waited for; the limits are those of a machine that stalls for seconds.
FAST = HubTimings(open_s=60, handshake_s=60, ping_s=5, silent_s=60, invoke_s=60, close_s=0.2, goodbye_s=0.01)
SUBSCRIPTIONS = [("SubscribeContractQuotes", ["A"]), ("SubscribeContractTrades", ["A"])]


class Rig:
    """A client with its callbacks recorded; `news` gets "connected" and HubDown values."""

    def __init__(self, url: str, **options: object) -> None:
        self.records: list[signalr.Invocation] = []
        self.news: asyncio.Queue[object] = asyncio.Queue()
        self.arrived: asyncio.Queue[str] = asyncio.Queue()
        self.tokens: list[bool] = []
        self.verdict: object = None
        settings: dict[str, object] = {"timings": FAST, "random": lambda: 0.0, "subscriptions": SUBSCRIPTIONS}
        settings["opener"] = opener()
        self.hub = HubClient(
            url,
            token=self.token,
            on_record=self.record,
            on_connected=lambda: self.news.put_nowait("connected"),
            on_down=self.news.put_nowait,
            **(settings | options),  # type: ignore[arg-type]
        )

    async def token(self, refused: bool) -> str:
        self.tokens.append(refused)
        return f"canary-token-{len(self.tokens)}"

    def record(self, event: signalr.Invocation, recv_ns: int) -> bool | None:
        self.records.append(event)
        self.arrived.put_nowait(event.target)
        if isinstance(self.verdict, Exception):
            raise self.verdict
        return None if self.verdict is None else bool(self.verdict)

    async def down(self) -> HubDown:
        while True:
            news = await self.news.get()
            if isinstance(news, HubDown):
                return news

    async def connected(self) -> None:
        assert await self.news.get() == "connected"


def run(scenario, refusals=()):
    """Run an async scenario with a peer, within a bound."""

    async def main():
        async with asyncio.timeout(200), HubPeer(refusals) as peer:
            await scenario(peer)

    asyncio.run(main())


@contextlib.asynccontextmanager
async def running(rig: Rig):
    """The client's loop as a task; stopped politely at the end."""
    task = asyncio.create_task(rig.hub.run())
    try:
        yield rig
    finally:
        rig.hub.stop()
        await task


async def opened(peer: HubPeer, rig: Rig) -> Link:
    link = await peer.link()
    await link.open(len(SUBSCRIPTIONS))
    await rig.connected()
    return link
