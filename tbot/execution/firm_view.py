"""The firm's rules of one account as plain data, for the status file and the screens. Money in cents."""

from tbot.execution.account_engine import AccountEngine
from tbot.risk.caps import EVERY_PRODUCT


def firm_view(engine: AccountEngine) -> dict[str, object] | None:
    """Where the account stands against the firm's rules; None: no firm watches it."""
    book, day = engine.firm.book, engine.day
    facts = None if day is None else engine.firm.facts(day, sum(engine.guards.value_cents.values()))
    if book is None or facts is None:
        return None
    rules, known = facts.rules, facts.known
    return {
        "stage": rules.stage,
        "known": known,  # past days have been read; until then no entries
        "start_cents": rules.start_cents,
        "floor_cents": facts.floor_cents if known else None,
        "floor_locked": facts.floor_cents >= rules.start_cents if known else None,
        "to_floor_cents": facts.equity_cents - facts.floor_cents if known else None,
        "equity_cents": facts.equity_cents if known else None,
        "high_water_cents": book.high_cents if known else None,
        "lock_above_floor_cents": rules.lock_above_floor_cents,
        "ban_above_floor_cents": rules.ban_above_floor_cents,
        "best_day_cents": book.best_day_cents(facts.day_net_cents) if known else None,
        "traded_days": book.traded_days if known else None,
        "target_cents": facts.target_cents if known else None,  # profit that passes, raised for consistency
        "profit_cents": facts.balance_cents - rules.start_cents if known else None,
        "day_profit_stop_cents": rules.day_profit_stop_cents,
        "max_micros": facts.most_micros if known else None,  # plan and scaling step
    }


def caps_view(engine: AccountEngine) -> list[dict[str, object]]:
    """Largest positions that are in force now beside the account's own."""
    found: list[dict[str, object]] = []
    rules = engine.firm.rules
    if rules is not None:
        found += [_cap(name, most, None, "the firm's limit") for name, most in rules.product_limits]
    for cap in engine.settings.caps:
        if cap.holds(engine.now_ns) and not cap.cpi:
            found.append(_cap(cap.product, cap.most, cap.to_ns, cap.source))
        elif cap.holds(engine.now_ns) and rules is not None:
            found += [_cap(name, most, cap.to_ns, f"CPI release ({cap.source})") for name, most in rules.cpi_limits]
    traded = {EVERY_PRODUCT, *engine.settings.products}
    return [cap for cap in found if cap["product"] in traded]


def _cap(product: str, most: int, to_ns: int | None, source: str) -> dict[str, object]:
    return {"product": product, "most": most, "to_ns": to_ns, "source": source}
