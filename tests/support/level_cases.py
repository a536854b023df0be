"""Level events of a detector, and their comparison with the reference in every field."""

import numpy as np

import ref_levels
import ref_smc
from smc_cases import assert_same, bar_array
from tbot_ext.detector import Detector
from tbot_ext.params import Params
from tbot_ext.records import EventCode


def events_of(bars: list[ref_smc.B], params: Params) -> np.ndarray:
    events = Detector(1, params).push_bars(bar_array(bars))
    return events[(events["kind"] >= EventCode.LEVEL) & (events["kind"] <= EventCode.LEVEL_EXPIRED)]


def compare(bars: list[ref_smc.B], params: Params) -> list[str]:
    """Everything `assert_same` compares, and source and volume."""
    kinds = assert_same(bars, params, "LEVEL")
    theirs = [(e.source, e.volume) for e in ref_smc.all_events(bars, params) if isinstance(e, ref_levels.LevelEv)]
    assert events_of(bars, params)[["source", "volume"]].tolist() == theirs
    return kinds
