"""The executor's line to the gateway: login, contracts, account, market clock; asked for until all is known.

What changes while the engine runs is looked at by a thread of its own, never by the executor's loop: the token every 15
minutes, the list of active months once a day before the open and after each reconnection, a simulated clock after each
reconnection, the pinned accounts after each login. What it finds is read as values.
"""

import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

import orjson

from tbot.context.dxy import LEGS
from tbot.domain.clock import MarketClock
from tbot.domain.timeframes import NS_PER_S
from tbot.domain.trading_hours import trading_day
from tbot.engine.child import ChildContext
from tbot.engine.clocks import RunClock, SimulatedClock, WallClock, boot_ns
from tbot.engine.market_clock import compare, stands_still
from tbot.engine.settings import AccountPlan, EngineSettings, GatewaySettings
from tbot.errors import AuthError, ConfigError, GatewayError
from tbot.gateway.codec_domain import ContractBook, resolve
from tbot.gateway.codec_models import BrokerContract
from tbot.gateway.pinned import identity_trouble, trouble_of
from tbot.gateway.redact import Credentials
from tbot.gateway.request_log import request_log
from tbot.gateway.rest import OrderClient, RestClient
from tbot.storage.private_file import replace_private

TOKEN_LOOK_S = 900.0  # design ruling 14; a tenth of the token's life when that is shorter
LEAST_LOOK_S = 1.0
REVISION_BITS = 20  # a million logins in one life of an executor
LIST_RETRY_NS = 60 * NS_PER_S  # after a list that could not be read
PAPER = AccountPlan.paper()
REQUESTS_FILE = "requests"  # in the run's directory: when this run's executors asked the gateway
ACCOUNT_FILE = "account.json"  # in the run's directory: the account taken where none is pinned
BEFORE_OPEN_NS = 30 * 60 * NS_PER_S  # the daily look at the active months: 16:30 in Chicago


