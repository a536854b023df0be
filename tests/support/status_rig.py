"""Settings of a run that is never started, and children that only have a status."""

from pathlib import Path
from typing import Any

from tbot.engine.build import build_id
from tbot.engine.processes import Child, ProcessSpec
from tbot.engine.settings import AccountPlan, EngineSettings, GatewaySettings

HOP = {"count": 2, "p50": 10, "p99": 20, "p999": 30, "max": 40}
# What a live run needs to exist.
LIVE: dict[str, Any] = {
    "mode": "live",
    "gateway": GatewaySettings("https://gateway.example", "", "", simulated=False),
    "accounts": (AccountPlan(7, "A-7"),),
    "confirmed": (7,),
}


def settings(folder: Path, **more: Any) -> EngineSettings:
    """Of a run whose directories lie in `folder`."""
    run_dir, state_dir = folder / "run", folder / "state"
    run_dir.mkdir(mode=0o700, exist_ok=True)
    state_dir.mkdir(mode=0o700, exist_ok=True)
    values = {"mode": "sim", "symbols": ("MNQ", "ES"), "run_id": 77, "build": build_id("0.0"), "config_hash": "abc"}
    return EngineSettings(**(values | {"state_dir": state_dir, "run_dir": run_dir} | more))


def account(state: str = "ACTIVE", *reasons: str, **more: Any) -> dict[str, Any]:
    """One account as the Desk shows it."""
    values = {
        "name": "A-1",
        "state": state,
        "reasons": [{"code": code} for code in reasons],
        "text": f"because of {state}",
        "trades": 0,
        "wins": 0,
        "gained_cents": 0,
        "lost_cents": 0,
        "day_pnl_cents": 0,
        "unrealised_cents": 0,
        "drawdown_cents": 0,
        "positions": [],
        "orders": [],
        "balance_cents": 5_000_000,
        "can_trade": True,
        "unknown": [],
    }
    return values | more


def child(
    name: str, status: dict[str, Any] | None = None, *, ready: bool = True, beats: bool = True, vital: bool = True
) -> Child:
    """A child that was never started; `status` None: it said nothing of substance."""
    made = Child(ProcessSpec(name, "nowhere:nothing", None, beats=beats, vital=vital))
    if ready and beats:
        made.beat("OK", status or {})
    return made


def family(accounts: dict[str, dict[str, Any]] | None = None, **executor: Any) -> dict[str, Child]:
    """Executor, feed and two workers that have said something about everything."""
    accounts = {"1": account()} if accounts is None else accounts
    feed = {
        "contracts": {"MNQ": {"ticks": 10, "ticks_per_s": 1.5, "last_tick_age_s": 0.1, "gaps": 1}, "ES": {"gaps": 2}},
        "reconnections": 3,
        "counters": {"frames": 9},
        "hops": {"frame_ring": HOP},
    }
    mnq = {"live": True, "bars": {"1m": 5, "5m": 1}, "zones": {"1m": 2, "5m": 3}, "signals": 4, "last_price": 100}
    es = {"live": False, "bars": {"1m": 6}, "zones": {}, "signals": 0}
    said = {"accounts": accounts, "market_ns": 1_800_000_000_500_000_000, "hops": {"signal_request": HOP}} | executor
    children = [
        child("executor", said),
        child("feed", feed),
        child("worker-MNQ", {"contracts": {"MNQ": mnq}, "hops": {"frame_worker": HOP}}),
        child("worker-ES", {"contracts": {"ES": es}, "hops": {"frame_worker": HOP | {"p99": 5, "max": 99}}}),
    ]
    return {made.spec.name: made for made in children}
