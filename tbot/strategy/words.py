"""Patterns in a trader's words. Prices come as ticks and are shown with the product's decimals."""

from tbot.domain.contracts import Product
from tbot.domain.messages import Evidence
from tbot.domain.timeframes import NAMES
from tbot_ext.records import EventCode, Source

ZONE_NAMES = {
    "ob": "order block",
    "fvg": "fair value gap",
    "ifvg": "inverted fair value gap",
    "breaker": "breaker block",
    "mitigation": "mitigation block",
}
TRIGGER_NAMES = {"choch": "CHoCH", "mss": "MSS"}
# The components of a score, in the order of its formula (smc.md sections 5, 6, 7 and 9).
_BLOCK_PARTS = ("displacement", "volume", "gap", "sweep", "structure")
_GAP_PARTS = ("size", "volume", "body")
PART_NAMES: dict[str, tuple[str, ...]] = {
    "ob": _BLOCK_PARTS,
    "breaker": _BLOCK_PARTS,  # those of the broken block; the break itself only scales its score
    "mitigation": _BLOCK_PARTS,
    "fvg": _GAP_PARTS,
    "ifvg": _GAP_PARTS,
    "sweep": ("strength", "wick", "volume", "depth"),
}
_ORDINALS = {1: "first", 2: "second", 3: "third"}
_PERIODS: dict[int, str] = {
    EventCode.DAY: "previous day's",
    EventCode.WEEK: "previous week's",
    EventCode.ASIA: "Asia",
    EventCode.LONDON: "London",
    EventCode.NEW_YORK: "New York",
    EventCode.OPENING_15: "15-minute opening range",
    EventCode.OPENING_30: "30-minute opening range",
}
_PERIOD_PARTS = {1: "high", 2: "low", 3: "middle", 4: "close"}


def ordinal(number: int) -> str:
    """first, second, third, 4th."""
    return _ORDINALS.get(number, f"{number}th")


def band(evidence: Evidence, product: Product) -> str:
    """25000.00-25012.50."""
    return f"{product.format(evidence.bottom)}-{product.format(evidence.top)}"


def zone_words(zone: Evidence, product: Product) -> str:
    """demand 25000.00-25012.50 (15m order block)."""
    name = "demand" if zone.side > 0 else "supply"
    return f"{name} {band(zone, product)} ({NAMES[zone.timeframe_min]} {ZONE_NAMES[zone.kind]})"


def place_name(source: int, kind: str, side: int, n: int) -> str:
    """What a pool or level is made of: previous day's high, equal highs x3, round number, support."""
    period = _PERIODS.get(source // 10)
    if period is not None and source % 10 in _PERIOD_PARTS:
        return f"{period} {_PERIOD_PARTS[source % 10]}"
    if source == Source.ROUND:
        return "round number"
    if kind == "level":
        return "support" if side > 0 else "resistance"
    what = "high" if side > 0 else "low"
    if n == 0:  # a pool that was run before it was swept is not in the book any more
        return f"{what}s"
    return f"equal {what}s x{n}" if n > 1 else f"swing {what}"


def place_words(place: Evidence, product: Product) -> str:
    """previous day's high 25039.50 (1h level)."""
    name = place_name(place.source, place.kind, place.side, place.n)
    return f"{name} {product.format(place.level)} ({NAMES[place.timeframe_min]} {place.kind})"


def evidence_words(evidence: Evidence, product: Product) -> str:
    """A zone, pool or level."""
    return zone_words(evidence, product) if evidence.kind in ZONE_NAMES else place_words(evidence, product)


def trigger_words(triggers: tuple[Evidence, ...], product: Product) -> str:
    """1m sweep of lows at 25003.00 + CHoCH up."""
    words = []
    for trigger in triggers:
        up_down = "up" if trigger.side > 0 else "down"
        if trigger.kind != "sweep":
            words.append(f"{TRIGGER_NAMES[trigger.kind]} {up_down}")
            continue
        # Stops below lows are taken before price turns up: the swept pool lies on the other side.
        name = place_name(trigger.source, "pool", -trigger.side, trigger.n)
        words.append(f"sweep of {name} {product.format(trigger.level)}")
    return f"{NAMES[triggers[0].timeframe_min]} {' + '.join(words)}"


def reason(zone: Evidence, test: int, triggers: tuple[Evidence, ...], trends: dict[str, int], product: Product) -> str:
    """The reason of a signal in one line."""
    up_down = "up" if zone.side > 0 else "down"
    agreeing = [name for name, trend in trends.items() if trend == zone.side]
    if not agreeing:
        agree = f"no higher trend {up_down}"
    else:
        agree = f"{' '.join(agreeing)} trend{'s' if len(agreeing) > 1 else ''} {up_down}"
    test_words = f"{ordinal(test)} test"
    return f"{zone_words(zone, product)[:-1]}, {test_words}) + {trigger_words(triggers, product)}; {agree}"
