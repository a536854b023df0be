"""Who may look and who may act: one-time links, sessions, and the words that make a command count once.

Three secrets. The *link* is printed once and works once. It gives the browser a *pass* (a cookie that no script can
read, enough to look) and, where the link allows it, a *hand* (kept in the page's own storage, sent as a header, enough
to act). Why two: cookies do not know ports, so any other program that serves a page on this machine may be sent the
pass; the hand it never sees.

Sessions outlive a restart of `tbot web`, so that an open page goes on. On disk lie digests only, in a 0600 file.
"""

import hashlib
import hmac
import json
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tbot.storage.private_file import replace_private

Role = Literal["act", "look"]

SECRET_BYTES = 32
LIFE_S = 16 * 3600  # of a session: a trading day on one screen
MOST_SESSIONS = 32  # the oldest ends when another begins
COMMAND_LIFE_S = 10  # a command that was on its way for longer is not done any more (rule R8)
CLOCK_SLACK_S = 2
KEPT_NONCES = 4096
_MAX_FILE = 64 * 1024


def digest(secret: str) -> str:
    """What is kept of a secret. A plain hash will do: the secrets have 256 random bits."""
    return hashlib.sha256(secret.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Session:
    """One browser that came in by a link."""

    hand: str  # digest of the secret that lets it act; "": it may only look
    until_s: float  # wall clock


@dataclass(frozen=True, slots=True)
class Admitted:
    """What a link gave: the secrets themselves, told once."""

    cookie: str
    hand: str
    role: Role


class Passes:
    """Links and sessions. `path` None: they end with the process."""

    def __init__(self, path: Path | None, now_s: Callable[[], float] = time.time) -> None:
        self._path, self._now_s = path, now_s
        self._links: dict[str, Role] = {}  # by digest
        self._sessions: OrderedDict[str, Session] = OrderedDict()  # by digest of the pass, oldest first
        self._load()

    def offer(self, role: Role) -> str:
        """A new link's secret."""
        secret = secrets.token_urlsafe(SECRET_BYTES)
        self._links[digest(secret)] = role
        return secret

    def redeem(self, secret: str) -> Admitted | None:
        """Let a browser in; None when the link was used, or never offered."""
        role = self._links.pop(digest(secret), None)
        if role is None:
            return None
        cookie = secrets.token_urlsafe(SECRET_BYTES)
        hand = secrets.token_urlsafe(SECRET_BYTES) if role == "act" else ""
        self._sessions[digest(cookie)] = Session(digest(hand) if hand else "", self._now_s() + LIFE_S)
        while len(self._sessions) > MOST_SESSIONS:
            self._sessions.popitem(last=False)
        self._save()
        return Admitted(cookie, hand, role)

    def may_look(self, cookie: str) -> bool:
        """Whether this is the pass of a session that has not ended."""
        return self._session(cookie) is not None

    def may_act(self, cookie: str, hand: str) -> bool:
        """Whether pass and hand belong together, and to a session that may act."""
        session = self._session(cookie)
        return session is not None and bool(session.hand) and hmac.compare_digest(session.hand, digest(hand))

    def acts(self, cookie: str) -> bool:
        """Whether the session of this pass is one that has a hand."""
        session = self._session(cookie)
        return session is not None and bool(session.hand)

    def _session(self, cookie: str) -> Session | None:
        session = self._sessions.get(digest(cookie)) if cookie else None
        return session if session is not None and session.until_s > self._now_s() else None

    def _load(self) -> None:
        """Forgiving: whatever is wrong with the file, the worst that follows is that a link must be opened again."""
        if self._path is None:
            return
        try:
            if self._path.is_symlink() or self._path.stat().st_mode & 0o077 or self._path.stat().st_size > _MAX_FILE:
                return
            rows = json.loads(self._path.read_bytes())["sessions"]
            found = [(str(key), Session(str(hand), float(until))) for key, hand, until in rows]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return
        now = self._now_s()
        kept = [(key, session) for key, session in found if now < session.until_s <= now + LIFE_S]
        self._sessions.update(kept[-MOST_SESSIONS:])

    def _save(self) -> None:
        if self._path is None:
            return
        rows = [[key, session.hand, session.until_s] for key, session in self._sessions.items()]
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_private(self._path, json.dumps({"sessions": rows}).encode(), sync=False)
        except OSError:
            return  # a full disk: the sessions end with this process


class Once:
    """Makes a command count once: each carries a number of its own and when it was sent.

    What an earlier process took is refused by age, or by the name of this process's life that the number begins with.
    """

    def __init__(self, now_s: Callable[[], float] = time.time) -> None:
        self.life = secrets.token_hex(8)
        self._now_s = now_s
        self._seen: OrderedDict[str, None] = OrderedDict()

    def refusal(self, nonce: str, sent_ms: float) -> str:
        """Why a command is not to be done; "" when it is, and never again."""
        life, _, number = nonce.partition(".")
        if life != self.life or not 16 <= len(number) <= 64:
            return "this page is older than the program behind it; load it again"
        age_s = self._now_s() - sent_ms / 1000
        if not -CLOCK_SLACK_S <= age_s <= COMMAND_LIFE_S:
            return f"this command is {age_s:.0f} s old, so it was not done; press again"
        if nonce in self._seen:
            return "this command was taken before; it was not done again"
        self._seen[nonce] = None
        if len(self._seen) > KEPT_NONCES:
            self._seen.popitem(last=False)
        return ""
