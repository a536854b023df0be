"""signalrcore: from the wire to a callback in its thread; its CPU seconds from the first quote to the last."""

import logging
import threading
import time
from typing import Any

import numpy as np
from protocol import Columns, Measure, serve
from signalrcore.hub_connection_builder import HubConnectionBuilder

LIMIT_S = 100
METHODS = ("SubscribeContractQuotes", "SubscribeContractTrades")


def receive(url: str, contract: str, count: int) -> tuple[float, list[Any]]:
    """(CPU seconds, the quotes) of one connection."""
    options = {"access_token_factory": lambda: "nobody", "skip_negotiation": True}
    builder = HubConnectionBuilder().with_url(url.replace("http", "ws", 1), options=options)
    hub = builder.configure_logging(logging.CRITICAL).build()
    quotes: list[Any] = []
    times = [0.0, 0.0]
    done = threading.Event()

    def subscribe() -> None:
        for method in METHODS:
            hub.send(method, [contract], lambda _: None)

    def keep(arguments: Any) -> None:
        if not quotes:
            times[0] = time.process_time()
        quotes.append(arguments[1])
        if len(quotes) == count:
            times[1] = time.process_time()
            done.set()

    hub.on_open(subscribe)
    hub.on("GatewayQuote", keep)
    hub.start()
    if not done.wait(LIMIT_S):
        raise TimeoutError(f"{len(quotes)} of {count} quotes after {LIMIT_S} s")
    threading.Thread(target=hub.stop, daemon=True).start()  # it may wait for ever for a byte of the server
    return times[1] - times[0], quotes


def common(quotes: list[Any]) -> Columns:
    """Prices in ticks of 0.25."""
    return {name: np.array([round(quote[key] * 4) for quote in quotes], np.int64)
            for name, key in (("bid", "bestBid"), ("ask", "bestAsk"))}  # fmt: skip


def make(job: dict[str, Any]) -> dict[str, Measure]:
    run = lambda: receive(job["url"], job["contract"], job["count"])  # noqa: E731
    return {"quotes": Measure(run, job["count"], common, own_clock=True)}


if __name__ == "__main__":
    serve(make)
