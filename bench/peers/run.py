"""How does what a user would pick instead do the same work?

Each peer runs in an environment of its own, which this makes once and keeps. Both sides get the same data; what they
give is compared first, and only then timed: CPU seconds of each side's process, one round of theirs, one of ours, the
median with p10 and p90 in brackets. The ratio is their time over ours.

Run: python bench/peers/run.py [--only NAME,...] [--quick] [--json FILE] [--envs FOLDER]
"""

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / part) for part in ("bench", "tests/support", "tests/interop", ".")]

from compare import compare  # noqa: E402
from table import Row, render  # noqa: E402
from works import WORKS, Work  # noqa: E402


def chosen(only: str) -> list[Work]:
    """The works whose name or peer is in the comma-separated list; all for an empty one."""
    names = [name.strip() for name in only.split(",") if name.strip()]
    known = {name for work in WORKS for name in (work.name, work.peer.package)}
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(f"no such work or peer: {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    return [work for work in WORKS if not names or work.name in names or work.peer.package in names]


def document(rows: list[Row], quick: bool) -> dict[str, object]:
    """All figures of a run, with what they depend on."""
    return {
        "date": time.strftime("%Y-%m-%d"), "quick": quick, "python": platform.python_version(),
        "machine": platform.machine(), "cores": os.cpu_count(), "load": os.getloadavg(),
        "rows": [row.document() for row in rows],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="NAME,...", help="works or peers")
    parser.add_argument("--quick", action="store_true", help="little data and two rounds: whether it works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round there, too")
    parser.add_argument("--envs", type=Path, metavar="FOLDER", help="where environments are kept (the user's cache)")
    arguments = parser.parse_args()
    if arguments.envs is not None:
        os.environ["TBOT_INTEROP_CACHE"] = str(arguments.envs.resolve())
    works, rows = chosen(arguments.only), []
    for number, work in enumerate(works, 1):

        def say(text: str, place: str = f"[{number}/{len(works)}] {work.name}") -> None:
            print(f"{place}: {text}", file=sys.stderr, flush=True)

        rows += compare(work, arguments.quick, say)
        if arguments.json is not None:  # after each: hours of work must not hang on the last one
            arguments.json.write_text(json.dumps(document(rows, arguments.quick), indent=1))
    print(render(rows))


if __name__ == "__main__":
    main()
