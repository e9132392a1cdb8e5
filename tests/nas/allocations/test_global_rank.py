"""One ranking of all members."""

from dataclasses import replace

import numpy as np

from nas.allocations.global_rank import GlobalRank
from nas.problem.problem import Limit
from nas.testing.allocations import compressible


def test_a_choice_that_removes_nothing_stays() -> None:
    network = compressible()
    column = next(iter(network.sparsities))
    importance = {c: np.linspace(0.1, 1.0, 8) for c in network.sparsities} | {column: np.zeros(0)}
    ends = np.array([network.base, network.base])
    for other in network.sparsities.keys() - {column}:
        ends[0, other] = network.sparsities[other].argmax()
    limit = Limit("macs", float(network.problem.model.of("macs", ends).mean()))
    problem = replace(network.problem, limits=(limit,))
    found = GlobalRank().allocate(replace(network, problem=problem, importance=importance))
    assert found is not None
    assert found[column] == network.base[column]
    assert found != network.base
