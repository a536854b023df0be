"""`tbot accounts`: the accounts that the login can see, and those a run would trade."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tbot.commands.account_choice import one_account, unknown
from tbot.commands.gateway import config_option, credentials_option, gateway_option
from tbot.commands.words import show

if TYPE_CHECKING:
    from tbot.config import Config
    from tbot.gateway.codec_models import BrokerAccount


@click.command()
@config_option
@gateway_option
@credentials_option
@one_account
@click.option("--json", "json_output", is_flag=True, help="One JSON document.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def accounts(
    config_path: Path | None,
    gateway: str | None,
    credentials_file: Path | None,
    account: int | None,
    json_output: bool,
    debug: bool,
) -> int:
    """List the accounts: id, name, balance, whether it can trade, whether it is simulated; * marks a run's choice."""
    import orjson

    from tbot.commands.gateway import gateway_url, raise_refusal
    from tbot.config import load, require_login
    from tbot.doctor.online import choose
    from tbot.gateway.pinned import trouble_of
    from tbot.gateway.redact import Credentials
    from tbot.gateway.rest import RestClient

    config = load(config_path)
    url = gateway_url(gateway, config)
    login = require_login(config, credentials_file)
    client = RestClient(url, Credentials(*login.pair))
    try:
        answer = client.account_search(False)
    finally:
        client.close()
    if not answer.ok or answer.value is None:
        raise_refusal(client, answer, "accounts")
    listed = answer.value or []
    pinned = tuple((one.id, one.name) for one in config.accounts)
    troubles = [text for number, name in pinned if (text := trouble_of(listed, number, name))]
    chosen = {one.account_id for one in choose(listed, pinned)}
    if account is not None:
        known = {one.account_id: one.name for one in listed}
        if account not in known:
            raise unknown(account, "is not listed by the gateway; it lists", known)
        listed = [one for one in listed if one.account_id == account]
    if json_output:
        click.echo(orjson.dumps(document(client.base_url, listed, chosen, troubles, plans(config))).decode())
        return 0
    show(lines(listed, chosen, troubles, plans(config)))
    return 0


def plans(config: "Config") -> dict[int, dict[str, Any]]:
    """What the settings say of each pinned account: its size, its limits and its contracts."""
    found = {}
    for account in config.accounts:
        limits = account.risk or config.risk
        found[account.id] = {
            "plan": account.plan,
            "stage": account.stage,
            "contracts": list(account.contracts or config.engine.contracts),
            "daily_loss_usd": limits.daily_loss_cents / 100,
            "consecutive_losses": limits.consecutive_losses,
            "risk_per_trade_usd": limits.risk_per_trade_cents / 100,
            "max_micros": limits.max_micros,
            "max_minis": limits.max_minis,
        }
    return found


def document(
    url: str,
    listed: "list[BrokerAccount]",
    chosen: set[int],
    troubles: list[str],
    pinned: dict[int, dict[str, Any]],
) -> dict[str, Any]:
    """Everything for `--json`; names as the gateway sends them. `troubles`: what stands against the pinned ones."""
    rows = [
        {
            "id": account.account_id,
            "name": account.name,
            "balance_usd": account.balance_cents / 100,
            "can_trade": account.can_trade,
            "visible": account.visible,
            "simulated": account.simulated,
            "chosen": account.account_id in chosen,
            "settings": pinned.get(account.account_id),
        }
        for account in listed
    ]
    return {"schema": "tbot.accounts", "version": 1, "gateway": url, "accounts": rows, "troubles": troubles}


def lines(
    listed: "list[BrokerAccount]", chosen: set[int], troubles: list[str], pinned: dict[int, dict[str, Any]]
) -> list[str]:
    """A table for a person, 80 columns wide; below a pinned account what the settings say of it."""
    import textwrap

    from tbot.gateway.redact import plain

    if not listed:
        return ["no accounts: the login is taken, but no account is visible to it"]
    text = [f"  {'id':>12}  {'balance USD':>14}  {'can trade':<9}  {'kind':<9}  name"]
    for account in listed:
        mark = "*" if account.account_id in chosen else " "
        kind = "simulated" if account.simulated else "LIVE"
        text.append(
            f"{mark} {account.account_id:>12}  {account.balance_cents / 100:>14,.2f}  "
            f"{'yes' if account.can_trade else 'no':<9}  {kind:<9}  {plain(account.name, 60)}"
        )
        own = pinned.get(account.account_id)
        if own is not None:
            told = (
                f"{own['plan']} {own['stage']}; {', '.join(own['contracts'])}; daily limit "
                f"{own['daily_loss_usd']:,.2f} USD, {own['consecutive_losses']} losses in a row; "
                f"{own['risk_per_trade_usd']:,.2f} USD a trade; at most {own['max_micros']} micro or "
                f"{own['max_minis']} mini"
            )
            text += textwrap.wrap(told, 80, initial_indent=" " * 16, subsequent_indent=" " * 16)
    if troubles:
        text.append(f"a run would refuse: {'; '.join(troubles)}; correct [[accounts]]")
    elif not chosen:
        text.append("a run would take none of them: it needs a simulated account that can trade")
    return text
