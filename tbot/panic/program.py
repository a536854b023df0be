"""All accounts at once, to one deadline: find them, flatten each in a thread of its own, and say what became of it."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tbot.gateway.net import NS_PER_S, boot_ns
from tbot.gateway.redact import Credentials
from tbot.gateway.rest import OrderClient
from tbot.panic.account_exit import PAUSES_S, AccountExit, Say


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
        chosen = list(dict.fromkeys(accounts)) or _find(client, speak, wait, deadline_ns)
        if not chosen:
            text = client.tokens.refused and f"the gateway refused the login: {client.tokens.refused}"
            return Result(False, (), text or "no account is known: the gateway did not list any in time")
        exits = [AccountExit(client, account, speak, wait, deadline_ns) for account in chosen]
        _run_all(exits)
    finally:
        client.close()
    open_ones = [out for out in exits if not out.flat]
    text = "; ".join(f"account {out.account} is not proven flat: {out.still_open()}" for out in open_ones)
    if open_ones and client.tokens.refused:
        text += f"; the gateway refused the login: {client.tokens.refused}"
    return Result(not open_ones, tuple(exits), text)


def _run_all(exits: list[AccountExit]) -> None:
    """One thread an account, so that one that hangs holds up no other; Ctrl-C leaves them behind."""
    threads = [threading.Thread(target=out.run, daemon=True, name=f"exit-{out.account}") for out in exits]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _find(client: OrderClient, say: Say, pause: Callable[[float], None], deadline_ns: int) -> list[int]:
    """Every account of the login, asked for until it is told."""
    tries = 0
    while True:
        answer = client.account_search(protective=True)
        if answer.ok and answer.value is not None:
            found = [account.account_id for account in answer.value]
            say(f"accounts: {', '.join(map(str, found)) or 'none'}")
            return found
        say(f"accounts are not known: {answer.text or answer.outcome}; asking again")
        if client.tokens.refused or boot_ns() >= deadline_ns:
            return []
        pause(PAUSES_S[min(tries, len(PAUSES_S) - 1)])
        tries += 1


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
