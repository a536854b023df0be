"""Kill points of the running engine: a real process that kills itself (SIGKILL) at one exact line, once.

`kill_engine.py` starts the engine with a victim whose `main` is one of this file: it puts a trap there, then runs the
real main. The trap goes off in the first life only (a marker file says so); what is restarted runs on undisturbed.
"""

import importlib
import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tbot.domain.messages import CancelOrder, CloseContract, Fill, ModifyStop, PlaceBracket, StateChange
from tbot.engine.child import ChildContext

Die = Callable[[], None]
TRAPS: dict[str, Callable[[Die], None]] = {}  # kill point -> puts the trap
VICTIM: dict[str, str] = {}  # kill point -> process


def trap(point: str, victim: str = "executor") -> Callable[[Callable[[Die], None]], Callable[[Die], None]]:
    def note(put: Callable[[Die], None]) -> Callable[[Die], None]:
        TRAPS[point], VICTIM[point] = put, victim
        return put

    return note


def around(owner: Any, name: str, *, before: Callable[..., None] | None = None, after: Any = None) -> None:
    """Call `before(self, *args)` and `after(self, result, *args)` around a method, for every object of the class."""
    real = getattr(owner, name)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if before is not None:
            before(self, *args)
        result = real(self, *args, **kwargs)
        if after is not None:
            after(self, result, *args)
        return result

    setattr(owner, name, method)


def found(module: str, name: str) -> Any:
    return getattr(importlib.import_module(module), name)


def _on_command(kind: type, die: Die, *, count: int = 1, after: bool = False) -> None:
    """At the n-th command of a kind, before or after the broker took it."""
    seen = [0]

    def look(_broker: Any, *rest: Any) -> None:
        seen[0] += any(isinstance(item, kind) for item in rest)
        if seen[0] == count:
            die()

    broker = found("tbot.gateway.live_broker", "LiveBroker")
    around(broker, "submit", **{"after" if after else "before": look})


def _on_answer(kind: type, die: Die) -> None:
    """When the gateway's answer to a command of this kind was read and nobody has heard of it."""

    def look(_broker: Any, _answer: Any, command: Any) -> None:
        if isinstance(command, kind):
            die()

    around(found("tbot.gateway.live_broker", "LiveBroker"), "_send", after=look)


def _on_input(wanted: Callable[[Any], bool], die: Die, *, count: int = 1) -> None:
    """Before the Desk handles the n-th input that is wanted."""
    seen = [0]

    def look(_desk: Any, item: Any) -> None:
        seen[0] += wanted(item)
        if seen[0] == count:
            die()

    around(found("tbot.execution.desk", "Desk"), "handle", before=look)


def _on_record(wanted: Callable[[Any], bool], die: Die, *, after: bool) -> None:
    """Before or after a step with such an output is in the journal."""

    def before(_journal: Any, _item: Any, outputs: list[Any]) -> None:
        if any(map(wanted, outputs)):
            die()

    def then(_journal: Any, _result: Any, _item: Any, outputs: list[Any]) -> None:
        if any(map(wanted, outputs)):
            die()

    journal = found("tbot.storage.journal", "Journal")
    around(journal, "record", **({"after": then} if after else {"before": before}))


def _has_entry(outputs: Any) -> bool:
    return isinstance(outputs, PlaceBracket)


def _says(state: str) -> Callable[[Any], bool]:
    return lambda output: isinstance(output, StateChange) and output.state == state


@trap("K-EX-01")
def _signal_received(die: Die) -> None:
    around(found("tbot.execution.session", "DeskSession"), "on_signal", before=lambda *_: die())


@trap("K-EX-02")
def _approved_in_memory(die: Die) -> None:
    _on_record(_has_entry, die, after=False)


@trap("K-EX-03")
def _intent_half_written(die: Die) -> None:
    """In the middle of the transaction that holds the intent."""

    def look(journal: Any) -> None:
        if any(row.kind == "PlaceBracket" for row in journal._waiting):
            journal._db.set_progress_handler(lambda: die() or 0, 20)

    around(found("tbot.storage.journal", "Journal"), "_commit", before=look)


@trap("K-EX-04")
def _intent_synced(die: Die) -> None:
    _on_command(PlaceBracket, die)


def _on_sent(die: Die, *, whole: bool) -> None:
    """When the head, or head and body, of a placement have been handed to the socket."""
    last = [b""]

    def look(_connection: Any, _result: Any, data: Any) -> None:
        before, last[0] = last[0], bytes(data)[:200]
        if b"/Order/place" in (before if whole else last[0]):
            die()

    around(found("tbot.gateway.http_exchange", "_Tracked"), "send", after=look)


@trap("K-EX-05")
def _request_sent(die: Die) -> None:
    _on_sent(die, whole=True)


@trap("K-EX-05#part")
def _request_partly_sent(die: Die) -> None:
    _on_sent(die, whole=False)


@trap("K-EX-06")
def _answer_unheard(die: Die) -> None:
    _on_answer(PlaceBracket, die)


@trap("K-EX-07")
def _filled(die: Die) -> None:
    _on_input(lambda item: isinstance(item, Fill), die)


