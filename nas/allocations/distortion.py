"""The policy whose parts, each alone, change the network's outputs least in sum.

Source: Xu et al., Efficient Joint Optimization of Layer-Adaptive Weight Pruning in Deep Neural
Networks (2023): squared errors of outputs add up over layers, so the best ratios are a knapsack
problem. Formats are chosen likewise, as Cai et al., ZeroQ (2020), section 3.2, choose numbers of
bits. Departures:

- Channels and heads go, not single weights, so costs do not add up: what a layer costs is a product
  of what remains of two groups. They are made sums around one policy after another, first a uniform
  one, then what the last sums led to; what these promise too little or too much is made good by
  single changes, at costs as they are.
- Options differ by their distortion on a batch; every cost that the problem knows may be limited.
"""

from collections.abc import Iterator
from typing import final

import numpy as np

from nas.allocations._base import ALLOCATIONS, AbstractAllocation, Compressible
from nas.allocations.uniform import uniform_rows
from nas.problem.feasible import HOPELESS
from nas.problem.knapsack import best_change, knapsack

ROUNDS = 6
"""Policies around which costs are made sums."""

MOST_EXCHANGED = 60
"""Changes of each kind of which pairs are tried."""


@final
@ALLOCATIONS.register
class Distortion(AbstractAllocation):
    """By measured distortions."""

    needs = frozenset({"distortions"})

    def allocate(self, network: Compressible) -> tuple[int, ...] | None:
        """See `AbstractAllocation.allocate`."""
        canonical = network.problem.space.canonical
        if network.problem.is_feasible(np.array([network.base]))[0]:
            return canonical(network.base)
        best, least = None, np.inf
        for row_C in _proposed(network):
            row_C = _improved(network, row_C)
            distortion = summed(network, row_C)
            if distortion < least and network.problem.is_feasible(row_C[None])[0]:
                best, least = canonical(row_C.tolist()), distortion
        return best


def summed(network: Compressible, row_C: np.ndarray) -> float:
    """The distortion of a policy, if those of its parts add up."""
    return float(sum(network.distortions[c][row_C[c]] for c in network.columns))


def _proposed(network: Compressible) -> Iterator[np.ndarray]:
    """Policies near the limits: a uniform one, and what costs as sums around the last one say."""
    rows_LC = uniform_rows(network)
    row_C = rows_LC[network.problem.violations(rows_LC).argmin()]
    distortions = [network.distortions[column] for column in network.columns]
    for _ in range(ROUNDS):
        yield row_C
        changed_NC, own = _changes(network, row_C)
        cost_M = _costs(network, row_C[None])[0]
        more_NM = _costs(network, changed_NC) - cost_M
        limits_M = np.array([limit.max for limit in network.problem.modelled_limits])
        costs = [more_NM[rows] for rows in own]
        chosen = knapsack(distortions, costs, limits_M - cost_M)
        if chosen is None:
            scaled = [(cost_KM / np.abs(limits_M)).sum(axis=1) for cost_KM in costs]
            chosen = tuple(int(cost_K.argmin()) for cost_K in scaled)
        row_C = row_C.copy()
        row_C[list(network.columns)] = chosen


def _costs(network: Compressible, rows_NC: np.ndarray) -> np.ndarray:
    """What is limited of every row, (N, M)."""
    problem = network.problem
    costs = [problem.model.of(limit.metric, rows_NC) for limit in problem.modelled_limits]
    return np.minimum(np.stack(costs, axis=1), HOPELESS)


def _changes(network: Compressible, row_C: np.ndarray) -> tuple[np.ndarray, list[slice]]:
    """All options of all choices, one at a time, (N, C), and where those of each choice are."""
    sizes = [network.problem.space.cardinalities[column] for column in network.columns]
    ends = np.cumsum(sizes)
    rows_NC = np.repeat(row_C[None], ends[-1], axis=0)
    columns_N = np.repeat(network.columns, sizes)
    rows_NC[np.arange(ends[-1]), columns_N] = np.concatenate([np.arange(k) for k in sizes])
    own = [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
    return rows_NC, own


def _improved(network: Compressible, row_C: np.ndarray) -> np.ndarray:
    """The policy after single changes: towards the limits, then towards less distortion.

    Where no single one helps, two at a time: one part gives what another takes.
    """
    for _ in range(2 * sum(network.problem.space.cardinalities)):
        rows_NC, more_N = _with_more(network, row_C)
        over_N = network.problem.violations(np.concatenate([rows_NC, row_C[None]]))
        change = best_change(over_N[:-1], float(over_N[-1]), more_N)
        if change is not None:
            row_C = rows_NC[change]
            continue
        if over_N[-1] > 0.0:
            return row_C
        rows_NC, more_N = _exchanges(network, row_C, rows_NC, more_N)
        change = best_change(network.problem.violations(rows_NC), 0.0, more_N)
        if change is None:
            return row_C
        row_C = rows_NC[change]
    return row_C


def _with_more(network: Compressible, row_C: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All single changes of a policy, (N, C), and what each adds to its distortion, (N,)."""
    rows_NC, _ = _changes(network, row_C)
    more = [
        network.distortions[column] - network.distortions[column][row_C[column]]
        for column in network.columns
    ]
    return rows_NC, np.concatenate(more)


def _exchanges(
    network: Compressible, row_C: np.ndarray, rows_NC: np.ndarray, more_N: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Two changes at a time, one that lessens distortion and one that adds less: (P, C), (P,).

    Args:
        network: Whose limits hold.
        row_C: The policy.
        rows_NC: Its single changes.
        more_N: What each adds to the distortion.
    """
    takes = np.argsort(more_N)[:MOST_EXCHANGED]
    gives = np.flatnonzero(more_N > 0.0)
    gives = gives[np.argsort(more_N[gives])][:MOST_EXCHANGED]
    pairs = [(t, g) for t in takes for g in gives if more_N[t] + more_N[g] < 0.0]
    if not pairs:
        return rows_NC[:0], more_N[:0]
    first, second = np.array(pairs).T
    both_PC = np.where(rows_NC[second] != row_C, rows_NC[second], rows_NC[first])
    is_apart_P = ((rows_NC[first] != row_C) & (rows_NC[second] != row_C)).sum(axis=1) == 0
    return both_PC[is_apart_P], (more_N[first] + more_N[second])[is_apart_P]
