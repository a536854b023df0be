"""Faults of REST: what becomes of a request, and what becomes of its answer, chosen apart from each other.

`RestFaults.answer` takes the place of the plain call while a plan is about requests. The request is delivered to the
venue now, late, twice or never; the answer comes, comes late, is lost, garbled or is another one.
"""

import asyncio
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

from starlette.responses import Response

from tbot.gateway import codec_tables as calls
from tbot.gateway.codec import encode_answer
from tbot.gateway.codec_faults import mangle_answer, peek_request
from tbot.gateway.codec_tables import Call
from tbot.sim.fault_board import Event, FaultBoard, Hit, Moment
from tbot.sim.fault_stale import Views
from tbot.sim.fault_wire import Manner, RudeResponse
from tbot.sim.rest_server import Reply, RestApi

INSTEAD = frozenset({"rest.status", "rest.html", "rest.drip", "rest.hang", "rest.close_after_headers", "rest.reset"})
DELIVERY = frozenset({"order.place", "order.cancel", "order.modify", "position.close", "position.partial_close"})
_PAGE = b"<!DOCTYPE html><html><head><title>Maintenance</title></head><body>Back soon.</body></html>"
_REFUSALS = {
    calls.ORDER_PLACE.path: 2,
    calls.ORDER_CANCEL.path: 3,
    calls.ORDER_MODIFY.path: 3,
    calls.POSITION_CLOSE.path: 5,
    calls.POSITION_PARTIAL_CLOSE.path: 6,
}
_LISTS = (calls.CONTRACT_SEARCH.path.lower(), calls.CONTRACT_AVAILABLE.path.lower())
TOKEN_CALLS = "auth/loginkey or validate"


