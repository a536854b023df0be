"""THE message schema: everything that the deciders take in and give out, and that crosses a process as a message.

All are frozen values. Prices are integer ticks, money integer cents, times UTC nanoseconds of market time; a name that
ends in `_boot_ns` is a boot-clock reading of this machine. `contract` is the product symbol (MNQ), `account` the
gateway's numeric account id. Encoded only in `transport/wire.py`.
"""

from dataclasses import dataclass, field
from typing import Literal

from tbot.domain.context import MarketContext

Side = Literal[1, -1]

# Order states and types keep the gateway's meaning but not its numbers (those stay in gateway/codec.py).
OrderStatus = Literal[
    "pending", "suspended", "open", "pending_cancel", "filled", "cancelled", "expired", "rejected", "unknown"
]
OrderType = Literal["market", "limit", "stop", "trailing_stop", "other"]
Outcome = Literal["accepted", "rejected", "not_sent", "ambiguous"]
# gone: what the command names does not exist (any more). account: the broker does not take such a command from this
# kind of account. Everything else about a refusal is free text, and nobody may decide by it.
RefusalCause = Literal["", "gone", "account"]


@dataclass(frozen=True, slots=True)
class Quote:
    """Best bid and ask of one contract as the reader of its ring saw them."""

    bid: int  # ticks
    ask: int  # ticks
    exch_ns: int
    seq: int  # sequence number of the ring record it came from
    age_ns: int = 0  # market-data age in boot time when it was handed over
    epoch: int = 0  # of the ring; changes at every gap


@dataclass(frozen=True, slots=True)
class Evidence:
    """One pattern that a signal rests on, as it stood at the decision. Prices in ticks."""

    event_id: int  # its newest event
    kind: str  # ob, fvg, ifvg, breaker, mitigation; pool, level; choch, mss, sweep
    side: int  # of a pool: +1 above highs; of a level: +1 support
    timeframe_min: int
    bottom: int
    top: int
    level: int  # of a zone: the edge that price reaches first
    known_ns: int
    source: int = 0  # EventSource: what a pool or level is made of
    n: int = 0  # members of a pool (of the one that was swept; 0 unknown), members and touches of a level
    score: float = 0.0  # 0..100 of a zone, 0..1 of a sweep or level, members and more of a pool
    parts: dict[str, float] = field(default_factory=dict)  # of the zone and sweeps: components of the score by name


@dataclass(frozen=True, slots=True)
class Why:
    """What a signal rests on: enough to tell its story without the market it came from. Prices in ticks."""

    zone: Evidence
    test: int  # which test of the zone
    entered_ns: int  # close of the bar that entered it
    triggers: tuple[Evidence, ...]
    trends: dict[str, int]  # timeframe -> +1, -1, 0 (none yet)
    bias: tuple[Evidence, ...]  # of each timeframe the zone that contains price, else the nearest; not in the score
    near_ticks: int  # how near is near
    neighbours: tuple[Evidence, ...]  # what counted as confluence
    leg_low: int | None  # last 1h swings
    leg_high: int | None
    entry: int  # adverse side of the decision quote
    target: Evidence | None  # None: a multiple of the risk
    gain_cents: int  # of one contract at the target
    cost_cents: int  # of one contract, entry and exit
    cost_multiple: int  # so many times the cost was the least gain


@dataclass(frozen=True, slots=True)
class Learned:
    """What past outcomes of its pattern did to the score of a signal, where learned weights decide."""

    base: float  # score before the weight, 0..100
    weight: float
    version: str  # names the weights of the day
    outcomes: int  # known of this contract, kind and timeframe before the trading day
    edge_r: float  # expectation that the weight rests on, in units of the risk


@dataclass(frozen=True, slots=True)
class Signal:
    """A strategy's opinion: what it would trade and why. Says nothing about size or permission."""

    signal_id: str  # unique per contract and decision, the same in every mode
    contract: str
    side: int
    quote: Quote  # the decision quote, taken where the deciding bar closed
    stop: int  # absolute price, ticks
    target: int  # absolute price, ticks
    score: float  # 0..100
    reason: str
    zone_id: int
    zone_timeframe_min: int
    parts: dict[str, float]  # the components of the score by name
    event_ids: tuple[int, ...]  # every pipeline event that contributed
    params_hash: str
    decided_ns: int  # market time of the decision (close of the deciding bar)
    ring_seq: int  # last ring record the decision saw
    why: Why | None = None  # of the strategy's own signals; what makes a signal by script has no story
    context: MarketContext | None = None  # news and the dollar index at the decision; None: nobody follows them
    learned: Learned | None = None  # None: learned weights decide nothing, or nothing has been learned


