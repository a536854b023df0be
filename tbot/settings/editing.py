"""Settings files that T-BOT writes: new ones with comments, and changes that keep the comments of others."""

import re
import stat
from pathlib import Path
from typing import Any

from tbot.config import NO_SECRETS, SECRET_WORDS, of_document
from tbot.domain.toml_text import toml_values
from tbot.errors import ConfigError
from tbot.settings.lines import lines_of
from tbot.settings.options import Option, option_of, options, structs, toml
from tbot.settings.places import Document, value_of
from tbot.settings.words import SECTIONS
from tbot.storage.private_file import replace_private

_ACCOUNT = re.compile(r"accounts\[(\d+)\]\.(\w+)$")


def find_option(key: str) -> Option:
    """The option of `section.key`; ConfigError with what was probably meant."""
    import difflib

    if any(word in key.lower() for word in SECRET_WORDS):
        raise ConfigError(f"{key}: {NO_SECRETS}")
    plain = re.sub(r"\[\d+\]", "", key)
    found = option_of(plain)
    if found is None:
        names = [option.name for option in options()]
        alike = [name for name in names if name.endswith(f".{plain}")]
        near = alike or difflib.get_close_matches(plain, names, 1, 0.5)
        meant = f"; did you mean {near[0]}?" if near else ""
        raise ConfigError(f"{key} is not an option{meant or '; `tbot config options` lists them all'}")
    return found


def parsed(option: Option, text: str) -> Any:
    """What a person typed for an option, as a TOML value: texts stay texts, numbers of a number become one."""
    if option.kind == "text":
        quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
        return text[1:-1] if quoted else text
    value = value_of(text, listed=option.kind.startswith("list"))
    if option.name == "engine.contracts":  # as the option --contracts takes them
        return [item.upper() if isinstance(item, str) else item for item in value]
    return float(value) if option.kind == "number" and type(value) is int else value


def changed(text: str, key: str, value: Any) -> str:
    """The file's text with one value put in; everything else stays as it is. ConfigError for an account not there."""
    import tomlkit

    document = tomlkit.parse(text)
    account = _ACCOUNT.match(key)
    table: Any
    if account:
        tables: Any = document.get("accounts", [])
        number = int(account[1])
        if not 1 <= number <= len(tables):
            raise ConfigError(f"{key}: the file has {len(tables)} [[accounts]]; write the new one into the file")
        table, name = tables[number - 1], account[2]
    else:
        section, _, name = key.partition(".")
        if section == "accounts":
            raise ConfigError(f"{key}: say which account, as accounts[1].{name}")
        if section not in document:
            document[section] = tomlkit.table()
        table = document[section]
    table[name] = value
    return tomlkit.dumps(document)


def checked(text: str, name: str) -> None:
    """ConfigError with every problem of a settings text."""
    try:
        values = toml_values(text)
    except ValueError as error:
        raise ConfigError(f"{name} is not valid TOML: {error}; correct that line") from None
    of_document(values, name, Document(values, Path(name), lines_of(text)))


def write(path: Path, text: str, *, keep: bool = False) -> str:
    """Put a settings file in place, 0600 and whole; a link keeps pointing at it. ConfigError when that fails.

    `keep`: who may do what with the old one holds on. Returns a sentence where that became less, or "".
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        place = path.resolve()
        before = place.stat() if keep and place.exists() else None
        replace_private(place, text.encode(), like=before)
        after = place.stat()
    except OSError as error:
        raise ConfigError(f"{path} could not be written: {error.strerror}; choose another place with --out") from None
    old, new = (stat.S_IMODE(found.st_mode) if found else 0 for found in (before, after))
    return f"{path} had mode {old:04o} and has {new:04o} now" if before and new != old else ""


def new_file(values: dict[str, Any], accounts: list[dict[str, Any]], *, full: bool = False) -> str:
    """The text of a new settings file: each chosen value below its meaning; `full`: all others, too, as comments."""
    import tomlkit

    document = tomlkit.document()
    document.add(tomlkit.comment("Settings of T-BOT. Every option: docs/configuration.md, or `tbot config options`."))
    document.add(tomlkit.comment("The login never stands here: set TBOT_USERNAME and TBOT_API_KEY (or use .env)."))
    for section in structs():
        if section == "accounts":
            if accounts:
                document.add(tomlkit.nl())
                document.add("accounts", _account_tables(accounts))
            continue
        members = [option for option in options() if option.section == section]
        if not full and not any(option.name in values for option in members):
            continue
        table = tomlkit.table()
        table.add(tomlkit.comment(SECTIONS.get(section, "")))
        for option in members:
            if option.name in values:
                _add(table, option, values[option.name])
            elif full:
                table.add(tomlkit.comment(_about(option)))
                table.add(tomlkit.comment(f"{option.key} = {toml(option.default)}"))
        document.add(tomlkit.nl())
        document.add(section, table)
    return tomlkit.dumps(document)


def _add(table: Any, option: Option, value: Any) -> None:
    import tomlkit

    table.add(tomlkit.comment(_about(option)))
    table.add(option.key, value)


def _account_tables(accounts: list[dict[str, Any]]) -> Any:
    import tomlkit

    tables = tomlkit.aot()
    for account in accounts:
        table = tomlkit.table()
        for key, value in account.items():
            option = option_of(f"accounts.{key}")
            assert option is not None
            _add(table, option, value)
        tables.append(table)
    return tables


def _about(option: Option) -> str:
    more = [part for part in (option.word.unit, option.range) if part]
    return option.word.text + (f" ({'; '.join(more)})" if more else "")
