"""Puts Desk, broker, journal and session together for one run, and answers the executor's questions about them."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tbot.domain.messages import BrokerEvent, Command, PlaceBracket
from tbot.domain.words import plural
from tbot.engine.clocks import RunClock, WallClock, boot_ns
from tbot.engine.desk_record import DeskRecord, desk_account
from tbot.engine.exchange_time import ExchangeTime
from tbot.engine.gateway_link import Link
from tbot.engine.health import Hops
from tbot.engine.journal_start import read_past
from tbot.engine.observer import Observer, Tell
from tbot.engine.run_start import next_run_ms
from tbot.engine.settings import AccountPlan, EngineSettings
from tbot.execution.broker import Broker, DeskLoop
from tbot.execution.desk import Desk
from tbot.execution.lockstep import LockstepSession
from tbot.execution.paper_broker import PaperAccount, PaperBroker
from tbot.execution.session import AgeOf, DeskSession
from tbot.execution.settings import DeskSettings
from tbot.gateway.codec_domain import ContractBook
from tbot.gateway.live_broker import ENTRY_TTL_NS, LiveBroker
from tbot.gateway.rest import OrderClient
from tbot.storage.journal import Journal
from tbot.storage.journal_beside import JournalBeside
from tbot.storage.journal_reader import RunInfo
from tbot.storage.journal_rotation import ROTATE_ROWS
from tbot.transport import wire

SHORT_NAME = 12
BEGUN_FILE = "journal.begun"  # in the run's directory: the journal of this run exists


class TimedBroker:
    """Passes everything on; measures the time from a signal's departure to its order's hand-over."""

    def __init__(self, broker: Broker, hops: Hops) -> None:
        self._broker = broker
        self._hops = hops
        self.sent_boot_ns = 0  # of the signal that is being handled; 0: none

    def submit(self, command: Command, now_ns: int) -> None:
        """See Broker."""
        if isinstance(self._broker, LiveBroker):
            self._broker.signal_boot_ns = self.sent_boot_ns
        self._broker.submit(command, now_ns)
        if self.sent_boot_ns and isinstance(command, PlaceBracket):
            self._hops.record("signal_request", boot_ns() - self.sent_boot_ns)

    def poll(self) -> list[BrokerEvent]:
        """See Broker."""
        return self._broker.poll()


def real_age(clock: RunClock, exchange: ExchangeTime) -> AgeOf:
    """Age of a quote in real time: since its receipt, and since it was made (F-NET-05).

    A simulated market tells its time by the boot clock of this machine, so there is nothing to measure; else made when
    the gateway's clock, not ours, showed its stamp.
    """

    def age(now_ns: int, exch_ns: int, recv_ns: int) -> int:
        since_receipt = time.time_ns() - recv_ns
        late_ns = exchange.latest(boot_ns(), now_ns) if isinstance(clock, WallClock) else now_ns
        return max(0, since_receipt, int((late_ns - exch_ns) / clock.speed))

    return age


class TradingDesk:
    """One run's Desk with everything around it."""

    def __init__(
        self,
        settings: EngineSettings,
        clock: RunClock,
        accounts: tuple[AccountPlan, ...],
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
        self._plans = accounts
        self.desk = Desk(desk_settings)
        self._live = live
        self.timed = TimedBroker(broker, hops)
        self.observer = Observer(journal, tell, hops, short_names(accounts) if len(accounts) > 1 else {})
        sink = broker if isinstance(broker, PaperBroker) else None
        self.exchange_time = ExchangeTime()
        loop = DeskLoop(self.desk, self.timed, self.observer, strict=settings.lockstep)
        self.session: DeskSession
        if settings.lockstep:
            assert sink is not None, "lock-step without the paper broker has no market time"
            self.session = LockstepSession(
                loop, settings.symbols, sink, busy=self.desk.busy, outlook=self.desk.outlook
            )
        else:
            age_of = real_age(clock, self.exchange_time)
            self.session = DeskSession(
                loop, settings.symbols, sink, age_of, busy=self.desk.busy, speed=clock.speed
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
        """Proven for every account: no position and no working order; under `on_exit = hold`, or protected."""
        return all(self._at_rest(plan.account) for plan in self._plans)

    def _at_rest(self, account: int) -> bool:
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
        """What is still open, in words; with several accounts those that are not at rest, by name."""
        accounts = self._accounts()
        several = len(self._plans) > 1
        parts = []
        for plan in self._plans:
            view = accounts[str(plan.account)]
            held = ", ".join(f"{place['contract']} {place['side'] * place['size']:+d}" for place in view["positions"])
            text = f"{held or 'no position'}, {plural(len(view['orders']), 'working order')}"
            if not several or not self._at_rest(plan.account):
                parts.append(f"{plan.name}: {text}" if several else text)
        return f"open: {'; '.join(parts)}"

    def status(self) -> dict[str, Any]:
        """The Desk's part of the status document."""
        now_ns, accounts = self.clock.now_ns(), self._accounts()
        return {
            **self.observer.status(),
            "accounts": {
                str(plan.account): view | {"plan": plan.plan, "stage": plan.stage, "contracts": list(plan.contracts)}
                for plan, view in ((plan, accounts[str(plan.account)]) for plan in self._plans)
            },
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


def short_names(accounts: tuple[AccountPlan, ...]) -> dict[int, str]:
    """Names for lines on a screen: the end tells accounts of one owner apart; where it does not, the ids do."""
    names = {plan.account: plan.name if len(plan.name) <= SHORT_NAME else f"…{plan.name[-8:]}" for plan in accounts}
    return names if len(set(names.values())) == len(names) else {plan.account: str(plan.account) for plan in accounts}


def live_broker(
    settings: EngineSettings, link: Link | None, clock: RunClock, accounts: tuple[AccountPlan, ...]
) -> LiveBroker | None:
    """Orders over REST where the mode allows them; None: paper."""
    if link is None or settings.mode == "paper":
        return None
    assert isinstance(link.rest, OrderClient)
    return LiveBroker(link.rest, link.user_hub, link.book(), [plan.account for plan in accounts], clock.now_ns)


def open_desk(
    settings: EngineSettings,
    link: Link | None,
    clock: RunClock,
    accounts: tuple[AccountPlan, ...],
    tell: Callable[[int, str, str, str], None],
    hops: Hops,
) -> TradingDesk:
    """What earlier runs left behind, then journal, Desk and broker. JournalError when the journal can't be opened."""
    begun = settings.run_dir / BEGUN_FILE
    past = read_past(settings.journal_path, begun=begun.exists())
    record = DeskRecord(
        accounts=tuple(replace(desk_account(plan), carried=past.carried(plan.account)) for plan in accounts),
        limits=settings.limits,
        symbols=settings.symbols,
        template_hours=settings.template_hours,
        run_start_ms=next_run_ms(settings.journal_path),
        on_exit=settings.on_exit,
        speed=1.0 if settings.lockstep else clock.speed,
        sessions=settings.sessions,
        caps=settings.caps,
        in_process=settings.lockstep,
        absent=past.absent(plan.account for plan in accounts),
    )
    info = RunInfo(
        settings.run_id,
        settings.build,
        settings.config_hash,
        settings.mode,
        clock.now_ns(),
        record.encode(),
        past.emergency,
    )
    # In lock-step the machine's time means nothing to the market's: a slow disk must not change what a replay does.
    ttl_ns = None if settings.lockstep else ENTRY_TTL_NS
    made = Journal if settings.lockstep else JournalBeside
    journal = made(settings.journal_path, wire, info, entry_ttl_ns=ttl_ns, rotate_rows=ROTATE_ROWS)
    with contextlib.suppress(OSError):  # without this word a loss of the whole folder is taken for a first start
        begun.touch(mode=0o600)
    desk_settings = record.settings()
    live = live_broker(settings, link, clock, accounts)
    broker: Broker = live or PaperBroker(
        [paper_account(plan) for plan in accounts], desk_settings.products, settings.fills
    )
    return TradingDesk(settings, clock, accounts, desk_settings, broker, live, journal, tell, hops)


def paper_account(plan: AccountPlan) -> PaperAccount:
    """The paper twin of an account: its id and name, and the balance that its plan starts with."""
    start = PaperAccount(plan.account, plan.name)
    return start if plan.rules is None else replace(start, balance_cents=plan.rules.start_cents)
