"""One seed: market, exchange, network, disk and the real executor in its lives, under one virtual clock.

What runs is tbot.engine.executor.Executor with everything below it (link, session, Desk, journal, live broker, REST
client) and tbot.sim's exchange behind its REST API. Around it: `scheduler` (time and threads), `machine` (clocks,
files), `network`, `hub`, `disk`, `market`, `signals`, `faults`.
"""

import hashlib
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import fields
from operator import attrgetter
from pathlib import Path
from random import Random
from typing import Any, Protocol

from dst import process
from dst.disk import Disk
from dst.evidence import Evidence, JournalStep, WireRequest, digest_due
from dst.faults import FaultBox
from dst.hub import HubLine, SimUserHub
from dst.kill_points import KillBoard
from dst.lives import KEY, USER, Lives
from dst.machine import Clock, Machine
from dst.market import FeedLine, SimRings, WalkMarket
from dst.network import Line
from dst.plans import Fault, draw
from dst.scenes import Scene, calendar, draw_scene
from dst.scheduler import NS_PER_S, Scheduler
from dst.signals import Worker
from tbot.domain.messages import DeskInput, DeskOutput, Fill, Signal, SignalStamps
from tbot.domain.process_messages import OperatorMessage, SignalMessage, TokenRequest
from tbot.execution import canonical
from tbot.execution.book_types import FINAL
from tbot.sim.auth import Tokens, User
from tbot.sim.exchange import Exchange
from tbot.sim.fault_stale import Views
from tbot.sim.rest_server import RestApi
from tbot.sim.venue_controls import VenueControls
from tbot_ext.records import Kind

START_BOOT_NS = 1_000_000 * NS_PER_S
STEP_NS = NS_PER_S // 4
# So that a short day sees checkpoints and, at a start, full files too.
CHECKPOINT_ROWS, ROTATE_ROWS = 200, 300
FEED_WORD_NS = 3 * NS_PER_S
_OF_REQUEST = attrgetter(*(part.name for part in fields(WireRequest)))


class Judge(Protocol):
    """The referee as the world sees it."""

    def after_event(self) -> None: ...

    def finish(self, journal: Path | None = None, digest: str = "") -> Any: ...


class LiveEvidence(Evidence):
    """Evidence whose view is asked of the Desk only when somebody looks at it."""

    def __init__(self, seed: int) -> None:
        self.ask: Callable[[], dict[str, Any] | None] = lambda: None
        super().__init__(seed)

    @property
    def view(self) -> dict[str, Any] | None:  # type: ignore[override]
        return self.ask()

    @view.setter
    def view(self, _value: Any) -> None:
        """Only what the Desk says counts."""


