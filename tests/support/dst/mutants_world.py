"""Broken engines on the whole simulated machine: what the small stage has not got, and some of it once more in full.

Lanes and deadlines of the live broker, restarts with the real start-up, answers that are lost on the line.
"""

import json
from dataclasses import dataclass, replace
from typing import Any

from dst.mutants import Break, both, replaced
from dst.mutants_orders import _record_without_commit, _send_again
from dst.mutants_state import _gives_up, _no_locks
from dst.plans import Fault, parse
from dst.scenes import Scene, draw_scene
from tbot.domain.messages import CancelOrder, CloseContract
from tbot.execution import carry, order_manager
from tbot.execution.guards import Guards
from tbot.execution.protection import Protector
from tbot.execution.reconcile import Reconciler
from tbot.gateway.lanes import LaneQueue
from tbot.gateway.live_broker import LiveBroker
from tbot.gateway.rest import RestClient
from tbot.storage.journal import Journal


@dataclass(frozen=True)
class WorldMutant:
    """`invariant` must be among what is named when the seed is played with `apply`; nothing without it."""

    invariant: str
    name: str
    apply: Break
    seed: int
    plan: tuple[str, ...]  # lines of a fault plan
    symbols: tuple[str, ...] = ("MNQ", "MES")
    seconds: float = 30.0  # with faults
    calm_s: float = 10.0

    def faults(self) -> list[Fault]:
        return parse(list(self.plan))

    def scene(self) -> Scene:
        """A morning with a signal every few seconds."""
        scene = draw_scene(self.seed, "morning", self.symbols)
        return replace(scene, faults_s=self.seconds, calm_s=self.calm_s, signal_every_s=5.0)


_once = RestClient._once


def _without_deadline(self: RestClient, call: Any, request: Any, token: Any, _total_s: float, protective: bool) -> Any:
    return _once(self, call, request, token, 45.0, protective)


_execute = LiveBroker._execute


def _however_old(self: LiveBroker, job: Any) -> None:
    _execute(self, replace(job, since_boot_ns=self._boot_ns()))


_put = LaneQueue.put


def _swallow(self: Any, job: Any) -> bool:
    """A lane that takes closes and cancels and forgets them."""
    return True if isinstance(job.command, CancelOrder | CloseContract) else _put(self, job)


def _fault(name: str, at: float, lasts: float | None = None, **args: Any) -> str:
    entry: dict[str, Any] = {"id": f"{name}-{at}", "name": name, "at": at, "args": args}
    return json.dumps(entry if lasts is None else entry | {"for": lasts})


WORLD_MUTANTS = [
    WorldMutant(
        "I1", "the_journal_answers_before_the_disk", replaced(Journal, "record", _record_without_commit), 1, ()
    ),
    WorldMutant(
        "I2",
        "a_lost_entry_is_sent_again",
        replaced(order_manager.OrderManager, "_placed", _send_again),
        2,
        (_fault("order.place", 1.0, outcome="never", answer="drop"),),
    ),
    WorldMutant(
        "I3",
        "a_position_without_its_stop",
        both(replaced(Guards, "protection", lambda *_: []), replaced(Protector, "look", lambda *_: [])),
        3,
        (_fault("bracket", 1.0, kind="drop", which="both", size=1, ticks=20, after=0.5),),
    ),
    WorldMutant(
        "I14",
        "a_halt_ends_with_the_process",
        replaced(carry.CarryFold, "carried", _no_locks),
        4,
        (_fault("worker.flood", 10.0, 1.0), _fault("proc.kill", 15.0, down=1.0)),
    ),
    WorldMutant(
        "I23",
        "an_entry_waits_behind_another_and_leaves",
        replaced(LiveBroker, "_execute", _however_old),
        5,
        (_fault("order.place", 1.0, outcome="accepted", answer="delay", answer_after=7.0),),
    ),
    WorldMutant(
        "I24",
        "the_broker_is_not_asked_again",
        replaced(Reconciler, "flush", _gives_up),
        6,
        (_fault("rest.refused", 5.0, 45.0),),
        seconds=50.0,
        calm_s=50.0,
    ),
    WorldMutant(
        "I25",
        "a_lane_forgets_closes",
        replaced(LaneQueue, "put", _swallow),
        7,
        (_fault("person.flatten", 20.0),),
        seconds=85.0,
    ),
    WorldMutant(
        "I26",
        "a_call_that_nobody_ends",
        replaced(RestClient, "_once", _without_deadline),
        8,
        (_fault("rest.hang", 6.0, 40.0),),
        seconds=45.0,
    ),
]
