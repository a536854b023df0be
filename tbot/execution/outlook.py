"""What could change something in an account if nothing happened but time and prices: when to tell it a time again.

Where market time is lock-stepped and the broker lives in this process, a timer in between proves nothing: the account's
upkeep would find what it found before. It errs on the side of looking. `restless` means that something is under way
whose patience runs by time; then timers come as often as in a live run.

With positions that are whole, ours, and stand between a working stop and a working target, only four things can change
by time and prices: the calendar, a price that is too old, a loss or profit limit that is reached, a stop that should
move. For the limits each contract may use an equal share of what is left to the nearest of them.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from tbot.domain.messages import Quote
from tbot.domain.positions import Position
from tbot.execution.account_engine import AccountEngine
from tbot.execution.leftovers import leftovers
from tbot.execution.settings import DeskSettings
from tbot.risk.valuation import adverse_price, reserve_cents

NEVER_NS = 2**63 - 1
LOWEST, HIGHEST = -(2**63), 2**63 - 1

Band = tuple[int, int]  # a price at or outside these may matter (ticks)
ANY_PRICE: Band = (LOWEST, HIGHEST)


@dataclass(frozen=True, slots=True)
class Outlook:
    """When the Desk wants to hear of time. `bands`: by contract, of the bid and of the ask, while something is open."""

    restless: bool
    due_ns: int = NEVER_NS  # from here on in any case
    stale_ns: int = NEVER_NS  # a quote of a contract in `bands` may not become older than this
    bands: dict[str, tuple[Band, Band]] = field(default_factory=dict)


RESTLESS = Outlook(restless=True)


def together(outlooks: Iterable[Outlook]) -> Outlook:
    """The outlook of several accounts: whoever wants to hear first is heeded."""
    due_ns, stale_ns = NEVER_NS, NEVER_NS
    bands: dict[str, tuple[Band, Band]] = {}
    for one in outlooks:
        if one.restless:
            return RESTLESS
        due_ns, stale_ns = min(due_ns, one.due_ns), min(stale_ns, one.stale_ns)
        for name, (bid, ask) in one.bands.items():
            held_bid, held_ask = bands.get(name, (ANY_PRICE, ANY_PRICE))
            bands[name] = (_narrower(held_bid, bid), _narrower(held_ask, ask))
    return Outlook(restless=False, due_ns=due_ns, stale_ns=stale_ns, bands=bands)


def beyond(bands: tuple[Band, Band], quote: Quote) -> bool:
    """Whether a quote has left the bands of its contract."""
    (bid_low, bid_high), (ask_low, ask_high) = bands
    return quote.bid <= bid_low or quote.bid >= bid_high or quote.ask <= ask_low or quote.ask >= ask_high


def account_outlook(engine: AccountEngine) -> Outlook:
    """Of one account, as it stands after its last input."""
    if engine.day is None or _under_way(engine):
        return RESTLESS
    held = engine.picture.ledger.open_contracts()
    limits = engine.settings.limits
    if held and (limits.break_even_percent or limits.trail_percent):
        return RESTLESS  # stops that follow the market are looked at as often as live
    stale_ns = min(limits.quote_stale_ns, limits.blind_hold_ns)
    bands: dict[str, tuple[Band, Band]] = {}
    room = _room(engine) if held else (None, None)
    if room is None:
        return RESTLESS
    for name in held:
        quote = engine.market.quotes.get(name)
        if quote is None or quote.age_ns > stale_ns or not _whole(engine, name):
            return RESTLESS
        bands[name] = _bands(engine, name, quote, room, len(held))
    return Outlook(False, _due_ns(engine, busy=bool(held)), stale_ns, bands)


def _under_way(engine: AccountEngine) -> bool:
    """Whether anything waits for an answer, a proof or a repetition."""
    reconciler, picture = engine.reconciler, engine.picture
    asking = not reconciler.proven or reconciler.asked is not None or reconciler.want_ns is not None
    doubts = reconciler.failures or reconciler.mismatches or reconciler.suspects or engine.hub_differs_ns
    doubts = doubts or reconciler.behind_step is not None or engine.caretaker.protector.large_ns
    jobs = engine.manager.pending or engine.flattener.job or engine.stopping or picture.live_placements()
    if asking or doubts or jobs or leftovers(picture):
        return True
    open_now = set(picture.ledger.open_contracts())
    # A timer that tells of ranges must have come since a position was opened or closed.
    if engine.excursions.seen.keys() != open_now:
        return True
    calm = [
        seen.tag is not None and seen.missing_ns is None and seen.order.contract in open_now
        for seen in picture.working()
    ]
    return not all(calm)


def _whole(engine: AccountEngine, contract: str) -> bool:
    """Whether a position is all ours, of a product of this run, and between a working stop and a working target."""
    picture, holding = engine.picture, engine.picture.holding(contract)
    ours = contract in engine.settings.products and not holding.surprise and holding.owned == abs(holding.size)
    return ours and picture.protected(contract) and bool(picture.part_orders(contract, "target"))


def _due_ns(engine: AccountEngine, *, busy: bool) -> int:
    """When the calendar, the broker's limit of requests or the cadence of queries changes something next."""
    settings, now_ns, reconciler = engine.settings, engine.now_ns, engine.reconciler
    since_ns, until_ns = engine.between_edges
    if not since_ns <= now_ns < until_ns:
        engine.between_edges = (now_ns, edge_ns(settings, now_ns))
    times = [engine.between_edges[1]]
    if engine.caretaker.line.limited_until_ns > now_ns:
        times.append(engine.caretaker.line.limited_until_ns)
    if not settings.in_process and reconciler.last_ns is not None:
        times.append(reconciler.last_ns + settings.cadence_ns(busy=busy))
    return min(times)


