"""Signal -> Approval or Refusal: an ordered list of small checks, each one rule with one sentence.

A check looks at a Request and says nothing (None) or why not. The order is the order of the table CHECKS: what makes
all others pointless comes first, what halts the account comes last, so that only entries that would otherwise be sent
count as a runaway. Rules: failure-model.md section 2 (R8, R9, R10, safe orders) and section 3; design.md section 8,
rulings 13, 15, 16; topstep-rules.md section 9 (TR1 to TR12). Codes are RC_... where the failure model has one.

Where the firm's rules stand: TR1 account engine (name, simulated, canTrade) · TR2 `floor_is_far` and `guards` · TR3
`guards` · TR4 `headroom_cents` · TR5 `_size` · TR6 `day_profit_is_below_its_stop` · TR7 `window_is_open` · TR8
`no_opposite_exposure`, `other_accounts_are_known` · TR9 `guards` · TR10 `entries_of_the_product`, `order_actions`,
`entry_rate` · TR11 `target_is_not_reached` and `execution/firm_watch` · TR12 `feed_is_ok`: the shell bars a contract
before its roll. TR10's holding time binds discretionary exits only (ruling 13), and the engine has none: it gets out by
stop, target, a rule, or a person's order.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tbot.domain.context import NewsState
from tbot.domain.contracts import Product
from tbot.domain.messages import Quote, Signal
from tbot.domain.timeframes import NS_PER_MIN, NS_PER_S
from tbot.risk.caps import EVERY_PRODUCT, Cap, most_contracts
from tbot.risk.firm import FirmFacts
from tbot.risk.limits import RiskLimits
from tbot.risk.sizing import size_for, worst_per_contract_cents


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a signal is not traded; `halt` marks a fault of the engine itself, not of this signal."""

    code: str
    text: str
    halt: bool = False


@dataclass(frozen=True, slots=True)
class Approval:
    """A sized signal: distances in ticks from the adverse side of the decision quote, worst case in cents."""

    size: int
    stop_ticks: int
    target_ticks: int
    risk_cents: int


@dataclass(frozen=True, slots=True)
class Exposure:
    """What one contract has at risk: position, and working or UNKNOWN entries counted as filled."""

    contract: str
    family: str
    side: int
    micros: int  # size in micro equivalents
    worst_cents: int  # loss against today's realised result when every stop is hit


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """What the gate must know of the account; made by its order manager and ledger."""

    state: str
    state_code: str  # reason of a state other than ACTIVE
    state_text: str
    realised_cents: int  # net result of the trading day
    loss_streak: int
    exposures: tuple[Exposure, ...]
    blocked: Refusal | None  # what speaks against this contract: UNKNOWN, quarantine, foreign, leftover legs
    entries: Sequence[tuple[int, str]]  # (now_ns, contract) of the entries of the trading day
    sides: Sequence[tuple[str, int]] = ()  # (family, side) of what all accounts of the Desk hold or may still open
    unseen: Sequence[int] = ()  # other accounts of the Desk of which nobody knows yet what they hold
    firm: FirmFacts | None = None  # None: no firm watches this account


@dataclass(frozen=True, slots=True)
class Request:
    """One signal before one account."""

    now_ns: int
    signal: Signal
    quote: Quote | None  # the executor's own newest
    age_ns: int
    product: Product | None
    limits: RiskLimits
    facts: AccountFacts
    feed: str
    feed_text: str
    window_refusal: str  # "" when entries are allowed
    feed_code: str = ""  # RC_ code of what bars the contract although its data is there; "": `feed` says it
    caps: Sequence[Cap] = ()

    @property
    def news(self) -> NewsState | None:
        """What scheduled news meant for the contract when it was decided; None: nobody follows them."""
        return self.signal.context.news if self.signal.context is not None else None

    @property
    def adverse(self) -> int:
        """The side of the decision quote at which a market entry fills (ruling 16)."""
        return self.signal.quote.ask if self.signal.side > 0 else self.signal.quote.bid

    @property
    def stop_ticks(self) -> int:
        """Distance to the stop; positive when the stop is on its right side."""
        return self.signal.side * (self.adverse - self.signal.stop)

    @property
    def target_ticks(self) -> int:
        """Distance to the target; positive when the target is on its right side."""
        return self.signal.side * (self.signal.target - self.adverse)


