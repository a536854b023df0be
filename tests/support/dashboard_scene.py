"""The fixed recorded state of the dashboard's snapshot tests, and snapshots as text files that a person can read."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dashboard_status
from engine_scene import ACCOUNT, MINUTE, Scene, closed, denied, signal, taken
from tbot.dashboard.rows import Row, plain

SNAPSHOTS = Path(__file__).resolve().parents[1] / "dashboard" / "snapshots"
LATENCY = tuple((20_000, 60_000 + place * 900 % 50_000) for place in range(40))


def busy_scene(folder: Path, **changes: Any) -> Scene:
    """Two contracts, a long position, four signals of which one won, one runs and two were denied."""
    scene = Scene(folder, "MNQ", "ES")
    now = scene.now_ns
    view = scene.open()
    view.refresh("MNQ", "ES")
    last = view.mark("MNQ").last
    assert last is not None
    entry = last - 18
    account = dashboard_status.account(positions=[dashboard_status.position(entry, now)])
    scene.write_status(**(dashboard_status.status(now, accounts={str(ACCOUNT): account}) | changes))
    one, two, three = signal(1, now - 70 * MINUTE, last + 60, -1), signal(2, now - 45 * MINUTE, last - 30), signal(
        3, now - 16 * MINUTE, entry
    )
    four = signal(4, now - 8 * MINUTE, 27_800, -1, "ES")
    text = "one contract may lose $691.28; the budget of a trade is $200.00"
    scene.journal(
        taken(one), closed(one, now - 61 * MINUTE, 44), denied(two), taken(three), denied(four, "RISK_BUDGET", text)
    )
    view.refresh("MNQ", "ES")
    return scene


def compare(name: str, rows: Sequence[Row]) -> None:
    """Against the file, text first, then the style of every span; TBOT_SNAPSHOTS=write makes the files anew."""
    styles = ["  ".join(f"{len(span.text)} {span.style}" for span in row) for row in rows]
    made = plain(rows).replace("\u00a0", " ") + "\n\n" + "\n".join(styles) + "\n"
    path = SNAPSHOTS / f"{name}.txt"
    if os.environ.get("TBOT_SNAPSHOTS") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(made, encoding="utf-8")
    wanted = path.read_text(encoding="utf-8")
    for number, (found, line) in enumerate(zip(made.splitlines(), wanted.splitlines(), strict=False), start=1):
        assert found == line, f"{path.name}, line {number}: look at the picture, then TBOT_SNAPSHOTS=write"
    assert made == wanted, f"{path.name}: look at the picture, then write it anew with TBOT_SNAPSHOTS=write"
