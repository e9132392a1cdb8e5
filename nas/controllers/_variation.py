"""What controllers share: filtering proposals, changing them, and ranking trials.

A controller supplies encodings in its order of preference; `propose` keeps the canonical, feasible
and new ones. When a controller runs dry, `propose` goes on by itself: repaired random encodings,
then every candidate of a small space (so that exhaustion is certain there), or the neighbourhood
of what is known to be feasible in a large one.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence, Set
from functools import lru_cache

import numpy as np

from nas.problem.feasible import neighbours, repair
from nas.problem.pareto import crowding_distances, ranks
from nas.problem.problem import Problem
from nas.problem.trial import Trial
from search_spaces import Candidate, SearchSpace

ENUMERABLE_SIZE = 50_000
"""Distinct candidates up to which a space is enumerated."""
ENUMERABLE_ROWS = 400_000
"""Encodings before canonicalisation that an enumeration may hold."""
BROODS = 16
"""How many broods `spread` makes."""


def propose(
    problem: Problem,
    trials: Sequence[Trial],
    n: int,
    *,
    source: Iterable[np.ndarray],
    rng: np.random.Generator,
) -> list[Candidate]:
    """The first n candidates of `source`, and of the last resort, that may be asked for.

    Args:
        problem: Gives the space and the modelled limits.
        trials: Their candidates are not proposed again.
        n: How many candidates are wanted.
        source: Encodings of the space in order of preference, as arrays of shape (any, C); they
            need not be canonical, feasible or new.
        rng: For the last resort.
    """
    taken = codes_of_trials(trials)
    chosen: list[Candidate] = []
    if n <= 0:
        return chosen
    for encodings_NC in itertools.chain(source, _last_resort(problem, trials, rng)):
        feasible_NC = encodings_NC[problem.is_feasible(encodings_NC)]
        canonical_NC = problem.space.canonical_many(feasible_NC)
        for code, row_C in zip(codes(canonical_NC), canonical_NC, strict=True):
            if code in taken:
                continue
            taken.add(code)
            chosen.append(problem.space.candidate(row_C.tolist()))
            if len(chosen) == n:
                return chosen
    return chosen


def encodings_of(space: SearchSpace, trials: Sequence[Trial]) -> np.ndarray:
    """Encodings of the trials: integers, shape (N, C)."""
    rows = [trial.candidate.encoding for trial in trials]
    return np.array(rows, dtype=int).reshape(len(trials), len(space.choices))


def codes(encodings_NC: np.ndarray) -> list[bytes]:
    """`Candidate.code` of every row."""
    rows_NC = np.ascontiguousarray(encodings_NC, dtype=np.int64)
    row_bytes: list[bytes] = rows_NC.view(f"V{rows_NC.strides[0]}").ravel().tolist()
    return row_bytes


def codes_of_trials(trials: Sequence[Trial]) -> set[bytes]:
    """What was asked for already."""
    return {trial.candidate.code for trial in trials}


def fresh(problem: Problem, canonical_NC: np.ndarray, taken: Set[bytes]) -> np.ndarray:
    """The rows within the modelled limits that are not taken, each once, in their order."""
    feasible_NC = canonical_NC[problem.is_feasible(canonical_NC)]
    first: dict[bytes, int] = {}
    for row, code in enumerate(codes(feasible_NC)):
        if code not in taken:
            first.setdefault(code, row)
    return feasible_NC[list(first.values())]


def crossed(parents_2NC: np.ndarray, rng: np.random.Generator, *, probability: float) -> np.ndarray:
    """Children, shape (N, C): the first parent, or with this probability uniform crossover.

    Args:
        parents_2NC: First and second parent of every child.
        rng: All draws come from it.
        probability: Of the second parent having a part in a child.
    """
    mother_NC, father_NC = parents_2NC
    has_father_N1 = rng.random((len(mother_NC), 1)) < probability
    is_from_father_NC = has_father_N1 & (rng.random(mother_NC.shape) < 0.5)
    return np.where(is_from_father_NC, father_NC, mother_NC)


def mutate(
    space: SearchSpace,
    encodings_NC: np.ndarray,
    rng: np.random.Generator,
    *,
    expected: float,
    ordinal: float,
) -> np.ndarray:
    """Changes some choices of every row, at least one, to another option.

    Args:
        space: Says which choices have more than one option and which are numeric.
        encodings_NC: Left as they are.
        rng: All draws come from it.
        expected: Mean number of changes per row (before "at least one").
        ordinal: Probability that a numeric choice moves to an adjacent option, not to any other.
    """
    encodings_NC = np.asarray(encodings_NC)
    cardinality_C = np.array(space.cardinalities)
    open_columns = np.flatnonzero(cardinality_C > 1)
    if open_columns.size == 0:
        return encodings_NC.copy()
    is_hit_NC = rng.random(encodings_NC.shape) < expected / open_columns.size
    rows = np.flatnonzero(~is_hit_NC[:, open_columns].any(axis=1))
    is_hit_NC[rows, rng.choice(open_columns, size=len(rows))] = True

    other_NC = rng.integers(1, np.maximum(cardinality_C, 2), size=encodings_NC.shape)
    anywhere_NC = (encodings_NC + other_NC) % cardinality_C
    direction_NC = np.where(rng.random(encodings_NC.shape) < 0.5, 1, -1)
    is_inside_NC = (encodings_NC + direction_NC >= 0) & (
        encodings_NC + direction_NC < cardinality_C
    )
    adjacent_NC = encodings_NC + np.where(is_inside_NC, direction_NC, -direction_NC)
    is_numeric_C = np.array([not isinstance(c.options[0], str) for c in space.choices])
    is_ordinal_NC = is_numeric_C & (rng.random(encodings_NC.shape) < ordinal)
    changed_NC = np.where(is_ordinal_NC, adjacent_NC, anywhere_NC)
    return np.where(is_hit_NC & (cardinality_C > 1), changed_NC, encodings_NC)


def spread(problem: Problem, num: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Random encodings over the whole range of costs, or just random ones if no cost is known.

    Broods of `num` rows within the modelled limits, shape (num, C), a bounded number of them.
    """
    for _ in range(BROODS):
        random_NC = problem.space.sample(rng, num)
        if problem.model.metrics:
            is_known = "macs" in problem.model.metrics
            metric = "macs" if is_known else problem.model.metrics[0]
            ends_2C = cheap_and_costly(problem, metric, random_NC[0])
            end_NC = ends_2C[rng.integers(0, 2, size=num)]
            is_from_end_NC = rng.random(random_NC.shape) < rng.random((num, 1))
            random_NC = np.where(is_from_end_NC, end_NC, random_NC)
        yield repair(problem, random_NC, rng)


