"""A complete answer about one account: what is read for a Query, in which order, and what of the budget it may take.

A snapshot is complete only when every list in it was explicit and valid; anything less proves nothing (R5).
"""

import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from tbot.domain.messages import Query, Snapshot
from tbot.gateway import codec_domain as domain
from tbot.gateway.codec_domain import ContractBook
from tbot.gateway.codec_models import BrokerOrder, BrokerPosition
from tbot.gateway.codec_rest import Answer
from tbot.gateway.net import NS_PER_S
from tbot.gateway.outcomes import LOCAL_LIMIT, Situation
from tbot.gateway.rest import OrderClient

PROOF_NS = 30 * NS_PER_S  # queries this soon after a protective command are its proof and may use the reserve
# What urgent queries leave of the reserve (R9: 40): two rounds of cancels, closes and their proof. And for how long
# after one that took from the reserve the next of its account may not: C_RECON_CONFIRM, less the way of the answer.
URGENT_KEEPS = 20
PROOF_KEEPS = 8  # what a proof leaves of it: a cancel, close or stop matters more than knowing what became of the last
URGENT_GAP_NS = 900_000_000
READS = 4  # requests of a snapshot whose orders fit one page
PAGE_SIZE = 100
MAX_PAGES = 20
UNCOUNTED_PAGE = 50  # without a total, a page this full might have been cut by the gateway


class SnapshotReader:
    """Reads snapshots, each account's in its query lane's thread. `market_ns` and `boot_clock` as of LiveBroker."""

    def __init__(
        self,
        rest: OrderClient,
        book: Callable[[], ContractBook],
        market_ns: Callable[[], int],
        boot_clock: Callable[[], int],
    ) -> None:
        """`book` is asked when the answers are there: it changes with a roll."""
        self._rest = rest
        self._book = book
        self._market_ns = market_ns
        self._boot_ns = boot_clock
        self._last_protective_ns: dict[int, int] = {}
        self._last_urgent_ns: dict[int, int] = {}  # account -> boot clock of its newest query out of the reserve
        self._under_way = 0  # snapshots that other threads are reading
        self._turn = threading.Lock()

    def protective(self, account: int) -> None:
        """A protective command of an account is under way: the queries that follow are its proof."""
        self._last_protective_ns[account] = self._boot_ns()

    def nothing(self, query: Query, text: str, situation: str = "") -> Snapshot:
        """An answer that proves nothing."""
        empty = (None, (), (), ())
        now_ns = self._market_ns()
        return Snapshot(now_ns, query.account, query.command_id, False, *empty, text=text, situation=situation)

    def read(self, query: Query) -> Snapshot:
        """Account, working orders, positions and fills. Complete only if every list was explicit and valid.

        Positions are read before orders: an entry that fills between the two then shows as a stop without position
        (waits for a second look), not as a naked position (would be closed at first sight). Fills come last, so that
        they explain every position seen; they carry the gateway's execution time as `now_ns`.
        """
        with self._turn:
            proof = self._may_use_reserve(query)
            if self._rest.room(protective=proof) < READS * (1 + self._under_way):
                # Part of an answer proves nothing, and what it costs is missing for a whole one: with two accounts and
                # half the budget no answer was complete for minutes (F-API-03).
                return self.nothing(query, LOCAL_LIMIT)
            self._under_way += 1
        try:
            return self._read(query, proof)
        finally:
            with self._turn:
                self._under_way -= 1

    def _read(self, query: Query, proof: bool) -> Snapshot:
        account = query.account
        accounts = self._rest.account_search(False, protective=proof)
        lost = accounts.situation is Situation.UNAUTHORIZED and self._rest.tokens.refused
        if lost or accounts.situation is Situation.TOO_MANY:
            # Nothing but a lost token is left, and it is still not taken (F-API-02); or the gateway wants quiet, and
            # three times three more requests would use up the reserve for no answer (F-API-03). One question will do.
            return self.nothing(query, f"account: {accounts.outcome} {accounts.text}", accounts.situation.value)
        positions = self._rest.position_search_open(account, protective=proof)
        orders = self._all_working(account, proof)
        trades = self._rest.trade_search(account, query.since_ns, protective=proof)
        answers: dict[str, Answer[Any]] = {
            "account": accounts,
            "positions": positions,
            "orders": orders,
            "trades": trades,
        }
        missing = [
            f"{name}: {answer.outcome} {answer.text}".strip()
            for name, answer in answers.items()
            if not answer.ok or answer.value is None
        ]
        now_ns, book = self._market_ns(), self._book()
        status = next((item for item in accounts.value or () if item.account_id == account), None)
        if status is None and accounts.ok:
            missing.append("account: not listed")
        own_trades = sorted(_own(trades.value, account), key=lambda item: (item.created_ns, item.trade_id))
        held = _netted(_own(positions.value, account), missing)
        found_orders = _convert(
            lambda item: domain.order_update(item, book, now_ns), _own(orders.value, account), missing
        )
        found_fills = _convert(lambda item: domain.fill(item, book, item.created_ns), own_trades, missing)
        return Snapshot(
            now_ns=now_ns,
            account=account,
            command_id=query.command_id,
            complete=not missing,
            status=None if status is None else domain.account_update(status, now_ns),
            orders=tuple(found_orders),
            positions=tuple(domain.position_update(item, book, now_ns) for item in held),
            fills=tuple(found_fills),
            text="; ".join(missing)[:300],
            situation=_worst(answers.values()),
        )

    def _may_use_reserve(self, query: Query) -> bool:
        """Whether a query is the proof of a protective command (R9), or urgent and the rest of the reserve suffices.

        A process that comes back finds the budget of the one before it used up (429, crash): what that one left open
        would stay naked for as long as the start may not even ask (I3).
        """
        now_ns = self._boot_ns()
        last_ns = self._last_protective_ns.get(query.account)
        if last_ns is not None and now_ns - last_ns <= PROOF_NS:
            return self._rest.room(protective=True) >= PROOF_KEEPS + READS
        if not query.urgent or self._rest.room() >= READS:
            return False
        last_ns = self._last_urgent_ns.get(query.account)
        early = last_ns is not None and now_ns - last_ns < URGENT_GAP_NS
        if early or self._rest.room(protective=True) < URGENT_KEEPS + READS:
            return False
        self._last_urgent_ns[query.account] = now_ns
        return True

    def _all_working(self, account: int, proof: bool) -> Answer[list[BrokerOrder]]:
        """All pages of the orders that are not final. Accepted only when as many were listed as the gateway counts."""
        found: dict[int, BrokerOrder] = {}
        for _ in range(MAX_PAGES):
            answer = self._rest.order_v2_query(account, page_size=PAGE_SIZE, offset=len(found), protective=proof)
            if not answer.ok or answer.value is None:
                return answer
            before = len(found)
            found.update((order.order_id, order) for order in answer.value)
            if answer.total is None:
                if before == 0 and len(answer.value) < UNCOUNTED_PAGE:
                    return replace(answer, value=list(found.values()))
                return Answer("ambiguous", text="the order list may be cut: no total count")
            if len(found) == answer.total:
                return replace(answer, value=list(found.values()))
            if len(found) == before:
                break  # no progress: orders came or went between the pages, or the offset means something else
        return Answer("ambiguous", text=f"the order list is not whole: {len(found)} read")


