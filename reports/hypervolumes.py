"""How much of the plane a set of networks covers, as a share of a stated box.

The box reaches from nothing (no loss, no time, no bytes) to the reference point; its share that
some network dominates has no unit and stays comparable while the reference point stays the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from nas.problem.pareto import hypervolume, non_dominated
from reports import text
from reports.records import Member, RunTables, TrialRow
from search_spaces import DEFAULT_TASK, AbstractClassTask, AbstractTask, task_of

MAX_POINTS = 60
MEANING = (
    "Hypervolume says how good and how complete a set of networks is as a whole: 0 % if none is "
    "better than the reference point, more for every trade-off that no other network of the set "
    "offers, 100 % only for no loss in no time."
)


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A point that is worse than what should count."""

    loss: float
    latency_ms: float
    size_bytes: float | None = None
    task: AbstractTask = field(default_factory=lambda: task_of(DEFAULT_TASK))

    @property
    def words(self) -> str:
        """As people read it."""
        size = "" if self.size_bytes is None else f", {text.size(self.size_bytes)}"
        latency = text.significant(self.latency_ms)
        return f"{self.task.loss.title} {text.significant(self.loss)}, {latency} ms{size}"


@dataclass(frozen=True, kw_only=True)
class Growth:
    """Share of the box that the first trials dominate, at some numbers of trials."""

    reference: Reference
    quality_latency: tuple[tuple[int, float], ...]
    with_size: tuple[tuple[int, float], ...]


def guessing(task: AbstractTask, members: Sequence[Member]) -> tuple[float, float] | None:
    """Both metrics, on the search split, of what networks must beat; None if they are not known.

    Where labels are classes that is one answer for all images; classes are taken to be equally
    frequent where no card counts their images, or one has all.
    """
    splits = [member.deployed.search for member in members]
    if not isinstance(task, AbstractClassTask):
        return next((split.untaught for split in splits if split.untaught), None)
    num_classes = next((len(m.classes) for m in members if m.classes), 0)
    if not num_classes:
        return None
    labels = next((split.labels for split in splits if split.labels), ())
    equal = (1,) * max(num_classes, 2)
    is_balanced = any(split.is_balanced for split in splits)
    found = task.guessed(labels or equal, is_balanced=is_balanced)
    return found if found[0] else task.guessing(equal)


def growth(run: RunTables) -> Growth | None:
    """The hypervolume of predicted costs over the trials; None when no trial has them.

    The reference point is the loss of guessing, the latency limit (the slowest trial where
    there is none) and the largest trial. None of them depends on how good the search is.
    """
    known = [trial for trial in run.trials if _is_known(trial)]
    if not known:
        return None
    losses_NM = np.array([_losses(trial) for trial in known])
    highest = losses_NM.max(axis=0).tolist()
    limits = [limit.max for limit in run.limits if limit.metric == "latency_ms" and limit.max]
    guessed = guessing(run.task, run.members)
    point = (highest[0] if guessed is None else guessed[0], min([*limits, highest[1]]))
    if min(point) <= 0:
        return None
    numbers = [trial.number for trial in known]
    has_sizes = bool((losses_NM[:, 2] > 0).all())
    return Growth(
        reference=Reference(
            loss=point[0],
            latency_ms=point[1],
            size_bytes=highest[2] if has_sizes else None,
            task=run.task,
        ),
        quality_latency=_over_trials(numbers, losses_NM[:, :2], point),
        with_size=_over_trials(numbers, losses_NM, (*point, highest[2])) if has_sizes else (),
    )


def _is_known(trial: TrialRow) -> bool:
    known = None not in (trial.loss, trial.latency_predicted_ms)
    return known and trial.failure is None


def _losses(trial: TrialRow) -> tuple[float, float, float]:
    """A size that is not known is 0."""
    return trial.loss or 0.0, trial.latency_predicted_ms or 0.0, trial.size_predicted_bytes or 0


def _over_trials(
    numbers: Sequence[int], losses_NM: np.ndarray, point: Sequence[float]
) -> tuple[tuple[int, float], ...]:
    """(trials so far, share) at up to `MAX_POINTS` numbers of trials, the last one included."""
    last = len(numbers) - 1
    places = np.unique(np.linspace(0, last, min(MAX_POINTS, last + 1)).round().astype(int))
    points, front_FM, seen = [], losses_NM[:0], 0
    for place in places.tolist():
        front_FM = np.concatenate([front_FM, losses_NM[seen : place + 1]])
        front_FM = front_FM[non_dominated(front_FM)]
        seen = place + 1
        points.append((numbers[place] + 1, share(front_FM, point)))
    return tuple(points)


def share(losses_NM: np.ndarray, point: Sequence[float]) -> float:
    """The fraction of the box up to a point that the rows dominate."""
    reference_M = np.array(point)
    return hypervolume(losses_NM, reference_M) / float(np.prod(reference_M))


def of_front(members: Sequence[Member], reference: Reference) -> float | None:
    """The share that measured networks dominate in loss and latency; None if none is known."""
    rows = [(member.deployed.search.loss, member.deployed.latency.median_ms) for member in members]
    known = [row for row in rows if None not in row]
    if not known:
        return None
    return share(np.array(known, float), (reference.loss, reference.latency_ms))
