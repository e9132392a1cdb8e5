"""Muon's orthogonal steps: what they do to singular values, alone and many at a time."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from supernets.optimizers.muon import (
    LINEAR_SCALE,
    NEWTON_SCHULZ,
    NEWTON_SCHULZ_STEPS,
    Orthogonal,
    orthogonal,
)
from supernets.plan import TrainPlan
from supernets.train import fresh_state
from tests.strategies import noise

BAND = (0.68, 1.14)
"""Between these the quintic takes 0.01 to 1."""


def with_singular_values(rows: int, columns: int, values: Tensor, seed: int = 0) -> Tensor:
    """A matrix of these singular values."""
    u, _, vh = torch.linalg.svd(noise(rows, columns, seed=seed), full_matrices=False)
    return (u * values) @ vh


def test_the_quintic_takes_small_and_large_values_near_one() -> None:
    x = torch.linspace(0.01, 1.0, 10_000, dtype=torch.float64)
    a, b, c = NEWTON_SCHULZ
    for _ in range(NEWTON_SCHULZ_STEPS):
        x = a * x + b * x**3 + c * x**5
    assert BAND[0] <= float(x.min()) <= float(x.max()) <= BAND[1]


@given(
    rows=st.integers(1, 24),
    columns=st.integers(1, 24),
    seed=st.integers(0, 10),
    scale=st.sampled_from((1e-3, 1.0, 1e3)),
)
def test_singular_values_come_near_one_whatever_the_matrix_is_scaled_by(
    rows: int, columns: int, seed: int, scale: float
) -> None:
    rank = min(rows, columns)
    # Of norm 1 at most, which the iteration divides by: all are above 0.01 after that.
    values = torch.linspace(0.1, 1.0, rank)
    matrix = scale * with_singular_values(rows, columns, values, seed)
    found = torch.linalg.svdvals(orthogonal(matrix[None])[0])
    assert found.shape == (rank,)
    assert BAND[0] <= float(found.min()) <= float(found.max()) <= BAND[1]


def test_the_singular_vectors_stay() -> None:
    matrix = with_singular_values(6, 9, torch.linspace(0.2, 1.0, 6))
    u, _, vh = torch.linalg.svd(matrix, full_matrices=False)
    inner = u.mT @ orthogonal(matrix[None])[0] @ vh.mT
    assert inner.diagonal().min() > BAND[0]
    torch.testing.assert_close(inner, inner.diagonal().diag(), atol=1e-4, rtol=0)


def test_many_at_a_time_are_as_one_by_one() -> None:
    matrices = noise(5, 7, 4)
    for together, alone in zip(orthogonal(matrices), matrices, strict=True):
        torch.testing.assert_close(together, orthogonal(alone[None])[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5)])
def test_the_transposed_matrix_has_the_transposed_step(shape: tuple[int, int]) -> None:
    matrix = noise(1, *shape)
    torch.testing.assert_close(orthogonal(matrix).mT, orthogonal(matrix.mT), atol=1e-5, rtol=1e-5)


def test_nothing_stays_nothing() -> None:
    assert torch.equal(orthogonal(torch.zeros(2, 3, 4)), torch.zeros(2, 3, 4))


def test_a_step_has_the_size_of_the_rate_whatever_the_gradients() -> None:
    """Per output feature: a matrix of R rows and C columns moves by sqrt(max(1, R / C))."""
    for rows, columns in ((8, 8), (32, 8), (8, 32)):
        moved = []
        for gradient_scale in (1e-4, 1e4):
            weight = nn.Parameter(torch.zeros(rows, columns))
            optimizer = Orthogonal([{"params": [weight], "lr": 0.1}])
            values = torch.linspace(0.3, 1.0, min(rows, columns))
            weight.grad = gradient_scale * with_singular_values(rows, columns, values)
            optimizer.step()
            moved.append(weight.detach().clone())
        torch.testing.assert_close(*moved)
        scale = 0.1 * max(1.0, rows / columns) ** 0.5
        norms = torch.linalg.svdvals(moved[0]) / scale
        assert BAND[0] <= float(norms.min()) <= float(norms.max()) <= BAND[1]


def test_a_convolution_is_a_matrix_of_its_output_channels() -> None:
    gradient = noise(6, 2, 3, 3)
    kernel, matrix = nn.Parameter(torch.zeros(6, 2, 3, 3)), nn.Parameter(torch.zeros(6, 18))
    kernel.grad, matrix.grad = gradient, gradient.flatten(1)
    Orthogonal([{"params": [kernel, matrix], "lr": 0.1}]).step()
    torch.testing.assert_close(kernel.flatten(1), matrix)


def test_matrices_of_one_shape_are_stepped_as_each_alone() -> None:
    """Batching by shape mixes up neither weights nor rates of different groups."""
    gradients, rates = noise(3, 4, 6), (0.1, 0.2, 0.3)

    def weights() -> list[nn.Parameter]:
        found = [nn.Parameter(torch.ones(4, 6)) for _ in rates]
        for weight, gradient in zip(found, gradients, strict=True):
            weight.grad = gradient.clone()
        return found

    together, alone = weights(), weights()
    Orthogonal(
        [
            {"params": [weight], "lr": rate, "weight_decay": rate}
            for weight, rate in zip(together, rates, strict=True)
        ]
    ).step()
    for weight, rate in zip(alone, rates, strict=True):
        Orthogonal([{"params": [weight], "lr": rate, "weight_decay": rate}]).step()
    for first, second in zip(together, alone, strict=True):
        torch.testing.assert_close(first, second, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("shape", [(8, 6), (8, 6, 3, 3)])
def test_what_no_member_used_is_left_alone(shape: tuple[int, ...]) -> None:
    """A step of shared weights is that of the block of the members that were trained."""
    values, gradient = noise(*shape, seed=1), noise(*shape, seed=2)
    gradient[5:], gradient[:, 4:], gradient[2] = 0, 0, 0
    whole, block = nn.Parameter(values.clone()), nn.Parameter(values[:5, :4].clone())
    for weight, own in ((whole, gradient), (block, gradient[:5, :4])):
        optimizer = Orthogonal([{"params": [weight], "lr": 0.1, "weight_decay": 0.5}])
        for _ in range(2):
            weight.grad = own.clone()
            optimizer.step()
    torch.testing.assert_close(whole[:5, :4], block, atol=1e-5, rtol=1e-5)
    assert torch.equal(whole[5:], values[5:])
    assert torch.equal(whole[:, 4:], values[:, 4:])
    whole.grad = torch.zeros(shape)
    before = whole.detach().clone()
    Orthogonal([{"params": [whole], "lr": 0.1, "weight_decay": 0.5}]).step()
    assert torch.equal(whole, before)


def test_linear_layers_take_a_part_of_the_rate() -> None:
    network = nn.Sequential(nn.Conv2d(4, 4, 1, bias=False), nn.Linear(4, 4, bias=False))
    for parameter in network.parameters():
        nn.init.zeros_(parameter)
        parameter.grad = torch.eye(4).reshape(parameter.shape)
    fresh_state(network, TrainPlan(steps=1)).advance(0.1)
    convolution, linear = (parameter.flatten(1).detach() for parameter in network.parameters())
    torch.testing.assert_close(linear, LINEAR_SCALE * convolution)
