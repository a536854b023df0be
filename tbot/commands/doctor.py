"""`tbot doctor`: is everything in place? One line a check; with `--online` the gateway is looked at too."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tbot.commands.gateway import config_option, credentials_option, gateway_option
from tbot.commands.words import show
from tbot.domain.words import plural
from tbot.errors import TbotError

if TYPE_CHECKING:
    from tbot.config import Config
    from tbot.credentials import Login
    from tbot.doctor.findings import Check, Finding
    from tbot.doctor.online import Target
    from tbot.gateway.rest import RestClient

FOUND_FAILURE = 10


@click.command()
@config_option
@gateway_option
@credentials_option
@click.option("--online", is_flag=True, help="Look at the gateway too (read only).")
@click.option("--json", "json_output", is_flag=True, help="One JSON document.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def doctor(
    config_path: Path | None,
    gateway: str | None,
    credentials_file: Path | None,
    online: bool,
    json_output: bool,
    debug: bool,
) -> int:
    """Check this machine, the settings and, with --online, the gateway. Exit code 10 when something failed."""
    if gateway is not None and not online:
        raise click.UsageError("--gateway is looked at with --online only; add that, or leave the address out")
    import orjson

    from tbot.config import home
    from tbot.doctor import context, findings, machine
    from tbot.storage.sessions import own_sessions

    def tell(finding: "Finding") -> None:
        if not json_output:
            show([findings.line(finding)])

    settings = _Settings(config_path, credentials_file)
    checks = [
        *machine.checks(home(), settings.shared_bytes(), own_sessions(home(), settings.config.engine.sessions)),
        findings.Check("configuration", settings.look_at_config),
        findings.Check("credentials", lambda: settings.look_at_login(online)),
        findings.Check("news", lambda: context.news(settings.config.news, home())),
        findings.Check("messages", settings.look_at_messages),
    ]
    found = findings.run_checks(checks, tell)
    if online:
        found += _look_at_gateway(settings, gateway, tell)
    document = findings.document(found, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
    if json_output:
        click.echo(orjson.dumps(document).decode())
    else:
        counts = document["counts"]
        click.echo(f"{counts['ok']} ok, {counts['warn']} warnings, {counts['fail']} failures")
    return 0 if document["ok"] else FOUND_FAILURE


class _Settings:
    """Configuration and login, each looked at once; what cannot be had is None, and the finding says why."""

    def __init__(self, config_path: Path | None, credentials_file: Path | None) -> None:
        from tbot.config import Config, loaded

        self._told, self._file = "", credentials_file
        self._fault: TbotError | None = None
        self.login: Login | None = None
        self.config: Config = Config()
        try:
            self.config, document = loaded(config_path)
            self._told = document.told()
        except TbotError as error:
            self._fault = error

    def shared_bytes(self) -> int:
        """What the rings and history of a run take."""
        from tbot.engine.settings import HISTORY_CAPACITY, RING_CAPACITY
        from tbot_ext.records import BAR_DTYPE
        from tbot_ext.ring import ring_bytes

        one = ring_bytes(RING_CAPACITY) + HISTORY_CAPACITY * BAR_DTYPE.itemsize
        return len(self.config.engine.contracts) * one

    def look_at_config(self) -> "Finding":
        from tbot.doctor.findings import fail, ok

        if self._fault is not None:
            return fail("configuration", str(self._fault), "correct it; the checks go on with built-in values")
        where = self._told or "built-in values"
        return ok("configuration", f"{where}; contracts {', '.join(self.config.engine.contracts)}")

    def look_at_login(self, needed: bool) -> "Finding":
        """Where the login comes from, never what it is."""
        from tbot.config import require_login
        from tbot.doctor.findings import fail, ok, warn

        try:
            self.login = require_login(self.config, self._file)
        except TbotError as error:
            if needed or not str(error).startswith("no credentials"):
                return fail("credentials", str(error), "without them only the embedded gateway can be used")
            return warn("credentials", str(error), "without them only the embedded gateway can be used")
        loose = ".env" in self.login.source and Path(".env").stat().st_mode & 0o077
        if loose:
            return warn("credentials", f"found in {self.login.source}, which others may read", "chmod 600 .env")
        return ok("credentials", f"found in {self.login.source}")

    def look_at_messages(self) -> "Finding":
        """Where the addresses of messages come from, never what they are."""
        from tbot.commands.notify_addresses import find
        from tbot.doctor.findings import fail, ok
        from tbot.home import home

        try:
            found = find(self.config.notify, home())
        except TbotError as error:
            return fail("messages", str(error), "without it a run sends none")
        if not found.urls:
            return ok("messages", "none are sent: there is no address")
        addresses = plural(len(found.urls), "address", "addresses")
        return ok("messages", f"{addresses} from {found.source}; tbot notify test sends one to each")


def _look_at_gateway(settings: _Settings, option: str | None, tell: "Callable[[Finding], None]") -> "list[Finding]":
    from tbot.commands.gateway import gateway_url
    from tbot.doctor import findings, online
    from tbot.gateway.redact import Credentials
    from tbot.gateway.rest import RestClient

    login = settings.login
    try:
        url = gateway_url(option, settings.config)
        client = RestClient(url, None if login is None else Credentials(*login.pair), total_s=online.CALL_S)
        target = _target(client, settings.config)
    except TbotError as error:
        text = str(error)
        return findings.run_checks(
            [findings.Check("gateway", lambda: findings.fail("gateway", text, "name a gateway that can be used"))], tell
        )
    try:
        checks: list[Check] = online.checks(target)
        return findings.run_checks(checks, tell, () if login is None else login.pair)
    finally:
        client.close()


def _target(client: "RestClient", config: "Config") -> "Target":
    from tbot.commands import launch
    from tbot.context.dxy import LEGS
    from tbot.doctor.online import Target

    hubs = launch.gateway_settings(
        client.base_url, config.gateway.user_hub, config.gateway.market_hub, simulated=False, embedded=False
    )
    pinned = tuple((account.id, account.name) for account in config.accounts)
    legs = tuple(LEGS) if config.dxy.followed else ()
    symbols = config.engine.contracts
    return Target(client, hubs.user_hub, hubs.market_hub, symbols, pinned, _engine_running(), legs)


def _engine_running() -> bool:
    """Whether an engine of this user stands behind its status."""
    from tbot.commands.status import gone_because, newest_status, read

    try:
        path = newest_status()
        status = read(path)
        return not status["ended"] and not gone_because(status, path.parent)
    except (TbotError, OSError, ValueError, KeyError, TypeError, AssertionError):
        return False
