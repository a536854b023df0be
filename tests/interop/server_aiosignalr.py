"""A market hub made of aiosignalr's server, run in an environment of its own and told what to do line by line.

Nothing of T-BOT is imported here: handshake, invocations, completions and the encoding of events are the library's.
Each line on stdin is a JSON command, each answer on stdout a JSON line. Commands that spoil the stream write raw bytes
below the library, which itself is well behaved.
"""

import asyncio
import json
import sys

from aiohttp import web
from aiosignalr.messages import CloseMessage, InvocationMessage
from aiosignalr.server import Hub, ServerOptions, SignalRServer

CONTRACT = "CON.F.US.MNQ.Z26"
topics = {}  # connection id -> set of (kind, contract), in order of subscription


def say(**members):
    print(json.dumps(members), flush=True)


class MarketHub(Hub):
    """The gateway's methods; all of them void."""

    async def on_connected(self):
        topics[self.context.connection_id] = set()
        say(event="connected", token=self.context.query_string.get("access_token", ""))

    async def on_disconnected(self, exception):
        topics.pop(self.context.connection_id, None)
        say(event="disconnected")

    async def SubscribeContractQuotes(self, contract: str):
        self._subscribe("quote", contract)

    async def SubscribeContractTrades(self, contract: str):
        self._subscribe("trade", contract)

    async def UnsubscribeContractQuotes(self, contract: str):
        topics[self.context.connection_id].discard(("quote", contract))

    async def UnsubscribeContractTrades(self, contract: str):
        topics[self.context.connection_id].discard(("trade", contract))

    async def UnsubscribeContractMarketDepth(self, contract: str):
        topics[self.context.connection_id].discard(("depth", contract))

    def _subscribe(self, kind, contract):
        topics[self.context.connection_id].add((kind, contract))
        say(event="subscribed", kind=kind, contract=contract)


def stamp(number):
    seconds, ms = divmod(number, 1000)
    return f"2026-11-20T15:{seconds // 60:02d}:{seconds % 60:02d}.{ms:03d}0000+00:00"


def event_of(number):
    """A print for an even number, a quote for an odd one; the number stands in it."""
    price = 25_000 + number % 40 * 0.25
    if number % 2:
        data = {"bestBid": price, "bestAsk": price + 0.5, "volume": number, "lastUpdated": stamp(number)}
        return InvocationMessage(target="GatewayQuote", arguments=[CONTRACT, data])
    row = {"price": price, "volume": number + 1, "type": 0, "timestamp": stamp(number)}
    return InvocationMessage(target="GatewayTrade", arguments=[CONTRACT, [row]])


class Control:
    """Carries out commands on every subscribed connection."""

    def __init__(self, server):
        self._server = server

    def _contexts(self):
        found = [self._server.get_connection(name) for name, wanted in list(topics.items()) if len(wanted) >= 2]
        return [context for context in found if context is not None and context.has_transport]

    async def run(self):
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            command = json.loads(line)
            act = getattr(self, f"do_{command.pop('do')}")
            contexts = self._contexts()
            for context in contexts:
                await act(context, **command)
            say(event="done", connections=len(contexts))

    async def do_events(self, context, start, count):
        """One after the other, by the library's own encoder."""
        for number in range(start, start + count):
            await context.send(event_of(number))

    async def do_raw(self, context, start, count, sizes, text=False, junk=""):
        """The same records as a stream of bytes cut at will; `junk` goes in after each tenth record."""
        records = []
        for number in range(start, start + count):
            records.append(context.protocol.write_message(event_of(number)))
            if junk and number % 10 == 0:
                records.append(junk.encode() + b"\x1e")
        data, at, turn = b"".join(bytes(record) for record in records), 0, 0
        while at < len(data):
            size = sizes[turn % len(sizes)]
            piece = data[at : at + size]
            if text and piece.isascii():
                await context._transport._socket._ws.send_str(piece.decode())
            else:
                await context.send_bytes(piece)
            at, turn = at + size, turn + 1

    async def do_reset(self, context):
        """The TCP connection is reset, no farewell."""
        context._transport._socket._ws._req.transport.abort()

    async def do_close(self, context, allow):
        await context.send(CloseMessage(error="going down", allow_reconnect=allow))
        await context.close(1000, "")

    async def do_ask(self, context):
        """A client result: our client has none to give and must say so."""
        await context.send(InvocationMessage(target="Ask", arguments=[], invocation_id="77"))


async def main():
    options = ServerOptions(keep_alive_interval=float(sys.argv[1]), client_timeout_interval=600.0)
    server = SignalRServer(MarketHub, options=options)
    runner = web.AppRunner(server.create_application(path="/hubs/market"))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    say(event="ready", port=site._server.sockets[0].getsockname()[1])
    await Control(server).run()
    await runner.cleanup()


asyncio.run(main())
