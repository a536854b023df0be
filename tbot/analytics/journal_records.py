"""What a report reads of a journal: one pass over its rows by kind, into plain lists. Reads only.

Two things in a journal are not what they seem. A run that starts again within a day hears of all fills of that day once
more and notes their round trips once more; and where a simulator began anew (or a paper run, always), numbers of fills
begin anew, too. So rows are sorted into worlds: stretches of runs in which a fill's number means one fill. Within a
world, what is told twice counts once.
"""

import json
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import msgspec

from tbot.analytics.period import Period
from tbot.domain import messages as m
from tbot.domain.timeframes import NS_PER_S
from tbot.errors import DataError, ProtocolError
from tbot.storage.journal_reader import JournalReader, Row, RunInfo, run_info
from tbot.storage.journal_rotation import JournalFamily

Key = tuple[int, int]  # number of the file, row: the order in which things were written
BEFORE_NS = 4 * 86_400 * NS_PER_S  # fills and signals this much older are read, too: of what was open at the beginning
NEW_WORLD_MODES = frozenset({"paper", "replay"})  # their broker begins anew with every run
_FILLS = b'"fills":'


@dataclass(frozen=True, slots=True)
class RunSpan:
    """One start of the engine and the market time of its last row."""

    info: RunInfo
    last_ns: int
    world: int = 0


@dataclass(frozen=True, slots=True)
class Told:
    """Something that an account's journal tells, and in which world."""

    world: int
    item: Any


@dataclass(frozen=True, slots=True)
class Heard:
    """A fill or a balance as a run heard of it."""

    run: int  # place in Records.spans
    item: m.Fill | m.AccountUpdate
    settled: bool = False  # of a balance: what was told of fills before it is all that is in it


@dataclass(slots=True)
class Records:
    """Everything of one journal that a report needs; lists in the order in which things were written."""

    mode: str
    known: dict[int, str]  # every account of the journal and its name
    names: dict[int, str]  # of the accounts that are wanted
    daily_loss_cents: dict[int, int]  # account -> its own daily loss limit
    runs: list[RunSpan]  # that began before the period's end
    trips: list[m.RoundTrip]  # all up to the period's end, each once, in order of their ends
    worlds: list[int]  # of each trip
    signals: dict[str, m.Signal]  # of the period, and those of its trips
    decided: list[str]  # ids of signals of the period
    intents: dict[tuple[int, str], m.Intent] = field(default_factory=dict)  # by (account, signal)
    intent_boot_ns: dict[tuple[int, str], int] = field(default_factory=dict)  # when it was in the journal
    denials: list[m.Denial] = field(default_factory=list)
    states: list[m.StateChange] = field(default_factory=list)
    barred: list[m.Barred] = field(default_factory=list)
    feeds: list[m.FeedIn] = field(default_factory=list)
    conditions: list[m.ConditionIn] = field(default_factory=list)
    entries: list[m.PlaceBracket] = field(default_factory=list)
    results: dict[str, m.CommandResult] = field(default_factory=dict)  # by command id; the last word
    commands: int = 0  # orders and closes that were sent
    orders_of_tag: dict[tuple[int, str], int] = field(default_factory=dict)
    fills: list[Told] = field(default_factory=list)  # every telling of a fill
    spans: list[RunSpan] = field(default_factory=list)  # every run, whenever it began
    money: list[Heard] = field(default_factory=list)  # fills and balances in the order in which runs heard of them
    head: str = ""  # hash of the newest row, by which the data can be told again


class _Reader:
    """Rows of one family by kind, with the run that each belongs to."""

    def __init__(self, family: JournalFamily) -> None:
        self._family = family
        self.starts: list[Key] = []
        self.runs: list[RunSpan] = []
        for number, reader in enumerate(family.readers):
            starts = [row for row in reader.newest("RunInfo") if row.direction == "start"][::-1]
            for place, row in enumerate(starts):
                before = starts[place + 1].seq if place + 1 < len(starts) else None
                self.starts.append((number, row.seq))
                self.runs.append(RunSpan(run_info(row), _last_ns(reader, before)))

    def rows(self, kind: str, since_ns: int | None = None) -> Iterator[tuple[int, Row]]:
        """(place of the run, row), oldest first."""
        for number, reader in enumerate(self._family.readers):
            for row in reversed(list(reader.newest(kind, since_ns=since_ns))):
                yield max(0, bisect_right(self.starts, (number, row.seq)) - 1), row

    def items(self, kind: str, since_ns: int | None = None) -> Iterator[tuple[int, Row, Any]]:
        """The same with what the row holds. DataError where this version cannot read it."""
        for run, row in self.rows(kind, since_ns):
            try:
                yield run, row, self._family.decode(row)
            except ProtocolError as error:
                raise DataError(
                    f"{self._family.path} holds a {kind} that this version cannot read ({error}); use the one that "
                    "wrote it"
                ) from None


