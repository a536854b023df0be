"""Each bench of the engine runs and writes what its reader expects; what it measures is nobody's business here."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BENCH = ROOT / "bench"
SOURCES = {".py", ".pyx", ".pxd", ".c", ".h", ".md", ".toml"}


def run_bench(name: str, folder: Path, *arguments: str, patience_s: float = 280) -> dict[str, Any]:
    """The JSON document of a bench that ended well."""
    out = folder / "out.json"
    done = subprocess.run(
        [sys.executable, str(BENCH / name), "--json", str(out), *arguments],
        capture_output=True,
        text=True,
        timeout=patience_s,
        check=False,
        env={**os.environ, "MPLBACKEND": "Agg", "MPLCONFIGDIR": str(folder)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(out.read_text())
    assert isinstance(document, dict)
    return document


@pytest.mark.skipif(not (ROOT / ".git").exists() or shutil.which("git") is None, reason="no checkout")
def test_no_source_of_a_bench_or_test_is_kept_out_of_the_repository() -> None:
    """Generated C is ignored; written C must not be: a fresh checkout would lack it."""
    command = ["git", "ls-files", "--others", "--ignored", "--exclude-standard", "-z", "bench", "tests"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    ignored = [ROOT / name for name in found if Path(name).suffix in SOURCES and "/.venv/" not in name]
    assert [path for path in ignored if path.suffix != ".c" or not path.with_suffix(".pyx").exists()] == []


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no C compiler for the floors")
def test_the_bare_floors_compile_and_count(tmp_path: Path) -> None:
    import hop_floors

    program = hop_floors.compile_floors(tmp_path)
    for kind in ("futex", "spin", "tcp"):
        took = hop_floors.floor(program, kind, 20, 3_000)
        assert len(took) == 20
        assert (took >= 0).all()
    assert subprocess.run([program, "pigeon", "20", "0"], capture_output=True, check=False).returncode == 2


@pytest.mark.parametrize("spin", [False, True])
def test_the_rings_hop_from_python(spin: bool) -> None:
    import hop_floors

    took = hop_floors.ring_hops(20, spin, None)
    assert len(took) == 20
    assert (took > 0).all()


def test_the_hop_of_a_message() -> None:
    import hop_floors

    took = hop_floors.message_hops(20, 3_000)
    assert len(took) == 20
    assert (took > 0).all()


def test_the_cost_curve_of_timeframes(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "curve.png"
    found = run_bench("cost_curve.py", tmp_path, "--axes", "timeframes", "--picture", str(picture))
    axis = found["axes"]["timeframes"]
    assert [x for x, _ in axis["points"]] == [1, 2, 3, 4, 5]
    assert all(cost > 0 for _, costs in axis["points"] for cost in costs)
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.long
@pytest.mark.skipif(shutil.which("gcc") is None, reason="no C compiler for the floors")
def test_the_rings_hop_with_compiled_ends(tmp_path: Path) -> None:
    pytest.importorskip("Cython")
    found = run_bench("hop_floors.py", tmp_path, "--turns", "1", "--rounds", "20", "--spinning-rounds", "100")
    assert {"ring, asleep", "ring, spinning"} <= found["ratios"].keys()
    assert found["hops_ns"]["ring, spinning"]["n"] == 100


@pytest.mark.long
def test_the_way_of_a_signal_is_measured_hop_by_hop(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "latency.png"
    found = run_bench(
        "tick_to_signal.py", tmp_path, "--seconds", "6", "--loads", "65", "--waits", "", "--workers", "",
        "--no-saturation", "--no-floors", "--picture", str(picture),
    )  # fmt: skip
    (cell,) = found["cells"]
    assert cell["arrived"] == cell["offered"] > 0
    assert all(hop["n"] > 0 for hop in cell["hops_ns"].values()), cell["hops_ns"]
    hops = cell["hops_ns"]
    assert hops["signal > request"]["n"] <= 40  # entries a day
    assert hops["signal > request"]["p50"] >= hops["signal > executor"]["p50"] > 0
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.long
def test_a_short_soak_loses_nothing(tmp_path: Path) -> None:
    found = run_bench("soak.py", tmp_path, "--minutes", "0.2")
    assert found["verdicts"]["nothing lost"]["pass"], found["verdicts"]
    assert not any(found["losses"].values())
    assert sum(minute["prints"] for minute in found["minutes"]) > 1000
    assert all(minute["pss_mb"]["executor"] > 0 for minute in found["minutes"])


@pytest.mark.long
def test_the_cost_of_the_engine_by_contracts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import cost_curve

    monkeypatch.setattr(cost_curve, "CONTRACTS", (1,))
    ((x, cores),) = cost_curve.contracts_axis(5.0)
    assert x == 1
    assert len(cores) == cost_curve.WINDOWS
    assert all(0 < share < 10 for share in cores)