class RestFaults:
    """The faults of requests. `before` and `after` carry out what happens at the venue with or after a request."""

    def __init__(
        self,
        api: RestApi,
        board: FaultBoard,
        views: Views,
        moment: Callable[[], Moment],
        describe: Callable[[str], tuple[str, ...]],
        before: Callable[[Hit], None],
        after: Callable[[Hit], None],
        publish: Callable[[], None],
    ) -> None:
        """`describe`: the names of a contract; `publish` sends the user events a request has caused."""
        self.board = board
        self._api = api
        self._views = views
        self._moment = moment
        self._describe = describe
        self._before = before
        self._after = after
        self._publish = publish
        self._tasks: set[asyncio.Task[Reply]] = set()

    def event(self, path: str, body: bytes) -> Event:
        """What a request is about."""
        name = path.lower().removeprefix("/api/")
        about: dict[str, tuple[str, ...]] = {"endpoint": (name,)}
        if path.lower() in (calls.LOGIN_KEY.path.lower(), calls.VALIDATE.path.lower()):
            about["endpoint"] = (name, TOKEN_CALLS)
        peek = peek_request(body)
        if peek.account is not None:
            about["account"] = (str(peek.account),)
        if peek.contract:
            about["contract"] = self._describe(peek.contract)
        return Event("request", about)

    async def answer(
        self, method: str, path: str, token: str, body: bytes, now_s: float, respond: Callable[[Reply], Response]
    ) -> tuple[Response, list[str]]:
        """(the answer, the ids of the faults that had a part in it)."""
        call = calls.BY_PATH.get(path.lower())
        if call is None:
            return respond(self._api.handle(method, path, token, body, now_s)), []
        hits = self.board.hits(self.event(path, body), self._moment())
        instead = next((hit for hit in hits if hit.name in INSTEAD), None)
        way = next((hit for hit in hits if hit.name in DELIVERY), None)
        request = (method, path, token, body, now_s)
        if instead is not None and not instead["handled"]:
            response: Response = _instead(instead)
        elif way is not None:
            response = await self._deliver(way, hits, call, request, respond)
        else:
            reply = await _made(self._handle(hits, request))
            response = await self._changed(hits, call, reply, respond)
        for hit in hits:
            if hit.fault.kind.acts:
                self._after(hit)
        if instead is not None and instead["handled"]:
            response = _instead(instead)
        delay_s = sum(hit["seconds"] for hit in hits if hit.name == "rest.latency")
        if delay_s:
            await asyncio.sleep(delay_s)
        return response, [hit.fault.id for hit in hits]

    def _handle(self, hits: list[Hit], request: tuple[str, str, str, bytes, float]) -> Reply:
        """Have the venue take a request, with what the faults change about that."""
        for hit in hits:
            if not hit.fault.kind.acts:
                self._before(hit)
        named = {hit.name: hit for hit in hits}
        _, path, token, body, _ = request
        if "auth.refuse" in named:
            hit = named["auth.refuse"]
            return Reply(200, encode_answer(calls.LOGIN_KEY, code=hit["code"], message=hit["text"] or None))
        empty = named.get("rest.empty_live")
        if empty is not None and path.lower() in _LISTS and peek_request(body).live == empty["live"]:
            return Reply(200, encode_answer(calls.BY_PATH[path.lower()], []))
        life = named.get("auth.lifetime")
        stale = named.get("rest.stale_read")
        view = None if stale is None else self._views.at(self._moment().real_s - stale["age"])
        with self._api.altered(view, None if life is None else life["seconds"]):
            reply = self._api.handle(*request)
        if "auth.rotate" in named and reply.status == 200:
            self._api.tokens.revoke(token)
        self._publish()
        return reply

    async def _deliver(
        self,
        way: Hit,
        hits: list[Hit],
        call: Call,
        request: tuple[str, str, str, bytes, float],
        respond: Callable[[Reply], Response],
    ) -> Response:
        """Delivery and answer of a request that moves money."""
        if way["outcome"] == "rejected":
            code = way["code"] or _REFUSALS[call.path]
            task = self._spawn(self._later(0.0, [], lambda: Reply(200, encode_answer(call, code=code))))
        elif way["outcome"] == "never":
            task = self._spawn(self._later(0.0, [], lambda: Reply(504)))
        else:
            task = self._spawn(self._later(way["deliver_after"], hits, lambda: self._twice(way, hits, request)))
        answer = way["answer"]
        if not way["deliver_after"] or answer in ("ok", "delay"):
            await asyncio.wait([task])
        if answer == "drop" or (way["outcome"] == "never" and answer in ("ok", "delay")):
            return RudeResponse("hang")
        if answer == "reset":
            return RudeResponse("reset")
        if answer == "garble":
            return Response(b'{"orderId":', 200, media_type="application/json")
        if way["answer_after"]:
            await asyncio.sleep(way["answer_after"])
        return await self._changed(hits, call, task.result(), respond)

    def _twice(self, way: Hit, hits: list[Hit], request: tuple[str, str, str, bytes, float]) -> Reply:
        """Deliver once or, by a middlebox that repeats, twice; the first answer counts."""
        reply = self._handle(hits, request)
        if way["twice"]:
            self._handle([], request)
        return reply

    @staticmethod
    async def _later(seconds: float, _hits: list[Hit], deliver: Callable[[], Reply]) -> Reply:
        if seconds:
            await asyncio.sleep(seconds)
        return await _made(deliver())

    def _spawn(self, work: Any) -> asyncio.Task[Reply]:
        task: asyncio.Task[Reply] = asyncio.create_task(work)
        self._tasks.add(task)  # the loop itself keeps only a weak one
        task.add_done_callback(self._tasks.discard)
        return task

    async def _changed(
        self, hits: list[Hit], call: Call, reply: Reply, respond: Callable[[Reply], Response]
    ) -> Response:
        """The answer as it was, or with a body that is wrong."""
        hit = next((hit for hit in hits if hit.name == "rest.body"), None)
        if hit is None or reply.status != 200:
            return respond(reply)
        body, headers = await asyncio.to_thread(mangle_answer, reply.body, call, hit["kind"], hit["field"])
        if hit["kind"] == "truncated":
            return RudeResponse("truncated", body)
        return Response(body, 200, headers, "application/json")


async def _made(reply: Reply) -> Reply:
    """A long answer, written outside of the loop."""
    return reply if reply.make is None else Reply(reply.status, await asyncio.to_thread(reply.make), reply.headers)


def _instead(hit: Hit) -> Response:
    """Another answer than the one the request would have had."""
    if hit.name == "rest.status":
        headers = {}
        if hit["retry_after"] is not None:
            at_s = time.time() + hit["retry_after"]
            headers["Retry-After"] = (
                formatdate(at_s, usegmt=True) if hit["retry_as"] == "date" else f"{hit['retry_after']:g}"
            )
        return Response(b"", hit["status"], headers)
    if hit.name == "rest.html":
        page = b"" if hit["status"] in (204, 304) else _PAGE
        return Response(page, hit["status"], media_type="text/html")
    manners: dict[str, Manner] = {
        "rest.drip": "drip",
        "rest.hang": "hang",
        "rest.close_after_headers": "close_after_headers",
        "rest.reset": "reset",
    }
    return RudeResponse(manners[hit.name], seconds=hit["seconds"] if hit.name == "rest.drip" else 0.2)
