"""Puts Desk, broker, journal and session together for one run, and answers the executor's questions about them."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from tbot.domain.messages import BrokerEvent, Command, PlaceBracket
from tbot.engine.clocks import RunClock, boot_ns
from tbot.engine.desk_record import DeskRecord
from tbot.engine.gateway_link import Account, Link
from tbot.engine.health import Hops
from tbot.engine.observer import Observer, Tell
from tbot.engine.settings import EngineSettings
from tbot.errors import JournalDamaged
from tbot.execution.broker import Broker, DeskLoop
from tbot.execution.carry import CarryFold
from tbot.execution.desk import Desk
from tbot.execution.paper_broker import PaperAccount, PaperBroker
from tbot.execution.session import AgeOf, DeskSession, market_age
from tbot.execution.settings import Carried, DeskSettings
from tbot.gateway.codec_domain import ContractBook
from tbot.gateway.live_broker import LiveBroker
from tbot.gateway.rest import OrderClient
from tbot.storage.journal import Journal
from tbot.storage.journal_reader import RunInfo
from tbot.transport import wire

SKEW_NS = 2_000_000_000  # C_SKEW_MAX: exchange stamps may lie this far from our clock before they make a quote old


class TimedBroker:
    """Passes everything on; measures the time from a signal's departure to its order's hand-over."""

    def __init__(self, broker: Broker, hops: Hops) -> None:
        self._broker = broker
        self._hops = hops
        self.sent_boot_ns = 0  # of the signal that is being handled; 0: none

    def submit(self, command: Command, now_ns: int) -> None:
        """See Broker."""
        self._broker.submit(command, now_ns)
        if self.sent_boot_ns and isinstance(command, PlaceBracket):
            self._hops.record("signal_request", boot_ns() - self.sent_boot_ns)

    def poll(self) -> list[BrokerEvent]:
        """See Broker."""
        return self._broker.poll()


def real_age(clock: RunClock) -> AgeOf:
    """Age of a quote in real time: since its receipt, and since it was made as far as clocks can tell (F-NET-05)."""

    def age(now_ns: int, exch_ns: int, recv_ns: int) -> int:
        since_receipt = time.time_ns() - recv_ns
        since_made = int((now_ns - exch_ns) / clock.speed) - SKEW_NS
        return max(0, since_receipt, since_made)

    return age


class TradingDesk:
    """One run's Desk with everything around it."""

    def __init__(
        self,
        settings: EngineSettings,
        clock: RunClock,
        account: Account,
        desk_settings: DeskSettings,
        broker: Broker,
        live: LiveBroker | None,
        journal: Journal,
        tell: Tell,
        hops: Hops,
    ) -> None:
        self.clock = clock
        self.journal = journal
        self._settings = settings
        self._account = account
        self.desk = Desk(desk_settings)
        self._live = live
        self.timed = TimedBroker(broker, hops)
        self.observer = Observer(journal, tell, hops)
        sink = broker if isinstance(broker, PaperBroker) else None
        age_of = market_age if settings.lockstep else real_age(clock)
        loop = DeskLoop(self.desk, self.timed, self.observer)
        self.session = DeskSession(
            loop, settings.symbols, sink, age_of, busy=self.desk.busy, speed=1.0 if settings.lockstep else clock.speed
        )

    def wake_sources(self) -> list[int]:
        """File descriptors that become readable when the broker has something to say."""
        return [self._live.fileno()] if self._live is not None else []

    @property
    def user_connects(self) -> int:
        """Times that the user hub was connected; 0 where there is none."""
        return 0 if self._live is None or self._live.hub is None else self._live.hub.counts["connects"]

    @property
    def logouts(self) -> int:
        """Times that the user hub said the session was taken over."""
        return 0 if self._live is None else self._live.logouts

    @property
    def user_goodbyes(self) -> int:
        """Close records of the user hub in a row that forbade to reconnect."""
        return 0 if self._live is None or self._live.hub is None else self._live.hub.goodbyes

    @property
    def user_hub_lost(self) -> tuple[str, int]:
        """Why the user hub is not connected, and since when (boot clock); ("", 0) while it is or there is none."""
        hub = None if self._live is None else self._live.hub
        return ("", 0) if hub is None or hub.connected else (hub.reason or "connecting", hub.since_ns)

    @property
    def user_hub_up_ns(self) -> int | None:
        """Boot clock since which the user hub is connected; None while it is not, 0 where there is none."""
        hub = None if self._live is None else self._live.hub
        if hub is None:
            return 0
        return hub.since_ns if hub.connected else None

    def presume_dead(self, reason: str) -> None:
        """The machine slept: what looks connected is not believed (F-TIM-02)."""
        if self._live is not None and self._live.hub is not None:
            self._live.hub.reconnect(reason)

    def renew_user_hub(self) -> None:
        """Let the user hub change to a newer token when that is due."""
        if self._live is not None and self._live.hub is not None:
            self._live.hub.renew_if_due(time.time_ns())

    def set_contracts(self, contracts: ContractBook) -> None:
        """Another month stands for a product from now on."""
        if self._live is not None:
            self._live.set_contracts(contracts)

    def flat(self) -> bool:
        """Proven: no position and no working order; under `on_exit = hold` a protected position will do."""
        account = self._account.account
        held = self._settings.on_exit == "hold" and self.desk.is_protected(account)
        return held or self.desk.is_flat(account)

    def settled(self) -> bool:
        """What a stop waits for: flat; in a replay, whose market has ended, whatever there is."""
        return self._settings.mode == "replay" or self.flat()

    def _accounts(self) -> dict[str, Any]:
        accounts = self.desk.view()["accounts"]
        assert isinstance(accounts, dict)
        return accounts

    def describe_open(self) -> str:
        """What is still open, in words."""
        view = self._accounts()[str(self._account.account)]
        held = ", ".join(f"{place['contract']} {place['side'] * place['size']:+d}" for place in view["positions"])
        return f"open: {held or 'no position'}, {len(view['orders'])} working order(s)"

    def status(self) -> dict[str, Any]:
        """The Desk's part of the status document."""
        now_ns = self.clock.now_ns()
        return {
            **self.observer.status(),
            "accounts": self._accounts(),
            "feeds": self.session.feeds,
            "barred": self.session.barred,
            "market_ns": now_ns,
            "speed": self.clock.speed,
            "journal": {
                "seq": self.journal.last_seq,
                "trouble": self.journal.trouble,
                "digest": self.desk.digest(),
            },
            **self._hub_status(),
        }

    def _hub_status(self) -> dict[str, Any]:
        live = self._live
        if live is None or live.hub is None:
            return {"reconnections": 0}
        connects = live.hub.counts["connects"]
        return {
            "reconnections": max(0, connects - 1),
            "user_hub": {**live.hub.counts, **live.counts, "connected": live.hub.connected, "reason": live.hub.reason},
        }

    def close(self) -> None:
        """Close broker and journal; the journal's last rows are written first."""
        if self._live is not None:
            self._live.close()
        self.journal.close()