@dataclass(frozen=True, slots=True)
class SignalStamps:
    """Where time went on the way of one signal; boot-clock readings, 0 when a hop was not passed."""

    frame_recv_boot_ns: int = 0
    ring_written_boot_ns: int = 0
    worker_woke_boot_ns: int = 0
    sent_boot_ns: int = 0
    received_boot_ns: int = 0


# ---------------------------------------------------------------------------------------------- inputs of the Desk
@dataclass(frozen=True, slots=True)
class SignalIn:
    """A signal as it reached the Desk, with the executor's own newest quote of that contract."""

    now_ns: int
    signal: Signal
    quote: Quote | None  # None: the executor has no quote
    age_ns: int  # boot time since the worker sent it
    stamps: SignalStamps = field(default_factory=SignalStamps)


@dataclass(frozen=True, slots=True)
class TimerIn:
    """Market time passed; `quotes` holds the newest quote of every contract that has one."""

    now_ns: int
    quotes: dict[str, Quote]
    # Lowest and highest trade price (ticks) of a contract since the timer before; only while something is open.
    ranges: dict[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConditionIn:
    """Something of the machine or the line holds that pauses every account; the shell saw it, the Desk decides."""

    now_ns: int
    code: str  # RC_CLOCK, RC_RESUMED, RC_DISK, RC_JOURNAL, RC_PEER_DEAD, ...: Severity.PAUSE in engine_state
    text: str  # one plain sentence; "": it is over


@dataclass(frozen=True, slots=True)
class FeedIn:
    """The state of one contract's market data changed, as the executor saw it."""

    now_ns: int
    contract: str
    state: Literal["ok", "stale", "gap", "closed"]
    reason: str = ""
    code: str = ""  # RC_ code of a reason that lies outside the data (a roll, a lost login); "": the state says it


@dataclass(frozen=True, slots=True)
class OperatorIn:
    """What a person (or the supervisor on their behalf) asked for."""

    now_ns: int
    verb: Literal["pause", "resume", "flatten", "kill", "stop"]
    account: int | None = None  # None: all
    contract: str | None = None  # of flatten: this contract only


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What is known about a command that was given to a broker."""

    now_ns: int
    account: int
    command_id: str
    outcome: Outcome
    order_id: int | None = None
    text: str = ""
    sent_boot_ns: int = 0  # boot clock when the request left and when its answer was there; 0: not known
    answered_boot_ns: int = 0
    situation: str = ""  # column of the REST outcome table (gateway.outcomes.Situation); "": the outcome says it all
    cause: RefusalCause = ""  # of a refusal, by its code


@dataclass(frozen=True, slots=True)
class OrderUpdate:
    """The state of one order at the broker."""

    now_ns: int
    account: int
    order_id: int
    contract: str
    status: OrderStatus
    order_type: OrderType
    side: int
    size: int
    filled: int
    limit: int | None = None  # ticks
    stop: int | None = None  # ticks
    tag: str = ""
    parent_id: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution."""

    now_ns: int
    account: int
    fill_id: int
    order_id: int
    contract: str
    side: int
    size: int
    price: int  # ticks
    fees_cents: int
    commission_cents: int
    pnl_cents: int | None = None  # gross, as the broker says; None when it opens or adds
    voided: bool = False


@dataclass(frozen=True, slots=True)
class PositionUpdate:
    """Net contracts held, by the broker's word."""

    now_ns: int
    account: int
    contract: str
    size: int  # signed: + long
    price_size_sum: int  # sum of entry price (ticks) times size: the exact average's numerator


@dataclass(frozen=True, slots=True)
class AccountUpdate:
    """Balance and permission of one account, by the broker's word."""

    now_ns: int
    account: int
    name: str
    balance_cents: int
    can_trade: bool
    simulated: bool


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One answer to a Query: the broker's explicit lists. `complete` is False when any of them was not proven."""

    now_ns: int
    account: int
    command_id: str
    complete: bool
    status: AccountUpdate | None
    orders: tuple[OrderUpdate, ...]  # every order that is not in a final state, suspended legs included
    positions: tuple[PositionUpdate, ...]
    fills: tuple[Fill, ...]  # of the trading day, oldest first
    text: str = ""
    situation: str = ""  # worst column of the REST outcome table among its reads, as in CommandResult


BrokerEvent = CommandResult | OrderUpdate | Fill | PositionUpdate | AccountUpdate | Snapshot
DeskInput = SignalIn | TimerIn | ConditionIn | FeedIn | OperatorIn | BrokerEvent


# --------------------------------------------------------------------------------------------- outputs of the Desk
@dataclass(frozen=True, slots=True)
class PlaceBracket:
    """Market entry with a stop and a target attached by the broker; offsets are signed ticks from the fill."""

    command_id: str
    account: int
    contract: str
    side: int
    size: int
    stop_offset: int  # long: negative
    target_offset: int  # long: positive
    tag: str
    signal_id: str


@dataclass(frozen=True, slots=True)
class PlaceStop:
    """A missing protective stop of an open position."""

    command_id: str
    account: int
    contract: str
    side: int  # of the order: opposite to the position
    size: int
    stop: int  # absolute, ticks
    tag: str


@dataclass(frozen=True, slots=True)
class PlaceTarget:
    """A missing take-profit of an open position whose stop works."""

    command_id: str
    account: int
    contract: str
    side: int  # of the order: opposite to the position
    size: int
    limit: int  # absolute, ticks
    tag: str


@dataclass(frozen=True, slots=True)
class PlaceExit:
    """Opposite market order of a size just read: only where the broker refuses to close the contract (rule R4)."""

    command_id: str
    account: int
    contract: str
    side: int  # of the order: opposite to the position
    size: int
    tag: str


@dataclass(frozen=True, slots=True)
class ModifyStop:
    """Move a stop, or give it another size.

    `stop` is absolute, in ticks; `size` that of the whole order, filled contracts included. None: as it is.
    """

    command_id: str
    account: int
    contract: str
    order_id: int
    stop: int
    size: int | None = None


@dataclass(frozen=True, slots=True)
class CancelOrder:
    command_id: str
    account: int
    contract: str
    order_id: int


@dataclass(frozen=True, slots=True)
class CloseContract:
    """Close the whole position of one contract at market; the broker computes the size."""

    command_id: str
    account: int
    contract: str
    reason: str


@dataclass(frozen=True, slots=True)
class Query:
    """Ask the broker for a Snapshot; fills since `since_ns`.

    `urgent`: whether something is open without protection hangs on the answer, so it may cost a part of the reserve.
    """

    command_id: str
    account: int
    since_ns: int
    urgent: bool = False


Command = PlaceBracket | PlaceStop | PlaceTarget | PlaceExit | ModifyStop | CancelOrder | CloseContract | Query


@dataclass(frozen=True, slots=True)
class Intent:
    """A signal that risk approved and sized for one account, with what the approval rested on."""

    now_ns: int
    account: int
    signal_id: str
    contract: str
    side: int
    size: int
    quote: Quote
    stop_ticks: int  # distance
    target_ticks: int  # distance
    risk_cents: int  # worst case of this order: stop distance, slippage, fees
    tag: str


@dataclass(frozen=True, slots=True)
class Denial:
    """A signal that was not taken, with the reason code and one plain sentence."""

    now_ns: int
    account: int
    signal_id: str
    contract: str
    reason: str  # RC_… or a check's own code
    text: str


@dataclass(frozen=True, slots=True)
class StateChange:
    """An account's engine state changed; `reasons` are the RC_ codes that hold now."""

    now_ns: int
    account: int
    state: str
    reasons: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Barred:
    """A contract takes no entries for the rest of the trading day; `code` is the RC_ code of why."""

    now_ns: int
    account: int
    contract: str
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """Entry to flat in one contract, however many fills: the unit of reports."""

    now_ns: int  # of the last exit fill
    account: int
    contract: str
    side: int
    size: int  # largest absolute position
    opened_ns: int
    entry_price_size: int  # sum of entry price (ticks) times size
    exit_price_size: int
    gross_cents: int
    fees_cents: int
    commission_cents: int
    exit_reason: Literal["stop", "target", "close", "other"]
    signal_id: str
    slippage_ticks: int  # entry against the decision quote's adverse side, summed over contracts; + is worse
    entry_reason: str = ""  # of the signal
    mae_ticks: int | None = None  # furthest that trades went against the average entry, >= 0; None: not watched
    mfe_ticks: int | None = None  # furthest in its favour
    stamps: SignalStamps = field(default_factory=SignalStamps)
    request_boot_ns: int = 0  # boot clock when the entry's request left and when its answer was there; 0: not known
    answered_boot_ns: int = 0
    exit_code: str = ""  # of a close: the RC_ code of what closed it

    @property
    def net_cents(self) -> int:
        return self.gross_cents - self.fees_cents - self.commission_cents


Note = Intent | Denial | StateChange | Barred | RoundTrip
DeskOutput = Command | Note
