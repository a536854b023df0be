"""From settings to processes: who is started for which mode, shared by `run` and `replay`."""

import secrets
import socket
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tbot import __version__
from tbot.commands.runs import living_runs
from tbot.config import AccountConfig, Config, home
from tbot.context.news_sources import FETCHING_MODES, fetches
from tbot.domain.trading_hours import check_zone_data, trading_day
from tbot.engine.build import build_id
from tbot.engine.desk_record import desk_account
from tbot.engine.processes import ProcessSpec
from tbot.engine.settings import AccountPlan, EngineSettings, GatewaySettings, Mode
from tbot.engine.temporary_state import fresh_state, sweep_states
from tbot.errors import ConfigError, Halted
from tbot.home import make_home
from tbot.risk.caps import Cap
from tbot.risk.firm import Stage, check_daily_limit
from tbot.storage.firm_rules import load_rules
from tbot.storage.limits_override import load_caps
from tbot.storage.sessions import effective_sessions, own_sessions
from tbot.strategy.settings import StrategySettings
from tbot.transport.shm import run_directory, sweep_stale

# A run of the embedded gateway starts here: the New York open of an ordinary Friday that the session table covers.
DEMO_START = "2026-11-20T14:30:00+00:00"
DEMO_SPEED = 20.0
# Chosen because its first minutes show a whole trade (a losing one) and several denials; it says nothing about odds.
DEMO_SEED = 400




def account_plans(config: Config) -> tuple[AccountPlan, ...]:
    """The pinned accounts of a run with the firm's rules as they are today.

    ConfigError with all problems at once: an account without a contract in this run, a floor that its plan cannot have,
    a daily limit that is not below the firm's.
    """
    plans: list[AccountPlan] = []
    problems: list[str] = []
    for account in config.accounts:
        try:
            plans.append(_account_plan(account, config))
        except ConfigError as error:
            problems.append(f"account {account.id}: {error}")
    if problems:
        raise ConfigError(f"{'; '.join(problems)}; correct [[accounts]]")
    return tuple(plans)


def past_plans(config: Config) -> tuple[AccountPlan, ...]:
    """The accounts of a run on paper or on past data: those that are pinned, else one fresh 50K Combine of ours."""
    rules = load_rules("combine", "50K", trading_day(time.time_ns()))
    return account_plans(config) or (replace(AccountPlan.paper(), rules=rules),)


def _account_plan(account: AccountConfig, config: Config) -> AccountPlan:
    contracts = tuple(name for name in account.contracts if name in config.engine.contracts)
    if account.contracts and not contracts:
        raise ConfigError(f"it trades {', '.join(account.contracts)} only, and none of these is in this run")
    stage: Stage = account.stage  # type: ignore[assignment]  # config checked it
    today = trading_day(time.time_ns())
    rules = load_rules(stage, account.plan, today, daily_limit=account.daily_limit)
    check_daily_limit(rules, (account.risk or config.risk).daily_loss_cents)
    plan = AccountPlan(
        account.id,
        account.name,
        account.plan,
        stage,
        contracts,
        None if account.floor_usd is None else round(account.floor_usd * 100),
        account.risk,
        rules,
        account.since,
    )
    desk_account(plan)
    return plan


def announced_caps(config: Config) -> tuple[Cap, ...]:
    """Caps of the owner's file; ConfigError when one is named that is not there, or that cannot be understood."""
    named = config.engine.limits_override
    path = Path(named).expanduser() if named else home() / "limits_override.toml"
    if named and not path.exists():
        raise ConfigError(f"{path} of [engine] limits_override is not there; correct the path or leave it out")
    return load_caps(path)


def base_settings(
    config: Config,
    mode: Mode,
    *,
    state_dir: Path | None,
    symbols: tuple[str, ...],
    accounts: tuple[AccountPlan, ...] | None = None,
    **more: Any,
) -> EngineSettings:
    """Settings of a run and its directories (`state_dir` None: a fresh one); removes leftovers of dead runs first.

    `accounts` None: those of the configuration. ConfigError for what a run of this mode cannot do.
    """
    check_zone_data(datetime.now(UTC).year)
    make_home()
    gateway = more.get("gateway")
    embedded = gateway is not None and gateway.embedded  # the demo is the same on every machine
    own_rows = None if embedded else own_sessions(home(), config.engine.sessions)
    own = past_plans(config) if mode in ("paper", "replay") else account_plans(config)
    sessions = effective_sessions(own_rows)
    if state_dir is None:
        _refuse_second_temporary()
        sweep_states(Path(tempfile.gettempdir()))
        state_dir = fresh_state(mode)
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    state_dir = state_dir.resolve()
    sweep_stale(None)
    run_dir = run_directory(None)
    return EngineSettings(
        mode=mode,
        symbols=symbols,
        state_dir=state_dir,
        run_dir=run_dir,
        run_id=secrets.randbits(63),
        build=build_id(__version__),
        config_hash=config.digest(),
        strategy=_strategy(config, mode),
        limits=config.risk,
        fills=config.past_fills() if mode == "replay" else config.paper_fills(),
        workers=config.engine.workers,
        wait=config.engine.wait,  # type: ignore[arg-type]
        on_exit=config.engine.on_exit,  # type: ignore[arg-type]
        accounts=own if accounts is None else accounts,
        history_days=config.engine.history_days,
        sessions=sessions,
        caps=() if embedded else announced_caps(config),
        pointer=home() / "current.json",
        news=config.news,
        report=config.report,
        log=config.log,
        news_home=home() if mode in FETCHING_MODES or config.news.files else None,
        fetch_news=fetches(config.news, mode),
        **more,
    )


