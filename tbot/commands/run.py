"""`tbot run`: the engine."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tbot.commands.account_choice import some_accounts, with_accounts
from tbot.commands.gateway import credentials_option
from tbot.commands.options import SETTINGS_FILE, Filled, Number, Real, Whole
from tbot.errors import ConfigError

if TYPE_CHECKING:
    import socket

    from tbot.config import Config
    from tbot.engine.processes import ProcessSpec
    from tbot.engine.settings import EngineSettings, Mode

    Plan = tuple[EngineSettings, list[ProcessSpec], socket.socket | None]


NO_CHOICE = "--account chooses among pinned accounts, and the embedded gateway has one of its own: name a --gateway"


@click.command()
@click.option("-c", "--config", "config_path", type=SETTINGS_FILE, help="TOML file with settings.")
@click.option("--for", "duration", metavar="TIME", type=Filled(), help="Stop after 60s, 5m, 2h (counted from ready).")
@click.option("--contracts", metavar="LIST", help="Contracts to trade, e.g. MNQ,ES.")
@some_accounts
@click.option("--gateway", metavar="URL", type=Filled(), help="Use this gateway instead of the embedded one.")
@credentials_option
@click.option("--json", "json_output", is_flag=True, help="No screen; one JSON document at the end.")
@click.option("-q", "--quiet", is_flag=True, help="No screen.")
@click.option("--live", is_flag=True, help="Send orders to the accounts pinned in the settings.")
@click.option(
    "--confirm-live", type=Number(), multiple=True, metavar="ID",
    help="With --live where nobody can type; once an account.",
)  # fmt: skip
@click.option("--workers", type=click.IntRange(1, 64), help="Share the contracts among this many worker processes.")
@click.option("--speed", type=Real(0.1, 200), help="Of the embedded market.  [default: 20]")
@click.option("--seed", type=Whole(0), help="Of the embedded market.")
@click.option("--tz", default="Europe/Helsinki", show_default=True, help="Time zone of the screen.")
@click.option("--keep-bars", type=click.Path(file_okay=False, path_type=Path), help="Write 1m bars here at the end.")
@click.option(
    "--metrics", "metrics_port", type=click.IntRange(1, 65535), is_flag=False, flag_value=9464, metavar="[PORT]",
    help="Serve figures for Prometheus on 127.0.0.1.  [port: 9464]",
)
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def run(
    config_path: Path | None,
    duration: str | None,
    contracts: str | None,
    accounts: tuple[int, ...],
    gateway: str | None,
    credentials_file: Path | None,
    json_output: bool,
    quiet: bool,
    live: bool,
    confirm_live: tuple[int, ...],
    workers: int | None,
    speed: float | None,
    seed: int | None,
    tz: str,
    keep_bars: Path | None,
    metrics_port: int | None,
    debug: bool,
) -> int:
    """Run the engine until Ctrl-C.

    Without settings it trades a paper account on the embedded gateway: a synthetic market at twenty times real speed,
    no network, no account, nothing at risk.
    """
    from tbot.commands.metrics import beside
    from tbot.commands.notify_screen import with_messages
    from tbot.commands.options import parse_duration_s, parse_symbols, parse_zone, usable_folder
    from tbot.commands.show import LastingScreen, choose_screen, drive
    from tbot.config import loaded
    from tbot.engine.supervisor import Supervisor

    if confirm_live and not live:
        raise ConfigError("--confirm-live goes with --live; without it nothing is traded live")
    zone = parse_zone(tz)
    config, document = loaded(config_path)
    config = with_accounts(config, accounts)
    if document.told():
        click.echo(f"tbot: {document.told()}", err=True)
    engine = config.engine
    if contracts is not None:
        engine = replace(engine, contracts=parse_symbols(contracts))
    if workers:
        engine = replace(engine, workers=workers)
    config = replace(config, engine=engine)
    for_s = parse_duration_s(duration) if duration is not None else None
    url = gateway or config.gateway.rest
    if url and (speed is not None or seed is not None):
        raise ConfigError("--speed and --seed belong to the embedded market; leave them out with --gateway")
    if accounts and not url and not live:
        raise click.UsageError(NO_CHOICE)
    extra = {"keep_bars": usable_folder(keep_bars)}
    if live:
        plan = _live(url, config, credentials_file, confirm_live, extra)
    elif url:
        plan = _against(url, config, credentials_file, extra)
    else:
        plan = _embedded(config, speed, seed, extra)
    settings, specs, listener = plan
    plain = LastingScreen(choose_screen(json_output, quiet, zone))
    screen, messages = with_messages(plain, config.notify, settings.mode, demo=listener is not None)
    supervisor = Supervisor(settings, specs, screen.event)
    supervisor.more_status.update(messages)

    def started() -> None:
        if listener is not None:
            listener.close()

    with beside(settings.state_dir, metrics_port):
        return drive(supervisor, screen, for_s, json_output, started)


def _embedded(config: "Config", speed: float | None, seed: int | None, extra: dict[str, Any]) -> "Plan":
    from tbot.commands import launch
    from tbot.commands.options import parse_time_ns
    from tbot.context.dxy import LEGS

    speed = speed or launch.DEMO_SPEED
    legs = LEGS if config.dxy.followed else ()
    spec, url, credentials, listener = launch.embedded_gateway(
        (*config.engine.contracts, *(leg for leg in legs if leg not in config.engine.contracts)),
        speed,
        launch.DEMO_SEED if seed is None else seed,
        parse_time_ns(launch.DEMO_START),
        config.engine.history_days,
    )
    gateway = launch.gateway_settings(url, "", "", simulated=True, embedded=True)
    settings = launch.base_settings(
        config,
        "sim",
        state_dir=None,
        symbols=config.engine.contracts,
        accounts=(),  # the embedded gateway has one of its own
        gateway=gateway,
        template_hours=True,
        **extra,
    )
    return settings, [spec, *launch.engine_specs(settings, credentials)], listener


def _live(
    url: str, config: "Config", credentials_file: Path | None, confirm: tuple[int, ...], extra: dict[str, Any]
) -> "Plan":
    from tbot.commands import launch
    from tbot.commands.gateway import gateway_url
    from tbot.commands.live import Wish, admit, here
    from tbot.config import home

    hubs = config.gateway.user_hub, config.gateway.market_hub
    gateway = None
    if url:
        address = gateway_url(url, config)
        gateway = launch.gateway_settings(address, *hubs, simulated=False, embedded=False)
    plans = launch.account_plans(config)
    admission = admit(Wish(config, plans, gateway, confirm, credentials_file), here())
    settings = launch.base_settings(
        config,
        "live",
        state_dir=home() / "live",
        symbols=config.engine.contracts,
        accounts=plans,
        gateway=gateway,
        locks=home() / "locks",
        confirmed=admission.confirmed,
        warnings=admission.warnings,
        **extra,
    )
    return settings, launch.engine_specs(settings, admission.credentials), None


def _against(url: str, config: "Config", credentials_file: Path | None, extra: dict[str, Any]) -> "Plan":
    from tbot.commands import launch
    from tbot.commands.gateway import gateway_url
    from tbot.config import home, require_login
    from tbot.gateway.rest import probe_simulator

    url = gateway_url(url, config)  # before the login is asked for: what is wrong is the address
    credentials = require_login(config, credentials_file).pair
    simulated = probe_simulator(url)
    gateway = launch.gateway_settings(
        url, config.gateway.user_hub, config.gateway.market_hub, simulated=simulated, embedded=False
    )
    mode: Mode = "sim" if simulated else "paper"
    settings = launch.base_settings(
        config,
        mode,
        state_dir=home() / mode,
        symbols=config.engine.contracts,
        gateway=gateway,
        template_hours=simulated,
        locks=home() / "locks" if simulated else None,
        **extra,
    )
    return settings, launch.engine_specs(settings, credentials), None
