"""Ranges of activations over calibration images."""

import pytest
import torch
from torch import nn

from compress.calibration._base import CALIBRATIONS, AbstractCalibration, Seen
from compress.calibration.min_max import MinMax
from compress.placement import trace
from compress.quantize._ranges import observe
from compress.quantize.int8 import Quantizer
from tests.strategies import noise


class Shift(nn.Module):
    """Adds one, on a map."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x + 1).flatten(1)


def test_extremes_are_averaged_over_batches_and_the_shape_between_is_kept() -> None:
    graph = trace(Shift())
    batches = [torch.tensor([[[-3.0, 2.0]]]), torch.tensor([[[-5.0, 8.0]]])]
    seen = observe(graph, ["layer", "flatten"], batches, MinMax())
    assert seen["layer"].low == pytest.approx(-3.0)
    assert seen["layer"].high == pytest.approx(6.0)
    assert seen["layer"].inner_shape == (1,)
    assert seen["flatten"].inner_shape == ()


def test_zero_belongs_to_every_range() -> None:
    graph = trace(Shift())
    positive = observe(graph, ["layer"], [torch.ones(1, 1, 2)], MinMax())["layer"]
    negative = observe(graph, ["layer"], [-9 * torch.ones(1, 1, 2)], MinMax())["layer"]
    assert (positive.low, positive.high) == (0.0, 2.0)
    assert (negative.low, negative.high) == (-8.0, 0.0)


def test_only_what_was_asked_for_is_observed() -> None:
    assert observe(trace(Shift()), ["layer"], [torch.ones(1, 1, 2)], MinMax()).keys() == {"layer"}


def test_a_histogram_counts_every_entry_of_every_batch() -> None:
    kept = []

    class Keeps(AbstractCalibration):
        needs_histogram = True

        def range(self, seen: Seen) -> tuple[float, float]:
            kept.append(seen)
            return seen.extremes

    batches = [torch.rand(3, 1, 5, generator=torch.Generator().manual_seed(i)) - i for i in (0, 2)]
    observe(trace(Shift()), ["layer"], batches, Keeps())
    (seen,) = kept
    assert seen.histogram.counts_B.sum() == 30
    assert (seen.histogram.low, seen.histogram.high) == seen.extremes
    assert seen.histogram.counts_B[seen.histogram.edges[:-1] > 0].sum() == 15


@pytest.mark.parametrize("name", CALIBRATIONS.names())
@pytest.mark.parametrize("value", [-1.0, 1e38, float("inf"), float("nan")])
def test_a_value_that_is_always_zero_or_not_finite_has_a_range_all_the_same(
    name: str, value: float
) -> None:
    images = torch.full((2, 1, 3), value)
    found = observe(trace(Shift()), ["layer"], [images], CALIBRATIONS.get(name)())["layer"]
    if value == -1.0:
        assert (found.low, found.high) == (0.0, 0.0)


def test_least_squares_clip_a_heavy_tail_and_err_less_than_extremes() -> None:
    values = noise(1, 200_000) ** 3
    graph, batches = trace(Shift()), [values[:, None] - 1]
    errors, highs = [], []
    for name in ("min-max", "mse"):
        found = observe(graph, ["layer"], batches, CALIBRATIONS.get(name)())["layer"]
        errors.append((Quantizer(found)(values) - values).square().mean().item())
        highs.append(found.high)
    assert errors[1] < 0.9 * errors[0]
    assert highs[1] < 0.9 * highs[0]
