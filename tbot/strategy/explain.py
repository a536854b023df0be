"""A signal's story in plain words, from what the signal itself keeps: `tbot signals --explain`."""

from collections.abc import Callable

from tbot.domain.context import CORRELATION_SCALE, INDEX_SCALE
from tbot.domain.contracts import Product
from tbot.domain.messages import Evidence, Signal, Why
from tbot.domain.timeframes import NAMES
from tbot.strategy.confluence import MTF_WEIGHTS, SCORE_WEIGHTS, SHIFT_ALONE, SWEEP_ALONE, SWEEP_AND_SHIFT
from tbot.strategy.words import band, evidence_words, ordinal, place_words, trigger_words, zone_words

Stamp = Callable[[int], str]  # UTC ns -> text in the reader's time zone

_NEIGHBOURS_TOLD = 8  # those of the longest timeframes: often there are twenty, and three give the full share
_DIRECTION = {1: "up", -1: "down", 0: "none yet"}
_SCORE_NAMES = {
    "zone": "zone",
    "mtf": "trends",
    "trigger": "trigger",
    "confluence": "neighbours",
    "location": "location",
}
_TRIGGER_WORTH = {
    SWEEP_AND_SHIFT: "a sweep and a shift of structure: full worth",
    SWEEP_ALONE: "a sweep alone",
    SHIFT_ALONE: "a shift of structure alone",
}


def story(signal: Signal, product: Product, stamp: Stamp) -> list[str]:
    """Paragraph by paragraph what was seen, what it was worth, and what was planned."""
    side = "long" if signal.side > 0 else "short"
    lines = [
        f"{signal.contract} {side}, score {signal.score:.2f} of 100, decided {stamp(signal.decided_ns)}",
        f"in short: {signal.reason}",
    ]
    if signal.why is None:
        lines.append("this signal keeps no reasons beyond that line")
    else:
        why = signal.why
        lines += [
            *_zone(why, product, stamp),
            *_trigger(signal, why, product, stamp),
            *_trends(signal, why, product),
            *_neighbours(signal, why, product),
            _location(signal, why, product),
            *_plan(signal, why, product),
        ]
    lines += _context(signal, stamp)
    lines += _learned(signal)
    lines += [_sum(signal), f"parameters {signal.params_hash}; events {', '.join(map(str, signal.event_ids))}"]
    return lines


def _zone(why: Why, product: Product, stamp: Stamp) -> list[str]:
    zone = why.zone
    parts = ", ".join(f"{name} {share:.2f}" for name, share in zone.parts.items())
    return [
        f"zone: {zone_words(zone, product)}, known since {stamp(zone.known_ns)}, "
        f"worth {zone.score:.0f} of 100" + (f" ({parts})" if parts else ""),
        f"  {ordinal(why.test)} test: the {NAMES[why.triggers[0].timeframe_min]} bar that closed at "
        f"{stamp(why.entered_ns)} traded inside it",
    ]


def _trigger(signal: Signal, why: Why, product: Product, stamp: Stamp) -> list[str]:
    share = signal.parts["trigger"]
    lines = [f"trigger: {trigger_words(why.triggers, product)}; {_TRIGGER_WORTH.get(share, f'worth {share:.2f}')}"]
    for trigger in why.triggers:
        if trigger.kind == "sweep":
            wick = trigger.bottom if trigger.side > 0 else trigger.top
            parts = ", ".join(f"{name} {part:.2f}" for name, part in trigger.parts.items())
            lines.append(
                f"  sweep at {stamp(trigger.known_ns)}: the wick went to {product.format(wick)}, inside the zone, and "
                f"price closed back" + (f" ({parts})" if parts else "")
            )
        else:
            what = (
                "confirmed by a strong body or a fair value gap"
                if trigger.kind == "mss"
                else f"broke {product.format(trigger.level)}"
            )
            lines.append(f"  {'MSS' if trigger.kind == 'mss' else 'CHoCH'} at {stamp(trigger.known_ns)}: {what}")
    return lines


def _trends(signal: Signal, why: Why, product: Product) -> list[str]:
    named = ", ".join(f"{name} {_DIRECTION[trend]}" for name, trend in why.trends.items())
    weights = ", ".join(f"{NAMES[minutes]} {weight:.0%}" for minutes, weight in MTF_WEIGHTS.items())
    lines = [f"trends: {named}; {signal.parts['mtf']:.0%} of the weight is with the trade ({weights})"]
    if why.bias:
        zones = "; ".join(f"{zone_words(zone, product)}{_holds(zone, why.entry)}" for zone in why.bias)
        lines.append(f"  zones at or nearest to price, not part of the score: {zones}")
    return lines


def _holds(zone: Evidence, price: int) -> str:
    return " around price" if zone.bottom <= price <= zone.top else ""


