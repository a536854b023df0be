"""Market clock of a gateway, and what it means when a simulated one shows another time after a reconnection."""

from tbot.domain.clock import MarketClock
from tbot.engine.clocks import NS_PER_S, RunClock, SimulatedClock, WallClock, boot_ns

TOLERANCE_NS = NS_PER_S // 2  # real time; both readings come from the boot clock of this machine


def compare(old: RunClock, new: SimulatedClock) -> str:
    """What to do about a fresh reading of /sim/clock: "" nothing, "adopt" it, or why this run must not go on.

    Forward is a pause that we slept through, or another speed. Backward is another run of the simulator: to a fold
    that has seen 11:00 there is no 10:00 any more, and orders would be timed by two clocks.
    """
    if isinstance(old, WallClock):
        return "the gateway shows a simulated clock now; start the engine again"
    ahead_ns = new.now_ns() - old.now_ns()
    limit_ns = int(TOLERANCE_NS * max(1.0, new.speed))
    if ahead_ns < -limit_ns:
        return (
            f"the gateway's market clock went back by {-ahead_ns / NS_PER_S:.0f} s: it is another run of the "
            "simulator; start the engine again"
        )
    return "adopt" if ahead_ns > limit_ns or new.speed != old.speed else ""


def stands_still(old: RunClock, held_ns: int) -> str:
    """The same for a market that has not started: it may stand where we are, but not before."""
    return compare(old, SimulatedClock(MarketClock(held_ns, boot_ns(), old.speed)))
