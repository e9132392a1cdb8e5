"""What every allocation keeps to: a policy of the network, within the limits, if there is one."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from nas.allocations import ALLOCATIONS, Compressible, Weight
from nas.problem.problem import Limit, Objective, Problem
from nas.testing._expect import require
from search_spaces import is_policy, load_space

SHARES = (0.8, 0.5, 0.3)
"""Of what sparsities can remove of the network's costs, what may stay."""


def compressible(seed: int = 0) -> Compressible:
    """The largest network of a small space, of which made-up numbers are known; no limits."""
    space = load_space("toy", resolution=16, channels=1, num_classes=10)
    space = space.with_policy(("fp32", "int8"), (0.0, 0.25, 0.5, 0.75))
    assert space.costs is not None
    policies = [i for i, choice in enumerate(space.choices) if is_policy(choice.name)]
    largest = np.array([space.costs.maximum("macs")[1]])
    largest[:, policies] = 0
    base = space.canonical(largest[0].tolist())
    is_active = space.is_active(np.array([base]))[0]
    columns = tuple(i for i in policies if is_active[i])
    rng = np.random.default_rng(seed)
    network = Compressible(
        problem=Problem(
            space=space, objectives=(Objective("log_loss", "minimize"),), model=space.costs
        ),
        base=base,
        columns=columns,
    )
    return replace(
        network,
        distortions={
            column: np.append(0.0, np.cumsum(rng.exponential(size=space.cardinalities[column] - 1)))
            for column in columns
        },
        importance={column: rng.exponential(size=64) for column in network.sparsities},
        weights=tuple(
            Weight((8 * 2**i, 8, 3, 3), (column,), 2, rng.exponential(size=576 * 2**i))
            for i, column in enumerate(network.sparsities)
        ),
    )


def check_what_is_within_the_limits_stays(name: str) -> None:
    """A network that is within the limits is left as it is."""
    network = compressible()
    found = ALLOCATIONS.get(name)().allocate(network)
    require(found == network.base, f"it was {network.base} and is {found}")


def check_policies_are_within_the_limits(name: str) -> None:
    """What it gives is canonical, within the limits, and changes what may be decided alone."""
    for network in _limited():
        found = ALLOCATIONS.get(name)().allocate(network)
        require(found is not None, f"it finds none within {network.problem.limits}")
        assert found is not None
        space = network.problem.space
        require(found == space.canonical(found), f"{found} is not canonical")
        over = float(network.problem.violations(np.array([found]))[0])
        require(over == 0.0, f"{found} exceeds the limits by {over:.3g}")
        changed = [i for i, (a, b) in enumerate(zip(network.base, found, strict=True)) if a != b]
        others = set(changed) - set(network.columns)
        require(not others, f"it changes choices {sorted(others)}, which are not to be decided")


def check_equal_networks_have_equal_policies(name: str) -> None:
    """The same is known, and the same is decided."""
    for network, again in zip(_limited(), _limited(), strict=True):
        found, once_more = (ALLOCATIONS.get(name)().allocate(n) for n in (network, again))
        require(found == once_more, f"it gives {found} and then {once_more}")


def check_the_impossible_has_no_policy(name: str) -> None:
    """A limit that nothing meets has none."""
    network = _within(compressible(), {"macs": -0.01})
    found = ALLOCATIONS.get(name)().allocate(network)
    require(found is None, f"nothing is within the limit, and it gives {found}")


def _limited() -> Iterator[Compressible]:
    for seed, share in enumerate(SHARES):
        yield _within(compressible(seed), {"macs": share})
    yield _within(compressible(), {"macs": 0.6, "params": 0.5})


def _within(network: Compressible, shares: dict[str, float]) -> Compressible:
    ends = np.array([network.base, network.base])
    for column, sparsities in network.sparsities.items():
        ends[0, column] = sparsities.argmax()
    limits = []
    for metric, share in shares.items():
        low, high = network.problem.model.of(metric, ends)
        limits.append(Limit(metric, float(low + share * (high - low))))
    return replace(network, problem=replace(network.problem, limits=tuple(limits)))


CHECKS: tuple[Callable[[str], None], ...] = (
    check_what_is_within_the_limits_stays,
    check_policies_are_within_the_limits,
    check_equal_networks_have_equal_policies,
    check_the_impossible_has_no_policy,
)
