"""The reference page docs/configuration.md, made of the structs and their words; a test keeps the file equal to it."""

from tbot.settings.options import Option, options, structs, toml
from tbot.settings.words import SECTIONS

HEAD = """# Settings

Made by `tbot config options --markdown`; a test keeps it equal to the program.

Settings are a TOML file. The first of these that exists is read: the one named by `--config`, `./tbot.toml`,
`tbot.toml` in the user's configuration folder (in `TBOT_HOME` when that is set); `tbot config path` tells which. A file
that nobody named must be yours, and nobody else may write to it. What is not in it keeps its default. It is read once,
at the start.

```sh
tbot config init --yes --out tbot.toml   # without --yes it asks, and explains each question
tbot config set risk.daily_loss_cents 40000
tbot config show --origin
tbot config validate tbot.toml
tbot config schema > tbot.schema.json    # for editors: completion and checks while you type
```

A value is taken from the first of these that has it:

| source | for example |
|---|---|
| a flag of the command | `tbot run --contracts MNQ` |
| the environment | `TBOT_RISK__MAX_MICROS=3`: section and key in capitals, two underscores between |
| `.env` in the current folder | the same line |
| the file | `max_micros = 3` below `[risk]` |
| the default | as below |

`tbot config show --origin` tells for every value which it was. Every unknown key and every bad value is refused, all of
them at once, each with its line, and with what was probably meant; exit code 3.

The login (`TBOT_USERNAME`, `TBOT_API_KEY`) never stands in this file: a key that looks like a secret is refused.
"""


def page() -> str:
    """The whole page."""
    return HEAD + "".join(_section(name) for name in structs())


def _section(name: str) -> str:
    title = f"[[{name}]]" if name == "accounts" else f"[{name}]"
    rows = [_row(option) for option in options() if option.section == name]
    head = f"\n## {title}\n\n{SECTIONS.get(name, '')}\n\n| option | type | default | range | |\n|---|---|---|---|---|\n"
    return head + "\n".join(rows) + "\n"


def _row(option: Option) -> str:
    default = f"`{toml(option.default)}`" if option.default is not None else ""
    if option.past is not None:
        default += f"; on past data `{toml(option.past)}`"
    unit = f", {option.word.unit}" if option.word.unit else ""
    cells = (f"`{option.key}`", f"{option.kind}{unit}", default, option.range, option.word.text)
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
