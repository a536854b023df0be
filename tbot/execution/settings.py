"""What the Desk is told at construction: accounts, limits, products, calendar, and what earlier runs left behind."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Literal, Protocol

from tbot.domain.contracts import Product
from tbot.domain.timeframes import NS_PER_S
from tbot.domain.trading_hours import TradingDay
from tbot.errors import ConfigError
from tbot.risk.caps import Cap
from tbot.risk.firm import FirmRules, check_daily_limit
from tbot.risk.limits import RiskLimits


class Calendar(Protocol):
    """What the Desk asks about time (domain.trading_hours.SessionCalendar). `contract` None: every contract."""

    def entries_allowed(self, now_ns: int, contract: str | None = None) -> bool:
        """Whether a position may be opened now."""

    def entry_refusal(self, now_ns: int, contract: str | None = None) -> str:
        """Why not, as one plain sentence; "" when entries are allowed."""

    def flat_due(self, now_ns: int, contract: str | None = None) -> bool:
        """Whether nothing may be open now."""

    def trading_day(self, now_ns: int, contract: str | None = None) -> TradingDay:
        """The trading day of `now_ns` and its edges."""


@dataclass(frozen=True, slots=True)
class CarriedEntry:
    """One placement of an earlier run of this trading day, as its journal tells it (execution.carry)."""

    now_ns: int
    tag: str
    signal_id: str
    contract: str
    side: int
    size: int
    stop_ticks: int
    target_ticks: int
    risk_cents: int
    decision_price: int  # adverse side of the decision quote, ticks
    order_id: int | None = None
    outcome: Literal["accepted", "rejected", "not_sent", "ambiguous", "missing"] = "missing"
    reason: str = ""  # of the signal


@dataclass(frozen=True, slots=True)
class CarriedOrder:
    """A stop, target or exit that an earlier run of this trading day placed; its position may still be open."""

    now_ns: int
    kind: Literal["stop", "target", "exit"]
    tag: str
    contract: str
    side: int  # of the order
    size: int
    price: int | None = None  # ticks; None at market
    order_id: int | None = None
    outcome: Literal["accepted", "rejected", "not_sent", "ambiguous", "missing"] = "missing"


@dataclass(frozen=True, slots=True)
class CarriedBar:
    """A contract that takes no entries for the rest of a trading day."""

    contract: str
    code: str  # RC_ code of why
    text: str
    day: str  # ISO date


@dataclass(frozen=True, slots=True)
class Carried:
    """What must survive a restart and cannot be had from the broker: halts, day locks, a person's pause, placements."""

    reasons: tuple[tuple[str, str], ...] = ()  # (RC_ code, sentence)
    day: str = ""  # trading day of the locks and of `reducing`, ISO date
    reducing: tuple[str, str] | None = None  # (RC_ code, sentence) of a flatten of the whole account that did not end
    entries: tuple[CarriedEntry, ...] = ()  # oldest first
    closings: tuple[tuple[str, int], ...] = ()  # (trading day, last balance told in it), oldest first; risk.floor
    orders: tuple[CarriedOrder, ...] = ()  # oldest first
    barred: tuple[str, ...] = ()  # contracts that a person flattened and has not resumed
    bars: tuple[CarriedBar, ...] = ()  # those that the engine set itself
    tags: tuple[tuple[int, str], ...] = ()  # order ids of ours that were seen today, with tag; "": a close-contract's
    closing: tuple[str, ...] = ()  # contracts with a close-contract whose order was not seen
    trips: tuple[tuple[str, str], ...] = ()  # (trading day, what it was) of the round trips that have their note


