"""What a run is: plain values that the launcher hands to every process. Nothing here is secret."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tbot.domain.clock import MarketClock
from tbot.domain.trading_hours import SessionTable
from tbot.risk.limits import RiskLimits
from tbot.storage.sessions import load_sessions
from tbot.strategy.trader import StrategySettings

Mode = Literal["sim", "paper", "live", "replay"]
WaitStrategy = Literal["futex", "poll", "spin"]

RING_CAPACITY = 1 << 16  # ticks a contract: about a minute of the busiest tape at 1 000 ticks a second
HISTORY_CAPACITY = 20_000  # 1m bars a contract: what one history request can return


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Where the gateway is. `simulated`: it is ours, answers /sim/clock, and takes orders without live authority."""

    rest_url: str
    user_hub: str
    market_hub: str
    simulated: bool
    embedded: bool = False


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """One run of the engine, as every process of it sees it."""

    mode: Mode
    symbols: tuple[str, ...]
    state_dir: Path
    run_dir: Path
    run_id: int
    build: str
    config_hash: str
    gateway: GatewaySettings | None = None
    tape: Path | None = None
    speed: float = 0.0  # of a replay; 0 = lock-step
    strategy: StrategySettings = field(default_factory=StrategySettings)
    limits: RiskLimits = field(default_factory=RiskLimits)
    workers: int = 0  # 0: one process per contract; n: n processes share the contracts
    wait: WaitStrategy = "futex"
    on_exit: Literal["flatten", "hold"] = "flatten"
    accounts: tuple[int, ...] = ()  # pinned account ids; empty: the first tradable one of a simulated gateway
    sessions: SessionTable = field(default_factory=load_sessions)  # as read at the start; later edits change nothing
    template_hours: bool = False  # years outside the session table use the weekly template
    history_days: int = 5
    clock: MarketClock | None = None  # of a paced replay
    pointer: Path | None = None  # file that tells where the newest run keeps its state
    keep_bars: Path | None = None  # folder for the closed 1m bars of every contract

    @property
    def lockstep(self) -> bool:
        """A tape at speed max: the source waits for everybody after each exchange instant."""
        return self.mode == "replay" and self.speed == 0

    @property
    def journal_path(self) -> Path:
        return self.state_dir / "journal.db"

    def socket(self, name: str) -> Path:
        """Address of one of the run's own sockets, inside its private directory."""
        return self.run_dir / f"{name}.sock"

    def ring_name(self, symbol: str) -> str:
        return f"ring.{symbol}"

    def history_name(self, symbol: str) -> str:
        return f"history.{symbol}"
