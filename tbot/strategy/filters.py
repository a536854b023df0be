"""The market as a strategy sees it when it decides.

Hours are not in it: they bind every strategy alike and belong to the Desk. Outside facts (news, the dollar index) will
reach a worker as context records of its ring and become further fields of the view.
"""

from dataclasses import dataclass


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
