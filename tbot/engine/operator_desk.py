"""The person's hand inside the executor: control socket, lock files of the kill switch and a signal, all to the Desk.

Whatever asks, the Desk decides; here requests become its inputs, and its state becomes a truthful answer. A kill leaves
lock files behind at once, and puts them back when they are taken away: only the next trading day lifts them.
"""

from datetime import date
from typing import Any

from tbot.domain.messages import OperatorIn
from tbot.domain.process_messages import AccountWord, ControlReply, ControlRequest
from tbot.domain.trading_hours import trading_day
from tbot.domain.words import plural
from tbot.engine.clocks import boot_ns
from tbot.engine.control import ControlServer
from tbot.engine.desk_setup import TradingDesk
from tbot.engine.gateway_watch import GatewayWatch
from tbot.engine.health import BEAT_NS
from tbot.engine.observer import Tell
from tbot.engine.settings import EngineSettings
from tbot.engine.state_dir import kill_locks
from tbot.storage.kill_locks import ENGINE

STARTING = "the engine is still starting, so nothing was done; ask again in a moment, or use tbot kill"


class OperatorDesk:
    """Call `look` in every turn of the executor's loop; `press` may be called by a signal handler."""

    def __init__(self, settings: EngineSettings, tell: Tell) -> None:
        self.control = ControlServer(settings.run_dir, settings.run_id)
        self._locks = kill_locks(settings)
        self._tell = tell
        self._pressed: dict[int | None, str] = {}  # kills that wait for a Desk: account (None: all), what pressed
        self._next_look_ns = 0
        self._problem = ""

    def press(self, by: str, account: int | None = None) -> None:
        """Kill everything (or one account) as soon as there is a Desk."""
        self._pressed[account] = by

    def look(self, desk: TradingDesk | None, watch: GatewayWatch | None) -> None:
        """See whether the kill switch was pressed in one of the other ways, then answer what was asked.

        In this order, so that a Desk that has just been opened is locked before anybody is told how it stands.
        """
        if desk is not None:
            self.look_at_switch(desk)
        for sender, request in self.control.take():
            self.control.answer(sender, self._reply(desk, watch, request))

    def look_at_switch(self, desk: TradingDesk) -> None:
        """See whether the kill switch was pressed by signal or lock file; a look at the clock if that was just seen.

        Also in the midst of a turn, before anything that may send an order: a process that was frozen there knows of no
        file that came meanwhile, and whoever left it has closed everything without us (I10, ruling 11).
        """
        while self._pressed:
            account, by = self._pressed.popitem()
            if account is None or account in desk.desk.accounts:
                self._kill(desk, account, by)
        if boot_ns() >= self._next_look_ns:
            self._next_look_ns = boot_ns() + BEAT_NS
            self._look_at_locks(desk)

    # --------------------------------------------------------------------------------------------------- requests
    def _reply(self, desk: TradingDesk | None, watch: GatewayWatch | None, request: ControlRequest) -> ControlReply:
        if desk is None:
            if request.verb == "kill":
                self.press("command", request.account)
            return ControlReply(request.request_id, "starting", STARTING)
        if request.account is not None and request.account not in desk.desk.accounts:
            names = {account: _views(desk)[str(account)]["name"] for account in desk.desk.accounts}
            known = ", ".join(f"{account} ({name})" if name else str(account) for account, name in names.items())
            text = f"account {request.account} is not traded by this run; it trades {known}"
            return ControlReply(request.request_id, "account", text)
        if request.verb == "ask":
            said = {account: (True, "") for account in desk.desk.accounts if request.account in (None, account)}
            return ControlReply(request.request_id, "", "", self._words(desk, said, request.contract))
        shared = watch.of_the_login if watch is not None and request.verb == "resume" else ""
        if shared and request.account is not None and len(desk.desk.accounts) > 1:
            # One account's `resume` would let the others trade again, of which nobody spoke.
            text = f"{shared}, which stops every account: tbot resume without --account goes on with all of them"
            words = self._words(desk, {request.account: (False, text)}, None)
            return ControlReply(request.request_id, "refused", text, words)
        item = OperatorIn(desk.clock.now_ns(), request.verb, request.account, request.contract)
        said = desk.desk.foresee(item)
        taken = any(took for took, _ in said.values())
        if taken and request.verb == "resume" and watch is not None:
            watch.acknowledge()
        desk.session.on_operator(item)
        if request.verb == "kill":
            self._lock_all(desk)
        text = "; ".join(dict.fromkeys(words for _, words in said.values()))
        words = self._words(desk, said, request.contract)
        return ControlReply(request.request_id, "" if taken else "refused", text, words)

    @staticmethod
    def _words(
        desk: TradingDesk, said: dict[int, tuple[bool, str]], contract: str | None
    ) -> tuple[AccountWord, ...]:
        """How the accounts stand after the request was handled."""
        words = []
        views = _views(desk)
        for account, (taken, sentence) in said.items():
            view = views[str(account)]
            held = [f"{place['contract']} {place['side'] * place['size']:+d}" for place in view["positions"]]
            orders = len(view["orders"])
            proven = desk.desk.is_flat(account)
            flat = proven if contract is None else desk.desk.contract_is_flat(account, contract)
            still = ", ".join([*held, *([plural(orders, "working order")] if orders else [])])
            clear = proven and not still
            words.append(
                AccountWord(account, view["name"], taken, sentence, view["state"], view["text"], flat, clear, still)
            )
        return tuple(words)

    # ------------------------------------------------------------------------------------------------ kill switch
    def _kill(self, desk: TradingDesk, account: int | None, by: str) -> None:
        self._tell(desk.clock.now_ns(), "STATE", "", f"kill switch pressed ({by}): closing everything")
        desk.session.on_operator(OperatorIn(desk.clock.now_ns(), "kill", account))
        self._lock_all(desk)

    def _look_at_locks(self, desk: TradingDesk) -> None:
        for account in desk.desk.accounts:
            if desk.desk.holds(account, "RC_KILL_SWITCH"):
                continue
            lock = self._locks.holding(account, _today(desk, account).isoformat())
            if lock is not None:
                self._kill(desk, account, f"lock file{f' of {lock.by}' if lock.by else ''}")
        self._lock_all(desk)

    def _lock_all(self, desk: TradingDesk) -> None:
        """Files for what is killed, no files for what is not any more."""
        problems: list[str] = []
        for account in desk.desk.accounts:
            if desk.desk.day(account) is None:
                # Before its first input a Desk still holds what was carried over, also the lock of a day that is over:
                # a file in its name would bind the new day.
                continue
            today = _today(desk, account)
            if desk.desk.holds(account, "RC_KILL_SWITCH"):
                problems += self._locks.complete(account, today, ENGINE)
                problems += self._locks.complete(None, today, ENGINE, only_present=True)
            else:
                self._locks.drop_old(account, today.isoformat())
                self._locks.drop_old(None, today.isoformat())
        problem = "; ".join(problems)
        if problem and problem != self._problem:
            self._tell(desk.clock.now_ns(), "STATE", "", f"the kill switch could not leave its lock file: {problem}")
        self._problem = problem

    def close(self) -> None:
        self.control.close()


def _views(desk: TradingDesk) -> dict[str, Any]:
    views = desk.desk.view()["accounts"]
    assert isinstance(views, dict)
    return views


def _today(desk: TradingDesk, account: int) -> date:
    """The trading day an account is in, by market time."""
    return desk.desk.day(account) or trading_day(desk.clock.now_ns())
