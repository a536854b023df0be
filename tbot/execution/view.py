"""The Desk's state as plain JSON-able data, for the status file and the screens. Prices in ticks, money in cents."""

from tbot.execution.account_engine import AccountEngine
from tbot.execution.firm_view import caps_view, firm_view
from tbot.execution.picture import Picture, Seen


def account_view(engine: AccountEngine) -> dict[str, object]:
    """Everything that a person may want to know of one account."""
    ledger, day = engine.picture.ledger, engine.day
    account, status = engine.picture.account, engine.status
    total = ledger.total
    today = ledger.today(day) if day is not None else None
    return {
        "name": account.name or engine.account.name,
        "state": status.state,
        "reasons": _reasons(engine),
        "text": status.text,
        "day": day.isoformat() if day else None,
        "flat": engine.is_flat(),
        "protected": engine.is_protected(),
        "balance_cents": account.balance_cents,
        "can_trade": account.can_trade,
        "day_pnl_cents": today.net_cents if today else 0,
        "day_room_cents": engine.settings.limits.daily_loss_cents + (today.net_cents if today else 0),
        "firm": firm_view(engine),
        "caps": caps_view(engine),
        "unrealised_cents": sum(engine.guards.value_cents.values()),
        "loss_streak": today.streak if today else 0,
        "streak_most": engine.settings.limits.consecutive_losses,
        "entries_today": len(engine.manager.sent),
        "entries_most": engine.settings.limits.entries_per_day,
        "trades": total.trips,
        "wins": total.wins,
        "losses": total.losses,
        "win_rate": total.win_rate,
        "profit_factor": total.profit_factor,
        "gained_cents": total.won_cents,
        "lost_cents": total.lost_cents,
        "pnl_cents": total.net_cents,
        "drawdown_cents": ledger.drawdown_cents,
        "fees_cents": total.fees_cents + total.commission_cents,
        "signals": engine.signals,
        "intents": engine.intents,
        "denials": dict(sorted(engine.denials.items())),
        "positions": [_position(engine, contract) for contract in ledger.open_contracts()],
        "orders": [_order(seen) for seen in engine.picture.working()],
        "unknown": sorted(own.tag for own in engine.picture.live_placements() if own.status == "unknown"),
        "quarantine": {name: refusal.text for name, refusal in sorted(engine.manager.quarantine.items())},
    }


def _reasons(engine: AccountEngine) -> list[dict[str, object]]:
    held = engine.reasons.held
    found: list[dict[str, object]] = []
    for code in engine.status.codes:
        reason = held.get(code)
        text = reason.text if reason else engine.status.text
        found.append({"code": code, "text": text, "since_ns": reason.since_ns if reason else None})
    return found


def _position(engine: AccountEngine, contract: str) -> dict[str, object]:
    picture = engine.picture
    position, holding = picture.ledger.position(contract), picture.holding(contract)
    stops = [order.stop for order in picture.stops(contract) if order.stop is not None]
    targets = [
        seen.order.limit
        for seen in picture.working(contract)
        if seen.tag is not None and seen.tag.part == "target" and seen.order.limit is not None
    ]
    entries = picture.opening_entries(contract)
    trip = picture.ledger.trip(contract)
    return {
        "contract": contract,
        "side": position.side,
        "size": abs(position.size),
        "entry": position.price_size_sum / abs(position.size),  # average in ticks, for display only
        "entry_price_size": position.price_size_sum,
        "stop": (min(stops) if position.side > 0 else max(stops)) if stops else None,
        "target": targets[0] if targets else None,
        "protected": _covered(picture, contract),
        "foreign": holding.foreign,
        "surprise": holding.surprise,
        "unrealised_cents": engine.guards.value_cents.get(contract),
        "opened_ns": trip.opened_ns if trip else None,
        "signal_id": entries[0].signal_id if entries else "",
    }


def _covered(picture: Picture, contract: str) -> bool:
    """Whether working stops cover all that is held, a stranger's part too: nothing looks safe that has no stop."""
    stops = sum(order.remaining for order in picture.stops(contract))
    return picture.protected(contract) and stops >= abs(picture.ledger.position(contract).size)


def _order(seen: Seen) -> dict[str, object]:
    order = seen.order
    return {
        "order_id": order.order_id,
        "contract": order.contract,
        "side": order.side,
        "type": order.order_type,
        "size": order.size,
        "filled": order.filled,
        "status": order.status,
        "limit": order.limit,
        "stop": order.stop,
        "tag": order.tag,
    }