def _refuse_second_temporary() -> None:
    """Halted where a run with a temporary state is under way: one pointer leads to it, and would lead here then."""
    for run in living_runs(None):
        if run.temporary:
            raise Halted(
                f"a {run.name} is under way already (process {run.pid}); look at it with tbot dashboard, end it with "
                "Ctrl-C in its terminal, or set another TBOT_HOME for this one"
            )


def _strategy(config: Config, mode: Mode) -> StrategySettings:
    """Learned weights decide in live trading only where `live` says so, too: elsewhere a live run observes."""
    learning = config.strategy.learning
    if mode == "live" and learning.decides and not learning.live:
        return replace(config.strategy, learning=replace(learning, mode="observe"))
    return config.strategy


def gateway_settings(rest: str, user_hub: str, market_hub: str, *, simulated: bool, embedded: bool) -> GatewaySettings:
    """Addresses of a gateway; hubs default to `<rest>/hubs/user` and `<rest>/hubs/market`."""
    rest = rest.rstrip("/")
    return GatewaySettings(
        rest, user_hub or f"{rest}/hubs/user", market_hub or f"{rest}/hubs/market", simulated, embedded
    )


def loopback_listener() -> tuple[socket.socket, str]:
    """A listening socket on a free loopback port and its address.

    Why the launcher opens it: the address is known before the simulator has started, and early callers wait in the
    backlog instead of being refused.
    """
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else answers wait 40 ms for an acknowledgement
    return listener, f"http://127.0.0.1:{listener.getsockname()[1]}"


def embedded_gateway(
    symbols: tuple[str, ...], speed: float, seed: int, start_ns: int, history_days: int
) -> tuple[ProcessSpec, str, tuple[str, str], socket.socket]:
    """(process, address, credentials, listener) of the simulator inside this run.

    `symbols`: what it lists. ConfigError for a contract that has no synthetic market.
    """
    from tbot.sim.profiles import PROFILES

    missing = [symbol for symbol in symbols if symbol not in PROFILES]
    if missing:
        raise ConfigError(
            f"the embedded gateway has no market for {missing[0]}; choose among {', '.join(PROFILES)}, "
            "or name a gateway that has it with --gateway"
        )
    listener, url = loopback_listener()
    user, key = "demo", secrets.token_urlsafe(24)
    settings = {
        "listener": listener,
        "seed": seed,
        "speed": speed,
        "start_ns": start_ns,
        "symbols": symbols,
        "accounts": 1,
        "hours": "session",
        "hold": True,  # no market time passes while the processes start
        "history_days": history_days,
        "user_name": user,
    }
    spec = ProcessSpec(
        "sim",
        "tbot.sim.server:main",
        settings,
        {"api_key": key},
        on_orphan="linger",
        restartable=False,
        beats=False,
    )
    return spec, url, (user, key), listener


def worker_specs(settings: EngineSettings) -> list[ProcessSpec]:
    """One worker per contract, or `workers` processes that share them."""
    count = settings.workers or len(settings.symbols)
    groups = [settings.symbols[index::count] for index in range(min(count, len(settings.symbols)))]
    names = [group[0] if len(group) == 1 else str(number) for number, group in enumerate(groups)]
    restartable = settings.mode != "replay"  # a tape has no history to give a new process
    return [
        ProcessSpec(
            f"worker-{name}",
            "tbot.engine.worker:main",
            settings,
            {"symbols": list(group)},
            restartable=restartable,
        )
        for name, group in zip(names, groups, strict=True)
    ]


def engine_specs(settings: EngineSettings, credentials: tuple[str, str] | None) -> list[ProcessSpec]:
    """Executor, feed and workers of a run, and the recorder where outcomes of patterns are kept."""
    guarded = settings.mode != "sim"
    login = {"credentials": credentials}
    if settings.mode == "replay":
        feed = ProcessSpec("feed", "tbot.engine.tape_feed:main", settings, restartable=False)
    else:
        feed = ProcessSpec("feed", "tbot.engine.feed:main", settings, guarded=guarded)
    executor = ProcessSpec(
        "executor",
        "tbot.engine.executor:main",
        settings,
        login,
        on_orphan="term",
        guarded=guarded,
        grace_s=10.0,
        restartable=settings.mode in ("sim", "live"),
    )
    if not settings.strategy.learning.follows:
        return [executor, feed, *worker_specs(settings)]
    recorder = ProcessSpec("recorder", "tbot.engine.pattern_recorder:main", settings, vital=False)
    return [executor, feed, recorder, *worker_specs(settings)]
