"""What must be true of the market before a trigger may become a signal.

Hours are not asked here: they bind every strategy alike and belong to the Desk. Outside facts (news, the dollar index)
reach a worker as CONTEXT records of its ring; what the index means for a trade stands in `dollar`.
"""

from dataclasses import dataclass

from tbot.domain.context import NO_CONTEXT, MarketContext
from tbot_ext.records import NO_PRICE, Flag

UNCLEAN = int(Flag.INCOMPLETE | Flag.SUSPECT)  # of a bar that may not tell what was traded


@dataclass(frozen=True, slots=True)
class MarketView:
    """The contract's stream at the record where the pipeline stopped."""

    now_ns: int  # market time
    bid: int  # ticks; NO_PRICE when unknown
    ask: int
    quote_ns: int  # exchange time of that quote
    quote_seq: int  # its record in the ring
    epoch: int
    ring_seq: int  # last record consumed
    live: bool  # history is stitched and no gap is open
    context: MarketContext = NO_CONTEXT  # outside facts that its stream told


def refusal(view: MarketView, decided_ns: int, period_ns: int, bar_flags: int) -> str:
    """Why a decision at the bar that closed at `decided_ns` must not be taken (a counter's name), or "".

    `period_ns` is the length of a bar of the entry timeframe: a decision counts until the next bar would have closed.
    Later it rests on a bar that is not the newest (bars held back during a gap come out in one go).
    """
    if not view.live:
        return "not_live"
    if bar_flags & UNCLEAN:
        return "unclean_bar"
    if view.now_ns >= decided_ns + period_ns:
        return "too_late"
    if view.bid == NO_PRICE or view.ask == NO_PRICE or view.bid > view.ask:
        return "no_quote"
    if view.context.news is not None and view.context.news.action == "block":
        return "news"
    return ""