def _last_ns(reader: JournalReader, before: int | None) -> int:
    """Market time of the last row before row `before`, which may be of any kind."""
    rows = reader.newest() if before is None else reader.newest(before=before)
    row = next(rows, None)
    return 0 if row is None else row.market_ns


def newest_ns(family: JournalFamily) -> int:
    """Market time of the newest row that tells of a trade, a signal or a start; 0: there is none."""
    for kind in ("RoundTrip", "Intent", "SignalIn", "RunInfo"):
        row = next(family.newest(kind), None)
        if row is not None:
            return row.market_ns
    return 0


def read(family: JournalFamily, period: Period, account: int | None = None) -> Records:
    """What the journal tells of a period; `account`: of that one alone. DataError when it holds no run."""
    reader = _Reader(family)
    if not reader.runs:
        raise DataError(f"the journal {family.path} holds no run; there is nothing to report")
    since = period.from_ns - BEFORE_NS
    begun = [run.info.started_ns for run in reader.runs if run.last_ns >= period.from_ns and run.info.started_ns > 0]
    money = [heard for heard in _money(reader, min(since, *begun, since)) if heard.item.now_ns < period.until_ns]
    tellings = [(heard.run, heard.item) for heard in money if isinstance(heard.item, m.Fill)]
    worlds = _worlds(reader.runs, tellings)
    known, limits = _told(reader)
    names = known if account is None else {account: known.get(account, "")}
    limits = {number: own for number, own in limits.items() if number in names}
    found = Records(
        known=known,
        daily_loss_cents=limits,
        mode=reader.runs[-1].info.mode,
        names=names,
        runs=[
            replace(run, world=world)
            for run, world in zip(reader.runs, worlds, strict=True)
            if run.info.started_ns < period.until_ns
        ],
        trips=[],
        worlds=[],
        signals={},
        decided=[],
        head=family.newest_file.head[1].hex()[:12],
    )
    found.fills = [Told(worlds[run], fill) for run, fill in tellings if account in (None, fill.account)]
    found.spans = reader.runs
    found.money = [heard for heard in money if account in (None, heard.item.account)]
    for world, trip in _trips(reader, worlds, period, account):
        found.trips.append(trip)
        found.known.setdefault(trip.account, "")
        found.names.setdefault(trip.account, "")
        found.worlds.append(world)
    _decisions(reader, found, period, since, account)
    _operations(reader, found, period, account)
    return found


# ------------------------------------------------------------------------------------------------ fills and worlds
def _money(reader: _Reader, since_ns: int) -> list[Heard]:
    """Every telling of a fill or a balance, by itself or in a list of the broker's, in the order of the runs.

    The balance of a list was asked for before its fills: it may lack one that is among them. So it counts when nothing
    was told before it, and when the next list says the same of both.
    """
    found = [
        (run, row.seq, Heard(run, item))
        for kind in ("Fill", "AccountUpdate") for run, row, item in reader.items(kind, since_ns)
    ]  # fmt: skip
    lists: set[tuple[int, int, bytes]] = set()
    newest: dict[tuple[int, int], tuple[int | None, bytes]] = {}  # balance and fills of the list before
    for run, row in reader.rows("Snapshot", since_ns):
        at = row.body.find(_FILLS)
        if at < 0:
            continue
        place = (run, row.account or 0)
        told = (*place, row.body[at:])
        if told not in lists:  # hundreds of lists say the same
            lists.add(told)
            found += [(run, row.seq, Heard(run, fill)) for fill in _decoded(row, _Fills).fills]
        head = _decoded(row, _Head)
        if head.complete and head.status is not None:
            said = (head.status.balance_cents, row.body[at:])
            if newest.get(place) in (None, said):
                found.append((run, row.seq, Heard(run, head.status, settled=True)))
            newest[place] = said
    return [heard for _, _, heard in sorted(found, key=lambda entry: entry[:2])]


class _Fills(msgspec.Struct):
    """Of a Snapshot only what counts here: it has much else."""

    fills: tuple[m.Fill, ...] = ()


class _Head(msgspec.Struct):
    """The same without its fills, which are long."""

    complete: bool = False
    status: m.AccountUpdate | None = None


Part = TypeVar("Part", _Fills, _Head)


def _decoded(row: Row, part: type[Part]) -> Part:
    try:
        return msgspec.json.decode(row.body, type=part)
    except (msgspec.MsgspecError, ValueError) as error:
        raise DataError(f"row {row.seq} of the journal holds a list of fills that cannot be read: {error}") from None


def _same(one: m.Fill, other: m.Fill) -> bool:
    """Whether two tellings are of one execution: its costs, time and validity may come later."""
    return (one.order_id, one.contract, one.side, one.size, one.price) == (
        other.order_id, other.contract, other.side, other.size, other.price,
    )  # fmt: skip


