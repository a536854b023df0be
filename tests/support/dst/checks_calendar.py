"""Check of time: I28, by edges that are worked out here from zone data and the packaged list of holidays."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from importlib import resources
from zoneinfo import ZoneInfo

from dst.evidence import JournalStep
from dst.purse import CHICAGO, day_of, product_of
from dst.referee import Check, Facts, Rules, world_check
from tbot.domain.messages import Intent
from tbot.domain.timeframes import NS_PER_MIN, NS_PER_S

AFTER_OPEN_MIN, FLATTEN_MIN, NO_ENTRY_MIN = 5, 5, 10
ENOUGH_NS = 20 * NS_PER_S  # to get out of everything


@dataclass(frozen=True, slots=True)
class Edges:
    """Of one trading day and contract, UTC ns: entries in [start, last_entry), flat by `flat_by`."""

    start_ns: int
    last_entry_ns: int
    flat_by_ns: int


class Holidays:
    """The packaged list, read by itself."""

    def __init__(self) -> None:
        text = resources.files("tbot.data").joinpath("sessions.toml").read_text(encoding="utf-8")
        document = tomllib.loads(text)
        self.years = set(document["years"])
        self.rows: dict[date, list[Mapping[str, object]]] = {}
        for row in document["session"]:
            self.rows.setdefault(row["date"], []).append(row)

    def edges(self, day: date, contract: str, rules: Rules) -> Edges | None:
        """None: nothing may be opened or held on this day."""
        if day.weekday() > 4 or day.year not in self.years:
            return None
        firm = time(15, 10)
        for row in self.rows.get(day, ()):
            products = row["products"]
            assert isinstance(products, list)
            if "*" not in products and contract not in products:
                continue
            if row.get("closed"):
                return None
            close = row["close_ct"]
            assert isinstance(close, time)
            firm = min(firm, close)
        zone = ZoneInfo(rules.zone)
        opened = _ns(day - timedelta(days=1), time(17, 0), CHICAGO) + AFTER_OPEN_MIN * NS_PER_MIN
        start_ns = max(_ns(day, time(*rules.start), zone), opened)
        flat_by_ns = min(_ns(day, time(*rules.end), zone), _ns(day, firm, CHICAGO))
        last_ns = flat_by_ns - (FLATTEN_MIN + NO_ENTRY_MIN) * NS_PER_MIN
        return Edges(start_ns, last_ns, flat_by_ns) if last_ns > start_ns else None


def _ns(day: date, wall: time, zone: ZoneInfo) -> int:
    return int(datetime.combine(day, wall, zone).timestamp()) * NS_PER_S


@world_check("I28")
class InsideTheWindow(Check):
    """No entry outside the window, and flat before the earliest deadline of the day."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.holidays = Holidays()
        self.known: dict[tuple[date, str], Edges | None] = {}
        self.next_look_ns = 0
        self.due_ns: dict[tuple[int, str], int] = {}  # patience when it was first time to get out of something

    def edges(self, now_ns: int, contract: str) -> Edges | None:
        key = (day_of(now_ns), contract)
        if key not in self.known:
            self.known[key] = self.holidays.edges(*key, self.facts.rules)
        return self.known[key]

    def on_step(self, step: JournalStep) -> None:
        if self.facts.rules.always:
            return
        for output in step.outputs:
            if isinstance(output, Intent):
                self.judge()
                edges = self.edges(output.now_ns, output.contract)
                if edges is None or not edges.start_ns <= output.now_ns < edges.last_entry_ns:
                    self.fail(f"{output.tag} of {output.contract} was taken outside the window")

    def on_event(self) -> None:
        facts = self.facts
        if facts.rules.always or facts.evidence.market_ns < self.next_look_ns:
            return
        now_ns = facts.evidence.market_ns
        self.next_look_ns = now_ns + NS_PER_S
        for account in facts.rules.limits:
            foreign = facts.evidence.foreign
            orders = [order for order in facts.evidence.working(account) if order.order_id not in foreign]
            names = {order.contract for order in orders} | facts.own_sizes(account).keys()
            self._open(account, {name for name in names if product_of(name)}, now_ns)

    def _open(self, account: int, contracts: set[str], now_ns: int) -> None:
        """What is open. Getting out begins five minutes before the deadline; it needs some seconds of being able to."""
        for key in [key for key in self.due_ns if key[0] == account and key[1] not in contracts]:
            del self.due_ns[key]
        for contract in contracts:
            edges = self.edges(now_ns, contract)
            if edges is not None and edges.start_ns <= now_ns < edges.flat_by_ns - FLATTEN_MIN * NS_PER_MIN:
                continue
            self.judge()
            since_ns = self.due_ns.setdefault((account, contract), self.facts.patience_ns)
            past = edges is None or not edges.start_ns <= now_ns < edges.flat_by_ns
            if past and self.facts.waited_ns(since_ns) > ENOUGH_NS:
                self.fail(f"{contract} of account {account} is open after the deadline of {day_of(now_ns)}")
