"""Carries out a plan: what each fault does to network, exchange, hub, feed, disk, clock and process, and its end."""

from typing import TYPE_CHECKING

from dst.network import MOVES_MONEY, Rule
from dst.plans import Fault
from dst.scheduler import NS_PER_S
from tbot.sim.venue_faults import Scope
from tbot_ext.records import Kind

if TYPE_CHECKING:
    from dst.world import World

# What a fault is in the failure model, for the referee's `faults`.
NAMES = {
    "order.place": "F-ORD-01", "order.cancel": "F-ORD-02", "order.modify": "F-ORD-02", "position.close": "F-ORD-02",
    "order.partial": "F-ORD-04", "order.reject": "F-ORD-03", "order.cancel_race": "F-ORD-09",
    "order.orphan": "F-ORD-07", "bracket": "F-ORD-05", "fill.slip": "F-ORD-08",
    "rest.status": "F-API-04", "rest.html": "F-API-04", "rest.hang": "F-API-05", "rest.refused": "F-NET-10",
    "rest.latency": "F-NET-05", "rest.body": "F-API-06", "rest.stale_read": "F-ACC-05",
    "auth.expire": "F-API-01", "auth.refuse": "F-API-02",
    "userhub.drop": "F-NET-07", "userhub.blackhole": "F-NET-02", "userhub.mute": "F-NET-08",
    "userhub.withhold": "F-NET-08", "userhub.dup": "F-NET-08", "userhub.reorder": "F-NET-08",
    "userhub.logout": "F-NET-09", "ws.drop": "F-NET-01", "ws.mute": "F-NET-03", "ws.latency": "F-NET-05",
    "market.gap": "F-ORD-08", "market.halt": "F-TIM-06", "market.chase": "F-RSK-01",
    "human.trade": "F-ACC-02", "human.cancel": "F-ACC-02", "human.flatten": "F-ACC-02",
    "account.lock": "F-ACC-03", "account.liquidate": "F-ACC-03", "account.mutate_position": "F-ACC-01",
    "proc.kill": "F-PRC-01", "proc.kill_point": "F-PRC-01",
    "disk.full": "F-SYS-01", "disk.error": "F-SYS-02", "disk.slow": "F-SYS-05", "disk.damage": "F-SYS-03",
    "clock.step": "F-TIM-01", "clock.suspend": "F-TIM-02", "sched.starve": "F-TIM-03",
    "worker.flood": "F-ORD-10", "worker.stale": "F-IPC-07", "worker.repeat": "F-IPC-01",
    "person.pause": "F-CFG-05", "person.resume": "F-CFG-05", "person.flatten": "F-CFG-05",
    "person.kill": "F-CFG-06", "person.stop": "F-PRC-05",
}  # fmt: skip
_UNANSWERED = ("rest.status", "rest.html", "rest.hang", "rest.refused", "rest.body", "auth.refuse")


