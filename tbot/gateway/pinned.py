"""What stands between a pinned account and trading, by the gateway's own list (F-ACC-04; topstep-rules.md section 1).

Both functions give one sentence without an end, "" when nothing stands against it. `name` "": not pinned, any will do.
"""

from collections.abc import Iterable

from tbot.gateway.codec_models import BrokerAccount
from tbot.gateway.redact import plain

LONGEST_NAME = 60


def identity_trouble(listed: Iterable[BrokerAccount], account: int, name: str) -> str:
    """Why this is not the account that was pinned: missing, renamed, or one with real money in it."""
    found = next((entry for entry in listed if entry.account_id == account), None)
    if found is None:
        return f"account {account} is not listed by the gateway"
    if name and found.name != name:
        return f"account {account} is named {plain(found.name, LONGEST_NAME)!r}, configured is {name!r}"
    if not found.simulated:
        return f"account {account} is not a simulated account: T-BOT never trades one with real money in it"
    return ""


def trouble_of(listed: Iterable[BrokerAccount], account: int, name: str) -> str:
    """Why this account may not be traded: another one than pinned, or one that the firm does not let trade."""
    entries = list(listed)
    text = identity_trouble(entries, account, name)
    if text or any(entry.account_id == account and entry.can_trade for entry in entries):
        return text
    return f"account {account} cannot trade, says the gateway; look at it on the platform"
