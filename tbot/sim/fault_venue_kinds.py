"""The faults of the venue and its market, as data: what `fault_actions` binds to their controls.

Those that shape an order meet it as it arrives; the others happen by themselves at their time, or right after the order
request that `after` and `p` count. Times in arguments are seconds of market time.
"""

from tbot.sim.fault_kinds import Arg, FaultKind

_ACCOUNT = Arg("account", "integer", 0, least=0, filters=True)
_CONTRACT = Arg("contract", "text", "", filters=True)
_ON_ACCOUNT = Arg("account", "integer", 0, least=0)  # what it is done to, not what it waits for; 0: the first
_ON_CONTRACT = Arg("contract", "text", "")  # "": the first
_EVERY_CONTRACT = Arg("contract", "text", "")  # "": all
_LEGS = Arg("which", "text", "both", ("sl", "tp", "both"))
_SIDE = Arg("side", "text", "buy", ("buy", "sell"))
_SIZE = Arg("size", "integer", 1, least=1)
_PLACE = {"endpoint": "Order/place"}
_CANCEL = {"endpoint": "Order/cancel"}


def _order(name: str, about: str, *args: Arg, where: dict[str, str] | None = None) -> FaultKind:
    """A fault of an order request."""
    filters = (_ACCOUNT, _CONTRACT) if where is None else (_ACCOUNT,)
    return FaultKind(name, about, "request", (*args, *filters), where=where or _PLACE)


def _act(name: str, about: str, *args: Arg) -> FaultKind:
    """Something that happens at the venue by itself."""
    return FaultKind(name, about, "request", args, acts=True, where=_PLACE)


VENUE_KINDS: tuple[FaultKind, ...] = (
    _order(
        "order.reject",
        "A placement is refused with this code; `with_id`: recorded, and its id returned.",
        Arg("code", "integer", 2, least=1),
        Arg("with_id", "flag", False),
        Arg("text", "text", ""),
    ),
    _order(
        "order.partial",
        "An order fills in these sizes, part i not before delays[i] after the one before; the rest hangs.",
        Arg("sizes", "integers", least=1),
        Arg("delays", "numbers", [], least=0),
    ),
    _order(
        "order.cancel_race",
        "A cancel is accepted and the order fills all the same (`size`: only so much of it; 0: whole).",
        Arg("seconds", "number", 0.0, least=0),
        Arg("size", "integer", 0, least=0),
        where=_CANCEL,
    ),
    _order(
        "order.cancel_slow",
        "A cancel takes so long; until then the order can fill.",
        Arg("seconds", "number", least=0),
        where=_CANCEL,
    ),
    _act(
        "order.orphan",
        "A working order of a dead run: an entry, a bracket leg, or a suspended leg.",
        Arg("kind", "text", "entry", ("entry", "leg", "suspended")),
        _ON_ACCOUNT,
        _ON_CONTRACT,
        _SIDE,
        _SIZE,
        Arg("tag", "text", ""),
        Arg("distance", "integer", 200, least=1),
    ),
    _act(
        "order.tag_rule",
        "How strict the venue is about used tags; with `for` it is strict again afterwards.",
        Arg("rule", "text", choices=("strict", "none", "working-only")),
    ),
    _order("bracket.drop", "The legs of a bracket never exist.", _LEGS),
    _order("bracket.reject", "The legs are rejected when the entry fills.", _LEGS),
    _order("bracket.wrong_size", "The legs come with another size.", _LEGS, Arg("size", "integer", least=1)),
    _order(
        "bracket.wrong_price", "The legs come so many ticks farther from the entry.", _LEGS, Arg("ticks", "integer")
    ),
    _order("bracket.suspended", "The legs stay suspended although the entry filled.", _LEGS),
    _order(
        "bracket.cancel_later",
        "The venue cancels the legs so long after they came.",
        _LEGS,
        Arg("seconds", "number", least=0),
    ),
    _order("bracket.no_oco", "A leg that fills leaves its sibling working."),
    _order("fill.slip", "An order and its legs fill so many ticks worse.", Arg("ticks", "integer")),
    _act(
        "account.mutate_position",
        "The venue's position is `size` (signed) from now on, without a fill.",
        _ON_ACCOUNT,
        _ON_CONTRACT,
        Arg("size", "integer"),
        Arg("tell", "flag", True),
    ),
    _act("account.lock", "Trading is forbidden, with `for` until its end.", _ON_ACCOUNT),
    _act(
        "account.liquidate",
        "The firm cancels and closes everything and locks the account (`failed`: for good).",
        _ON_ACCOUNT,
        Arg("failed", "flag", False),
    ),
    _act(
        "account.swap",
        "Two accounts exchange names, with `for` back again.",
        Arg("first", "integer", 0, least=0),
        Arg("second", "integer", 0, least=0),
    ),
    _act("account.hide", "An account is in no list and no endpoint, with `for` until its end.", _ON_ACCOUNT),
    _act("human.trade", "The owner trades at market by hand.", _ON_ACCOUNT, _ON_CONTRACT, _SIDE, _SIZE),
    _act(
        "human.order",
        "The owner rests a limit or stop order `distance` ticks from the market.",
        _ON_ACCOUNT,
        _ON_CONTRACT,
        _SIDE,
        _SIZE,
        Arg("type", "text", "limit", ("limit", "stop")),
        Arg("distance", "integer", 40, least=1),
    ),
    _act(
        "human.cancel",
        "The owner cancels working orders by hand.",
        _ON_ACCOUNT,
        _EVERY_CONTRACT,
        Arg("which", "text", "stops", ("stops", "targets", "entries", "all")),
    ),
    _act(
        "human.flatten",
        "The owner closes by hand; `cancel`: his orders too.",
        _ON_ACCOUNT,
        _EVERY_CONTRACT,
        Arg("cancel", "flag", True),
    ),
    _act(
        "market.halt",
        "No trading (all contracts without `contract`): orders are refused, nothing fills; with `for` until its end.",
        _EVERY_CONTRACT,
        Arg("reason", "text", "halt"),
    ),
    _act(
        "contract.roll",
        "The next month becomes the active one, its prices `offset` ticks away.",
        _ON_CONTRACT,
        Arg("offset", "integer", 0),
        Arg("to", "text", ""),
    ),
    _act("contract.deactivate", "The contract is listed no more, with `for` until its end.", _ON_CONTRACT),
)

