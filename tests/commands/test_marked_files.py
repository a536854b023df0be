"""Files that a person writes, as Notepad of Windows saves them: a byte order mark in front, lines that end in CR LF."""

from collections.abc import Callable
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from tbot.commands.detect import read_params
from tbot.commands.panic import read_hints
from tbot.context.news_files import read_file
from tbot.settings.places import read
from tbot.sim.fault_plan import load_plan
from tbot.storage.firm_rules import load_rules
from tbot.storage.limits_override import load_caps
from tbot.storage.sessions import effective_sessions, load_sessions

CAP = '[[cap]]\nproduct = "GC"\nmost = 3\nfrom = 2026-09-23T17:00:00\nto = 2026-12-31T16:00:00\nsource = "e-mail"\n'
ROW = (
    '[[session]]\ndate = 2026-12-28\nclose_ct = 12:00:00\nproducts = ["*"]\nsource = "x"\nchecked_on = 2026-09-01\n'
)
EVENT = 'at = 2026-12-10T13:30:00Z\ntitle = "CPI m/m"\n'
PACKAGED = resources.files("tbot.data")
READERS: list[tuple[str, str, Callable[[Path], Any]]] = [
    ("tbot.toml", "[risk]\nmax_micros = 3\n", lambda path: read(path).values),
    ("hints.toml", '[gateway]\nrest = "https://x"\n', read_hints),
    ("params.toml", "L = 3\n", lambda path: read_params(path, (), 5)),
    ("own.toml", ROW, effective_sessions),
    ("whole.toml", PACKAGED.joinpath("sessions.toml").read_text(encoding="utf-8"), load_sessions),
    ("limits_override.toml", CAP, load_caps),
    ("firm.toml", PACKAGED.joinpath("topstep.toml").read_text(encoding="utf-8"),
     lambda path: load_rules("combine", "50K", date(2026, 11, 20), path=path)),
    ("news.toml", f"[[event]]\n{EVENT}", lambda path: read_file(path).events),
    ("news.csv", "at,title\n2026-12-10T13:30:00Z,CPI m/m\n", lambda path: read_file(path).events),
    ("faults.jsonl", '{"id": "cut", "name": "ws.drop", "at": 30, "for": 5}\n', load_plan),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "reader"), READERS, ids=[name for name, _, _ in READERS])
def test_a_mark_in_front_and_other_ends_of_lines_change_nothing(
    tmp_path: Path, name: str, text: str, reader: Callable[[Path], Any]
) -> None:
    path = tmp_path / name
    path.write_bytes(text.encode())
    plain = reader(path)
    assert plain
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert reader(path) == plain
