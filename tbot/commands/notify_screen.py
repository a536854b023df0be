"""Messages of a run: what its screen is told is told to the sender, too."""

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from tbot.commands.notify_addresses import find, take_environment
from tbot.commands.show import Screen
from tbot.domain.process_messages import EngineEvent
from tbot.engine.clocks import NS_PER_S, boot_ns
from tbot.engine.status import BADGES
from tbot.errors import AuthError
from tbot.home import home
from tbot.notify.mail import Outbox
from tbot.notify.sender import Sender, services
from tbot.notify.watch import RunWatch

if TYPE_CHECKING:
    from tbot.engine.supervisor import Supervisor
    from tbot.notify.settings import NotifySettings

LOOK_NS = NS_PER_S  # between two looks at the status


def sender_of(settings: "NotifySettings", mode: str, *, demo: bool = False) -> Sender | None:
    """What sends the messages of a run; None when there is no address, or no kind of message is wanted.

    A file that must not be used is told, and the run goes on without messages. The demo tells nobody.
    """
    if demo:
        take_environment()
        return None
    try:
        found = find(settings, home())
    except AuthError as error:
        click.echo(f"tbot: no messages: {error}", err=True)
        return None
    if not found.urls or not settings.kinds:
        return None
    return Sender(Outbox(settings, f"T-BOT {BADGES[mode]}"), lambda: services(found.urls))


class NotifyingScreen(Screen):
    """Another screen, whose events and status go to a sender as well. A bug here is counted and costs a message."""

    def __init__(self, screen: Screen, sender: Sender) -> None:
        self._screen = screen
        self._sender = sender
        self._watch = RunWatch()
        self._looked_ns = 0
        self._supervisor: Supervisor | None = None
        self.errors: Counter[str] = Counter()
        self._safely(sender.start)

    def event(self, event: EngineEvent) -> None:
        self._screen.event(event)
        self._safely(lambda: self._sender.add(self._watch.on_event(event)))

    def draw(self, supervisor: "Supervisor") -> None:
        self._screen.draw(supervisor)
        self._supervisor = supervisor
        if boot_ns() - self._looked_ns >= LOOK_NS:
            self._look()

    def close(self) -> None:
        self._screen.close()
        self._look()  # how it ended
        self._safely(self._sender.close)

    def _look(self) -> None:
        supervisor = self._supervisor
        self._looked_ns = boot_ns()
        if supervisor is not None:
            self._safely(lambda: self._sender.add(self._watch.on_status(supervisor.status())))

    def _safely(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:  # messages are no reason to end a run, or to keep it from its accounts
            self.errors[type(error).__name__] += 1


def with_messages(
    screen: Screen, settings: "NotifySettings", mode: str, *, demo: bool
) -> tuple[Screen, dict[str, Callable[[], Any]]]:
    """The screen of a run, and what the status document tells of messages, where some are sent."""
    sender = sender_of(settings, mode, demo=demo)
    if sender is None:
        return screen, {}
    return NotifyingScreen(screen, sender), {"notify": sender.status}
