"""The benches are programs in a folder of their own; their parts are tested here, their figures never."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "bench"))  # last: it has a conftest of its own