_TICKS = Arg("ticks", "integer", least=-100_000, most=100_000)
_SPAN = Arg("seconds", "number", 0.5, least=0, most=1e6)
_AGO = (Arg("minutes_ago", "integer", 1, least=0), Arg("minutes", "integer", 1, least=1, most=10_000))

# Without `contract` these meet every contract of the market.
MARKET_KINDS: tuple[FaultKind, ...] = (
    _act("market.gap", "The price jumps by so many ticks and stays.", _EVERY_CONTRACT, _TICKS),
    _act("market.spike", "The price jumps and comes back after `seconds`.", _EVERY_CONTRACT, _TICKS, _SPAN),
    _act(
        "market.drift",
        "The price moves by so many ticks, evenly over `seconds`, on top of its own moves.",
        _EVERY_CONTRACT,
        _TICKS,
        Arg("seconds", "number", 30.0, least=0, most=1e6),
    ),
    _act(
        "market.drift_to_loss",
        "The price runs against what an account holds (flat: down) by so many ticks in `seconds`.",
        _ON_ACCOUNT,
        _EVERY_CONTRACT,
        Arg("ticks", "integer", 200, least=1, most=100_000),
        Arg("seconds", "number", 30.0, least=0, most=1e6),
    ),
    _act(
        "market.chase",
        "The price jumps to the nearest working order, trades `through` ticks beyond it, and comes back.",
        _ON_CONTRACT,
        Arg("kind", "text", "any", ("any", "stop", "limit")),
        Arg("through", "integer", 1, least=0, most=1000),
        Arg("seconds", "number", 0.2, least=0, most=1e6),
    ),
    _act(
        "market.one_sided",
        "Quotes without ask (`up`: limit up) or without bid (`down`).",
        _EVERY_CONTRACT,
        Arg("limit", "text", "up", ("up", "down")),
        Arg("seconds", "number", 5.0, least=0, most=1e6),
    ),
    _act(
        "market.prints",
        "So many trades with one time stamp, `offset` ticks from ask (buy) or bid (sell).",
        _EVERY_CONTRACT,
        Arg("count", "integer", 1, least=1, most=100_000),
        Arg("size", "integer", 1, least=0, most=100_000),
        _SIDE,
        Arg("offset", "integer", 0, least=-10_000, most=10_000),
    ),
    _act(
        "market.quote",
        "One odd quote (locked, crossed, wide): bid and ask so many ticks from where they are.",
        _EVERY_CONTRACT,
        Arg("bid", "integer", 0, least=-10_000, most=10_000),
        Arg("ask", "integer", 0, least=-10_000, most=10_000),
        _SPAN,
    ),
    _act(
        "history.alter",
        "History shows other prices than were traded, in so many minutes; with `for` it heals afterwards.",
        _EVERY_CONTRACT,
        _TICKS,
        *_AGO,
    ),
    _act(
        "history.holes",
        "History has no bars for so many minutes; with `for` it heals afterwards.",
        _EVERY_CONTRACT,
        *_AGO,
    ),
)
