"""When a delivery month ends, as far as the exchange's rules say it by a formula (projectx-gateway.md section 9.3).

The gateway's list of active months decides what is traded. This is the backstop: the default of F-TIM-07 bars entries
from eight days before the last trading day of an equity index month, listed or not. Other products follow the list
alone, because their dates hang on holidays that no formula knows.
"""

from datetime import date, timedelta

from tbot.domain.contracts import BY_ROOT, MONTH_CODES, parse_broker_id

EQUITY_ROOTS = frozenset({"MNQ", "ENQ", "MES", "EP", "MYM", "YM", "M2K", "RTY"})
ENTRIES_END_DAYS = 8
_FRIDAY = 4


def last_trade_day(broker_id: str) -> date | None:
    """Last trading day of an equity index month (its third Friday); None for other products and unreadable ids."""
    try:
        root, code, year = parse_broker_id(broker_id)
    except ValueError:
        return None
    if root not in EQUITY_ROOTS or root not in BY_ROOT:
        return None
    first = date(year, MONTH_CODES.index(code) + 1, 1)
    return first + timedelta(days=(_FRIDAY - first.weekday()) % 7 + 14)


def entries_end(broker_id: str) -> date | None:
    """First trading day without entries (I29)."""
    last = last_trade_day(broker_id)
    return None if last is None else last - timedelta(days=ENTRIES_END_DAYS)
