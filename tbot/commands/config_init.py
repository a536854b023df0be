"""`tbot config init` and `set`: settings files made and changed by T-BOT. No secret is ever asked for or written."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from tbot.commands.options import SETTINGS_FILE
from tbot.commands.words import show
from tbot.errors import ConfigError
from tbot.streams import is_terminal

TOPSTEPX = {
    "gateway.rest": "https://api.topstepx.com",
    "gateway.user_hub": "https://rtc.topstepx.com/hubs/user",
    "gateway.market_hub": "https://rtc.topstepx.com/hubs/market",
}
LOGIN_WORDS = (
    "The login does not belong in it: set TBOT_USERNAME and TBOT_API_KEY in the environment, or write the two lines "
    "into .env or a file of mode 0600 that --credentials-file names."
)
# Asked in this order, below the gateway and the account. What is not asked keeps its default and can be set later.
QUESTIONS = (
    "engine.contracts", "risk.daily_loss_cents", "risk.consecutive_losses", "risk.risk_per_trade_cents",
    "risk.max_micros", "risk.max_minis", "strategy.min_score", "engine.on_exit", "news.high",
)  # fmt: skip
ACCOUNT_QUESTIONS = ("id", "name", "plan", "stage", "floor_usd")


@dataclass(frozen=True)
class Asker:
    """Who answers. `ask` gets a question and its default and gives the answer, "" for the default; `tell`: lines."""

    ask: Callable[[str, str], str]
    tell: Callable[[str], None]


def person() -> Asker:
    """Whoever sits at this terminal. Questions go to stderr: stdout is for results."""

    def ask(question: str, default: str) -> str:
        return str(click.prompt(question, default=default, show_default=bool(default), err=True))

    return Asker(ask, lambda text: show(text.splitlines(), err=True))


def nobody() -> Asker:
    """Every default."""
    return Asker(lambda question, default: default, lambda text: None)


@click.command()
@click.option("--out", type=click.Path(path_type=Path), help="Where to write it.  [default: tbot.toml]")
@click.option("--set", "given", multiple=True, metavar="KEY=VALUE", help="An answer in advance; may be repeated.")
@click.option("--yes", is_flag=True, help="Ask nothing: every default but for what --set says.")
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
@click.option("--full", is_flag=True, help="All other options, too, as comments.")
def init(out: Path | None, given: tuple[str, ...], yes: bool, force: bool, full: bool) -> int:
    """Make a settings file: asks, explains each question, and writes the answers with comments (mode 0600)."""
    from tbot.settings import editing

    path = out or Path("tbot.toml")
    if not yes and not is_terminal(sys.stdin):
        raise ConfigError("nobody can answer here; give --yes for the defaults, with --set KEY=VALUE for what differs")
    asker = nobody() if yes else person()
    values, accounts = answers_given(given)
    if path.exists() and not force:
        said = asker.ask(f"{path} is there; overwrite it? (yes/no)", "no").lower()
        if said not in ("yes", "y"):
            raise ConfigError(f"{path} is there and stays as it is; --force overwrites it, --out names another place")
    interview(asker, values, accounts)
    text = editing.new_file(values, accounts, full=full)
    editing.checked(text, str(path))
    editing.write(path, text)
    click.echo(f"{path} is written.")
    where = "" if path == Path("tbot.toml") else f" --config {path}"
    show([LOGIN_WORDS, f"Next: tbot config show --origin{where}, tbot doctor{where}, tbot run{where}"], err=True)
    return 0


def answers_given(given: tuple[str, ...]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Values and accounts of `--set`; ConfigError for what is no option."""
    from tbot.settings import editing

    values: dict[str, Any] = {}
    account: dict[str, Any] = {}
    for text in given:
        key, sign, value = text.partition("=")
        option = editing.find_option(key.strip())
        if not sign:
            raise ConfigError(f"--set {text}: write it as {option.name}=VALUE")
        parsed = editing.parsed(option, value.strip())
        if option.section == "accounts":
            account[option.key] = parsed
        else:
            values[option.name] = parsed
    return values, [account] if account else []


def interview(asker: Asker, values: dict[str, Any], accounts: list[dict[str, Any]]) -> None:
    """Ask for what was not given; a bad answer is explained and asked for again."""
    _ask_gateway(asker, values)
    if values.get("gateway.rest"):
        _ask_account(asker, accounts)
    for name in QUESTIONS:
        if name not in values:
            _ask_one(asker, name, values, name)


