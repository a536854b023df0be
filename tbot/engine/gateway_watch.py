"""What the executor does about a gateway that changes: months that roll, refused logins, taken sessions, other clocks.

Runs in the executor's loop and waits for nothing: `Link` and the hubs look, this class reads what they found and tells
the Desk, through the session, which contracts take no entries and why (I29, F-ACC-04, F-API-02, F-NET-07, F-NET-09,
F-TIM-07). Exits and reconciliation go on whatever is barred.

A roll is done live: the old month takes no entries from the moment the list names another one; what is open there is
managed under the old id until the account is proven flat (the daily flatten sees to that at the latest); then the new
id stands for the product, the feed changes its subscriptions, and the contract stays without entries until history and
a quote of the new month have come.
"""

from tbot.domain.expiry import entries_end
from tbot.domain.process_messages import TokenRequest
from tbot.domain.trading_hours import trading_day
from tbot.domain.words import plural
from tbot.engine.clocks import NS_PER_S, boot_ns
from tbot.engine.desk_setup import TradingDesk
from tbot.engine.gateway_link import Link
from tbot.engine.observer import Tell

LOOK_NS = NS_PER_S
Bar = tuple[str, str]  # RC_ code and reason of a contract that takes no entries

LOOKED_INTO = ("RC_AUTH", "RC_SECOND_ENGINE", "RC_CONFIG")  # of what stops all contracts: ends by `acknowledge` alone
GOODBYES = 3
USER_HUB_GRACE_NS = 2 * NS_PER_S  # a change of tokens takes less


