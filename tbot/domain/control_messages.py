"""What a person's command and the executor say to each other; part of the schema in `process_messages.py`.

A module of its own, because `tbot kill` has 300 ms, and the other messages are a tenth of it.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class ControlRequest:
    """A command of a person to the executor, over the control socket (rule R8: it names its run and expires)."""

    request_id: str
    verb: Literal["pause", "resume", "flatten", "kill", "ask"]  # ask: only tell how things stand
    run_id: int
    sent_boot_ns: int
    ttl_ns: int
    account: int | None = None  # None: all
    contract: str | None = None  # of flatten, and of ask after it


@dataclass(frozen=True, slots=True)
class AccountWord:
    """How one account stands, and what it said to the request."""

    account: int
    name: str
    taken: bool
    said: str  # one plain sentence
    state: str
    reason: str
    flat: bool  # proven: nothing of ours is open or working (in the contract that was named)
    clear: bool  # proven: nothing at all is open or working, strangers' things neither
    still_open: str = ""  # in words


@dataclass(frozen=True, slots=True)
class ControlReply:
    """Executor to the command. `refused` "" or why nothing was done: expired, run, seen, starting, account."""

    request_id: str
    refused: str
    text: str
    accounts: tuple[AccountWord, ...] = ()
