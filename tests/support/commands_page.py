"""The page docs/commands.md, made of the command line itself, and the keys of every JSON document, read from the code.

Make both anew: PYTHONPATH=tests/support python tests/support/commands_page.py
"""

import ast
import json
import re
from pathlib import Path
from typing import Any

import click

from command_tree import commands

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "commands.md"
SNAPSHOT = ROOT / "tests" / "commands" / "json_documents.json"
HEAD = """# Commands

Made from the program by `tests/support/commands_page.py`; a test keeps both equal. `tbot COMMAND --help` says the same.

* Results go to stdout, everything else to stderr. `--json` gives one document with `schema` and `version`: numbers are
  numbers, times are ISO 8601 in UTC; what is measured in ns is called so. [The documents](#json-documents) keep their
  keys within a version.
* An error is one sentence: what, why, what to do next. `--debug`, anywhere on the line, shows the traceback instead.
* Colours are left out where stdout is no terminal, with `NO_COLOR`, and by `tbot --no-color COMMAND`.
* `eval "$(tbot completion bash)"` in `~/.bashrc` completes commands and options (also `zsh`, `fish`).

| exit code | means |
|---|---|
| 0 | done |
| 1 | failed |
| 2 | the command line is not understood |
| 3 | a setting, or what an option says, is wrong |
| 4 | no login, or the gateway refused it |
| 5 | the gateway cannot be reached or did not answer as it should |
| 6 | refused: risk, a lock, or another engine |
| 7 | no engine is running |
| 8 | live trading was not confirmed |
| 9 | data is missing or damaged |
| 10 | `tbot doctor` found a failure |
| 11 | not proven flat after a stop, flatten or kill: look at the account |
| 130, 143 | ended by Ctrl-C, by a signal |

`tbot run` that Ctrl-C or a signal ends closes what is open first: 0 when it is flat then (under
`on_exit = "hold"`: protected), 11 when that is not proven.
`tbot status` ends with 0 for a stopped engine, too, whose last status it shows (`state` and `ended` in `--json` tell it
apart); 7 means that no engine has left a status here.
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    parts += [_command(name, command) for name, command in sorted(commands())]
    parts.append("\n## JSON documents\n\n| schema | version | keys |\n|---|---|---|\n")
    for schema, told in documents().items():
        keys = ", ".join(f"`{key}`" for key in told["keys"])
        parts.append(f"| `{schema}` | {told['version']} | {keys} |\n")
    return "".join(parts)


def _command(name: str, command: click.Command) -> str:
    context = click.Context(command, info_name=f"tbot {name}", terminal_width=200)
    usage = " ".join(command.collect_usage_pieces(context))
    text = re.sub(r"\s+", " ", (command.help or "").replace("\b", "")).strip()
    rows = [_row(parameter, context) for parameter in command.params if isinstance(parameter, click.Option)]
    rows = [row for row in rows if row]
    table = "\n| option | |\n|---|---|\n" + "\n".join(rows) + "\n" if rows else ""
    return f"\n## tbot {name}\n\n`tbot {name} {usage}`\n\n{_plain(text)}\n{table}"


def _row(option: click.Option, context: click.Context) -> str:
    record = option.get_help_record(context)
    if record is None:
        return ""
    names, text = record
    return f"| `{_plain(names)}` | {_plain(text)} |"


def _plain(text: str) -> str:
    return text.replace("|", "\\|")


def documents() -> dict[str, dict[str, Any]]:
    """schema -> version and top-level keys of every JSON document in the code, `...` for what is joined in."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted((ROOT / "tbot").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Dict) and (told := _document(node)):
                schema, version, keys = told
                known = found.setdefault(schema, {"version": version, "keys": []})
                assert known["version"] == version, f"{schema} has two versions"
                known["keys"] = sorted({*known["keys"], *keys})
    return dict(sorted(found.items()))


def _document(node: ast.Dict) -> tuple[str, Any, list[str]] | None:
    pairs = list(zip(node.keys, node.values, strict=True))
    keys = [key.value if isinstance(key, ast.Constant) else "..." for key, _ in pairs]
    values = dict(zip(keys, [value for _, value in pairs], strict=True))
    schema = values.get("schema")
    if not isinstance(schema, ast.Constant) or not str(schema.value).startswith("tbot."):
        return None
    version = values.get("version")
    assert version is not None, f"{schema.value} has no version"
    number = version.value if isinstance(version, ast.Constant) else ast.unparse(version)
    return str(schema.value), number, [str(key) for key in keys if key not in ("schema", "version")]


def snapshot() -> str:
    return json.dumps(documents(), indent=1) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    SNAPSHOT.write_text(snapshot(), encoding="utf-8")