Check = Callable[[Request], Refusal | None]


def state_is_active(request: Request) -> Refusal | None:
    facts = request.facts
    if facts.state == "ACTIVE":
        return None
    return Refusal(facts.state_code, f"the account is {facts.state}: {facts.state_text}")


def contract_is_traded(request: Request) -> Refusal | None:
    product = request.product
    if product is None:
        return Refusal("NOT_TRADED", f"{request.signal.contract} is not among the contracts of this engine")
    if product.data_only:
        return Refusal("NOT_TRADED", f"{product.symbol} is a data-only contract")
    return None


def window_is_open(request: Request) -> Refusal | None:
    return Refusal("RC_WINDOW", request.window_refusal) if request.window_refusal else None


def news_allow_entries(request: Request) -> Refusal | None:
    """The packaged strategy does not speak then; this binds every other one, too."""
    news = request.news
    if news is None or news.action != "block":
        return None
    why = "nobody knows what news are scheduled" if news.stale else f"{news.impact.lower()}-impact news are near"
    return Refusal("NEWS", f"no entries in {request.signal.contract}: {why}")


def signal_is_young(request: Request) -> Refusal | None:
    """I23: no order from a signal older than C_SIGNAL_TTL; a negative age is a broken clock and as bad."""
    if 0 <= request.age_ns <= request.limits.signal_ttl_ns:
        return None
    return Refusal("SIGNAL_EXPIRED", f"the signal is {_seconds(request.age_ns)} old")


def feed_is_ok(request: Request) -> Refusal | None:
    if request.feed == "ok":
        return None
    if request.feed_code:
        return Refusal(request.feed_code, f"{request.signal.contract} takes no entries: {request.feed_text}")
    code = {"gap": "RC_GAP_REBUILD", "closed": "RC_MARKET_CLOSED"}.get(request.feed, "RC_QUOTE_STALE")
    return Refusal(
        code, f"market data of {request.signal.contract} is {request.feed}: {request.feed_text}".rstrip(": ")
    )


def quote_is_known(request: Request) -> Refusal | None:
    return Refusal("RC_QUOTE_STALE", f"no price for {request.signal.contract}") if request.quote is None else None


def quote_is_fresh(request: Request) -> Refusal | None:
    """I7. A quote from before the decision quote means that the executor lags behind the worker."""
    quote = _known(request)
    if not 0 <= quote.age_ns <= request.limits.quote_ban_ns:
        return Refusal("RC_QUOTE_STALE", f"no price for {request.signal.contract} for {_seconds(quote.age_ns)}")
    if quote.epoch == request.signal.quote.epoch and quote.seq < request.signal.quote.seq:
        return Refusal("RC_QUOTE_STALE", f"the price of {request.signal.contract} is older than the decision's")
    return None


def quote_is_not_crossed(request: Request) -> Refusal | None:
    for quote in (_known(request), request.signal.quote):
        if quote.bid >= quote.ask:
            return Refusal("QUOTE_CROSSED", f"bid {quote.bid} is not below ask {quote.ask}")
    return None


def quote_is_of_the_same_epoch(request: Request) -> Refusal | None:
    if _known(request).epoch == request.signal.quote.epoch:
        return None
    return Refusal("RC_GAP_REBUILD", "market data was interrupted after the decision")


def stop_is_on_its_side(request: Request) -> Refusal | None:
    """Against the decision quote and, so that it is not triggered at once, against the newest one."""
    signal, quote = request.signal, _known(request)
    if signal.side not in (1, -1):
        return Refusal("STOP_SIDE", f"side {signal.side} is neither +1 nor -1")
    exit_price = quote.bid if signal.side > 0 else quote.ask
    if request.stop_ticks > 0 and signal.side * (exit_price - signal.stop) > 0:
        return None
    return Refusal("STOP_SIDE", f"stop {signal.stop} is not on the losing side of the market")