def _ask_gateway(asker: Asker, values: dict[str, Any]) -> None:
    if "gateway.rest" in values:
        if values["gateway.rest"].rstrip("/") == TOPSTEPX["gateway.rest"]:  # its hubs are on another host
            values.update({**TOPSTEPX, **values})
        return
    asker.tell(
        "\nWhich gateway? demo: the embedded one, a made-up market, no account. topstepx: the firm's, on paper until "
        "you say --live. Or the address of another."
    )
    while True:
        said = asker.ask("gateway", "demo").strip()
        if said.lower() == "demo":
            return
        if said.lower() == "topstepx":
            values.update(TOPSTEPX)
            return
        problem = _problem_of({"gateway": {"rest": said}})
        if not problem:
            values["gateway.rest"] = said
            return
        asker.tell(f"  {problem}")


def _ask_account(asker: Asker, accounts: list[dict[str, Any]]) -> None:
    if accounts:
        return
    asker.tell(
        "\nAn account to trade, for later: only a pinned account can be traded live, and only with --live. Its number "
        "and name are what `tbot accounts` lists. Leave the number empty to pin none."
    )
    if not (number := _ask_account_value(asker, "id", {}, "")):
        return
    account = {"id": number}
    for key in ACCOUNT_QUESTIONS[1:]:
        default = {"plan": "50K", "stage": "combine"}.get(key, "")
        value = _ask_account_value(asker, key, account, default)
        if value not in (None, ""):
            account[key] = value
    accounts.append(account)


def _ask_account_value(asker: Asker, key: str, account: dict[str, Any], default: str) -> Any:
    from tbot.settings import editing
    from tbot.settings.options import option_of

    option = option_of(f"accounts.{key}")
    assert option is not None
    asker.tell(f"\n{option.word.text}{f' ({option.range})' if option.range else ''}")
    while True:
        said = asker.ask(f"accounts.{key}", default).strip()
        if not said and key != "name":
            return None
        value = editing.parsed(option, said)
        table = {"id": 1, "name": "x", **account, key: value}
        problem = _problem_of({"accounts": [table]})
        if not problem:
            return value
        asker.tell(f"  {problem}")


def _ask_one(asker: Asker, name: str, values: dict[str, Any], place: str) -> None:
    from tbot.settings import editing
    from tbot.settings.options import option_of, plain, toml

    option = option_of(name)
    assert option is not None
    more = "; ".join(part for part in (option.word.unit, option.range) if part)
    asker.tell(f"\n{option.word.text}{f' ({more})' if more else ''}")
    shown = ",".join(option.default) if option.kind.startswith("list") else toml(option.default).strip('"')
    while True:
        said = asker.ask(place, shown).strip()
        value = plain(option.default) if said == shown else editing.parsed(option, said)
        problem = _problem_of({option.section: {option.key: value}})
        if not problem:
            values[name] = value
            return
        asker.tell(f"  {problem}")


def _problem_of(document: dict[str, Any]) -> str:
    """What is wrong with one answer; "" when nothing is."""
    from tbot.config import of_document

    try:
        of_document(document, "the answer")
    except ConfigError as error:
        return "; ".join(line.strip() for line in str(error).splitlines()[1:])
    return ""


@click.command("set")
@click.argument("key")
@click.argument("value")
@click.option("-c", "--config", "config_path", type=SETTINGS_FILE, help="The file to change.")
def set_value(key: str, value: str, config_path: Path | None) -> int:
    """Change one value in the settings file: `tbot config set risk.max_micros 3`. Comments and order stay."""
    from tbot.settings import editing
    from tbot.settings.places import find_file, read_text

    path = find_file(config_path)
    if path is None:
        raise ConfigError("there is no settings file here; `tbot config init` makes one, --config names one")
    option = editing.find_option(key)
    text = read_text(path)
    editing.checked(text, str(path))
    parsed = editing.parsed(option, value)
    name = key if "[" in key else option.name
    new = editing.changed(text, name, parsed)
    editing.checked(new, f"nothing is written: with {name} = {value}, {path}")
    if told := editing.write(path, new, keep=True):
        show([told], err=True)
    click.echo(f"{path}: {name} = {value}. A running engine keeps its settings until it is started again.")
    return 0
