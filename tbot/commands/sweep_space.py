"""Values of a sweep into plans: through the configuration's own checks, before anything runs."""

import copy
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tbot.backtest.plan import BacktestPlan
from tbot.backtest.sweep import Axis, Params, point, size_of
from tbot.commands import past
from tbot.config import Config, loaded, of_document
from tbot.errors import ConfigError

SECTIONS = ("strategy", "risk", "fills")
MOST_CHECKED = 2_000  # points of a grid that is searched by optuna


def document_of(path: Path | None) -> dict[str, Any]:
    """The settings as a document; ConfigError as `config.load`, whose checks it passes."""
    return loaded(path)[1].values


def with_values(document: Mapping[str, Any], params: Params) -> Config:
    """The configuration with some values changed; ConfigError in one sentence."""
    changed = copy.deepcopy(dict(document))
    for name, value in params.items():
        section, *inner = name.split(".")
        if section not in SECTIONS or not inner:
            raise ConfigError(f"--param {name}: only options of {', '.join(SECTIONS)} can be varied")
        place = changed.setdefault(section, {})
        for key in inner[:-1]:
            place = place.setdefault(key, {})
            if not isinstance(place, dict):
                raise ConfigError(f"--param {name}: {key} is no table of the configuration; look at its name")
        place[inner[-1]] = value
    told = ", ".join(f"{name} = {value}" for name, value in params.items())
    try:
        return of_document(changed, "the configuration")
    except ConfigError as error:
        problems = [line.strip() for line in str(error).splitlines()[1:]]
        raise ConfigError(f"the values {told} cannot be used: {'; '.join(problems)}") from None


def plan_of(config: Config, *, firm: bool) -> BacktestPlan:
    """The plan of a backtest under a configuration.

    `firm` False leaves the firm's rules out: an account that is lost in March says nothing of its strategy in April.
    """
    accounts = past.configured_accounts(config)
    if not firm:
        accounts = tuple(replace(one, settings=replace(one.settings, rules=None)) for one in accounts)
    return past.plan_of(config, accounts=accounts)


def planner(document: Mapping[str, Any], *, firm: bool) -> Callable[[Params], BacktestPlan]:
    """Makes the plan of a trial."""
    return lambda params: plan_of(with_values(document, params), firm=firm)


def check_points(document: Mapping[str, Any], axes: Sequence[Axis]) -> None:
    """Every point of the grid, or many when there are very many: ConfigError for the first that cannot be used."""
    size = size_of(axes)
    places = range(size) if size <= MOST_CHECKED else random.Random(1).sample(range(size), MOST_CHECKED)
    for place in places:
        with_values(document, point(axes, place))
