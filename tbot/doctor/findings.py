"""A check is a small function that returns findings; here they are run one after the other and put into words.

Each check has a limit of its own and runs in a thread that is left behind when it does not come back, so that a dead
disk, a keyring that waits for a password or a gateway that never answers costs its limit and no more.
"""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from tbot.gateway.redact import plain, redact

Level = Literal["ok", "warn", "fail"]
LOCAL_LIMIT_S = 10.0
LONGEST_TEXT = 400
SHORTEST_SECRET = 4  # cutting out a shorter one would garble every other word and hide nothing


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, how it stands, and what to do about it unless it is ok."""

    name: str
    level: Level
    text: str
    fix: str = ""


def ok(name: str, text: str) -> Finding:
    return Finding(name, "ok", text)


def warn(name: str, text: str, fix: str) -> Finding:
    return Finding(name, "warn", text, fix)


def fail(name: str, text: str, fix: str) -> Finding:
    return Finding(name, "fail", text, fix)


@dataclass(frozen=True, slots=True)
class Check:
    """`run` gives one finding or several. `limit_s`: after this long without result the check has failed."""

    name: str
    run: Callable[[], Finding | list[Finding]]
    limit_s: float = LOCAL_LIMIT_S


def run_check(check: Check) -> list[Finding]:
    """The findings of one check; a failing or hanging check is itself a finding."""
    result: list[Finding] = []

    def work() -> None:
        try:
            found = check.run()
            result.extend(found if isinstance(found, list) else [found])
        except Exception as error:  # one broken check must not hide the others
            # only the kind: texts may hold addresses or values
            result.append(fail(check.name, f"the check itself failed ({type(error).__name__})", "report this"))

    thread = threading.Thread(target=work, daemon=True, name=f"check {check.name}")
    thread.start()
    thread.join(check.limit_s)
    if thread.is_alive():
        return [fail(check.name, f"no result within {check.limit_s:g} s", "see what it waits for, then run again")]
    return result


def run_checks(checks: Iterable[Check], tell: Callable[[Finding], None], secrets: Iterable[str] = ()) -> list[Finding]:
    """Run all checks in order; `tell` gets each finding at once, cleaned of secrets and control characters."""
    findings: list[Finding] = []
    hidden = tuple(secret for secret in secrets if len(secret) >= SHORTEST_SECRET)
    for check in checks:
        for raw in run_check(check):
            finding = Finding(raw.name, raw.level, _clean(raw.text, hidden), _clean(raw.fix, hidden))
            findings.append(finding)
            tell(finding)
    return findings


def _clean(text: str, secrets: tuple[str, ...]) -> str:
    return plain(redact(text, *secrets), LONGEST_TEXT)


def line(finding: Finding) -> str:
    """One finding as one line; the level is a word, so that it does not hang on colour."""
    rest = f"; {finding.fix}" if finding.fix else ""
    return f"{finding.level:<5}{finding.name}: {finding.text}{rest}"


def document(findings: list[Finding], written: str) -> dict[str, Any]:
    """Everything for `--json`."""
    counts = {level: sum(finding.level == level for finding in findings) for level in ("ok", "warn", "fail")}
    return {
        "schema": "tbot.doctor",
        "version": 1,
        "written": written,
        "ok": counts["fail"] == 0,
        "counts": counts,
        "checks": [
            {"name": finding.name, "level": finding.level, "text": finding.text, "fix": finding.fix}
            for finding in findings
        ],
    }
