"""What a backtest gives back: round trips as one table, and the counts and hashes that make it repeatable."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import numpy.typing as npt

from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import Denial, Intent, RoundTrip, Signal
from tbot_ext.outcome_book import OUTCOME_DTYPE

OUT_OF_ROOM = "RC_MAX_LOSS"  # reason of a denial: equity is too near the firm's loss floor for another trade
NONE_TICKS = -1  # of mae_ticks and mfe_ticks: not watched

# One row per round trip and account, in the order in which they ended.
TRIP_DTYPE = np.dtype([
    ("account", "i8"),
    ("contract_id", "u2"),
    ("contract", "U8"),
    ("side", "i1"),
    ("size", "i4"),  # contracts, largest position
    ("signal_id", "U48"),
    ("decided_ns", "i8"),  # close of the deciding bar; 0: not from a signal
    ("opened_ns", "i8"),
    ("closed_ns", "i8"),
    ("day", "i4"),  # trading day of the end: days since 1970-01-01
    ("entry_price_size", "i8"),  # ticks times contracts
    ("exit_price_size", "i8"),
    ("gross_cents", "i8"),
    ("fees_cents", "i8"),
    ("commission_cents", "i8"),
    ("net_cents", "i8"),
    ("risk_cents", "i8"),  # worst case that risk approved; 0: not known
    ("stop_ticks", "i4"),  # approved distances; 0: not known
    ("target_ticks", "i4"),
    ("slippage_ticks", "i4"),  # entry against the decision quote's adverse side, over all contracts; + is worse
    ("mae_ticks", "i4"),
    ("mfe_ticks", "i4"),
    ("score", "f8"),  # of the signal, 0..100
    ("zone_kind", "U12"),  # of the signal's story: ob, fvg, ...; "" without one
    ("zone_timeframe_min", "i4"),
    ("test", "i4"),  # which test of the zone
    ("exit_reason", "U8"),  # stop, target, close, other
    ("exit_code", "U24"),  # RC_ code of what closed it
])  # fmt: skip

# Balance of one account after something changed it.
EQUITY_DTYPE = np.dtype([("account", "i8"), ("at_ns", "i8"), ("balance_cents", "i8")])

Table = npt.NDArray[np.void]


@dataclass(frozen=True)
class BacktestResult:
    """One run over data. Times UTC ns, money cents. `signals` holds all of them, taken or not, in order."""

    contracts: tuple[str, ...]
    accounts: tuple[int, ...]
    first_ns: int
    last_ns: int
    records: int  # that went through the deciders
    bars: Mapping[str, int]  # 1m bars of each contract
    trips: Table  # TRIP_DTYPE
    equity: Table  # EQUITY_DTYPE, by account in order of time, the opening balance first
    signals: tuple[Signal, ...]
    intents: tuple[Intent, ...]
    denials: tuple[Denial, ...]
    states: Mapping[int, str]  # account -> engine state at the end
    open_at_end: tuple[str, ...]  # what was not flat when the data ended, one sentence each
    plan_hash: str
    data_hash: str
    calendar: str  # exact or template
    synthetic: tuple[str, ...]  # contracts whose ticks were made from bars
    notes: tuple[str, ...] = ()  # what a reader must know: assumptions, holes, rolls
    days: tuple[date, ...] = ()  # trading days that had data
    # Trades whose result the data cannot tell, because some of it is missing while they were open; one sentence each.
    through_holes: tuple[str, ...] = ()
    # What became of triggered setups, traded or not, where learned weights decide (tbot_ext.outcome_book).
    outcomes: Table = field(default_factory=lambda: np.zeros(0, OUTCOME_DTYPE))


def barred(denials: Iterable[Denial], intents: Iterable[Intent], account: int) -> Denial | None:
    """The first signal after its last trade that an account could not take for want of room above the loss floor.

    None: it took part to the end. Room only comes back by profit, and profit only by trades, so from here on the
    account is out: what follows are days without a trade that say nothing of the strategy. Refusals of a day on which
    open positions came near the floor are not the end when an entry follows.
    """
    last_ns = max((intent.now_ns for intent in intents if intent.account == account), default=0)
    out = (one for one in denials if one.account == account and one.reason == OUT_OF_ROOM and one.now_ns > last_ns)
    return next(out, None)


def trips_table(
    trips: Iterable[RoundTrip], signals: Iterable[Signal], intents: Iterable[Intent], day_of: Mapping[int, int]
) -> Table:
    """Round trips joined with their signal and intent; `day_of` maps the time of an end to its trading day."""
    by_signal = {signal.signal_id: signal for signal in signals}
    by_intent = {(intent.account, intent.signal_id): intent for intent in intents}
    rows = [_row(trip, by_signal.get(trip.signal_id), by_intent.get((trip.account, trip.signal_id)), day_of)
            for trip in trips]  # fmt: skip
    return np.array(rows, TRIP_DTYPE)


def _row(
    trip: RoundTrip, signal: Signal | None, intent: Intent | None, day_of: Mapping[int, int]
) -> tuple[object, ...]:
    story = signal.why if signal else None
    return (
        trip.account,
        PRODUCTS[trip.contract].contract_id,
        trip.contract,
        trip.side,
        trip.size,
        trip.signal_id,
        signal.decided_ns if signal else 0,
        trip.opened_ns,
        trip.now_ns,
        day_of[trip.now_ns],
        trip.entry_price_size,
        trip.exit_price_size,
        trip.gross_cents,
        trip.fees_cents,
        trip.commission_cents,
        trip.net_cents,
        intent.risk_cents if intent else 0,
        intent.stop_ticks if intent else 0,
        intent.target_ticks if intent else 0,
        trip.slippage_ticks,
        NONE_TICKS if trip.mae_ticks is None else trip.mae_ticks,
        NONE_TICKS if trip.mfe_ticks is None else trip.mfe_ticks,
        signal.score if signal else 0.0,
        story.zone.kind if story else "",
        signal.zone_timeframe_min if signal else 0,
        story.test if story else 0,
        trip.exit_reason,
        trip.exit_code,
    )
