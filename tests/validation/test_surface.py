"""V8: a plateau, a needle, and what lies between, on grids with a known shape."""

import numpy as np
import pytest

from tbot.errors import DataError
from tbot.validation.surface import grid_steps, neighbours, surface

GRID = np.array([(x, y) for x in (5, 10, 20, 50, 100) for y in (1.0, 1.5, 2.0, 3.0, 5.0)])
CENTRE = 12  # (20, 2.0)


def results(**at: float) -> np.ndarray:
    out = np.zeros(25)
    for name, value in at.items():
        out[int(name[1:])] = value
    return out


def test_V8_a_needle_stands_alone_among_its_eight_neighbours() -> None:
    told = surface(GRID, results(_12=100.0))
    assert (told.shape, told.best, told.neighbours, told.share, told.median_neighbour) == ("needle", CENTRE, 8, 0, 0)


def test_V8_a_plateau_keeps_more_than_half_all_around() -> None:
    hill = 100 - 10 * np.abs(grid_steps(GRID) - 2).sum(axis=1)
    told = surface(GRID, hill.astype(float))
    assert (told.shape, told.best, told.share, told.median_neighbour) == ("plateau", CENTRE, 1.0, 85)
    assert (told.calmest, told.calmest_worst) == (CENTRE, 80)


def test_V8_half_of_the_optimum_is_not_more_than_half() -> None:
    ring = np.where(neighbours(grid_steps(GRID), CENTRE), 50.0, 0.0)
    ring[CENTRE] = 100
    assert surface(GRID, ring).share == 0
    ring[[6, 7, 8, 11]] = 51
    told = surface(GRID, ring)
    assert (told.share, told.shape) == (0.5, "slope")


def test_V8_steps_are_those_of_the_values_that_occur() -> None:
    """10 and 100 are neighbours where nothing lies between, and a corner has three of them."""
    told = surface(np.array([[10.0, 1], [100, 1], [10, 2], [100, 2]]), np.array([4.0, 3, 3, 1]))
    assert (told.neighbours, told.share, told.shape) == (3, pytest.approx(2 / 3), "plateau")
    told = surface(np.array([[10.0, 1], [100, 1], [10, 2], [100, 2]]), np.array([4.0, 3, 1, 1]))
    assert (told.share, told.shape) == (pytest.approx(1 / 3), "needle")


def test_V8_the_calmest_trial_may_be_another_one_than_the_best() -> None:
    line = np.arange(9.0)[:, None]
    told = surface(line, np.array([0.0, 100, 0, 0, 60, 65, 60, 55, 0]))
    assert (told.shape, told.best, told.calmest, told.calmest_worst) == ("needle", 1, 5, 60)


def test_V8_no_profit_nobody_beside_and_failed_trials() -> None:
    assert surface(GRID, results(_3=-5) - 1).shape == "no profit"
    assert (surface(GRID, results()).shape, surface(GRID, results()).share) == ("no profit", None)
    assert surface(GRID, np.full(25, 1.0)).shape == "plateau"
    assert surface(np.array([[1.0]]), np.array([5.0])).shape == "alone"
    holed = results(_12=100.0)
    holed[neighbours(grid_steps(GRID), CENTRE)] = np.nan
    told = surface(GRID, holed)
    assert (told.shape, told.best, told.trials, told.neighbours) == ("alone", CENTRE, 17, 0)


def test_V8_what_is_no_surface_is_refused() -> None:
    for parameters, values in ((GRID, np.zeros(24)), (GRID[:, 0], np.zeros(25)), (GRID, np.full(25, np.nan))):
        with pytest.raises(DataError):
            surface(parameters, values)