def edge_ns(settings: DeskSettings, now_ns: int) -> int:
    """The next edge of a trading day or window after `now_ns`, of any contract."""
    edges = []
    traded = [name for name, product in settings.products.items() if not product.data_only]
    for name in (None, *traded):
        day = settings.calendar.trading_day(now_ns, name)
        edges.append(day.end_ns)
        if day.window is not None:
            edges += [day.window.start_ns, day.window.entries_until_ns, day.window.end_ns]
    return min((edge for edge in edges if edge > now_ns), default=now_ns)


def _room(engine: AccountEngine) -> tuple[int, int | None] | None:
    """(cents that open positions may still lose, cents that they may gain or None) before a rule acts; None: none."""
    assert engine.day is not None
    limits, values = engine.settings.limits, engine.guards.value_cents
    worth = sum(values.values())
    reserve = 0
    for name in values:
        reserve += reserve_cents(engine.settings.products[name], engine.picture.ledger.position(name), limits)
    left = engine.picture.ledger.today(engine.day).net_cents + worth + limits.daily_loss_cents - reserve
    gain: int | None = None
    facts = engine.firm.facts(engine.day, worth)
    if facts is not None:
        if not facts.known:
            return None
        left = min(left, facts.proven_equity_cents - facts.floor_cents - facts.rules.lock_above_floor_cents)
        if facts.target_reached:
            gain = facts.target_cents - (facts.equity_cents - facts.rules.start_cents)
    return None if left <= 0 or (gain is not None and gain <= 0) else (left, gain)


def _bands(
    engine: AccountEngine, contract: str, quote: Quote, room: tuple[int | None, int | None], contracts: int
) -> tuple[Band, Band]:
    """Bands of bid and ask within which this position uses up less than its share of the room."""
    position: Position = engine.picture.ledger.position(contract)
    a_tick = engine.settings.products[contract].tick_value_cents * abs(position.size)
    price, side = adverse_price(position, quote), position.side
    loss, gain = (HIGHEST if cents is None else cents // contracts // a_tick for cents in room)
    ends = (price - side * loss if loss != HIGHEST else None, price + side * gain if gain != HIGHEST else None)
    low, high = ends if side > 0 else (ends[1], ends[0])
    band = (LOWEST if low is None else low, HIGHEST if high is None else high)
    return (band, ANY_PRICE) if side > 0 else (ANY_PRICE, band)


def _narrower(one: Band, other: Band) -> Band:
    return max(one[0], other[0]), min(one[1], other[1])
