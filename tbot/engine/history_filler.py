"""Fetches the history that contracts need, checks it for holes, and announces it in their rings."""

import asyncio
import time
from collections.abc import Callable, Iterable

from tbot.engine.backfill import Bars, HoleCheck, announce, download
from tbot.engine.clocks import NS_PER_S, boot_ns
from tbot.engine.contract_feed import ContractFeed
from tbot.gateway.rest import RestClient

RETRY_S = 2.0  # after an answer that failed; doubles up to
MAX_RETRY_S = 30.0

Tell = Callable[[str, str], None]  # (contract, line for a person's eyes)
IsOpen = Callable[[int, str], bool]  # (market time, contract)


class HistoryFiller:
    """One request at a time: the history budget is 50 requests in 30 s."""

    def __init__(
        self, rest: RestClient, is_open: IsOpen, tell: Tell, on_filled: Callable[[ContractFeed, Bars], None]
    ) -> None:
        """`on_filled` comes after the bars of a contract were announced."""
        self._rest = rest
        self._is_open = is_open
        self._tell = tell
        self._on_filled = on_filled
        self._retry_s: dict[str, float] = {}

    async def look(self, contracts: Iterable[ContractFeed], now_ns: int) -> None:
        """Fetch what is due at market time `now_ns`."""
        for contract in contracts:
            request = contract.request
            if request is not None and now_ns >= request.due_ns and boot_ns() >= contract.look_boot_ns:
                await self._fetch(contract, now_ns)

    async def _fetch(self, contract: ContractFeed, now_ns: int) -> None:
        request = contract.request
        assert request is not None
        answer = await asyncio.to_thread(download, self._rest, contract.broker_id, contract.product, request)
        if contract.request is not request:
            return  # the connection was lost meanwhile: another stretch is needed now
        if answer.bars is None:
            pause_s = self._retry_s.get(contract.symbol, RETRY_S)
            self._retry_s[contract.symbol] = min(MAX_RETRY_S, 2 * pause_s)
            self._later(contract, pause_s)
            self._tell(contract.symbol, f"history not available: {answer.problem}")
            return
        self._retry_s.pop(contract.symbol, None)
        if contract.check is None:
            contract.check = HoleCheck(request, lead=contract.last_good_ns > 0)
        check = contract.check
        bars = check.add(answer, contract.seen, lambda start_ns: self._is_open(start_ns, contract.symbol))
        if bars is None and check.stubborn:
            bars = self._give_up(contract, check, now_ns)
        if bars is None:
            self._later(contract, check.pause_s)
            if check.looks > 1 and not contract.hole:
                contract.hole = f"{len(check.unresolved)} minutes of history are missing"
                then = "; no entries until they are there" if contract.traded else ""
                self._tell(contract.symbol, f"{contract.hole}{then}")
            return
        self._announce(contract, bars)

    def _give_up(self, contract: ContractFeed, check: HoleCheck, now_ns: int) -> Bars | None:
        """A hole that stays: nothing before it is used any more, if what follows is enough (F-DAT-07)."""
        bars = check.behind_hole()
        if bars is None:
            return None
        request = contract.request
        contract.begin_anew(now_ns, time.time_ns())
        contract.request = request
        contract.holes += 1
        self._tell(contract.symbol, f"history has a hole that stays; beginning anew with {len(bars)} bars behind it")
        return bars

    def _later(self, contract: ContractFeed, pause_s: float) -> None:
        contract.look_boot_ns = boot_ns() + int(pause_s * NS_PER_S)

    def _announce(self, contract: ContractFeed, bars: Bars) -> None:
        request = contract.request
        assert request is not None
        assert contract.history is not None
        contract.drop_request()
        announce(contract.writer, contract.history.put(bars), request.through_ns, time.time_ns())
        if len(bars):
            contract.last_good_ns = int(bars["start_ns"][-1])
        self._on_filled(contract, bars)
