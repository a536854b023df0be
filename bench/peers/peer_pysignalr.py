"""pysignalr: from the wire to an async callback; its CPU seconds from the first quote to the last."""

import asyncio
import time
from typing import Any

import numpy as np
from protocol import Columns, Measure, serve
from pysignalr.client import SignalRClient

LIMIT_S = 100
METHODS = ("SubscribeContractQuotes", "SubscribeContractTrades")


async def receive(url: str, contract: str, count: int) -> tuple[float, list[Any]]:
    """(CPU seconds, the quotes) of one connection."""
    client = SignalRClient(url, headers={"Authorization": "Bearer nobody"})
    quotes: list[Any] = []
    times = [0.0, 0.0]
    done = asyncio.Event()

    async def subscribe() -> None:
        for method in METHODS:
            await client.send(method, [contract])

    async def keep(arguments: Any) -> None:
        if not quotes:
            times[0] = time.process_time()
        quotes.append(arguments[1])
        if len(quotes) == count:
            times[1] = time.process_time()
            done.set()

    client.on_open(subscribe)
    client.on("GatewayQuote", keep)
    task = asyncio.create_task(client.run())
    async with asyncio.timeout(LIMIT_S):
        await done.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return times[1] - times[0], quotes


def common(quotes: list[Any]) -> Columns:
    """Prices in ticks of 0.25."""
    return {name: np.array([round(quote[key] * 4) for quote in quotes], np.int64)
            for name, key in (("bid", "bestBid"), ("ask", "bestAsk"))}  # fmt: skip


def make(job: dict[str, Any]) -> dict[str, Measure]:
    run = lambda: asyncio.run(receive(job["url"], job["contract"], job["count"]))  # noqa: E731
    return {"quotes": Measure(run, job["count"], common, own_clock=True)}


if __name__ == "__main__":
    serve(make)
