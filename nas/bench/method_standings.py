"""What `nas bench methods` says: cost, accuracy, calibration and ranks of each training method."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import mean, stdev
from typing import Any

from search_spaces import CALIBRATION_ERROR, AbstractTask

Metrics = Mapping[str, float]
"""Of one network, by name: those of the task and, where answers say it, the calibration error."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """One supernet, trained by one method with one seed, and what its members are worth.

    Attributes:
        seed: Of weights, batches and members that are trained.
        steps: Of the optimizer.
        images_per_step: Of all batches of a step.
        precision: In which members are trained.
        seconds: That the steps took.
        macs: Multiply-adds of the forward passes of members.
        members: Of each judged network, by its key.
        remaining: Means over a sample of what the method still trains at its end; None if that is
            the whole space.
    """

    seed: int
    steps: int
    images_per_step: int
    precision: str
    seconds: float
    macs: float
    members: Mapping[str, Metrics]
    remaining: Metrics | None = None


@dataclass(frozen=True, kw_only=True)
class MethodStanding:
    """How a method did.

    Attributes:
        name: As it was asked for, with its settings.
        trainings: One per seed.
        taus: Kendall's tau of shared weights with training alone, one per seed; none if nothing was
            trained alone.
    """

    name: str
    trainings: tuple[Training, ...]
    taus: tuple[float, ...] = ()

    def of_each(self, metric: str, keys: Sequence[str]) -> list[float]:
        """The mean of a metric over networks, by seed; nothing where networks have no such one."""
        rows = [[training.members[key] for key in keys] for training in self.trainings]
        if any(metric not in found for row in rows for found in row):
            return []
        return [mean(found[metric] for found in row) for row in rows]


@dataclass(frozen=True, kw_only=True)
class MethodStandings:
    """Of all methods, the one with the lowest mean loss first.

    Attributes:
        of: Space and data, as in "hybrid on cifar10".
        task: What is learnt.
        macs: Multiply-adds of each judged network, by key.
        sample: Keys of those that were drawn.
        smallest: Key of the network with the fewest multiply-adds.
        largest: Of the one with the most within the limits.
        rows: A row per method.
    """

    of: str
    task: AbstractTask
    macs: Mapping[str, int]
    sample: tuple[str, ...]
    smallest: str
    largest: str
    rows: tuple[MethodStanding, ...]

    def ranked(self) -> "tuple[MethodStanding, ...]":
        """The rows in the order of the mean loss of the sample."""
        loss = self.task.loss.name
        return tuple(sorted(self.rows, key=lambda row: mean(row.of_each(loss, self.sample))))

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Header and cells, for people."""
        shown, loss = self.task.shown, self.task.loss
        header = ["method", "steps x images", "seconds", "1e9 MACs", shown.head, loss.title]
        header += [f"smallest, {shown.head}", f"largest, {shown.head}", "calibration error, %"]
        header += ["tau", f"what it left, {loss.title}"]
        return header, [self._cells(row) for row in self.ranked()]

    def _cells(self, row: MethodStanding) -> list[str]:
        shown, loss = self.task.shown, self.task.loss
        ends = [row.of_each(shown.name, [key]) for key in (self.smallest, self.largest)]
        left = [t.remaining[loss.name] for t in row.trainings if t.remaining is not None]
        plans = dict.fromkeys(f"{t.steps}x{t.images_per_step}" for t in row.trainings)
        return [
            row.name,
            " ".join(plans),
            f"{mean(t.seconds for t in row.trainings):.0f}",
            f"{mean(t.macs for t in row.trainings) / 1e9:.1f}",
            spread(row.of_each(shown.name, self.sample), shown.number),
            spread(row.of_each(loss.name, self.sample), _three_decimals),
            *(spread(end, shown.number) for end in ends),
            spread(row.of_each(CALIBRATION_ERROR, self.sample), _percent),
            spread(row.taus, _two_decimals),
            spread(left, _three_decimals),
        ]

    def to_json(self) -> dict[str, Any]:
        """Everything, with the means of each method over seeds."""
        metrics = (self.task.shown.name, self.task.loss.name, CALIBRATION_ERROR)
        rows = []
        for row in self.ranked():
            each = {metric: row.of_each(metric, self.sample) for metric in metrics}
            means = {metric: mean(found) for metric, found in each.items() if found}
            rows.append({**asdict(row), "means": means})
        return {
            "of": self.of,
            "metric": self.task.shown.name,
            "loss": self.task.loss.name,
            "macs": dict(self.macs),
            "sample": list(self.sample),
            "smallest": self.smallest,
            "largest": self.largest,
            "rows": rows,
        }


def spread(values: Sequence[float], shown: Callable[[float], str]) -> str:
    """The mean over seeds and its standard error, if there are several; "-" of nothing."""
    if not values:
        return "-"
    if len(values) == 1:
        return shown(values[0])
    return f"{shown(mean(values))} ± {shown(stdev(values) / len(values) ** 0.5)}"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f}"


def _two_decimals(number: float) -> str:
    return f"{number:.2f}"


def _three_decimals(number: float) -> str:
    return f"{number:.3f}"
