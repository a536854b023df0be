"""The lives of the executor in one run: how it starts, how it dies, and who starts it again.

It is tbot.engine.executor.Executor itself, in a task of its own. A death takes everything with it that a process has;
what the disk shows, and what is on its way in the network, stays.
"""

import traceback
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from dst import process
from dst.evidence import Death
from dst.kill_points import Armed
from dst.scheduler import NS_PER_S, Event
from tbot.engine.child import ChildContext
from tbot.engine.executor import Executor
from tbot.engine.settings import AccountPlan, EngineSettings, GatewaySettings
from tbot.errors import TbotError
from tbot.transport.wire import Wire
from tbot_ext.records import Kind

if TYPE_CHECKING:
    from dst.world import World

USER, KEY, RUN_KEY, RUN_ID = "trader", "canary-key-7c1d", b"k" * 32, 77
URL = "http://127.0.0.1:1"
RESTARTS, RESTART_WINDOW_NS = 3, 60 * NS_PER_S  # C_CRASH_LOOP


@dataclass(slots=True)
class Life:
    """One executor from start to death."""

    number: int
    context: ChildContext
    router: process.SimRouter
    executor: Executor | None = None
    journal: Any = None
    waiter: process.SimWaiter | None = None
    wire: Wire = field(default_factory=lambda: Wire(RUN_KEY, RUN_ID, 1))
    steps_from: int = 0  # index of its first step in the evidence

    @property
    def desk(self) -> Any:
        """Its TradingDesk; None before it has one."""
        return None if self.executor is None else self.executor._desk


