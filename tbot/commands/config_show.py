"""`tbot config show`, `validate`, `path`, `options`, `schema`: they read, and write nothing."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from tbot.commands.gateway import config_option
from tbot.commands.options import SETTINGS_FILE
from tbot.domain.words import plural
from tbot.errors import ConfigError

if TYPE_CHECKING:
    from tbot.config import Config
    from tbot.settings.options import Option
    from tbot.settings.places import Document

json_option = click.option("--json", "json_output", is_flag=True, help="One JSON document.")


def _print(document: dict[str, Any]) -> None:
    click.echo(orjson.dumps(document).decode())


@click.command()
@config_option
@click.option("--origin", is_flag=True, help="Tell for each value whether file, environment or default gave it.")
@json_option
def show(config_path: Path | None, origin: bool, json_output: bool) -> int:
    """Show the settings that hold, as TOML that could be a settings file."""
    from tbot.config import loaded

    config, document = loaded(config_path)
    rows = effective(config, document)
    if json_output:
        _print({
            "schema": "tbot.config", "version": 1, "file": str(document.file) if document.file else None,
            "config_hash": config.digest(), "options": rows,
        })  # fmt: skip
        return 0
    click.echo(f"# settings from {document.file or 'nowhere: everything is built in'}; hash {config.digest()}")
    for line in as_toml(rows, origin):
        click.echo(line)
    return 0


def effective(config: "Config", document: "Document") -> list[dict[str, Any]]:
    """Every option with its value, default and origin; those of accounts as accounts[1].name."""
    from tbot.settings.options import options, plain

    rows: list[dict[str, Any]] = []
    for option in options():
        if option.section == "accounts":
            continue
        if option.section == "fills":
            value = config.fills.get(option.key, option.default)
        else:
            value = getattr(getattr(config, option.section), option.key)
        rows.append(_row(option, option.name, plain(value), document.origin(option.name)))
    for number, account in enumerate(config.accounts, 1):
        for option in (one for one in options() if one.section == "accounts"):
            place = f"accounts[{number}].{option.key}"
            rows.append(_row(option, place, plain(getattr(account, option.key)), document.origin(place)))
    return rows


def _row(option: "Option", place: str, value: Any, origin: str) -> dict[str, Any]:
    from tbot.settings.options import plain

    return {"name": place, "value": value, "default": plain(option.default), "unit": option.word.unit, "origin": origin}


def as_toml(rows: list[dict[str, Any]], origin: bool) -> list[str]:
    """The rows as lines of a settings file."""
    from tbot.settings.options import toml

    lines: list[str] = []
    section = ""
    for row in rows:
        head, _, key = row["name"].partition(".")
        if head != section:
            section = head
            lines += ["", f"[[{head.partition('[')[0]}]]" if "[" in head else f"[{head}]"]
        if row["value"] is None:
            continue
        if key == "risk":  # of an account: shown whole by --json
            lines.append("# limits of its own: see --json")
            continue
        text = f"{key} = {toml(row['value'])}"
        lines.append(f"{text:<44}  # {row['origin']}" if origin else text)
    return lines


@click.command()
@click.argument("file", type=SETTINGS_FILE, required=False)
@config_option
@json_option
def validate(file: Path | None, config_path: Path | None, json_output: bool) -> int:
    """Check a settings file, and what it names: every problem at once. Exit code 3 when there is one."""
    from tbot.settings.places import read

    document = read(file or config_path)
    problems = _problems(document)
    if json_output:
        _print({
            "schema": "tbot.config.validate", "version": 1, "file": str(document.file) if document.file else None,
            "ok": not problems, "problems": problems,
        })  # fmt: skip
        return ConfigError.exit_code if problems else 0
    if problems:
        raise ConfigError(f"{document.name} has {plural(len(problems), 'problem')}:\n  " + "\n  ".join(problems))
    click.echo(f"{document.file or 'built-in settings'}: ok")
    return 0


def _problems(document: "Document") -> list[str]:
    """What is wrong with the values, and, where they are good, with the files and accounts that they name."""
    from tbot.commands import launch
    from tbot.config import home, of_document
    from tbot.storage.sessions import effective_sessions, own_sessions

    try:
        config = of_document(document.values, document.name, document)
    except ConfigError as error:
        return [line.strip() for line in str(error).splitlines()[1:]]
    problems = []
    for place, check in (
        ("accounts", lambda: launch.account_plans(config)),
        ("engine.limits_override", lambda: launch.announced_caps(config)),
        ("engine.sessions", lambda: effective_sessions(own_sessions(home(), config.engine.sessions))),
    ):
        try:
            check()
        except ConfigError as error:
            where = document.where(place)
            problems.append(f"{where}: {error}" if where else str(error))
    return problems


@click.command()
@config_option
@json_option
def path(config_path: Path | None, json_output: bool) -> int:
    """Tell which settings file is read, and where one is looked for."""
    from tbot.settings.places import candidates, find_file

    used = find_file(config_path)
    places = [config_path] if config_path else candidates()
    if json_output:
        looked = [{"path": str(place), "exists": place.is_file()} for place in places]
        _print({"schema": "tbot.config.path", "version": 1, "file": str(used) if used else None, "looked_at": looked})
        return 0
    for place in places:
        word = "read" if place == used else "there, but another is read" if place.is_file() else "not there"
        click.echo(f"{place}: {word}")
    if used is None:
        click.echo("no file: everything is built in; `tbot config init` makes one")
    return 0


@click.command("options")
@click.argument("section", required=False)
@click.option("--markdown", is_flag=True, help="The whole page docs/configuration.md.")
@json_option
def list_options(section: str | None, markdown: bool, json_output: bool) -> int:
    """List every option, or those of one section: type, default, range, meaning."""
    from tbot.settings.options import options, plain, structs, toml

    if section is not None and section not in structs():
        raise ConfigError(f"{section} is not a section; sections are {', '.join(structs())}")
    if markdown:
        from tbot.settings.page import page

        click.echo(page(), nl=False)
        return 0
    chosen = [option for option in options() if section in (None, option.section)]
    if json_output:
        rows = [
            {
                "name": option.name, "type": option.kind, "default": plain(option.default), "unit": option.word.unit,
                "minimum": option.low, "maximum": option.high, "choices": list(option.word.choices),
                "text": option.word.text,
            }
            for option in chosen
        ]  # fmt: skip
        _print({"schema": "tbot.config.options", "version": 1, "options": rows})
        return 0
    for option in chosen:
        default = f" = {toml(option.default)}" if option.default is not None else ""
        more = "; ".join(part for part in (option.kind, option.word.unit, option.range) if part)
        click.echo(f"{option.name}{default}  ({more})\n    {option.word.text}")
    return 0


@click.command()
def schema() -> int:
    """Print the JSON Schema of the settings file: editors complete and check with it."""
    from tbot.settings.schema import json_schema

    click.echo(orjson.dumps(json_schema(), option=orjson.OPT_INDENT_2).decode())
    return 0
