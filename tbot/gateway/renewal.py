"""When a hub changes to a newer token: in the exchange's break, or half an hour before its own expires (ruling 14).

A hub checks its token when it connects, so a running connection needs no new one; a reconnection takes the newest by
itself. Pure: times are passed in.
"""

from datetime import UTC, datetime

from tbot.domain.trading_hours import CHICAGO, EXCHANGE_CLOSE, SESSION_OPEN
from tbot.gateway.tokens import NS_PER_S, Token

BEFORE_EXPIRY_NS = 30 * 60 * NS_PER_S


def change_due(used: Token | None, newest: Token | None, wall_ns: int) -> bool:
    """Whether a connection that was opened with `used` is to change to `newest` at wall time `wall_ns` (UTC ns)."""
    if used is None or newest is None or newest.revision <= used.revision:
        return False
    return in_break(wall_ns) or wall_ns >= used.expires_ns - BEFORE_EXPIRY_NS


def in_break(wall_ns: int) -> bool:
    """16:00 to 17:00 in Chicago: no market that we trade is open."""
    local = datetime.fromtimestamp(wall_ns // NS_PER_S, UTC).astimezone(CHICAGO).time()
    return EXCHANGE_CLOSE <= local < SESSION_OPEN
