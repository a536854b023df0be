"""The fault catalogue for readers: plain text for `tbot sim --list-faults`, a table for `docs/simulator.md`."""

import textwrap

from tbot.sim.fault_catalogue import KINDS
from tbot.sim.fault_kinds import REQUIRED, Arg, FaultKind
from tbot.sim.fault_plan import allowed_values

FAMILIES: dict[str, str] = {
    "ws": "Both hubs, or the one that `hub` names",
    "userhub": "The user hub",
    "auth": "Tokens and logins",
    "rest": "REST answers",
    "order": "Orders (`account`, `contract`: which ones; times are market time)",
    "position": "Closes",
    "bracket": "Brackets (of the next bracketed entry)",
    "fill": "Fills",
    "account": "Accounts",
    "human": "The owner, trading by hand",
    "market": "The market (without `contract`: all of them)",
    "contract": "Contracts",
    "history": "History bars (without `contract`: of all of them)",
}


def families() -> list[tuple[str, list[FaultKind]]]:
    """(title, kinds) in the order of FAMILIES."""
    return [(title, [kind for kind in KINDS if kind.name.split(".")[0] == name]) for name, title in FAMILIES.items()]


def as_text(width: int = 100) -> str:
    """The whole catalogue as text, one argument a line."""
    lines: list[str] = []

    def add(text: str, indent: int) -> None:
        first, rest = " " * indent, " " * (indent + 4)
        plain = text.replace("`", "")
        lines.extend(textwrap.wrap(plain, width, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False))

    for title, kinds in families():
        lines += ["", title.replace("`", "")]
        for kind in kinds:
            add(f"{kind.name}: {kind.about}", 2)
            add(f"{lasting(kind)}; after and p count {kind.counted}", 6)
            for arg in kind.args:
                add(f"{arg.name}: {_described(arg)}", 6)
    return "\n".join(lines[1:])


def as_markdown() -> str:
    """The catalogue as one table a family."""
    parts: list[str] = []
    for title, kinds in families():
        parts += [f"**{title}**", "", "| name | what it does | arguments | without `for` | `after`, `p` count |"]
        parts.append("| --- | --- | --- | --- | --- |")
        for kind in kinds:
            args = "<br>".join(f"`{arg.name}`: {_described(arg)}" for arg in kind.args) or "–"
            parts.append(f"| `{kind.name}` | {kind.about} | {args} | {lasting(kind)} | {kind.counted} |")
        parts.append("")
    return "\n".join(parts)


def lasting(kind: FaultKind) -> str:
    """How long it lasts when the plan does not say."""
    if kind.acts:
        return "happens"
    return "one event" if kind.lasts == "once" else "stays on"


def _described(arg: Arg) -> str:
    text = allowed_values(arg).replace('""', "any")
    if arg.default is REQUIRED:
        return f"{text}; required"
    if arg.filters:
        return text if "any" in text else f"{text}; default any"
    if arg.default in ("", 0, None, []) and arg.default is not False:
        return text
    shown = {True: "true", False: "false"}[arg.default] if isinstance(arg.default, bool) else str(arg.default)
    return f"{text}; default {shown}"
