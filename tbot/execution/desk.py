"""Desk: the pure decider of the executor. Signals, time, operator and broker events in; broker commands and notes out.

A fold: no I/O, no clock, no random. The same inputs give the same outputs and the same `digest` (I15), which is what
makes live trading, paper, replay and backtest provably the same. Each account has its own engine; one signal is
offered to all of them, one after the other.
"""

from datetime import date

from tbot.domain.messages import (
    ConditionIn,
    DeskInput,
    DeskOutput,
    FeedIn,
    OperatorIn,
    SignalIn,
    TimerIn,
)
from tbot.domain.timeframes import NS_PER_MIN
from tbot.execution.account_engine import ANSWERS, AccountEngine, Market
from tbot.execution.canonical import digest
from tbot.execution.line import TOO_MANY, UNAUTHORIZED
from tbot.execution.operator_requests import contract_is_flat, promise, refusal
from tbot.execution.outlook import Outlook, account_outlook, together
from tbot.execution.settings import AccountSettings, Calendar, Carried, CarriedEntry, DeskSettings
from tbot.execution.tags import Role, order_tag
from tbot.execution.view import account_view

__all__ = ["AccountSettings", "Calendar", "Carried", "CarriedEntry", "Desk", "DeskSettings"]

_FOR_ALL = (SignalIn, TimerIn, ConditionIn, FeedIn)  # why not `A | B` where it is asked: that makes a type every time


class Desk:
    """Give it every input in order by `handle`; send on what comes out, commands after they are recorded (R1)."""

    def __init__(self, settings: DeskSettings) -> None:
        self._settings = settings
        self._market = Market()
        self._sequence = 0
        self._recent: dict[str, list[int]] = {}  # contract -> times of its signals in the last minute
        self._ignored = 0  # events of accounts that are not ours
        self._engines = {
            account.account: AccountEngine(settings.of_account(account), account, self._market, self._next_tag)
            for account in settings.accounts
        }
        self._market.sides = dict.fromkeys(self._engines)

    def _next_tag(self, role: Role) -> str:
        self._sequence += 1
        return order_tag(self._settings.run_start_ms, self._sequence, role)

    def handle(self, item: DeskInput) -> list[DeskOutput]:
        """Fold one input; returns notes and commands, account after account."""
        if isinstance(item, TimerIn):
            self._market.quotes = dict(item.quotes)
        elif isinstance(item, FeedIn):
            self._market.feeds[item.contract] = (item.state, item.reason, item.code)
        elif isinstance(item, SignalIn):
            self._note_signal(item)
        account = None if isinstance(item, _FOR_ALL) else item.account
        if account is not None and account not in self._engines:
            self._ignored += 1
            return []
        if account is None or _tells_of_the_line(item):
            return [output for engine in self._engines.values() for output in engine.handle(item)]
        return self._engines[account].handle(item)

    def _note_signal(self, item: SignalIn) -> None:
        """Newest quote for valuation, and F-ORD-10: a contract that floods signals halts every account."""
        contract = item.signal.contract
        if item.quote is not None:
            self._market.quotes = {**self._market.quotes, contract: item.quote}
        times = [at for at in self._recent.get(contract, []) if item.now_ns - at < NS_PER_MIN]
        times.append(item.now_ns)
        self._recent[contract] = times
        most = self._settings.limits.signals_per_minute
        if len(times) > most:
            del times[:-most]
            for engine in self._engines.values():
                engine.halt("RC_RUNAWAY", f"{contract} sent more than {most} signals in a minute")

    # ------------------------------------------------------------------------------------------------- questions
    def view(self) -> dict[str, object]:
        """State of everything as plain data (schema: execution.view)."""
        contracts = {}
        for symbol in self._settings.products:
            feed, reason, _ = self._market.feed(symbol)
            contracts[symbol] = {"feed": feed, "reason": reason}
        accounts = {str(account): account_view(engine) for account, engine in self._engines.items()}
        return {"accounts": accounts, "contracts": contracts, "ignored_events": self._ignored}

    def state(self, account: int) -> str:
        """Engine state of one account; KeyError when it is not ours."""
        return self._engines[account].status.state

    @property
    def accounts(self) -> tuple[int, ...]:
        """The accounts that are traded."""
        return tuple(self._engines)

    def holds(self, account: int, code: str) -> bool:
        """Whether a reason holds for an account."""
        return code in self._engines[account].reasons.held

    def day(self, account: int) -> date | None:
        """Trading day an account is in; None before its first input."""
        return self._engines[account].day

    def foresee(self, item: OperatorIn) -> dict[int, tuple[bool, str]]:
        """What each account meant by a person's request would do with it now: (taken, one plain sentence)."""
        found = {}
        for account, engine in self._engines.items():
            if item.account in (None, account):
                why = refusal(engine, item)
                found[account] = (not why, why or promise(engine, item))
        return found

    def contract_is_flat(self, account: int, contract: str) -> bool:
        """Whether one contract of an account is proven flat and nothing is under way in it."""
        return contract_is_flat(self._engines[account], contract)

    def busy(self) -> bool:
        """Whether any account has something open, working, unproven or under way: time must then be told often."""
        return any(engine.busy for engine in self._engines.values())

    def outlook(self) -> Outlook:
        """When a timer could change something, if nothing else happens before it."""
        return together(account_outlook(engine) for engine in self._engines.values())

    def is_flat(self, account: int | None = None) -> bool:
        """Whether an account (None: every one) is proven flat: explicit answer, nothing working, nothing pending."""
        return all(engine.is_flat() for engine in self._chosen(account))

    def is_protected(self, account: int | None = None) -> bool:
        """Whether every position of an account (None: every one) has a proven working stop and nothing is pending."""
        return all(engine.is_protected() for engine in self._chosen(account))

    def _chosen(self, account: int | None) -> list[AccountEngine]:
        return list(self._engines.values()) if account is None else [self._engines[account]]

    def digest(self) -> str:
        """Hash of the complete state; equal after equal inputs (I15)."""
        engines = {account: engine.state() for account, engine in self._engines.items()}
        return digest([self._market, self._sequence, self._recent, self._ignored, engines])


def _tells_of_the_line(item: DeskInput) -> bool:
    """Whether an answer to one account says something about the login or the budget, which all accounts share."""
    return isinstance(item, ANSWERS) and item.situation in (TOO_MANY, UNAUTHORIZED)