def cheap_and_costly(problem: Problem, metric: str, base_C: np.ndarray) -> np.ndarray:
    """Two encodings, shape (2, C), near the ends of the metric's range.

    Every choice takes the option that is cheapest, or costliest, while the others stay as in
    `base_C`: exact where costs add up, good enough where they nearly do.
    """
    changed_KC = neighbours(problem.space, base_C[None])[0]
    cost_K = problem.model.of(metric, changed_KC)
    base_cost = problem.model.of(metric, base_C[None])[0]
    ends_2C = np.stack([base_C, base_C])
    best_2C = np.full(ends_2C.shape, 0.0)
    for row_C, change in zip(changed_KC, cost_K - base_cost, strict=True):
        column = int(np.flatnonzero(row_C != base_C)[0])
        for end, gain in enumerate((-change, change)):
            if gain > best_2C[end, column]:
                best_2C[end, column], ends_2C[end, column] = gain, row_C[column]
    return ends_2C


def selection_order(losses_NM: np.ndarray) -> np.ndarray:
    """Indices of the rows from best to worst: lower rank first, then larger crowding distance."""
    rank_N = ranks(losses_NM)
    distance_N = np.zeros(len(losses_NM))
    for rank in np.unique(rank_N[np.isfinite(losses_NM).all(axis=1)]):
        distance_N[rank_N == rank] = crowding_distances(losses_NM[rank_N == rank])
    return np.lexsort((-distance_N, rank_N))


@lru_cache(maxsize=4)
def everything(space: SearchSpace) -> np.ndarray | None:
    """All canonical encodings in lexicographic order, or None if there are too many."""
    if space.size > ENUMERABLE_SIZE:
        return None
    rows_NC = np.zeros((1, len(space.choices)), dtype=np.int64)
    for column, choice in enumerate(space.choices):
        is_open_N = np.ones(len(rows_NC), dtype=bool)
        for name, allowed in choice.active_if:
            other = space.index(name)
            if other < column:
                is_allowed = np.array([option in allowed for option in space.choice(name).options])
                is_open_N &= is_allowed[rows_NC[:, other]]
        num_options = len(choice.options)
        if len(rows_NC) + is_open_N.sum() * (num_options - 1) > ENUMERABLE_ROWS:
            return None
        more_NC = np.repeat(rows_NC[is_open_N], num_options - 1, axis=0)
        more_NC[:, column] = np.tile(np.arange(1, num_options), int(is_open_N.sum()))
        rows_NC = np.concatenate([rows_NC, more_NC])
    return np.unique(space.canonical_many(rows_NC), axis=0)


def _last_resort(
    problem: Problem, trials: Sequence[Trial], rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Encodings to go through when the controller has no more: bounded work, no preference."""
    space = problem.space
    for num_rows in (2, 4, 8, 16):
        yield repair(problem, space.sample(rng, num_rows), rng)
    rows_NC = everything(space)
    if rows_NC is not None:
        yield rng.permutation(rows_NC)
        return
    found_NC = _feasible_starts(problem, trials, rng)
    for _ in range(4):
        if len(found_NC) == 0:
            return
        nearby_NC = rng.permutation(neighbours(space, found_NC).reshape(-1, len(space.choices)))
        nearby_NC = nearby_NC[problem.is_feasible(nearby_NC)]
        yield nearby_NC
        found_NC = nearby_NC[:16]


def _feasible_starts(
    problem: Problem, trials: Sequence[Trial], rng: np.random.Generator
) -> np.ndarray:
    """Up to 16 feasible candidates among the trials, and the cheapest ones of the space."""
    starts = [trial.candidate.encoding for trial in trials]
    starts = [starts[i] for i in rng.permutation(len(starts))[:16]]
    costs = problem.space.costs
    if costs is not None:
        known = {limit.metric for limit in problem.modelled_limits} & set(costs.metrics)
        starts += [costs.minimum(metric)[1] for metric in sorted(known)]
    rows_NC = np.array(starts, dtype=int).reshape(-1, len(problem.space.choices))
    return rows_NC[problem.is_feasible(rows_NC)]
