"""Figures of a running engine for Prometheus: a collector that reads its status file and its rings, and nothing else.

It runs in a process of its own and only reads, so nothing it does can slow or stop the engine. What the status file
holds is up to 30 s old (it is written when something happens); how many ticks came and when the last one did is read
from the rings themselves at every scrape. Accounts are named by their place (a1, a2, ...): ids stay on this machine.
Base units and the suffix `_total` as Prometheus asks (https://prometheus.io/docs/practices/naming/).
"""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from tbot.errors import LayoutError
from tbot.transport.shm import Segment
from tbot_ext.records import TICK_DTYPE
from tbot_ext.ring import RingLayoutError
from tbot_ext.ring_layout import HEADER_BYTES, RingView

STATES = (
    "STARTING", "RECONCILING", "ACTIVE", "PAUSED", "REDUCING", "LOCKED", "HALTED", "STOPPING", "STOPPED", "NOT_FLAT",
)  # fmt: skip
DEAD_AFTER_S = 60.0  # as for `tbot status`
QUANTILES = (("p50", "0.5"), ("p99", "0.99"), ("p999", "0.999"), ("max", "1"))
PROCESS_STATES_UP = ("STOPPED", "DEAD", "FAILED", "NEW")


Lives = Callable[[dict[str, Any]], bool]


def always(document: dict[str, Any]) -> bool:
    """Where nothing but the document tells whether its engine lives."""
    return True


class EngineCollector(Collector):
    """Made anew at every scrape from `status` (the file's path); a run that is not there gives `tbot_up 0` alone."""

    def __init__(self, status: Path, run_dir: Callable[[], Path | None], lives: Lives = always) -> None:
        """`run_dir`: where the rings are now; another run of the same state has another one.

        `lives`: whether somebody may stand behind a document that does not tell of an end.
        """
        self._status, self._run_dir, self._lives = status, run_dir, lives

    def collect(self) -> Iterator[Metric]:
        """All metrics of the moment."""
        document = read_status(self._status)
        now_ns = time.time_ns()
        age_s = (now_ns - document.get("written_ns", 0)) / 1e9
        up = bool(document) and not document["ended"] and age_s < DEAD_AFTER_S and self._lives(document)
        yield _gauge("tbot_up", "Whether the engine runs and says so.", [((), float(up))])
        if document:
            yield _gauge("tbot_status_age_seconds", "Age of the status file.", [((), age_s)])
            yield from figures(document)
            yield from ring_figures(self._run_dir() if up else None, document["contracts"], now_ns, age_s)


def read_status(path: Path) -> dict[str, Any]:
    """The status document; {} when it is not there or is none."""
    with contextlib.suppress(OSError, ValueError):
        document = orjson.loads(path.read_bytes())
        if isinstance(document, dict) and document.get("schema") == "tbot.status":
            return document
    return {}


def figures(document: Mapping[str, Any]) -> Iterator[Metric]:
    """What the status document tells."""
    info = InfoMetricFamily("tbot_engine", "Mode, build and settings of the run.")
    info.add_metric((), {key: str(document[key]) for key in ("mode", "build", "config_hash")})
    yield info
    states = [((state,), float(document["state"] == state)) for state in STATES]
    yield _gauge("tbot_state", "1 for the state that the engine is in.", states, ("state",))
    alarms = [((alarm["code"],), 1.0) for alarm in {one["code"]: one for one in document["alarms"]}.values()]
    yield _gauge("tbot_alarm", "Alarms that a person should look at.", alarms, ("code",))
    yield from _contracts(document["contracts"])
    yield from _accounts(document["accounts"])
    for name, text, value in (
        ("intents", "Signals that became an order.", document["intents"]),
        ("fills", "Fills.", document["fills"]),
        ("round_trips", "Closed trades.", document["round_trips"]),
        ("wins", "Closed trades that won after costs.", document["wins"]),
        ("gaps", "Interruptions of market data.", document["gaps"]),
        ("restarts", "Restarts of processes.", document["restarts"]),
        ("reconnections", "Reconnections of the hubs.", document["reconnections"]),
        ("api_requests", "Requests to the gateway.", document["api"].get("requests", 0)),
        ("api_too_many", "Answers 429 of the gateway.", document["api"].get("too_many", 0)),
    ):
        yield _counter(f"tbot_{name}", text, [((), value)])
    denials = [((code,), count) for code, count in document["denials"].items()]
    yield _counter("tbot_denials", "Signals that were refused.", denials, ("reason",))
    hops = document["latency_ns"]
    quantiles = [((hop, label), told[key] / 1e9) for hop, told in hops.items() for key, label in QUANTILES]
    text = "Latency of a hop since the start of the run."
    yield _gauge("tbot_latency_seconds", text, quantiles, ("hop", "quantile"))
    counts = [((hop,), told["count"]) for hop, told in hops.items()]
    yield _counter("tbot_latency_samples", "How many times a hop was passed.", counts, ("hop",))
    alive = [((name,), float(child["state"] not in PROCESS_STATES_UP)) for name, child in document["processes"].items()]
    yield _gauge("tbot_process_up", "Whether a process of the engine lives.", alive, ("process",))


