"""Every key of a JSON document, however deep, held against what it was.

`same(document)` compares with `tests/commands/json_shapes.json` by schema; `TBOT_SHAPES=write` takes what is there now
as the new truth. A key that went or changed its meaning needs another version of the schema.
"""

import json
import os
from pathlib import Path
from typing import Any

SHAPES = Path(__file__).resolve().parents[1] / "commands" / "json_shapes.json"
# Where the keys of a mapping are data: symbols, accounts, reasons, timeframes, hops, processes.
FREE = {
    "contracts", "accounts", "denials", "bars", "zones", "processes", "latency_ns", "last_prices", "restarts_of",
    "counters", "setups", "hops_ms", "counts", "settings", "params", "parameters", "parameter_changes", "fates",
    "definitions", "not_defined",
}  # fmt: skip
WIRE = {"body"}  # a row of the journal as it is kept: tests/storage and tests/transport hold on to that


def shape(value: Any, path: str = "") -> set[str]:
    """Paths such as `contracts.*.bars.*`; what stands in a list is `[]`."""
    name = path.rpartition(".")[2]
    if isinstance(value, dict) and value and name not in WIRE:
        parts = [(f"{path}.{'*' if name in FREE else key}".lstrip("."), inner) for key, inner in value.items()]
        return {step for place, inner in parts for step in shape(inner, place)}
    if isinstance(value, list) and value:
        return {step for inner in value for step in shape(inner, f"{path}[]")}
    return {path}


def same(document: dict[str, Any]) -> None:
    """AssertionError with the keys that came and went."""
    known = json.loads(SHAPES.read_text(encoding="utf-8")) if SHAPES.exists() else {}
    name, now = f"{document['schema']} {document['version']}", sorted(shape(document))
    if os.environ.get("TBOT_SHAPES") == "write":
        known[name] = now
        SHAPES.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n", encoding="utf-8")
    before = set(known.get(name, ()))
    assert before == set(now), f"{name}: came {sorted(set(now) - before)}, went {sorted(before - set(now))}"
