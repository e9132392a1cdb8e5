"""Jobs of a sweep by Ray Tune: on which nodes, what runs there, and news of it in the driver.

Imports Ray, and is imported only once that is connected.
"""

import logging
import math
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ray import tune

from nas.run.directory import read_front
from nas.sweep.jobs import FAILED, FINISHED, PLAN, Outcomes, SweepJob
from nas.sweep.plan import SweepOptions
from nas.sweep.storage import is_url, working_copy
from nas.system.reporter import Silent
from nas.targets import target_name
from search_spaces import UserError, load_plugin_texts

TUNE_ENVIRONMENT = {
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C ends this process like any other
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_AIR_NEW_OUTPUT": "0",  # what it prints would be among ours
}
DIED = "it ended without a message: its process or node has died, or cannot import pareto-nas"
_listeners: list[Outcomes] = []


def resources_of(
    nodes: Sequence[Mapping[str, float]], cores: int, jobs: Iterable[SweepJob]
) -> dict[str, dict[str, float]]:
    """What a job takes of a node, by its target: so much that no second one fits beside it.

    Where nodes carry a target's label (`target:NAME`), jobs with that target run there alone.

    Raises:
        UserError: If no node, or more than one job to a node, has room.
    """
    found = {}
    for target in {job.config.target for job in jobs}:
        label = f"target:{target_name(target)}"
        own = [node for node in nodes if label in node] or nodes
        sizes = [int(node.get("CPU", 0)) for node in own]
        wanted = cores or max(sizes, default=0)
        if not any(size >= wanted > 0 for size in sizes):
            those = f"that carry '{label}' " if own is not nodes else ""
            raise UserError(
                f"a search of a sweep takes {wanted or 'all'} cores of a node, at least one, and "
                f"the nodes {those}have {sizes}. Lower cores in [sweep], or give a node more cores."
            )
        if any(size >= 2 * wanted for size in sizes):
            raise UserError(
                f"[sweep] cores is {wanted}, and a node has {max(sizes)}: two searches would run "
                f"on it and disturb each other's timing. Set cores to more than {max(sizes) // 2}."
            )
        labels = [node[label] for node in own if label in node]
        found[target] = {"CPU": wanted, **({label: min(labels)} if labels else {})}
    return found


def run_jobs(
    outcomes: Outcomes,
    jobs: Sequence[SweepJob],
    options: SweepOptions,
    resources: Mapping[str, Mapping[str, float]],
    deadline: float,
    *,
    folder: Path,
) -> None:
    """Have Ray Tune do the jobs that are not finished.

    Always by a new Tuner: a job continues by its own run directory (see docs/decisions/0020).

    Args:
        outcomes: Says what is finished, and is told what ends.
        jobs: Of one stage.
        options: Of the sweep.
        resources: What a job takes of a node, by its target.
        deadline: When to stop, as `time.monotonic` counts.
        folder: Of Tune's own records; what is in it is deleted.
    """
    waiting = [job for job in jobs if job.name not in outcomes.finished]
    left_s = deadline - time.monotonic()
    if not waiting or left_s <= 0.0:
        return
    outcomes.begin([job.name for job in waiting])
    os.environ.update(TUNE_ENVIRONMENT)
    shutil.rmtree(folder, ignore_errors=True)
    tuner = tune.Tuner(
        tune.with_resources(
            run_job,
            lambda config: tune.PlacementGroupFactory(
                [dict(resources[SweepJob.from_text(config["job"]).config.target])]
            ),
        ),
        param_space={"job": tune.grid_search([job.to_text() for job in waiting])},
        tune_config=tune.TuneConfig(
            max_concurrent_trials=options.concurrency or None,
            time_budget_s=None if math.isinf(left_s) else left_s,
            trial_name_creator=name_of,
            trial_dirname_creator=name_of,
        ),
        run_config=tune.RunConfig(
            name=folder.name,
            storage_path=str(folder.parent),
            failure_config=tune.FailureConfig(max_failures=options.max_failures),
            callbacks=[Tell()],
            verbose=0,
        ),
    )
    with told(outcomes):
        tuner.fit()


def run_job(settings: Mapping[str, Any]) -> None:
    """One Tune trial: a supernet or a search, continued where it was interrupted."""
    try:
        tune.report({"members": _members(SweepJob.from_text(settings["job"]))})
    except Exception as error:
        tune.report({"error": str(error) or type(error).__name__})
        raise


def _members(job: SweepJob) -> int:
    """Does the job; how many networks are on the front that it leaves."""
    from nas.prepare.train_supernet import begin
    from nas.search_flow import search

    load_plugin_texts(job.plugins)
    config = job.config
    if not is_url(job.out) and not (Path(job.out).parents[1] / PLAN).exists():
        raise UserError(
            f"node '{socket.gethostname()}' does not see the sweep's folder "
            f"'{Path(job.out).parents[1]}'. Name one with --out that all nodes share at the same "
            "path, or set storage in [sweep]."
        )
    if not config.cache:
        # NOTE: POSIX only, as Ray clusters are (docs/clusters.md).
        config = replace(config, cache=str(Path(tempfile.gettempdir(), f"nas-{os.getuid()}")))
    with working_copy(job.out) as out:
        if job.is_supernet:
            begin(config, out, Silent(), is_all=True)
        elif not (out / "front.json").exists():
            with working_copy(config.supernet, is_read_only=True) as supernet:
                search(replace(config, supernet=str(supernet)), out, Silent())
        if job.is_supernet:
            return 0
        front = read_front(out)
    if failure := front.get("failure"):
        raise UserError(failure)
    return len(front["members"])


def name_of(trial: Any) -> str:
    """A Tune trial is called like its run."""
    return SweepJob.from_text(trial.config["job"]).name


@contextmanager
def told(outcomes: Outcomes) -> Iterator[None]:
    """In this context the outcomes are told how trials go."""
    logger = logging.getLogger("ray.tune")
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # it prints a traceback for every failure
    _listeners.append(outcomes)
    try:
        yield
    finally:
        _listeners.remove(outcomes)
        logger.setLevel(level)


class Tell(tune.Callback):
    """Passes on what Tune says."""

    def on_trial_start(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """See `tune.Callback`."""
        for outcomes in _listeners:
            outcomes.started(name_of(trial))

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """See `tune.Callback`."""
        for outcomes in _listeners:
            members = trial.last_result.get("members", 0)
            text = f"{members} networks" if members else ""
            outcomes.ended(name_of(trial), FINISHED, text)

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """See `tune.Callback`."""
        text = (trial.last_result or {}).get("error", DIED)
        for outcomes in _listeners:
            outcomes.ended(name_of(trial), FAILED, " ".join(text.split()))