class World(Lives):
    """Build it, `run` it once, read `evidence`. `judge` makes the referee that looks after every event."""

    def __init__(
        self,
        seed: int,
        plan: list[Fault] | None = None,
        scene: Scene | None = None,
        judge: Callable[["World"], Judge] | None = None,
        script: Callable[["World"], None] | None = None,
    ) -> None:
        """`script` is called after every step of the market: a test's own hand in what happens."""
        super().__init__()
        self.seed = seed
        self.scene = scene or draw_scene(seed)
        if plan is None:
            rng = Random(f"plan/{seed}")
            plan = draw(rng, self.scene.faults_s, rng.choice((1, 2, 3, 4, 6, 9)))
        self.plan = plan
        self.symbols = list(self.scene.symbols)
        self.scheduler = Scheduler(seed, START_BOOT_NS)
        self.start_boot_ns = START_BOOT_NS
        self.offset_ns = self.scene.start_ns - START_BOOT_NS
        self.clock = Clock(self.scheduler, self.offset_ns)
        self.machine = Machine(self.scheduler, self.clock, seed)
        self.evidence: Evidence = LiveEvidence(seed)
        self.evidence.ask = self._view  # type: ignore[attr-defined]
        self.evidence.symbols = self.scene.symbols
        self._judge = judge
        self._script = script
        self.referee: Judge | None = None
        self._viewed: tuple[int, int, Any] = (-1, -1, None)
        self.calm = False
        self.acks: list[bytes] = []
        self._digesting = False
        self.rows: list[tuple[int, str]] = []  # (seq, kind) of the journal at the end
        self.set_aside: list[str] = []  # journals that were not trusted any more
        self.ended_with = ("", "")  # hashes of wire log and journal

    # ------------------------------------------------------------------------------------------------------- set-up
    def run(self) -> Evidence:
        """The whole day; leaves nothing behind."""
        memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
        root = Path(tempfile.mkdtemp(prefix="tbot-dst-", dir=memory)).resolve()
        try:
            self.disk = Disk(root, self.scheduler, self.seed)
            with self.machine.install(self._names()):
                self._build()
                self._play()
                self._finish()
        finally:
            self.scheduler.bury()
            shutil.rmtree(root, ignore_errors=True)
        return self.evidence

    def _names(self) -> dict[tuple[str, str], Any]:
        """What stands in for single names of the engine's modules."""
        window = process.noted_window(self._note_protective)
        journal = process.watched_journal(self._before_record, self._after_record, self._journal_opened)
        return {
            ("tbot.engine.executor", "sockets"): process.Sockets(self._router, self._waiter),
            ("tbot.engine.executor", "PriceRings"): lambda _settings, restarted: SimRings(self.feed, restarted),
            ("tbot.engine.executor", "Beat"): lambda *_: process.SimBeat(
                self.scheduler, self._on_beat, lambda: len(self.evidence.steps)
            ),
            # Nobody asks on the control socket: persons speak by the executor's own messages.
            ("tbot.engine.control", "sockets"): process.Sockets(
                lambda: process.SimRouter(lambda _payload, _to: None), self._waiter
            ),
            ("tbot.engine.desk_setup", "JournalBeside"): journal,
            ("tbot.engine.desk_setup", "Desk"): process.OnceDesk,
            ("tbot.gateway.rest", "HttpExchange"): lambda _url: self.line,
            ("tbot.gateway.throttle", "SlidingWindow"): window,
            ("tbot.gateway.live_broker", "UserHub"): lambda *args, **more: SimUserHub(
                self.hub, self.scheduler, *args, **more
            ),
            ("tbot.storage.journal", "CHECKPOINT_ROWS"): CHECKPOINT_ROWS,
            ("tbot.engine.desk_setup", "ROTATE_ROWS"): ROTATE_ROWS,
            ("tbot.engine.condition_watch", "shutil"): self.disk,
            # The digest in every status document would be half of a seed's time; the last one is taken for real.
            ("tbot.execution.desk", "digest"): lambda value: canonical.digest(value) if self._digesting else "",
        }

    def _build(self) -> None:
        scene, scheduler = self.scene, self.scheduler
        self.hours = calendar()
        self.exchange = Exchange(scene.contracts, self.hours)
        self.controls = VenueControls(self.exchange)
        self.traded = tuple(self.exchange.add_account(USER).account_id for _ in range(scene.accounts))
        self.account = self.traded[0]  # the one that faults are about
        self.evidence.accounts = self.exchange.accounts
        self.market = WalkMarket(self.seed, list(scene.contracts), scene.start_ns)
        self.tokens = Tokens()
        self.views = Views(self.exchange)
        self._remember = any(fault.name == "rest.stale_read" for fault in self.plan)
        api = RestApi(self.exchange, self.market, [User(USER, KEY)], self.tokens)  # type: ignore[arg-type]
        self.kills = KillBoard(self._crash_at, self._partly_filled)
        self.kills.rollover_ns = scene.rollover_ns
        self.hub = HubLine(scheduler, self.seed, self.exchange, self.clock.wall_ns)
        self.line = Line(
            scheduler,
            self.seed,
            api,
            self.evidence,
            self.kills,
            lambda: self.market_ns,
            self._committed,
            self.look,
            self.pump,
            self.views,
        )
        self.feed = FeedLine(self.symbols)
        self.worker = Worker(self.seed, self.symbols, self.feed, self._send_signal, scene.signal_every_s)
        self.machine.on_pipe = self._poke
        self.machine.on_sql = self.disk.on_sql
        self.machine.after_sql = self.disk.after_sql
        self.machine.on_file = self.disk.on_file
        self.machine.on_rename = self.kills.on_rename
        self.disk.watch, self.disk.watch_after = self.kills.on_sql, self.kills.after_sql
        for symbol in self.symbols:
            self.feed.mark(symbol, Kind.HISTORY, scene.start_ns, self.clock.wall_ns())

    def _play(self) -> None:
        scheduler = self.scheduler
        self.evidence.boot_ns = scheduler.now_ns
        self.evidence.states = self.exchange.states
        self.evidence.active = {contract.broker_id for contract in self.scene.contracts}
        self.faults = FaultBox(self, self.plan)
        if self._judge is not None:
            self.referee = self._judge(self)
        scheduler.at(START_BOOT_NS + NS_PER_S, self.start_life)
        scheduler.at(START_BOOT_NS, self._step)
        scheduler.at(START_BOOT_NS + NS_PER_S, self._feed_word)
        scheduler.at(self.calm_ns, self._begin_calm)
        scheduler.run_until(self.calm_ns + int(self.scene.calm_s * NS_PER_S))

    @property
    def calm_ns(self) -> int:
        """Boot time at which the faults end."""
        return START_BOOT_NS + int(self.scene.faults_s * NS_PER_S)

    def _begin_calm(self) -> None:
        """All faults stop; a person looks, starts what was given up, and says resume."""
        self.calm = True
        self.faults.calm()
        self.evidence.calm_since_ns = self.scheduler.now_ns
        if self.life is None:
            self.given_up = ""
            self._restarts.clear()
            self.scheduler.after(NS_PER_S, self.start_life)
        self.scheduler.after(3 * NS_PER_S, self._read_alarms)
        self.scheduler.after(8 * NS_PER_S, lambda: self.person("resume"))

    def _read_alarms(self) -> None:
        """A refused login says: check name and key, then start the engine again (F-API-02)."""
        alarms = (self.evidence.status or {}).get("alarms", ())
        if self.life is not None and any(alarm["code"] == "RC_AUTH" for alarm in alarms):
            self.crash("started again by a person")

    def _finish(self) -> None:
        life, evidence = self.life, self.evidence
        self.look()
        self._digesting = True
        if life is not None and life.desk is not None and not life.journal.broken:
            evidence.digest = self._digest()
            life.journal.close()
            evidence.journal = self.disk.path / "journal.db"
            for file in [*self.disk.path.glob("journal.db.[0-9]*[0-9]"), evidence.journal]:
                with closing(sqlite3.connect(file)) as database:
                    self.rows += database.execute("SELECT seq, kind FROM record").fetchall()
            self.rows.sort()
        self.set_aside = sorted(path.name for path in self.disk.path.glob("journal.db.bad-?"))
        self.ended_with = (self.wire_hash(), self.journal_hash())
        evidence.ended = True
        if self.referee is not None:
            self.referee.finish(evidence.journal, evidence.digest)

    def _digest(self) -> str:
        """Of the Desk's state now; "" while there is none."""
        life = self.life
        if life is None or life.desk is None:
            return ""
        before, self._digesting = self._digesting, True
        try:
            return str(life.desk.desk.digest())
        finally:
            self._digesting = before

    # ---------------------------------------------------------------------------------------------------------- time
    @property
    def market_ns(self) -> int:
        """The exchange's time."""
        return self.scheduler.now_ns + self.offset_ns

    def _step(self) -> None:
        """The market moves on, and everything that goes with it."""
        now = self.scheduler.now_ns
        # Half as often while the exchange holds nothing: nothing can fill, and a seed may not take long.
        books = [account.book for account in self.exchange.accounts.values()]
        # Not the copies that a book hands out: this runs at every step.
        steps = 1 if any(book._living or book.holdings() for book in books) else 2
        self.scheduler.at(now + steps * STEP_NS, self._step)
        market_ns = self.market_ns
        self.evidence.market_open = self.hours.is_open(market_ns)
        wall_ns = self.clock.wall_ns()
        if self.evidence.market_open:
            orders = [order for book in books for order in book.living_orders()] if self.market.chase else []
            ticks = self.market.step(market_ns, orders, steps)
            self.exchange.on_ticks(ticks)
            if not self.asleep:
                self.feed.write(ticks, now, wall_ns)
        self.market.now_ns = market_ns
        self.feed.flush(now, wall_ns)
        self.exchange.advance(market_ns)
        if self._remember:
            self.views.take(now / NS_PER_S, 30.0)
        self.pump()
        self.worker.step(self.clock.wall_ns(), now, steps * STEP_NS / NS_PER_S)
        if self._script is not None:
            self._script(self)
        self.look()

    def pump(self) -> None:
        """The exchange's news go to the hub."""
        self.hub.pump()

    def look(self) -> None:
        """Something happened: let the referee see how things stand."""
        evidence = self.evidence
        evidence.boot_ns, evidence.market_ns = self.scheduler.now_ns, self.market_ns
        evidence.wall_ns = self.clock.wall_ns()
        evidence.answering = self.faults.answering
        evidence.faults = tuple(sorted(set(self.faults.active.values())))
        if self.referee is not None:
            self.referee.after_event()

    def _view(self) -> dict[str, Any] | None:
        """The Desk's view, made anew only when it took an input since."""
        life = self.life
        desk = None if life is None else life.desk
        if life is None or desk is None:
            return None
        key = (life.number, len(self.evidence.steps))
        if self._viewed[:2] != key:
            self._viewed = (*key, desk.desk.view())
        return self._viewed[2]  # type: ignore[no-any-return]

    # ------------------------------------------------------------------------------------------------------- messages
    def _router(self) -> process.SimRouter:
        assert self.life is not None
        return self.life.router

    def _waiter(self, router: process.SimRouter) -> process.SimWaiter:
        life = self.life
        assert life is not None

        def busy() -> bool:
            return life.desk is not None and bool(life.desk.desk.busy())

        life.waiter = process.SimWaiter(self.scheduler, router, self.machine.pipes, busy)
        return life.waiter

    def _poke(self) -> None:
        if self.life is not None and self.life.waiter is not None:
            self.life.waiter.poke()

    def _deliver(self, message: Any, sender: bytes, delay_ns: int) -> None:
        """A message on a socket: to who lives when it is sent, gone when that one dies."""
        life = self.life
        if life is None:
            return
        data = life.wire.encode(message)

        def arrive() -> None:
            life.router.inbox.append((sender, data))
            self._poke()

        self.scheduler.after(delay_ns, arrive, life.number)

    def _send_signal(self, signal: Signal, stamp_ns: int, delay_ns: int) -> None:
        stamps = SignalStamps(stamp_ns, stamp_ns, stamp_ns, stamp_ns)
        self._deliver(SignalMessage(signal, stamps, 1_500_000_000), b"worker", delay_ns)

    def _feed_word(self) -> None:
        """The feed process says that it lives, unless its machine sleeps."""
        self.scheduler.after(FEED_WORD_NS, self._feed_word)
        if not self.asleep:
            self._deliver(TokenRequest(1 << 60, 1 << 60, 0, 1, 0), b"feed", 1_000_000)

    def person(self, verb: str) -> None:
        """Somebody uses the command line."""
        self._deliver(OperatorMessage(f"{verb}-1", verb), f"person-{verb}".encode(), 1_000_000)  # type: ignore[arg-type]

    def _on_reply(self, number: int, _payload: bytes, to: bytes) -> None:
        self.acks.append(to)
        if to == b"person-stop" and self.life is not None and self.life.number == number:
            self.life.context.stop.set()

    def _on_beat(self, state: str, status: dict[str, Any] | None) -> None:
        if status is not None and "accounts" in status:  # before there is a Desk nobody is told of any account
            self.evidence.status = status
            self.look()
        if state == "FAILED" and self.life is not None:
            # The supervisor ends the run; a person finds out why and starts it again.
            self.given_up = str((status or {}).get("problem"))
            self.crash("failed", down_s=0.0)

    # ------------------------------------------------------------------------------------------------------ the journal
    def _note_protective(self, protective: bool) -> None:
        self.line.protective = protective

    def _committed(self) -> int:
        life = self.life
        return 0 if life is None or life.journal is None else int(life.journal.head[0])

    def _journal_opened(self, journal: Any) -> None:
        if self.life is not None:
            self.life.journal = journal

    def _before_record(self, item: DeskInput, outputs: list[DeskOutput]) -> None:
        self.kills.before_record(item, outputs)

    def _after_record(self, _journal: Any, item: DeskInput, outputs: list[DeskOutput], seq: int) -> None:
        evidence = self.evidence
        evidence.steps.append(JournalStep(self.lives, self.scheduler.now_ns, item, tuple(outputs), seq))
        if self.life is not None and digest_due(len(evidence.steps) - self.life.steps_from):
            evidence.steps[-1].digest = self._digest()
        self.look()
        self.kills.after_record(item, outputs)

    def _partly_filled(self, fill: Fill) -> bool:
        order = self.exchange.accounts[fill.account].book.orders.get(fill.order_id)
        return order is not None and order.status not in FINAL

    # ------------------------------------------------------------------------------------------------------- results
    def wire_hash(self) -> str:
        """Of every request with its stamps and fate."""
        lines = [
            json.dumps([str(part) if isinstance(part, dict) else part for part in _OF_REQUEST(request)], default=str)
            for request in self.evidence.wire
        ]
        return hashlib.blake2b("\n".join(lines).encode(), digest_size=16).hexdigest()

    def journal_hash(self) -> str:
        """Of the chains of all lives as they stood in the end: sequence, boot stamps and bodies are in each head."""
        life = self.life
        head = ("", b"") if life is None or life.journal is None else life.journal.head
        steps = [f"{step.executor} {step.boot_ns} {step.seq} {step.lost} {step.item!r}" for step in self.evidence.steps]
        text = "\n".join([str(head), *steps])
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