def live_broker(settings: EngineSettings, link: Link | None, clock: RunClock, account: Account) -> LiveBroker | None:
    """Orders over REST where the mode allows them; None: paper."""
    if link is None or settings.mode == "paper":
        return None
    assert isinstance(link.rest, OrderClient)
    return LiveBroker(link.rest, link.user_hub, link.book(), [account.account], clock.now_ns)


def open_desk(
    settings: EngineSettings,
    link: Link | None,
    clock: RunClock,
    account: Account,
    tell: Callable[[int, str, str, str], None],
    hops: Hops,
) -> TradingDesk:
    """What earlier runs left behind, then journal, Desk and broker. JournalError when the journal can't be opened."""
    set_aside_if_damaged(settings)
    record = DeskRecord(
        account=account.account,
        name=account.name,
        carried=carried(settings, account.account),
        limits=settings.limits,
        symbols=settings.symbols,
        template_hours=settings.template_hours,
        run_start_ms=next_run_ms(settings.journal_path),
        on_exit=settings.on_exit,
        speed=1.0 if settings.lockstep else clock.speed,
        sessions=settings.sessions,
    )
    info = RunInfo(
        settings.run_id, settings.build, settings.config_hash, settings.mode, clock.now_ns(), record.encode()
    )
    journal = Journal(settings.journal_path, wire, info)
    desk_settings = record.settings()
    live = live_broker(settings, link, clock, account)
    broker: Broker = live or PaperBroker([PaperAccount(account.account)], desk_settings.products)
    return TradingDesk(settings, clock, account, desk_settings, broker, live, journal, tell, hops)


def set_aside_if_damaged(settings: EngineSettings) -> None:
    """Put a damaged journal aside: the state is then taken from the broker (F-SYS-03)."""
    if not settings.journal_path.exists():
        return
    try:
        with Journal.open_readonly(settings.journal_path, wire) as reader:
            damaged = reader.verify().state == "mismatch"
    except JournalDamaged:
        damaged = True  # any other trouble may pass, and the file may hold the lock of the day: keep it, try again
    if damaged:
        Journal.set_aside(settings.journal_path)


def carried(settings: EngineSettings, account: int) -> Carried:
    """Locks, halts and own placements of earlier runs, from the journal."""
    if not settings.journal_path.exists():
        return Carried()
    carry = CarryFold()
    with Journal.open_readonly(settings.journal_path, wire) as reader:
        for step in reader.steps():
            carry.add(step.item, list(step.outputs))
    return carry.carried(account)


def next_run_ms(journal: Path, now_ns: int | None = None) -> int:
    """Start of a run for its tags, UTC ms: now, but later than every run in the journal.

    Tags must never repeat, and an order of a later run means another engine; a wall clock that was set back between two
    runs must do neither (F-TIM-01, I2).
    """
    now_ms = (time.time_ns() if now_ns is None else now_ns) // 1_000_000
    if not journal.exists():
        return now_ms
    with Journal.open_readonly(journal, wire) as reader:
        starts = [_start_of(info.desk) for _, info in reader.runs()]
    return max([now_ms, *(start + 1 for start in starts)])


class _Started(msgspec.Struct):
    """What every version of DeskRecord has."""

    run_start_ms: int = 0


def _start_of(desk: str) -> int:
    try:
        return msgspec.json.decode(desk.encode(), type=_Started).run_start_ms
    except msgspec.MsgspecError:
        return 0  # of a version that wrote something else there