@trap("K-EX-08")
def _partly_filled(die: Die) -> None:
    _on_input(lambda item: isinstance(item, Fill), die)


@trap("K-EX-09")
def _stop_moved(die: Die) -> None:
    _on_answer(ModifyStop, die)


@trap("K-EX-10")
def _flatten_decided(die: Die) -> None:
    _on_record(_says("REDUCING"), die, after=True)


@trap("K-EX-11")
def _entry_cancelled(die: Die) -> None:
    _on_command(CancelOrder, die, after=True)


@trap("K-EX-12")
def _close_sent(die: Die) -> None:
    _on_command(CloseContract, die, after=True)


def _at_phase(phase: str, die: Die) -> None:
    def look(flattener: Any, _result: Any, *_: Any) -> None:
        if flattener.job is not None and flattener.job.phase == phase:
            die()

    around(found("tbot.execution.flatten", "Flattener"), "advance", after=look)


@trap("K-EX-13")
def _flat_proven(die: Die) -> None:
    """Between the proof of being flat and the cancel of the rest: those are one pass, so before the first cancel."""
    around(found("tbot.execution.flatten", "Flattener"), "_cancel_rest", before=lambda *_: die())


@trap("K-EX-14")
def _rest_cancelled(die: Die) -> None:
    _at_phase("prove_done", die)


@trap("K-EX-15")
def _all_proven(die: Die) -> None:
    def look(flattener: Any, _result: Any, *_: Any) -> None:
        if flattener.finished:
            die()

    around(found("tbot.execution.flatten", "Flattener"), "advance", after=look)


@trap("K-EX-16")
def _lock_decided(die: Die) -> None:
    def locked(output: Any) -> bool:
        return isinstance(output, StateChange) and "RC_DAILY_LOSS" in output.reasons

    _on_record(locked, die, after=False)


@trap("K-EX-17")
def _first_query(die: Die) -> None:
    around(found("tbot.gateway.rest", "RestClient"), "trade_search", after=lambda *_: die())


@trap("K-EX-18")
def _logging_in(die: Die) -> None:
    around(found("tbot.gateway.rest", "RestClient"), "_login", after=lambda *_: die())


@trap("K-EX-19")
def _loss_filled(die: Die) -> None:
    _on_input(lambda item: isinstance(item, Fill) and (item.pnl_cents or 0) < 0, die)


@trap("K-EX-20")
def _day_rolls(die: Die) -> None:
    def look(engine: Any) -> None:
        if engine.day is not None and engine.settings.calendar.trading_day(engine.now_ns).day != engine.day:
            die()

    around(found("tbot.execution.account_engine", "AccountEngine"), "_roll_day", before=look)


@trap("K-FD-03", "feed")
def _shaking_hands(die: Die) -> None:
    around(found("tbot.gateway.signalr", "SignalRConnection"), "handshake", after=lambda *_: die())


@trap("K-FD-04", "feed")
def _subscribing(die: Die) -> None:
    around(found("tbot.gateway.signalr", "SignalRConnection"), "invoke", after=lambda *_: die())


@trap("K-WK-01", "worker-MNQ")
def _in_a_bar(die: Die) -> None:
    seen = [0]

    def look(shell: Any) -> None:
        seen[0] += 1
        if seen[0] == 2:  # after the warm-up
            die()

    around(found("tbot.engine.worker", "ContractShell"), "status", before=look)


def _at_signal(die: Die, *, after: bool) -> None:
    worker = found("tbot.engine.worker", "Worker")
    around(worker, "_send", **{"after" if after else "before": lambda *_: die()})


@trap("K-WK-02", "worker-MNQ")
def _decided(die: Die) -> None:
    _at_signal(die, after=False)


@trap("K-WK-03", "worker-MNQ")
def _signal_sent(die: Die) -> None:
    _at_signal(die, after=True)


@trap("F-PRC-06", "worker-MNQ")
def _memory_is_eaten(die: Die) -> None:
    """An allocation bomb under a memory limit: Python raises, nothing catches it, the process ends by itself."""
    seen = [0]

    def look(_shell: Any) -> None:
        seen[0] += 1
        if seen[0] == 2:
            die.met()  # type: ignore[attr-defined]
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            most = pages * resource.getpagesize() + (64 << 20)
            resource.setrlimit(resource.RLIMIT_AS, (most, most))
            hoard = []
            while True:
                hoard.append(bytearray(8 << 20))

    around(found("tbot.engine.worker", "ContractShell"), "status", before=look)


@trap("CLOCK-1d")
def _wall_clock_is_set_back(_die: Die) -> None:
    """No death: the executor's wall clock shows yesterday."""
    for name, second in (("time_ns", 10**9), ("time", 1)):
        real = getattr(time, name)
        setattr(time, name, lambda real=real, second=second: real() - 86_400 * second)


def main(settings: Any, context: ChildContext) -> None:
    """Process entry point of a victim."""
    marker, point = Path(context.secrets["kill_marker"]), context.secrets["kill_point"]
    target = context.secrets["kill_target"]
    if not marker.exists():

        def die() -> None:
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)

        die.met = marker.touch  # type: ignore[attr-defined]
        TRAPS[point](die)
    module, _, name = target.partition(":")
    found(module, name)(settings, context)
