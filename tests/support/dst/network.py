"""The line between executor and exchange: every request and every answer has a fate of its own.

`Line.run` takes the place of `HttpExchange.run`. A request arrives now, late, never or twice; its answer comes, comes
late, is lost or garbled: chosen apart from each other. What arrives is handled by the simulator's own `RestApi`.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from random import Random
from typing import Any

from dst.evidence import Evidence, WireRequest
from dst.kill_points import KillBoard
from dst.scheduler import NS_PER_MS, NS_PER_S, Event, Scheduler
from tbot.gateway import codec_tables as tables
from tbot.gateway.http_exchange import HttpResult
from tbot.sim.fault_stale import Views
from tbot.sim.rest_server import Reply, RestApi

MOVES_MONEY = {
    tables.ORDER_PLACE.path: "order.place",
    tables.ORDER_CANCEL.path: "order.cancel",
    tables.ORDER_MODIFY.path: "order.modify",
    tables.POSITION_CLOSE.path: "position.close",
}
_PAGE = b"<!DOCTYPE html><html><body>Back soon.</body></html>"
_STALE = frozenset(
    call.path for call in (tables.POSITION_SEARCH_OPEN, tables.ORDER_QUERY, tables.ORDER_SEARCH, tables.TRADE_SEARCH)
)


@dataclass(slots=True)
class Rule:
    """A fault of the line that is on: `left` requests (None: any number) of `path` ("": all) until `until_ns`."""

    fault_id: str
    name: str
    args: Mapping[str, Any]
    until_ns: int | None
    left: int | None
    path: str = ""
    skip: int = 0  # so many requests pass before it bites
    chance: float = 1.0


@dataclass(slots=True)
class _Flight:
    """One request under way and what has come back."""

    request: WireRequest
    life: int
    method: str
    path: str
    token: str
    body: bytes
    came: Event
    status: int | None = None
    answer: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    error: str = ""


class Line:
    """The network as one seed sees it. `pump` tells the user hub what a request has caused."""

    def __init__(
        self,
        scheduler: Scheduler,
        seed: int,
        api: RestApi,
        evidence: Evidence,
        board: KillBoard,
        market_ns: Callable[[], int],
        committed: Callable[[], int],
        look: Callable[[], None],
        pump: Callable[[], None],
        views: Views,
    ) -> None:
        self._scheduler = scheduler
        self._random = Random(f"line/{seed}")
        self._api = api
        self._evidence = evidence
        self._board = board
        self._market_ns = market_ns
        self._committed = committed
        self._look = look
        self._pump = pump
        self._views = views
        self.rules: list[Rule] = []
        self.life = 0
        self.protective = False  # of the request that is about to leave: see NotedWindow
        self.impaired_until_ns = 0  # until then a protective call may be unanswered through no fault of the engine
        self.lost_lives: set[int] = set()  # what these had on its way is lost (power gone)
        self.hits: dict[str, int] = {}

    # ------------------------------------------------------------------------------------------------------- rules
    def add(self, rule: Rule) -> None:
        self.rules.append(rule)

    def remove(self, fault_id: str) -> None:
        self.rules = [rule for rule in self.rules if rule.fault_id != fault_id]

    def _hits(self, path: str) -> list[Rule]:
        """The rules that this request meets; counts it."""
        now, found = self._scheduler.now_ns, []
        for rule in list(self.rules):
            if rule.until_ns is not None and now >= rule.until_ns:
                self.rules.remove(rule)
                continue
            if rule.path and rule.path != path:
                continue
            if rule.skip:
                rule.skip -= 1
                continue
            if rule.chance < 1.0 and self._random.random() >= rule.chance:
                continue
            if rule.left is not None:
                rule.left -= 1
                if rule.left <= 0:
                    self.rules.remove(rule)
            self.hits[rule.fault_id] = self.hits.get(rule.fault_id, 0) + 1
            found.append(rule)
        return found

    # --------------------------------------------------------------------------------------------------- one request
    def run(self, method: str, path: str, body: bytes, headers: Mapping[str, str], total_s: float) -> HttpResult:
        """As HttpExchange.run: one request, one answer, within `total_s`; never raises for the network."""
        if total_s <= 0:
            return HttpResult(False, error="no time left")
        rules = self._hits(path)
        if any(rule.name == "rest.refused" for rule in rules):
            self._impair(NS_PER_S)
            self._scheduler.sleep(20 * NS_PER_MS)
            return HttpResult(False, error="ConnectionError")
        life = self._scheduler.group
        request = self._note(path, body)
        token = headers.get("Authorization", "").removeprefix("Bearer ")
        flight = _Flight(request, life, method, path, token, body, Event(self._scheduler))
        self._look()
        self._board.on_sent(path)
        self._dispatch(flight, rules)
        flight.came.wait(total_s)
        if not flight.came.is_set():
            self._impair(NS_PER_S)
            flight.error = flight.error or "deadline"
        request.status, request.answered_ns = flight.status, self._scheduler.now_ns
        self._board.on_answer(path, flight.status)
        self._look()
        if flight.status is None:
            return HttpResult(True, error=flight.error)
        return HttpResult(True, flight.status, flight.answer, flight.headers)

    def _note(self, path: str, body: bytes) -> WireRequest:
        fields = json.loads(body) if body else {}
        account = fields.get("accountId") or fields.get("filter", {}).get("accountId")
        request = WireRequest(
            number=len(self._evidence.wire) + 1,
            boot_ns=self._scheduler.now_ns,
            market_ns=self._market_ns(),
            executor=self._scheduler.group,
            path=path,
            body=fields if path != tables.LOGIN_KEY.path else {},
            account=account,
            tag=fields.get("customTag") or "",
            protective=self.protective,
            committed_seq=self._committed(),
        )
        self._evidence.wire.append(request)
        return request

    def _impair(self, for_ns: int) -> None:
        self.impaired_until_ns = max(self.impaired_until_ns, self._scheduler.now_ns + for_ns)

    def _dispatch(self, flight: _Flight, rules: list[Rule]) -> None:
        """Choose the fates and set them going."""
        named = {rule.name: rule for rule in rules}
        there_ns = self._random.randrange(4, 40) * NS_PER_MS
        back_ns = self._random.randrange(4, 40) * NS_PER_MS
        way = next((rule for rule in rules if rule.name in MOVES_MONEY.values()), None)
        args: Mapping[str, Any] = {} if way is None else way.args
        if "rest.latency" in named:
            back_ns += int(named["rest.latency"].args["seconds"] * NS_PER_S)
        there_ns += int(args.get("deliver_after", 0.0) * NS_PER_S)
        answer = args.get("answer", "ok")
        if answer == "delay":
            back_ns += int(args.get("answer_after", 1.0) * NS_PER_S)
        never = args.get("outcome") == "never"
        if "rest.hang" in named or (never and answer != "reset"):
            answer = "drop"  # nothing comes back from where nothing arrived, but a reset on the way there
        if rules:
            self._impair(there_ns + back_ns + (9 * NS_PER_S if answer == "drop" else NS_PER_S))
        instead = named.get("rest.status") or named.get("rest.html")
        stale = named.get("rest.stale_read") if flight.path in _STALE else None
        body = named.get("rest.body")

        def arrive() -> None:
            if flight.life in self.lost_lives:
                return
            if instead is not None and not instead.args.get("handled"):
                reply = _instead(instead)
            else:
                reply = self._handle(flight, stale)
                if args.get("twice"):
                    self._handle(flight, None)
                if instead is not None:
                    reply = _instead(instead)
            if answer in ("drop",):
                return
            self._scheduler.after(back_ns, lambda: self._return(flight, reply, answer, body))

        if "auth.refuse" in named and flight.path == tables.LOGIN_KEY.path:
            refusal = json.dumps({"success": False, "errorCode": int(named["auth.refuse"].args["code"])}).encode()
            self._scheduler.after(there_ns + back_ns, lambda: self._return(flight, Reply(200, refusal), "ok", None))
        elif not never:
            self._scheduler.after(there_ns, arrive)
        elif answer == "reset":
            self._scheduler.after(there_ns + back_ns, lambda: self._return(flight, Reply(0), answer, None))

    def _handle(self, flight: _Flight, stale: Rule | None) -> Reply:
        """The exchange takes the request."""
        view = None
        if stale is not None:
            view = self._views.at(self._scheduler.now_ns / NS_PER_S - float(stale.args["age"]))
        with self._api.altered(view, None):
            reply = self._api.handle(
                flight.method, flight.path, flight.token, flight.body, self._scheduler.now_ns / NS_PER_S
            )
            if reply.make is not None:
                reply = Reply(reply.status, reply.make(), reply.headers)
        flight.request.arrived += 1
        self._pump()
        self._look()
        if flight.life == self.life:
            self._board.on_arrived(flight.path)
        return reply

    def _return(self, flight: _Flight, reply: Reply, answer: str, body: Rule | None) -> None:
        """The answer is back at the executor's machine, if somebody still waits for it."""
        if self._scheduler.is_dead(flight.life) or flight.came.is_set():
            return
        if answer == "reset":
            flight.error = "ConnectionError"
        elif answer == "garble":
            flight.status, flight.answer = 200, b'{"orderId":'
        else:
            dated = {"date": formatdate(self._market_ns() // NS_PER_S, usegmt=True)}
            flight.status, flight.answer, flight.headers = reply.status, reply.body, {**reply.headers, **dated}
            if body is not None and reply.status == 200:
                flight.answer = _mangled(reply.body, str(body.args["kind"]))
        flight.came.set()

    def close(self) -> None:
        """Nothing is held."""


def _instead(rule: Rule) -> Reply:
    if rule.name == "rest.html":
        return Reply(200, _PAGE)
    headers = {"retry-after": str(rule.args["retry_after"])} if "retry_after" in rule.args else {}
    return Reply(int(rule.args["status"]), b"", headers)


def _mangled(body: bytes, kind: str) -> bytes:
    """A body that proves nothing."""
    if kind == "empty":
        return b""
    if kind == "garbage":
        return body[: len(body) // 2]
    try:
        fields = json.loads(body)
    except ValueError:
        return body  # another fault's empty answer or page of HTML proves nothing either
    return json.dumps({name: None if isinstance(value, list) else value for name, value in fields.items()}).encode()