@dataclass(frozen=True, slots=True)
class AccountSettings:
    """One account that the Desk trades. An account that is not listed is never touched."""

    account: int  # the gateway's numeric id
    name: str = ""  # pinned name; another one at the broker halts the account (F-ACC-04). "": not pinned
    carried: Carried = field(default_factory=Carried)
    limits: RiskLimits | None = None  # of this account alone; None: those of the Desk
    contracts: tuple[str, ...] = ()  # that this account trades; (): all of the Desk
    rules: FirmRules | None = None  # of the firm; None: an account that no firm watches (paper, tests)
    floor_cents: int | None = None  # the loss floor that the firm's dashboard shows, by the owner's word
    since: str = ""  # ISO date: first trading day of the account's present life (bought, reset); "": count all

    def trades(self, contract: str) -> bool:
        """Whether entries in a contract are meant for it at all."""
        return not self.contracts or contract in self.contracts

    def __post_init__(self) -> None:
        rules, floor = self.rules, self.floor_cents
        if self.since and not _is_day(self.since):
            raise ConfigError(f"since is {self.since!r}; it must be a date like 2026-11-25")
        if rules is not None and floor is not None:
            low, high = rules.start_cents - rules.max_loss_cents, rules.start_cents
            if type(floor) is not int or not low <= floor <= high:
                raise ConfigError(f"floor_cents is {floor!r}; the floor of this account lies from {low} to {high}")


# Queries of all accounts without a cause are at least this far apart, in machine time. Each is four requests, so they
# take 120 of the 160 that are not reserved in a minute.
QUERY_NS = 2 * NS_PER_S


@dataclass(frozen=True, slots=True)
class DeskSettings:
    """Everything the Desk knows beside its inputs. ConfigError when it makes no sense."""

    accounts: tuple[AccountSettings, ...]
    limits: RiskLimits
    products: Mapping[str, Product]  # by symbol: the contracts that T-BOT trades
    calendar: Calendar
    run_start_ms: int  # UTC ms; strictly greater than that of every earlier run (tags never repeat)
    on_exit: Literal["flatten", "hold"] = "flatten"
    # Market time runs this much faster than the machine. Patience with the broker (naked, time-outs, cadence of
    # queries) is meant in machine time, so it stretches by this factor; risk limits do not.
    speed: float = 1.0
    caps: tuple[Cap, ...] = ()  # largest positions for a stretch of time, of every account
    # The broker lives in this process and tells everything at once (lock-step): it is asked when an answer is wanted,
    # and not again and again to find what was missed.
    in_process: bool = False
    sharing: int = 1  # accounts that ask the broker out of one budget of requests; of_account sets it

    def __post_init__(self) -> None:
        numbers = [account.account for account in self.accounts]
        if not numbers or len(set(numbers)) != len(numbers):
            raise ConfigError("the Desk needs at least one account, and each only once")
        if self.run_start_ms <= 0:
            raise ConfigError(f"run_start_ms is {self.run_start_ms}; it must be a positive UTC time in milliseconds")
        if not 0 < self.speed <= 100_000:
            raise ConfigError(f"speed is {self.speed}; allowed: above 0 up to 100000")
        for account in self.accounts:
            if account.rules is not None:
                check_daily_limit(account.rules, (account.limits or self.limits).daily_loss_cents)

    def of_account(self, account: AccountSettings) -> "DeskSettings":
        """These settings as one account sees them: itself, its own limits and contracts.

        With what an earlier run entered: it may be open still, and must not be left alone by a change of configuration.
        """
        entered = {entry.contract for entry in account.carried.entries}
        products = {
            name: product for name, product in self.products.items() if account.trades(name) or name in entered
        }
        limits, sharing = account.limits or self.limits, len(self.accounts)
        return replace(self, accounts=(account,), limits=limits, products=products, sharing=sharing)

    def cadence_ns(self, *, busy: bool) -> int:
        """So long after an answer the broker is asked again without any cause (R5), in market time.

        C_RECON_OPEN and C_RECON_IDLE; longer where so many accounts share the budget (R9) that asking this often would
        leave nothing for what is asked with a cause: an answer that was not to be had proves nothing at all.
        """
        least_ns = self.limits.recon_open_ns if busy else self.limits.recon_idle_ns
        return self.patience(max(least_ns, self.sharing * QUERY_NS))

    def patience(self, real_ns: int) -> int:
        """Market-time length (ns) of a stretch of machine time; never shorter than the stretch itself."""
        return int(real_ns * self.speed) if self.speed > 1.0 else real_ns


def _is_day(text: str) -> bool:
    """Whether it is a date as `date.isoformat` writes it."""
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
