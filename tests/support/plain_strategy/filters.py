"""What must be true of the market before a trigger may become a signal."""

from tbot.strategy.filters import MarketView
from tbot_ext.records import NO_PRICE, Flag

UNCLEAN = int(Flag.INCOMPLETE | Flag.SUSPECT)  # of a bar that may not tell what was traded


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
    return ""
