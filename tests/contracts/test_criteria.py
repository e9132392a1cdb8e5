"""Every pruning criterion keeps its contract, and every operator gives it what it needs."""

from collections.abc import Callable
from operator import attrgetter

import pytest
import torch

from nas.testing.criteria import CHECKS
from search_spaces.operators._base import OPERATORS
from supernets._elastic import AbstractElastic
from supernets.criteria._base import CRITERIA
from supernets.supernet import Supernet
from tests.strategies import mini_space, noise, randomise_, slots_of


@pytest.mark.parametrize("check", CHECKS, ids=attrgetter("__name__"))
@pytest.mark.parametrize("name", CRITERIA.names())
def test_any_criterion(name: str, check: Callable[[str], None]) -> None:
    check(name)


@pytest.mark.parametrize("operator", OPERATORS.names())
@torch.no_grad()
def test_every_operator_gives_the_weights_of_its_groups(operator: str) -> None:
    space = mini_space(operators=(operator,)).with_policy(("fp32",), (0, 0.5))
    supernet = Supernet(space)
    randomise_(supernet, seed=1)
    supernet.rank()
    for module in supernet.modules():
        if isinstance(module, AbstractElastic):
            assert set(module.group_weights()) == set(module.prunable)
    slots = slots_of(space, sparsity=0.5)
    images = noise(2, 1, 16, 16)
    difference = supernet.eval()(images, slots) - supernet.extract(slots)(images)
    assert difference.abs().max() <= 1e-5
