"""Ranges of activations over calibration images."""

import pytest
import torch
from torch import nn

from compress.placement import trace
from compress.quantize._ranges import observe


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
    seen = observe(graph, ["layer", "flatten"], batches)
    assert seen["layer"].low == pytest.approx(-3.0)
    assert seen["layer"].high == pytest.approx(6.0)
    assert seen["layer"].inner_shape == (1,)
    assert seen["flatten"].inner_shape == ()


def test_zero_belongs_to_every_range() -> None:
    graph = trace(Shift())
    positive = observe(graph, ["layer"], [torch.ones(1, 1, 2)])["layer"]
    negative = observe(graph, ["layer"], [-9 * torch.ones(1, 1, 2)])["layer"]
    assert (positive.low, positive.high) == (0.0, 2.0)
    assert (negative.low, negative.high) == (-8.0, 0.0)


def test_only_what_was_asked_for_is_observed() -> None:
    assert observe(trace(Shift()), ["layer"], [torch.ones(1, 1, 2)]).keys() == {"layer"}
