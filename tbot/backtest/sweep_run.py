"""Runs the trials of a sweep that are not done yet, and remembers each as it ends.

optuna is asked and told here, in the parent, in batches of a fixed size: what it suggests next depends on the results
of whole batches, told in order of their numbers, and never on which worker was quicker. Resumed, it is told everything
again from the start, since no storage keeps the state of a sampler; so it asks for the same trials as before.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tbot.backtest.plan import BacktestPlan
from tbot.backtest.sweep import Axis, Folder, Method, Outcome, Params, Trial, Value, fixed_trials, size_of, trial_seed
from tbot.backtest.sweep_engines import Pool, Work, needed
from tbot.errors import ConfigError, TbotError

BATCH = 8  # trials that optuna suggests at once
OPTUNA_TRIALS = 100
STUDY_FILE = "study.log"

Told = Callable[[Outcome | None, int, int], None]  # (finished trial or None at the start, done, total)


class TrialFailed(TbotError):
    """A trial ended with an error; `exit_code` is that of the error."""

    def __init__(self, text: str, exit_code: int) -> None:
        super().__init__(text)
        self.exit_code = exit_code


@dataclass(frozen=True)
class Task:
    """What a worker gets."""

    trial: Trial
    plan: BacktestPlan


@dataclass(frozen=True)
class Failure:
    """What a worker gives back instead of an outcome."""

    number: int
    params: Params
    text: str
    exit_code: int


@dataclass(frozen=True)
class Search:
    """How trials are chosen. `trials` None: the whole grid, 100 of optuna."""

    axes: tuple[Axis, ...]
    method: Method = "grid"
    trials: int | None = None
    seed: int = 1
    metric: str = "expectancy_r"

    def __post_init__(self) -> None:
        if not self.axes:
            raise ConfigError("there is nothing to vary; give at least one --param NAME=VALUES")
        if self.method == "grid" and self.trials is not None:
            raise ConfigError("a grid has as many trials as it has points; use --trials with --method random or optuna")
        if self.method == "random" and self.trials is None:
            raise ConfigError("how many trials? give --trials N with --method random")

    @property
    def count(self) -> int:
        """How many trials it comes to."""
        if self.method == "optuna":
            return self.trials or OPTUNA_TRIALS
        return min(self.trials or size_of(self.axes), size_of(self.axes))


def guarded(work: Work, source: Any, task: Task) -> Outcome | Failure:
    """`work` in a worker: an error comes back as words, so that no back end has to carry exceptions."""
    try:
        outcome = work(source, task)
    except TbotError as error:
        return Failure(task.trial.number, task.trial.params, str(error), error.exit_code)
    except Exception as error:  # of a strategy or of our own: told with its kind, and never a result
        return Failure(task.trial.number, task.trial.params, f"{type(error).__name__}: {error}", 1)
    assert isinstance(outcome, Outcome)
    return outcome


@dataclass(frozen=True)
class _Guarded:
    work: Work

    def __call__(self, source: Any, task: Task) -> Outcome | Failure:
        return guarded(self.work, source, task)


def run_search(
    search: Search,
    plan_of: Callable[[Params], BacktestPlan],
    work: Work,
    folder: Folder,
    pool: Pool,
    told: Told = lambda outcome, done, total: None,
) -> list[Outcome]:
    """All outcomes by number. TrialFailed for the first trial that ends with an error; what ended before it is kept."""
    runner = _Run(plan_of, _Guarded(work), folder, pool, told, search.count)
    told(None, len(folder.done), search.count)
    if search.method == "optuna":
        _optuna(search, runner, folder.path)
    else:
        runner.all_of(fixed_trials(search.axes, search.method, search.trials, search.seed))
    return list(folder)


@dataclass
class _Run:
    plan_of: Callable[[Params], BacktestPlan]
    work: Work
    folder: Folder
    pool: Pool
    told: Told
    total: int

    def all_of(self, trials: Sequence[Trial]) -> None:
        """Run those that are not done; what was done with the same values and seed is not done again."""
        known = {(repr(dict(one.params)), one.seed): one for one in self.folder}
        for trial in trials:
            twin = known.get((repr(dict(trial.params)), trial.seed))
            if twin is not None and trial.number not in self.folder.done:
                self._done(replace(twin, number=trial.number))
        tasks = [Task(trial, self.plan_of(trial.params)) for trial in trials if trial.number not in self.folder.done]
        if not tasks:
            return
        for result in self.pool.run(self.work, tasks):
            if isinstance(result, Failure):
                told = ", ".join(f"{name} = {value}" for name, value in result.params.items())
                raise TrialFailed(f"trial {result.number} ({told}) failed: {result.text}", result.exit_code)
            self._done(result)

    def _done(self, outcome: Outcome) -> None:
        self.folder.add(outcome)
        self.told(outcome, len(self.folder.done), self.total)


def _optuna(search: Search, runner: _Run, folder: Path) -> None:
    optuna = needed("optuna")
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study_file = folder / STUDY_FILE
    study_file.unlink(missing_ok=True)  # told again from the start, see above
    study = optuna.create_study(
        study_name="tbot sweep",
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=search.seed),
        storage=optuna.storages.JournalStorage(JournalFileBackend(str(study_file))),
    )
    for first in range(0, search.count, BATCH):
        asked = [study.ask() for _ in range(min(BATCH, search.count - first))]
        batch = [_suggested(one, first + place, search) for place, one in enumerate(asked)]
        runner.all_of(batch)
        for one, trial in zip(asked, batch, strict=True):
            outcome = runner.folder.done[trial.number]
            score = outcome.score(search.metric)
            if math.isinf(score):
                study.tell(one, state=optuna.trial.TrialState.FAIL)  # no trades: nothing to learn from
            else:
                study.tell(one, score)


def _suggested(asked: Any, number: int, search: Search) -> Trial:
    """Values as places on their axis, so that the sampler knows which are near each other.

    The seed is that of the point: asked for again, it is the same trial.
    """
    params: dict[str, Value] = {}
    point = 0
    for axis in search.axes:
        place = asked.suggest_int(axis.name, 0, len(axis.values) - 1)
        params[axis.name] = axis.values[place]
        point = point * len(axis.values) + place
    return Trial(number, params, trial_seed(search.seed, point))
