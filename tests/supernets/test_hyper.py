"""Kernels that networks make of places."""

import torch

from search_spaces import Options, Shape, signature_cost
from search_spaces.operators.hyperzzw import HIDDEN
from supernets._hyper import SlowNet, in_context
from tests.strategies import noise, signature


@torch.no_grad()
def test_one_slow_network_makes_kernels_of_all_sizes_with_as_many_parameters() -> None:
    slow = SlowNet(4, HIDDEN)
    small, large = slow((7, 7)), slow((28, 28))
    assert (small.shape, large.shape) == ((4, 7, 7), (4, 28, 28))
    corners = (slice(None), slice(None, None, 6), slice(None, None, 6))
    assert torch.allclose(small[corners], large[:, ::27, ::27], atol=1e-4)
    params = {
        signature_cost(
            signature(
                "hyperzzw",
                Options({"expand_ratio": 2, "kernel_size": kernel_size}),
                Shape.square(12, 12, 8, 8),
            )
        ).params
        for kernel_size in (3, 7, 23)
    }
    assert len(params) == 1


@torch.no_grad()
def test_rows_are_mixed_by_products_of_the_kernel_times_the_map_and_the_map() -> None:
    x, values, kernel = noise(1, 2, 3, 4), noise(1, 2, 3, 4, seed=1), noise(2, 3, 4, seed=2)
    found = in_context(x, values, kernel)
    for c in range(2):
        for row in range(3):
            expected = sum(
                (kernel[c, row] * x[0, c, row]) @ x[0, c, other] * values[0, c, other]
                for other in range(3)
            )
            assert torch.allclose(found[0, c, row], expected, atol=1e-5)