@dataclass(frozen=True, slots=True)
class Listing:
    """What the gateway's newest list says of the contracts of this run."""

    active: dict[str, str]  # product symbol -> contract id
    missing: dict[str, str]  # product symbol -> why it cannot be traded


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

    def __init__(
        self, settings: EngineSettings, gateway: GatewaySettings, credentials: Credentials, *, restarted: bool = False
    ) -> None:
        """`restarted`: for an executor that comes back in a run, which has its accounts already."""
        self._settings = settings
        self._restarted = restarted
        # One that the firm has stopped meanwhile must not end the run: the Desk locks it, and guards the others.
        self._judge = identity_trouble if restarted else trouble_of
        self._gateway = gateway
        # Only where orders may go there is a client that can place them (I17).
        orders = settings.mode == "live" or (settings.mode == "sim" and gateway.simulated)
        self._orders = orders
        log = request_log(settings.run_dir / REQUESTS_FILE)
        self.rest: RestClient = (OrderClient if orders else RestClient)(gateway.rest_url, credentials, log=log)
        self._contracts: dict[str, str] | None = None
        # Of the contracts: grows at every roll, and is newer than that of any executor before this one, so that a feed
        # which has outlived it takes over the months that this one found. By the boot clock: both live on one machine,
        # and a wall clock that was set back must not make the newer one the older (F-TIM-01).
        self._first_generation = 1 + boot_ns() // NS_PER_S
        self._first_revision = self._first_generation << REVISION_BITS  # token revisions outrank an earlier executor's
        self._rolls = 0
        self._leg_changes = 0  # counted by the thread, the rolls by the loop
        # Of the dollar index, those that are not traded: (product symbol -> gateway contract id, symbol -> why not).
        self.legs: tuple[dict[str, str], dict[str, str]] = {}, {}
        self.listing: Listing | None = None  # of the newest look; None: none since the start
        self.clock_trouble = ""  # why a simulated gateway's clock is not ours any more
        self.errors: Counter[str] = Counter()  # of the thread, by kind
        self._accounts: tuple[AccountPlan, ...] | None = None
        self._accounts_revision = 0  # token revision under which they were last found in order
        self._forgiven = 0  # times that a person has seen to the accounts
        self.accounts_trouble = ""  # an account is not the one that was pinned; a person must look
        self._clock: RunClock | None = None
        self._stopped = False
        self._wanted: set[str] = set()  # login, list, clock, date, accounts
        self._news = threading.Condition()
        self._list_due_ns = 0  # boot clock; 0: by the calendar
        self._listed_day: object = None
        self._thread = threading.Thread(target=self._run, name="gateway", daemon=True)
        self._thread.start()

    @property
    def user_hub(self) -> str:
        return self._gateway.user_hub

    # -------------------------------------------------------------------------------------------------- the thread
    def _run(self) -> None:
        while True:
            with self._news:
                if not self._wanted and not self._stopped:
                    self._news.wait(self._pause_s())
                if self._stopped:
                    return
                wanted, self._wanted = self._wanted, set()
            try:
                self._look(wanted)
            except Exception as error:  # a bug of ours must not end the watch in silence: it is shown, and goes on
                self.errors[type(error).__name__] += 1

    def _look(self, wanted: set[str]) -> None:
        if "login" in wanted:
            self.rest.tokens.get()
        elif self.rest.tokens.current() is not None and self.rest.tokens.renewal_due():
            self.rest.tokens.renew_in_time()
        if "accounts" in wanted or self._logged_in_anew():
            self._look_at_accounts()
        if "date" in wanted:
            self.rest.ping()
        if "clock" in wanted:
            self._look_at_clock()
        if self._contracts is not None and ("list" in wanted or self._list_due()):
            self._look_at_list()

    def _pause_s(self) -> float:
        """Until the next look that nobody asked for."""
        token = self.rest.tokens.current()
        life_s = 0.0 if token is None else (token.expires_ns - token.received_ns) / NS_PER_S
        return min(TOKEN_LOOK_S if life_s == 0 else max(LEAST_LOOK_S, life_s / 10), TOKEN_LOOK_S, 60.0)

    def _want(self, *what: str) -> None:
        with self._news:
            self._wanted.update(what)
            self._news.notify()

    def _list_due(self) -> bool:
        if self._list_due_ns:
            return boot_ns() >= self._list_due_ns
        # The trading day of half an hour later: it changes at 16:30, before the open of the next one.
        now_ns = self._clock.now_ns() if self._clock is not None else time.time_ns()
        return self._listed_day is not None and trading_day(now_ns + BEFORE_OPEN_NS) != self._listed_day

    def _look_at_list(self) -> None:
        now_ns = self._clock.now_ns() if self._clock is not None else time.time_ns()
        answer = self.rest.contract_available()
        if not answer.ok or answer.value is None:
            self._list_due_ns = boot_ns() + LIST_RETRY_NS
            return
        self._list_due_ns = 0
        self._listed_day = trading_day(now_ns + BEFORE_OPEN_NS)
        self.listing = Listing(*resolve(answer.value, self._settings.symbols))
        self._look_at_legs(answer.value)

    def _look_at_legs(self, listed: list[BrokerContract]) -> None:
        """What the dollar index is made of. Without one of them the run goes on: the index is stale, its policy acts.

        A month that is gone from the list is fed on: the list may be what is wrong.
        """
        if not self._settings.strategy.dollar.followed:
            return
        found, missing = resolve(listed, (symbol for symbol in LEGS if symbol not in self._settings.symbols))
        legs = {**self.legs[0], **found}, missing
        if legs != self.legs:
            self.legs = legs
            self._leg_changes += 1

    def _logged_in_anew(self) -> bool:
        token = self.rest.tokens.current()
        if token is None or self._accounts is None or not self._orders:
            return False
        return token.revision > self._accounts_revision

    def _look_at_accounts(self) -> None:
        """F-ACC-04: after each login every account is still the one that was pinned. Trouble stays until `forgive`.

        Whether it may trade is another matter: that is the Desk's, for each account by itself (F-ACC-03).
        """
        token, forgiven = self.rest.tokens.current(), self._forgiven
        answer = self.rest.account_search(False)
        if not answer.ok or answer.value is None:
            return  # asked again at the next look
        if forgiven != self._forgiven:
            return  # a person has looked since: what was listed before is not held against the account
        self._accounts_revision = 0 if token is None else token.revision
        own = self._accounts or ()
        troubles = [identity_trouble(answer.value, account.account, account.name) for account in own]
        self.accounts_trouble = self.accounts_trouble or "; ".join(filter(None, troubles))

    def _look_at_clock(self) -> None:
        clock = self._clock
        if clock is None or not self._gateway.simulated:
            return
        fresh, held_ns = read_sim_clock(self.rest)
        if fresh is None and not held_ns:
            return  # not readable now: asked again at the next reconnection
        verdict = stands_still(clock, held_ns) if fresh is None else compare(clock, fresh)
        if verdict == "adopt" and fresh is not None:
            assert isinstance(clock, SimulatedClock)
            clock.adopt(fresh)
            verdict = ""
        self.clock_trouble = "" if verdict == "adopt" else verdict

    # ---------------------------------------------------------------------------------------------------- questions
    def token(self) -> tuple[int, str]:
        """(revision, token); (0, "") while there is none or the contracts are not known."""
        token = self.rest.tokens.current()
        if token is None or self._contracts is None:
            return 0, ""
        return self._first_revision + token.revision, token.text

    def token_refused(self, revision: int) -> None:
        """A hub did not accept this token: log in anew, unless that was done already or it is not one of ours."""
        token = self.rest.tokens.current()
        if token is not None and token.revision <= revision - self._first_revision:
            self.rest.tokens.invalidate(token)
            token = None
        if token is None and not self.rest.tokens.refused:
            self._want("login")

    def look_again(self) -> None:
        """After a reconnection: it may be another gateway, another clock, another month."""
        self._want("list", "clock")

    def ask_date(self) -> None:
        """What time the gateway has is wanted: any answer tells."""
        self._want("date")

    def contracts(self) -> dict[str, str]:
        """Product symbol -> gateway contract id, of the contracts of this run."""
        return dict(self._contracts or {})

    def roll(self, symbol: str, broker_id: str) -> None:
        """From now on this month stands for the product."""
        self._contracts = {**(self._contracts or {}), symbol: broker_id}
        self._rolls += 1

    @property
    def generation(self) -> int:
        """Of the contracts and the legs: grows with every change of either."""
        return self._first_generation + self._rolls + self._leg_changes

    def book(self) -> ContractBook:
        return ContractBook(self.contracts())

    def accounts(self) -> tuple[AccountPlan, ...] | None:
        """The accounts to trade; asks the gateway until they are known. AuthError or ConfigError when they can't be."""
        if self._accounts is None:
            self._resolve()
            self._accounts = self._find_accounts() if self._orders else self._settings.accounts or (PAPER,)
        return self._accounts

    def look_after_login(self) -> None:
        """Called now and then by the owner's loop: a login may have happened at any call."""
        if self._logged_in_anew():
            self._want("accounts")

    def forgive(self) -> None:
        """A person has seen to the accounts: look at them anew."""
        self._forgiven += 1
        self.accounts_trouble = ""
        self._want("accounts")

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
        self._look_at_legs(answer.value)
        self._contracts = found
        now_ns = self._clock.now_ns() if self._clock is not None else time.time_ns()
        self._listed_day = trading_day(now_ns + BEFORE_OPEN_NS)

    def _find_accounts(self) -> tuple[AccountPlan, ...]:
        token = self.rest.tokens.current()
        answer = self.rest.account_search(False)
        if not answer.ok or answer.value is None:
            raise GatewayError(f"the gateway does not list its accounts yet ({answer.text or answer.outcome})")
        self._accounts_revision = 0 if token is None else token.revision
        pinned = self._settings.accounts or self._taken_before()
        troubles = [self._judge(answer.value, account.account, account.name) for account in pinned]
        if any(troubles):
            raise ConfigError(f"{'; '.join(filter(None, troubles))}; see tbot accounts, then correct [[accounts]]")
        if pinned:
            return pinned
        usable = [entry for entry in answer.value if not trouble_of(answer.value, entry.account_id, "")]
        if not usable:
            raise ConfigError("no simulated account that can trade; look at the account on the platform")
        plan = AccountPlan(usable[0].account_id, usable[0].name)
        document = orjson.dumps({"account": plan.account, "name": plan.name})
        try:
            replace_private(self._settings.run_dir / ACCOUNT_FILE, document, sync=False)
        except OSError as error:
            raise ConfigError(f"the run's account cannot be noted: {error}; make room, then start again") from None
        return (plan,)

    def _taken_before(self) -> tuple[AccountPlan, ...]:
        """The account that an earlier executor of this run took where none is pinned; (): there was none.

        Its journal, locks and positions are there: whoever may trade now, the run keeps its account.
        """
        path = self._settings.run_dir / ACCOUNT_FILE
        if not self._restarted or not path.exists():
            return ()
        try:
            document = orjson.loads(path.read_bytes())
            return (AccountPlan(int(document["account"]), str(document["name"])),)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"the account of this run is not readable: {error}; start the engine again") from None

    def clock(self) -> RunClock | None:
        """Market clock; None while a simulated market has not started."""
        if self._clock is None:
            self._clock = read_sim_clock(self.rest)[0] if self._gateway.simulated else WallClock()
        return self._clock

    def status(self) -> dict[str, Any]:
        """API figures for the status document."""
        return {"api": self.rest.status(), "link_errors": dict(self.errors)}

    def close(self) -> None:
        with self._news:
            self._stopped = True
            self._news.notify()
        self.rest.close()


def open_link(settings: EngineSettings, context: ChildContext) -> Link:
    """Link of a run whose credentials came by pipe; ConfigError without them."""
    credentials = context.secrets.get("credentials")
    if settings.gateway is None or credentials is None:
        raise ConfigError("no gateway or no credentials; set TBOT_USERNAME and TBOT_API_KEY")
    return Link(
        settings, settings.gateway, Credentials(*credentials), restarted=bool(context.secrets.get("restarted"))
    )


