r"""What does each detector cost by itself, per 1m bar?

No budget of its own: all of them in five timeframes have 1 us (bench_detectors.py). Each runs with what it stands on
(blocks and levels need swings) and the rest switched off; "statistics" is what every one of them needs. With all of
them on, the events must be as many as the detector's own, but for its swing events, which are not made here.
Run: python -m pytest -s --benchmark-timer=time.process_time \
    -o python_files='bench_*.py' -o python_functions='bench_*' bench/bench_detector_parts.py
Reference machine: 2 virtual cores of a shared x86-64 server. Needs Cython and a C compiler.
"""

import importlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench_detectors import walk

import tbot_ext
from tbot_ext.detector import Detector
from tbot_ext.records import EventCode

BARS = 200_000
GAPS, STRUCTURE, BLOCKS, BREAKERS, LEVELS, POOLS, PERIODS = 1, 2, 4, 8, 16, 32, 64
EVERYTHING = 127
PARTS = {
    "statistics": 0, "gaps": GAPS, "swings and structure": STRUCTURE, "order blocks": STRUCTURE | BLOCKS,
    "breakers with their blocks": STRUCTURE | BLOCKS | BREAKERS, "levels": STRUCTURE | LEVELS,
    "pools": STRUCTURE | POOLS, "periods": PERIODS, "everything": EVERYTHING,
}  # fmt: skip
SETUP = """
import sys
from Cython.Build import cythonize
from setuptools import Extension, setup
flags = ["-O3", "-ffp-contract=off"]
modules = cythonize([Extension("detector_parts", ["detector_parts.pyx"], extra_compile_args=flags)],
                    include_path=[sys.argv[1]], quiet=True)
setup(script_args=["-q", "build_ext", "--inplace"], ext_modules=modules)
"""


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The class Parts, compiled against the installed .pxd files."""
    folder = tmp_path_factory.mktemp("parts")
    shutil.copy(Path(__file__).with_name("detector_parts.pyx"), folder)
    package = Path(str(tbot_ext.__file__)).parents[1]
    subprocess.run([sys.executable, "-c", SETUP, str(package)], cwd=folder, check=True)
    sys.path.insert(0, str(folder))
    return importlib.import_module("detector_parts").Parts


@pytest.mark.parametrize("name", PARTS)
def bench_one_part(benchmark: Any, parts: Any, name: str) -> None:
    bars = walk(BARS)
    raw = bars.view(np.uint8)
    if name == "everything":
        events = Detector(1).push_bars(bars)
        swings = np.isin(events["kind"], [EventCode.SWING_HIGH, EventCode.SWING_LOW])
        assert parts(1, EVERYTHING).run(raw) == len(events) - int(swings.sum())
    benchmark.pedantic(lambda subject: subject.run(raw), setup=lambda: ((parts(1, PARTS[name]),), {}), rounds=7)
    each = benchmark.stats.stats.median / BARS * 1e9
    benchmark.extra_info["ns_per_bar"] = round(each, 1)
    print(f"\n{benchmark.name}: {each:.1f} ns per bar")
