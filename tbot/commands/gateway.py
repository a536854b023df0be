"""What commands that talk to a gateway share: which one, with which login."""

from typing import TYPE_CHECKING, Any

import click

from tbot.commands.options import SETTINGS_FILE, Filled
from tbot.errors import AuthError, ConfigError, GatewayError

if TYPE_CHECKING:
    from tbot.config import Config
    from tbot.gateway.codec_rest import Answer
    from tbot.gateway.rest import RestClient

config_option = click.option("-c", "--config", "config_path", type=SETTINGS_FILE, help="TOML file with settings.")
gateway_option = click.option(
    "--gateway", metavar="URL", type=Filled(), help="The gateway; default: [gateway] rest of the settings."
)
credentials_option = click.option(
    "--credentials-file", type=SETTINGS_FILE, help="File of mode 0600 with TBOT_USERNAME and TBOT_API_KEY."
)


def gateway_url(option: str | None, config: "Config") -> str:
    """The gateway to talk to; ConfigError when none is named or its address is not allowed."""
    from tbot.gateway.net import check_url

    url = option or config.gateway.rest
    if not url:
        raise ConfigError("no gateway is named: give --gateway URL, or set rest in section [gateway]")
    return check_url(url, "http", "https")


def raise_refusal(client: "RestClient", answer: "Answer[Any]", what: str) -> None:
    """The error behind a query that was not accepted: refused login, or no usable answer."""
    if client.tokens.refused:
        raise AuthError(f"the gateway refused the login ({client.tokens.refused}); check user name and key")
    raise GatewayError(
        f"{client.base_url} does not list its {what} ({answer.text or answer.outcome}); see tbot doctor --online"
    )