def _contracts(contracts: Mapping[str, Any]) -> Iterator[Metric]:
    bars = [((symbol, frame), count) for symbol, one in contracts.items() for frame, count in one["bars"].items()]
    yield _counter("tbot_bars", "Closed bars.", bars, ("symbol", "timeframe"))
    zones = [((symbol,), float(sum(one["zones"].values()))) for symbol, one in contracts.items()]
    yield _gauge("tbot_zones", "Zones that are alive.", zones, ("symbol",))
    signals = [((symbol,), one["signals"]) for symbol, one in contracts.items()]
    yield _counter("tbot_signals", "Signals of the strategy.", signals, ("symbol",))
    live = [((symbol,), float(one["live"] and not one["barred"])) for symbol, one in contracts.items()]
    yield _gauge("tbot_contract_tradable", "Whether a contract has whole data and is not barred.", live, ("symbol",))


def _accounts(accounts: Mapping[str, Any]) -> Iterator[Metric]:
    day, unrealised, balance, distance, held, flat = [], [], [], [], [], []
    for number, account in enumerate(accounts.values(), 1):
        name = f"a{number}"
        day.append(((name,), account["day_pnl_cents"] / 100))
        unrealised.append(((name,), account["unrealised_cents"] / 100))
        if account.get("balance_cents") is not None:
            balance.append(((name,), account["balance_cents"] / 100))
        flat.append(((name,), float(account["flat"])))
        floor = (account.get("firm") or {}).get("to_floor_cents")
        for limit, cents in (("day", account.get("day_room_cents")), ("floor", floor)):
            if cents is not None:
                distance.append(((name, limit), cents / 100))
        held += [((name, place["contract"]), float(place["side"] * place["size"])) for place in account["positions"]]
    yield _gauge("tbot_pnl_day_usd", "Result of the trading day after costs.", day, ("account",))
    yield _gauge("tbot_pnl_open_usd", "What open positions would bring now.", unrealised, ("account",))
    yield _gauge("tbot_balance_usd", "Balance by the gateway.", balance, ("account",))
    yield _gauge("tbot_limit_distance_usd", "What may still be lost before a limit.", distance, ("account", "limit"))
    yield _gauge("tbot_flat", "Whether an account is proven flat.", flat, ("account",))
    yield _gauge("tbot_position_contracts", "Open position, short below 0.", held, ("account", "symbol"))


def ring_figures(
    run_dir: Path | None, contracts: Mapping[str, Any], now_ns: int, told_s: float
) -> Iterator[Metric]:
    """Ticks and age of the last one, from the rings; without them from the status document, which is `told_s` old."""
    ticks: list[tuple[tuple[str, ...], float]] = []
    ages: list[tuple[tuple[str, ...], float]] = []
    for symbol, told in contracts.items():
        found = _ring(run_dir, symbol) if run_dir is not None else None
        count, received_ns = found or (told["ticks"], 0)
        ticks.append(((symbol,), count))
        if received_ns:
            ages.append(((symbol,), max(0.0, (now_ns - received_ns) / 1e9)))
        elif told["last_tick_age_s"] is not None:
            ages.append(((symbol,), max(0.0, told["last_tick_age_s"] + told_s)))
    yield _counter("tbot_ticks", "Records of market data.", ticks, ("symbol",))
    yield _gauge("tbot_feed_age_seconds", "Time since the last record arrived.", ages, ("symbol",))


def _ring(run_dir: Path, symbol: str) -> tuple[int, int] | None:
    """(records written, receive time of the last one); None when the ring is gone. No reader's place is taken."""
    try:
        segment = Segment.attach(run_dir, f"ring.{symbol}")  # a RingView wants a writable mapping; nothing is written
    except (LayoutError, OSError):
        return None
    with segment, contextlib.suppress(RingLayoutError, ValueError):
        with RingView(segment.buf) as ring:
            written, capacity = ring.written, ring.capacity
        if not written:
            return 0, 0
        records = segment.array(TICK_DTYPE, HEADER_BYTES, capacity)
        received_ns = int(records["recv_ns"][(written - 1) % capacity])
        del records
        return written, received_ns
    return None


def _gauge(
    name: str, text: str, values: Iterable[tuple[tuple[str, ...], float]], labels: tuple[str, ...] = ()
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=labels)
    for label, value in values:
        family.add_metric(label, value)
    return family


def _counter(
    name: str, text: str, values: Iterable[tuple[tuple[str, ...], float]], labels: tuple[str, ...] = ()
) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=labels)
    for label, value in values:
        family.add_metric(label, value)
    return family


def serve(status: Path, run_dir: Callable[[], Path | None], port: int, lives: Lives = always) -> int:
    """Serve /metrics on 127.0.0.1; returns the port. OSError when it is taken."""
    from prometheus_client import CollectorRegistry, start_http_server

    registry = CollectorRegistry()
    registry.register(EngineCollector(status, run_dir, lives))
    server, _ = start_http_server(port, addr="127.0.0.1", registry=registry)
    return int(server.server_port)
