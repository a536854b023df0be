"""The corpus of malformed input, through the real borders: REST bodies both ways, both hubs, frames, messages, rows."""

from collections import Counter

from dst.checks_data import border_oracle
from dst.mutants_other import BORDERS, CASES, cross


def test_F_DAT_01_F_DAT_02_F_IPC_06_F_API_06_I20_two_thousand_malformed_inputs() -> None:
    crossings = [cross(number) for number in range(CASES)]
    assert list(border_oracle(crossings)) == []
    by_border = Counter(crossing.border for crossing in crossings)
    assert sum(by_border.values()) >= 2_000
    assert len(by_border) == len(BORDERS) == 7
    assert min(by_border.values()) >= 250
    assert sum(crossing.size for crossing in crossings) > 400_000, "the cases are too small to mean anything"
