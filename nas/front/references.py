"""Networks that are measured and shown whatever the search has found: what it should beat."""

from pathlib import Path

import numpy as np

from nas.finalists.entry import Entry
from nas.problem.feasible import largest_member
from nas.problem.problem import Problem
from search_spaces import treatments_said

SAMPLES = 10_000


def references(
    problem: Problem, num_random: int, seed: int, brought: Path | None = None
) -> list[Entry]:
    """The largest network in each precision, and random ones within the modelled limits.

    The largest is sparse only where the limits leave no dense one, and then its name says so.

    Args:
        problem: Gives the space and the limits.
        num_random: How many random ones.
        seed: Of these.
        brought: File of the weights with which a network was brought: that is then the largest.
    """
    space = problem.space
    largest = np.array([largest_member(problem).encoding])
    what = "brought" if brought else "largest"
    found = []
    for name in space.precisions:
        candidate = space.candidate(space.in_precision(largest, name)[0].tolist())
        called = " ".join((what, name, *treatments_said(candidate.policy)))
        found.append(Entry(candidate, called, is_reference=True, brought=brought))
    rows = space.sample(np.random.default_rng([seed, 12]), SAMPLES)
    rows = rows[problem.is_feasible(rows)]
    for number, encoding in enumerate(rows[:num_random].tolist(), start=1):
        found.append(Entry(space.candidate(encoding), f"random {number}", is_reference=True))
    unique = {entry.key: entry for entry in reversed(found)}
    return list(reversed(unique.values()))
