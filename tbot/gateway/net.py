"""Small facts that REST and hubs share: which addresses are allowed, Retry-After, and the boot clock."""

import ipaddress
import re
import time
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from tbot.errors import ConfigError

NS_PER_S = 1_000_000_000
MAX_RETRY_AFTER_S = 60.0
# An address with nothing in it but scheme, host and port.
_PLAIN = re.compile(
    r"(([a-z]{2,6}://)?([\d.]+|localhost)|[a-z]{2,6}://([A-Za-z0-9.-]*|\[[\dA-Fa-f:]+\]))(:\d{1,5})?/?"
)
_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # other systems have no clock that counts suspend


def boot_ns() -> int:
    """The boot clock of this machine, ns: the only clock for durations (it counts suspend time)."""
    return time.clock_gettime_ns(_BOOT_CLOCK)


def check_url(url: str, plain: str, secure: str) -> str:
    """The address without trailing slash; ConfigError unless it is `secure`, or `plain` to this machine itself."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:  # whose words would quote what stands in the place of a port: a password, it may be
        how = f"write it like {secure}://host:port"
        raise ConfigError(f"gateway address {_shown(url)}is not understood; {how}") from None
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigError(f"gateway address for host {host!r} must not carry user, query or fragment")
    if not host or parts.scheme not in (plain, secure):
        near = f"{plain}://127.0.0.1:8800"
        allowed = f"{secure}://, or {plain}:// to this machine, e.g. {near}"
        raise ConfigError(f"gateway address {_shown(url)}must begin with {allowed}")
    if parts.scheme == plain and not is_loopback(host):
        raise ConfigError(f"gateway address {plain}://{host} is not encrypted; that is allowed for 127.0.0.1 only")
    return url.rstrip("/")


def _shown(url: str) -> str:
    """The address for a sentence, with a blank behind it; "" where a login or a key may be in it."""
    return f"{url[:120]!r} " if _PLAIN.fullmatch(url) else ""


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def retry_after_s(value: str | None, wall_s: float) -> float | None:
    """Seconds of a Retry-After header, given as number or date, within 0..60; None when absent or unreadable."""
    if not value:
        return None
    try:
        seconds = float(value) if value.strip().isdigit() else parsedate_to_datetime(value).timestamp() - wall_s
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S)