def target_is_on_its_side(request: Request) -> Refusal | None:
    signal, quote = request.signal, _known(request)
    entry_price = quote.ask if signal.side > 0 else quote.bid
    if request.target_ticks > 0 and signal.side * (signal.target - entry_price) > 0:
        return None
    return Refusal("TARGET_SIDE", f"target {signal.target} is not on the winning side of the market")


def bracket_is_wide_enough(request: Request) -> Refusal | None:
    least = request.limits.min_bracket_ticks
    if min(request.stop_ticks, request.target_ticks) >= least:
        return None
    found = f"stop {request.stop_ticks}, target {request.target_ticks} ticks away"
    return Refusal("BRACKET_TOO_TIGHT", f"{found}; the broker needs at least {least}")


def bracket_is_within_collar(request: Request) -> Refusal | None:
    """C_PRICE_COLLAR: both legs within a tick distance and a share of the last good price."""
    signal, limits, quote = request.signal, request.limits, _known(request)
    price = quote.ask if signal.side > 0 else quote.bid
    for name, level in (("stop", signal.stop), ("target", signal.target), ("decision price", request.adverse)):
        away = abs(level - price)
        if away > limits.collar_ticks or away * 10_000 > limits.collar_bp * abs(price):
            show = _product(request).format
            return Refusal("PRICE_COLLAR", f"{name} {show(level)} is {away} ticks from the market at {show(price)}")
    return None


def target_pays_its_costs(request: Request) -> Refusal | None:
    """smc.md section 11: the target is worth several round-trip costs."""
    product = _product(request)
    gain = request.target_ticks * product.tick_value_cents
    if gain >= request.limits.min_target_cost_ratio * product.round_turn_cents:
        return None
    return Refusal("TARGET_COST", f"target of {_usd(gain)} does not pay for costs of {_usd(product.round_turn_cents)}")


def contract_is_not_blocked(request: Request) -> Refusal | None:
    return request.facts.blocked


def contract_is_flat(request: Request) -> Refusal | None:
    """Ruling 15: one position per contract; a working entry counts."""
    for held in request.facts.exposures:
        if held.contract == request.signal.contract:
            return Refusal("POSITION_OPEN", f"{held.contract} already has a position or a working entry")
    return None


def no_opposite_exposure(request: Request) -> Refusal | None:
    """TR8: never long the mini and short the micro of one underlying, in this account or across the Desk's accounts.

    One signal that goes to several accounts is the same side everywhere, which is allowed.
    """
    family, side = _product(request).family, request.signal.side
    for held in request.facts.exposures:
        if held.family == family and held.side == -side:
            return Refusal("OPPOSITE_EXPOSURE", f"{held.contract} is held the other way")
    if (family, -side) in request.facts.sides:
        return Refusal("OPPOSITE_EXPOSURE", f"{family} is held the other way by another account, or not by T-BOT")
    return None


def other_accounts_are_known(request: Request) -> Refusal | None:
    """TR8 at a start: an account that has not been read yet may hold the other side."""
    if not request.facts.unseen:
        return None
    numbers = ", ".join(map(str, request.facts.unseen))
    return Refusal("RC_RECONCILING", f"what account {numbers} holds has not been read yet; it may be the other side")


def past_days_are_known(request: Request) -> Refusal | None:
    """Without them the floor may be higher than it looks."""
    firm = request.facts.firm
    if firm is None or firm.known:
        return None
    return Refusal("RC_RECONCILING", "the results of the account's past days have not been read yet")


def floor_is_far(request: Request) -> Refusal | None:
    """TR2: no entries near the firm's loss floor."""
    firm = request.facts.firm
    if firm is None or firm.equity_cents > firm.floor_cents + firm.rules.ban_above_floor_cents:
        return None
    return Refusal("RC_MAX_LOSS", f"equity {_usd(firm.equity_cents)} is near the loss floor {_usd(firm.floor_cents)}")