class Lives:
    """The part of the World that concerns the executor's process."""

    def __init__(self) -> None:
        self.life: Life | None = None
        self.lives = 0
        self.given_up = ""  # why nobody starts the executor any more
        self.asleep = False  # the whole machine
        self.failures: list[str] = []  # what the engine must never do, whatever a referee thinks
        self._restarts: list[int] = []

    def _settings(self: "World") -> EngineSettings:
        return EngineSettings(
            mode="live",
            symbols=self.scene.symbols,
            state_dir=self.disk.path,
            run_dir=self.disk.run_dir,
            pointer=self.disk.pointer,
            run_id=RUN_ID,
            build="dst",
            config_hash="dst",
            gateway=GatewaySettings(URL, URL + "/hubs/user", URL + "/hubs/market", simulated=False),
            accounts=tuple(AccountPlan(number, self.exchange.accounts[number].name) for number in self.traded),
            confirmed=self.traded,
            limits=self.scene.limits,
        )

    def start_life(self: "World") -> None:
        """A supervisor (or a person) starts an executor."""
        if self.life is not None:
            return
        self.lives += 1
        number = self.lives
        secrets = {
            "run_key": RUN_KEY, "epoch": number, "restarted": number > 1, "credentials": (USER, KEY),
        }  # fmt: skip
        context = ChildContext("executor", secrets, None, Event(self.scheduler), 0)  # type: ignore[arg-type]
        life = Life(number, context, process.SimRouter(partial(self._on_reply, number)))
        life.wire = Wire(RUN_KEY, RUN_ID, number)
        life.steps_from = len(self.evidence.steps)
        self.life = life
        self.line.life = number
        self.kills.new_life()
        self.evidence.executor, self.evidence.alive = number, True
        self.evidence.born[number] = self.scheduler.now_ns
        self.scheduler.spawn(partial(self._live, life), number)
        if number > 1:
            self.scheduler.after(2 * NS_PER_S, partial(self._refill, number))
        self.look()

    def _live(self: "World", life: Life) -> None:
        """Body of the executor's process."""
        try:
            life.executor = Executor(self._settings(), life.context)
            life.executor.run()
        except TbotError as error:
            self._ended(life, "error", f"{type(error).__name__}: {error}")
        except Exception as error:
            self.failures.append(f"the executor raised {error!r}\n{traceback.format_exc()}")
            self._ended(life, "bug", repr(error))
        else:
            self._ended(life, "stopped", "")

    def _ended(self: "World", life: Life, cause: str, error: str) -> None:
        """The process has ended by itself (called in its last task)."""
        if self.life is not life:
            return
        self._dead(life, cause, error)
        self.disk.crash()
        if cause == "stopped":
            self.scheduler.after(5 * NS_PER_S, self.start_life)
        else:
            self._restart(NS_PER_S)
        self.scheduler.kill(life.number)

    def _dead(self: "World", life: Life, cause: str, error: str = "") -> None:
        committed = self._committed()
        for step in self.evidence.steps[life.steps_from :]:
            step.lost = step.seq > committed
        self.evidence.deaths.append(Death(life.number, self.scheduler.now_ns, cause, error))
        self.evidence.alive = False
        self.hub.connection = None
        self.life = None

    def _restart(self: "World", after_ns: int) -> None:
        """As the supervisor does: not more often than C_CRASH_LOOP allows."""
        now = self.scheduler.now_ns
        self._restarts = [at for at in self._restarts if now - at < RESTART_WINDOW_NS]
        if len(self._restarts) >= RESTARTS and not self.calm:
            self.given_up = "crash loop"
            return
        self._restarts.append(now)
        self.scheduler.after(after_ns, self.start_life)

    def crash(
        self,
        cause: str,
        *,
        down_s: float = 1.0,
        again_after: float | None = None,
        damage: str = "",
        torn: bool = False,
        power: bool = False,
        folded_in_part: bool = False,
    ) -> None:
        """SIGKILL, at any moment; then what the disk shows, and a new start."""
        life = self.life
        if life is not None:
            self._dead(life, cause)
            self.disk.crash(torn=torn, folded_in_part=folded_in_part)
            if power:
                self.line.lost_lives.add(life.number)
        if damage:
            self.disk.damage(damage)  # type: ignore[arg-type]
        if not self.given_up:
            self._restart(int(down_s * NS_PER_S))
        if again_after is not None:
            wait_ns = int((down_s + again_after) * NS_PER_S)
            self.scheduler.after(wait_ns, lambda: None if self.calm else self.crash(f"{cause}, again", down_s=down_s))
        self.look()
        if life is not None:
            self.scheduler.kill(life.number)

    def _crash_at(self: "World", armed: Armed) -> None:
        """A kill point was reached."""
        args = armed.args
        self.crash(
            armed.point,
            down_s=args.get("down", 1.0),
            again_after=args.get("again_after"),
            torn=armed.point == "K-EX-03" or bool(args.get("torn")),
            power=armed.point == "K-ALL-01",
            folded_in_part=armed.point == "K-JR-02",
        )

    def _refill(self: "World", number: int) -> None:
        """The supervisor asks the feed to fill a restarted executor's rings anew."""
        if self.life is not None and self.life.number == number:
            for symbol in self.symbols:
                if symbol not in self.feed.down:
                    self.feed.mark(symbol, Kind.HISTORY, self.market_ns, self.clock.wall_ns())

    def stop_all(self: "World", seconds: float) -> None:
        """The machine sleeps: executor, feed and worker stand still, the boot clock runs on. Awake for the calm end."""
        lasts_ns = max(NS_PER_S, min(int(seconds * NS_PER_S), self.calm_ns - self.scheduler.now_ns))
        self.starve(lasts_ns / NS_PER_S)
        self.asleep = True

        def wake() -> None:
            self.asleep = False
            self.clock.slept_ns += lasts_ns

        self.scheduler.after(lasts_ns - 1, wake)

    def starve(self: "World", seconds: float) -> None:
        """The executor gets no processor for a while."""
        if self.life is not None:
            self.scheduler.slow_until_ns[self.life.number] = self.scheduler.now_ns + int(seconds * NS_PER_S)
