"""What Ray Tune calls: jobs of a sweep on the nodes, and news of them in the driver.

Imports Ray, and is imported only once that is connected. Tune keeps references to what is here in
its records of a sweep, so a continued one finds it by name.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ray import tune

from nas.reporter import Silent
from nas.run import read_front
from nas.storage import working_copy
from nas.sweep import FAILED, FINISHED, Job

if TYPE_CHECKING:
    from nas.sweep import Outcomes

DIED = "its process or node has died"
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

    with working_copy(job.out) as out:
        if job.is_supernet:
            begin(job.config, out, Silent(), is_all=True)
        elif not (out / "front.json").exists():
            with working_copy(job.config.supernet, is_read_only=True) as supernet:
                search(replace(job.config, supernet=str(supernet)), out, Silent())
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