def _worlds(runs: list[RunSpan], tellings: list[tuple[int, m.Fill]]) -> list[int]:
    """The world of each run."""
    of_run: dict[int, list[m.Fill]] = {}
    for run, fill in tellings:
        of_run.setdefault(run, []).append(fill)
    worlds: list[int] = []
    known: dict[tuple[int, int], m.Fill] = {}
    world = -1
    for number, span in enumerate(runs):
        mine = of_run.get(number, [])
        strange = any(not _same(known.get((fill.account, fill.fill_id), fill), fill) for fill in mine)
        if world < 0 or span.info.mode in NEW_WORLD_MODES or (strange and span.info.mode == "sim"):
            world += 1
            known = {}
        for fill in mine:
            known.setdefault((fill.account, fill.fill_id), fill)
        worlds.append(world)
    return worlds


# ------------------------------------------------------------------------------------------------ round trips
def _trips(
    reader: _Reader, worlds: list[int], period: Period, account: int | None
) -> list[tuple[int, m.RoundTrip]]:
    """Each round trip once, in order of their ends."""
    kept: dict[tuple[int, int, str], list[m.RoundTrip]] = {}
    for run, _, trip in reader.items("RoundTrip"):
        if trip.now_ns >= period.until_ns or account not in (None, trip.account):
            continue
        others = kept.setdefault((worlds[run], trip.account, trip.contract), [])
        twin = next((place for place, other in enumerate(others) if _twins(other, trip)), None)
        if twin is None:
            others.append(trip)
        else:  # the first one has the stamps, the later one the costs as they stand now
            others[twin] = replace(
                others[twin], fees_cents=trip.fees_cents, commission_cents=trip.commission_cents
            )
    found = [(key[0], trip) for key, trips in kept.items() for trip in trips]
    return sorted(found, key=lambda entry: (entry[1].now_ns, entry[1].opened_ns, entry[1].account, entry[1].contract))


def _twins(one: m.RoundTrip, other: m.RoundTrip) -> bool:
    """Whether two notes are of one round trip: an account holds one position of a contract at a time."""
    alike = (one.side, one.size, one.entry_price_size, one.exit_price_size, one.gross_cents) == (
        other.side, other.size, other.entry_price_size, other.exit_price_size, other.gross_cents,
    )  # fmt: skip
    overlap = one.opened_ns < other.now_ns and other.opened_ns < one.now_ns
    return alike and (overlap or (one.opened_ns, one.now_ns) == (other.opened_ns, other.now_ns))


# ------------------------------------------------------------------------------------------------ everything else
def _told(reader: _Reader) -> tuple[dict[int, str], dict[int, int]]:
    """(name, daily loss limit in cents) of each account, as the runs were set up, newest last.

    Read as plain JSON and not as the engine's own type: a report is about runs of earlier versions, too.
    """
    names: dict[int, str] = {}
    limits: dict[int, int] = {}
    for run in reader.runs:
        try:
            desk = json.loads(run.info.desk or "{}")
            common = desk.get("limits", {}).get("daily_loss_cents")
            for told in desk.get("accounts", ()):
                number = int(told["account"])
                names[number] = str(told.get("name") or names.get(number, ""))
                own = (told.get("limits") or {}).get("daily_loss_cents", common)
                if own is not None:
                    limits[number] = int(own)
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # only names and one limit are lost
    return names, limits


def _decisions(reader: _Reader, found: Records, period: Period, since_ns: int, account: int | None) -> None:
    """Signals and what became of them."""
    wanted = {trip.signal_id for trip in found.trips if period.holds(trip.now_ns)}
    for _, row, item in reader.items("SignalIn", since_ns):
        signal = item.signal
        inside = period.holds(row.market_ns)
        if not inside and signal.signal_id not in wanted:
            continue
        if inside and signal.signal_id not in found.signals:
            found.decided.append(signal.signal_id)
        found.signals[signal.signal_id] = signal
    for _, row, intent in reader.items("Intent", since_ns):
        key = (intent.account, intent.signal_id)
        if account in (None, intent.account) and intent.now_ns < period.until_ns:
            found.intents[key], found.intent_boot_ns[key] = intent, row.boot_ns
    for _, row, denial in reader.items("Denial", period.from_ns):
        if period.holds(row.market_ns) and account in (None, denial.account):
            found.denials.append(denial)


def _operations(reader: _Reader, found: Records, period: Period, account: int | None) -> None:
    """Orders, states and data."""

    def inside(kind: str) -> Iterator[Any]:
        for _, row, item in reader.items(kind, period.from_ns):
            if period.holds(row.market_ns) and account in (None, getattr(item, "account", account)):
                yield item

    found.entries = list(inside("PlaceBracket"))
    found.commands = len(found.entries) + sum(
        1 for kind in ("PlaceStop", "PlaceTarget", "PlaceExit", "CloseContract") for _ in inside(kind)
    )
    for result in inside("CommandResult"):
        found.results[result.command_id] = result
    for update in inside("OrderUpdate"):
        if update.tag:
            found.orders_of_tag[update.account, update.tag] = update.order_id
    found.states = list(inside("StateChange"))
    found.barred = list(inside("Barred"))
    found.feeds = list(inside("FeedIn"))
    found.conditions = list(inside("ConditionIn"))
