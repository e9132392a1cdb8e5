"""Which candidates may be trained further where a drop is limited."""

from dataclasses import dataclass, replace
from itertools import count

import numpy as np

from nas.finalists.field import field_of
from nas.problem.drop import DROP, drop_limit
from nas.problem.problem import Limit, Objective, Problem
from nas.problem.trial import Trial
from search_spaces import DEFAULT_TASK, Choice, SearchSpace, task_of

CHOICES = (
    Choice("part.sparsity", (0.0, 0.25, 0.5)),
    Choice("part.precision", ("fp32", "int8")),
)
SPACE = SearchSpace("line", CHOICES)
ACCURACY = task_of(DEFAULT_TASK).shown


@dataclass(frozen=True)
class Known:
    """Files in int8 are smaller, and slower."""

    metrics: tuple[str, ...] = ("latency_ms", "size_bytes")

    def of(self, metric: str, encodings_NC: np.ndarray) -> np.ndarray:
        pruned, is_int8 = np.asarray(encodings_NC).T
        return 5.0 - pruned + (is_int8 if metric == "latency_ms" else -2 * is_int8)


PROBLEM = Problem(
    space=SPACE,
    objectives=(Objective("log_loss", "minimize"),),
    limits=(drop_limit("1%", ACCURACY), Limit("log_loss", 1.0)),
    model=Known(),
)


def trials(*rows: tuple[int, int]) -> list[Trial]:
    """Of sparsity and precision."""
    metrics = {"log_loss": 0.5, DROP: 0.02}
    return [
        Trial(number=number, candidate=SPACE.candidate(row), metrics=metrics, predicted={})
        for number, row in zip(count(), rows, strict=False)
    ]


def test_of_formats_the_smallest_file_stands_for_the_latency_of_both() -> None:
    field = field_of(PROBLEM, trials((1, 0), (1, 1), (2, 1)))
    assert [trial.candidate.encoding for trial in field.trials] == [(1, 1), (2, 1)]
    assert field.costs_N.tolist() == [4.0, 3.0], "of fp32, whose file is measured, too"
    assert field.brought_cost == 5.0
    assert field.shared_N.tolist() == [0.02, 0.02]
    assert field_of(PROBLEM, trials((1, 0)), gap=0.25).shared_N.tolist() == [0.27]


def test_the_network_that_was_brought_needs_no_training() -> None:
    assert field_of(PROBLEM, trials((0, 0), (0, 1))).trials == []


def test_what_failed_or_is_over_another_limit_is_left_out() -> None:
    one, other, third = trials((1, 0), (2, 0), (2, 1))
    over = replace(one, metrics={**one.metrics, "log_loss": 2.0})
    failed = replace(other, metrics={}, failure="why not")
    far = replace(third, metrics={**third.metrics, DROP: 0.9})
    assert field_of(PROBLEM, [over, failed, far]).trials == [far], "drops are what is asked"
