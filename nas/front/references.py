"""Networks that are measured and shown whatever the search has found: what it should beat."""

import numpy as np

from nas.finalists.entry import Entry
from nas.problem.feasible import largest_member
from nas.problem.problem import Problem

SAMPLES = 10_000


def references(problem: Problem, num_random: int, seed: int) -> list[Entry]:
    """The largest network in each precision, and random ones within the modelled limits."""
    space = problem.space
    largest = np.array([largest_member(problem).encoding])
    what = "brought" if space.is_brought else "largest"
    found = [
        (space.candidate(space.in_precision(largest, name)[0].tolist()), f"{what} {name}")
        for name in space.precisions
    ]
    rows = space.sample(np.random.default_rng([seed, 12]), SAMPLES)
    rows = rows[problem.is_feasible(rows)]
    for number, encoding in enumerate(rows[:num_random].tolist(), start=1):
        found.append((space.candidate(encoding), f"random {number}"))
    unique = {candidate.key: Entry(candidate, name, True) for candidate, name in reversed(found)}
    return list(reversed(unique.values()))
