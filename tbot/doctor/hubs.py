"""One look at a hub: connect, subscribe, wait for the first record, leave; all of it within a bound."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from tbot.gateway.codec import LOGOUT_TARGET
from tbot.gateway.hub import HubClient, HubDown, HubTimings, Subscription
from tbot.gateway.signalr import Invocation

CONNECT_S = 8.0
RECORD_S = 5.0
QUIET_S = 1.0  # the user hub of a flat account has nothing to say
LEAVE_S = 3.0
LIMIT_S = CONNECT_S + RECORD_S + LEAVE_S + 2.0
_TIMINGS = HubTimings(open_s=5.0, handshake_s=5.0, invoke_s=5.0, close_s=1.0)


@dataclass(frozen=True, slots=True)
class HubLook:
    """What was seen. `first`: target of the first record, "" when none came in time; `reason`: why not connected."""

    connected: bool
    first: str = ""
    reason: str = ""

    @property
    def logged_out(self) -> bool:
        """The gateway said that another session has taken over."""
        return self.first == LOGOUT_TARGET


def look(url: str, token: str, subscriptions: Sequence[Subscription], record_s: float = RECORD_S) -> HubLook:
    """Connect once (no second attempt) and see what comes within `record_s`. Blocks at most LIMIT_S."""
    return asyncio.run(watch(url, token, subscriptions, record_s))


async def watch(url: str, token: str, subscriptions: Sequence[Subscription], record_s: float) -> HubLook:
    """As `look`, inside a running loop."""
    ended, recorded = asyncio.Event(), asyncio.Event()
    state: dict[str, str | bool] = {"connected": False, "first": "", "reason": f"not within {CONNECT_S:g} s"}

    async def give_token(refused: bool) -> str:
        return token

    def on_record(event: Invocation, recv_ns: int) -> None:
        if not state["first"] or event.target == LOGOUT_TARGET:
            state["first"] = event.target
        recorded.set()

    def on_connected() -> None:
        state["connected"], state["reason"] = True, ""
        ended.set()

    def on_down(down: HubDown) -> None:
        if not ended.is_set():
            state["reason"] = down.reason
        ended.set()
        client.stop()

    client = HubClient(
        url,
        token=give_token,
        subscriptions=subscriptions,
        on_record=on_record,
        on_connected=on_connected,
        on_down=on_down,
        timings=_TIMINGS,
    )
    task = asyncio.create_task(client.run())
    try:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), CONNECT_S)
        if state["connected"]:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(recorded.wait(), record_s)
    finally:
        client.stop()
        await asyncio.wait({task}, timeout=LEAVE_S)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return HubLook(bool(state["connected"]), str(state["first"]), str(state["reason"]))
