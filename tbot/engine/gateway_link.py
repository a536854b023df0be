"""The executor's line to the gateway: login, contracts, account, market clock; asked for until all is known."""

import threading
from dataclasses import dataclass
from typing import Any

from tbot.domain.clock import MarketClock
from tbot.engine.child import ChildContext
from tbot.engine.clocks import RunClock, SimulatedClock, WallClock
from tbot.engine.settings import EngineSettings, GatewaySettings
from tbot.errors import AuthError, ConfigError, GatewayError
from tbot.gateway.codec_domain import ContractBook, resolve
from tbot.gateway.redact import Credentials
from tbot.gateway.rest import OrderClient, RestClient

TOKEN_LOOK_S = 900.0  # design ruling 14


@dataclass(frozen=True, slots=True)
class Account:
    """The account a run trades."""

    account: int
    name: str

    @classmethod
    def paper(cls) -> "Account":
        """The paper account: it exists in the executor only."""
        return cls(1, "PAPER")


def read_sim_clock(rest: RestClient) -> tuple[SimulatedClock | None, int]:
    """(market clock of a simulated gateway or None while it stands still, market time it shows; 0: not readable)."""
    answer = rest.sim_clock()
    reading = answer.value
    if not answer.ok or reading is None:
        return None, 0
    if not reading.started:
        return None, reading.market_ns
    return SimulatedClock(MarketClock(reading.market_ns, reading.boot_ns, reading.speed)), reading.market_ns


class Link:
    """What the executor knows of the gateway so far."""

    def __init__(self, settings: EngineSettings, gateway: GatewaySettings, credentials: Credentials) -> None:
        self._settings = settings
        self._gateway = gateway
        # Only where orders may go there is a client that can place them (I17).
        orders = settings.mode in ("sim", "live")
        self.rest: RestClient = (OrderClient if orders else RestClient)(gateway.rest_url, credentials)
        self._contracts: dict[str, str] | None = None
        self._account: Account | None = None
        self._clock: RunClock | None = None
        self._stop = threading.Event()
        self._renewer = threading.Thread(target=self._renew, name="token", daemon=True)
        self._renewer.start()

    @property
    def user_hub(self) -> str:
        return self._gateway.user_hub

    def _renew(self) -> None:
        """Look at the token every 15 minutes; validate at 80 % of its life, log in on refusal."""
        while not self._stop.wait(TOKEN_LOOK_S):
            if self.rest.tokens.renewal_due():
                self.rest.tokens.renew_in_time()

    def token(self) -> tuple[int, str]:
        """(revision, token); (0, "") while there is none or the contracts are not known."""
        token = self.rest.tokens.current()
        if token is None or self._contracts is None:
            return 0, ""
        return token.revision, token.text

    def contracts(self) -> dict[str, str]:
        """Product symbol -> gateway contract id, of the contracts of this run."""
        return dict(self._contracts or {})

    def book(self) -> ContractBook:
        return ContractBook(self.contracts())

    def account(self) -> Account | None:
        """The account to trade; asks the gateway until it is known. AuthError or ConfigError when it cannot be."""
        if self._account is None:
            self._resolve()
            self._account = Account.paper() if self._settings.mode == "paper" else self._choose_account()
        return self._account

    def _resolve(self) -> None:
        if self._contracts is not None:
            return
        answer = self.rest.contract_available()
        if self.rest.tokens.refused:
            raise AuthError(f"the gateway refused the login: {self.rest.tokens.refused}; check user name and key")
        if not answer.ok or answer.value is None:
            raise GatewayError(f"the gateway does not list its contracts yet ({answer.text or answer.outcome})")
        found, missing = resolve(answer.value, self._settings.symbols)
        if missing:
            reasons = "; ".join(f"{symbol}: {why}" for symbol, why in missing.items())
            raise ConfigError(f"contracts that cannot be traded: {reasons}; leave them out with --contracts")
        self._contracts = found

    def _choose_account(self) -> Account:
        answer = self.rest.account_search()
        if not answer.ok or answer.value is None:
            raise GatewayError(f"the gateway does not list its accounts yet ({answer.text or answer.outcome})")
        usable = [account for account in answer.value if account.can_trade and account.simulated]
        pinned = self._settings.accounts
        if len(pinned) > 1:
            raise ConfigError(f"{len(pinned)} accounts are pinned; this version trades one: leave one in [account] ids")
        if pinned:
            usable = [account for account in usable if account.account_id in pinned]
        if not usable:
            raise ConfigError("no simulated account that can trade; look at the account on the platform")
        return Account(usable[0].account_id, usable[0].name)

    def clock(self) -> RunClock | None:
        """Market clock; None while a simulated market has not started."""
        if self._clock is None:
            self._clock = read_sim_clock(self.rest)[0] if self._gateway.simulated else WallClock()
        return self._clock

    def status(self) -> dict[str, Any]:
        """API figures for the status document."""
        return {"api": self.rest.status()}

    def close(self) -> None:
        self._stop.set()
        self.rest.close()


def open_link(settings: EngineSettings, context: ChildContext) -> Link:
    """Link of a run whose credentials came by pipe; ConfigError without them."""
    credentials = context.secrets.get("credentials")
    if settings.gateway is None or credentials is None:
        raise ConfigError("no gateway or no credentials; set TBOT_USERNAME and TBOT_API_KEY")
    return Link(settings, settings.gateway, Credentials(*credentials))


