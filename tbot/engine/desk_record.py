"""What the Desk of a run was told at construction, as one JSON text in the journal's first row of that run."""

from dataclasses import dataclass
from typing import Literal

import msgspec

from tbot.domain.contracts import PRODUCTS
from tbot.domain.trading_hours import SessionCalendar, SessionTable
from tbot.engine.settings import AccountPlan
from tbot.errors import DataError
from tbot.execution.settings import AccountSettings, Carried, DeskSettings
from tbot.risk.caps import Cap
from tbot.risk.limits import RiskLimits
from tbot.storage.sessions import load_sessions


@dataclass(frozen=True, slots=True)
class DeskRecord:
    """Plain values from which the same DeskSettings come out again."""

    accounts: tuple[AccountSettings, ...]
    limits: RiskLimits
    symbols: tuple[str, ...]
    template_hours: bool
    run_start_ms: int
    on_exit: Literal["flatten", "hold"]
    speed: float
    sessions: SessionTable | None = None  # None: the packaged one (journals of older versions)
    caps: tuple[Cap, ...] = ()
    in_process: bool = False  # lock-step: the paper broker tells everything at once
    absent: tuple[tuple[int, Carried], ...] = ()  # of accounts that earlier runs traded and this one does not

    def encode(self) -> str:
        """As JSON text."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def decode(cls, text: str) -> "DeskRecord":
        """Back from JSON; DataError when it is none of ours."""
        try:
            return msgspec.json.decode(text.encode(), type=cls)
        except msgspec.MsgspecError as error:
            raise DataError(f"the journal does not tell how its Desk was set up: {error}") from None

    def settings(self) -> DeskSettings:
        """DeskSettings, with the session table of that run."""
        return DeskSettings(
            accounts=self.accounts,
            limits=self.limits,
            products={symbol: PRODUCTS[symbol] for symbol in self.symbols},
            calendar=SessionCalendar(self.sessions or load_sessions(), template_ok=self.template_hours),
            run_start_ms=self.run_start_ms,
            on_exit=self.on_exit,
            speed=self.speed,
            caps=self.caps,
            in_process=self.in_process,
        )


def desk_account(plan: AccountPlan) -> AccountSettings:
    """An account as the Desk is told of it; ConfigError when floor or first day cannot be those of its rules."""
    return AccountSettings(
        plan.account,
        plan.name,
        limits=plan.limits,
        contracts=plan.contracts,
        rules=plan.rules,
        floor_cents=plan.floor_cents,
        since=plan.since,
    )
