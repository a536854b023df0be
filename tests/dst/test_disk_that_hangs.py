"""A disk whose every sync takes twelve seconds, under the journal that a real run has: the whole engine, by a seed.

With the disk work in the executor's loop the first close of a kill left eighteen seconds after the press (I10).
"""

from dataclasses import replace
from typing import Any

import pytest

from dst.plans import Fault
from dst.scenes import draw_scene
from dst.verdict import Verdict, run
from dst.world import START_BOOT_NS
from tbot.gateway.codec_tables import POSITION_CLOSE

HANGS = Fault("s", "disk.slow", at=30.0, seconds=25.0, args={"seconds": 12.0})
KILL = Fault("k", "person.kill", at=36.0)


def play(seed: int, *faults: Fault, **more: Any) -> Verdict:
    scene = replace(draw_scene(seed), **{"faults_s": 60.0, "calm_s": 20.0, "signal_every_s": 5.0, **more})
    verdict = run(seed, list(faults), scene)
    assert not verdict.violations, verdict.text()
    return verdict


@pytest.mark.parametrize("seed", [5, 8])
def test_I10_F_SYS_05_a_kill_closes_while_the_disk_hangs(seed: int) -> None:
    verdict = play(seed, HANGS, KILL)
    closes = [request.boot_ns for request in verdict.world.evidence.wire if request.path == POSITION_CLOSE.path]
    assert closes
    assert 36_000_000_000 <= closes[0] - START_BOOT_NS <= 38_000_000_000
    assert verdict.judged["I10"] > 0


def test_I12_F_SYS_05_a_loss_is_cut_while_the_disk_hangs() -> None:
    verdict = play(8, HANGS, Fault("g", "market.gap", at=36.0, args={"ticks": -300}))
    assert verdict.judged["I12"] > 0


def test_I14_F_PRC_01_a_death_while_the_disk_hangs_starts_from_proof() -> None:
    """What was not on disk is lost with the process, and nothing is sent twice."""
    verdict = play(7, HANGS, Fault("d", "proc.kill", at=41.0, args={"down": 1.0}))
    assert verdict.judged["I2"] > 0
