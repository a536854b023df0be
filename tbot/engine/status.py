"""The status document: one plain picture of the run, built from the processes' own words, written for everybody else.

Written to `status.json` every 30 s and on change of anything a person would call a change, atomically (temporary file,
sync, rename), so that a reader never sees half of it (I33).
"""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from tbot.domain.trading_hours import loosened, table_hash
from tbot.engine.beside import Newest
from tbot.engine.clocks import NS_PER_S, boot_ns
from tbot.engine.processes import Child
from tbot.engine.settings import EngineSettings
from tbot.storage.private_file import replace_private

WRITE_EVERY_NS = 30 * NS_PER_S
CHANGE_EVERY_NS = NS_PER_S // 2  # changes are gathered for this long
LOOK_EVERY_NS = NS_PER_S // 5  # between looks for a change

BADGES = {"sim": "DEMO", "paper": "PAPER", "live": "LIVE", "replay": "REPLAY"}
# Mildest first; the order in which an account itself decides (execution/engine_state.py).
HALTING = {"RC_AUTH", "RC_SECOND_ENGINE", "RC_CONFIG", "RC_CLOCK"}  # alarms under which no contract takes entries
PAUSING = {"RC_MKT_HUB", "RC_QUOTE_STALE", "RC_USER_HUB"}  # the same, and it ends by itself
STRICTNESS = ("ACTIVE", "PAUSED", "RECONCILING", "BOOT", "REDUCING", "LOCKED", "HALTED")


@dataclass
class Phase:
    """Where the launcher is in the life of a run."""

    stopping: bool = False
    ended: bool = False
    flat: bool = False  # proven when the run ended
    failure: str = ""  # why the run had to end by itself
    failure_code: str = ""
    exit_code: int = 1  # of a run that failed
    bad_messages: int = 0  # to the launcher, that were no messages of this run
    undone: str = ""  # what a worker that did not end in order left undone
    last_resort: str = ""  # of the emergency exit the launcher started: "", running, flat, not flat
    last_resort_began_ns: int = 0  # boot clock
    last_resort_closes: tuple[int, ...] = ()  # its accounts; (): all of the login
    report: dict[str, Any] = field(default_factory=dict)  # see weekly.py


