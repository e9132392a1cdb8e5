"""Operations of cells: what a position sees of the map, and what pools make of it."""

import pytest
import torch
from torch.nn import functional as F

from search_spaces import Options, Shape, signature_cost
from supernets.network import plain_module
from tests.strategies import noise, randomise_, signature

SIDE, WIDTH, MIDDLE = 15, 8, 7


def seen(operator: str, kernel_size: int) -> torch.Tensor:
    """Which positions of the map the one in its middle depends on: booleans, (H, W)."""
    place = Shape.square(SIDE, SIDE, WIDTH, WIDTH)
    module = plain_module(signature(operator, Options({"kernel_size": kernel_size}), place)).eval()
    randomise_(module, seed=1)
    x_BCHW = noise(32, WIDTH, SIDE, SIDE).requires_grad_()
    module(x_BCHW)[:, :, MIDDLE, MIDDLE].sum().backward()
    assert x_BCHW.grad is not None
    return x_BCHW.grad.abs().sum((0, 1)) > 0


def around(reach: int, step: int = 1) -> torch.Tensor:
    """Positions so far from the middle, every so many."""
    found = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    part = slice(MIDDLE - reach, MIDDLE + reach + 1, step)
    found[part, part] = True
    return found


@pytest.mark.parametrize("kernel_size", [3, 5])
def test_a_position_sees_what_the_papers_kernels_see(kernel_size: int) -> None:
    reach = kernel_size // 2
    assert torch.equal(seen("conv", kernel_size), around(reach))
    assert torch.equal(seen("stripconv", kernel_size), around(reach))
    assert torch.equal(seen("sepconv", kernel_size), around(2 * reach)), "it is applied twice"
    assert torch.equal(seen("dilconv", kernel_size), around(2 * reach, step=2))


def test_pools_are_of_the_positions_that_there_are_and_identity_is_nothing() -> None:
    place = Shape((5, 6), (5, 6), 4, 4)
    x_BCHW = noise(2, 4, 5, 6)
    pads = (1, 1, 1, 1)
    windows = F.pad(x_BCHW, pads, value=float("nan")).unfold(2, 3, 1).unfold(3, 3, 1).flatten(4)
    for operator, expected in (
        ("identity", x_BCHW),
        ("avgpool", windows.nanmean(-1)),
        ("maxpool", windows.nan_to_num(nan=-torch.inf).amax(-1)),
    ):
        made = signature(operator, Options(), place)
        torch.testing.assert_close(plain_module(made)(x_BCHW), expected)
        assert signature_cost(made).params == signature_cost(made).macs == 0


def test_a_1x1_convolution_is_the_middle_of_a_wider_one() -> None:
    costs = [
        signature_cost(signature("conv", Options({"kernel_size": k}), Shape.square(8, 8, 4, 6)))
        for k in (1, 3)
    ]
    assert [cost.macs for cost in costs] == [64 * 24, 64 * 9 * 24]
    assert torch.equal(seen("conv", 1), around(0))
