"""Networks that are shown beside the front and teach, but do not compete for it."""

import numpy as np

from nas.entry import Entry
from nas.planning import fits_in_some_format
from nas.problem import Problem
from search_spaces import Candidate

SAMPLES = 10_000


def references(problem: Problem, num_random: int, seed: int) -> list[Entry]:
    """The largest network in each precision, and random ones within the modelled limits."""
    space = problem.space
    largest = np.array([largest_member(problem).encoding])
    found = [
        (space.candidate(space.in_precision(largest, name)[0].tolist()), f"largest {name}")
        for name in space.precisions
    ]
    rows = space.sample(np.random.default_rng([seed, 12]), SAMPLES)
    rows = rows[problem.is_feasible(rows)]
    for number, encoding in enumerate(rows[:num_random].tolist(), start=1):
        found.append((space.candidate(encoding), f"random {number}"))
    unique = {candidate.key: Entry(candidate, name, True) for candidate, name in reversed(found)}
    return list(reversed(unique.values()))


def largest_member(problem: Problem) -> Candidate:
    """The network with the most MACs that training taught: unpruned, in the first format.

    That is the largest of the space, or, where limits leave it out, the largest of many random ones
    within them.
    """
    space = problem.space
    assert space.costs is not None
    largest = np.array([space.costs.maximum("macs")[1]])
    if fits_in_some_format(problem, largest)[0]:
        return space.candidate(largest[0].tolist())
    rows = space.sample(np.random.default_rng(13), SAMPLES)
    rows[:, [*space.columns("precision"), *space.columns("sparsity")]] = 0
    rows = rows[fits_in_some_format(problem, rows)]
    if not len(rows):
        return space.candidate(space.costs.minimum("macs")[1])
    return space.candidate(rows[space.costs.of("macs", rows).argmax()].tolist())
