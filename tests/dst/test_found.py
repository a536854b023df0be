"""What random plans once found, as scripts: the faults that it took, judged by the whole referee."""

from dataclasses import replace

import pytest

from dst.plans import Fault
from dst.scenes import draw_scene
from dst.verdict import Verdict, run


def play(seed: int, *faults: Fault, place: str = "morning", symbols: tuple[str, ...] = (), **more: object) -> Verdict:
    """One short day with these faults; what the referee saw must be nothing."""
    scene = replace(draw_scene(seed, place, symbols), **{"faults_s": 60.0, "calm_s": 20.0, **more})  # type: ignore[arg-type]
    verdict = run(seed, list(faults), scene)
    assert not verdict.violations, verdict.text()
    return verdict


@pytest.mark.parametrize("off_s", [-1.5, 0.0, 1.5])
def test_I7_F_NET_05_no_entry_on_prices_that_come_four_seconds_late(off_s):
    """Allowance for clocks that differ was taken off each age: prices of up to five seconds passed for fresh."""
    step = Fault("c", "clock.step", at=5.0, args={"seconds": off_s})
    late = Fault("l", "ws.latency", at=20.0, seconds=35.0, args={"seconds": 4.0})
    verdict = play(1151, *([step] if off_s else []), late, symbols=("MES", "MNQ"))
    assert verdict.judged["I7"] > 0


@pytest.mark.parametrize("seed", [1084, 3, 11])
def test_I11_F_ACC_05_answers_four_seconds_old_do_not_bring_back_what_is_over(seed):
    """Two of them agree with each other; a position that was over was taken over again, and its result told twice."""
    old = Fault("o", "rest.stale_read", at=20.0, seconds=40.0, args={"age": 4.0})
    play(seed, old, symbols=("MNQ", "MGC"), signal_every_s=5.0)
