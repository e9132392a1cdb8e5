"""What Ray Tune calls: jobs of a sweep on the nodes, and news of them in the driver.

Imports Ray, and is imported only once that is connected. Tune keeps references to what is here in
its records of a sweep, so a continued one finds it by name.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray import tune

from nas.reporter import Silent
from nas.run import read_front
from nas.sweep import FAILED, FINISHED, Job

if TYPE_CHECKING:
    from nas.sweep import Outcomes

FAILURE = "ended without a message"
_listeners: "list[Outcomes]" = []


def run_job(settings: Mapping[str, Any]) -> None:
    """One Tune trial: a supernet or a search, continued where it was interrupted."""
    from nas.search import search
    from nas.training import begin

    job = Job.from_text(settings["job"])
    out = Path(job.out)
    if job.is_supernet:
        begin(job.config, out, Silent(), is_all=True)
        tune.report({"members": 0})
        return
    if not (out / "front.json").exists():
        search(job.config, out, Silent())
    tune.report({"members": len(read_front(out)["members"])})


def name_of(trial: Any) -> str:
    """A Tune trial is called like its run."""
    return Job.from_text(trial.config["job"]).name


@contextmanager
def told(outcomes: "Outcomes") -> Iterator[None]:
    """In this context the outcomes are told how trials go."""
    _listeners.append(outcomes)
    try:
        yield
    finally:
        _listeners.remove(outcomes)


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
        error = trial.get_error()
        lines = str(getattr(error, "cause", None) or error or FAILURE).strip().splitlines()
        for outcomes in _listeners:
            outcomes.ended(name_of(trial), FAILED, lines[-1] if lines else FAILURE)