def iso(ns: int) -> str | None:
    """UTC ns as ISO 8601 with Z, or None for 0."""
    if not ns:
        return None
    return datetime.fromtimestamp(ns / NS_PER_S, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def build_status(
    settings: EngineSettings, children: Mapping[str, Child], started_boot_ns: int, phase: "Phase"
) -> dict[str, Any]:
    """Join what the processes said last into the status document."""
    feed = children["feed"].status if "feed" in children else {}
    executor = children["executor"].status if "executor" in children else {}
    workers = [child.status for name, child in children.items() if name.startswith("worker")]
    accounts = executor.get("accounts", {})
    state, reasons, text = _state(children, accounts, phase)
    document: dict[str, Any] = {
        "schema": "tbot.status",
        "version": 1,
        "mode": settings.mode,
        "badge": BADGES[settings.mode],
        "build": settings.build,
        "config_hash": settings.config_hash,
        "pid": os.getpid(),
        "written_ns": time.time_ns(),
        "written": iso(time.time_ns()),
        "uptime_s": round((boot_ns() - started_boot_ns) / NS_PER_S, 1),
        "state": state,
        "ended": phase.ended,
        "reasons": reasons,
        "reason": text,
        "warnings": list(settings.warnings),
        "caps": [
            {"product": cap.product, "most": cap.most, "from": iso(cap.from_ns), "to": iso(cap.to_ns), "cpi": cap.cpi}
            for cap in settings.caps
        ],
        "last_resort": phase.last_resort,
        "last_resort_began_boot_ns": phase.last_resort_began_ns,
        "last_resort_closes": list(phase.last_resort_closes),
        "sessions": {
            "years": sorted(settings.sessions.years),
            "hash": table_hash(settings.sessions),
            "overrides": loosened(settings.sessions),
        },
        "report": phase.report,
        "contracts": _contracts(settings, feed, workers, executor),
        "accounts": accounts,
    }
    document.update(_figures(executor))
    document.update(accounts_money(accounts))
    document.update(_operations(feed, executor, workers, children))
    document["messages"] = _messages(executor, workers, children, phase)
    return document


def _state(
    children: Mapping[str, Child], accounts: Mapping[str, Any], phase: "Phase"
) -> tuple[str, list[str], str]:
    """Engine state as one word: the strictest of the accounts', overruled by what the launcher knows."""
    if phase.failure:
        return "HALTED", [phase.failure_code], phase.failure
    if phase.ended:
        return ("STOPPED", [], phase.undone) if phase.flat else ("NOT_FLAT", [], "the accounts were not proven flat")
    if phase.stopping:
        return "STOPPING", [], "stopping: entries are off"
    missing = sorted(name for name, child in children.items() if child.awaited)
    if missing:
        return "STARTING", ["RC_START"], f"waiting for {', '.join(missing)}"
    if not accounts:
        return "STARTING", ["RC_START"], "no account yet"
    trouble = children["executor"].status.get("journal", {}).get("trouble", "")
    return accounts_state(accounts, _alarms(children), trouble)


def accounts_state(
    accounts: Mapping[str, Any], alarms: list[dict[str, str]], trouble: str
) -> tuple[str, list[str], str]:
    """The strictest state of these accounts (at least one) under the alarms of the run; `trouble` of its journal."""
    strictest = max((account["state"] for account in accounts.values()), key=STRICTNESS.index)
    alarm = next((alarm for alarm in alarms if alarm["code"] in HALTING), None)
    worst = next(account for account in accounts.values() if account["state"] == strictest)
    if alarm is not None and (
        STRICTNESS.index(strictest) < STRICTNESS.index("REDUCING")
        or (strictest == "HALTED" and alarm["text"].startswith(worst["text"]))  # the same, and what to do about it
    ):
        return "HALTED", [alarm["code"]], alarm["text"]  # every contract is barred; exits go on
    if trouble and strictest == "ACTIVE":  # an account does not know of it: its entries end at the journal (R1)
        return "PAUSED", ["RC_JOURNAL"], f"no entries, the journal is not written: {trouble}"
    blind = next((alarm for alarm in alarms if alarm["code"] in PAUSING), None)
    if blind is not None and strictest == "ACTIVE":  # an account that nobody feeds is not trading, whatever it says
        return "PAUSED", [blind["code"]], f"no entries, {blind['text']}"
    text = worst["text"]
    if len(accounts) > 1 and strictest != "ACTIVE":
        trading = sum(account["state"] == "ACTIVE" for account in accounts.values())
        text = f"{worst['name']}: {text}" + (f"; {trading} of {len(accounts)} accounts trading" if trading else "")
    return strictest, [reason["code"] for reason in worst["reasons"]], text


def _alarms(children: Mapping[str, Child]) -> list[dict[str, str]]:
    """What a person must look at, as the processes say: {code, text}."""
    speakers = [children[name] for name in ("executor", "feed") if name in children]
    return [alarm for child in speakers for alarm in child.status.get("alarms", [])]


def _contracts(
    settings: EngineSettings, feed: Mapping[str, Any], workers: list[dict[str, Any]], executor: Mapping[str, Any]
) -> dict[str, Any]:
    feeds, barred = executor.get("feeds", {}), executor.get("barred", {})
    fed = feed.get("contracts", {})
    worked: dict[str, Any] = {}
    for status in workers:
        worked.update(status.get("contracts", {}))
    document = {}
    for symbol in settings.symbols:
        source, worker = fed.get(symbol, {}), worked.get(symbol, {})
        document[symbol] = {
            "ticks": source.get("ticks", 0),
            "ticks_per_s": source.get("ticks_per_s", 0.0),
            "last_tick_age_s": source.get("last_tick_age_s"),
            "gaps": source.get("gaps", 0),
            "source": source.get("source", ""),
            "broker_id": source.get("broker_id", ""),
            "hole": source.get("hole", ""),
            "rolls": source.get("rolls", 0),
            "barred": barred.get(symbol, "") or worker.get("distrust", ""),
            "last_price": worker.get("last_price"),
            "bid": worker.get("bid"),
            "ask": worker.get("ask"),
            "live": worker.get("live", False),
            "feed": feeds.get(symbol, "gap"),
            "bars": worker.get("bars", {}),
            "zones": worker.get("zones", {}),
            "signals": worker.get("signals", 0),
            "last_signal": worker.get("last_signal"),
            "lost": worker.get("lost", 0),
            "position": worker.get("position", 0),
            "lag": worker.get("lag", 0),
            "counters": worker.get("counters", {}),
            "setups": worker.get("setups", {}),
        }
    return document


def _figures(executor: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "market_ns": executor.get("market_ns", 0),
        "market_time": iso(executor.get("market_ns", 0)),
        "speed": executor.get("speed", 1.0),
        "intents": executor.get("intents", 0),
        "denials": executor.get("denials", {}),
        "fills": executor.get("fills", 0),
        "execution_ns": executor.get("execution_ns", {}),
        "slippage_ticks": executor.get("slippage_ticks"),
        "last_prices": executor.get("last_prices", {}),
    }


def accounts_money(accounts: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of the document that are sums over accounts; the drawdown is the largest of any one."""
    trips = sum(account["trades"] for account in accounts.values())
    wins = sum(account["wins"] for account in accounts.values())
    gained = sum(account["gained_cents"] for account in accounts.values())
    lost = sum(account["lost_cents"] for account in accounts.values())
    return {
        "round_trips": trips,
        "wins": wins,
        "pnl_usd": sum(account["day_pnl_cents"] for account in accounts.values()) / 100,
        "open_usd": sum(account["unrealised_cents"] for account in accounts.values()) / 100,
        "win_rate": round(wins / trips, 4) if trips else None,
        "profit_factor": round(gained / lost, 3) if lost else None,
        "drawdown_usd": max((account["drawdown_cents"] for account in accounts.values()), default=0) / 100,
    }


def _operations(
    feed: Mapping[str, Any], executor: Mapping[str, Any], workers: list[dict[str, Any]], children: Mapping[str, Child]
) -> dict[str, Any]:
    latency: dict[str, Any] = {}
    for status in (feed, *workers, executor):
        for hop, figures in status.get("hops", {}).items():
            known = latency.get(hop)
            # Several workers: the worst percentiles are shown, the counts add up.
            latency[hop] = figures if known is None else {
                key: known[key] + value if key == "count" else max(known[key], value) for key, value in figures.items()
            }
    return {
        "latency_ns": latency,
        "news": feed.get("news"),
        "dxy": feed.get("dxy"),
        "learning": children["recorder"].status.get("learning") if "recorder" in children else None,
        "gaps": sum(contract.get("gaps", 0) for contract in feed.get("contracts", {}).values()),
        "restarts": sum(child.restarts for child in children.values()),
        "reconnections": feed.get("reconnections", 0) + executor.get("reconnections", 0),
        "api": executor.get("api", {}),
        "feed": feed.get("counters", {}),
        "alarms": _alarms(children),
        "conditions": executor.get("conditions", {}),
        "journal": executor.get("journal", {}),
        "control": executor.get("control", {}),
        "stood_still": executor.get("stood_still", {}),
        "processes": {
            name: {"pid": child.pid, "state": child.state, "restarts": child.restarts}
            for name, child in children.items()
        },
    }


def _messages(
    executor: Mapping[str, Any], workers: list[dict[str, Any]], children: Mapping[str, Child], phase: "Phase"
) -> dict[str, int]:
    """What was lost between processes, by kind, as those that live now have counted it; 0 each in a healthy run (I25).

    Prices that a worker lost stand with its contract (`lost`).
    """
    said = [child.status for child in children.values()]

    def of_workers(part: str, name: str) -> int:
        return sum(status.get(part, {}).get(name, 0) for status in workers)

    return {
        "signals_not_sent": of_workers("messages", "send_failed"),
        "signals_refused": of_workers("messages", "refused"),
        "signals_unacknowledged": of_workers("messages", "unacked"),
        "prices_lost": executor.get("lost", 0),
        "outcomes_not_sent": of_workers("outcomes", "unsent"),
        "outcomes_unacknowledged": of_workers("outcomes", "unacked"),
        "lines_dropped": sum(status.get("dropped", 0) for status in said),
        "bad": phase.bad_messages + sum(status.get("messages", {}).get("bad_messages", 0) for status in said),
    }


def _exposure(account: Mapping[str, Any]) -> list[Any]:
    """What an account holds and has working, and the broker's word on it: a change of any of it is news."""
    positions = [(place["contract"], place["side"], place["size"], place["stop"]) for place in account["positions"]]
    orders = [[order[key] for key in ("order_id", "status", "filled", "limit", "stop")] for order in account["orders"]]
    return [positions, orders, account["balance_cents"], account["can_trade"], account["unknown"]]


class StatusFile:
    """Writes the document when it changed in a way that matters, or every 30 s.

    `beside`: in a thread of its own, as the caller has more to do than to wait for a slow disk; `settle` at the end.
    """

    def __init__(self, path: Path, *, beside: bool = False) -> None:
        self.path = path
        self._beside = Newest(self._put, "status") if beside else None
        self._written_ns = 0
        self._looked_ns = 0
        self._essence = b""
        self._state = ""

    def due(self) -> bool:
        """Whether it is time for `update`: a document is dear to make, and a fifth of a second is soon enough (I33)."""
        return boot_ns() - self._looked_ns >= LOOK_EVERY_NS

    def update(self, document: dict[str, Any]) -> None:
        """Write when due; cheap when not. Another state does not wait for other changes to gather."""
        self._looked_ns = boot_ns()
        since = self._looked_ns - self._written_ns
        if since < CHANGE_EVERY_NS and self._written_ns and document["state"] == self._state:
            return
        keys = ("state", "reasons", "intents", "denials", "fills", "round_trips", "pnl_usd", "restarts", "gaps")
        shown = document["contracts"].values()
        live = [(contract["live"], contract["feed"], contract["bars"].get("1m")) for contract in shown]
        pids = [process["pid"] for process in document["processes"].values()]
        resort = [document["last_resort"], document["last_resort_began_boot_ns"]]
        alarms = [*resort, *(alarm["code"] for alarm in document["alarms"])]
        exposure: list[Any] = [document.get("report"), (document.get("log") or {}).get("trouble")]
        exposure.append(document.get("messages"))
        exposure += [_exposure(account) for account in document["accounts"].values()]
        essence = orjson.dumps([[document[key] for key in keys], live, pids, alarms, exposure])
        if essence != self._essence or since >= WRITE_EVERY_NS:
            self._essence = essence
            self.write(document)

    def write(self, document: dict[str, Any]) -> None:
        """Atomic: a reader sees the old document or the new one."""
        self._written_ns, self._state = boot_ns(), str(document.get("state"))
        data = orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS)
        if self._beside is None:
            self._put(data)
        else:
            self._beside.put(data)

    def settle(self, timeout_s: float) -> bool:
        """Wait for what is being written beside; False when it is not on disk after so long."""
        return self._beside is None or self._beside.settle(timeout_s)

    def _put(self, data: bytes) -> None:
        try:
            self.path.parent.mkdir(mode=0o700, exist_ok=True)  # somebody may have deleted it (F-CFG-05)
            replace_private(self.path, data)
        except OSError:
            # A full disk must not stop the engine: the old document stays, its age tells (F-SYS-01).
            self._essence = b""  # what could not be written is still news at the next update