def day_profit_is_below_its_stop(request: Request) -> Refusal | None:
    """TR6. The account locks itself as well."""
    firm = request.facts.firm
    if firm is None or not firm.rules.day_profit_stop_cents:
        return None
    if firm.day_net_cents < firm.rules.day_profit_stop_cents:
        return None
    return Refusal("RC_DAY_PROFIT", f"{_usd(firm.day_net_cents)} were made today, which is enough for one day")


def target_is_not_reached(request: Request) -> Refusal | None:
    """TR11. The account halts itself too, as soon as that cannot cost the target; this check is there at once."""
    firm = request.facts.firm
    if firm is None or not firm.target_reached:
        return None
    return Refusal("RC_TARGET", f"the profit target of {_usd(firm.target_cents)} is reached")


def losses_in_a_row(request: Request) -> Refusal | None:
    """I13. The account locks itself as well; this check holds even if it did not."""
    streak = request.facts.loss_streak
    if streak < request.limits.consecutive_losses:
        return None
    return Refusal("RC_CONSEC_LOSSES", f"{streak} losses in a row today")


def entries_of_the_day(request: Request) -> Refusal | None:
    most = request.limits.entries_per_day
    if len(request.facts.entries) < most:
        return None
    return Refusal("ENTRY_CAP_DAY", f"{most} entries were sent today, the most of a day")


def entries_of_the_product(request: Request) -> Refusal | None:
    """TR10."""
    firm, contract = request.facts.firm, request.signal.contract
    most = firm.rules.entries_per_product if firm is not None else None
    if most is None or sum(of == contract for _, of in request.facts.entries) < most:
        return None
    return Refusal("ENTRY_CAP_PRODUCT", f"{most} {contract} entries were sent today, the most of a day")


def order_actions(request: Request) -> Refusal | None:
    """TR10: entries and moved stops together. Protective actions need no leave, so they are not counted."""
    firm = request.facts.firm
    if firm is None or firm.actions < firm.rules.actions_per_minute:
        return None
    return Refusal("ORDER_RATE", f"{firm.actions} order actions were sent in the last minute")


def entry_rate(request: Request) -> Refusal | None:
    """R9: more entries than C_MAX_ENTRY_RATE is a runaway and halts the account; it is never a delay."""
    now_ns, limits, contract = request.now_ns, request.limits, request.signal.contract
    minute = [at for at, _ in request.facts.entries if now_ns - at < NS_PER_MIN]
    if len(minute) >= limits.entries_per_minute:
        return Refusal("RC_RUNAWAY", f"more than {limits.entries_per_minute} entries in a minute", halt=True)
    same = [at for at, of in request.facts.entries if of == contract and now_ns - at < limits.entry_gap_ns]
    if same:
        return Refusal("RC_RUNAWAY", f"two {contract} entries within {_seconds(limits.entry_gap_ns)}", halt=True)
    return None


CHECKS: tuple[Check, ...] = (
    state_is_active,
    contract_is_traded,
    window_is_open,
    news_allow_entries,
    signal_is_young,
    feed_is_ok,
    quote_is_known,
    quote_is_fresh,
    quote_is_of_the_same_epoch,
    quote_is_not_crossed,
    stop_is_on_its_side,
    target_is_on_its_side,
    bracket_is_wide_enough,
    bracket_is_within_collar,
    target_pays_its_costs,
    contract_is_not_blocked,
    contract_is_flat,
    no_opposite_exposure,
    other_accounts_are_known,
    past_days_are_known,
    floor_is_far,
    day_profit_is_below_its_stop,
    target_is_not_reached,
    losses_in_a_row,
    entries_of_the_day,
    entries_of_the_product,
    order_actions,
)


def headroom_cents(facts: AccountFacts, limits: RiskLimits) -> int:
    """R10: what a new order may lose at worst today; profit of open positions counts as 0."""
    return limits.daily_loss_cents + facts.realised_cents - sum(held.worst_cents for held in facts.exposures)


def floor_headroom_cents(facts: AccountFacts) -> int | None:
    """TR4: what a new order may lose at worst before the firm's floor locks the account; None: no firm watches."""
    if facts.firm is None:
        return None
    return facts.firm.headroom_cents - sum(held.worst_cents for held in facts.exposures)


