"""Broken engines for losses in a row, states, conversations, time and words: I13 to I28, I33, each with its scene."""

import fcntl
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from dst.mutants import both, mutant, replaced, without
from dst.stage import Stage
from tbot.domain import trading_hours
from tbot.domain.messages import StateChange
from tbot.domain.timeframes import NS_PER_S
from tbot.engine import status
from tbot.errors import JournalError
from tbot.execution import carry
from tbot.execution.account_engine import AccountEngine
from tbot.execution.guards import Guards
from tbot.execution.outbox import Outbox
from tbot.execution.reconcile import Reconciler
from tbot.gateway import codec_domain, http_exchange
from tbot.risk.limits import RiskLimits
from tbot.storage.journal import Journal


# ---------------------------------------------------------------------------------------------------- I13 losses
@mutant("I13", both(replaced(Guards, "losses_in_a_row", lambda *_: None), without("losses_in_a_row")))
def a_third_entry_after_two_losses(stage: Stage) -> None:
    for number in (1, 2, 3):
        stage.signal(number)
        stage.run(2)
        stage.stop_out()
        stage.run(6)


@mutant("I13", without("entries_of_the_day"), limits=RiskLimits(entries_per_day=2))
def one_entry_more_than_the_day_allows(stage: Stage) -> None:
    for number in (1, 2, 3):
        stage.signal(number)
        stage.run(2)
        stage.prices["MNQ"] += 100
        stage.run(6)


# ------------------------------------------------------------------------------------------------------- I14 locks
_carried = carry.CarryFold.carried


def _no_locks(self: carry.CarryFold, account: int) -> Any:
    return replace(_carried(self, account), reasons=(), reducing=None)


@mutant("I14", replaced(carry.CarryFold, "carried", _no_locks))
def the_lock_of_the_day_ends_with_a_restart(stage: Stage) -> None:
    stage.operator("kill")
    stage.run(3)
    stage.kill()
    stage.begin()
    stage.run(6)


@mutant("I14", replaced(carry.CarryFold, "carried", _no_locks))
def a_halt_ends_with_a_restart(stage: Stage) -> None:
    for number in (1, 2):
        stage.signal(number)
        stage.tick()
        stage.prices["MNQ"] += 100
        stage.tick()
    stage.run(3)
    stage.kill()
    stage.begin()
    stage.run(6)


# -------------------------------------------------------------------------------------------------------- I15 replay
_counted = [0]


def _hidden_number(self: Outbox) -> str:
    _counted[0] += 1
    return f"{self.account}-{_counted[0]}"


@mutant("I15", replaced(Outbox, "new_id", _hidden_number))
def the_desk_remembers_something_that_no_input_told(stage: Stage) -> None:
    stage.signal(1)
    stage.run(3)


_take = Journal._take


def _no_notes(self: Journal, item: Any, outputs: Any) -> None:
    _take(self, item, [output for output in outputs if not isinstance(output, StateChange)])


@mutant("I15", replaced(Journal, "_take", _no_notes))
def the_journal_leaves_something_out(stage: Stage) -> None:
    stage.operator("pause")
    stage.run(3)


# ---------------------------------------------------------------------------------------------- I16 one executor
@mutant("I16", replaced(fcntl, "flock", lambda *_: None), replays=False)
def a_second_executor_starts_beside_the_first(stage: Stage) -> None:
    first = (stage.journal, stage.desk, stage.throttle, stage.loop)
    stage.signal(1)
    try:
        stage.begin()
    except JournalError:
        stage.run(6)
        return
    second = stage.journal
    stage.journal, stage.desk, stage.throttle, stage.loop = first
    stage.sending, stage.committing = 1, False  # its rows no longer fit into the file
    try:
        stage.run(6)
    finally:
        stage.journal._waiting.clear()
        second._closing.close()


# -------------------------------------------------------------------------------------------------- I19 no floats
@mutant("I19", replaced(codec_domain, "cents", lambda amount: float(amount * 100)), replays=False)
def fees_in_floating_point(stage: Stage) -> None:
    stage.committing = False  # the journal takes no such thing, and with it the run would end
    stage.signal(1)
    stage.run(3)


