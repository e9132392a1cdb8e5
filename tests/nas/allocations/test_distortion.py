"""The least summed distortion where costs do not add up, against trying everything."""

import itertools
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from compress.bring.bring import bring, space_of
from nas.allocations import ALLOCATIONS, Compressible
from nas.allocations.distortion import summed
from nas.problem.problem import Limit, Objective, Problem
from search_spaces import DENSE, MODELLED_MACS, SearchSpace
from tests.compress.bring.models import ResNet, ViT
from tests.small_brought import decided

SPARSITIES = (0.0, 0.25, 0.5, 0.75)


@cache
def space() -> SearchSpace:
    """A residual network whose layers share groups: six choices."""
    network = ResNet(depth=1, width=16).eval()
    return space_of(bring("resnet", network, channels=3, resolution=32)).with_policy(
        ("fp32",), SPARSITIES
    )


def compressible(seed: int, shares: dict[str, float]) -> Compressible:
    costs, rng = space().costs, np.random.default_rng(seed)
    assert costs is not None
    base = (0,) * len(space().choices)
    columns = tuple(column for column in decided(space()) if space().cardinalities[column] > 1)
    limits = tuple(
        Limit(metric, share * float(costs.of(metric, np.array([base]))[0]))
        for metric, share in shares.items()
    )
    objectives = (Objective("log_loss", "minimize"),)
    return Compressible(
        problem=Problem(space=space(), objectives=objectives, limits=limits, model=costs),
        base=base,
        columns=columns,
        distortions={
            column: np.append(0.0, np.cumsum(rng.exponential(size=3) * [1, 2, 4]))
            for column in columns
        },
    )


def by_trying(network: Compressible) -> float:
    options = list(itertools.product(range(len(SPARSITIES)), repeat=len(network.columns)))
    rows_NC = np.tile(np.array(network.base), (len(options), 1))
    rows_NC[:, network.columns] = options
    rows_NC = rows_NC[network.problem.is_feasible(rows_NC)]
    return float(
        np.min(np.sum([network.distortions[c][rows_NC[:, c]] for c in network.columns], axis=0))
    )


@pytest.mark.parametrize(
    ("shares", "most"),
    [({"macs": 0.7}, 1.0), ({"macs": 0.4}, 1.0), ({"macs": 0.5, "params": 0.3}, 1.25)],
)
@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_least_or_near_it(seed: int, shares: dict[str, float], most: float) -> None:
    network = compressible(seed, shares)
    assert len(network.columns) == 6
    found = ALLOCATIONS.get("distortion")().allocate(network)
    assert found is not None
    assert network.problem.is_feasible(np.array([found]))[0]
    assert summed(network, np.array(found)) <= most * by_trying(network) * (1 + 1e-9)


def test_what_changes_nothing_goes_first() -> None:
    network = compressible(0, {"macs": 0.8})
    free = network.columns[2]
    network = replace(network, distortions={**network.distortions, free: np.zeros(4)})
    found = ALLOCATIONS.get("distortion")().allocate(network)
    assert found is not None
    assert found[free] == 3


def test_parts_that_matter_keep_their_blocks_within_a_limit_on_modelled_macs() -> None:
    """Distortion within a limit on a cost of what remains is how LPViT finds ratios of layers."""
    network = ViT(1, side=16, width=64).eval()
    found = space_of(bring("vit", network, channels=1, resolution=16)).with_policy(
        ("fp32",), (0.0,), patterns=(DENSE, "blocks-32-50", "blocks-32-25")
    )
    assert found.costs is not None
    base = (0,) * len(found.choices)
    columns = tuple(found.columns("pattern"))
    macs = float(found.costs.of(MODELLED_MACS, np.array([base]))[0])
    problem = Problem(
        space=found,
        objectives=(Objective("log_loss", "minimize"),),
        limits=(Limit(MODELLED_MACS, 0.7 * macs),),
        model=found.costs,
    )
    distortions = {
        c: np.array([0.0, 1.0, 3.0]) * (100.0 if c == columns[1] else 1.0) for c in columns
    }
    given = Compressible(problem=problem, base=base, columns=columns, distortions=distortions)
    row = ALLOCATIONS.get("distortion")().allocate(given)
    assert row is not None
    assert found.costs.of(MODELLED_MACS, np.array([row]))[0] <= 0.7 * macs
    assert row[columns[1]] == 0
    assert any(row)
