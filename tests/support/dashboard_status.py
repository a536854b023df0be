"""A status document as a busy paper run writes it, for the terminal dashboard's tests."""

from typing import Any

from engine_scene import ACCOUNT, MINUTE

OK_PROCESSES = ("executor", "feed", "worker-MNQ", "worker-ES")


def hop(p50: int, p99: int) -> dict[str, int]:
    return {"count": 900, "p50": p50, "p99": p99, "p999": 2 * p99, "max": 3 * p99}


def contract(**changes: Any) -> dict[str, Any]:
    base = {
        "ticks": 20_000, "ticks_per_s": 38.0, "last_tick_age_s": 0.1, "gaps": 0, "last_price": 100_000, "live": True,
        "feed": "ok", "bars": {"1m": 300}, "zones": {"1m": 12, "5m": 6}, "signals": 2, "last_signal": None, "lag": 0,
        "lost": 0, "barred": "", "hole": "",
    }  # fmt: skip
    return base | changes


def position(entry: int, now_ns: int, **changes: Any) -> dict[str, Any]:
    """Two MNQ, long unless `side` says otherwise."""
    base = {
        "contract": "MNQ", "side": 1, "size": 2, "entry": float(entry), "entry_price_size": 2 * entry,
        "stop": entry - 40, "target": entry + 80, "protected": True, "unrealised_cents": 1500,
        "opened_ns": now_ns - 16 * MINUTE, "signal_id": "MNQ-3", "foreign": 0, "surprise": False,
    }  # fmt: skip
    return base | changes


def account(**changes: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "name": "50KTC-V2-0001", "state": "ACTIVE", "reasons": [], "text": "trading", "flat": False, "protected": True,
        "balance_cents": 5_021_250, "can_trade": True, "day_pnl_cents": 21_250, "day_room_cents": 101_250,
        "firm": {
            "stage": "combine", "known": True, "start_cents": 5_000_000, "floor_cents": 4_840_000,
            "to_floor_cents": 181_250, "equity_cents": 5_021_250, "high_water_cents": 5_040_000,
            "target_cents": 300_000, "profit_cents": 21_250,
        },
        "unrealised_cents": 1500, "loss_streak": 1, "streak_most": 2, "entries_today": 7, "entries_most": 40,
        "trades": 6, "wins": 4, "losses": 2, "win_rate": 0.6667, "profit_factor": 1.62, "signals": 31, "intents": 7,
        "denials": {"RC_WINDOW": 20, "RISK_BUDGET": 4}, "positions": [], "orders": [],
    }  # fmt: skip
    return base | changes


def status(now_ns: int, **changes: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "badge": "PAPER", "mode": "paper", "state": "ACTIVE", "reason": "trading", "reasons": [], "ended": False,
        "written_ns": now_ns, "market_ns": now_ns, "speed": 1.0, "fills": 13, "alarms": [], "pid": 4242,
        "contracts": {"MNQ": contract(), "ES": contract(ticks_per_s=21.0)},
        "accounts": {str(ACCOUNT): account()},
        "latency_ns": {
            "frame_ring": hop(21_000, 95_000), "frame_worker": hop(48_000, 210_000),
            "frame_signal": hop(62_000, 410_000), "signal_request": hop(350_000, 1_240_000),
        },
        "news": {
            "stale": False, "age_s": 600, "problems": [], "actions": {"MNQ": "none"},
            "next": [{"time": "2026-11-20T07:11:00Z", "currency": "USD", "impact": "High", "title": "CPI m/m"}],
        },
        "processes": {name: {"pid": 1, "state": "OK", "restarts": 0} for name in OK_PROCESSES},
    }  # fmt: skip
    return base | changes
