"""What Ray Tune calls: jobs of a sweep on the nodes, and news of them in the driver.

Imports Ray, and is imported only once that is connected.
"""

import logging
import os
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray import tune

from nas.reporter import Silent
from nas.run import read_front
from nas.storage import is_url, working_copy
from nas.sweep import FAILED, FINISHED, PLAN, Job
from search_spaces import UserError

if TYPE_CHECKING:
    from nas.sweep import Outcomes

DIED = "it ended without a message: its process or node has died, or cannot import pareto-nas"
_listeners: "list[Outcomes]" = []


def run_job(settings: Mapping[str, Any]) -> None:
    """One Tune trial: a supernet or a search, continued where it was interrupted."""
    try:
        tune.report({"members": _members(Job.from_text(settings["job"]))})
    except Exception as error:
        tune.report({"error": str(error) or type(error).__name__})
        raise


def _members(job: Job) -> int:
    """Does the job; how many networks are on the front that it leaves."""
    from nas.search import search
    from nas.training import begin

    config = job.config
    if not is_url(job.out) and not (Path(job.out).parents[1] / PLAN).exists():
        raise UserError(
            f"node '{socket.gethostname()}' does not see the sweep's folder "
            f"'{Path(job.out).parents[1]}'. Name one with --out that all nodes share at the same "
            "path, or set storage in [sweep]."
        )
    if not config.cache:
        config = replace(config, cache=str(Path(tempfile.gettempdir(), f"nas-{os.getuid()}")))
    with working_copy(job.out) as out:
        if job.is_supernet:
            begin(config, out, Silent(), is_all=True)
        elif not (out / "front.json").exists():
            with working_copy(config.supernet, is_read_only=True) as supernet:
                search(replace(config, supernet=str(supernet)), out, Silent())
        return 0 if job.is_supernet else len(read_front(out)["members"])


def name_of(trial: Any) -> str:
    """A Tune trial is called like its run."""
    return Job.from_text(trial.config["job"]).name


@contextmanager
def told(outcomes: "Outcomes") -> Iterator[None]:
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
