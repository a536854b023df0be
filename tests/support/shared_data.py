"""Where the real market data lies: outside the project, found by TBOT_SHARED (default ../shared)."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def shared(relative: str) -> Path:
    """Path of a file below data/ of the shared folder; skips the test with the reason when it is not there."""
    base = Path(os.environ.get("TBOT_SHARED", "../shared"))
    if not base.is_absolute():
        base = ROOT / base
    path = base / "data" / relative
    if not path.exists():
        pytest.skip(f"shared data not found: {relative} (set TBOT_SHARED)")
    return path
