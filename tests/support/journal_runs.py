"""A run in lock-step inside the test process, with its journal: what replays of journals are tried on."""

from pathlib import Path

import numpy as np

import status_rig
from lively_tape import LIVELY, lively
from tbot.domain.contracts import PRODUCTS
from tbot.engine.clocks import FixedClock
from tbot.engine.desk_setup import open_desk
from tbot.engine.health import Hops
from tbot.engine.settings import AccountPlan, EngineSettings
from tbot.risk.limits import RiskLimits
from tbot.storage.replay_stream import instants
from tbot.strategy.decider import ContractDecider

SYMBOLS = ("MNQ", "MES")
def settings_in(folder: Path, run_id: int = 77) -> EngineSettings:
    limits = RiskLimits(risk_per_trade_cents=80_000)
    return status_rig.settings(
        folder, mode="replay", symbols=SYMBOLS, limits=limits, template_hours=True, run_id=run_id
    )


PAPER = (AccountPlan.paper(),)


def run(settings: EngineSettings, seed: int, minutes: int = 330, accounts: tuple[AccountPlan, ...] = PAPER) -> str:
    """A run in lock-step inside this process, with journal; returns the digest of its Desk at the end."""
    clock = FixedClock()
    hops = Hops("signal_executor", "signal_request", "journal", "rest")
    desk = open_desk(settings, None, clock, accounts, lambda *_: None, hops)
    deciders = {PRODUCTS[symbol].contract_id: ContractDecider(PRODUCTS[symbol], LIVELY) for symbol in SYMBOLS}
    tape = lively(SYMBOLS, seed, minutes)
    for contract_id in deciders:
        mine = tape["contract_id"] == contract_id
        tape["seq"][mine] = 2 * np.arange(mine.sum()) + 2
    tape["epoch"] = 1
    for instant in instants([tape]):
        signals = []
        for contract_id, decider in deciders.items():
            mine, at = instant[instant["contract_id"] == contract_id], 0
            while at < len(mine) or decider.pending:
                at, found = decider.feed(mine, at)
                signals += found
        clock.set_ns(int(instant["exch_ns"][0]))
        desk.session.step(instant, signals, clock.now_ns())
    digest = desk.desk.digest()
    assert desk.status()["journal"]["digest"] == digest
    desk.close()
    return digest
