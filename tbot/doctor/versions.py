"""Installed versions of the core dependencies against those that T-BOT was tested with (F-SEC-07)."""

import re
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from tbot.doctor.findings import Finding, ok, warn

LIST = Path(__file__).parents[2] / "docs" / "constraints.txt"  # of the checkout that an editable install runs from
_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)", re.MULTILINE)


def pins(path: Path = LIST) -> dict[str, str]:
    """Package -> version of the list; OSError when it is not there."""
    return dict(_PIN.findall(path.read_text(encoding="utf-8")))


def installed(package: str) -> str:
    """Its version here; "" when it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def outside(path: Path = LIST, version_of: Callable[[str], str] = installed) -> list[str]:
    """One sentence for each package that is not the one of the list; one for a list that is not there."""
    try:
        wanted = pins(path)
    except OSError:
        return ["docs/constraints.txt is not beside the program: versions cannot be compared with the tested ones"]
    return [
        f"{package} {version_of(package) or 'is missing'}, tested with {version}"
        for package, version in sorted(wanted.items())
        if version_of(package) != version
    ]


def versions(path: Path = LIST, version_of: Callable[[str], str] = installed) -> Finding:
    """The list as one check."""
    found = outside(path, version_of)
    if found:
        fix = "pip install --require-hashes -r docs/constraints.txt brings the tested versions"
        return warn("versions", "; ".join(found), fix)
    return ok("versions", f"{len(pins(path))} packages as tested")
