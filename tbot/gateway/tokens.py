"""The session token: one login at a time, revisions that never go back, renewal before it expires.

Rules: design ruling 14 (look every 15 min, validate at 80 % of its life, log in on refusal), table of REST outcomes (a
refused login is final, an ambiguous one waits 5 s, an ambiguous validate loses the token).
"""

import base64
import binascii
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from tbot.gateway import codec_tables as tables
from tbot.gateway import outcomes
from tbot.gateway.codec_rest import Answer
from tbot.gateway.outcomes import Then
from tbot.gateway.throttle import Budget, SlidingWindow

NS_PER_S = 1_000_000_000
ASSUMED_LIFE_NS = 3600 * NS_PER_S  # of a token whose expiry can't be read
RETRY_NS = 5 * NS_PER_S
RENEW_AT = 0.8
LOCK_S = 20.0  # every wait is bounded: longer than two requests
# A gateway that grants tokens and refuses them at once would otherwise be asked for a new one by every query.
LOGIN_BUDGET = Budget(limit=5, window_ns=60 * NS_PER_S)


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token. `revision` grows with every new one; wall-clock UTC ns of receipt and expiry."""

    revision: int
    text: str = field(repr=False)
    received_ns: int = 0
    expires_ns: int = 0


class _Claims(msgspec.Struct):
    exp: int | float | None = None


def expiry_ns(token: str) -> int | None:
    """The `exp` claim of a JSON web token in UTC ns; None when there is none that can be read."""
    try:
        middle = token.split(".")[1]
        claims = msgspec.json.decode(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)), type=_Claims)
    except (IndexError, binascii.Error, ValueError, RecursionError):  # msgspec's errors are ValueErrors
        return None
    return None if claims.exp is None or not 0 < claims.exp < 2**33 else int(claims.exp) * NS_PER_S


class TokenManager:
    """Holds the newest token. Thread-safe; `login` and `validate` are REST calls with a deadline of their own."""

    def __init__(
        self,
        login: Callable[[], Answer[str]],
        validate: Callable[[Token], Answer[str]],
        *,
        wall_ns: Callable[[], int],
        boot_ns: Callable[[], int],
    ) -> None:
        self._login = login
        self._validate = validate
        self._wall_ns = wall_ns
        self._boot_ns = boot_ns
        self._flight = threading.Lock()  # single flight: who comes second uses what the first one got
        self._news = threading.Lock()  # of the revisions; never held while anything waits
        self._granted = SlidingWindow(LOGIN_BUDGET)
        self._token: Token | None = None
        self._lost_revision = 0  # tokens up to here were refused by the gateway
        self._revision = 0
        self._next_try_ns = 0
        self.refused = ""  # why the gateway refused the login; then nobody tries again by itself
        self.trouble = ""  # why the last attempt to log in gave no token; "" after one that did
        self.logins = 0

    def __repr__(self) -> str:
        return f"TokenManager(revision={self._revision}, refused={self.refused!r})"

    def current(self) -> Token | None:
        """The newest token that is not known to be lost."""
        token = self._token
        return token if token is not None and token.revision > self._lost_revision else None

    def get(self) -> Token | None:
        """The current token, logging in if there is none. None: refused, or too soon after a failed attempt."""
        return self.current() or self._log_in(self._revision)

    def for_protection(self) -> Token | None:
        """As `get`; once the login was refused, the newest token that there was, lost or not (F-API-02).

        Why a lost one: nothing else is left, the gateway may take it again (one 401 is enough to lose it), and a call
        that gets out of a position does no harm by being refused.
        """
        return self.get() or (self._token if self.refused else None)

    def renew(self, stale: Token) -> Token | None:
        """A token newer than `stale`, which the gateway did not accept."""
        self.invalidate(stale)
        return self.get()

    def invalidate(self, stale: Token) -> None:
        """The gateway did not accept this token; a newer one is not touched."""
        with self._news:
            self._lost_revision = max(self._lost_revision, stale.revision)

    def adopt(self, text: str, revision: int) -> Token:
        """Take over a token that another process got (the feed has no credentials); an older revision is ignored.

        Returns the newest token. ValueError for a revision below 1.
        """
        if revision < 1:
            raise ValueError(f"token revision {revision} is below 1")
        with self._flight:
            if revision > self._revision:
                self._install(text, revision)
            assert self._token is not None
            return self._token

    def renewal_due(self) -> bool:
        """Whether 80 % of the token's life is over (by the wall clock)."""
        token = self.current()
        if token is None:
            return not self.refused
        life = token.expires_ns - token.received_ns
        return self._wall_ns() - token.received_ns >= life * RENEW_AT

    def renew_in_time(self) -> Token | None:
        """Validate, and log in anew where the table says so (a rotated token may have been issued).

        The old token serves until a newer one is there: with it protective calls may still get through (F-API-02).
        """
        token = self.current()
        if token is None:
            return self.get()
        if not self._flight.acquire(timeout=LOCK_S):
            return self.current()
        try:
            if self.current() is not token:
                return self.current()
            answer = self._validate(token)
            if answer.ok and answer.value:
                return self._install(answer.value, self._revision + 1)
            if not answer.ok and not outcomes.rule(tables.VALIDATE, answer.situation).token_lost:
                return token  # nothing changed: keep it
        finally:
            self._flight.release()
        return self._log_in(token.revision) or token

    def reset(self) -> None:
        """A person has dealt with the refusal: logins may be tried again."""
        self.refused = ""
        self._next_try_ns = 0

    def _log_in(self, have: int) -> Token | None:
        if not self._flight.acquire(timeout=LOCK_S):
            return self.current()
        try:
            current = self.current()
            if current is not None and current.revision > have:
                return current
            now_ns = self._boot_ns()
            if self.refused or now_ns < self._next_try_ns or not self._granted.free(now_ns):
                return None
            self.logins += 1
            answer = self._login()
            if answer.ok and answer.value:
                self.trouble = ""
                self._granted.take(now_ns)
                return self._install(answer.value, self._revision + 1)
            self.trouble = answer.text or f"login {answer.outcome}"
            if not answer.ok and outcomes.rule(tables.LOGIN_KEY, answer.situation).then is Then.HALT:
                self.refused = answer.text or "login refused"
            self._next_try_ns = self._boot_ns() + max(RETRY_NS, int((answer.retry_after_s or 0) * NS_PER_S))
            return None
        finally:
            self._flight.release()

    def _install(self, text: str, revision: int) -> Token:
        now = self._wall_ns()
        expires = expiry_ns(text)
        if expires is None or expires <= now:  # unreadable, or our clock is wrong: look again soon
            expires = now + ASSUMED_LIFE_NS
        self._revision = revision
        self._token = Token(revision, text, now, expires)
        return self._token
