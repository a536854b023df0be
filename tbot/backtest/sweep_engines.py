"""Where trials run: joblib is the one interface, its back ends are loky (this machine), dask and ray (clusters).

A trial is `work(source, task)`, so nothing that it gives can depend on where it ran. loky and dask give results as
they come; ray's back end gives lists only, so there trials go in rounds (ecosystem 2.3).
"""

import contextlib
import importlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal, Protocol

from tbot.backtest.source import Source
from tbot.backtest.sweep_data import Shipment, ShippedSource, sees, source_of
from tbot.errors import GatewayError, TbotError, missing_extra

Engine = Literal["loky", "dask", "ray", "sequential"]
Work = Callable[[Source, Any], Any]
EXTRAS = {"joblib": "sweep", "optuna": "sweep", "distributed": "dask", "ray": "ray"}
LOOK_S = 1.0  # how often a worker looks whether its parent lives
ROUND = 4  # trials a worker and round, on ray
CONNECT_S = 15


class Pool(Protocol):
    """Runs tasks; results come in any order."""

    def run(self, work: Work, tasks: Sequence[Any]) -> Iterator[Any]:
        """One result a task."""


def needed(module: str) -> Any:
    """A module of an extra; MissingExtra with the line that installs it."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise missing_extra("this command, as it is given,", module, EXTRAS[module]) from None


@contextlib.contextmanager
def pool(engine: Engine, shipment: Shipment, *, jobs: int | None = None, address: str | None = None) -> Iterator[Pool]:
    """Workers that hold the data. `jobs` None: one a core; `address`: of a cluster that is there, else a local one."""
    if engine == "sequential":
        yield _Sequential(shipment)
        return
    needed("joblib")
    count = jobs or os.cpu_count() or 1
    maker = {"loky": _loky, "dask": _dask, "ray": _ray}[engine]
    with maker(shipment, count, address) as made:
        yield made


class WorkersLost(TbotError):
    """A worker died, or a cluster is gone."""


class _Sequential:
    def __init__(self, shipment: Shipment) -> None:
        self._shipment = shipment

    def run(self, work: Work, tasks: Sequence[Any]) -> Iterator[Any]:
        for task in tasks:
            yield work(source_of(self._shipment), task)


class _Joblib:
    """Tasks through joblib; `rounds` of so many tasks where the back end gives lists only (0: as they come)."""

    def __init__(self, shipment: Shipment, jobs: int, rounds: int = 0, parent: int = 0, **settings: Any) -> None:
        self._shipment, self._jobs, self._rounds, self._parent = shipment, jobs, rounds, parent
        self._settings = settings

    def run(self, work: Work, tasks: Sequence[Any]) -> Iterator[Any]:
        from joblib import Parallel, delayed, parallel_config

        def calls(some: Sequence[Any]) -> list[Any]:
            return [delayed(_task)(self._shipment, work, task, self._parent) for task in some]

        try:
            with parallel_config(n_jobs=self._jobs, **self._settings):
                if not self._rounds:
                    # One task a batch: a trial takes long beside its way, and a killed parent loses no finished ones.
                    yield from Parallel(return_as="generator_unordered", batch_size=1)(calls(tasks))
                    return
                for start in range(0, len(tasks), self._rounds):
                    yield from Parallel(return_as="list", batch_size=1)(calls(tasks[start : start + self._rounds]))
        except TbotError:
            raise
        except Exception as error:  # trials tell their errors in words, so it is a worker or the way to it
            raise WorkersLost(
                f"workers were lost ({type(error).__name__}); what is done is kept: go on with --resume, with fewer "
                "--jobs if memory ran out"
            ) from error


def _task(shipment: Shipment, work: Work, task: Any, parent: int) -> Any:
    """In a worker."""
    if parent:
        _end_with(parent)
    return work(source_of(shipment), task)


_watching: set[int] = set()


def _end_with(parent: int) -> None:
    """End this worker when the process that started it is gone, killed too: it would finish its trials for nobody."""
    if parent in _watching or os.getppid() != parent:
        return
    _watching.add(parent)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_S)
        os._exit(1)

    threading.Thread(target=watch, name="parent watch", daemon=True).start()


@contextlib.contextmanager
def _loky(shipment: Shipment, jobs: int, _address: str | None) -> Iterator[Pool]:
    from joblib.externals.loky import get_reusable_executor

    try:
        yield _Joblib(shipment, jobs, parent=os.getpid(), backend="loky", inner_max_num_threads=1)
    finally:
        # Workers that were made ready would stay for minutes otherwise.
        get_reusable_executor().shutdown(wait=False, kill_workers=True)


@contextlib.contextmanager
def _dask(shipment: Shipment, jobs: int, address: str | None) -> Iterator[Pool]:
    distributed = needed("distributed")
    try:
        if address is None:
            cluster = distributed.LocalCluster(n_workers=jobs, threads_per_worker=1, dashboard_address=None)
        client = distributed.Client(address or cluster, timeout=CONNECT_S)
    except (OSError, TimeoutError, ValueError) as error:
        raise GatewayError(f"no dask cluster answers at {address} ({type(error).__name__}); check --address") from None
    try:
        client.wait_for_workers(1, timeout=CONNECT_S)
        workers = sum(client.nthreads().values())
        seen = all(client.run(sees, shipment).values())
        sent = shipment if seen else replace(shipment, held=_read(shipment))
        yield _Joblib(sent, max(1, workers), backend="dask", scatter=[sent], wait_for_workers_timeout=CONNECT_S)
    finally:
        client.close()
        if address is None:
            cluster.close()


@contextlib.contextmanager
def _ray(shipment: Shipment, jobs: int, address: str | None) -> Iterator[Pool]:
    ray = needed("ray")
    from ray.util.joblib import register_ray

    try:
        local = {} if address else {"num_cpus": jobs, "include_dashboard": False}
        ray.init(address=address, log_to_driver=False, ignore_reinit_error=True, **local)
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        raise GatewayError(f"no ray cluster answers at {address} ({type(error).__name__}); check --address") from None
    try:
        register_ray()
        workers = max(1, int(ray.cluster_resources().get("CPU", jobs)))
        nodes = len([node for node in ray.nodes() if node["Alive"]])
        sent = shipment
        if nodes > 1 or address:
            reference = ray.put(_read(shipment))
            sent = replace(shipment, fetch=_FromStore(reference))
        yield _Joblib(sent, workers, ROUND * workers, backend="ray")
    finally:
        ray.shutdown()


class _FromStore:
    """Gets the records from ray's object store."""

    def __init__(self, reference: Any) -> None:
        self._reference = reference

    def __call__(self) -> Any:
        return needed("ray").get(self._reference)


def _read(shipment: Shipment) -> Any:
    """The records in memory."""
    import numpy as np

    source: ShippedSource = source_of(shipment)
    return np.array(source.ticks)