class GatewayWatch:
    """`look` about once a second; `on_feed` with every word of the feed."""

    def __init__(self, link: Link, desk: TradingDesk, symbols: tuple[str, ...], tell: Tell) -> None:
        self._link = link
        self._desk = desk
        self._symbols = symbols
        self._tell = tell
        self._next_ns = 0
        self._feed_connects = 0
        self._user_connects = 0
        self._feed_logouts = 0
        self._logouts_seen = 0  # up to here a person knows
        self._switching: dict[str, int] = {}  # contract -> generation that the feed has yet to take up

    # --------------------------------------------------------------------------------------------------------- words
    def on_feed(self, message: TokenRequest) -> None:
        """The feed reported. Everything it wrote into the rings before must have gone through the session."""
        self._feed_logouts = max(self._feed_logouts, message.logouts)
        if message.connects > self._feed_connects:
            first, self._feed_connects = not self._feed_connects, message.connects
            if not first:
                self._link.look_again()
        for symbol, generation in list(self._switching.items()):
            if message.contracts >= generation:
                del self._switching[symbol]  # the ring has said that another contract begins
                self._next_ns = 0

    def acknowledge(self) -> None:
        """A person said `resume`: they know of taken sessions, changed accounts and refused logins so far."""
        self._logouts_seen = self._logouts
        if self._link.rest.tokens.refused:
            self._link.rest.tokens.reset()
        if self._link.accounts_trouble:
            self._link.forgive()
        self._next_ns = 0

    @property
    def of_the_login(self) -> str:
        """What stops every account until a person has looked, because all of them share the login; "" when nothing."""
        found = self._everywhere()
        return found[1] if found is not None and found[0] in LOOKED_INTO else ""

    @property
    def _logouts(self) -> int:
        return self._feed_logouts + self._desk.logouts

    # ---------------------------------------------------------------------------------------------------------- look
    def look(self) -> None:
        """Bar and free contracts as things stand."""
        if boot_ns() < self._next_ns:
            return
        self._next_ns = boot_ns() + LOOK_NS
        if self._desk.user_connects > self._user_connects:
            first, self._user_connects = not self._user_connects, self._desk.user_connects
            if not first:
                self._link.look_again()
        self._desk.renew_user_hub()
        self._link.look_after_login()
        self._roll()
        now_ns = self._desk.clock.now_ns()
        for symbol in self._symbols:
            before = self._desk.session.barred.get(symbol, "")
            code, reason = self._everywhere() or self._reason(symbol)
            self._desk.session.bar(symbol, code, reason, now_ns)
            if reason != before:
                self._tell(now_ns, "STATE", symbol, f"no entries: {reason}" if reason else "entries are possible again")

    def _everywhere(self) -> Bar | None:
        """Why no contract takes entries; None when none of it holds."""
        refused = self._link.rest.tokens.refused
        if refused:
            return "RC_AUTH", f"the gateway refused the login: {refused}"
        if self._logouts > self._logouts_seen:
            return "RC_SECOND_ENGINE", "somebody else uses this login"
        if self._link.accounts_trouble:
            return "RC_CONFIG", self._link.accounts_trouble
        if self._link.clock_trouble:
            return "RC_CLOCK", self._link.clock_trouble
        return ("RC_USER_HUB", "order events are down") if self._user_hub_down() else None

    def _user_hub_down(self) -> str:
        """Why no order events come; "" while they do (F-NET-07: queries watch what is open, nothing new is opened)."""
        reason, since_ns = self._desk.user_hub_lost
        return reason if reason and boot_ns() - since_ns >= USER_HUB_GRACE_NS else ""

    def _reason(self, symbol: str) -> Bar:
        """Why this contract takes no entries; two empty texts when nothing stands against them."""
        current = self._link.contracts().get(symbol, "")
        if symbol in self._switching:
            return "RC_EXPIRY", f"changing to {current}"
        listing = self._link.listing
        if listing is not None:
            if symbol in listing.missing:
                return "RC_EXPIRY", f"the gateway's list: {listing.missing[symbol]}"
            active = listing.active.get(symbol, current)
            if active != current:
                return "RC_EXPIRY", f"rolled from {current} to {active}; what is open in the old month is closed first"
        end = entries_end(current)
        if end is not None and trading_day(self._desk.clock.now_ns()) >= end:
            return "RC_EXPIRY", f"{current} expires soon (no entries from {end} on)"
        return "", ""

    def _roll(self) -> None:
        """Change to the listed month when nothing is open any more."""
        listing = self._link.listing
        if listing is None:
            return
        current = self._link.contracts()
        rolled = {symbol: new for symbol, new in listing.active.items() if current.get(symbol, new) != new}
        if not rolled or self._switching or not self._all_barred(rolled) or not self._desk.desk.is_flat():
            return
        for symbol, new in rolled.items():
            self._link.roll(symbol, new)
            self._switching[symbol] = self._link.generation
        self._desk.set_contracts(self._link.book())

    def _all_barred(self, rolled: dict[str, str]) -> bool:
        """The Desk has heard that these take no entries: none can be on its way."""
        return all(symbol in self._desk.session.barred for symbol in rolled)

    # --------------------------------------------------------------------------------------------------------- status
    def alarms(self) -> list[dict[str, str]]:
        """What a person must look at: code and one sentence."""
        found = []
        refused = self._link.rest.tokens.refused
        if refused:
            do = "check user name and key, then resume; new ones need a new start"
            found.append({"code": "RC_AUTH", "text": f"the gateway refused the login: {refused}; {do}"})
        if self._logouts > self._logouts_seen:
            times = plural(self._logouts - self._logouts_seen, "time")
            text = (
                f"the session was taken over {times}: somebody else uses this "
                "login; end that, then start the engine again"
            )
            found.append({"code": "RC_SECOND_ENGINE", "text": text})
        if self._link.accounts_trouble:
            text = f"{self._link.accounts_trouble}; look at the platform, correct [[accounts]], start the engine again"
            found.append({"code": "RC_CONFIG", "text": text})
        if self._link.clock_trouble:
            found.append({"code": "RC_CLOCK", "text": self._link.clock_trouble})
        if self._desk.user_goodbyes >= GOODBYES:
            text = f"the user hub said goodbye {self._desk.user_goodbyes} times in a row; positions are watched by REST"
            found.append({"code": "RC_USER_HUB", "text": text})
        elif self._user_hub_down():
            text = f"order events are down ({self._user_hub_down()}); positions are watched by REST"
            found.append({"code": "RC_USER_HUB", "text": text})
        return found
