"""Every number that binds a trade, with the bounds in which configuration may move it.

Defaults: failure-model.md section 3 (constants C_...) and design.md section 8, ruling 15. Where that table marks a
constant with "!", configuration may only tighten it; BOUNDS says so by putting the default at the loose end.
"""

from dataclasses import dataclass, fields

from tbot.domain.timeframes import NS_PER_MIN, NS_PER_S
from tbot.errors import ConfigError

NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class RiskLimits:
    """Limits of one account. Money in integer cents, distances in ticks, durations in ns. ConfigError when invalid."""

    # Loss
    daily_loss_cents: int = 80_000  # C_DAILY_LOSS, per trading day, fees included
    loss_reserve_ticks: int = 2  # C_LOSS_RESERVE: besides exit fees, per open contract
    consecutive_losses: int = 2  # C_CONSEC_LOSSES
    # Size
    risk_per_trade_cents: int = 20_000
    max_micros: int = 5  # contracts of a micro, per product
    max_minis: int = 1  # contracts of a mini, per product
    max_account_micros: int = 50  # all products in micro equivalents; 50K account: 5 minis (topstep-rules.md 2)
    # Order shape
    slip_ticks: int = 4  # C_SLIP_TICKS
    min_bracket_ticks: int = 4  # ruling 16
    collar_ticks: int = 400  # C_PRICE_COLLAR
    collar_bp: int = 200  # C_PRICE_COLLAR: 2 % in basis points
    min_target_cost_ratio: int = 4  # target distance in round-trip costs (smc.md section 11)
    # The stop moves to the entry once the position has gained this share of its approved stop distance; 0: never.
    break_even_percent: int = 0
    # The stop follows the market at this share of its approved distance, once that much is gained; 0: never.
    trail_percent: int = 0
    trail_step_ticks: int = 4  # least step of a trailing stop
    # Age
    signal_ttl_ns: int = 1_500 * NS_PER_MS  # C_SIGNAL_TTL
    quote_ban_ns: int = 3 * NS_PER_S  # C_QUOTE_STALE: no entries
    quote_stale_ns: int = 10 * NS_PER_S  # C_QUOTE_STALE: contract STALE, positions valued pessimistically
    blind_hold_ns: int = 120 * NS_PER_S  # C_BLIND_HOLD
    # Rate
    entry_gap_ns: int = 5 * NS_PER_S  # C_MAX_ENTRY_RATE: one entry per contract in this time
    entries_per_minute: int = 6  # C_MAX_ENTRY_RATE, per account
    entries_per_day: int = 40  # C_MAX_ENTRY_RATE, per account
    signals_per_minute: int = 120  # of one contract; more is a runaway worker (F-ORD-10)
    rejects_max: int = 3  # F-ORD-03: so many rejections ...
    rejects_window_ns: int = 10 * NS_PER_MIN  # ... within this time quarantine the contract
    # Conversation with the broker (these stretch with DeskSettings.speed)
    naked_ns: int = 3 * NS_PER_S  # C_NAKED_MAX
    proof_ns: int = 500 * NS_PER_MS  # pause before a missing proof of the stop is asked for
    entry_timeout_ns: int = 5 * NS_PER_S  # what of a market entry is not filled by then is cancelled
    command_timeout_ns: int = 10 * NS_PER_S  # above C_HTTP total 8 s: an answer that is still missing is ambiguous
    move_gap_ns: int = 2 * NS_PER_S  # least time between two moves of one stop: they share the rate budget (R9)
    unknown_horizon_ns: int = 60 * NS_PER_S  # C_UNKNOWN_HORIZON
    unknown_answers: int = 5  # C_UNKNOWN_HORIZON
    recon_open_ns: int = 5 * NS_PER_S  # C_RECON_OPEN
    recon_idle_ns: int = 30 * NS_PER_S  # C_RECON_IDLE
    recon_confirm_ns: int = 1 * NS_PER_S  # C_RECON_CONFIRM
    rest_failures: int = 3  # unproven answers in a row before the account pauses (F-API-04)
    flatten_alert_rounds: int = 5  # C_FLATTEN_ALERT

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            low, high = BOUNDS[entry.name]
            # bool is an int to Python, and "True contracts" is a mistake, not a number.
            if type(value) is not int or not low <= value <= high:
                raise ConfigError(f"risk limit {entry.name} is {value!r}; allowed: a whole number {low} to {high}")
        if self.quote_stale_ns < self.quote_ban_ns:
            raise ConfigError("risk limit quote_stale_ns is shorter than quote_ban_ns; it must be at least as long")

    def max_contracts(self, micros: int) -> int:
        """Largest position of a product whose contract counts as `micros` micro equivalents."""
        return self.max_micros if micros == 1 else self.max_minis


# (lowest, highest) allowed value of every field.
BOUNDS: dict[str, tuple[int, int]] = {
    "daily_loss_cents": (1, 80_000),
    "loss_reserve_ticks": (2, 100),
    "consecutive_losses": (1, 2),
    "risk_per_trade_cents": (1, 80_000),
    "max_micros": (0, 150),
    "max_minis": (0, 15),
    "max_account_micros": (1, 150),
    "slip_ticks": (4, 100),
    "min_bracket_ticks": (4, 400),
    "collar_ticks": (4, 400),
    "collar_bp": (1, 200),
    "min_target_cost_ratio": (0, 100),
    "break_even_percent": (0, 1000),
    "trail_percent": (0, 1000),
    "trail_step_ticks": (1, 400),
    "signal_ttl_ns": (1, 1_500 * NS_PER_MS),
    "quote_ban_ns": (1, 3 * NS_PER_S),
    "quote_stale_ns": (1, 10 * NS_PER_S),
    "blind_hold_ns": (NS_PER_S, 120 * NS_PER_S),
    "entry_gap_ns": (5 * NS_PER_S, 3_600 * NS_PER_S),
    "entries_per_minute": (1, 6),
    "entries_per_day": (1, 40),
    "signals_per_minute": (1, 120),
    "rejects_max": (1, 3),
    "rejects_window_ns": (10 * NS_PER_MIN, 24 * 60 * NS_PER_MIN),
    "naked_ns": (100 * NS_PER_MS, 3 * NS_PER_S),
    "proof_ns": (50 * NS_PER_MS, 3 * NS_PER_S),
    "entry_timeout_ns": (100 * NS_PER_MS, 60 * NS_PER_S),
    "command_timeout_ns": (8 * NS_PER_S, 60 * NS_PER_S),
    "move_gap_ns": (NS_PER_S, 3_600 * NS_PER_S),
    "unknown_horizon_ns": (60 * NS_PER_S, 3_600 * NS_PER_S),
    "unknown_answers": (5, 100),
    "recon_open_ns": (NS_PER_S, 5 * NS_PER_S),
    "recon_idle_ns": (NS_PER_S, 30 * NS_PER_S),
    "recon_confirm_ns": (NS_PER_S, 10 * NS_PER_S),
    "rest_failures": (1, 3),
    "flatten_alert_rounds": (1, 100),
}
