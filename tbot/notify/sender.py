"""The services that messages go to, by apprise, and a thread that waits for them so that nobody else has to.

The thread is a daemon of the launcher with nothing but an outbox between the two: adding a note takes a lock for a
moment, and whatever a service does (refuse, hang, raise) is counted here. No text of a service or of apprise is ever
shown: it could hold an address.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from tbot.errors import ConfigError, missing_extra
from tbot.gateway.net import boot_ns
from tbot.notify.mail import NS_PER_S, Letter, Note, Outbox

LOOK_S = 1.0
RETRY_S = (30, 120, 600)  # of a letter that no service took
LAST_S = 5.0  # for the last letter, when the run is over


class Service(Protocol):
    """One address. `name`: what kind of service it is, safe to show."""

    name: str

    def send(self, letter: Letter) -> bool: ...


class AppriseService:
    """One address as apprise understands it."""

    def __init__(self, made: Any) -> None:
        self._made = made
        names = made.protocol or made.secure_protocol
        self.name = names if isinstance(names, str) else str(next(iter(names)))

    def send(self, letter: Letter) -> bool:
        """Whether the service took it."""
        from apprise import AppriseAttachment

        kind = "warning" if letter.urgent else "info"
        attach = AppriseAttachment(list(letter.files)) if letter.files else None
        return bool(self._made.notify(body=letter.body, title=letter.title, notify_type=kind, attach=attach))


def services(urls: Sequence[str]) -> tuple[list[Service], int]:
    """(what apprise makes of these addresses, how many it does not understand). ConfigError without apprise."""
    try:
        from apprise import Apprise
    except ImportError:
        raise missing_extra("sending messages", "apprise", "notify") from None
    logging.getLogger("apprise").disabled = True  # it tells of addresses, and so does urllib3 at the level of debug
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    found: list[Service] = []
    for url in urls:
        try:
            made = Apprise.instantiate(url, suppress_exceptions=True)
        except Exception:  # of a plug-in; its text may hold the address
            made = None
        if made is not None:
            found.append(AppriseService(made))
    return found, len(urls) - len(found)


class Sender:
    """`add` from anywhere; everything else happens in a thread of its own. `make`: services, made in that thread."""

    def __init__(
        self,
        outbox: Outbox,
        make: Callable[[], tuple[list[Service], int]],
        *,
        clock: Callable[[], int] = boot_ns,
        look_s: float = LOOK_S,
    ) -> None:
        self._outbox = outbox
        self._make = make
        self._clock = clock
        self._look_s = look_s
        self._lock = threading.Condition()
        self._stopping = False
        self._services: list[Service] | None = None
        self._unknown = 0
        self._trouble = ""  # why there are no services
        self._sent: Counter[int] = Counter()  # by place among the services
        self._failed: Counter[int] = Counter()
        self._failing: set[int] = set()  # whose newest letter did not go out
        self._busy_ns = 0  # since when a service is being waited for
        self._held: Letter | None = None  # that nobody took
        self._tries, self._again_ns = 0, 0
        self._lost = 0  # letters
        self._thread = threading.Thread(target=self._run, name="notify", daemon=True)

    def start(self) -> None:
        """Begin. OSError or RuntimeError when there can be no further thread."""
        self._thread.start()

    def add(self, notes: Sequence[Note]) -> None:
        """Things happened."""
        if notes:
            with self._lock:
                for note in notes:
                    self._outbox.add(note, self._clock())

    def close(self, wait_s: float = LAST_S) -> None:
        """Send what waits; give up after a while."""
        with self._lock:
            self._stopping = True
            self._lock.notify_all()
        if self._thread.is_alive():
            self._thread.join(wait_s)

    # --------------------------------------------------------------------------------------------------- the thread
    def _run(self) -> None:
        try:
            self._services, self._unknown = self._make()
        except Exception as error:  # told in the status: messages are no reason to end a run
            self._trouble = str(error) if isinstance(error, ConfigError) else type(error).__name__
            return
        while True:
            with self._lock:
                if not self._stopping:
                    self._lock.wait(self._look_s)
                last = self._stopping
                letter = self._next(last)
            if letter is not None:
                self._send(letter, last)
            elif last:
                return

    def _next(self, last: bool) -> Letter | None:
        """The letter to send now: first the one that nobody took."""
        if self._held is not None:
            if not last and self._clock() < self._again_ns:
                return None
            letter, self._held = self._held, None
            return letter
        self._tries = 0
        return self._outbox.due(self._clock(), last=last)

    def _send(self, letter: Letter, last: bool) -> None:
        taken = False
        for place, service in enumerate(self._services or []):
            self._busy_ns = self._clock()
            try:
                good = service.send(letter)
            except Exception:  # a plug-in's; its text may hold the address
                good = False
            self._busy_ns = 0
            taken |= good
            (self._sent if good else self._failed)[place] += 1
            (self._failing.discard if good else self._failing.add)(place)
        if taken:
            self._tries = 0
        elif last or self._tries >= len(RETRY_S):
            self._lost += 1
            self._tries = 0
        else:
            self._again_ns = self._clock() + RETRY_S[self._tries] * NS_PER_S
            self._tries += 1
            self._held = letter

    # ------------------------------------------------------------------------------------------------------- status
    def status(self) -> dict[str, Any]:
        """For the status document; kinds of services only, never an address."""
        rows = [
            {
                "service": service.name,
                "sent": self._sent[place],
                "failed": self._failed[place],
                "failing": place in self._failing,
            }
            for place, service in enumerate(self._services or [])
        ]
        busy_ns = self._busy_ns
        return {
            "services": rows,
            "not_understood": self._unknown,
            "trouble": self._trouble,
            "waiting": self._outbox.waiting + (self._held is not None),
            "left_out": self._outbox.left_out,
            "lost": self._lost,
            "waits_for_service_s": 0 if not busy_ns else (self._clock() - busy_ns) // NS_PER_S,
        }
