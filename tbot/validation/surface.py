"""V8: does a good result stand on a plateau or on a needle? No plotting here.

The neighbours of a trial are those that differ from it by at most one step of the grid in every parameter (Moore's
neighbourhood), steps being the sorted values that occur. A result that rests on something real changes little when
its parameters do; so the share of neighbours that keep more than half of the optimum tells which it is (the idea of
"parameter robustness" in Pardo, "The evaluation and optimization of trading strategies", 2008, chapter 10; half of
the optimum and the two bounds below are our choice).
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from tbot.errors import DataError
from tbot.validation.trips import Bools, Floats, Ints

PLATEAU_SHARE = 2 / 3  # of the neighbours keep more than half: a plateau
NEEDLE_SHARE = 1 / 3  # or fewer keep it: a needle
Shape = Literal["plateau", "slope", "needle", "alone", "no profit"]


@dataclass(frozen=True, slots=True)
class Surface:
    """The best trial among its neighbours. Results in whatever unit they came in."""

    shape: Shape
    best: int  # place of the trial; the first of equal ones
    best_result: float
    neighbours: int
    share: float | None  # of them above half of the optimum; None: none, or no profit
    median_neighbour: float | None
    calmest: int  # trial whose worst result among itself and its neighbours is best: the centre of the safest region
    calmest_result: float
    calmest_worst: float
    trials: int


def surface(parameters: Floats, results: Floats) -> Surface:
    """Judge `results` (one a trial) on the grid of `parameters` (trials x parameters; a choice is given as a number).

    A trial without a result (nan) is left out. DataError without any result, or when the shapes do not fit.
    """
    if parameters.ndim != 2 or parameters.shape[0] != len(results) or results.ndim != 1:
        raise DataError("a surface needs one row of parameters for each result")
    known = np.flatnonzero(~np.isnan(results))
    if not len(known):
        raise DataError("no trial has a result; run the sweep first")
    steps = grid_steps(parameters)[known]
    value = results[known]
    best = int(value.argmax())
    around = value[neighbours(steps, best)]
    worst = np.array(
        [min(value[place], value[neighbours(steps, place)].min(initial=math.inf)) for place in range(len(value))]
    )
    calmest = int(worst.argmax())
    share = float((around > value[best] / 2).mean()) if len(around) and value[best] > 0 else None
    return Surface(
        shape=_shape(float(value[best]), share),
        best=int(known[best]),
        best_result=float(value[best]),
        neighbours=len(around),
        share=share,
        median_neighbour=float(np.median(around)) if len(around) else None,
        calmest=int(known[calmest]),
        calmest_result=float(value[calmest]),
        calmest_worst=float(worst[calmest]),
        trials=len(known),
    )


def grid_steps(parameters: npt.NDArray[np.generic]) -> Ints:
    """Places of the values among the sorted ones that occur, parameter by parameter."""
    columns = [np.unique(column, return_inverse=True)[1] for column in parameters.T]
    return np.array(columns, np.int64).T.reshape(parameters.shape)


def neighbours(steps: Ints, place: int) -> Bools:
    """Which trials differ from the one at `place` by at most one step in every parameter, repeats of it left out."""
    away = np.abs(steps - steps[place]).max(axis=1, initial=0)
    return np.asarray(away == 1, np.bool_)


def _shape(best: float, share: float | None) -> Shape:
    if best <= 0:
        return "no profit"
    if share is None:
        return "alone"
    if share >= PLATEAU_SHARE:
        return "plateau"
    return "needle" if share <= NEEDLE_SHARE else "slope"
