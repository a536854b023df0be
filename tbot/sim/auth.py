"""Users, tokens and rate budgets of the simulated gateway.

Tokens are ordinary JSON web tokens (HS256), because clients decode them and read `exp`. They are written by hand: what
is needed of the standard is two base64 parts and one HMAC, less than a dependency would cost to review.
"""

import base64
import hashlib
import hmac
import json
import secrets
from collections import deque
from dataclasses import dataclass

TOKEN_LIFE_S = 24 * 3600.0

_HEADER = {"alg": "HS256", "typ": "JWT"}


@dataclass(frozen=True, slots=True)
class User:
    """Who may log in."""

    name: str
    api_key: str


class Tokens:
    """Issues and checks tokens of one run of the simulator. Times are seconds since the epoch."""

    def __init__(self, life_s: float = TOKEN_LIFE_S) -> None:
        self.life_s = life_s
        self._key = secrets.token_bytes(32)
        self._revoked: set[str] = set()
        self._serial = 0
        self._dead_to = 0  # tokens up to this serial number are taken no more

    def issue(self, user_name: str, now_s: float) -> str:
        """A token for a user, valid from now on."""
        self._serial += 1
        claims = {
            "sub": user_name,
            "iss": "tbot-sim",
            "iat": int(now_s),
            "exp": int(now_s + self.life_s),
            "jti": f"{self._serial:x}-{secrets.token_hex(8)}",
        }
        signed = f"{_encode(json.dumps(_HEADER).encode())}.{_encode(json.dumps(claims).encode())}"
        return f"{signed}.{self._sign(signed)}"

    def user_of(self, token: str, now_s: float) -> str | None:
        """The user behind a token; None when it is forged, expired or revoked."""
        signed, _, signature = token.rpartition(".")
        if token in self._revoked or not hmac.compare_digest(signature.encode(), self._sign(signed).encode()):
            return None
        claims = json.loads(_decode(signed.partition(".")[2]))
        dead = now_s >= claims["exp"] or int(claims["jti"].partition("-")[0], 16) <= self._dead_to
        return None if dead else str(claims["sub"])

    def revoke(self, token: str) -> None:
        """Logout: this token is not taken any more, others of the user are."""
        self._revoked.add(token)

    def expire_all(self) -> None:
        """No token given out so far is taken any more."""
        self._dead_to = self._serial

    def _sign(self, text: str) -> str:
        return _encode(hmac.new(self._key, text.encode(), hashlib.sha256).digest())


class SlidingWindow:
    """At most `limit` calls in any `span_s` seconds. A refused call does not count."""

    def __init__(self, limit: int, span_s: float) -> None:
        self._limit = limit
        self._span_s = span_s
        self._taken: deque[float] = deque()

    def take(self, now_s: float) -> bool:
        """Whether a call at `now_s` (any steady clock) is within the budget; if so it is counted."""
        while self._taken and self._taken[0] <= now_s - self._span_s:
            self._taken.popleft()
        if len(self._taken) >= self._limit:
            return False
        self._taken.append(now_s)
        return True


@dataclass(frozen=True, slots=True)
class RateLimits:
    """Budgets per user (projectx-gateway 5)."""

    history: int = 50
    history_span_s: float = 30.0
    other: int = 200
    other_span_s: float = 60.0


class Budgets:
    """The two budgets of every user."""

    def __init__(self, limits: RateLimits) -> None:
        self._limits = limits
        self._windows: dict[tuple[str, bool], SlidingWindow] = {}

    def take(self, user_name: str, *, history: bool, now_s: float) -> bool:
        """Whether this call of the user is within its budget."""
        key = (user_name.lower(), history)
        window = self._windows.get(key)
        if window is None:
            limits = self._limits
            limit, span_s = (limits.history, limits.history_span_s) if history else (limits.other, limits.other_span_s)
            window = self._windows[key] = SlidingWindow(limit, span_s)
        return window.take(now_s)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