def _neighbours(signal: Signal, why: Why, product: Product) -> list[str]:
    count = len(why.neighbours)
    near = f"within {why.near_ticks} ticks of the zone"
    if not count:
        return [f"neighbours: nothing of its side {near}"]
    lines = [f"neighbours: {count} of its side {near}, worth {signal.parts['confluence']:.2f}"]
    shown = sorted(why.neighbours, key=lambda evidence: -evidence.timeframe_min)[:_NEIGHBOURS_TOLD]
    lines += [f"  {evidence_words(evidence, product)}" for evidence in shown]
    return lines + ([f"  and {count - len(shown)} more"] if count > len(shown) else [])


def _location(signal: Signal, why: Why, product: Product) -> str:
    low, high = why.leg_low, why.leg_high
    if low is None or high is None or high <= low:
        return "location: there is no 1h leg to halve, worth 0"
    half = {True: "cheaper", False: "dearer"}[(signal.side > 0) == bool(signal.parts["location"])]
    return (
        f"location: {product.format(why.entry)} lies in the {half} half of the last 1h leg "
        f"{product.format(low)}-{product.format(high)}, worth {signal.parts['location']:.0f}"
    )


def _plan(signal: Signal, why: Why, product: Product) -> list[str]:
    risk, gain = (why.entry - signal.stop) * signal.side, (signal.target - why.entry) * signal.side
    risk_text = f"{risk} ticks or ${_dollars(risk * product.tick_value_cents)} a contract"
    gain_text = f"{gain} ticks or ${_dollars(why.gain_cents)} a contract, {gain / risk:.2f} times the risk"
    deal, quote = ("buy", "ask") if signal.side > 0 else ("sell", "bid")
    goal = "no opposing pool or level lies far enough: a multiple of the risk"
    if why.target is not None:
        goal = place_words(why.target, product)
    beyond = "below" if signal.side > 0 else "above"
    return [
        f"entry: {deal} at market, the {quote} was {product.format(why.entry)}",
        f"  stop {product.format(signal.stop)}, {risk_text}, {beyond} the zone {band(why.zone, product)}",
        f"  target {product.format(signal.target)}, {gain_text}: {goal}",
        f"  costs: one contract pays ${_dollars(why.cost_cents)} in and out, the target brings "
        f"{why.gain_cents / why.cost_cents:.1f} times that (at least {why.cost_multiple})"
        if why.cost_cents
        else "  costs: none are known for this contract",
    ]


def _sum(signal: Signal) -> str:
    """Points out of the most there are, so that they can be added up."""
    known = [(name, 100 * weight) for name, weight in SCORE_WEIGHTS.items() if name in signal.parts]
    terms = [f"{_SCORE_NAMES[name]} {most * signal.parts[name]:.2f} of {most:.0f}" for name, most in known]
    if not terms:
        return f"score: {signal.score:.2f}"
    base = sum(most * signal.parts[name] for name, most in known)
    if signal.learned is not None and signal.learned.weight != 1.0:
        weighted = min(100.0, base * signal.learned.weight)
        terms.append(f"learned {weighted - base:+.2f}")
        base = weighted
    moved = round(signal.score - base, 2)
    if moved and signal.context is not None and signal.context.dollar is not None:
        terms.append(f"dollar {moved:+.2f}")
    return f"score: {' + '.join(terms)} = {signal.score:.2f}"


def _learned(signal: Signal) -> list[str]:
    """What past outcomes of the pattern did to the score, where they decide."""
    learned = signal.learned
    if learned is None:
        return []
    if learned.weight == 1.0:
        return [f"learning: weight 1 (weights {learned.version}): {learned.outcomes} past outcomes moved nothing"]
    return [
        f"learning: {learned.base:.2f} x {learned.weight:.4g} (weights {learned.version}): {learned.outcomes} past "
        f"outcomes of this pattern and those of its relatives expect {learned.edge_r:+.2f} times the risk"
    ]


def _context(signal: Signal, stamp: Stamp) -> list[str]:
    """News and the dollar index at the decision, where they were followed."""
    if signal.context is None:
        return []
    lines = []
    news, dollar = signal.context.news, signal.context.dollar
    if news is not None:
        near = f"{news.impact}-impact news at {stamp(news.event_ns)}" if news.event_ns else "none near"
        told = f" ({news.action})" if news.action else ""
        lines.append(f"news: {'nobody knew of any' if news.stale and not news.event_ns else near}{told}")
    if dollar is not None:
        share = "unknown" if dollar.correlation is None else f"{dollar.correlation / CORRELATION_SCALE:+.2f}"
        trend = {1: "rising", -1: "falling"}.get(dollar.trend, "without a trend")
        stale = ", stale" if dollar.stale else ""
        lines.append(f"dollar index: {dollar.index / INDEX_SCALE:.2f}, {trend}{stale}; correlation {share}")
    return lines


def _dollars(cents: int) -> str:
    return f"{cents // 100:,}.{cents % 100:02d}"
