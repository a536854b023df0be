"""Whether the market data of each contract is alive: pure decisions on ages and times that are passed in (F-NET-03).

A connection that pings can still be without data: a subscription lost at the server (one contract silent, others
alive), or a frozen hub (all silent, for minutes, while the REST side is fresh). A quiet market looks the same from
here, so what costs the connection is decided by a second witness: the newest history bar of a silent contract. If that
shows trades that we did not get, the hub is at fault; if it stands still too, silence is real, and the next look comes
later and later.

Ages are real time: time since receipt, or market age divided by the speed of a simulated market, whichever is more.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

NS_PER_S = 1_000_000_000
SILENT_NS = 10 * NS_PER_S  # C_QUOTE_STALE: contract STALE; one that is silent alone is subscribed anew
LOST_NS = 20 * NS_PER_S  # still without data after that: the connection is to blame
CONFIRM_NS = NS_PER_S  # what history has and we have not may be on its way
MAX_PAUSE_NS = 300 * NS_PER_S  # between looks at a market that is really quiet
MINUTE_NS = 60 * NS_PER_S


@dataclass(frozen=True, slots=True)
class Resubscribe:
    """Unsubscribe and subscribe this contract on the connection that is there."""

    contract: str


@dataclass(frozen=True, slots=True)
class AskHistory:
    """Ask for the newest bar (the forming one included) of a contract and give it to `history`."""

    contract: str


@dataclass(frozen=True, slots=True)
class Reconnect:
    """Drop the connection; `reason` in words."""

    reason: str


Action = Resubscribe | AskHistory | Reconnect
Bar = tuple[int, ...]  # newest history bar: start (UTC ns), volume, prices; () = history has none


@dataclass(slots=True)
class _Silence:
    """One contract that is silent now; lives until data comes, over any number of connections."""

    resubscribed: bool = False
    asked: bool = False  # an answer is awaited
    next_ns: int = 0  # boot time of the next look at history
    pause_ns: int = field(default_factory=lambda: SILENT_NS)
    seen: Bar | None = None  # newest bar at the last look
    unanswered: int = 0  # looks in a row that history did not answer
    charge: str = ""  # why the connection is to blame, and since when we think so
    charged_ns: int = 0


@dataclass
class QuoteWatchdog:
    """`connected` and `lost` tell of the connection, `look` comes about once a second; carry out what it returns."""

    states: dict[str, str] = field(default_factory=dict)  # contract -> OK, STALE or CLOSED, for the status
    _silent: dict[str, _Silence] = field(default_factory=dict)
    _since_ns: int | None = None  # boot time at which everything was subscribed

    def connected(self, now_ns: int) -> None:
        """Every subscription of a connection was accepted."""
        self._since_ns = now_ns
        for silence in self._silent.values():
            silence.resubscribed = silence.asked = False
            silence.charge = ""

    def lost(self) -> None:
        """The connection is gone: nothing can be said until the next one."""
        self._since_ns = None
        for contract, state in self.states.items():
            if state == "OK":
                self.states[contract] = "STALE"

    def look(self, now_ns: int, ages: Mapping[str, int | None], open_contracts: Collection[str]) -> list[Action]:
        """What to do at boot time `now_ns`.

        `ages`: of each contract's newest data (ns, real time), None = never any. Contracts that are not in
        `open_contracts` may be silent as long as they like.
        """
        if self._since_ns is None:
            return []
        for gone in self._silent.keys() - ages.keys():
            del self._silent[gone]
        self.states = {contract: self._state(now_ns, contract, ages[contract], open_contracts) for contract in ages}
        if not self._silent:
            return []
        for silence in self._silent.values():
            if silence.charge and now_ns - silence.charged_ns >= CONFIRM_NS:
                reason, silence.charge = silence.charge, ""
                return [Reconnect(reason)]
        quiet_ns = now_ns - self._since_ns  # no contract can be silent for longer on this connection
        if "OK" not in self.states.values():
            # All of them at once: no single subscription was lost, so one question is enough.
            first = min(self._silent)
            return self._ask(now_ns, first) if quiet_ns >= SILENT_NS else []
        actions: list[Action] = []
        for contract, silence in self._silent.items():
            age = ages[contract]
            silent_ns = quiet_ns if age is None else min(age, quiet_ns)
            if not silence.resubscribed and silent_ns >= SILENT_NS:
                silence.resubscribed = True
                actions.append(Resubscribe(contract))
            elif silent_ns >= LOST_NS:
                actions += self._ask(now_ns, contract)
        return actions

    def _state(self, now_ns: int, contract: str, age: int | None, open_contracts: Collection[str]) -> str:
        assert self._since_ns is not None
        is_open = contract in open_contracts
        fresh = age is not None and age < SILENT_NS
        if not is_open or fresh:
            self._silent.pop(contract, None)
            return "OK" if is_open else "CLOSED"
        if age is None and now_ns - self._since_ns < SILENT_NS:
            return "OK"  # subscribed a moment ago
        self._silent.setdefault(contract, _Silence())
        return "STALE"

    def _ask(self, now_ns: int, contract: str) -> list[Action]:
        silence = self._silent[contract]
        if silence.asked or now_ns < silence.next_ns:
            return []
        silence.asked = True
        return [AskHistory(contract)]

    def history(self, now_ns: int, contract: str, newest: Bar | None, last_data_ns: int) -> None:
        """The answer to an AskHistory: the newest bar, () when there is none, None when history did not answer.

        `last_data_ns`: exchange time of the newest data that the hub gave us, or of the subscription if that was later:
        trades of a time without a connection are no proof against this one. A bar with volume that begins behind its
        minute, or that has changed since the last look, holds trades that we did not get.
        """
        silence = self._silent.get(contract)
        if silence is None or not silence.asked:
            return  # data came meanwhile, or the connection is another one
        silence.asked = False
        silence.next_ns = now_ns + silence.pause_ns
        silence.pause_ns = min(MAX_PAUSE_NS, 2 * silence.pause_ns)
        if newest is None:
            # No second witness. To reconnect on suspicion is right; the growing pause keeps it from being a loop.
            silence.unanswered += 1
            if silence.unanswered >= 2:
                silence.unanswered = 0
                self._charge(silence, now_ns, f"no data for {contract}, and history does not answer")
            return
        silence.unanswered = 0
        if not newest or newest[1] == 0:
            return  # a bar without volume proves nothing: some gateways make them for quiet minutes
        before, silence.seen = silence.seen, newest
        if newest[0] > last_data_ns - last_data_ns % MINUTE_NS or (before is not None and newest != before):
            silence.pause_ns = SILENT_NS
            self._charge(silence, now_ns, f"no data for {contract} although its history goes on")

    @staticmethod
    def _charge(silence: _Silence, now_ns: int, reason: str) -> None:
        silence.charge, silence.charged_ns = reason, now_ns