class FaultBox:
    """The plan of one run."""

    def __init__(self, world: "World", plan: list[Fault]) -> None:
        self._world = world
        self.active: dict[str, str] = {}  # fault id -> F-… identifier
        self.refused: list[str] = []  # faults that did not fit the moment, and why
        self._over = False
        for fault in plan:
            self._plan(fault)

    def _plan(self, fault: Fault) -> None:
        if fault.name not in NAMES:
            raise ValueError(f"there is no fault {fault.name!r}")
        scheduler = self._world.scheduler
        if fault.at is not None:
            scheduler.at(self._world.start_boot_ns + int(fault.at * NS_PER_S), lambda: self._begin(fault))
        else:
            self._begin(fault)  # it waits for its event

    def _begin(self, fault: Fault) -> None:
        if self._over:
            return
        self.active[fault.id] = NAMES[fault.name]
        try:
            self._do(fault)
        except ValueError as error:  # the venue's own word: there is no price, no order, no account for it now
            self.refused.append(f"{fault.id}: {error}")
        if fault.seconds is not None:
            self._world.scheduler.after(int(fault.seconds * NS_PER_S), lambda: self._end(fault))
        elif fault.at is not None and fault.events is None:
            self._world.scheduler.after(10 * NS_PER_S, lambda: self.active.pop(fault.id, None) and None)

    def _do(self, fault: Fault) -> None:
        group, _, kind = fault.name.partition(".")
        if fault.name in MOVES_MONEY.values() or group in ("rest", "auth"):
            self._rule(fault)
        else:
            getattr(self, f"_{group}")(kind, fault)

    def _end(self, fault: Fault) -> None:
        self.active.pop(fault.id, None)
        if self._over:
            return
        world, group = self._world, fault.name.partition(".")[0]
        if fault.name in MOVES_MONEY.values() or group in ("rest", "auth"):
            world.line.remove(fault.id)
        elif group == "userhub":
            world.hub.calm()
        elif group == "ws":
            self._ws_end()
        elif fault.name == "market.halt":
            world.controls.resume()
            world.market.halt(False)
        elif fault.name == "market.chase":
            world.market.chase = False
        elif fault.name == "account.lock":
            world.controls.unlock(world.account)
        elif group == "disk":
            world.disk.calm()
        elif group == "worker":
            world.worker.flood, world.worker.stale, world.worker.repeat = 0, False, False
        world.pump()

    def calm(self) -> None:
        """All faults stop."""
        self._over = True
        self.active.clear()
        world = self._world
        world.line.rules.clear()
        world.hub.calm()
        self._ws_end()
        world.controls.clear()
        world.market.halt(False)
        world.market.chase = False
        if not world.exchange.accounts[world.account].can_trade:
            world.controls.unlock(world.account)
        world.disk.calm()
        world.worker.flood, world.worker.stale, world.worker.repeat = 0, False, False
        world.clock.offset_ns = world.offset_ns
        world.kills.armed.clear()
        world.scheduler.slow_until_ns.clear()
        world.pump()

    @property
    def answering(self) -> bool:
        """Whether the exchange answers protective calls just now, as far as faults are concerned."""
        world = self._world
        if world.scheduler.now_ns < world.line.impaired_until_ns or world.exchange.halts:
            return False
        return not any(rule.name in _UNANSWERED and not rule.skip for rule in world.line.rules)

    # ----------------------------------------------------------------------------------------------------- the line
    def _rule(self, fault: Fault) -> None:
        if fault.name == "auth.expire":
            self._world.tokens.expire_all()
            return
        now, lasts = self._world.scheduler.now_ns, fault.seconds
        path = next((path for path, name in MOVES_MONEY.items() if name == fault.name), "")
        path = {"auth.refuse": "/api/Auth/loginKey"}.get(fault.name, path)
        times = fault.events if fault.events is not None else None if lasts is not None else 1
        self._world.line.add(
            Rule(
                fault.id,
                fault.name,
                fault.args,
                None if lasts is None else now + int(lasts * NS_PER_S),
                None if fault.p is not None and fault.events is None else times,
                fault.args.get("path", path),
                (fault.after or 1) - 1,
                1.0 if fault.p is None else fault.p,
            )
        )

    # --------------------------------------------------------------------------------------------------- the exchange
    def _order(self, kind: str, fault: Fault) -> None:
        world, args = self._world, fault.args
        if kind == "partial":
            delays = [int(delay * NS_PER_S) for delay in args["delays"]]
            world.controls.partial(args["sizes"], delays, call=args.get("call", "place"))
        elif kind == "reject":
            world.controls.reject(args["code"], with_id=args.get("with_id", False), call=args.get("call", "place"))
        elif kind == "cancel_race":
            world.controls.cancel_race(int(args.get("after", 0.1) * NS_PER_S))
        elif kind == "orphan":
            order = world.controls.orphan(args["kind"], world.account, world.symbols[0], world.market_ns)
            world.evidence.foreign.add(order)  # no run that we watched placed it
            world.pump()

    def _bracket(self, _kind: str, fault: Fault) -> None:
        args = fault.args
        self._world.controls.bracket(
            args["kind"],
            args.get("which", "both"),
            size=args.get("size", 1),
            ticks=args.get("ticks", 20),
            after_ns=int(args.get("after", 1.0) * NS_PER_S),
        )

    def _fill(self, _kind: str, fault: Fault) -> None:
        self._world.controls.slip(fault.args["ticks"], Scope(), call=fault.args.get("call", "place"))

    def _market(self, kind: str, fault: Fault) -> None:
        world = self._world
        if kind == "gap":
            world.market.gap(fault.args["ticks"])
        elif kind == "halt":
            world.controls.halt(world.market_ns)
            world.market.halt(True)
        else:
            world.market.chase = True

    def _human(self, kind: str, fault: Fault) -> None:
        world, args = self._world, fault.args
        symbol = args.get("contract", world.symbols[0])
        if kind == "trade":
            order = world.controls.human_trade(world.account, symbol, args["side"], args["size"], world.market_ns)
            world.evidence.foreign.add(order)
        elif kind == "cancel":
            world.controls.human_cancel(world.account, world.market_ns, args.get("which", "all"))
        else:
            before = set(world.exchange.accounts[world.account].book.orders)
            world.controls.human_flatten(world.account, world.market_ns)
            world.evidence.foreign |= set(world.exchange.accounts[world.account].book.orders) - before
        world.pump()

    def _account(self, kind: str, fault: Fault) -> None:
        world = self._world
        if kind == "lock":
            world.controls.lock(world.account)
        elif kind == "liquidate":
            world.controls.liquidate(world.account, world.market_ns)
        else:
            symbol, size = world.symbols[0], fault.args["size"]
            before = {held.contract: held.size for held in world.evidence.holdings(world.account)}
            world.controls.mutate_position(world.account, symbol, size, world.market_ns)
            world.evidence.mutated.append((world.account, symbol, size - before.get(symbol, 0)))
        world.pump()

    # --------------------------------------------------------------------------------------------------- hubs, feed
    def _userhub(self, kind: str, fault: Fault) -> None:
        hub = self._world.hub
        if kind == "drop":
            hub.down = True
            hub.drop()
        elif kind == "blackhole":
            hub.black = True
        elif kind == "mute":
            hub.mute = True
        elif kind == "withhold":
            hub.withheld.add(fault.args["kind"])
        elif kind == "dup":
            hub.twice = True
        elif kind == "reorder":
            hub.reorder_ns = int(fault.args.get("seconds", 1.0) * NS_PER_S)
        else:
            hub.logout()

    def _ws(self, kind: str, fault: Fault) -> None:
        world, feed = self._world, self._world.feed
        if kind == "latency":
            feed.delay_ns = int(fault.args["seconds"] * NS_PER_S)
            return
        chosen = world.symbols if kind == "drop" else world.symbols[:1]
        feed.down.update(chosen)
        if kind == "drop":
            for symbol in chosen:
                feed.mark(symbol, Kind.GAP, world.market_ns, world.clock.wall_ns())

    def _ws_end(self) -> None:
        """Back: after a gap the history is filled in and prices flow again."""
        world, feed = self._world, self._world.feed
        was_down, feed.delay_ns = sorted(feed.down), 0
        feed.down.clear()
        for symbol in was_down:
            feed.mark(symbol, Kind.HISTORY, world.market_ns, world.clock.wall_ns())

    # ------------------------------------------------------------------------------------------- process and machine
    def _proc(self, kind: str, fault: Fault) -> None:
        world, args = self._world, fault.args
        if kind == "kill":
            world.crash("killed", down_s=args.get("down", 1.0), again_after=args.get("again_after"))
        else:
            world.kills.arm(args["point"], args)

    def _disk(self, kind: str, fault: Fault) -> None:
        disk = self._world.disk
        if kind == "full":
            disk.full = True
        elif kind == "error":
            disk.failing = True
        elif kind == "slow":
            disk.slow_s = fault.args["seconds"]
        else:
            how = fault.args["how"]
            self._world.crash(f"disk {how}", down_s=fault.args.get("down", 1.0), damage=how)

    def _clock(self, kind: str, fault: Fault) -> None:
        world = self._world
        if kind == "step":
            world.clock.offset_ns += int(fault.args["seconds"] * NS_PER_S)
        else:
            world.stop_all(fault.seconds or 1.0)

    def _sched(self, _kind: str, fault: Fault) -> None:
        self._world.starve(fault.seconds or 1.0)

    def _worker(self, kind: str, fault: Fault) -> None:
        worker = self._world.worker
        if kind == "flood":
            worker.flood = int(fault.args.get("n", 60))
        elif kind == "stale":
            worker.stale = True
        else:
            worker.repeat = True

    def _person(self, kind: str, _fault: Fault) -> None:
        self._world.person(kind)