def _worst(answers: Iterable[Answer[Any]]) -> str:
    """Of several reads the situation that says most about the line: token, rate limit, then nothing."""
    found = {answer.situation for answer in answers}
    return next((each.value for each in (Situation.UNAUTHORIZED, Situation.TOO_MANY) if each in found), "")


class _Owned(Protocol):
    @property
    def account_id(self) -> int: ...


Own = TypeVar("Own", bound=_Owned)
T = TypeVar("T")


def _own(items: list[Own] | None, account: int) -> list[Own]:
    return [item for item in items or () if item.account_id == account]


def _netted(items: list[BrokerPosition], missing: list[str]) -> list[BrokerPosition]:
    """One position a contract. A list that names one twice proves no less than the larger part of it (F-ACC-05).

    One that is said to be closed, too, is open; of two sizes nobody can tell which holds: no proof then. Taking the
    last one said would have taken a position for flat, and its stop for left over.
    """
    found: dict[str, BrokerPosition] = {}
    for item in items:
        before = found.get(item.broker_id)
        if before is None or not before.size:
            found[item.broker_id] = item
        elif item.size not in (0, before.size):
            missing.append(f"positions: {item.broker_id} is listed with {before.size} and with {item.size}")
    return list(found.values())


def _convert(convert: Callable[[Own], T], items: list[Own], missing: list[str]) -> list[T]:
    """Convert each item; one that is not valid is named in `missing`: the list is no proof then."""
    found: list[T] = []
    for item in items:
        try:
            found.append(convert(item))
        except ValueError as error:
            missing.append(str(error))
    return found