# ------------------------------------------------------------------------------------------------- I24 back again
_flush = Reconciler.flush


def _gives_up(self: Reconciler, now_ns: int, step: int, **of: bool) -> None:
    if self.failures < 3:
        _flush(self, now_ns, step, **of)


@mutant("I24", replaced(Reconciler, "flush", _gives_up))
def a_broker_that_was_away_is_not_asked_again(stage: Stage) -> None:
    stage.evidence.answering = False
    stage.run(70, step=1)
    stage.evidence.answering, stage.evidence.calm_since_ns = True, stage.evidence.boot_ns
    stage.run(45, step=1)


# ---------------------------------------------------------------------------------------------- I25, I26 conversations
@mutant("I25", replaced(AccountEngine, "_deny", lambda *_: None))
def a_refused_signal_vanishes(stage: Stage) -> None:
    stage.operator("pause")
    stage.signal(1)
    stage.run(2)


@mutant("I26", replaced(http_exchange, "TOTAL_S", 30.0))
def a_call_without_a_deadline(stage: Stage) -> None:
    stage.fates.append("never arrives")
    stage.signal(1)
    stage.run(20)


# ------------------------------------------------------------------------------------------------- I27, I33 status
_status_state = status._state


def _death_is_no_news(children: Any, accounts: Any, phase: Any) -> Any:
    for child in children.values():
        child.ready = True
    told = _status_state(children, accounts, phase)
    return ("ACTIVE", [], "trading") if not accounts else told


@mutant("I27", replaced(status, "_state", _death_is_no_news))
def the_status_of_a_dead_executor_says_active(stage: Stage) -> None:
    stage.run(2)
    stage.kill()
    stage.run(10)


_update = status.StatusFile.update


def _seldom(self: status.StatusFile, document: Any) -> None:
    if not self._written_ns or status.boot_ns() - self._written_ns >= 8 * NS_PER_S:
        _update(self, document)


@mutant("I33", replaced(status.StatusFile, "update", _seldom))
def the_status_is_written_late(stage: Stage) -> None:
    stage.run(2)
    stage.operator("pause")
    stage.run(4)


_write = status.StatusFile.write
_before: list[Any] = []


def _one_behind(self: status.StatusFile, document: Any) -> None:
    _before.append(document)
    _write(self, _before[-2] if len(_before) > 1 else document)


@mutant("I33", replaced(status.StatusFile, "write", _one_behind))
def the_status_is_always_one_behind(stage: Stage) -> None:
    _before.clear()
    stage.run(2)
    stage.operator("pause")
    stage.run(2)
    stage.operator("resume")
    stage.run(4)


# ------------------------------------------------------------------------------------------------------ I28 window
# 2026-10-27, 20:05 UTC: 15:05 in Chicago, five minutes before the firm's time, and 22:05 in Helsinki. The two zones are
# seven hours apart on that day and not eight: whoever counts with a fixed offset is an hour late.
FALL_NS = 1_793_131_500 * NS_PER_S


def _fixed_offset(day: Any, wall: Any, zone: Any) -> int:
    hours = {"America/Chicago": 6, "Europe/Helsinki": -2}[zone.key]
    return int((datetime.combine(day, wall, UTC) + timedelta(hours=hours)).timestamp()) * NS_PER_S


@mutant("I28", replaced(trading_hours, "to_ns", _fixed_offset), start_ns=FALL_NS - 15 * 60 * NS_PER_S)
def the_deadline_is_counted_with_a_fixed_offset(stage: Stage) -> None:
    stage.signal("good", "MES")
    stage.run(1)
    stage.run(15 * 60, step=30)
    stage.signal(1)
    stage.run(3)


@mutant("I28", replaced(AccountEngine, "_window", lambda _: None), start_ns=FALL_NS - 40 * 60 * NS_PER_S)
def a_position_is_held_into_the_close(stage: Stage) -> None:
    stage.signal(1)
    stage.run(5)
    stage.run(45 * 60, step=30)