def decide(request: Request) -> Approval | Refusal:
    """All checks in order, then the size, then the rate of entries."""
    for check in CHECKS:
        refusal = check(request)
        if refusal is not None:
            return refusal
    sized = _size(request)
    if isinstance(sized, Refusal):
        return sized
    return entry_rate(request) or sized


def _size(request: Request) -> Approval | Refusal:
    """The size that the budget of a trade, all headroom, and the largest positions allow."""
    product, limits, facts = _product(request), request.limits, request.facts
    most = _room(request)
    if isinstance(most, Refusal):
        return most
    one = worst_per_contract_cents(product, request.stop_ticks, limits.slip_ticks)
    headroom, to_floor = headroom_cents(facts, limits), floor_headroom_cents(facts)
    if one > headroom:
        text = f"one contract may lose {_usd(one)}; {_usd(headroom)} are left of today's limit"
        return Refusal("RC_DAILY_LOSS", text)
    if to_floor is not None and one > to_floor:
        text = f"one contract may lose {_usd(one)}; {_usd(to_floor)} are left above the loss floor"
        return Refusal("RC_MAX_LOSS", text)
    budget = min(limits.risk_per_trade_cents, headroom if to_floor is None else min(headroom, to_floor))
    size, risk = size_for(product, request.stop_ticks, budget, most, limits)
    if size < 1:
        text = f"one contract may lose {_usd(one)}; the budget of a trade is {_usd(limits.risk_per_trade_cents)}"
        return Refusal("RISK_BUDGET", text)
    return Approval(size, request.stop_ticks, request.target_ticks, risk)


def _room(request: Request) -> int | Refusal:
    """TR5: contracts that the largest positions of account and product leave; working entries count as filled."""
    product, limits, facts = _product(request), request.limits, request.facts
    allowed = limits.max_account_micros
    if facts.firm is not None:
        allowed = min(allowed, facts.firm.most_micros)
    most = (allowed - sum(held.micros for held in facts.exposures)) // product.micros
    if most < 1 or limits.max_contracts(product.micros) < 1:
        return Refusal("SIZE_LIMIT", f"the largest position allowed leaves no room for {product.symbol}")
    reduced = _reduced(request, limits.max_contracts(product.micros))
    if reduced is not None:
        if reduced < 1:
            return Refusal("NEWS", f"news are near: the part of the largest size is less than one {product.symbol}")
        most = min(most, reduced)
    cap = most_contracts(product, request.now_ns, _caps(request), facts.firm.rules if facts.firm else None)
    if cap is None:
        return most
    family = sum(held.micros for held in facts.exposures if held.family == product.family)
    left = (cap[0] * product.micros - family) // product.micros
    if left < 1:
        return Refusal("LIMIT_OVERRIDE", f"at most {cap[0]} {product.symbol} are allowed now ({cap[1]})")
    return min(most, left)


def _reduced(request: Request, largest: int) -> int | None:
    """Contracts that news leave of the largest size; None: all of it."""
    news = request.news
    return largest * news.percent // 100 if news is not None and news.action == "reduce" else None


def _caps(request: Request) -> Sequence[Cap]:
    """The owner's caps, and the firm's for a CPI release when the calendar told of one."""
    if request.news is None or not request.news.cpi:
        return request.caps
    return (*request.caps, Cap(EVERY_PRODUCT, 0, request.now_ns, request.now_ns + 1, "news calendar", cpi=True))


def _known(request: Request) -> Quote:
    assert request.quote is not None, "quote_is_known comes first"
    return request.quote


def _product(request: Request) -> Product:
    assert request.product is not None, "contract_is_traded comes first"
    return request.product


def _seconds(duration_ns: int) -> str:
    return f"{duration_ns / NS_PER_S:.1f} s"


def _usd(cents: int) -> str:
    """Money for a person's eyes."""
    return f"{'-' if cents < 0 else ''}${abs(cents) // 100:,}.{abs(cents) % 100:02d}"
