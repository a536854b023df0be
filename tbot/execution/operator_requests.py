"""What a person may ask of one account, what speaks against it, and what becomes of it (F-CFG-05, F-CFG-06).

Every request is idempotent or refused with the reason, in whatever state the account is; a refusal is journaled as a
StateChange that changes nothing. This is a part of AccountEngine in a file of its own, so it uses its private methods.

    pause                no entries until `resume`; what is open stays managed
    resume               ends a pause and, by a person only, HALTED; refused while flattening, stopping or LOCKED
    flatten              everything that is ours is closed (R7), then a pause until `resume`
    flatten CONTRACT     that contract is closed; only it takes no entries until `resume` or the next trading day
    kill                 everything is closed, strangers' positions too; LOCKED to the next trading day, no way back
    stop                 the run ends: `on_exit` decides about what is open
"""

from typing import TYPE_CHECKING

from tbot.domain.messages import OperatorIn, StateChange
from tbot.execution.engine_state import Severity

if TYPE_CHECKING:
    from tbot.execution.account_engine import AccountEngine

BARRED_TEXT = "flattened by a person; resume to trade it again"


def refusal(engine: "AccountEngine", item: OperatorIn) -> str:
    """Why the account will not do it; "" when it will."""
    if item.contract is not None:
        if item.verb != "flatten":
            return f"{item.verb} is for a whole account; leave the contract out"
        if item.contract not in engine.settings.products:
            return f"{item.contract} is not traded by this run; it trades {', '.join(engine.settings.products)}"
    if item.verb != "resume":
        return ""
    if engine.stopping:
        return "the engine is stopping"
    if engine.flattener.job is not None:
        return "the account is being flattened"
    if engine.reasons.of(Severity.LOCK):
        return "the account is locked until the next trading day"
    return ""


def promise(engine: "AccountEngine", item: OperatorIn) -> str:
    """What taking the request means from the state the account is in now, in one plain sentence."""
    held = engine.reasons.held
    if item.verb == "pause":
        return "paused already" if "RC_OPERATOR" in held else "paused: no entries, what is open stays managed"
    if item.verb == "resume":
        waiting = "RC_OPERATOR" in held or engine.reasons.of(Severity.HALT) or _barred(engine)
        return "resumed" if waiting else "there was nothing to resume"
    if item.verb == "flatten" and item.contract is not None:
        return f"closing {item.contract}; it takes no entries until you resume"
    if item.verb == "flatten":
        return "closing everything that is ours; paused until you resume"
    if item.verb == "kill" and "RC_KILL_SWITCH" in held:
        return "locked by the kill switch already; looking again that nothing is open"
    if item.verb == "kill":
        return "closing everything; locked until the next trading day"
    return "stopping"


def apply(engine: "AccountEngine", item: OperatorIn) -> None:
    """Do it, or note why not."""
    why = refusal(engine, item)
    if why:
        codes, state = engine.status.codes, engine.status.state
        text = f"{item.verb} refused: {why}"
        engine.outbox.note(StateChange(engine.now_ns, engine.account.account, state, codes, text))
    elif item.verb == "pause":
        engine.reasons.add("RC_OPERATOR", "paused by a person", engine.now_ns)
    elif item.verb == "resume":
        _resume(engine)
    elif item.verb == "flatten":
        _flatten(engine, item.contract)
    elif item.verb == "kill":
        engine.reasons.add("RC_KILL_SWITCH", "the kill switch was pressed", engine.now_ns)
        engine._flatten(None, "RC_KILL_SWITCH", "kill switch: closing everything", foreign=True)
    else:
        _stop(engine)


def _resume(engine: "AccountEngine") -> None:
    engine.reasons.remove("RC_OPERATOR")
    for contract in _barred(engine):
        del engine.manager.quarantine[contract]
    if engine.reasons.clear(Severity.HALT):
        engine.reconciler.start_over(engine.step, engine.now_ns)


def _flatten(engine: "AccountEngine", contract: str | None) -> None:
    if contract is not None:
        take_up(engine, (contract,))
        return
    engine.reasons.add("RC_OPERATOR", "flattened by a person; resume to trade again", engine.now_ns)
    engine._flatten(None, "RC_OPERATOR", "flattening on request of a person")


def take_up(engine: "AccountEngine", contracts: tuple[str, ...]) -> None:
    """Flatten single contracts and let nothing in until a person resumes; also after a restart in the midst of it."""
    for contract in contracts:
        engine.manager.set_aside(contract, "RC_OPERATOR", BARRED_TEXT)
        # A code of its own: RC_OPERATOR would bind the whole account in the next run (execution/carry.py).
        engine._flatten({contract}, "RC_OPERATOR_CONTRACT", f"{contract}: flattening on request of a person")


def _stop(engine: "AccountEngine") -> None:
    engine.stopping = True
    engine.reasons.add("RC_OPERATOR", "the engine is stopping", engine.now_ns)
    if engine.settings.on_exit == "flatten":
        engine._flatten(None, "RC_OPERATOR", "stopping: closing everything that is ours")
    for entry in engine.picture.live_entries():
        if entry.order_id is not None:
            engine.manager.cancel(entry.contract, entry.order_id, engine.now_ns)
    engine.reconciler.ask(engine.now_ns, engine.step)


def _barred(engine: "AccountEngine") -> list[str]:
    return [name for name, refused in engine.manager.quarantine.items() if refused.code == "RC_OPERATOR"]


def contract_is_flat(engine: "AccountEngine", contract: str) -> bool:
    """Proven: the flatten procedure is through with this contract, and nothing of ours is open or working in it."""
    return not engine.flattener.covers(contract) and not engine._ours(contract) and engine.reconciler.proven
