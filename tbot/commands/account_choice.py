"""`--account`: the same words, and the same answer to an account that is not there, wherever it is given.

An unknown account is a usage error (exit code 2): one sentence that names the known ones. Light on purpose: the kill
switch imports it, and has 300 ms.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tbot.commands.options import Number

if TYPE_CHECKING:
    from tbot.config import Config

F = TypeVar("F", bound=Callable[..., Any])

HELP_ONE = "Only this account."
HELP_SOME = "Only this account; repeatable."


def one_account(command: F) -> F:
    """`--account ID` of a command that shows or does something for all accounts unless one is named: `account`."""
    return click.option("--account", type=Number(), metavar="ID", help=HELP_ONE)(command)


def some_accounts(command: F) -> F:
    """`--account ID`, repeatable, of a command that runs with the pinned accounts unless some are named: `accounts`."""
    option = click.option("--account", "accounts", type=Number(), multiple=True, metavar="ID", help=HELP_SOME)
    return option(command)


def named(known: Mapping[int, str]) -> str:
    """The known accounts, for a sentence."""
    from tbot.gateway.redact import plain

    return ", ".join(f"{number} ({plain(name, 60)})" if name else str(number) for number, name in known.items())


def unknown(account: int, why: str, known: Mapping[int, str]) -> click.UsageError:
    """The error for an account that is none of `known`; `why`: "is not traded by this run; it trades"."""
    return click.UsageError(f"account {account} {why} {named(known) or 'none'}")


def with_accounts(config: "Config", accounts: Iterable[int]) -> "Config":
    """The settings with the named ones of their [[accounts]] alone, in the order of the settings; none named: all.

    UsageError for one that is not pinned: what a run trades is pinned by id and name, never by a number alone.
    """
    from dataclasses import replace

    wanted = set(accounts)
    if not wanted:
        return config
    pinned = {account.id: account.name for account in config.accounts}
    if not pinned:
        raise click.UsageError(
            "--account chooses among the [[accounts]] of the settings, and these settings have none; pin the account "
            "there by id and name, as tbot accounts lists them"
        )
    for account in sorted(wanted - pinned.keys()):
        raise unknown(account, "is none of the [[accounts]] of the settings; they are", pinned)
    return replace(config, accounts=tuple(account for account in config.accounts if account.id in wanted))
