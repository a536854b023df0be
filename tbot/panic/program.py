"""All accounts at once, to one deadline: find them, flatten each in a thread of its own, and say what became of it."""

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tbot.gateway.net import NS_PER_S, boot_ns
from tbot.gateway.redact import Credentials, plain
from tbot.gateway.rest import OrderClient
from tbot.panic.account_exit import CONFIRM_S, PAUSES_S, AccountExit, Say

FIRST_S = 10.0  # what accounts that can trade have for themselves: by then they are flat (I10)


@dataclass(frozen=True, slots=True)
class Result:
    """`flat`: every account is proven flat with no working order; `text` says why not."""

    flat: bool
    exits: tuple[AccountExit, ...]
    text: str = ""

    def document(self) -> dict[str, Any]:
        """For `--json`."""
        accounts = [
            {
                "account": out.account,
                "flat": out.flat,
                "positions": out.positions,
                "working_orders": None if out.orders is None else len(out.orders),
                "rounds": out.rounds,
            }
            for out in self.exits
        ]
        return {"schema": "tbot.panic", "version": 1, "flat": self.flat, "text": self.text, "accounts": accounts}


def panic(
    gateway: str,
    login: tuple[str, str],
    accounts: Sequence[int],
    for_s: float,
    say: Say,
    *,
    pause: Callable[[float], None] | None = None,
) -> Result:
    """Flatten `accounts` (none named: every account of the login) at `gateway` within `for_s` seconds.

    It logs in by itself and takes no account lock; a gateway that allows one session only ends the engine's.
    """
    deadline_ns = boot_ns() + int(for_s * NS_PER_S)
    wait = pause or _wait
    client = OrderClient(gateway, Credentials(*login))
    speak = _quiet(say)
    try:
        found = dict.fromkeys(accounts, True) or _find(client, speak, wait, deadline_ns)
        if not found:
            text = client.tokens.refused and f"the gateway refused the login: {client.tokens.refused}"
            return Result(False, (), text or "no account is known: the gateway did not list any in time")
        exits = [AccountExit(client, account, speak, wait, deadline_ns) for account in found]
        if accounts:
            threading.Thread(target=_name_unlisted, args=(client, tuple(accounts), speak), daemon=True).start()
        _run_all([out for out in exits if found[out.account]], [out for out in exits if not found[out.account]], wait)
    finally:
        client.close()
    open_ones = [out for out in exits if not out.flat]
    text = "; ".join(f"account {out.account} is not proven flat: {out.still_open()}" for out in open_ones)
    if open_ones and client.tokens.refused:
        text += f"; the gateway refused the login: {client.tokens.refused}"
    return Result(not open_ones, tuple(exits), text)


def _run_all(first: list[AccountExit], later: list[AccountExit], pause: Callable[[float], None]) -> None:
    """One thread an account, so that one that hangs holds up no other; Ctrl-C leaves them behind.

    `later`, of which there may be dozens, take no part of the rate budget from the others in their first seconds. They
    are looked at one after the other; only what is not plainly empty gets a thread.
    """
    threads = _started(first)
    end_s = time.monotonic() + FIRST_S
    for thread in threads:
        thread.join(max(0.0, end_s - time.monotonic()))
    empty = [out for out in later if out.shows_nothing()]
    if empty:
        pause(CONFIRM_S)
    for out in empty:
        out.flat = out.shows_nothing()
    for thread in [*threads, *_started([out for out in later if not out.flat])]:
        thread.join()


def _started(exits: list[AccountExit]) -> list[threading.Thread]:
    threads = [threading.Thread(target=out.run, daemon=True, name=f"exit-{out.account}") for out in exits]
    for thread in threads:
        thread.start()
    return threads


def _find(client: OrderClient, say: Say, pause: Callable[[float], None], deadline_ns: int) -> dict[int, bool]:
    """Every account of the login and whether it can trade now, asked for until it is told.

    Also those that can't: one that the firm has stopped in the middle of the day may still hold a position (F-ACC-03).
    """
    tries = 0
    while True:
        answer = client.account_search(False, protective=True)
        if answer.ok and answer.value is not None:
            found = {account.account_id: account.can_trade for account in answer.value}
            say(f"accounts: {', '.join(map(str, found)) or 'none'}")
            return found
        say(f"accounts are not known: {answer.text or answer.outcome}; asking again")
        if client.tokens.refused or boot_ns() >= deadline_ns:
            return {}
        pause(PAUSES_S[min(tries, len(PAUSES_S) - 1)])
        tries += 1


def _name_unlisted(client: OrderClient, accounts: Sequence[int], say: Say) -> None:
    """A number that nobody knows is tried until time is over: say at once that it may be mistyped.

    Beside the closing, which waits for nothing; what goes wrong here is no trouble of its own.
    """
    with contextlib.suppress(Exception):
        answer = client.account_search(False, protective=True)
        if answer.ok and answer.value:
            known = {account.account_id: plain(account.name, 60) for account in answer.value}
            words = ", ".join(f"{number} ({name})" for number, name in known.items())
            for account in accounts:
                if account not in known:
                    say(f"account {account} is not listed by the gateway; it lists {words}: going on all the same")


def _quiet(say: Say) -> Say:
    """From several threads, and whatever becomes of the terminal: a closed pipe or a full disk stops nothing."""
    lock = threading.Lock()

    def speak(sentence: str) -> None:
        with lock:
            try:
                say(sentence)
            except (OSError, ValueError):
                return

    return speak


def _wait(seconds: float) -> None:
    threading.Event().wait(seconds)
