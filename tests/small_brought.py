"""Networks that were brought, small ones with the weights that they are made with."""

from functools import cache

import torch
from torch import nn

from compress.bring.bring import bring, give_weights, space_of
from nas.allocations import Compressible
from nas.problem.problem import Objective, Problem
from search_spaces import SearchSpace, is_policy
from supernets.supernet import Supernet
from tests.compress.bring.models import ResNet, ViT

SIDE = 16


@cache
def supernet(model: type[nn.Module] = ResNet) -> Supernet:
    torch.manual_seed(0)
    network = (ResNet(1, 16, 1) if model is ResNet else ViT(1, side=SIDE, width=32)).eval()
    brought = bring("network", network, channels=1, resolution=SIDE)
    space = space_of(brought).with_policy(("fp32", "int8"), (0.0, 0.25, 0.5, 0.75))
    found = Supernet(space)
    give_weights(found, brought)
    found.rank()
    return found.eval()


def compressible(model: type[nn.Module] = ResNet) -> Compressible:
    space = supernet(model).space
    assert space.costs is not None
    problem = Problem(
        space=space, objectives=(Objective("log_loss", "minimize"),), model=space.costs
    )
    base = (0,) * len(space.choices)
    return Compressible(problem=problem, base=base, columns=decided(space))


def decided(space: SearchSpace) -> tuple[int, ...]:
    """Places of the choices about compression."""
    return tuple(c for c, choice in enumerate(space.choices) if is_policy(choice.name))
