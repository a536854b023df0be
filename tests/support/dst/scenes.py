"""Where in a trading day a run plays: date, start, contracts, accounts and lengths, drawn from the seed."""

from dataclasses import dataclass, field
from datetime import date
from random import Random

from dst.scheduler import NS_PER_S
from tbot.domain.contracts import PRODUCTS, Contract
from tbot.domain.trading_hours import SessionCalendar
from tbot.risk.limits import RiskLimits
from tbot.sim.listing import front_contract
from tbot.storage.sessions import load_sessions

# Weekdays of the packaged table far from rolls and holidays; two lie in the weeks when Helsinki is 7 hours ahead.
DAYS = (
    date(2026, 2, 10), date(2026, 3, 25), date(2026, 5, 12), date(2026, 7, 21), date(2026, 10, 28), date(2026, 11, 10),
)  # fmt: skip
PLACES = ("morning", "morning", "morning", "morning", "open", "entries_end", "flat_by", "rollover")
SYMBOLS = (("MNQ",), ("MES", "MNQ"), ("MNQ", "MGC"), ("MES",), ("MNQ", "MES", "MGC"), ("ES", "MES"))


@dataclass(frozen=True, slots=True)
class Scene:
    """One compressed trading day."""

    start_ns: int  # market time, UTC
    place: str
    symbols: tuple[str, ...]
    contracts: tuple[Contract, ...]
    faults_s: float  # length of the part with faults
    calm_s: float
    signal_every_s: float
    rollover_ns: int  # end of the trading day in which it begins
    accounts: int = 1
    limits: RiskLimits = field(default_factory=RiskLimits)


def calendar() -> SessionCalendar:
    """The packaged table, binding."""
    return SessionCalendar(load_sessions())


def draw_scene(seed: int, place: str = "", symbols: tuple[str, ...] = ()) -> Scene:
    """The scene of a seed; `place` and `symbols` overrule the dice."""
    rng = Random(f"scene/{seed}")
    day, chosen, names = rng.choice(DAYS), rng.choice(PLACES), rng.choice(SYMBOLS)
    chosen, names = place or chosen, symbols or names
    hours = calendar()
    window = hours.window(day)
    assert window is not None
    edges = hours.trading_day(window.start_ns)
    minute = 60 * NS_PER_S
    start_ns = {
        "morning": window.start_ns + rng.randrange(300, 700) * minute,
        "open": window.start_ns - minute,
        "entries_end": window.entries_until_ns - 2 * minute,
        "flat_by": window.entries_until_ns - minute,
        "rollover": edges.end_ns - 2 * minute,
    }[chosen]
    contracts = tuple(front_contract(PRODUCTS[name], day) for name in names)
    return Scene(
        start_ns=start_ns,
        place=chosen,
        symbols=names,
        contracts=contracts,
        faults_s=float(rng.choice((120, 180, 240))),
        calm_s=65.0,
        signal_every_s=rng.choice((5.0, 8.0, 12.0)),
        rollover_ns=edges.end_ns,
        accounts=rng.choice((1, 1, 1, 2)),
    )
